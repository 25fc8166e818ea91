//! The usual scene of a test on the real engine: containers, an agent that is ready, and a
//! receiver.

use std::time::Duration;

use super::agent::{Agent, Launch, Strategy};
use super::engine::Engine;
use super::numbers::{Expected, Stream, printing};
use super::receiver::{Framing, TcpReceiver};
use super::{SOON, until};

/// Drops its parts in this order, so that the agent never sees its receiver go.
pub struct Site {
    /// Ready since the site was made.
    pub agent: Agent,
    /// What the agent's one route leads to.
    pub receiver: TcpReceiver,
    /// The test's containers.
    pub engine: Engine,
    strategy: Option<Strategy>,
}

impl Site {
    /// An agent with default settings.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Self::with(name, |launch| launch)
    }

    /// An agent that reads logs in this way.
    #[track_caller]
    pub fn by(strategy: Strategy, name: &str) -> Self {
        Self::by_on(strategy, Engine::new(&format!("{name}-{}", strategy.name())))
    }

    /// The same for containers of this engine.
    #[track_caller]
    pub fn by_on(strategy: Strategy, engine: Engine) -> Self {
        let site = Self::on(engine, |launch| launch.strategy(strategy));
        Self { strategy: Some(strategy), ..site }
    }

    /// An agent with further settings.
    #[track_caller]
    pub fn with(name: &str, settings: impl FnOnce(Launch) -> Launch) -> Self {
        Self::on(Engine::new(name), settings)
    }

    /// An agent for containers of this engine.
    #[track_caller]
    pub fn on(engine: Engine, settings: impl FnOnce(Launch) -> Launch) -> Self {
        let receiver = TcpReceiver::start();
        let agent = settings(Launch::new()).arg(receiver.route()).ready();
        Self { agent, receiver, engine, strategy: None }
    }

    /// An agent that was started with routes of its own to the receiver.
    pub fn of(agent: Agent, receiver: TcpReceiver, engine: Engine) -> Self {
        Self { agent, receiver, engine, strategy: None }
    }

    /// An agent with logspout's variables and defaults, for containers of this engine: whoever
    /// changed only the image.
    #[track_caller]
    pub fn as_logspout(engine: Engine, settings: impl FnOnce(Launch) -> Launch) -> Self {
        let receiver = TcpReceiver::scripted(Framing::Lf, []);
        let agent = settings(Launch::as_logspout()).env("ROUTE_URIS", receiver.route()).ready();
        Self::of(agent, receiver, engine)
    }

    /// Every expected line arrives once and in order, and no other; the agent ends well.
    #[track_caller]
    pub fn assert_all_arrive(self, expected: &Expected) {
        self.receiver.inbox.wait_complete(expected, 2 * SOON);
        if let Some(strategy) = self.strategy {
            self.agent.assert_read_by(strategy);
        }
        let ended = self.agent.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        self.receiver.inbox.tally(expected).assert_complete();
        self.receiver.inbox.assert_nothing_garbled();
    }

    /// A container's lines are exactly these, on standard output.
    #[track_caller]
    pub fn assert_lines(&self, container: &str, wanted: &[&[u8]]) {
        let lines = self.receiver.inbox.wait_lines(container, wanted.len(), SOON);
        assert_eq!(lines.len(), wanted.len(), "{}", shown(&lines));
        for (at, ((stream, line), wanted)) in lines.iter().zip(wanted).enumerate() {
            let same = line == wanted && *stream == Stream::Out;
            let wanted = wanted.escape_ascii().to_string();
            let (wanted, came) = (brief(&wanted), shown(&lines[at..=at]));
            assert!(same, "line {at} of {container} should be {wanted}, but is {came}");
        }
    }

    /// Prints a line from within a running container, as its main process would.
    #[track_caller]
    pub fn say(container: &str, line: &str) {
        let script = format!("echo '{line}' >/proc/1/fd/1");
        Engine::docker(&["exec", container, "sh", "-c", &script]);
    }

    /// Has a new container print a line and waits for it: what came before has been seen by then.
    #[track_caller]
    pub fn pass_a_marker(&self) {
        let marker = self.engine.container("marker").run("echo marker");
        self.receiver.inbox.wait_lines(&marker, 1, SOON);
    }
}

/// Starts `containers` containers that print ten lines each, live for 100 ms and remove
/// themselves, `at_once` at a time; expects 99.9 % of the lines, and the others to be counted.
/// Returns how many lines are missing, and how many containers the agent says it missed.
#[track_caller]
pub fn burst(site: &Site, containers: u64, at_once: u64) -> (u64, u64) {
    let script = format!("{}; usleep 100000", printing(Stream::Out, &(1..=10), WIDTH));
    let mut expected = Expected::new(WIDTH);
    for number in 1..=containers {
        expected.add(&site.engine.name(&format!("rm-{number}")), Stream::Out, 1..=10);
    }
    std::thread::scope(|scope| {
        for lane in 0..at_once {
            let script = &script;
            scope.spawn(move || {
                for number in (1..=containers).filter(|number| number % at_once == lane) {
                    let start = site.engine.container(&format!("rm-{number}")).option("--rm");
                    start.run_in_foreground(script);
                }
            });
        }
    });
    // What was printed before it has come by then.
    site.pass_a_marker();
    let metrics = until("all that was read has come", SOON, || {
        let metrics = site.agent.metrics();
        let route = site.receiver.route();
        let [read, delivered] =
            ["lines_read_total", "lines_delivered_total"].map(|family| metrics.of(family, &route));
        super::check(read == delivered, || format!("{delivered} of {read}"))?;
        Ok(metrics)
    });
    let tally = site.receiver.inbox.tally(&expected);
    let (missing, missed) = (tally.lost.len() as u64, metrics.value("containers_missed_total"));
    assert!(missing * 1000 <= expected.count(), "{missed} containers were missed: {tally}");
    assert!(missing <= missed * 10, "what is missing should be counted, {missed} are: {tally}");
    assert_eq!((tally.repeated, tally.garbled.len()), (0, 0), "{tally}");
    (missing, missed)
}

const WIDTH: usize = 40;

/// Waits until a container's main process has printed `count` lines, as the engine sees it.
#[track_caller]
pub fn wait_printed(container: &str, count: usize, bound: Duration) {
    until(&format!("{container} prints {count} lines"), bound, || {
        let printed = Engine::docker(&["logs", container]).lines().count();
        super::check(printed >= count, || format!("it printed {printed}"))
    });
}

fn shown(lines: &[(Stream, Vec<u8>)]) -> String {
    let show = |(stream, line): &(Stream, Vec<u8>)| {
        let text = line.escape_ascii().to_string();
        format!("{} ({} bytes) {}", stream.name(), line.len(), brief(&text))
    };
    lines.iter().map(show).collect::<Vec<_>>().join("; ")
}

fn brief(text: &str) -> &str {
    text.get(..80).unwrap_or(text)
}
