//! Variables of logspout's that nothing here reads: who only changed the image has them still, and
//! should hear what they do not do.

use super::env::Env;

/// What logspout reads and we do not, and what holds instead.
const UNREAD: [(&str, &str); 21] = [
    ("ALLOW_TTY", "containers with a terminal are always shipped"),
    ("EXCLUDE_LABEL", "no container is excluded by a label: all of them are shipped"),
    ("EXCLUDE_LABELS", "no container is excluded by a label: all of them are shipped"),
    ("HTTP_BIND_ADDRESS", "DOWNSPOUT_HTTP says where pages are served"),
    ("INACTIVITY_TIMEOUT", "DOWNSPOUT_PROBE_AFTER says when a silent stream is checked"),
    ("LOGSPOUT_TLS_CA_CERTS", "tls_ca= on a route says whom it trusts"),
    ("LOGSPOUT_TLS_CLIENT_CERT", "tls_cert= and tls_key= on a route give a client certificate"),
    ("LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS", "tls_ca= on a route is trusted alone"),
    ("MULTILINE_ENABLE_DEFAULT", "multiline_pattern= on a route joins lines"),
    ("MULTILINE_FLUSH_AFTER", "multiline_flush= on a route says how long a record stays open"),
    ("MULTILINE_MATCH", "multiline_pattern= on a route matches the first line of a record"),
    ("MULTILINE_PATTERN", "multiline_pattern= on a route matches the first line of a record"),
    ("RAW_FORMAT", "format=raw or format=json on a route chooses what is sent"),
    ("RETRY_COUNT", "destinations are tried for ever"),
    ("SYSLOG_FORMAT", "format=rfc5424 or format=rfc3164 on a route chooses the format"),
    ("SYSLOG_HOSTNAME", "DOWNSPOUT_HOSTNAME is the host name in the lines"),
    ("SYSLOG_STRUCTURED_DATA", "options of the route say what stands beside the text"),
    ("SYSLOG_TAG", "options of the route choose the APP-NAME"),
    ("SYSLOG_TCP_FRAMING", "framing=lf or framing=octet-counting on a route chooses it"),
    ("SYSLOG_TIMESTAMP", "lines carry Docker's stamps, in microseconds"),
    ("TAIL", "DOWNSPOUT_BACKLOG and the kept positions say where a log begins"),
];

/// A sentence for each of them that is set.
pub(super) fn unread(env: &dyn Env) -> Vec<String> {
    let set = |name: &&(&str, &str)| env.get(name.0).is_some_and(|value| !value.is_empty());
    let sentence = |(name, instead): &(&str, &str)| {
        format!("{name} is logspout's and is not read; {instead}; unset it to be rid of this line")
    };
    UNREAD.iter().filter(set).map(sentence).collect()
}
