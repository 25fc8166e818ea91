//! One agent that keeps its positions, between an engine and a receiver that misbehave at random.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::it::support::agent::{Agent, Launch};
use crate::it::support::numbers::Expected;
use crate::it::support::proxy::Proxy;
use crate::it::support::receiver::{After, Close, Conduct, Framing, TcpReceiver};
use crate::it::support::{SOON, check, until};

/// What the agent must stay below.
const LIMIT_BYTES: u64 = 64 << 20;
/// What an event may repeat on average, in lines: of 400 lines a second, what was in flight, in
/// doubt, or settled since the last save, which is up to a second old. A break while a backlog
/// drains repeats more, most repeat less.
const REPEATED_LINES: u64 = 300;
/// The time to get over everything once it is quiet.
const RECOVERY: Duration = Duration::from_mins(3);

/// What can happen.
const EVENTS: [&str; 10] = [
    "reset",
    "fin",
    "refusal",
    "stall",
    "kill",
    "terminate",
    "cut of logs",
    "cut of all",
    "engine away",
    "peace",
];

/// The scene.
pub struct Storm {
    agent: Agent,
    receiver: TcpReceiver,
    proxy: Proxy,
    state: tempfile::TempDir,
    happened: BTreeMap<&'static str, u64>,
    peak: u64,
}

impl Storm {
    /// Everything is well yet.
    pub fn start() -> Self {
        let receiver = TcpReceiver::scripted(Framing::OctetCounting, []);
        let (proxy, state) = (Proxy::start(), tempfile::tempdir().unwrap());
        let agent = launch(&receiver, &proxy, &state).ready();
        Self { agent, receiver, proxy, state, happened: BTreeMap::new(), peak: 0 }
    }

    /// One event after the other until the time is over, then peace.
    pub fn rage(mut self, mut random: fastrand::Rng, time: Duration) -> Self {
        let start = Instant::now();
        while start.elapsed() < time {
            let event = EVENTS[random.usize(..EVENTS.len())];
            *self.happened.entry(event).or_default() += 1;
            let while_it_lasts = Duration::from_millis(random.u64(100..2500));
            self.happen(event, while_it_lasts);
            pause(Duration::from_millis(random.u64(50..1500)));
        }
        self.receiver.behave();
        self
    }

    fn happen(&mut self, event: &str, time: Duration) {
        match event {
            "reset" => self.receiver.close_all(Close::Reset),
            "fin" => self.receiver.close_all(Close::Fin),
            "refusal" => {
                self.receiver.refuse();
                self.receiver.close_all(Close::Reset);
                pause(time);
                self.receiver.accept_again();
            }
            "stall" => {
                self.receiver.script(Conduct::StallAfter(After::Frames(20)));
                let connections = self.receiver.connections();
                self.receiver.close_all(Close::Fin);
                self.receiver.wait_connections(connections + 1, SOON);
                pause(time);
                self.receiver.behave();
            }
            "kill" => self.restart("KILL"),
            "terminate" => self.restart("TERM"),
            "cut of logs" => drop(self.proxy.cut("/logs?")),
            "cut of all" => drop(self.proxy.cut("")),
            "engine away" => {
                self.proxy.vanish();
                pause(time);
                self.proxy.appear();
            }
            _ => pause(time),
        }
    }

    fn restart(&mut self, signal: &str) {
        self.look();
        assert!(self.agent.is_running(), "it ended by itself");
        self.agent.signal(signal);
        until("the agent ends", SOON, || check(!self.agent.is_running(), || "it runs".into()));
        self.agent = launch(&self.receiver, &self.proxy, &self.state).start();
    }

    fn look(&mut self) {
        let peak = self.agent.peak_resident_bytes();
        assert!(peak <= LIMIT_BYTES, "{peak} bytes resident");
        self.peak = self.peak.max(peak);
    }

    /// Everything has come, nothing more often than the breaks explain, and nothing is left over.
    pub fn finish(mut self, expected: &Expected) {
        self.receiver.inbox.wait_complete(expected, RECOVERY);
        let route = self.receiver.route();
        self.agent.assert_balance(&route);
        self.look();
        let metrics = self.agent.metrics();
        assert_eq!(metrics.value("task_panics_total"), 0);
        let (descriptors, tasks) = (self.agent.open_descriptors(), metrics.value("tasks"));
        let events: u64 = self.happened.values().sum();
        let tally = self.receiver.inbox.tally(expected);
        println!(
            "storm (F42): {events} events {:?}\n  {tally}\n  {} KiB resident at most, {descriptors} \
             descriptors, {tasks} tasks",
            self.happened,
            self.peak / 1024
        );
        // The state as of a start: as many descriptors and tasks as an agent without a past has.
        self.agent.signal("TERM");
        until("the agent ends", SOON, || check(!self.agent.is_running(), || "it runs".into()));
        self.agent = launch(&self.receiver, &self.proxy, &self.state).ready();
        self.agent
            .wait_for("as many tasks as before", SOON, |metrics| metrics.value("tasks") >= tasks);
        until("no more descriptors than an agent that has just started", SOON, || {
            let fresh = self.agent.open_descriptors();
            check(descriptors <= fresh + 4, || format!("{descriptors}, {fresh} when fresh"))
        });
        tally.assert_at_most_repeated(events * REPEATED_LINES);
        self.receiver.inbox.assert_nothing_garbled();
    }
}

fn launch(receiver: &TcpReceiver, proxy: &Proxy, state: &tempfile::TempDir) -> Launch {
    Launch::optimised()
        .env("DOCKER_HOST", proxy.docker_host())
        .env("DOWNSPOUT_STATE_DIR", state.path())
        .env("DOWNSPOUT_BACKOFF_MAX", "1s")
        .env("DOWNSPOUT_MEMORY_LIMIT", LIMIT_BYTES.to_string())
        .arg(receiver.route())
}

// The storm is made of pauses: nothing is waited for.
fn pause(time: Duration) {
    std::thread::sleep(time);
}
