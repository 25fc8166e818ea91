//! What changes without any setting when the image is changed. Never looks at more than which
//! settings there are.

use super::table::Given;
use crate::config::arguments::Arguments;

/// Variables that say where pages are served.
pub(super) const PORTS: [&str; 3] = ["PORT", "HTTP_PORT", "HTTP_BIND_ADDRESS"];

const ALWAYS: [&str; 11] = [
    "Positions are kept in /var/lib/downspout: mount a volume there. A restart goes on where the last run \
     has ended, and repeats or leaves out nothing.",
    "Logs of the json-file driver are read from their files if /var/lib/docker/containers is mounted \
     read-only; else Docker is asked, which costs it twenty times as much.",
    "More is shipped: logs of the driver local and of others that Docker can read, and the last line \
     without a line feed.",
    "Containers whose log driver ships by itself are left to it: DOWNSPOUT_SHIPPED_DRIVERS=follow ships \
     them all the same.",
    "Our own container is never shipped. logspout ships its own, unless it has LOGSPOUT=ignore.",
    "A destination that is away, refuses or hangs ends nothing and holds up no other; it is tried for \
     ever. The exit code is 0 after a signal, and 2 for settings that can never work.",
    "All problems of the settings are named at once before the start. An option of a route that nobody \
     knows ends the start; logspout passes over it.",
    "/logs and the list of routes are off unless DOWNSPOUT_LIVE_TAILS=true. Routes are made over HTTP only \
     with the token of DOWNSPOUT_API_TOKEN.",
    "/health tells the true state: 503 with the reasons where logspout says Healthy!. /metrics is new.",
    "Lines are cut into parts of DOWNSPOUT_MAX_LINE_BYTES, 1MiB by default.",
    "Containers may choose settings by labels, such as downspout.tag and downspout.multiline, and never \
     where their lines go. DOWNSPOUT_LABELS=none forbids it.",
];

/// In whole sentences, the most visible first.
pub(super) fn of(given: &Given, arguments: &Arguments) -> Vec<String> {
    let mut changes = Vec::new();
    if !PORTS.iter().any(|name| given.contains_key(name)) {
        changes.push(
            "HTTP is served on port 9514, where logspout has 80. HTTP_PORT=80 or \
             DOWNSPOUT_HTTP=0.0.0.0:80 keeps it."
                .to_owned(),
        );
    }
    if !given.contains_key("ALLOW_TTY") {
        changes.push(
            "Containers with a terminal are shipped, without the carriage returns at their lines' ends. \
             ALLOW_TTY=false leaves them out, as logspout does."
                .to_owned(),
        );
    }
    if arguments.routes.len() > 1 {
        changes.push(
            "All arguments are routes. logspout takes the first and passes over the others."
                .to_owned(),
        );
    }
    changes.extend(ALWAYS.map(str::to_owned));
    changes
}
