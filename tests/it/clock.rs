//! Stamps that do not rise: clocks that jump, equal stamps, streams that stall, logs whose old
//! records are gone. On an engine whose logs the test writes; the ids are those of the fault
//! matrix. The agent's own clock stands still: what jumps is the clock by which Docker stamped.
//! Files have no streams that could be cut: what is done to a reader of these is a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::agent::{Agent, Launch, Metrics, Strategy};
use crate::support::fake_engine::{Container, FakeEngine, Release, now, stamp};
use crate::support::numbers::{Expected, Stream, text};
use crate::support::receiver::{Frame, TcpReceiver};
use crate::support::{SOON, check, until};

const HOUR: i64 = 3_600_000_000_000;
const WIDTH: usize = 30;
const BOTH: [Release; 2] = [Release::V20, Release::V24];

/// One container, one agent that keeps its positions, one receiver.
struct Scene {
    agent: Agent,
    receiver: TcpReceiver,
    engine: FakeEngine,
    container: Arc<Container>,
    state: tempfile::TempDir,
    settings: Vec<(&'static str, &'static str)>,
    // The number of the last line, and all stamps, of each stream.
    printed: [Vec<i64>; 2],
}

impl Scene {
    fn new(release: Release, settings: &[(&'static str, &'static str)]) -> Self {
        Self::on(FakeEngine::start(release), settings)
    }

    /// The engine keeps its logs in files.
    fn of_files() -> Self {
        Self::on(FakeEngine::with_files(Release::V24), &[])
    }

    fn on(engine: FakeEngine, settings: &[(&'static str, &'static str)]) -> Self {
        let receiver = TcpReceiver::start();
        let state = tempfile::tempdir().unwrap();
        let container = engine.container("web");
        let settings = settings.to_vec();
        let agent = launch(&engine, &receiver, &state, &settings).ready();
        let printed = [Vec::new(), Vec::new()];
        Self { agent, receiver, engine, container, state, settings, printed }
    }

    /// Prints the next numbered line of a stream.
    fn print(&mut self, stream: Stream, nanos: i64) {
        let printed = &mut self.printed[stream as usize];
        printed.push(nanos);
        self.container.print(stream, nanos, &text(stream, printed.len() as u64, WIDTH));
    }

    /// Prints ten lines on each stream from this stamp on.
    fn print_some(&mut self, from: i64) {
        for step in 0..10 {
            self.print(Stream::Out, from + step * 1_000_000);
            self.print(Stream::Err, from + step * 1_000_000 + 500);
        }
    }

    /// Waits until all that was printed has come.
    #[track_caller]
    fn arrived(&self) {
        let wanted = self.printed.iter().map(Vec::len).sum();
        self.receiver.inbox.wait_lines("web", wanted, SOON);
    }

    /// Cuts the stream and waits for the next one.
    #[track_caller]
    fn cut(&self) {
        // It may be between two streams, reaching further back.
        let opened = until("it is followed", SOON, || {
            let (_, opened) = self.container.streams();
            check(self.container.cut() > 0, || format!("{opened} streams were opened"))?;
            Ok(opened)
        });
        self.wait_followed(opened);
    }

    #[track_caller]
    fn wait_followed(&self, opened: usize) {
        until("it is followed again", SOON, || {
            let (streams, now) = self.container.streams();
            check(streams > 0 && now > opened, || format!("{streams} streams, the {now}th"))
        });
    }

    /// Its log was read in this way.
    #[track_caller]
    fn assert_read_by(&self, strategy: Strategy) {
        let opened = |metrics: &Metrics| {
            metrics.value("log_files_opened_total") + metrics.value("log_streams_opened_total") > 0
        };
        self.agent.wait_for("its log is opened", SOON, opened);
        self.agent.assert_read_by(strategy);
        let opened = self.container.streams().1;
        assert_eq!(opened == 0, strategy == Strategy::File, "{opened} streams were opened");
    }

    /// Ends the agent in order and starts another one in its place.
    #[track_caller]
    fn restart(&mut self) {
        let next = launch(&self.engine, &self.receiver, &self.state, &self.settings);
        self.agent.signal("TERM");
        until("the agent ends", SOON, || check(!self.agent.is_running(), || "it runs".into()));
        self.agent = next.ready();
    }

    fn expected(&self) -> Expected {
        let mut expected = Expected::new(WIDTH);
        for (stream, printed) in [Stream::Out, Stream::Err].into_iter().zip(&self.printed) {
            if !printed.is_empty() {
                expected.add("web", stream, 1..=printed.len() as u64);
            }
        }
        expected
    }

    /// Every line comes once, in its order, with Docker's stamp.
    #[track_caller]
    fn assert_all_arrive(self) {
        self.assert_arrive(0);
    }

    #[track_caller]
    fn assert_arrive(self, repeats: u64) {
        let expected = self.expected();
        self.receiver.inbox.wait_complete(&expected, SOON);
        self.agent.assert_balance(&self.receiver.route());
        assert_eq!(self.agent.metrics().value("task_panics_total"), 0);
        assert_eq!(self.agent.terminate().code, Some(0));
        self.receiver.inbox.tally(&expected).assert_at_most_repeated(repeats);
        self.receiver.inbox.with(|frames| {
            for record in frames.iter().filter_map(Frame::rfc5424) {
                let number: usize =
                    std::str::from_utf8(&record.text[..6]).unwrap().parse().unwrap();
                let stamp = stamp(self.printed[record.stream as usize][number - 1]);
                // RFC 5424 has room for microseconds.
                assert_eq!(record.time, format!("{}Z", stamp.split_at(26).0), "line {number}");
            }
        });
    }
}

fn launch(
    engine: &FakeEngine,
    receiver: &TcpReceiver,
    state: &tempfile::TempDir,
    settings: &[(&str, &str)],
) -> Launch {
    let launch = Launch::new()
        .env("DOCKER_HOST", engine.docker_host())
        .env("DOWNSPOUT_BACKLOG", "true")
        .env("DOWNSPOUT_STATE_DIR", state.path())
        .arg(receiver.route());
    settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

/// What happens between two stretches of a log.
#[derive(Debug, Clone, Copy)]
enum Between {
    Nothing,
    Cut,
    Restart,
}

// Prints stretches whose stamps begin at these offsets from now, with this between them: once
// with the next stretch printed before it and once behind it.
fn jumps(offsets: &[i64], between: Between) {
    jumps_with(offsets, between, 0);
}

fn jumps_with(offsets: &[i64], between: Between, repeats: u64) {
    for release in BOTH {
        for early in [false, true] {
            let scene = Scene::new(release, &[]);
            jump(scene, offsets, between, early).assert_arrive(repeats);
        }
    }
}

// The same for logs that are read from files.
fn jumps_by_file(offsets: &[i64], between: Between) {
    for early in [false, true] {
        let scene = jump(Scene::of_files(), offsets, between, early);
        scene.assert_read_by(Strategy::File);
        scene.assert_arrive(0);
    }
}

fn jump(mut scene: Scene, offsets: &[i64], between: Between, early: bool) -> Scene {
    // Later stretches with the same offset have later stamps, as a clock has that goes on.
    // All of them lie in the past but those of a clock that is fast.
    let start = now() - HOUR / 60;
    let mut last = 0;
    for (at, offset) in (0..).zip(offsets) {
        let from = start + offset + at * 100_000_000;
        if early && at > 0 {
            scene.print_some(from);
        }
        match between {
            Between::Cut if at > 0 => scene.cut(),
            Between::Restart if at > 0 => scene.restart(),
            _ => {}
        }
        if !early || at == 0 {
            scene.print_some(from);
        }
        scene.arrived();
        last = from;
    }
    scene.print_some(last + 50_000_000);
    scene
}

#[test]
fn f38_clocks_that_jump_by_an_hour_cost_nothing() {
    jumps(&[HOUR, 0, 0], Between::Nothing);
    jumps(&[0, HOUR, 0, HOUR], Between::Nothing);
    jumps(&[-HOUR, 0, HOUR], Between::Nothing);
}

#[test]
fn f38_a_clock_that_steps_back_around_a_cut_costs_nothing() {
    jumps(&[HOUR, 0, 0], Between::Cut);
}

#[test]
fn f38_a_clock_that_steps_forward_around_a_cut_costs_nothing() {
    jumps(&[-HOUR, 0, HOUR, HOUR], Between::Cut);
}

#[test]
fn f38_a_clock_that_steps_to_and_fro_around_cuts_costs_nothing() {
    jumps(&[0, HOUR, 0, HOUR, 0], Between::Cut);
}

#[test]
fn f38_a_clock_that_steps_back_around_a_restart_loses_nothing() {
    // Where the clock stepped back is not kept over a restart: what it stamped before, and what
    // came behind it, may come a second time.
    jumps_with(&[HOUR, 0, 0], Between::Restart, 2 * 40 + 60);
}

#[test]
fn f38_a_clock_that_steps_forward_around_a_restart_costs_nothing() {
    jumps(&[-HOUR, 0, HOUR, HOUR], Between::Restart);
}

#[test]
fn f38_clocks_that_jump_by_an_hour_cost_nothing_by_file() {
    jumps_by_file(&[HOUR, 0, 0], Between::Nothing);
    jumps_by_file(&[0, HOUR, 0, HOUR], Between::Nothing);
    jumps_by_file(&[-HOUR, 0, HOUR], Between::Nothing);
}

#[test]
fn f38_clocks_that_jump_around_restarts_cost_nothing_by_file() {
    jumps_by_file(&[HOUR, 0, 0], Between::Restart);
    jumps_by_file(&[-HOUR, 0, HOUR, HOUR], Between::Restart);
    jumps_by_file(&[0, HOUR, 0, HOUR, 0], Between::Restart);
}

// Prints records with these stamps after an hour ago, and cuts the stream after each of them.
fn cut_anywhere(records: &[(Stream, i64)]) {
    for release in BOTH {
        interrupt_anywhere(Scene::new(release, &[]), records, |scene| scene.cut())
            .assert_all_arrive();
    }
}

// The same for a log that is read from its file, by one agent after the other.
fn restart_anywhere(records: &[(Stream, i64)]) {
    let scene = interrupt_anywhere(Scene::of_files(), records, Scene::restart);
    scene.assert_read_by(Strategy::File);
    scene.assert_all_arrive();
}

fn interrupt_anywhere(
    mut scene: Scene,
    records: &[(Stream, i64)],
    interrupt: impl Fn(&mut Scene),
) -> Scene {
    let start = now() - HOUR;
    for (at, (stream, offset)) in records.iter().enumerate() {
        // Half of the times the record before has been shipped, else it is there and may have
        // been read or not.
        scene.print(*stream, start + offset);
        if at % 2 == 0 {
            scene.arrived();
        }
        interrupt(&mut scene);
    }
    scene.print(Stream::Out, now());
    scene.engine.end(&scene.container);
    scene
}

const EQUAL: [[(Stream, i64); 2]; 2] =
    [[(Stream::Out, 0), (Stream::Out, 0)], [(Stream::Out, 0), (Stream::Err, 0)]];

#[test]
fn f26_equal_stamps_around_cuts_cost_nothing_by_api() {
    for records in EQUAL {
        cut_anywhere(&records.repeat(6));
    }
}

#[test]
fn f26_equal_stamps_around_restarts_cost_nothing_by_file() {
    for records in EQUAL {
        restart_anywhere(&records.repeat(6));
    }
}

fn falling() -> Vec<(Stream, i64)> {
    let record = |at: i64| {
        let stream = if at % 2 == 0 { Stream::Out } else { Stream::Err };
        // Each stream rises by itself, standard error lags behind by a second.
        (stream, at * 1000 - i64::from(stream == Stream::Err) * 1_000_000_000)
    };
    (0..12).map(record).collect()
}

#[test]
fn f26_stamps_that_decrease_across_streams_around_cuts_cost_nothing_by_api() {
    cut_anywhere(&falling());
}

#[test]
fn f26_stamps_that_decrease_across_streams_around_restarts_cost_nothing_by_file() {
    restart_anywhere(&falling());
}

#[test]
fn f26_pieces_of_one_line_have_one_stamp_and_a_cut_between_them_costs_nothing() {
    for release in BOTH {
        let mut scene = Scene::new(release, &[]);
        let start = now();
        scene.print_some(start - HOUR);
        scene.arrived();
        let piece: Arc<[u8]> = vec![b'x'; 16 * 1024].into();
        for number in 0..5 {
            let between = format!("between {number}\n").into_bytes().into();
            scene.container.append([(Stream::Out, start, piece.clone())].into_iter());
            scene.container.append([(Stream::Err, start, between)].into_iter());
            scene.cut();
        }
        scene.container.append([(Stream::Out, start, (*b"end\n").into())].into_iter());
        let lines = scene.receiver.inbox.wait_lines("web", 20 + 5 + 1, SOON);
        let long: Vec<usize> =
            lines.iter().map(|(_, line)| line.len()).filter(|length| *length > WIDTH).collect();
        assert_eq!(long, [5 * 16 * 1024 + 3]);
        assert_eq!(lines.iter().filter(|(_, line)| line.starts_with(b"between ")).count(), 5);
        scene.agent.assert_balance(&scene.receiver.route());
        assert_eq!(scene.receiver.inbox.lines_of("web").len(), 26);
        assert_eq!(scene.agent.metrics().value("lines_split_total"), 0);
    }
}

#[test]
fn f29_a_stream_that_stalls_is_noticed_and_costs_nothing() {
    for release in BOTH {
        let mut scene = Scene::new(release, &[("DOWNSPOUT_PROBE_AFTER", "1s")]);
        scene.print_some(now());
        scene.arrived();
        let (_, opened) = scene.container.streams();
        scene.container.stall();
        scene.print_some(now());
        let stalled = Instant::now();
        scene.arrived();
        // The silence, a look a second, and what two busy cores may add.
        assert!(stalled.elapsed() < Duration::from_secs(6), "{:?}", stalled.elapsed());
        assert_eq!(scene.agent.metrics().value("log_streams_stalled_total"), 1);
        scene.print_some(now());
        scene.arrived();
        let (streams, now) = scene.container.streams();
        assert!(streams <= 2 && now > opened, "{streams} streams are open of {now}");
        assert_eq!(scene.agent.metrics().value("log_streams_stalled_total"), 1);
        scene.assert_all_arrive();
    }
}

#[test]
fn f29_a_healthy_stream_that_is_silent_is_asked_about_and_not_opened_again() {
    let mut scene = Scene::new(Release::V24, &[("DOWNSPOUT_PROBE_AFTER", "500ms")]);
    scene.print_some(now());
    scene.arrived();
    let opened = scene.agent.metrics().value("log_streams_opened_total");
    until("it was asked about three times", SOON, || {
        let requests = scene.engine.requests();
        let asked = requests.iter().filter(|r| r.contains("/logs?") && !r.contains("follow"));
        check(asked.count() >= 3, || format!("{requests:?}"))
    });
    let metrics = scene.agent.metrics();
    assert_eq!(metrics.value("log_streams_opened_total"), opened);
    assert_eq!(metrics.value("log_streams_stalled_total"), 0);
    scene.print_some(now());
    scene.assert_all_arrive();
}

#[test]
fn f06_what_rotation_took_while_no_agent_ran_is_announced_once_by_file() {
    rotation_takes(Scene::of_files(), Strategy::File);
}

#[test]
fn f06_what_rotation_took_while_no_agent_ran_is_announced_once_by_api() {
    rotation_takes(Scene::new(Release::V24, &[]), Strategy::Api);
}

fn rotation_takes(mut scene: Scene, strategy: Strategy) {
    let route = scene.receiver.route();
    scene.print_some(now());
    scene.arrived();
    scene.agent.assert_balance(&route);
    scene.agent.signal("TERM");
    until("the agent ends", SOON, || check(!scene.agent.is_running(), || "it runs".into()));
    let last = scene.printed[1][9];
    // Ten more pairs, of which only the last five remain.
    scene.print_some(now());
    scene.container.rotate(10);
    let first = scene.printed[0][15];
    let next = launch(&scene.engine, &scene.receiver, &scene.state, &scene.settings);
    scene.agent = next.ready();
    scene.receiver.inbox.wait_lines("web", 30, SOON);
    scene.print_some(now());
    scene.receiver.inbox.wait_lines("web", 50, SOON);
    let agent = scene.receiver.inbox.lines_of("downspout");
    let notice = format!(
        "an unknown number of lines of web ({}) lost between {} and {}: the container's log was \
         rotated before they could be read",
        scene.container.id.split_at(12).0,
        stamp(last),
        stamp(first)
    );
    assert_eq!(agent, [(Stream::Err, notice.into_bytes())]);
    scene.agent.assert_balance(&route);
    assert_eq!(scene.agent.metrics().of("gaps_total", &route), 1);
    scene.assert_read_by(strategy);
    let mut expected = Expected::new(WIDTH);
    for stream in [Stream::Out, Stream::Err] {
        expected.add("web", stream, 1..=30);
    }
    let tally = scene.receiver.inbox.tally(&expected);
    let missing: Vec<String> = ["stdout", "stderr"]
        .iter()
        .flat_map(|stream| (11..=15).map(move |number| format!("web {stream} {number}")))
        .collect();
    assert_eq!(tally.lost, missing, "{tally}");
    assert_eq!((tally.repeated, tally.reordered, tally.garbled.len()), (0, 0, 0), "{tally}");
}
