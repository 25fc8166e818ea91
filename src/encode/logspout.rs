//! logspout's own bytes: what its variables say, checked once, and what becomes of them on a route.
//! Never reads the environment.

mod field;
mod layout;
mod rest;

use super::Priorities;
use crate::options::Problem;
use crate::select::Allowed;
use crate::template::Zone;

use field::{Fallback, Field};
pub(super) use layout::Layout;

/// Which of logspout's adapters a scheme names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// Messages with a header.
    Syslog,
    /// The bare line, or what `RAW_FORMAT` makes of it.
    Raw,
}

/// The variables that choose what logspout's syslog looks like.
pub const SYSLOG_VARIABLES: [&str; 9] = [
    "SYSLOG_FORMAT",
    "SYSLOG_TCP_FRAMING",
    "SYSLOG_PRIORITY",
    "SYSLOG_TIMESTAMP",
    "SYSLOG_HOSTNAME",
    "SYSLOG_TAG",
    "SYSLOG_PID",
    "SYSLOG_STRUCTURED_DATA",
    "SYSLOG_DATA",
];

/// The variable with the bytes of the bare line.
pub const RAW_FORMAT: &str = "RAW_FORMAT";

/// What logspout does where `SYSLOG_HOSTNAME` is not set.
const HOSTNAME: &str = "{{.Container.Config.Hostname}}";
const PID: &str = "{{.Container.State.Pid}}";
const TAG: &str = "{{.ContainerName}}";

/// What logspout's variables say, checked.
#[derive(Debug, Clone)]
pub struct Logspout {
    /// One of `SYSLOG_VARIABLES` is set: then syslog routes send logspout's bytes.
    pub(super) is_asked_for: bool,
    is_rfc3164: bool,
    pub(super) is_counted: bool,
    priority: Field,
    timestamp: Field,
    hostname: Field,
    /// `None` for the container's name and what a route appends to it.
    tag: Option<Field>,
    pid: Field,
    structured_data: Option<Field>,
    data: Field,
    raw: Field,
    zone: Zone,
}

/// What one route says beside the variables.
#[derive(Debug, Default)]
pub(super) struct OfRoute {
    pub(super) append_tag: Option<String>,
    pub(super) structured_data: Option<String>,
    pub(super) raw_format: Option<String>,
}

impl Logspout {
    /// As if none of the variables were set.
    ///
    /// # Panics
    /// Never: a test holds that what logspout does by itself can be read.
    pub fn unset() -> Self {
        #[expect(clippy::expect_used, reason = "the defaults are templates")]
        Self::of(|_| None, None, Zone::utc()).expect("logspout's own templates are sound")
    }

    /// Reads the variables that `value` has. `host` is what stands in `/etc/host_hostname`, which
    /// then counts instead of `SYSLOG_HOSTNAME`; times are shown in `zone`. All problems are
    /// reported, each with its variable.
    pub fn of(
        value: impl Fn(&str) -> Option<String>,
        host: Option<&str>,
        zone: Zone,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let given = |name: &str| value(name).filter(|text| !text.is_empty());
        let is_asked_for = SYSLOG_VARIABLES.iter().any(|name| given(name).is_some());
        let mut field = |name: &'static str, text: Option<String>, default: &str, fallback| {
            let text = text.unwrap_or_else(|| default.to_owned());
            let field = Field::parse(name, &text, fallback);
            field.map_err(|why| problems.push(Problem::new(why).of(name))).ok()
        };
        let host = host.map(|text| text.trim_end_matches(['\r', '\n'])).filter(|t| !t.is_empty());
        let (named, name) = match host {
            Some(text) => ("/etc/host_hostname", Some(text.to_owned())),
            None => ("SYSLOG_HOSTNAME", given("SYSLOG_HOSTNAME")),
        };
        let one = |name| given(name);
        let priority =
            field("SYSLOG_PRIORITY", one("SYSLOG_PRIORITY"), "{{.Priority}}", Fallback::Priority);
        let timestamp = field(
            "SYSLOG_TIMESTAMP",
            one("SYSLOG_TIMESTAMP"),
            "{{.Timestamp}}",
            Fallback::Timestamp,
        );
        let hostname = field(named, name, HOSTNAME, Fallback::Hostname);
        let tag =
            one("SYSLOG_TAG").map(|text| field("SYSLOG_TAG", Some(text), TAG, Fallback::Name));
        let pid = field("SYSLOG_PID", one("SYSLOG_PID"), PID, Fallback::Pid);
        let structured_data = one("SYSLOG_STRUCTURED_DATA")
            .map(|text| field("SYSLOG_STRUCTURED_DATA", Some(text), "", Fallback::Nothing));
        let data = field("SYSLOG_DATA", one("SYSLOG_DATA"), field::DATA, Fallback::Data);
        let raw = field(RAW_FORMAT, one(RAW_FORMAT), field::RAW, Fallback::Raw);
        let is_rfc3164 = choice(&given, &mut problems, "SYSLOG_FORMAT", ["rfc5424", "rfc3164"]);
        let is_counted =
            choice(&given, &mut problems, "SYSLOG_TCP_FRAMING", ["traditional", "octet-counted"]);
        let made = || {
            Some(Self {
                is_asked_for,
                is_rfc3164,
                is_counted,
                priority: priority?,
                timestamp: timestamp?,
                hostname: hostname?,
                tag: tag.map_or(Some(None), |tag| tag.map(Some))?,
                pid: pid?,
                structured_data: structured_data.map_or(Some(None), |sd| sd.map(Some))?,
                data: data?,
                raw: raw?,
                zone,
            })
        };
        match made() {
            Some(made) if problems.is_empty() => Ok(made),
            _ => Err(problems),
        }
    }

    /// The layout of a syslog route; problems of the route's own texts go into `problems`.
    pub(super) fn syslog(
        &self,
        route: &OfRoute,
        priorities: Priorities,
        allowed: &Allowed,
        problems: &mut Vec<String>,
    ) -> Option<Layout> {
        let mut own = |option: &'static str, text: &str, fallback| {
            let field = Field::parse(option, text, fallback);
            field.map_err(|why| problems.push(format!("option '{option}': {why}"))).ok()
        };
        let tag = match (&self.tag, &route.append_tag) {
            (Some(tag), _) => tag.clone(),
            (None, appended) => {
                let text = format!("{TAG}{}", appended.as_deref().unwrap_or_default());
                own("append_tag", &text, Fallback::Name)?
            }
        };
        let structured_data = match &route.structured_data {
            Some(text) if !text.is_empty() => {
                Some(own("structured_data", text, Fallback::Nothing)?)
            }
            Some(_) => None,
            None => self.structured_data.clone(),
        };
        let fields = layout::Fields { tag, structured_data, of: self };
        let parts = if self.is_rfc3164 { fields.rfc3164() } else { fields.rfc5424() };
        Some(Layout::syslog(parts, priorities, self.zone.clone(), allowed.clone()))
    }

    /// What a template of the route makes of lines that are framed: a line feed at its end is not
    /// its own.
    pub(super) fn framed_raw(&self, route: &OfRoute, problems: &mut Vec<String>) -> Option<Layout> {
        let text = route.raw_format.as_deref().unwrap_or_default();
        let raw_format = Some(text.strip_suffix('\n').unwrap_or(text).to_owned());
        let route = OfRoute { raw_format, ..OfRoute::default() };
        self.raw(&route, problems)
    }

    /// The bytes of a raw route.
    pub(super) fn raw(&self, route: &OfRoute, problems: &mut Vec<String>) -> Option<Layout> {
        let field = match &route.raw_format {
            Some(text) => Field::parse("raw_format", text, Fallback::Raw)
                .map_err(|why| problems.push(format!("option 'raw_format': {why}")))
                .ok()?,
            None => self.raw.clone(),
        };
        Some(Layout::raw(field, self.zone.clone()))
    }
}

// True for the second of two words.
fn choice(
    given: &impl Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
    name: &str,
    words: [&str; 2],
) -> bool {
    let [first, second] = words;
    match given(name) {
        Some(word) if word == second => true,
        Some(word) if word != first => {
            let word = word.escape_debug();
            problems.push(Problem::new(format!("{name}={word}: expected {first} or {second}")));
            false
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
