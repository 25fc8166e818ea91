//! What rsyslog and syslog-ng are told. Never starts them.

use std::path::{Display, Path};

use super::{Order, Shipper};
use crate::wire::{SERVER_NAME, Wire};

/// What rsyslog needs to live through an outage: without it, messages go after the first failure.
const RSYSLOG_QUEUE: &str = "\n  queue.type=\"LinkedList\" queue.size=\"200000\" \
    queue.filename=\"outage\" queue.maxDiskSpace=\"1g\" queue.saveOnShutdown=\"on\"\n  \
    action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\"";
/// The longest message of both: the default of syslog-ng, eight times that of rsyslog.
const MAX_MESSAGE: &str = "64k";
/// Messages: more than rsyslog hands over at once. With the default, 128, it waits in the middle for
/// answers to what the kernel keeps back, which on the loopback costs it nearly all its time.
const RELP_WINDOW: usize = 2_000;
/// Messages: the default queue of a destination of syslog-ng, and the default window of a source.
const SYSLOG_NG_ROOM: usize = 10_000;
const SYSLOG_NG_WINDOW: usize = 100;

impl Shipper {
    /// For an outage, both try again after a second and for ever, and have room for what comes
    /// meanwhile: rsyslog in a queue, syslog-ng in the files, which it stops reading.
    pub(super) fn configuration(self, order: &Order<'_>, folder: &Path) -> String {
        if self == Self::Rsyslog { rsyslog(order, folder) } else { syslog_ng(order) }
    }
}

fn rsyslog(order: &Order<'_>, folder: &Path) -> String {
    let Order { to, .. } = order;
    let inputs = each(order, &|log| {
        format!("input(type=\"imfile\" File=\"{log}\" Tag=\"bench:\" Severity=\"info\")\n")
    });
    let port = to.port;
    let queue = if order.outage { RSYSLOG_QUEUE } else { "" };
    let forward = format!(
        "action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\"\n  \
         TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\"{queue}"
    );
    let (library, action) = match to.wire {
        // OpenSSL and not GnuTLS, with which it takes a third more CPU and twice the memory.
        Wire::Tls => (
            format!(
                " defaultNetstreamDriver=\"ossl\" defaultNetstreamDriverCAFile=\"{}\"",
                to.authority().display()
            ),
            format!(
                "{forward}\n  StreamDriver=\"ossl\" StreamDriverMode=\"1\" \
                 StreamDriverAuthMode=\"x509/name\" StreamDriverPermittedPeers=\"{SERVER_NAME}\")"
            ),
        ),
        Wire::Relp => (
            String::new(),
            format!(
                "module(load=\"omrelp\")\n\
                 action(type=\"omrelp\" target=\"127.0.0.1\" port=\"{port}\"\n  \
                 windowSize=\"{RELP_WINDOW}\" \
                 template=\"RSYSLOG_SyslogProtocol23Format\"{queue})"
            ),
        ),
        Wire::Tcp | Wire::UnixStream | Wire::CloudWatch { .. } => {
            (String::new(), format!("{forward})"))
        }
    };
    let folder = folder.display();
    format!(
        "global(workDirectory=\"{folder}\" maxMessageSize=\"{MAX_MESSAGE}\"{library})\n\
         module(load=\"imfile\")\n{inputs}{action}\n"
    )
}

fn syslog_ng(order: &Order<'_>) -> String {
    let Order { to, logs, .. } = order;
    let sources = each(order, &|log| format!("  file(\"{log}\" flags(no-parse));\n"));
    // It wants room for what each source may have under way.
    let room = SYSLOG_NG_ROOM.max(SYSLOG_NG_WINDOW * logs.len());
    let (port, reopen) = (to.port, if order.outage { " time-reopen(1)" } else { "" });
    let network = |transport: &str| {
        format!("network(\"{SERVER_NAME}\" ip-protocol(4) port({port}) transport({transport})")
    };
    let peer = match to.wire {
        Wire::Tls => format!(
            "{} tls(ca-file(\"{}\") peer-verify(required-trusted))",
            network("\"tls\""),
            to.authority().display()
        ),
        Wire::UnixStream => format!("unix-stream(\"{}\"", to.socket().display()),
        Wire::Tcp | Wire::Relp | Wire::CloudWatch { .. } => network("\"tcp\""),
    };
    format!(
        "@version: current\n\
         source bench {{\n{sources}}};\n\
         destination sink {{\n  {peer} flags(syslog-protocol)\n  \
         log-fifo-size({room}){reopen});\n}};\n\
         log {{ source(bench); destination(sink); flags(flow-control); }};\n"
    )
}

/// An input for each log.
fn each(order: &Order<'_>, input: &dyn Fn(Display<'_>) -> String) -> String {
    order.logs.iter().map(|log| input(log.display())).collect()
}
