//! The table of the options that choose an encoding: what help and the reference show.

use crate::options::OptionSpec;

/// Rows of the options that `plan` takes.
pub const OPTIONS: &[OptionSpec] = &[
    FORMAT,
    FRAMING,
    FACILITY,
    SEVERITY_STDOUT,
    SEVERITY_STDERR,
    SD,
    SD_LABELS,
    SD_ENTERPRISE,
    UTC_OFFSET,
    LABELS,
    MAX_MESSAGE_BYTES,
];

pub(super) const FORMAT: OptionSpec = OptionSpec {
    name: "format",
    default: "rfc5424",
    unit: "rfc5424|rfc3164|raw|json|console",
    help: "How a line is written; standard output, the only place for console, defaults to it.",
};
pub(super) const FRAMING: OptionSpec = OptionSpec {
    name: "framing",
    default: "octet-counting",
    unit: "octet-counting|lf",
    help: "How frames are told apart on a byte stream; raw and json default to lf. With lf, line \
           feeds, carriage returns and NULs inside a line become #012, #015 and #000.",
};
pub(super) const FACILITY: OptionSpec = OptionSpec {
    name: "facility",
    default: "user",
    unit: "name or 0 to 23",
    help: "The syslog facility: kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, \
           authpriv, ftp, ntp, audit, alert, clock, local0 to local7.",
};
pub(super) const SEVERITY_STDOUT: OptionSpec = OptionSpec {
    name: "severity_stdout",
    default: "info",
    unit: "name or 0 to 7",
    help: "The syslog severity of standard output: emerg, alert, crit, err, warning, notice, \
           info, debug.",
};
pub(super) const SEVERITY_STDERR: OptionSpec = OptionSpec {
    name: "severity_stderr",
    default: "err",
    unit: "name or 0 to 7",
    help: "The syslog severity of standard error.",
};
pub(super) const SD: OptionSpec = OptionSpec {
    name: "sd",
    default: "none",
    unit: "none|container|meta|container+meta",
    help: "Structured data of rfc5424: the container's id, image and stream, and a sequenceId by \
           which a receiver can see gaps.",
};
pub(super) const SD_LABELS: OptionSpec = OptionSpec {
    name: "sd_labels",
    default: "",
    unit: "names with + between",
    help: "Labels that sd=container carries too; a value is cut to 1 KiB, and labels beyond 8 KiB \
           together are left out.",
};
pub(super) const SD_ENTERPRISE: OptionSpec = OptionSpec {
    name: "sd_enterprise",
    default: "32473",
    unit: "number",
    help: "The private enterprise number in the name of the container element; the default is the \
           one reserved for documentation (RFC 5612).",
};
pub(super) const UTC_OFFSET: OptionSpec = OptionSpec {
    name: "utc_offset",
    default: "+00:00",
    unit: "+hh:mm or -hh:mm",
    help: "The zone of the time in rfc3164, which has local time and does not name its zone.",
};
pub(super) const LABELS: OptionSpec = OptionSpec {
    name: "labels",
    default: "none",
    unit: "all|none",
    help: "Whether json carries the container's labels; a value is cut to 1 KiB, and labels \
           beyond 8 KiB together are left out.",
};
pub(super) const MAX_MESSAGE_BYTES: OptionSpec = OptionSpec {
    name: "max_message_bytes",
    default: "8KiB",
    unit: "bytes, 480 to 65507",
    help: "The largest datagram; what does not fit is cut off at a character and counted. Of RELP \
           the largest message, 128KiB by default and up to 32MiB.",
};
