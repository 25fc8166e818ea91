//! Podman, through the API that it has for Docker's clients.

use crate::support::agent::Launch;
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::podman::Podman;
use crate::support::receiver::TcpReceiver;
use crate::support::{SOON, check, until};

const WIDTH: usize = 60;
/// Podman's reads end every 8 KiB and cut a line there: so many lines are cut a dozen times.
const BACKLOG: u64 = 2000;
const LIVE: u64 = 100;

/// Prints a line at a time, with a pause: of what is written at once while it is followed, Podman
/// itself passes over some.
fn slowly(numbers: u64) -> String {
    let streams = [(Stream::Out, ""), (Stream::Err, " >&2")];
    let scripts = streams.map(|(stream, place)| {
        let lines = printing(stream, &(1..=numbers), WIDTH).replace(" >&2", "");
        format!("{lines} | while read -r line; do echo \"$line\"{place}; sleep 0.005; done")
    });
    scripts.join("; ")
}

// Oracle: the receiver's count. Stamps have whole seconds, lines come in pieces, and the names of
// drivers and events are Podman's own.
#[test]
fn the_lines_of_podmans_containers_arrive_complete() {
    // For the image.
    let engine = Engine::new("podman");
    let podman = Podman::start();
    let receiver = TcpReceiver::start();
    let mut expected = Expected::new(WIDTH);
    for (name, lines) in [("before", BACKLOG), ("k8s", LIVE), ("json", LIVE)] {
        expected.add(name, Stream::Out, 1..=lines);
        expected.add(name, Stream::Err, 1..=lines);
    }
    // One has printed before the agent is there, and is shipped from its beginning.
    let both = [Stream::Out, Stream::Err].map(|stream| printing(stream, &(1..=BACKLOG), WIDTH));
    podman.container("before", "k8s-file", &format!("{}; sleep 1000", both.join("; ")));
    let last = format!("{BACKLOG:06} e");
    until("it has printed", SOON, || {
        let end = podman.run(&["logs", "--tail", "1", "before"]);
        check(end.starts_with(&last), || end)
    });
    let agent = Launch::new()
        .env("DOCKER_HOST", podman.docker_host())
        .env("DOWNSPOUT_BACKLOG", "true")
        // It also stalls now and then.
        .env("DOWNSPOUT_PROBE_AFTER", "1s")
        .arg(receiver.route())
        .ready();
    podman.container("k8s", "k8s-file", &slowly(LIVE));
    podman.container("json", "json-file", &format!("{}; sleep 1000", slowly(LIVE)));
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    agent.assert_balance(&receiver.route());
    assert_eq!(agent.metrics().value("log_bytes_garbled_total"), 0);
    drop(engine);
}
