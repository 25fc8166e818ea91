//! Podman, through the API that it has for Docker's clients.

use crate::support::agent::Launch;
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::podman::Podman;
use crate::support::receiver::TcpReceiver;
use crate::support::{SOON, check, until};

const WIDTH: usize = 60;
/// Podman's reads end every 8 KiB and cut a line there: so many lines are cut a dozen times.
const LINES: u64 = 2000;

// Oracle: the receiver's count. Stamps have whole seconds, lines come in pieces, and the names of
// drivers and events are Podman's own.
#[test]
fn the_lines_of_podmans_containers_arrive_complete() {
    // For the image.
    let engine = Engine::new("podman");
    let podman = Podman::start();
    let receiver = TcpReceiver::start();
    let mut expected = Expected::new(WIDTH);
    for name in ["before", "k8s", "json"] {
        expected.add(name, Stream::Out, 1..=LINES);
        expected.add(name, Stream::Err, 1..=LINES);
    }
    let both = [Stream::Out, Stream::Err].map(|stream| printing(stream, &(1..=LINES), WIDTH));
    let (script, lasting) = (both.join("; "), format!("{}; sleep 1000", both.join("; ")));
    // One has printed before the agent is there, and is shipped from its beginning.
    podman.container("before", "k8s-file", &lasting);
    let last = format!("{LINES:06} e");
    until("it has printed", SOON, || {
        let end = podman.run(&["logs", "--tail", "1", "before"]);
        check(end.starts_with(&last), || end)
    });
    let agent = Launch::new()
        .env("DOCKER_HOST", podman.docker_host())
        .env("DOWNSPOUT_BACKLOG", "true")
        // Podman's streams stall now and then.
        .env("DOWNSPOUT_PROBE_AFTER", "1s")
        .arg(receiver.route())
        .ready();
    // Podman skips lines now and then where it begins to follow a log while that is written, and its
    // stamps do not tell: these print once their streams are open.
    let opened = agent.metrics().value("log_streams_opened_total");
    for (name, driver, prints) in [("k8s", "k8s-file", &script), ("json", "json-file", &lasting)] {
        let waits = "trap go=1 USR1; until [ \"$go\" ]; do sleep 0.1; done";
        podman.container(name, driver, &format!("{waits}; {prints}"));
    }
    agent.wait_for("their streams are open", SOON, |metrics| {
        metrics.value("log_streams_opened_total") >= opened + 2
    });
    for name in ["k8s", "json"] {
        podman.run(&["kill", "--signal", "USR1", name]);
    }
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    agent.assert_balance(&receiver.route());
    assert_eq!(agent.metrics().value("log_bytes_garbled_total"), 0);
    drop(engine);
}
