//! Paths that swallow packets without a word, and names that move. The ids are those of the
//! fault matrix.

use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::agent::Launch;
use crate::support::numbers::Expected;
use crate::support::receiver::{Close, TcpReceiver};

/// The destination's window in bytes: what may be repeated after a break.
const WINDOW_BYTES: u64 = 256 * 1024;

/// After an abnormal end, what was acknowledged within the last second counts as perhaps unread.
const IDLE: Duration = Duration::from_millis(1200);

fn quick(launch: Launch, route: &str) -> Launch {
    // At the end of the input the agent drains, which must not end before the path is well.
    let launch = launch.env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "60s");
    launch.env("DOWNSPOUT_BACKOFF_MAX", "200ms").arg(route)
}

#[test]
fn f07_a_black_hole_under_load_is_noticed_and_once_healed_nothing_is_lost() {
    let receiver = TcpReceiver::start();
    let expected = Expected::of_containers("web", 20, 500, 200);
    let route = format!("{}?user_timeout=3s&connect_timeout=1s", receiver.route());
    let mut agent = quick(Launch::fed(), &route).ready();
    let feeder = agent.feed_slowly(expected.replay());
    receiver.inbox.wait("a load", SOON, |frames| {
        crate::support::check(frames.len() > 5000, || format!("{} frames", frames.len()))
    });
    let dropping = Instant::now();
    receiver.swallow_everything();
    agent.wait_for("the black hole is noticed", SOON, |metrics| {
        metrics.of("destination_up", &receiver.route()) == 0
    });
    let noticed = dropping.elapsed();
    let faults = agent.metrics().of("faults_total", &receiver.route());
    agent.wait_for("attempts are swallowed as well", SOON, |metrics| {
        metrics.of("faults_total", &receiver.route()) >= faults + 2
    });
    assert_eq!(receiver.connections(), 1);
    receiver.heal();
    feeder.join().unwrap();
    receiver.inbox.wait_complete(&expected, SOON);
    assert_eq!(agent.finish(SOON).code, Some(0));
    let frame_bytes = receiver.inbox.with(|frames| frames[0].bytes.len() as u64);
    let tally = receiver.inbox.tally(&expected);
    tally.assert_at_most_repeated(WINDOW_BYTES / frame_bytes);
    receiver.inbox.assert_nothing_garbled();
    assert!(noticed < Duration::from_secs(8), "{noticed:?} with user_timeout=3s");
}

#[test]
fn f07_a_black_hole_is_noticed_by_a_link_that_is_idle() {
    let receiver = TcpReceiver::start();
    let agent = quick(Launch::fed(), &receiver.route()).ready();
    // The agent is ready once the kernel has its connection, which may be before the receiver does.
    receiver.wait_connections(1, SOON);
    let dropping = Instant::now();
    receiver.swallow_connections();
    receiver.wait_connections(2, SOON);
    // The kernel asks after 15 s and gives up at its next turn, 5 s later; one more would be 25.
    let noticed = dropping.elapsed();
    assert!(noticed < Duration::from_secs(25), "{noticed:?}");
    assert_eq!(agent.metrics().of("faults_total", &receiver.route()), 1);
}

#[test]
fn f13_the_first_line_after_a_flow_was_dropped_in_silence_arrives() {
    let receiver = TcpReceiver::start();
    let route = format!("{}?user_timeout=2s", receiver.route());
    let mut agent = quick(Launch::fed(), &route).ready();
    let mut expected = Expected::new(60);
    for number in 1..=3 {
        agent.ship_line(number, &mut expected, &receiver.inbox);
        agent.assert_balance(&receiver.route());
        std::thread::sleep(IDLE);
        // What a load balancer does that forgets idle flows: new ones pass.
        receiver.swallow_connections();
    }
    assert_eq!(receiver.connections(), 3, "each of them was found dead by a line");
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    receiver.inbox.tally(&expected).assert_complete();
}

#[test]
fn f11_a_name_that_moves_is_followed_at_the_next_attempt() {
    let first = TcpReceiver::start();
    let second = TcpReceiver::beside(&first, [127, 0, 0, 2]);
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let point_to = |address: &str| {
        std::fs::write(hosts.path(), format!("{address} moving.test\n")).unwrap();
    };
    point_to("127.0.0.1");
    let name = format!("syslog+tcp://moving.test:{}", first.address().port());
    let mut agent = quick(Launch::fed_with_hosts(hosts.path()), &name).ready();
    let [before, after] = [("old", 50), ("new", 50)]
        .map(|(prefix, count)| Expected::of_containers(prefix, 4, count, 100));
    agent.feed(&before.replay());
    first.inbox.wait_complete(&before, SOON);
    agent.assert_balance(&name);
    std::thread::sleep(IDLE);
    first.refuse();
    first.close_all(Close::Fin);
    agent.wait_for("the link is down", SOON, |metrics| metrics.of("destination_up", &name) == 0);
    agent.feed(&after.replay());
    agent.wait_for("attempts at the old address", SOON, |metrics| {
        metrics.of("faults_total", &name) >= 3
    });
    let moving = Instant::now();
    point_to("127.0.0.2");
    second.inbox.wait_complete(&after, SOON).assert_complete();
    let took = moving.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?} with pauses of at most 200 ms");
    agent.logged("where it is now", |line| line.contains("up again") && line.contains("127.0.0.2"));
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    first.inbox.tally(&before).assert_complete();
    second.inbox.tally(&after).assert_complete();
}
