//! What takes long and is quiet: a destination that is down for minutes (F05), one dead beside a
//! healthy one (F40), and a link on which nothing comes for minutes (F13).

use std::time::{Duration, Instant};

use crate::it::support::SOON;
use crate::it::support::agent::{Agent, Launch};
use crate::it::support::fake_engine::{FakeEngine, Release};
use crate::it::support::numbers::{Expected, Stream};
use crate::it::support::receiver::{Close, TcpReceiver};
use crate::it::support::until;
use crate::printers::Printers;

const LIMIT_BYTES: u64 = 64 << 20;
/// The time to catch up with what was printed meanwhile.
const RECOVERY: Duration = Duration::from_mins(3);
/// What is on its way while it is counted, in percent.
const KEEPS_UP: u64 = 95;

fn agent(receivers: &[&TcpReceiver]) -> Agent {
    let launch = Launch::optimised().env("DOWNSPOUT_MEMORY_LIMIT", LIMIT_BYTES.to_string());
    receivers.iter().fold(launch, |launch, receiver| launch.arg(receiver.route())).ready()
}

fn assert_sound(agent: &Agent, receivers: &[&TcpReceiver], expected: &Expected, name: &str) {
    for receiver in receivers {
        receiver.inbox.wait_complete(expected, RECOVERY);
        agent.assert_balance(&receiver.route());
        let tally = receiver.inbox.tally(expected);
        println!("{name}: {tally}");
        tally.assert_complete();
    }
    let peak = agent.peak_resident_bytes();
    println!("  {} KiB resident at most, {} descriptors", peak / 1024, agent.open_descriptors());
    assert!(peak <= LIMIT_BYTES, "{peak} bytes resident");
    assert_eq!(agent.metrics().value("task_panics_total"), 0);
}

fn take_down(receiver: &TcpReceiver, agent: &Agent) {
    receiver.refuse();
    receiver.close_all(Close::Fin);
    agent.wait_for("it is down", SOON, |m| m.of("destination_up", &receiver.route()) == 0);
}

/// F05: a destination that is down.
pub struct Down {
    agent: Agent,
    receiver: TcpReceiver,
}

impl Down {
    /// It is up yet.
    pub fn start() -> Self {
        let receiver = TcpReceiver::start();
        Self { agent: agent(&[&receiver]), receiver }
    }

    /// Takes it down for this long, and has the agent catch up at five times the live rate.
    pub fn hold(self, time: Duration, printers: &Printers) -> Self {
        take_down(&self.receiver, &self.agent);
        let (before, start) = (printers.printed(), Instant::now());
        std::thread::sleep(time);
        let (missing, lasted) = (printers.printed() - before, start.elapsed());
        self.receiver.accept_again();
        let (from, start) = (self.receiver.inbox.count() as u64, Instant::now());
        until("the agent catches up", lasted / 5 + SOON, || {
            let came = self.receiver.inbox.count() as u64 - from;
            crate::it::support::check(came >= missing, || format!("{came} of {missing}"))
        });
        let took = start.elapsed();
        println!("down (F05): {missing} lines of {lasted:.0?} were caught up with in {took:.1?}");
        self
    }

    /// All is there, once.
    pub fn finish(self, expected: &Expected) {
        assert_sound(&self.agent, &[&self.receiver], expected, "down (F05)");
    }
}

/// F40: a dead destination beside a healthy one.
pub struct Pair {
    agent: Agent,
    healthy: TcpReceiver,
    dead: TcpReceiver,
}

impl Pair {
    /// Both are well yet.
    pub fn start() -> Self {
        let (healthy, dead) = (TcpReceiver::start(), TcpReceiver::start());
        Self { agent: agent(&[&healthy, &dead]), healthy, dead }
    }

    /// One of them is dead for this long, which the other must not feel.
    pub fn hold(self, time: Duration, printers: &Printers) -> Self {
        take_down(&self.dead, &self.agent);
        let start = Instant::now();
        while start.elapsed() < time {
            std::thread::sleep((time / 4).max(Duration::from_secs(2)));
            printers.assert_keeps_up(self.healthy.inbox.count() as u64, KEEPS_UP);
        }
        let descriptors = self.agent.open_descriptors();
        self.dead.accept_again();
        println!("pair (F40): {descriptors} descriptors while one was dead");
        self
    }

    /// All is there, once, at both.
    pub fn finish(self, expected: &Expected) {
        assert_sound(&self.agent, &[&self.healthy, &self.dead], expected, "pair (F40)");
    }
}

/// F13: a link on which nothing comes for this long carries the next line at once.
pub fn idle(time: Duration) {
    let (engine, receiver) = (FakeEngine::start(Release::V24), TcpReceiver::start());
    let launch = Launch::optimised().env("DOCKER_HOST", engine.docker_host());
    let agent = launch.arg(receiver.route()).ready();
    let container = engine.container("quiet");
    container.print_numbers(Stream::Out, [1], 20);
    receiver.inbox.wait_lines("quiet", 1, SOON);
    let cpu = agent.cpu_time();
    std::thread::sleep(time);
    let cpu = agent.cpu_time().checked_sub(cpu).unwrap_or_default();
    let start = Instant::now();
    container.print_numbers(Stream::Out, [2], 20);
    let mut expected = Expected::new(20);
    expected.add("quiet", Stream::Out, 1..=2);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    println!(
        "idle (F13): after {time:.0?} a line came within {:.0?}; CPU {cpu:.0?}",
        start.elapsed()
    );
    assert!(cpu * 100 < time.max(Duration::from_secs(20)), "{cpu:?} of CPU while idle");
    agent.assert_balance(&receiver.route());
}
