//! Receivers that take nothing, or next to nothing: memory stays bounded, and nobody else waits.

use std::time::Duration;

use crate::support::SOON;
use crate::support::agent::Launch;
use crate::support::numbers::Expected;
use crate::support::receiver::{Conduct, Framing, TcpReceiver};

const LIMIT_BYTES: u64 = 64 << 20;

// At the end of a replay the agent drains, which must not end before the receiver is well.
fn patient(launch: Launch) -> Launch {
    launch.env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "120s")
}

// One receiver does what `conduct` says, another reads; 100 MB go to both.
fn stays_bounded(conduct: Conduct) {
    let stuck = TcpReceiver::scripted(Framing::OctetCounting, [conduct]);
    let sound = TcpReceiver::start();
    let expected = Expected::of_containers("web", 20, 2500, 1000);
    let file = expected.replay_file();
    let launch = patient(Launch::replaying(file.path())).env("DOWNSPOUT_MEMORY_LIMIT", "64MiB");
    let agent = launch.arg(stuck.route()).arg(sound.route()).start();
    sound.inbox.wait_complete(&expected, 2 * SOON).assert_complete();
    agent.wait_for("stalled", Duration::from_secs(45), |metrics| {
        metrics.of("destination_stalled", &stuck.route()) == 1
    });
    let metrics = agent.metrics();
    assert_eq!(metrics.of("destination_stalled", &sound.route()), 0);
    assert_eq!(metrics.of("lines_dropped_total", &stuck.route()), 0);
    let window = metrics.of("window_bytes", &stuck.route());
    assert!(window > 0, "something is sent and not acknowledged");
    assert_eq!(metrics.of("window_bytes", &sound.route()), 0);
    let peak = agent.peak_resident_bytes();
    assert!(peak <= LIMIT_BYTES, "{peak} bytes resident");
    stuck.behave();
    stuck.inbox.wait_complete(&expected, 2 * SOON);
    assert_eq!(agent.finish(SOON).code, Some(0));
    // A window that stays shut for 20 s counts as a dead link, after which there may be repeats.
    stuck.inbox.tally(&expected).assert_at_most_repeated(u64::MAX);
    stuck.inbox.assert_nothing_garbled();
}

#[test]
fn f09_a_receiver_that_never_reads_costs_no_memory_and_no_neighbour() {
    stays_bounded(Conduct::Stall);
}

#[test]
fn f10_a_receiver_that_reads_a_byte_at_a_time_costs_no_memory_and_no_neighbour() {
    stays_bounded(Conduct::Drip);
}

#[test]
fn a_dead_destination_takes_nothing_from_the_other() {
    let dead = TcpReceiver::start();
    dead.refuse();
    let sound = TcpReceiver::start();
    let expected = Expected::of_containers("web", 20, 500, 200);
    let file = expected.replay_file();
    let launch = patient(Launch::replaying(file.path())).env("DOWNSPOUT_BACKOFF_MAX", "200ms");
    let agent = launch.arg(dead.route()).arg(sound.route()).start();
    sound.inbox.wait_complete(&expected, SOON).assert_complete();
    agent.wait_for("the counts", SOON, |metrics| {
        metrics.of("lines_delivered_total", &sound.route()) == expected.count()
            && metrics.of("lines_in_flight", &sound.route()) == 0
            && metrics.of("lines_delivered_total", &dead.route()) == 0
            && metrics.of("destination_up", &dead.route()) == 0
    });
    dead.accept_again();
    dead.inbox.wait_complete(&expected, SOON);
    assert_eq!(agent.finish(SOON).code, Some(0));
    dead.inbox.tally(&expected).assert_complete();
}
