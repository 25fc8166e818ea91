//! Agents on one state folder that read by file and by api in turn: a position that was reached in
//! one way serves the other.

use std::sync::Arc;

use crate::support::agent::{Agent, Launch, Strategy};
use crate::support::engine::{Engine, Start};
use crate::support::fake_engine::{Container, FakeEngine, Release, now};
use crate::support::numbers::{Expected, Stream, text};
use crate::support::random::Random;
use crate::support::receiver::TcpReceiver;
use crate::support::{SOON, check, until};

const IN_TURN: [Strategy; 2] = [Strategy::Api, Strategy::File];

/// How an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    InOrder,
    Killed,
}

fn launch(receiver: &TcpReceiver, state: &tempfile::TempDir, strategy: Strategy) -> Launch {
    let launch = Launch::new().strategy(strategy).env("DOWNSPOUT_STATE_DIR", state.path());
    launch.env("DOWNSPOUT_BACKOFF_MAX", "200ms").arg(receiver.route())
}

fn end(agent: Agent, ending: Ending) {
    match ending {
        Ending::InOrder => assert_eq!(agent.terminate().code, Some(0)),
        Ending::Killed => {
            agent.signal("KILL");
            assert_eq!(agent.finish(SOON).code, None);
        }
    }
}

/// The destination's window in bytes: what may be repeated after a kill, besides what came since
/// the last checkpoint, a second before.
const WINDOW_BYTES: u64 = 256 * 1024;
/// Each on both streams.
const LINES: u64 = 3_000;
const TURNS: u64 = 6;

// Prints both streams, about a thousand lines a second, and is read by agents that take turns.
fn take_turns(name: &str, options: &[&str], ending: Ending) {
    let (engine, receiver) = (Engine::new(name), TcpReceiver::start());
    let state = tempfile::tempdir().unwrap();
    let mut strategies = IN_TURN.into_iter().cycle();
    let mut next = || launch(&receiver, &state, strategies.next().unwrap());
    let mut agent = next().ready();
    let filling = "x".repeat(92);
    let script = format!(
        "i=1; while [ $i -le {LINES} ]; do printf '%06d o{filling}\\n' $i; \
         printf '%06d e{filling}\\n' $i >&2; i=$((i+1)); usleep 1000; done; exec sleep 1000"
    );
    let start = options.iter().fold(engine.container("a"), |start, option| start.option(option));
    let container = Start::run(start, &script);
    let mut expected = Expected::new(100);
    for stream in [Stream::Out, Stream::Err] {
        expected.add(&container, stream, 1..=LINES);
    }
    for turn in 1..TURNS {
        let wanted = usize::try_from(turn * 2 * LINES / TURNS).unwrap();
        receiver.inbox.wait_lines(&container, wanted, SOON);
        end(agent, ending);
        agent = next().start();
    }
    receiver.inbox.wait_complete(&expected, 2 * SOON);
    agent.assert_balance(&receiver.route());
    assert_eq!(agent.terminate().code, Some(0));
    let tally = receiver.inbox.tally(&expected);
    match ending {
        Ending::InOrder => tally.assert_complete(),
        Ending::Killed => {
            assert!(tally.lost.is_empty() && tally.garbled.is_empty(), "{tally}");
            let frame_bytes = receiver.inbox.with(|frames| frames[0].bytes.len() as u64);
            let allowed = (TURNS - 1) * (WINDOW_BYTES / frame_bytes + 2_000);
            assert!(tally.repeated <= allowed, "{allowed} are allowed: {tally}");
        }
    }
}

#[test]
fn agents_that_end_in_order_and_read_by_file_and_by_api_in_turn_lose_and_repeat_nothing() {
    take_turns("turns", &[], Ending::InOrder);
}

#[test]
fn the_same_of_a_log_that_is_rotated() {
    let options = ["--log-opt=max-size=200k", "--log-opt=max-file=50"];
    take_turns("turns-rotated", &options, Ending::InOrder);
}

#[test]
fn f34_agents_that_are_killed_and_read_by_file_and_by_api_in_turn_lose_nothing() {
    take_turns("turns-killed", &[], Ending::Killed);
}

/// One container of an engine whose logs the test writes.
struct Scene {
    agent: Agent,
    strategy: Strategy,
    receiver: TcpReceiver,
    engine: FakeEngine,
    container: Arc<Container>,
    state: tempfile::TempDir,
    /// How many numbered lines were printed on each stream.
    printed: [u64; 2],
    /// Bytes of the line that is open on each stream, and its stamp.
    open: [(usize, i64); 2],
    /// Bytes of those that ended.
    long: Vec<usize>,
}

const WIDTH: usize = 40;
const PIECE_BYTES: usize = 16 * 1024;
const STREAMS: [Stream; 2] = [Stream::Out, Stream::Err];

impl Scene {
    fn new(strategy: Strategy) -> Self {
        let (engine, receiver) = (FakeEngine::with_files(Release::V24), TcpReceiver::start());
        let state = tempfile::tempdir().unwrap();
        let container = engine.container("web");
        let launch = launch(&receiver, &state, strategy).env("DOCKER_HOST", engine.docker_host());
        let agent = launch.env("DOWNSPOUT_BACKLOG", "true").ready();
        let (printed, open, long) = ([0; 2], [(0, 0); 2], Vec::new());
        Self { agent, strategy, receiver, engine, container, state, printed, open, long }
    }

    /// Another agent in the place of this one.
    #[track_caller]
    fn go_on(&mut self, strategy: Strategy) {
        self.agent.signal("TERM");
        until("the agent ends", SOON, || check(!self.agent.is_running(), || "it runs".into()));
        self.strategy = strategy;
        let launch = launch(&self.receiver, &self.state, strategy);
        self.agent = launch.env("DOCKER_HOST", self.engine.docker_host()).ready();
    }

    /// Prints numbered lines, after the end of the line that is open.
    fn print(&mut self, stream: Stream, lines: u64) {
        self.close(stream);
        let printed = &mut self.printed[stream as usize];
        self.container.print_numbers(stream, *printed + 1..=*printed + lines, WIDTH);
        *printed += lines;
    }

    /// Prints pieces of a line whose end is not printed yet; all have the stamp of the first.
    fn open(&mut self, stream: Stream, pieces: usize) {
        let piece: Arc<[u8]> = vec![b'x'; PIECE_BYTES].into();
        let (bytes, stamp) = &mut self.open[stream as usize];
        if *bytes == 0 {
            *stamp = now();
        }
        *bytes += pieces * PIECE_BYTES;
        let stamp = *stamp;
        self.container.append((0..pieces).map(|_| (stream, stamp, piece.clone())));
    }

    fn close(&mut self, stream: Stream) {
        let (bytes, stamp) = std::mem::take(&mut self.open[stream as usize]);
        if bytes > 0 {
            self.container.append([(stream, stamp, (*b"end\n").into())].into_iter());
            self.long.push(bytes + "end".len());
        }
    }

    /// The container ends, which ends its lines, and starts again.
    fn restart_container(&mut self) {
        for stream in STREAMS {
            self.close(stream);
        }
        self.engine.end(&self.container);
        self.engine.start_again(&self.container);
    }

    /// Waits until all numbered lines have come.
    #[track_caller]
    fn arrived(&self) {
        let mut expected = Expected::new(WIDTH);
        for stream in STREAMS {
            let printed = self.printed[stream as usize];
            if printed > 0 {
                expected.add("web", stream, 1..=printed);
            }
        }
        until("all lines arrive", SOON, || {
            let lines = self.receiver.inbox.lines_of("web");
            let wanted = usize::try_from(expected.count()).unwrap() + self.long.len();
            check(lines.len() >= wanted, || format!("{} of {wanted} came", lines.len()))
        });
    }

    /// Everything came once, in its order, and whole.
    #[track_caller]
    fn assert_came(mut self) {
        for stream in STREAMS {
            self.print(stream, 1);
        }
        self.arrived();
        self.agent.assert_balance(&self.receiver.route());
        assert_eq!(self.agent.terminate().code, Some(0));
        let lines = self.receiver.inbox.lines_of("web");
        for stream in STREAMS {
            let own = lines.iter().filter(|(s, line)| *s == stream && line.len() == WIDTH);
            let came: Vec<_> = own.map(|(_, line)| String::from_utf8_lossy(line)).collect();
            let printed = 1..=self.printed[stream as usize];
            let wanted: Vec<_> = printed.map(|number| text(stream, number, WIDTH)).collect();
            assert!(came == wanted, "{stream:?}: {} of {} lines came", came.len(), wanted.len());
        }
        let long = lines.iter().map(|(_, line)| line.len()).filter(|length| *length != WIDTH);
        let mut long: Vec<_> = long.collect();
        long.sort_unstable();
        self.long.sort_unstable();
        assert_eq!(long, self.long);
    }
}

#[test]
fn a_line_that_was_open_when_the_way_of_reading_changed_arrives_whole_and_nothing_twice() {
    for strategies in [[Strategy::Api, Strategy::File], [Strategy::File, Strategy::Api]] {
        for rotate in [false, true] {
            let mut scene = Scene::new(strategies[0]);
            scene.print(Stream::Err, 10);
            for strategy in strategies.into_iter().cycle().skip(1).take(4) {
                scene.open(Stream::Out, 1);
                scene.print(Stream::Err, 10);
                scene.arrived();
                if rotate {
                    scene.container.files().rotate(20);
                }
                scene.go_on(strategy);
            }
            scene.assert_came();
        }
    }
}

/// A fifth of a second each.
const SEEDS: u64 = 400;

// Steps that a log and its readers may take, in an order that the seed says.
fn any_steps(seed: u64) {
    let mut random = Random(seed);
    let mut scene = Scene::new(IN_TURN[random.below(2)]);
    for _ in 0..25 {
        let stream = STREAMS[random.below(2)];
        match random.below(10) {
            0 | 1 => scene.print(stream, 1 + random.below(30) as u64),
            2 | 3 => scene.open(stream, 1 + random.below(3)),
            4 => scene.container.files().rotate(50),
            5 => compress(&scene.container),
            6 => scene.arrived(),
            7 => scene.restart_container(),
            _ => scene.go_on(IN_TURN[random.below(2)]),
        }
    }
    scene.assert_came();
}

// All rotated files, as the engine does one after the other.
fn compress(container: &Container) {
    let files = container.files();
    for number in (1..50).filter(|number| files.name(*number).exists()) {
        files.compress(number);
    }
}

#[test]
fn any_order_of_lines_rotations_and_swaps_loses_and_repeats_nothing() {
    for seed in 1..=SEEDS {
        eprintln!("seed {seed}");
        any_steps(seed);
    }
}
