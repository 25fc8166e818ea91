//! What a route of logspout's becomes: its bytes, its framing, its filters. Never opens a route, and
//! shows no option that may hold a secret.

use std::fmt::Write;

use super::table::{Given, Ours, ROWS, Scope, Verdict};
use crate::encode::{Framing, SYSLOG_VARIABLES};
use crate::route::{Route, redacted};

/// A route, and what is to be said of it.
#[derive(Debug)]
pub(super) struct RouteWords {
    /// Without its options.
    pub(super) uri: String,
    /// As one would write it here, without knowing logspout.
    /// `None` if it cannot be used.
    pub(super) ours: Option<String>,
    pub(super) notes: Vec<(Verdict, String)>,
}

/// What logspout puts before a scheme for lines to be joined.
const JOINING: &str = "multiline+";
/// Schemes of the bare line, and their full names.
const RAW: [(&str, &str); 7] = [
    ("raw", "raw+udp"),
    ("raw+udp", "raw+udp"),
    ("udp", "raw+udp"),
    ("raw+tcp", "raw+tcp"),
    ("tcp", "raw+tcp"),
    ("raw+tls", "raw+tls"),
    ("tls", "raw+tls"),
];
const SYSLOG: [(&str, &str); 4] = [
    ("syslog", "syslog+udp"),
    ("syslog+udp", "syslog+udp"),
    ("syslog+tcp", "syslog+tcp"),
    ("syslog+tls", "syslog+tls"),
];
/// Schemes of modules that have no counterpart.
const MODULES: [&str; 8] =
    ["logstash", "gelf", "redis", "kafka", "kinesis", "cloudwatchlogs", "loki", "splunk"];
/// Options that may hold a secret, such as a service's token.
const HIDDEN: [&str; 2] = ["raw_format", "external_id"];
/// logspout's names of options that have one of our own.
const RENAMED: [(&str, &str); 3] =
    [("LOGSPOUT_GROUP", "group"), ("LOGSPOUT_STREAM", "stream"), ("DELAY", "flush")];
/// Options that our own formats do not have.
const OF_LOGSPOUT: [&str; 2] = ["append_tag", "structured_data"];
const MULTILINE_VARIABLES: [&str; 5] = [
    "MULTILINE_ENABLE_DEFAULT",
    "MULTILINE_PATTERN",
    "MULTILINE_MATCH",
    "MULTILINE_FLUSH_AFTER",
    "MULTILINE_SEPARATOR",
];

/// Says what a URI becomes. `route` is what was made of it, if it can be used.
pub(super) fn read(uri: &str, route: Option<&Route>, given: &Given) -> RouteWords {
    let shown = redacted(uri);
    let parts = Parts::of(&shown);
    let mut notes = Vec::new();
    if let Some(note) = module(&parts) {
        notes.push((Verdict::Differs, note));
    } else if let Some(route) = route {
        notes.push(bytes(&parts, route, given));
        notes.extend(framed(&parts, route));
        notes.extend(joined(&parts, route));
        notes.extend(route.written.iter().filter_map(|(key, value)| option(key, value, given)));
    } else {
        notes.push((
            Verdict::Differs,
            "it cannot be used as it is; its problems are named at the end".into(),
        ));
    }
    RouteWords { ours: route.map(|route| parts.ours(route, given)), uri: shown, notes }
}

struct Parts<'a> {
    joins: bool,
    scheme: String,
    place: &'a str,
}

impl<'a> Parts<'a> {
    fn of(uri: &'a str) -> Self {
        let (scheme, place) = uri.split_once("://").unwrap_or((uri, ""));
        let scheme = scheme.to_ascii_lowercase();
        let joins = scheme.starts_with(JOINING);
        let scheme = scheme.strip_prefix(JOINING).unwrap_or(&scheme).to_owned();
        Self { joins, scheme, place }
    }

    fn is_in(&self, table: &[(&str, &'static str)]) -> Option<&'static str> {
        table.iter().find(|(scheme, _)| *scheme == self.scheme).map(|(_, ours)| *ours)
    }

    fn is_tls(&self) -> bool {
        self.scheme.ends_with("tls")
    }

    fn is_stream(&self) -> bool {
        self.scheme.ends_with("tcp") || self.is_tls()
    }

    fn has(&self, scope: Scope) -> bool {
        let is_syslog = self.is_in(&SYSLOG).is_some();
        match scope {
            Scope::Syslog => is_syslog,
            Scope::Stream => is_syslog && self.is_stream(),
            Scope::Raw => self.is_in(&RAW).is_some(),
            Scope::Multiline => self.joins,
            Scope::Tls => self.is_tls(),
            Scope::Store => self.scheme == "cloudwatch",
        }
    }

    // The URI with what logspout's variables mean for it.
    fn ours(&self, route: &Route, given: &Given) -> String {
        let mut options = Pairs(Vec::new());
        for (key, value) in &route.written {
            let renamed = RENAMED.iter().find(|(theirs, _)| theirs == key).map(|(_, ours)| *ours);
            match renamed.unwrap_or(key) {
                "append_tag" if given.contains_key("SYSLOG_TAG") => {}
                "append_tag" => options.add("tag", &format!("{{{{.Name}}}}{value}")),
                "format" if value == "logspout" => {}
                key if OF_LOGSPOUT.contains(&key) => {}
                key if HIDDEN.contains(&key) => options.add(key, "…"),
                key => options.add(key, value),
            }
        }
        for row in ROWS {
            let Some(value) = given.get(row.name) else { continue };
            if let Ours::Option(scope, name, value) = (row.ours)(value)
                && self.has(scope)
            {
                options.add(name, if row.hides { "…" } else { &value });
            }
        }
        if self.has(Scope::Stream) {
            options.add("framing", "lf");
        }
        if self.joins {
            options.join_lines();
        }
        let scheme = self.is_in(&RAW).or_else(|| self.is_in(&SYSLOG)).unwrap_or(&self.scheme);
        format!("{scheme}://{}{}", self.place, options.query())
    }
}

/// Options of a route in their order, each once.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn add(&mut self, name: &str, value: &str) {
        if !self.has(name) {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    // What multiline+ means without logspout's variables.
    fn join_lines(&mut self) {
        let is_off = |(name, value): &(String, String)| name == "multiline" && value == "off";
        if self.0.iter().any(is_off) {
            self.0.retain(|(name, _)| !name.starts_with("multiline_"));
        } else if !self.has("multiline") {
            self.add("multiline_pattern", r"^\s");
            self.add("multiline_match", "nonfirst");
        }
    }

    fn query(&self) -> String {
        let pairs: Vec<_> =
            self.0.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

fn module(parts: &Parts<'_>) -> Option<String> {
    let first = parts.scheme.split('+').next().unwrap_or_default();
    MODULES.contains(&first).then(|| {
        format!(
            "{first} is a module of logspout's that has no counterpart here; most receivers of its kind \
             take syslog+tcp:// with format=json, or syslog+tls:// with RFC 5424"
        )
    })
}

// Which bytes the route sends.
fn bytes(parts: &Parts<'_>, route: &Route, given: &Given) -> (Verdict, String) {
    let format = route.encoder.name();
    let set: Vec<&str> =
        SYSLOG_VARIABLES.into_iter().filter(|name| given.contains_key(name)).collect();
    match format {
        "logspout" => {
            let by = if set.is_empty() { "the route's options".to_owned() } else { set.join(", ") };
            (Verdict::Same, format!("sends logspout's bytes, by {by}"))
        }
        "raw" if parts.has(Scope::Raw) => (
            Verdict::Same,
            "sends logspout's bytes: the bare line, or what RAW_FORMAT makes of it".into(),
        ),
        "raw" => (Verdict::Same, "sends the text of each line".into()),
        format if parts.has(Scope::Syslog) && !route.written.contains_key("format") => (
            Verdict::Differs,
            format!(
                "sends our own {format}: Docker's stamp in microseconds, the Docker host's name, the \
                 container's short id for the process. SYSLOG_FORMAT=rfc5424 or format=logspout keeps \
                 logspout's bytes"
            ),
        ),
        format => (Verdict::Same, format!("sends {format}, as the route says")),
    }
}

fn framed(parts: &Parts<'_>, route: &Route) -> Option<(Verdict, String)> {
    if !parts.is_stream() || route.written.contains_key("framing") {
        return None;
    }
    Some(match route.encoder.framing() {
        Framing::OctetCounting if route.encoder.name() == "logspout" => {
            (Verdict::Same, "counts the bytes of each message, by SYSLOG_TCP_FRAMING".into())
        }
        Framing::OctetCounting => (
            Verdict::Differs,
            "counts the bytes of each message, where logspout ends it with a line feed; framing=lf for a \
             receiver that takes nothing else"
                .into(),
        ),
        Framing::BareLf => (
            Verdict::Better,
            "ends each message with a line feed; one inside a message is written #012".into(),
        ),
        Framing::Lf => (Verdict::Same, "ends each message with a line feed".into()),
        Framing::Datagram { .. } => return None,
    })
}

fn joined(parts: &Parts<'_>, route: &Route) -> Option<(Verdict, String)> {
    let is_on = route.joining.by_default().is_some();
    parts.joins.then(|| {
        let who = if is_on { "all containers" } else { "containers with LOGSPOUT_MULTILINE=true" };
        let variables = MULTILINE_VARIABLES.join(", ");
        (
            Verdict::Better,
            format!(
                "joins the lines of {who} as {variables} say; a record ends when nothing more comes, and \
                 not in the middle"
            ),
        )
    })
}

// What an option of logspout's means here; nothing is said of our own.
fn option(key: &str, value: &str, given: &Given) -> Option<(Verdict, String)> {
    Some(match key {
        "filter.id" => (
            Verdict::Better,
            "filter.id takes the whole id, too, which no container matches in logspout".into(),
        ),
        "filter.name" => (
            Verdict::Better,
            "filter.name is asked again when a container gets another name".into(),
        ),
        "filter.labels" => labels(value),
        "filter.sources" => (Verdict::Same, "filter.sources chooses the streams".into()),
        "append_tag" if given.contains_key("SYSLOG_TAG") => (
            Verdict::Same,
            "append_tag does nothing, since SYSLOG_TAG is set, as in logspout".into(),
        ),
        "append_tag" => (Verdict::Same, "append_tag stands behind the container's name".into()),
        "structured_data" => {
            (Verdict::Same, "structured_data counts instead of SYSLOG_STRUCTURED_DATA".into())
        }
        _ => return None,
    })
}

fn labels(value: &str) -> (Verdict, String) {
    let is_open = |item: &str| {
        let (_, pattern) = item.trim().split_once(':').unwrap_or((item, ""));
        pattern.is_empty() || pattern == "*"
    };
    if value.split(',').any(is_open) {
        return (
            Verdict::Differs,
            "filter.labels: an item without a pattern, or with *, asks for the label; in logspout it holds \
             for every container, so that less may be shipped now"
                .into(),
        );
    }
    (Verdict::Same, "filter.labels asks for all of these labels".into())
}

/// A value as it may stand in a URI.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '%' | '&' | '#' | ',' | '$' | ' ' | '\t' | '\r' | '\n' => {
                write!(text, "%{:02X}", u32::from(character)).unwrap_or_default();
            }
            other => text.push(other),
        }
    }
    text
}
