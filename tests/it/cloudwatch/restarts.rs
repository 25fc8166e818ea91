//! Agents that are killed, ended and started again, with positions that outlive them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::{DESTINATION, GROUP, WIDTH, aimed, line, tally};
use crate::support::SOON;
use crate::support::agent::{Launch, Strategy};
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::store::Contents;
use crate::support::fake_engine::{Container, FakeEngine, Release};
use crate::support::numbers::{Expected, Stream};
use crate::support::random::Random;

/// Agents of one engine that keep their positions in one folder, one after the other.
struct Scene {
    service: FakeCloudWatch,
    engine: FakeEngine,
    state: tempfile::TempDir,
    strategy: Strategy,
}

impl Scene {
    fn by(strategy: Strategy) -> Self {
        let engine = match strategy {
            Strategy::File => FakeEngine::with_files(Release::V24),
            Strategy::Api => FakeEngine::start(Release::V24),
        };
        let state = tempfile::tempdir().unwrap();
        Self { service: FakeCloudWatch::start(), engine, state, strategy }
    }

    fn launch(&self, options: &str) -> Launch {
        aimed(Launch::new().strategy(self.strategy), &self.service, options)
            .env("DOCKER_HOST", self.engine.docker_host())
            .env("DOWNSPOUT_STATE_DIR", self.state.path())
    }
}

// Ten lines every 10 ms, on each container, until told otherwise.
fn print(containers: &[Arc<Container>], until: &AtomicBool) -> u64 {
    let mut last = 0;
    while !until.load(SeqCst) {
        for container in containers {
            container.print_numbers(Stream::Out, last + 1..=last + 10, WIDTH);
        }
        last += 10;
        std::thread::sleep(Duration::from_millis(10));
    }
    last
}

fn kills_at_random_instants(strategy: Strategy) {
    const KILLS: u64 = 20;
    let scene = Scene::by(strategy);
    let containers: Vec<_> = ["a", "b", "c"].map(|name| scene.engine.container(name)).into();
    let mut agent = scene.launch("").ready();
    let mut random = Random(20_261_123);
    let is_over = AtomicBool::new(false);
    let started = Instant::now();
    let (last, agent) = std::thread::scope(|scope| {
        let printing = scope.spawn(|| print(&containers, &is_over));
        for _ in 0..KILLS {
            std::thread::sleep(Duration::from_millis(50 + random.below(500) as u64));
            agent.signal("KILL");
            assert_eq!(agent.finish(SOON).code, None);
            agent = scene.launch("").start();
        }
        is_over.store(true, SeqCst);
        (printing.join().unwrap(), agent)
    });
    let took = started.elapsed();
    let mut expected = Expected::new(WIDTH);
    for container in &containers {
        expected.add(&container.name, Stream::Out, 1..=last);
    }
    scene.service.wait_complete(&expected, 2 * SOON, line);
    agent.assert_balance(DESTINATION);
    assert_eq!(agent.terminate().code, Some(0));
    scene.service.assert_no_bad_request();
    let tally = tally(&scene.service, &expected);
    assert!(tally.lost.is_empty() && tally.garbled.is_empty() && tally.unexpected == 0, "{tally}");
    // Positions are written down once a second: what came since, and a batch of each stream.
    let batch = scene.service.with(|contents| contents.calls.iter().map(|call| call.events).max());
    let second = expected.count() * 1000 / u64::try_from(took.as_millis()).unwrap();
    let allowed = KILLS * (second + 3 * batch.unwrap() as u64);
    assert!(tally.repeated <= allowed, "{allowed} are allowed: {tally}");
}

#[test]
fn kills_at_random_instants_leave_no_gap_by_file() {
    kills_at_random_instants(Strategy::File);
}

#[test]
fn kills_at_random_instants_leave_no_gap_by_api() {
    kills_at_random_instants(Strategy::Api);
}

fn an_orderly_end(strategy: Strategy) {
    const STREAMS: usize = 200;
    let scene = Scene::by(strategy);
    let mut expected = Expected::new(WIDTH);
    let containers: Vec<_> = (0..STREAMS)
        .map(|number| {
            let name = format!("web-{number}");
            scene.service.create_stream(GROUP, &name);
            expected.add(&name, Stream::Out, 1..=1);
            scene.engine.container(&name)
        })
        .collect();
    // Nothing is due before the end.
    let agent = scene.launch("&flush=5m&in_flight=16").ready();
    for container in &containers {
        container.print_numbers(Stream::Out, 1..=1, WIDTH);
    }
    agent.wait_for("all lines are read", 2 * SOON, |metrics| {
        metrics.of("lines_in_flight", DESTINATION) == STREAMS as u64
    });
    scene.service.set_latency(Duration::from_millis(100));
    assert_eq!(scene.service.with(Contents::count), 0, "nothing was due");
    let ended = agent.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    tally(&scene.service, &expected).assert_complete();
    let agent = scene.launch("").ready();
    for container in &containers {
        container.print_numbers(Stream::Out, 2..=2, WIDTH);
        expected.add(&container.name, Stream::Out, 1..=2);
    }
    scene.service.wait_complete(&expected, 2 * SOON, line);
    agent.assert_balance(DESTINATION);
    assert_eq!(agent.terminate().code, Some(0));
    tally(&scene.service, &expected).assert_complete();
    scene.service.assert_no_bad_request();
}

#[test]
fn an_orderly_end_flushes_two_hundred_streams_in_less_than_three_seconds_by_file() {
    an_orderly_end(Strategy::File);
}

#[test]
fn an_orderly_end_flushes_two_hundred_streams_in_less_than_three_seconds_by_api() {
    an_orderly_end(Strategy::Api);
}

#[test]
fn an_end_while_the_service_is_away_leaves_the_lines_in_their_logs() {
    let scene = Scene::by(Strategy::Api);
    let container = scene.engine.container("web");
    let agent = scene.launch("").env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "500ms").ready();
    scene.service.server.refuse();
    container.print_numbers(Stream::Out, 1..=100, WIDTH);
    agent.wait_for("lines wait", SOON, |metrics| metrics.of("lines_in_flight", DESTINATION) == 100);
    let ended = agent.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.took < Duration::from_secs(8), "{:?}", ended.took);
    assert!(ended.stderr.contains("the containers' logs have these lines"), "{}", ended.stderr);
    scene.service.server.accept_again();
    let agent = scene.launch("").ready();
    let mut expected = Expected::new(WIDTH);
    expected.add("web", Stream::Out, 1..=100);
    super::assert_all_came(&scene.service, &agent, &expected, 0);
}

#[test]
fn a_dropped_event_is_not_read_again_after_a_restart() {
    let scene = Scene::by(Strategy::Api);
    let container = scene.engine.container("web");
    container.print(Stream::Out, crate::support::fake_engine::now() - 15 * 86_400_000_000_000, "x");
    let agent = scene.launch("").env("DOWNSPOUT_BACKLOG", "true").ready();
    agent.wait_for("it is dropped", SOON, |metrics| {
        metrics.labelled("lines_dropped_total", DESTINATION, ("reason", "too_old")) == 1
    });
    agent.assert_balance(DESTINATION);
    assert_eq!(agent.terminate().code, Some(0));
    let agent = scene.launch("").ready();
    container.print_numbers(Stream::Out, 1..=1, WIDTH);
    let mut expected = Expected::new(WIDTH);
    expected.add("web", Stream::Out, 1..=1);
    super::assert_all_came(&scene.service, &agent, &expected, 0);
    assert_eq!(agent.metrics().of("lines_read_total", DESTINATION), 1);
}
