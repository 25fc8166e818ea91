//! The table of the options that choose an encoding: what help and the reference show.

use crate::options::OptionSpec;

/// Rows of the options that `plan` takes.
pub const OPTIONS: &[OptionSpec] = &[
    FORMAT,
    RAW_FORMAT,
    APPEND_TAG,
    STRUCTURED_DATA,
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

/// Rows of the options that name a container, where names go into the lines: a store keeps them beside.
pub const NAME_OPTIONS: &[OptionSpec] = &[TAG, HOSTNAME];

pub(super) const FORMAT: OptionSpec = OptionSpec {
    name: "format",
    default: "rfc5424",
    unit: "rfc5424|rfc3164|logspout|raw|json|console",
    help: "How a line is written; standard output, the only place for console, defaults to it. \
           logspout writes what logspout does, by its SYSLOG_ variables, and is the default of syslog \
           routes where one of these is set.",
};
pub(super) const TAG: OptionSpec = OptionSpec {
    name: "tag",
    default: "{{.Name}}",
    unit: "template",
    help: "The APP-NAME of rfc5424, the TAG of rfc3164, a field tag of json: a template over the \
           container, such as {{.ImageName}}/{{.Name}}/{{.ID}}.",
};
pub(super) const HOSTNAME: OptionSpec = OptionSpec {
    name: "hostname",
    default: "{{.Hostname}}",
    unit: "template",
    help: "The HOSTNAME of rfc5424 and rfc3164, the host of json: a template over the container.",
};
pub(super) const RAW_FORMAT: OptionSpec = OptionSpec {
    name: "raw_format",
    default: "",
    unit: "template",
    help: "What raw makes of a line: a template over the container and the line, such as \
           {{json .Data}}. On logspout's raw schemes it stands for the variable RAW_FORMAT, and its line \
           feed is the only one.",
};
pub(super) const APPEND_TAG: OptionSpec = OptionSpec {
    name: "append_tag",
    default: "",
    unit: "template",
    help: "logspout's: what its syslog puts behind the container's name in the tag, unless SYSLOG_TAG is \
           set. Asks for format=logspout.",
};
pub(super) const STRUCTURED_DATA: OptionSpec = OptionSpec {
    name: "structured_data",
    default: "",
    unit: "template",
    help: "logspout's: the structured data of its rfc5424, without the brackets, instead of \
           SYSLOG_STRUCTURED_DATA. Asks for format=logspout.",
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
