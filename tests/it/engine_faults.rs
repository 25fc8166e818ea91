//! An engine that goes away, cuts its streams and answers nonsense, by a proxy in front of it.
//! The ids are those of the fault matrix.

use std::time::{Duration, Instant};

use crate::support::agent::{Agent, Launch, Strategy};
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::proxy::{Mischief, Proxy};
use crate::support::receiver::TcpReceiver;
use crate::support::site::{Site, wait_printed};
use crate::support::{SOON, check, until};

/// An agent that reaches the engine through the proxy, and must lose and repeat nothing. Where the
/// engine's streams are what fails, it reads these.
struct Scene {
    agent: Agent,
    strategy: Strategy,
    receiver: TcpReceiver,
    proxy: Proxy,
    engine: Engine,
}

impl Scene {
    fn new(name: &str) -> Self {
        Self::by(Strategy::Api, name)
    }

    fn by(strategy: Strategy, name: &str) -> Self {
        let mut scene = Self::starting(strategy, name, Proxy::start());
        scene.agent.wait_ready();
        scene
    }

    fn starting(strategy: Strategy, name: &str, proxy: Proxy) -> Self {
        Self::with(strategy, name, proxy, |launch| launch)
    }

    fn with(
        strategy: Strategy,
        name: &str,
        proxy: Proxy,
        settings: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let engine = Engine::new(&format!("{name}-{}", strategy.name()));
        let receiver = TcpReceiver::start();
        let launch = Launch::new().env("DOCKER_HOST", proxy.docker_host()).strategy(strategy);
        let launch = settings(launch.env("DOWNSPOUT_BACKLOG", "true"));
        let agent = launch.arg(receiver.route()).start();
        Self { agent, strategy, receiver, proxy, engine }
    }

    #[track_caller]
    fn assert_all_arrive(self, expected: &Expected) {
        self.receiver.inbox.wait_complete(expected, 2 * SOON);
        assert_eq!(self.agent.metrics().value("task_panics_total"), 0);
        self.agent.assert_read_by(self.strategy);
        assert_eq!(self.agent.terminate().code, Some(0));
        self.receiver.inbox.tally(expected).assert_complete();
        only_documented(&self.proxy.requests());
    }
}

#[track_caller]
fn only_documented(requests: &[String]) {
    for request in requests {
        let path = request.split('?').next().unwrap();
        let parts: Vec<&str> = path.split('/').collect();
        let parts = match &parts[..] {
            ["GET ", version, rest @ ..] if version.starts_with("v1.") => rest,
            ["GET ", rest @ ..] => rest,
            _ => &[],
        };
        let documented = matches!(
            parts,
            ["_ping" | "version" | "info" | "events"]
                | ["containers", "json"]
                | ["containers", _, "json" | "logs"]
        );
        assert!(documented, "{request} is not in the list of what the agent asks the engine for");
    }
    assert!(!requests.is_empty(), "nothing was asked at all");
}

/// A container that prints both streams with a pause of `micros` after each pair of lines.
fn printing_slowly(lines: u64, micros: u32) -> String {
    format!(
        "i=1; while [ $i -le {lines} ]; do printf '%06d o\\n' $i; printf '%06d e\\n' $i >&2; \
         i=$((i+1)); usleep {micros}; done"
    )
}

fn both(name: &str, lines: u64, width: usize) -> Expected {
    let mut expected = Expected::new(width);
    expected.add(name, Stream::Out, 1..=lines);
    expected.add(name, Stream::Err, 1..=lines);
    expected
}

#[test]
fn f25_streams_cut_every_second_lose_and_repeat_nothing() {
    let scene = Scene::new("cut");
    scene.proxy.cut_logs_every(Duration::from_secs(1));
    let name = scene.engine.container("a").run(&printing_slowly(250, 20_000));
    scene.assert_all_arrive(&both(&name, 250, 8));
}

fn cut_at_any_byte(driver: &str) {
    let scene = Scene::new("bytes");
    let start = scene.engine.container(driver).driver(driver);
    let name = start.name.clone();
    let long = "head -c 40000 /dev/zero | tr '\\000' a; echo";
    let print = |numbers| printing(Stream::Out, &numbers, 100);
    let id =
        start.create(&format!("{}; {long}; {}; exec sleep 1000", print(1..=300), print(301..=600)));
    // The first replies end in their heads, then within frames, then within the long line.
    for bytes in (0..600).step_by(47).chain((3000..100_000).step_by(11_003)) {
        scene.proxy.arm(&format!("{id}/logs"), Mischief::CutAfter(bytes), 1);
    }
    Engine::docker(&["start", &id]);
    let lines = scene.receiver.inbox.wait_lines(&name, 601, 3 * SOON);
    assert_eq!(scene.proxy.armed(), 0, "it should take all the cuts to get there");
    let (numbered, long): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|(_, line)| line.len() == 100);
    let numbers: Vec<_> = numbered.iter().map(|(_, line)| line[..6].to_vec()).collect();
    let wanted: Vec<_> = (1..=600).map(|n| format!("{n:06}").into_bytes()).collect();
    assert!(numbers == wanted, "{} numbered lines came", numbers.len());
    assert_eq!(long.iter().map(|(_, line)| line.len()).collect::<Vec<_>>(), [40_000]);
    only_documented(&scene.proxy.requests());
}

#[test]
fn f25_streams_of_json_file_cut_at_any_byte_lose_and_repeat_nothing() {
    cut_at_any_byte("json-file");
}

#[test]
fn f25_streams_of_local_cut_at_any_byte_lose_and_repeat_nothing() {
    cut_at_any_byte("local");
}

fn appears_and_goes_and_comes_back(strategy: Strategy) {
    let mut scene = Scene::starting(strategy, "away", Proxy::absent());
    scene.agent.logged("the log says what is missing", |line| line.contains("docker.sock"));
    let print = printing(Stream::Out, &(1..=5), 8);
    let name = scene.engine.container("a").run(&format!("{print}; exec sleep 1000"));
    let mut expected = Expected::new(8);
    expected.add(&name, Stream::Out, 1..=5);
    wait_printed(&name, 5, SOON);
    let appears_in_time = |expected: &Expected| {
        let back = Instant::now();
        scene.proxy.appear();
        scene.receiver.inbox.wait_complete(expected, SOON);
        // The time to attach again is 2 s; twice that, since four tests share two cores.
        assert!(back.elapsed() < Duration::from_secs(4), "{:?}", back.elapsed());
    };
    appears_in_time(&expected);
    scene.proxy.vanish();
    for number in 6..=8 {
        Site::say(&name, &format!("{number:06} o"));
    }
    let other = scene.engine.container("b").run(&printing(Stream::Err, &(1..=5), 8));
    wait_printed(&name, 8, SOON);
    expected.add(&name, Stream::Out, 1..=8);
    expected.add(&other, Stream::Err, 1..=5);
    appears_in_time(&expected);
    scene.assert_all_arrive(&expected);
}

#[test]
fn f27_an_engine_that_appears_and_goes_and_comes_back_costs_no_line_by_file() {
    appears_and_goes_and_comes_back(Strategy::File);
}

#[test]
fn f27_an_engine_that_appears_and_goes_and_comes_back_costs_no_line_by_api() {
    appears_and_goes_and_comes_back(Strategy::Api);
}

fn errors_and_half_replies(strategy: Strategy) {
    let proxy = Proxy::start();
    for path in ["/_ping", "/version", "/info", "/events", "/containers/json", "/logs"] {
        proxy.arm(path, Mischief::Error500, 2);
    }
    // The head is about 200 bytes, so that these end within the JSON or the first frames.
    for path in ["/version", "/events", "/containers/json", "/logs"] {
        proxy.arm(path, Mischief::CutAfter(300), 2);
    }
    let scene = Scene::starting(strategy, "half", proxy);
    let name = scene.engine.container("a").run(&printing_slowly(60, 50_000));
    scene.assert_all_arrive(&both(&name, 60, 8));
}

#[test]
fn f32_errors_and_half_replies_lose_and_repeat_nothing_by_file() {
    errors_and_half_replies(Strategy::File);
}

#[test]
fn f32_errors_and_half_replies_lose_and_repeat_nothing_by_api() {
    errors_and_half_replies(Strategy::Api);
}

fn survives(name: &str, replies: &str, mischief: impl IntoIterator<Item = Mischief>) {
    survives_by(Strategy::Api, name, replies, mischief);
}

// Breaks the replies about one container, which then prints for two seconds.
fn survives_by(
    strategy: Strategy,
    name: &str,
    replies: &str,
    mischief: impl IntoIterator<Item = Mischief>,
) {
    let scene = Scene::by(strategy, name);
    let start = scene.engine.container("a");
    let name = start.name.clone();
    let id = start.create(&printing_slowly(60, 30_000));
    for mischief in mischief {
        scene.proxy.arm(&format!("{id}/{replies}"), mischief, 1);
    }
    Engine::docker(&["start", &id]);
    let expected = both(&name, 60, 8);
    scene.receiver.inbox.wait_complete(&expected, 2 * SOON);
    // The last inspection comes when all lines have come.
    until("everything to be broken was", SOON, || {
        check(scene.proxy.armed() == 0, || format!("{} replies are left", scene.proxy.armed()))
    });
    scene.assert_all_arrive(&expected);
}

const BROKEN_INSPECTIONS: [Mischief; 2] = [Mischief::Error500, Mischief::CutAfter(400)];

#[test]
fn f32_a_container_that_cannot_be_inspected_at_first_is_not_missed_by_file() {
    survives_by(Strategy::File, "inspect", "json", BROKEN_INSPECTIONS);
}

#[test]
fn f32_a_container_that_cannot_be_inspected_at_first_is_not_missed_by_api() {
    survives_by(Strategy::Api, "inspect", "json", BROKEN_INSPECTIONS);
}

#[test]
fn f32_a_stream_that_cannot_be_opened_at_first_loses_nothing() {
    survives("open", "logs", [Mischief::Error500; 3]);
}

#[test]
fn f32_a_stream_cut_in_a_frame_loses_and_repeats_nothing() {
    survives("frame", "logs", [0, 1, 2, 5, 10].map(Mischief::CutInChunk));
}

#[test]
fn f32_a_wrong_byte_in_a_frame_header_loses_and_repeats_nothing() {
    survives("header", "logs", [0, 1, 7, 12].map(Mischief::SpoilChunk));
}

#[test]
fn f28_a_stretch_that_the_engine_sends_twice_is_shipped_once() {
    survives("twice", "logs", [Mischief::Repeat(7)]);
}

#[test]
fn f29_a_stream_that_stalls_loses_and_repeats_nothing() {
    let probing = |launch: Launch| launch.env("DOWNSPOUT_PROBE_AFTER", "1s");
    let mut scene = Scene::with(Strategy::Api, "stall", Proxy::start(), probing);
    scene.agent.wait_ready();
    let start = scene.engine.container("a");
    let name = start.name.clone();
    let id = start.create(&printing_slowly(60, 50_000));
    // In the middle of a line, after the head and some ten lines.
    scene.proxy.arm(&format!("{id}/logs"), Mischief::StallAfter(777), 1);
    Engine::docker(&["start", &id]);
    let expected = both(&name, 60, 8);
    scene.receiver.inbox.wait_complete(&expected, 2 * SOON);
    assert_eq!(scene.agent.metrics().value("log_streams_stalled_total"), 1);
    scene.assert_all_arrive(&expected);
}
