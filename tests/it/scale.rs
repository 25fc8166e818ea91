//! A thousand containers, on an engine whose logs the test writes: memory stays within its limit,
//! and neither a flood nor an endless line nor a dead destination costs a quiet container a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::support::agent::{Agent, Launch, Strategy};
use crate::support::fake_engine::{Container, FakeEngine, Release, now};
use crate::support::numbers::{Expected, Stream};
use crate::support::receiver::{Frame, TcpReceiver};
use crate::support::{SOON, check, until};

const CONTAINERS: usize = 1000;
const WIDTH: usize = 80;
const MIB: u64 = 1 << 20;
/// What a debug build needs beyond its limit, for its code and for futures that are larger.
const DEBUG_BYTES: u64 = 16 * MIB;
/// Four tests share two cores, and the agent may be a debug build.
const LONG: Duration = Duration::from_mins(2);

/// Quiet containers, an agent with this limit that follows all of them, and a receiver.
struct Fleet {
    agent: Agent,
    receiver: TcpReceiver,
    quiet: Vec<Arc<Container>>,
    engine: FakeEngine,
    strategy: Strategy,
    /// How many lines each of the quiet ones has printed.
    rounds: u64,
}

impl Fleet {
    fn new(strategy: Strategy, quiet: usize, limit: u64) -> Self {
        Self::of(Launch::optimised(), strategy, quiet, limit)
    }

    fn of(launch: Launch, strategy: Strategy, quiet: usize, limit: u64) -> Self {
        let engine = match strategy {
            Strategy::File => FakeEngine::with_files(Release::V24),
            Strategy::Api => FakeEngine::start(Release::V24),
        };
        let receiver = TcpReceiver::start();
        let quiet = (0..quiet).map(|n| engine.container(&format!("quiet-{n}"))).collect();
        let launch = launch
            .env("DOCKER_HOST", engine.docker_host())
            .env("DOWNSPOUT_BACKLOG", "true")
            .env("DOWNSPOUT_MEMORY_LIMIT", limit.to_string());
        let agent = launch.env("DOWNSPOUT_BACKOFF_MAX", "200ms").arg(receiver.route()).ready();
        Self { agent, receiver, quiet, engine, strategy, rounds: 0 }
    }

    /// Waits until every container is followed; says how long that took.
    #[track_caller]
    fn wait_followed(&self) -> Duration {
        let start = Instant::now();
        let streams = || self.quiet.iter().filter(|quiet| quiet.streams().0 > 0).count();
        until("all are followed", LONG, || {
            let followed = match self.strategy {
                Strategy::File => self.agent.metrics().value("log_files_followed"),
                Strategy::Api => streams() as u64,
            };
            check(followed >= self.quiet.len() as u64, || format!("{followed} are"))
        });
        start.elapsed()
    }

    /// Every quiet container prints its next line. Returns when.
    fn round(&mut self) -> Instant {
        let start = Instant::now();
        self.rounds += 1;
        for container in &self.quiet {
            container.print_numbers(Stream::Out, [self.rounds], WIDTH);
        }
        start
    }

    fn expected(&self) -> Expected {
        let mut expected = Expected::new(WIDTH);
        for container in &self.quiet {
            expected.add(&container.name, Stream::Out, 1..=self.rounds);
        }
        expected
    }

    /// `limit` is meant for the agent as it is released.
    #[track_caller]
    fn assert_resident(&self, limit: u64) {
        let limit = if Launch::is_optimised() { limit } else { limit + DEBUG_BYTES };
        let peak = self.agent.peak_resident_bytes();
        eprintln!("{} containers: {} KiB resident at most", self.quiet.len(), peak / 1024);
        assert!(peak <= limit, "{peak} bytes resident");
    }
}

fn a_thousand_idle_containers(strategy: Strategy) {
    let mut fleet = Fleet::new(strategy, CONTAINERS, 64 * MIB);
    let took = fleet.wait_followed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    let opened = match strategy {
        Strategy::File => "log_files_opened_total",
        Strategy::Api => "log_streams_opened_total",
    };
    assert_eq!(fleet.agent.metrics().value(opened), CONTAINERS as u64);
    fleet.agent.assert_read_by(strategy);
    fleet.assert_resident(64 * MIB);
    fleet.round();
    fleet.receiver.inbox.wait_complete(&fleet.expected(), SOON).assert_complete();
    fleet.agent.assert_balance(&fleet.receiver.route());
    fleet.assert_resident(64 * MIB);
    let reserved = fleet.agent.reserved_bytes();
    assert!(reserved < 32 * MIB, "threads have arenas of their own: {reserved} bytes reserved");
}

#[test]
fn a_thousand_idle_containers_are_followed_at_once_and_cost_little_by_file() {
    a_thousand_idle_containers(Strategy::File);
}

#[test]
fn a_thousand_idle_containers_are_followed_at_once_and_cost_little_by_api() {
    a_thousand_idle_containers(Strategy::Api);
}

fn a_low_limit_of_open_files(strategy: Strategy) {
    let mut fleet = Fleet::of(Launch::with_open_files(100), strategy, 150, 64 * MIB);
    fleet.wait_followed();
    fleet.round();
    fleet.receiver.inbox.wait_complete(&fleet.expected(), SOON).assert_complete();
    fleet.agent.assert_read_by(strategy);
}

#[test]
fn a_low_limit_of_open_files_does_not_keep_containers_from_being_followed_by_file() {
    a_low_limit_of_open_files(Strategy::File);
}

#[test]
fn a_low_limit_of_open_files_does_not_keep_containers_from_being_followed_by_api() {
    a_low_limit_of_open_files(Strategy::Api);
}

#[test]
fn a_thousand_containers_with_a_dead_destination_cost_no_memory_and_no_line() {
    let mut fleet = Fleet::new(Strategy::Api, CONTAINERS, 32 * MIB);
    fleet.wait_followed();
    fleet.round();
    fleet.receiver.inbox.wait_complete(&fleet.expected(), LONG).assert_complete();
    fleet.agent.assert_balance(&fleet.receiver.route());
    fleet.receiver.refuse();
    fleet.receiver.close_all(crate::support::receiver::Close::Fin);
    let route = fleet.receiver.route();
    // What is on its way when a link ends may come twice.
    fleet
        .agent
        .wait_for("the link has ended", SOON, |metrics| metrics.of("destination_up", &route) == 0);
    // 80 MB of text, far more than fits.
    for _ in 0..20 {
        let next = fleet.rounds + 1;
        for container in &fleet.quiet {
            container.print_numbers(Stream::Out, next..next + 50, WIDTH);
        }
        fleet.rounds += 50;
    }
    let taken = |fleet: &Fleet| fleet.agent.metrics().of("lines_read_total", &route);
    let mut before = 0;
    until("it takes no more", LONG, || {
        // Two looks, half a second apart, that see the same.
        std::thread::sleep(Duration::from_millis(500));
        let now = taken(&fleet);
        check(now == std::mem::replace(&mut before, now), || format!("{now} lines"))
    });
    fleet.assert_resident(32 * MIB);
    fleet.receiver.accept_again();
    let expected = fleet.expected();
    fleet.receiver.inbox.wait_complete(&expected, 3 * LONG);
    fleet.agent.assert_balance(&route);
    fleet.receiver.inbox.tally(&expected).assert_complete();
    fleet.assert_resident(32 * MIB);
}

const FLOOD_WIDTH: usize = 100;

// Prints 100,000 lines a second until told to stop; returns how many.
fn flood(container: &Container, stop: &AtomicBool) -> u64 {
    let (start, mut printed) = (Instant::now(), 0);
    while !stop.load(SeqCst) {
        let due = u64::try_from(start.elapsed().as_millis()).unwrap() * 100;
        // Numbers have six digits.
        let due = due.min(900_000);
        container.print_numbers(Stream::Out, printed + 1..=due, FLOOD_WIDTH);
        printed = due.max(printed);
        std::thread::sleep(Duration::from_millis(5));
    }
    printed
}

// Prints 100 MB without an end, in pieces of 16 KiB, and then the end.
fn print_endless(container: &Container) {
    let piece: Arc<[u8]> = vec![b'x'; 16 * 1024].into();
    let nanos = now();
    for _ in 0..ENDLESS_PIECES / 61 {
        container.append((0..61).map(|_| (Stream::Out, nanos, piece.clone())));
        std::thread::sleep(Duration::from_millis(50));
    }
    container.append([(Stream::Out, nanos, (*b"end\n").into())].into_iter());
}

const ENDLESS_PIECES: usize = 6100;

#[test]
fn f39_a_flood_and_an_endless_line_keep_within_the_limit_and_delay_nobody_by_file() {
    a_flood_and_an_endless_line(Strategy::File);
}

#[test]
fn f39_a_flood_and_an_endless_line_keep_within_the_limit_and_delay_nobody_by_api() {
    a_flood_and_an_endless_line(Strategy::Api);
}

fn a_flood_and_an_endless_line(strategy: Strategy) {
    let mut fleet = Fleet::new(strategy, CONTAINERS - 2, 32 * MIB);
    let [endless, flooding] = ["endless", "flooding"].map(|name| fleet.engine.container(name));
    fleet.wait_followed();
    let stop = AtomicBool::new(false);
    let mut printed_at = Vec::new();
    let lines = std::thread::scope(|scope| {
        let lines = scope.spawn(|| flood(&flooding, &stop));
        let endless = scope.spawn(|| print_endless(&endless));
        for _ in 0..10 {
            let printed = fleet.round();
            printed_at.push(printed);
            std::thread::sleep(Duration::from_millis(700));
        }
        stop.store(true, SeqCst);
        endless.join().unwrap();
        lines.join().unwrap()
    });
    let expected = fleet.expected();
    fleet.receiver.inbox.wait_complete(&expected, LONG).assert_complete();
    let (endless_bytes, parts) = fleet.receiver.inbox.wait("the endless line", LONG, |frames| {
        let records = frames.iter().filter_map(Frame::rfc5424);
        let parts: Vec<&[u8]> =
            records.filter(|r| r.container == "endless").map(|record| record.text).collect();
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        check(parts.last().is_some_and(|part| part.ends_with(b"end")), || {
            format!("{bytes} bytes")
        })?;
        Ok((bytes, parts.len()))
    });
    assert_eq!(endless_bytes, ENDLESS_PIECES * 16 * 1024 + 3);
    let metrics = fleet.agent.metrics();
    assert_eq!(metrics.value("lines_split_total"), parts as u64 - 1);
    let mut flood = Expected::new(FLOOD_WIDTH);
    flood.add("flooding", Stream::Out, 1..=lines);
    fleet.receiver.inbox.wait_complete(&flood, 3 * LONG).assert_complete();
    fleet.agent.assert_balance(&fleet.receiver.route());
    let delay = p99(&fleet.receiver, &printed_at);
    eprintln!("{lines} lines of flood; p99 delay of the quiet ones {delay:?}");
    assert!(delay <= Duration::from_secs(2), "{delay:?}");
    fleet.agent.assert_read_by(strategy);
    fleet.assert_resident(32 * MIB);
}

// Of the quiet containers' lines: from the moment at which a round began to be printed.
fn p99(receiver: &TcpReceiver, printed_at: &[Instant]) -> Duration {
    let mut delays: Vec<Duration> = receiver.inbox.with(|frames| {
        let delay = |frame: &Frame| {
            let record = frame.rfc5424()?;
            let round = std::str::from_utf8(&record.text[..6]).ok()?.parse::<usize>().ok()?;
            record.container.strip_prefix("quiet-")?;
            Some(frame.arrived.duration_since(printed_at[round - 1]))
        };
        frames.iter().filter_map(delay).collect()
    });
    delays.sort();
    delays[delays.len() * 99 / 100]
}
