//! The agent with a CloudWatch Logs that keeps to its contract: lines are counted at the service,
//! and what the agent asked of it is the oracle of how it behaves. The ids are those of the fault
//! matrix.

mod bad_events;
mod configuration;
mod connections;
mod credentials;
mod failures;
mod groups;
mod isolation;
mod limits;
mod pace;
mod proxy;
mod region;
mod restarts;

use std::time::Duration;

use crate::support::agent::{Agent, Launch};
use crate::support::cloudwatch::store::{Call, Event, Line};
use crate::support::cloudwatch::{FakeCloudWatch, REGION};
use crate::support::numbers::{Expected, Stream, Tally, text};
use crate::support::{SOON, check, until};

/// The name of the destination in log and metrics.
const DESTINATION: &str = "cloudwatch://eu-central-1";
const GROUP: &str = "g";
/// Of numbered lines, in bytes.
const WIDTH: usize = 60;
/// Longer than any test waits: where the number of repeats is to be seen, and not their delay.
const PATIENCE: Duration = Duration::from_mins(1);

/// A route to the group `g`; its streams are called like the containers.
fn route(options: &str) -> String {
    let flush = if options.contains("&flush=") { "" } else { "&flush=50ms" };
    format!("cloudwatch://{REGION}?group={GROUP}{flush}{options}")
}

/// An agent with more variables.
fn with(launch: Launch, variables: Vec<(&'static str, String)>) -> Launch {
    variables.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

/// An agent that finds the service by its environment and makes what is missing.
fn aimed(launch: Launch, service: &FakeCloudWatch, options: &str) -> Launch {
    with(launch, service.environment())
        .env("DOWNSPOUT_BACKOFF_MAX", "500ms")
        .arg(route(&format!("&create_group=true{options}")))
}

/// The same for lines that the test feeds, once it is ready.
#[track_caller]
fn fed(service: &FakeCloudWatch, options: &str) -> Agent {
    aimed(Launch::fed(), service, options).ready()
}

/// What an event is: streams are called like the containers.
#[expect(clippy::unnecessary_wraps, reason = "what the service's count asks for")]
fn line(_: &str, stream: &str, event: &Event) -> Option<Line> {
    Some(Line { container: stream.to_owned(), stream: None, text: event.message.clone() })
}

/// The same numbers on standard output of each of these containers.
fn numbered<'a>(containers: impl IntoIterator<Item = &'a str>, lines: u64) -> Expected {
    let mut expected = Expected::new(WIDTH);
    for container in containers {
        expected.add(container, Stream::Out, 1..=lines);
    }
    expected
}

/// Lines that come one after the other: what is expected grows with what is fed.
struct Growing {
    containers: Vec<String>,
    lines: u64,
}

impl Growing {
    /// Of `PREFIX-1` and so on.
    fn new(prefix: &str, containers: usize) -> Self {
        let name = |number| format!("{prefix}-{number}");
        Self { containers: (1..=containers).map(name).collect(), lines: 0 }
    }

    /// Feeds the next line of each container.
    #[track_caller]
    fn feed(&mut self, agent: &mut Agent) {
        self.lines += 1;
        let text = text(Stream::Out, self.lines, WIDTH);
        let lines = self.containers.iter().map(|name| format!("{name} stdout {text}\n"));
        agent.feed(&lines.collect::<String>());
    }

    /// All lines so far.
    fn expected(&self) -> Expected {
        numbered(self.containers.iter().map(String::as_str), self.lines)
    }

    /// Feeds a line of each container and waits until all have come.
    #[track_caller]
    fn ship(&mut self, agent: &mut Agent, service: &FakeCloudWatch) {
        self.feed(agent);
        service.wait_complete(&self.expected(), PATIENCE, line);
    }
}

/// Everything that is expected comes, in order and with at most so many repeats, no call was a bad
/// request, and the agent's counters say so.
#[track_caller]
fn assert_all_came(service: &FakeCloudWatch, agent: &Agent, expected: &Expected, repeats: u64) {
    service.wait_complete(expected, PATIENCE, line);
    agent.assert_balance(DESTINATION);
    tally(service, expected).assert_at_most_repeated(repeats);
    service.assert_no_bad_request();
}

fn tally(service: &FakeCloudWatch, expected: &Expected) -> Tally {
    service.with(|contents| contents.tally(expected, line))
}

/// The calls so far of which this holds.
fn calls(service: &FakeCloudWatch, wanted: impl Fn(&Call) -> bool) -> Vec<Call> {
    service.with(|contents| contents.calls.iter().filter(|call| wanted(call)).cloned().collect())
}

/// Lines that the agent has dropped for this reason.
fn dropped(agent: &Agent, reason: &str) -> u64 {
    agent.metrics().labelled("lines_dropped_total", DESTINATION, ("reason", reason))
}

/// Calls of the agent that ended like this.
fn puts(agent: &Agent, outcome: &str) -> u64 {
    agent.metrics().labelled("cloudwatch_puts_total", DESTINATION, ("outcome", outcome))
}

#[track_caller]
fn wait_ready(agent: &Agent, is_ready: bool) {
    until("readiness", SOON, || {
        let (status, body) = agent.page("/readyz");
        check(status == if is_ready { 200 } else { 503 }, || format!("{status} {body}"))
    });
}
