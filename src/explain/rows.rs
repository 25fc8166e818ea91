//! The settings that hold for one container on one route, each with where it comes from. Says nothing
//! of settings that the route's format has no use for.

use super::Given;
use super::judge::Around;
use super::report::Row;
use crate::config::Share;
use crate::encode::{Framing, RAW_FORMAT, SYSLOG_VARIABLES};
use crate::output::Peer;
use crate::route::Route;
use crate::select::Settings;

const DEFAULT: &str = "default";
/// Where logspout finds a host name.
const HOST_FILE: &str = "/etc/host_hostname";
/// The options and variables that name a CloudWatch group and stream, the strongest first.
const GROUP: [&str; 3] = ["group", "awslogs-group", "LOGSPOUT_GROUP"];
const GROUP_VARIABLES: [&str; 2] = ["DOWNSPOUT_CLOUDWATCH_GROUP", "LOGSPOUT_GROUP"];
const STREAM: [&str; 3] = ["stream", "awslogs-stream", "LOGSPOUT_STREAM"];
const STREAM_VARIABLES: [&str; 2] = ["DOWNSPOUT_CLOUDWATCH_STREAM", "LOGSPOUT_STREAM"];

/// A route and a container.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) route: &'a Route,
    pub(super) around: &'a Around<'a>,
    /// What the container's labels ask for.
    pub(super) asked: &'a Settings,
}

impl Pair<'_> {
    /// All rows but that of joined lines.
    pub(super) fn rows(&self, share: Option<&Share>) -> Vec<Row> {
        let mut rows = vec![self.name(), self.streams(), self.format()];
        rows.extend(self.framing());
        if matches!(self.route.peer, Peer::Store(_)) {
            rows.push(self.stored("group", GROUP, GROUP_VARIABLES, "none"));
            rows.push(self.stored("stream", STREAM, STREAM_VARIABLES, "{{.Name}}"));
        }
        let format = self.route.encoder.name();
        if ["rfc5424", "rfc3164", "json", "logspout"].contains(&format) {
            rows.extend([self.tag(), self.host()]);
        }
        if ["rfc5424", "rfc3164", "logspout"].contains(&format) {
            rows.extend(self.priorities());
        }
        rows.push(self.rate());
        rows.extend(share.map(|share| self.memory(share)));
        rows
    }

    fn is_logspout(&self) -> bool {
        self.route.encoder.name() == "logspout"
    }

    fn option(&self, name: &'static str, option: &str) -> Option<Row> {
        let value = self.route.written.get(option)?;
        Some(Row::new(name, value, format!("route option {option}")))
    }

    fn variable(&self, name: &'static str, variable: &str) -> Option<Row> {
        let stated = self.around.given.get(variable)?;
        Some(Row::new(name, &stated.value, stated.place.clone()))
    }

    fn name(&self) -> Row {
        self.option("name", "name").unwrap_or_else(|| Row::new("name", "none", DEFAULT))
    }

    fn streams(&self) -> Row {
        let options = ["select.stream", "filter.sources"];
        let given = options.into_iter().filter(|name| self.route.written.contains_key(*name));
        let given: Vec<_> = given.map(|name| format!("route option {name}")).collect();
        let origin = if given.is_empty() { DEFAULT.to_owned() } else { given.join(", ") };
        Row::new("streams", &self.route.selection.streams().to_string(), origin)
    }

    fn format(&self) -> Row {
        let format = self.route.encoder.name();
        if let Some(row) = self.option("format", "format") {
            return row;
        }
        let options = ["append_tag", "structured_data"];
        let option = options.into_iter().find(|name| self.route.written.contains_key(*name));
        let origin = match (format, option) {
            ("logspout", Some(option)) => format!("route option {option}"),
            ("logspout", None) => place_of(self.around.given, &SYSLOG_VARIABLES),
            ("raw", _) if matches!(self.route.peer, Peer::Link(_)) => "scheme".into(),
            _ => DEFAULT.into(),
        };
        let value = match self.around.given.get(RAW_FORMAT) {
            Some(_) if format == "raw" && origin == "scheme" => "raw, by RAW_FORMAT",
            _ => format,
        };
        Row::new("format", value, origin)
    }

    fn framing(&self) -> Option<Row> {
        let value = match self.route.encoder.framing() {
            Framing::OctetCounting => "octet-counting".to_owned(),
            Framing::Lf => "lf".to_owned(),
            Framing::BareLf => "lf, as logspout writes it".to_owned(),
            // Events have their lengths beside them, and templates their own line ends.
            Framing::Datagram { max: usize::MAX } => return None,
            Framing::Datagram { max } => format!("each by itself, of {max} bytes at most"),
        };
        let option = ["framing", "max_message_bytes"]
            .into_iter()
            .find(|name| self.route.written.contains_key(*name));
        let variable = ["SYSLOG_TCP_FRAMING"];
        let origin = match option {
            Some(option) => format!("route option {option}"),
            None if self.is_logspout() => place_of(self.around.given, &variable),
            None => DEFAULT.to_owned(),
        };
        Some(Row::new("framing", &value, origin))
    }

    fn stored(
        &self,
        name: &'static str,
        options: [&str; 3],
        variables: [&str; 2],
        default: &str,
    ) -> Row {
        let by_option = options.into_iter().find_map(|option| self.option(name, option));
        let by_variable = || variables.into_iter().find_map(|one| self.variable(name, one));
        by_option.or_else(by_variable).unwrap_or_else(|| Row::new(name, default, DEFAULT))
    }

    fn tag(&self) -> Row {
        if let Some(tag) = &self.asked.tag {
            return Row::new("tag", tag, "label downspout.tag");
        }
        let container = &self.around.facts.container.name;
        let own = if self.is_logspout() {
            let appended = || {
                let row = self.option("tag", "append_tag")?;
                Some(Row { value: format!("{container} and {}", row.value), ..row })
            };
            self.variable("tag", "SYSLOG_TAG").or_else(appended)
        } else {
            self.option("tag", "tag")
        };
        own.unwrap_or_else(|| Row::new("tag", container, DEFAULT))
    }

    fn host(&self) -> Row {
        if self.is_logspout() {
            let row = self.variable("host", "SYSLOG_HOSTNAME");
            let row =
                row.unwrap_or_else(|| Row::new("host", "{{.Container.Config.Hostname}}", DEFAULT));
            let origin = format!("{}; what is in {HOST_FILE} would count instead", row.origin);
            return Row { origin, ..row };
        }
        let host = || Row::new("host", &self.around.facts.container.host, "Docker");
        let variable = || self.variable("host", "DOWNSPOUT_HOSTNAME");
        self.option("host", "hostname").or_else(variable).unwrap_or_else(host)
    }

    fn priorities(&self) -> Vec<Row> {
        if self.is_logspout()
            && let Some(row) = self.variable("priority", "SYSLOG_PRIORITY")
        {
            return vec![row];
        }
        let asked = self.asked;
        [
            ("facility", asked.facility, "user"),
            ("severity_stdout", asked.severity_stdout, "info"),
            ("severity_stderr", asked.severity_stderr, "err"),
        ]
        .into_iter()
        .map(|(name, label, default)| match label {
            Some(number) => Row::new(name, &number.to_string(), format!("label downspout.{name}")),
            None => self.option(name, name).unwrap_or_else(|| Row::new(name, default, DEFAULT)),
        })
        .collect()
    }

    fn rate(&self) -> Row {
        match self.asked.rate {
            Some(rate) => Row::new("rate", &rate.to_string(), "label downspout.rate"),
            None => Row::new("rate", "no limit", DEFAULT),
        }
    }

    fn memory(&self, share: &Share) -> Row {
        let kib = |bytes: u64| bytes / 1024;
        let (own, limit) = (kib(share.total()), kib(self.around.plan.limit));
        let value = format!("{own} KiB for all containers, of {limit} KiB");
        Row::new("memory", &value, place_of(self.around.given, &["DOWNSPOUT_MEMORY_LIMIT"]))
    }
}

/// Where the first of these variables stands that is given; what happens by default if none is.
pub(super) fn place_of(given: &Given, variables: &[&str]) -> String {
    let first = variables.iter().find_map(|name| given.get(name));
    first.map_or_else(|| DEFAULT.to_owned(), |stated| stated.place.clone())
}
