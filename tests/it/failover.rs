//! Lists of addresses: the first that answers gets the lines, and the preferred one again once it
//! is well. What all receivers saw together is the oracle.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::agent::{Agent, Launch};
use crate::support::certificates::Authority;
use crate::support::numbers::{Expected, Stream, Tally, text};
use crate::support::receiver::{Close, Frame, TcpReceiver};
use crate::support::tls_server::TlsServer;
use crate::support::{SOON, check};

/// The destination's window in bytes: what may be repeated after a break.
const WINDOW_BYTES: u64 = 256 * 1024;

/// Two receivers behind one route, in the order of preference.
struct Pair {
    first: TcpReceiver,
    second: TcpReceiver,
}

impl Pair {
    fn start() -> Self {
        Self { first: TcpReceiver::start(), second: TcpReceiver::start() }
    }

    /// The route without options, which is also its name in the metrics.
    fn route(&self) -> String {
        format!("{}|{}", self.first.route(), self.second.address())
    }

    fn launch(&self, options: &str) -> Launch {
        let launch = Launch::fed().env("DOWNSPOUT_BACKOFF_MAX", "200ms");
        // At the end of the input the agent drains, which must not end before the switch.
        let launch = launch.env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "60s");
        launch.arg(format!("{}?{options}", self.route()))
    }

    /// What both have, in the order of arrival.
    fn tally(&self, expected: &Expected) -> Tally {
        let [mut all, second] = [&self.first, &self.second]
            .map(|receiver| receiver.inbox.with(|frames: &[Frame]| frames.to_vec()));
        all.extend(second);
        all.sort_by_key(|frame| frame.arrived);
        expected.tally(&all)
    }

    #[track_caller]
    fn wait_complete(&self, expected: &Expected) -> Tally {
        crate::support::until("every numbered line arrives somewhere", SOON, || {
            let tally = self.tally(expected);
            tally.complete().map(|()| tally)
        })
    }

    #[track_caller]
    fn assert_nothing_garbled(&self) {
        self.first.inbox.assert_nothing_garbled();
        self.second.inbox.assert_nothing_garbled();
    }

    fn switches(&self, agent: &Agent) -> u64 {
        agent.metrics().of("destination_switches_total", &self.route())
    }
}

#[track_caller]
fn wait_frames(receiver: &TcpReceiver, count: usize) {
    receiver.inbox.wait("a load", SOON, |frames| {
        check(frames.len() >= count, || format!("{} of {count} frames", frames.len()))
    });
}

/// How many frames of a receiver the window holds.
fn window_frames(receiver: &TcpReceiver) -> u64 {
    WINDOW_BYTES / receiver.inbox.with(|frames| frames[0].bytes.len() as u64)
}

#[test]
fn f08_a_first_address_that_refuses_is_passed_over() {
    let pair = Pair::start();
    let expected = Expected::of_containers("web", 4, 100, 100);
    let mut agent = pair.launch("").ready();
    assert_eq!(pair.switches(&agent), 0, "the series is there from the start");
    drop(agent);
    pair.first.refuse();
    agent = pair.launch("").ready();
    agent.feed(&expected.replay());
    pair.second.inbox.wait_complete(&expected, SOON).assert_complete();
    let metrics = agent.metrics();
    assert_eq!(metrics.of("connections_total", &pair.route()), 1);
    assert_eq!(metrics.of("faults_total", &pair.route()), 0);
    assert_eq!(pair.switches(&agent), 1);
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
}

#[test]
fn f08_when_the_first_is_killed_in_the_stream_the_second_gets_the_rest() {
    let pair = Pair::start();
    let expected = Expected::of_containers("web", 20, 500, 200);
    let mut agent = pair.launch("").ready();
    let feeder = agent.feed_slowly(expected.replay());
    wait_frames(&pair.first, 5000);
    let killed = Instant::now();
    pair.first.refuse();
    pair.first.close_all(Close::Reset);
    wait_frames(&pair.second, 1);
    let switched = killed.elapsed();
    let says = |line: &str| {
        line.contains("at another address") && line.contains(&pair.second.address().to_string())
    };
    agent.logged("the switch", says);
    feeder.join().unwrap();
    pair.wait_complete(&expected);
    let ended = agent.finish(SOON);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().filter(|line| says(line)).count(), 1, "{}", ended.stderr);
    pair.tally(&expected).assert_at_most_repeated(window_frames(&pair.first));
    pair.assert_nothing_garbled();
    assert!(switched < Duration::from_secs(2), "{switched:?}");
}

#[test]
fn f08_a_first_address_that_is_a_black_hole_for_good_is_left() {
    let pair = Pair::start();
    let expected = Expected::of_containers("web", 20, 500, 200);
    let mut agent = pair.launch("").ready();
    let feeder = agent.feed_slowly(expected.replay());
    wait_frames(&pair.first, 5000);
    let dropping = Instant::now();
    pair.first.swallow_everything();
    wait_frames(&pair.second, 1);
    let switched = dropping.elapsed();
    feeder.join().unwrap();
    pair.wait_complete(&expected);
    assert_eq!(agent.finish(SOON).code, Some(0));
    pair.tally(&expected).assert_at_most_repeated(window_frames(&pair.first));
    pair.assert_nothing_garbled();
    assert!(switched < Duration::from_secs(25), "{switched:?}");
}

#[test]
fn f08_once_the_first_is_back_it_gets_the_lines_again_and_nothing_twice() {
    let pair = Pair::start();
    pair.first.refuse();
    let mut agent = pair.launch("failback=1s").ready();
    let expected = Expected::of_containers("web", 20, 1500, 200);
    let feeder = agent.feed_slowly(expected.replay());
    wait_frames(&pair.second, 1000);
    pair.first.accept_again();
    // Under a load that never pauses; it goes on long after the switch.
    feeder.join().unwrap();
    pair.wait_complete(&expected).assert_complete();
    pair.assert_nothing_garbled();
    let first = pair.first.inbox.count();
    assert!(first > 1000, "{first} lines went to the first");
    assert!(
        pair.first.inbox.with(|frames| frames.last().unwrap().arrived)
            >= pair.second.inbox.with(|frames| frames.last().unwrap().arrived)
    );
    let ended = agent.finish(SOON);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("going back to"), "{}", ended.stderr);
    // Two probes and one link: it went back once and stayed.
    assert_eq!((pair.first.connections(), pair.second.connections()), (3, 1));
}

#[test]
fn f08_it_goes_to_and_fro_as_often_as_the_first_does() {
    let pair = Pair::start();
    let mut agent = pair.launch("failback=1s").ready();
    let mut expected = Expected::new(60);
    let mut number = 0;
    let mut line = |agent: &mut Agent, receiver: &TcpReceiver| {
        number += 1;
        agent.feed(&format!("web-1 stdout {}\n", text(Stream::Out, number, 60)));
        expected.add("web-1", Stream::Out, number..=number);
        receiver.inbox.wait_complete(&expected, SOON);
        agent.assert_balance(&pair.route());
        expected.add("web-1", Stream::Out, 1..=number);
    };
    for round in 1..=2 {
        line(&mut agent, &pair.first);
        pair.first.refuse();
        pair.first.close_all(Close::Fin);
        agent.wait_for("the second", SOON, |metrics| {
            metrics.of("destination_switches_total", &pair.route()) == 2 * round - 1
        });
        line(&mut agent, &pair.second);
        pair.first.accept_again();
        agent.wait_for("the first again", SOON, |metrics| {
            metrics.of("destination_switches_total", &pair.route()) == 2 * round
        });
    }
    line(&mut agent, &pair.first);
    let metrics = agent.metrics();
    assert_eq!(metrics.of("connections_total", &pair.route()), 5, "probes are no links");
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    pair.tally(&expected).assert_complete();
}

#[test]
fn f08_a_first_address_that_never_ends_its_handshake_is_left() {
    // The kernel accepts, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = Authority::new("own");
    let server = TlsServer::start(&authority.issue("logs.test"), &[]);
    let expected = Expected::of_containers("web", 4, 100, 100);
    let file = expected.replay_file();
    let sound = server.route("").replace("syslog+tls://", "").replace('?', "");
    let ca = authority.certificate();
    let route = format!(
        "syslog+tls://{}?failover={sound}&tls_server_name=logs.test&tls_ca={}",
        silent.local_addr().unwrap(),
        ca.display()
    );
    let checked = Launch::fed().arg("--check").arg(&route).finish();
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    assert!(checked.stdout.contains(&format!("connected to {sound}")), "{}", checked.stdout);
    let ended = Launch::replaying(file.path()).arg(&route).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    server.wait_complete(&expected).assert_complete();
    assert!(ended.took < Duration::from_secs(8), "{:?}", ended.took);
}

#[test]
fn f08_when_all_are_down_the_log_names_each_with_its_reason() {
    let pair = Pair::start();
    pair.first.refuse();
    pair.second.refuse();
    let expected = Expected::of_containers("web", 2, 20, 100);
    let mut agent = pair.launch("").start();
    agent.feed(&expected.replay());
    let line = agent.logged("it is down", |line| line.contains("destination is down"));
    for receiver in [&pair.first, &pair.second] {
        assert!(line.contains(&format!("cannot connect to {}", receiver.address())), "{line}");
    }
    pair.second.accept_again();
    pair.second.inbox.wait_complete(&expected, SOON).assert_complete();
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
}
