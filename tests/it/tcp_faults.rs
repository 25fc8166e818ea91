//! Receivers that break the connection. The ids are those of the fault matrix.

use std::time::{Duration, Instant};

use crate::support::agent::{Agent, Launch};
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, Tally, printing};
use crate::support::receiver::{After, Close, Conduct, Framing, TcpReceiver};
use crate::support::{SOON, check, until};

/// The destination's window in bytes: what may be repeated after a break.
const WINDOW_BYTES: u64 = 256 * 1024;

/// Short delays between attempts, so that a test with many breaks is quick.
const QUICK: &str = "200ms";

/// After a reset, what was acknowledged within the last second counts as perhaps unread.
const IDLE: Duration = Duration::from_millis(1200);

fn quick(launch: Launch, receiver: &TcpReceiver) -> Launch {
    launch.env("DOWNSPOUT_BACKOFF_MAX", QUICK).arg(receiver.route())
}

// A live load of 20 containers with one break in the middle; returns when the link was back.
fn breaks_once(conduct: Conduct) {
    let receiver = TcpReceiver::scripted(Framing::OctetCounting, [conduct]);
    let expected = Expected::of_containers("web", 20, 500, 200);
    let mut agent = quick(Launch::fed(), &receiver).ready();
    let feeder = agent.feed_slowly(expected.replay());
    receiver.wait_connections(1, SOON);
    until("the break", SOON, || receiver.ended(0).ok_or_else(|| "not yet".to_owned()));
    let broken = Instant::now();
    receiver.wait_connections(2, SOON);
    let away = broken.elapsed();
    feeder.join().unwrap();
    receiver.inbox.wait_complete(&expected, SOON);
    assert_eq!(agent.finish(SOON).code, Some(0));
    let frame_bytes = receiver.inbox.with(|frames| frames[0].bytes.len() as u64);
    let tally = receiver.inbox.tally(&expected);
    tally.assert_at_most_repeated(WINDOW_BYTES / frame_bytes);
    receiver.inbox.assert_nothing_garbled();
    let connections = receiver.inbox.with(|frames| frames.last().map(|last| last.connection));
    assert_eq!(connections, Some(1), "one break makes one more connection");
    assert!(away < Duration::from_secs(1), "it took {away:?} to connect again");
}

/// Bytes of a line of the stalls.
const WIDTH: usize = 130;

/// A receiver that took 20,000 lines and then stalled, with `unread` more or above in its kernel.
struct Stalled {
    agent: Agent,
    receiver: TcpReceiver,
    expected: Expected,
    _engine: Engine,
}

impl Stalled {
    // A receive buffer grows while its process reads fast, which is for the kernel to decide: so
    // this takes some attempts at times.
    fn new(name: &str, options: &str, unread: u64) -> Self {
        let scene = (0..8).find_map(|_| Self::attempt(name, options, unread));
        scene.expect("the kernel takes more than is kept for a usual break")
    }

    fn attempt(name: &str, options: &str, unread: u64) -> Option<Self> {
        let conduct = Conduct::StallAfter(After::Frames(20_000));
        let receiver = TcpReceiver::scripted(Framing::OctetCounting, [conduct]);
        let engine = Engine::alone(name);
        let launch = Launch::new().env("DOWNSPOUT_BACKOFF_MAX", QUICK);
        let agent = launch.arg(format!("{}{options}", receiver.route())).ready();
        let mut expected = Expected::new(WIDTH);
        for name in ["a", "b", "c", "d"] {
            // All of it is below the 8 MiB that are replayed by default, so that no doubt is too
            // large, however much a kernel takes.
            let script = format!("{}; exec sleep 1000", printing(Stream::Out, &(1..=8_000), WIDTH));
            let start = engine.container(name).option("--log-opt=max-size=100m");
            expected.add(&start.run(&script), Stream::Out, 1..=8_000);
        }
        let series = receiver.route();
        let (mut delivered, mut moved) = (0, Instant::now());
        while moved.elapsed() < Duration::from_secs(5) {
            let read = receiver.inbox.count() as u64;
            let now = agent.metrics().of("lines_delivered_total", &series);
            if read >= 20_000 && now > read + unread {
                return Some(Self { agent, receiver, expected, _engine: engine });
            }
            if now != delivered {
                (delivered, moved) = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

// Stalls, then resets. Returns the count, and how much of the doubt could not be lifted.
fn stalls_then_resets(name: &str, options: &str, unread: u64) -> (Tally, u64) {
    let scene = Stalled::new(name, options, unread);
    let Stalled { agent, receiver, expected, .. } = &scene;
    let series = receiver.route();
    receiver.close_all(Close::Reset);
    until("no more is missing than the agent says", 2 * SOON, || {
        let allowed = agent.metrics().of("bytes_doubtful_total", &series) / WIDTH as u64;
        let tally = receiver.inbox.tally(expected);
        check(tally.lost.len() as u64 <= allowed, || format!("{allowed} allowed: {tally}"))
    });
    agent.assert_balance(&series);
    assert!(agent.peak_resident_bytes() <= 64 << 20, "{}", agent.peak_resident_bytes());
    let doubtful = agent.metrics().of("bytes_doubtful_total", &series);
    let rewound = agent.metrics().value("logs_rewound_total");
    assert_eq!(rewound > 0, options.is_empty(), "{rewound} logs were read again");
    receiver.inbox.assert_nothing_garbled();
    let tally = receiver.inbox.tally(expected);
    assert_eq!(scene.agent.terminate().code, Some(0));
    (tally, doubtful)
}

#[test]
fn f04_a_stall_and_then_a_reset_lose_nothing() {
    let (tally, doubtful) = stalls_then_resets("stall", "", 1_600);
    // Four times what its window has shrunk is in doubt, and the logs are read again from a bit
    // before.
    tally.assert_at_most_repeated((8 << 20) / WIDTH as u64);
    assert_eq!(doubtful, 0);
}

#[test]
fn f04_with_a_smaller_replay_no_more_is_lost_than_it_says() {
    let (tally, doubtful) = stalls_then_resets("capped", "?replay=64KiB", 1_400);
    assert!(!tally.lost.is_empty(), "the test must lose something to show it: {tally}");
    assert!(doubtful > 0 && tally.garbled.is_empty(), "{tally}");
}

#[test]
fn f01_a_reset_in_the_stream_loses_nothing() {
    breaks_once(Conduct::ResetDrained(After::Frames(5000)));
}

#[test]
fn f02_an_orderly_end_in_the_stream_loses_nothing() {
    breaks_once(Conduct::Fin(After::Frames(5000)));
}

#[test]
fn f02_an_orderly_end_is_noticed_without_a_write() {
    let receiver = TcpReceiver::start();
    let agent = quick(Launch::fed(), &receiver).ready();
    // The best of five: the machine may be busy, but an agent that only notices when it writes
    // never does.
    let noticed = (0..5).map(|connection| {
        receiver.wait_connections(connection + 1, SOON);
        let faults = agent.metrics().of("faults_total", &receiver.route());
        let ended = Instant::now();
        receiver.close_all(Close::Fin);
        agent.wait_for("the end is noticed", SOON, |metrics| {
            metrics.of("faults_total", &receiver.route()) > faults
        });
        ended.elapsed()
    });
    let best = noticed.min().unwrap();
    assert!(best < Duration::from_millis(50), "{best:?}");
}

#[test]
fn f03_a_break_while_idle_costs_no_line_and_repeats_none() {
    for close in [Close::Fin, Close::Reset] {
        let receiver = TcpReceiver::start();
        let mut agent = quick(Launch::fed(), &receiver).ready();
        let mut expected = Expected::new(60);
        for number in 1..=5 {
            agent.ship_line(number, &mut expected, &receiver.inbox);
            agent.assert_balance(&receiver.route());
            std::thread::sleep(IDLE);
            let last = receiver.connections() - 1;
            receiver.close_all(close);
            until("the end", SOON, || receiver.ended(last).ok_or_else(|| "not yet".to_owned()));
        }
        agent.end_of_input();
        assert_eq!(agent.finish(SOON).code, Some(0));
        receiver.inbox.tally(&expected).assert_complete();
    }
}

#[test]
fn f11_a_refused_destination_gets_everything_once_it_accepts() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let expected = Expected::of_containers("web", 20, 50, 200);
    let mut agent = quick(Launch::fed(), &receiver).start();
    agent.feed(&expected.replay());
    agent.wait_for("several attempts", SOON, |metrics| {
        metrics.of("faults_total", &receiver.route()) >= 5
    });
    let attempts = agent.metrics().of("faults_total", &receiver.route());
    let complaints = agent.log().lines().filter(|line| line.contains(" WARN ")).count() as u64;
    assert!(complaints < attempts, "a line per attempt:\n{}", agent.log());
    let accepting = Instant::now();
    receiver.accept_again();
    receiver.inbox.wait_complete(&expected, SOON);
    let waited = receiver.inbox.with(|frames| frames[0].arrived).duration_since(accepting);
    assert!(waited < Duration::from_secs(2), "{waited:?} with pauses of at most {QUICK}");
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    receiver.inbox.tally(&expected).assert_complete();
}

#[test]
fn f11_waiting_for_a_destination_costs_no_cpu() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let mut agent =
        Launch::fed().arg(receiver.route()).arg("syslog+tcp://no-such.invalid:514").start();
    agent.feed("web-1 stdout 000001 hello\n");
    agent.wait_for("attempts at both", SOON, |metrics| {
        ["syslog+tcp://no-such.invalid:514", &receiver.route()]
            .iter()
            .all(|destination| metrics.of("faults_total", destination) >= 1)
    });
    let (before, span) = (agent.cpu_time(), Duration::from_secs(4));
    std::thread::sleep(span);
    let used = agent.cpu_time().saturating_sub(before);
    assert!(used <= span / 50, "{used:?} of CPU in {span:?}, in a build without optimisation");
    assert!(agent.is_running());
}

#[test]
fn f12_twenty_resets_leave_nothing_behind() {
    const RESETS: usize = 20;
    let script = [Conduct::ResetDrained(After::Frames(200)); RESETS];
    let receiver = TcpReceiver::scripted(Framing::OctetCounting, script);
    let expected = Expected::of_containers("web", 20, 400, 200);
    let mut agent = quick(Launch::fed(), &receiver).ready();
    receiver.wait_connections(1, SOON);
    let base = (agent.open_descriptors(), agent.metrics().value("tasks"));
    let replay = expected.replay();
    let mut lines = replay.split_inclusive('\n');
    // A reset needs lines to come; the link is back before the next ones are given.
    for reset in 1..=RESETS {
        let burst: String = lines.by_ref().take(300).collect();
        agent.feed(&burst);
        receiver.wait_connections(reset + 1, SOON);
    }
    agent.feed(&lines.collect::<String>());
    receiver.inbox.wait_complete(&expected, SOON);
    agent.assert_balance(&receiver.route());
    until("descriptors and tasks are back to where they were", SOON, || {
        let now = (agent.open_descriptors(), agent.metrics().value("tasks"));
        check(now.0 <= base.0 && now.1 <= base.1, || format!("{base:?} became {now:?}"))
    });
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    let frame_bytes = receiver.inbox.with(|frames| frames[0].bytes.len() as u64);
    let tally = receiver.inbox.tally(&expected);
    tally.assert_at_most_repeated(RESETS as u64 * WINDOW_BYTES / frame_bytes);
    receiver.inbox.assert_nothing_garbled();
}

#[test]
fn f16_a_reset_at_any_byte_garbles_and_loses_nothing() {
    // The first frame with its count is shorter than this.
    let offsets = 0..100;
    let script = offsets.map(|bytes| Conduct::Reset(After::Bytes(bytes)));
    let receiver = TcpReceiver::scripted(Framing::OctetCounting, script);
    let expected = Expected::of_containers("w", 1, 200, 10);
    let file = expected.replay_file();
    let launch = Launch::replaying(file.path())
        .env("DOWNSPOUT_BACKOFF_MAX", "10ms")
        .env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "60s");
    let agent = launch.arg(receiver.route()).start();
    receiver.inbox.wait_complete(&expected, SOON);
    assert_eq!(agent.finish(SOON).code, Some(0));
    receiver.inbox.assert_nothing_garbled();
    let tally = receiver.inbox.tally(&expected);
    let clean = tally.garbled.is_empty() && tally.unexpected == 0 && tally.lost.is_empty();
    assert!(clean, "{tally}");
}
