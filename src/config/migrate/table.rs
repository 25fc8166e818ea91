//! logspout's variables and what becomes of each: one row each, from which the report is made. Never
//! reads the environment.

use std::collections::BTreeMap;

use crate::config::logspout::go_duration;

/// Values of logspout's variables that are set, by name; those of secrets are not in it as they are.
pub(super) type Given = BTreeMap<&'static str, String>;

/// How much a setting differs from what it was in logspout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// In nothing.
    Same,
    /// In nothing but that a fault of logspout's is mended.
    Better,
    /// In something that may be seen.
    Differs,
    /// It does nothing, since nothing needs it.
    Unneeded,
}

impl Verdict {
    /// As the text has it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Better => "same, and better",
            Self::Differs => "differs",
            Self::Unneeded => "no longer needed",
        }
    }

    /// As the JSON has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Better => "better",
            Self::Differs => "differs",
            Self::Unneeded => "unneeded",
        }
    }
}

/// The routes that a setting is an option of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// logspout's syslog.
    Syslog,
    /// The same over TCP and TLS.
    Stream,
    /// The bare line.
    Raw,
    /// Those that begin with `multiline+`.
    Multiline,
    /// TLS.
    Tls,
    /// CloudWatch Logs.
    Store,
}

/// What a setting is under a name of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ours {
    /// It has none.
    None,
    /// It says what holds by default.
    Default,
    /// A variable and its value.
    Variable(&'static str, String),
    /// A part of `DOWNSPOUT_HTTP`.
    Http,
    /// An option of a route and its value.
    Option(Scope, &'static str, String),
}

/// One of logspout's variables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    /// What it is here, in whole sentences.
    pub(super) words: &'static str,
    /// Whether the value may hold a secret, such as a service's token.
    pub(super) hides: bool,
    pub(super) ours: fn(&str) -> Ours,
}

impl Row {
    /// Whether it says something that has no name of our own.
    pub(super) fn says(&self, value: &str) -> bool {
        (self.ours)(value) == Ours::None
    }
}

const fn row(
    name: &'static str,
    verdict: Verdict,
    words: &'static str,
    ours: fn(&str) -> Ours,
) -> Row {
    Row { name, verdict, words, hides: false, ours }
}

const fn hidden(row: Row) -> Row {
    Row { hides: true, ..row }
}

fn none(_: &str) -> Ours {
    Ours::None
}

fn syslog(option: &'static str, value: &str) -> Ours {
    Ours::Option(Scope::Syslog, option, value.to_owned())
}

// Our own formats name a container once, so that nothing of the line can be in it.
fn name(option: &'static str, value: &str) -> Ours {
    let of_line = [".Data", ".Time", ".Date", ".Source", ".Priority"];
    if of_line.iter().any(|field| value.contains(field)) {
        return Ours::None;
    }
    syslog(option, value)
}

// Go's durations have several units; those of a setting have one.
fn silence(value: &str) -> Ours {
    let millis = go_duration(value).map_or(0, |duration| duration.as_millis());
    match millis {
        0 => Ours::Default,
        10..=3_600_000 => Ours::Variable("DOWNSPOUT_PROBE_AFTER", format!("{millis}ms")),
        _ => Ours::None,
    }
}

fn multiline(option: &'static str, value: &str) -> Ours {
    Ours::Option(Scope::Multiline, option, value.to_owned())
}

fn tls(option: &'static str, value: &str) -> Ours {
    Ours::Option(Scope::Tls, option, value.to_owned())
}

fn store(option: &'static str, value: &str) -> Ours {
    Ours::Option(Scope::Store, option, value.to_owned())
}

fn framing(value: &str) -> Ours {
    let framing = if value == "octet-counted" { "octet-counting" } else { "lf" };
    Ours::Option(Scope::Stream, "framing", framing.into())
}

fn terminals(value: &str) -> Ours {
    let ships = crate::options::parse_flag(value) != Ok(false);
    Ours::Variable("DOWNSPOUT_TTY", if ships { "ship" } else { "skip" }.into())
}

use Verdict::{Better, Differs, Same, Unneeded};

/// All of logspout's variables, those that its modules for CloudWatch add last.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("ROUTE_URIS", Better,
        "It is read as logspout reads it: commas between routes, and arguments count instead. All problems \
         of all routes are named before anything starts.",
        |_| Ours::Variable("DOWNSPOUT_ROUTES", "…".into())),
    row("ROUTESPATH", Same,
        "Routes that logspout's API has stored there are read at the start, and one that is unusable is \
         named and passed over. Making more by the API takes the token of DOWNSPOUT_API_TOKEN.",
        none),
    row("BACKLOG", Differs,
        "Only true is true, as in logspout. It counts at the first start alone: later ones go on where the \
         last has ended, by the positions in DOWNSPOUT_STATE_DIR.",
        |value| Ours::Variable("DOWNSPOUT_BACKLOG", (value == "true").to_string())),
    row("TAIL", Differs,
        "It is looked at once, when a log is opened for the first time with BACKLOG=true; logspout asks for \
         the last lines again whenever it attaches.",
        none),
    row("INACTIVITY_TIMEOUT", Better,
        "After so much silence a log stream is checked, and opened again only if the log has more. Nothing \
         comes twice by it.",
        silence),
    row("ALLOW_TTY", Better,
        "true ships containers with a terminal with the carriage returns at their lines' ends, as logspout \
         does; 1, yes and on mean the same. false does not ship them. Unset, they are shipped without the \
         carriage returns.",
        terminals),
    row("EXCLUDE_LABELS", Better,
        "Any of the labels keeps a container out. Items without a colon, and values with one, count as they \
         are written; logspout lets them take the place of their neighbours, so that more containers may \
         be left out now.",
        none),
    row("EXCLUDE_LABEL", Better,
        "It counts where EXCLUDE_LABELS is not set. A value may hold colons.",
        none),
    row("DEBUG", Same,
        "It shows our own log at the level debug, unless DOWNSPOUT_LOG_LEVEL is set.",
        |_| Ours::Variable("DOWNSPOUT_LOG_LEVEL", "debug".into())),
    row("HTTP_BIND_ADDRESS", Same,
        "HTTP is served there, unless DOWNSPOUT_HTTP is set. The pages differ: see below.",
        |_| Ours::Http),
    row("PORT", Same,
        "HTTP is served on this port, unless DOWNSPOUT_HTTP is set; it counts before HTTP_PORT.",
        |_| Ours::Http),
    row("HTTP_PORT", Same,
        "HTTP is served on this port, unless PORT or DOWNSPOUT_HTTP is set.",
        |_| Ours::Http),
    row("RETRY_COUNT", Unneeded,
        "Destinations are tried for ever, with longer and longer pauses up to DOWNSPOUT_BACKOFF_MAX. \
         Nothing exits for them.",
        none),
    row("SYSLOG_FORMAT", Same,
        "syslog routes send logspout's bytes, in this layout.",
        |value| syslog("format", value)),
    row("SYSLOG_TCP_FRAMING", Same,
        "syslog routes send logspout's bytes, framed like this over TCP and TLS. With traditional, a line \
         feed inside a message is written #012, so that it does not end the message.",
        framing),
    row("SYSLOG_PRIORITY", Same,
        "syslog routes send logspout's bytes, with this template. facility=, severity_stdout= and \
         severity_stderr= of a route say it without one.",
        none),
    row("SYSLOG_TIMESTAMP", Better,
        "syslog routes send logspout's bytes, with this template. The time is Docker's own stamp of the \
         line, and not the moment at which it was read.",
        none),
    row("SYSLOG_HOSTNAME", Better,
        "syslog routes send logspout's bytes, with this template; what is in /etc/host_hostname counts \
         instead, as in logspout. {{.Hostname}} is the name of the Docker host again.",
        |value| name("hostname", value)),
    row("SYSLOG_TAG", Better,
        "syslog routes send logspout's bytes, with this template. A container may choose another tag by \
         its label downspout.tag, unless DOWNSPOUT_LABELS forbids it. One for which the template fails gets \
         its name instead, and the route goes on.",
        |value| name("tag", value)),
    row("SYSLOG_PID", Same,
        "syslog routes send logspout's bytes, with this template.",
        none),
    hidden(row("SYSLOG_STRUCTURED_DATA", Same,
        "syslog routes send logspout's bytes, with this template in the brackets. In our own rfc5424 \
         the option sd= of a route has elements of its own.",
        none)),
    hidden(row("SYSLOG_DATA", Same,
        "syslog routes send logspout's bytes, with this template for the text.",
        none)),
    hidden(row("RAW_FORMAT", Same,
        "raw routes send what this template makes of a line, which has to bring its own line feed.",
        |value| Ours::Option(Scope::Raw, "raw_format", value.to_owned()))),
    row("MULTILINE_ENABLE_DEFAULT", Same,
        "It says whether multiline+ routes join the lines of containers that have no LOGSPOUT_MULTILINE.",
        |value| match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ours::Default,
            _ => multiline("multiline", "off"),
        }),
    row("MULTILINE_PATTERN", Better,
        "multiline+ routes join lines by it, each stream by itself; logspout mixes standard output and \
         standard error.",
        |value| multiline("multiline_pattern", value)),
    row("MULTILINE_MATCH", Same,
        "It says which lines of a record match the pattern.",
        |value| multiline("multiline_match", &value.to_ascii_lowercase())),
    row("MULTILINE_FLUSH_AFTER", Better,
        "A record is complete when no line of it came for so long. logspout cuts it at its next tick, after \
         half of that time at most.",
        |value| multiline("multiline_flush", &format!("{value}ms"))),
    row("MULTILINE_SEPARATOR", Same,
        r"It stands between the lines of a record, as it is written: \n is two characters.",
        |value| multiline("multiline_separator", value)),
    row("LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS", Same,
        "true trusts only the authorities of LOGSPOUT_TLS_CA_CERTS.",
        |value| match value {
            "true" => tls("tls_system_roots", "false"),
            _ => Ours::Default,
        }),
    row("LOGSPOUT_TLS_CA_CERTS", Same,
        "TLS routes trust these authorities beside the system's.",
        |value| tls("tls_ca", value)),
    row("LOGSPOUT_TLS_CLIENT_CERT", Better,
        "TLS routes show this certificate. Without LOGSPOUT_TLS_CLIENT_KEY the start is refused, where \
         logspout goes on without it.",
        |value| tls("tls_cert", value)),
    row("LOGSPOUT_TLS_CLIENT_KEY", Better,
        "It is the key of LOGSPOUT_TLS_CLIENT_CERT, without which the start is refused.",
        |value| tls("tls_key", value)),
    row("LOGSPOUT_TLS_HARDENING", Unneeded,
        "Nothing but TLS 1.2 and 1.3 with forward secrecy is ever spoken.",
        none),
    row("DOCKER_HOST", Same, "It says where Docker listens.", none),
    row("DOCKER_TLS_VERIFY", Same,
        "Any value asks for TLS with Docker, whose certificate is always checked.", none),
    row("DOCKER_CERT_PATH", Differs,
        "It is the folder of the certificates for Docker. Set alone it asks for TLS, too.", none),
    row("DOCKER_API_VERSION", Same,
        "This version of Docker's API is spoken. Unset, it is negotiated.", none),
    row("TZ", Same,
        "It is the zone of the times in logspout's layouts, with the host's /usr/share/zoneinfo mounted.",
        none),
    row("LOGSPOUT_GROUP", Differs,
        "It names the group of cloudwatch routes. It has no default here, and a container's own \
         LOGSPOUT_GROUP does not count. Groups are made only with create_group=true.",
        |value| store("group", value)),
    row("LOGSPOUT_STREAM", Differs,
        "It names the stream of cloudwatch routes. A container's own LOGSPOUT_STREAM counts only with \
         container_stream_prefix=, and behind that.",
        |value| store("stream", value)),
];
