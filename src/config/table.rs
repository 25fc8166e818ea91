//! The table of settings: parsing, flags, `--help` and the reference are all made from it.
//! Never reads the environment itself.

use super::draft::{self, Draft};

/// One setting: a variable, a flag, a row of the help.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// The variable's name.
    pub(crate) name: &'static str,
    /// The default as a user would write it, applied like any value; empty for none, then the
    /// help says what happens without.
    pub(crate) default: &'static str,
    /// What values look like.
    pub(crate) unit: &'static str,
    /// Full sentences, with the limits.
    pub(crate) help: &'static str,
    /// Whether the value may hold a password: then no error shows it.
    pub(crate) secret: bool,
    /// Parses a value into the draft. An error says what is expected; that of a secret setting
    /// never quotes the value. `None` where a library reads the variable itself.
    pub(crate) apply: Option<Apply>,
}

/// Parses a value into the draft.
pub(crate) type Apply = fn(&mut Draft, &str) -> Result<(), String>;

/// What marks the variables that are all ours.
pub(crate) const PREFIX: &str = "DOWNSPOUT_";
/// Unit of a setting that is true or false; its flag may stand alone.
pub(crate) const TRUE_OR_FALSE: &str = "true|false";
/// Unit of a setting that only asks whether there is a value; its flag stands alone.
pub(crate) const ANY_VALUE: &str = "any value";

/// Where to listen; if it is given, logspout's variables do not count.
pub(crate) const HTTP: &str = "DOWNSPOUT_HTTP";

/// The two variables that hold routes.
pub(crate) const ROUTES: [&str; 2] = ["ROUTE_URIS", "DOWNSPOUT_ROUTES"];

impl Setting {
    /// The flag without its dashes: `DOWNSPOUT_MEMORY_LIMIT` is `memory-limit`.
    pub(crate) fn flag(&self) -> Option<String> {
        self.apply?;
        // A variable under another tool's name leaves the flag to ours.
        if SETTINGS.iter().any(|ours| ours.name.strip_prefix(PREFIX) == Some(self.name)) {
            return None;
        }
        let short = self.name.strip_prefix(PREFIX).unwrap_or(self.name);
        Some(short.to_ascii_lowercase().replace('_', "-"))
    }
}

const fn row(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    apply: Apply,
    help: &'static str,
) -> Setting {
    Setting { name, default, unit, help, secret: false, apply: Some(apply) }
}

const fn secret(setting: Setting) -> Setting {
    Setting { secret: true, ..setting }
}

const fn read_by_a_library(name: &'static str, unit: &'static str, help: &'static str) -> Setting {
    Setting { name, default: "", unit, help, secret: false, apply: None }
}

/// What stands in for an option that a route to CloudWatch Logs does not have; the options have
/// the limits.
macro_rules! cloudwatch {
    ($option:literal, $name:literal, $unit:literal, $help:literal) => {
        row(
            concat!("DOWNSPOUT_CLOUDWATCH_", $name),
            "",
            $unit,
            |draft, text| draft.fall_back($option, concat!("DOWNSPOUT_CLOUDWATCH_", $name), text),
            concat!($help, " For cloudwatch routes without the option ", $option, "."),
        )
    };
}

/// A variable of logspout's that is looked at together with its others.
macro_rules! logspout {
    ($name:literal, $unit:literal, $help:literal) => {
        row($name, "", $unit, |draft, text| draft.of_logspout($name, text), $help)
    };
}

/// All settings, in the order of the help.
#[rustfmt::skip]
pub(crate) const SETTINGS: &[Setting] = &[
    secret(row("DOWNSPOUT_ROUTES", "", "URI,URI…", draft::routes,
        "Where lines go. Route URIs given as arguments replace these. Without any, and without live tails or \
         routes over HTTP: stdout://.")),
    secret(row("ROUTE_URIS", "", "URI,URI…", draft::routes,
        "The same under the name that logspout uses; where both are set, both are used.")),
    row("DOWNSPOUT_SOURCE", "docker", "docker|replay:PATH|replay:-", draft::source,
        "Where lines come from: Docker, or the lines of a file or of standard input."),
    secret(row("DOCKER_HOST", "", "unix:///PATH|tcp://HOST:PORT", draft::docker_host,
        "Where Docker listens. Unset: unix:///var/run/docker.sock, or /tmp/docker.sock where \
         only that exists.")),
    row("DOCKER_TLS_VERIFY", "", ANY_VALUE, draft::docker_tls_verify,
        "Talk TLS to a tcp:// Docker and check its certificate."),
    row("DOCKER_CERT_PATH", "", "path", draft::docker_cert_path,
        "Folder with ca.pem, and cert.pem and key.pem if Docker asks for them; unset: $HOME/.docker. \
         Set alone, it asks for TLS as DOCKER_TLS_VERIFY does. Docker's certificate is always checked."),
    row("DOCKER_API_VERSION", "", "version", draft::docker_api_version,
        "Docker API version such as 1.41. Unset, it is negotiated."),
    row("DOWNSPOUT_HOSTNAME", "", "name", draft::hostname,
        "Host name in the lines shipped. Unset, it is the one that Docker reports."),
    row("DOWNSPOUT_OPT_IN", "false", TRUE_OR_FALSE, draft::opt_in,
        "Ship only containers that ask for it, by the label downspout.enable=true or by naming a route in \
         downspout.routes. For routes without the option opt_in."),
    row("DOWNSPOUT_LABELS", "all", "all|none|SETTING,SETTING…", draft::labels,
        "What containers may choose by labels: enable, routes, tag, facility, severity_stdout, \
         severity_stderr, multiline, rate, as downspout.tag and so on. Never where lines go."),
    row("DOWNSPOUT_CONTAINER_VARIABLES", "", "NAME,NAME…", draft::container_variables,
        "Variables of the containers' environments that templates may show. All others may be secrets, \
         and are left out."),
    row("DOWNSPOUT_TTY", "ship", "ship|skip", draft::tty,
        "Containers with a terminal: shipped without the carriage returns at their lines' ends, or not."),
    row("DOWNSPOUT_BACKLOG", "false", TRUE_OR_FALSE, draft::backlog,
        "Ship what containers that already run at the start have printed before it. \
         Otherwise they are followed from then on."),
    row("BACKLOG", "", "true", draft::backlog_as_logspout,
        "The same under the name that logspout uses, where anything but true is false."),
    row("INACTIVITY_TIMEOUT", "", "duration", draft::inactivity_timeout,
        "logspout's name of DOWNSPOUT_PROBE_AFTER, such as 1m30s; 0 leaves that as it is. Nothing comes \
         twice by it."),
    row("DOWNSPOUT_PROBE_AFTER", "45s", "duration", draft::probe_after,
        "A log stream that was silent for this long is checked for a stall, from 10ms to 1h."),
    row("DOWNSPOUT_ATTACH", "false", TRUE_OR_FALSE, draft::attach,
        "Follow containers whose log driver is 'none' by attaching to them."),
    row("DOWNSPOUT_OVERFLOW", "drop-oldest", "drop-oldest|drop-newest", draft::overflow,
        "What to give up of an attached container that prints faster than a destination takes."),
    row("DOWNSPOUT_SHIPPED_DRIVERS", "skip", "skip|follow", draft::shipped_drivers,
        "Containers whose own log driver already ships: awslogs, etwlogs, fluentd, gcplogs, \
         gelf, logentries, splunk, syslog."),
    row("DOWNSPOUT_STRATEGY", "auto", "auto|api", draft::strategy,
        "How logs are read: auto reads the files of the json-file driver where it can, which costs \
         Docker nothing, and asks Docker's API for all others; api always asks."),
    row("DOWNSPOUT_CONTAINERS_DIR", "", "path", draft::containers_dir,
        "Where Docker's folder of containers is mounted. Unset, it is at Docker's own path, such as \
         /var/lib/docker/containers."),
    row("DOWNSPOUT_CONTAINER_SERIES", "0", "0 to 10000", draft::container_series,
        "How many containers have metrics of their own: lines, bytes, and the size of the log file. All \
         others share the container _other; 0 for no such metrics."),
    row("DOWNSPOUT_STATE_DIR", "/var/lib/downspout", "path|off", draft::state_dir,
        "Folder that keeps how far each log was delivered, so that a restart goes on there; mount a \
         volume at it. One agent at a time; off keeps nothing."),
    row("DOWNSPOUT_MEMORY_LIMIT", "64MiB", "bytes", draft::memory_limit,
        "Resident memory that the whole process aims for, 16MiB or more."),
    row("DOWNSPOUT_MAX_LINE_BYTES", "1MiB", "bytes", draft::max_line_bytes,
        "Longest line, from 1KiB to 16MiB. A longer one is shipped in parts."),
    row("DOWNSPOUT_SHUTDOWN_TIMEOUT", "8s", "duration", draft::shutdown_timeout,
        "Time to deliver what was read after SIGTERM, from 10ms to 1h."),
    row("DOWNSPOUT_BACKOFF_MAX", "30s", "duration", draft::backoff_max,
        "Longest pause between two attempts to reach Docker or a destination, from 10ms to 1h."),
    row(HTTP, "0.0.0.0:9514", "ADDRESS:PORT|off", draft::http,
        "Where health checks and metrics are served. Port 0 takes a free one."),
    secret(row("DOWNSPOUT_METRICS_TOKEN", "", "text", draft::metrics_token,
        "What /metrics asks for as a bearer token; better from a file, with \
         DOWNSPOUT_METRICS_TOKEN_FILE. Unset, everybody may read it.")),
    row("DOWNSPOUT_LIVE_TAILS", "false", TRUE_OR_FALSE, draft::live_tails,
        "Whether /logs shows what containers print just now, and /routes the routes: to who has \
         DOWNSPOUT_API_TOKEN, or to everybody where that is not set."),
    secret(row("DOWNSPOUT_API_TOKEN", "", "text", draft::api_token,
        "What /routes and /logs ask for as a bearer token; better from a file, with \
         DOWNSPOUT_API_TOKEN_FILE. Unset, nobody can make or delete routes.")),
    row("ROUTESPATH", "/mnt/routes", "path", draft::routes_path,
        "Folder of the routes that were made over HTTP; where there is none, they end with the agent."),
    row("DEBUG", "", ANY_VALUE, draft::debug,
        "logspout's: shows the agent's log at the level debug, unless DOWNSPOUT_LOG_LEVEL is set."),
    row("DOWNSPOUT_LOG_LEVEL", "info", "error|warn|info|debug|trace", draft::log_level,
        "Level of the agent's own log on standard error."),
    cloudwatch!("region", "REGION", "region or auto", "The AWS region."),
    cloudwatch!("group", "GROUP", "template", "The log group."),
    cloudwatch!("stream", "STREAM", "template", "The log stream."),
    cloudwatch!("endpoint", "ENDPOINT", "URL", "Where the service is."),
    cloudwatch!("create_group", "CREATE_GROUP", "true|false", "Make log groups that are missing."),
    cloudwatch!("create_stream", "CREATE_STREAM", "true|false", "Make log streams that are missing."),
    cloudwatch!("retention_days", "RETENTION_DAYS", "days", "How long groups that are made keep events."),
    cloudwatch!("kms_key", "KMS_KEY", "ARN", "The key of groups that are made."),
    cloudwatch!("tags", "TAGS", "KEY=VALUE,KEY=VALUE", "Tags of groups that are made."),
    cloudwatch!("class", "CLASS", "STANDARD|INFREQUENT_ACCESS|…", "The class of groups that are made."),
    cloudwatch!("flush", "FLUSH", "duration", "How long a batch waits to be filled."),
    cloudwatch!("in_flight", "IN_FLIGHT", "1 to 64", "Calls on their way at most."),
    cloudwatch!("gzip", "GZIP", "true|false", "Compress requests."),
    cloudwatch!("empty_lines", "EMPTY_LINES", "skip|space", "What becomes of lines without text."),
    cloudwatch!("role_arn", "ROLE_ARN", "ARN", "A role to assume."),
    cloudwatch!("external_id", "EXTERNAL_ID", "text", "The external id that the role asks for."),
    cloudwatch!("container_stream_prefix", "CONTAINER_STREAM_PREFIX", "text", "Lets containers choose their streams behind this."),
    row("LOGSPOUT_GROUP", "", "template",
        |draft, text| draft.fall_back("LOGSPOUT_GROUP", "LOGSPOUT_GROUP", text),
        "The same as DOWNSPOUT_CLOUDWATCH_GROUP, under the name that logspout's modules use."),
    row("LOGSPOUT_STREAM", "", "template",
        |draft, text| draft.fall_back("LOGSPOUT_STREAM", "LOGSPOUT_STREAM", text),
        "The same as DOWNSPOUT_CLOUDWATCH_STREAM, under the name that logspout's modules use."),
    logspout!("SYSLOG_FORMAT", "rfc5424|rfc3164",
        "The layout of logspout's syslog. Where this or another SYSLOG_ variable is set, syslog routes \
         without the option format send logspout's bytes."),
    logspout!("SYSLOG_TCP_FRAMING", "traditional|octet-counted",
        "How logspout's syslog is framed over TCP and TLS; by default a line feed ends a message."),
    logspout!("SYSLOG_PRIORITY", "template", "Between < and > in logspout's syslog; by default {{.Priority}}."),
    logspout!("SYSLOG_TIMESTAMP", "template",
        "The time in logspout's syslog; by default {{.Timestamp}}: when the line was printed, RFC 3339 in \
         whole seconds, in the zone of TZ."),
    logspout!("SYSLOG_HOSTNAME", "template",
        "The host in logspout's syslog; by default {{.Container.Config.Hostname}}. What is in \
         /etc/host_hostname, if anything, counts instead."),
    logspout!("SYSLOG_TAG", "template", "The tag in logspout's syslog; by default {{.ContainerName}}."),
    logspout!("SYSLOG_PID", "template", "The process id in logspout's syslog; by default {{.Container.State.Pid}}."),
    logspout!("SYSLOG_STRUCTURED_DATA", "template",
        "Structured data in logspout's rfc5424, without the brackets."),
    logspout!("SYSLOG_DATA", "template", "The text in logspout's syslog; by default {{.Data}}."),
    logspout!("RAW_FORMAT", "template",
        "The bytes of a line on routes to raw, udp, tcp and tls, with the line's end; by default {{.Data}} \
         and a line feed."),
    logspout!("MULTILINE_ENABLE_DEFAULT", "true|false",
        "Whether multiline+ routes join the lines of containers that have no LOGSPOUT_MULTILINE; by \
         default they do."),
    logspout!("MULTILINE_PATTERN", "pattern", r"The pattern of multiline+ routes; by default ^\s."),
    logspout!("MULTILINE_MATCH", "first|last|nonfirst|nonlast",
        "What a line that matches it is in its record; by default nonfirst."),
    logspout!("MULTILINE_FLUSH_AFTER", "milliseconds",
        "A record of a multiline+ route is complete when no line of it came for so long; by default 500."),
    logspout!("MULTILINE_SEPARATOR", "text", "What joins the lines of such a record; by default a line feed."),
    row("LOGSPOUT_TLS_CA_CERTS", "", "path,path…",
        |draft, text| draft.fall_back("tls_ca", "LOGSPOUT_TLS_CA_CERTS", text),
        "PEM files of authorities that TLS routes without tls_ca trust, beside the system's."),
    row("LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS", "", "true",
        |draft, text| draft.fall_back("tls_system_roots", "LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS", text),
        "true trusts only those of LOGSPOUT_TLS_CA_CERTS."),
    row("LOGSPOUT_TLS_CLIENT_CERT", "", "path",
        |draft, text| draft.fall_back("tls_cert", "LOGSPOUT_TLS_CLIENT_CERT", text),
        "The client certificate of TLS routes without tls_cert."),
    row("LOGSPOUT_TLS_CLIENT_KEY", "", "path",
        |draft, text| draft.fall_back("tls_key", "LOGSPOUT_TLS_CLIENT_KEY", text),
        "Its private key."),
    logspout!("LOGSPOUT_TLS_HARDENING", "any value", "Changes nothing: only TLS 1.2 and 1.3 with forward secrecy are spoken."),
    logspout!("EXCLUDE_LABELS", "LABEL[:VALUE];LABEL[:VALUE]…",
        "Containers with any of these labels are not shipped; without a value, true is meant. The label \
         logspout.exclude=true and the container's variable LOGSPOUT=ignore always mean that."),
    logspout!("EXCLUDE_LABEL", "LABEL[:VALUE]", "The same, where EXCLUDE_LABELS is not set."),
    logspout!("ALLOW_TTY", "true|false",
        "true ships containers with a terminal with the carriage returns at their lines' ends, as logspout \
         does; false does not ship them. Unset, DOWNSPOUT_TTY decides."),
    logspout!("TAIL", "all or a number",
        "How many of its last records are shipped of a log of which the backlog is, at the first start."),
    logspout!("HTTP_BIND_ADDRESS", "IP address",
        "Where pages are served unless DOWNSPOUT_HTTP says it, with PORT or HTTP_PORT; 0.0.0.0 where \
         only a port is set."),
    logspout!("PORT", "port", "The port that goes with HTTP_BIND_ADDRESS; 80 where only that is set."),
    logspout!("HTTP_PORT", "port", "The same, where PORT is not set."),
    logspout!("RETRY_COUNT", "number", "Changes nothing: destinations are tried for ever."),
    logspout!("TZ", "zone",
        "The zone of {{.Timestamp}} and {{.Time}} in templates, such as America/New_York, with the host's \
         /usr/share/zoneinfo mounted; else that of /etc/localtime, else UTC."),
    row("NO_COLOR", "", ANY_VALUE, draft::no_color,
        "Print without colours, on a terminal too."),
    read_by_a_library("NOTIFY_SOCKET", "path",
        "Set by systemd for services of Type=notify, with WATCHDOG_USEC for its watchdog: where the \
         agent says that it has started, goes on and stops. No flag, no file variable."),
    read_by_a_library("SSL_CERT_FILE", "path",
        "Certificates of the authorities that TLS trusts, in one PEM file. No flag, no file variable."),
    read_by_a_library("SSL_CERT_DIR", "path",
        "Folders of such certificates, with ':' between them. No flag, no file variable."),
    read_by_a_library("HTTPS_PROXY", "URL",
        "The proxy to AWS's endpoints, with HTTP_PROXY, ALL_PROXY and NO_PROXY as in other tools; the \
         metadata service is never asked through it. No flag, no file variable."),
    read_by_a_library("AWS_*", "text",
        "Credentials, region, profiles and endpoints for cloudwatch, as in every AWS tool: \
         AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_PROFILE, \
         AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, \
         AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_CREDENTIALS_FULL_URI, \
         AWS_EC2_METADATA_DISABLED, AWS_ENDPOINT_URL, AWS_USE_FIPS_ENDPOINT and others. No flag, no \
         file variable."),
];
