//! A CloudWatch Logs that keeps to its contract more strictly than any emulator: every limit, every
//! signature, every index of a rejection, and faults by script. Keeps all that it accepted and all
//! that it was asked.

pub mod client;
pub mod clock;
pub mod contract;
mod received;
pub mod script;
mod service;
pub mod signature;
pub mod store;

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use self::clock::Clock;
use self::script::{Operation, Quota, Rule};
use self::service::{Shared, State};
use self::signature::{AccessKey, Keys};
use self::store::{Contents, Event, Group, Line};
use super::http::Server;
use super::numbers::{Expected, Tally};

/// Where it says that it is.
pub const REGION: &str = "eu-central-1";
/// What the JSON protocol 1.1 of AWS is called.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A running service. Knows `FakeCloudWatch::key` at first; has no groups.
pub struct FakeCloudWatch {
    /// Its connections, and what can happen to them.
    pub server: Server,
    /// Its clock: that of signatures, of limits and of the `Date` header.
    pub clock: Clock,
    /// The access keys that it knows.
    pub keys: Keys,
    shared: Arc<Shared>,
}

impl FakeCloudWatch {
    /// On a loopback port of its own.
    pub fn start() -> Self {
        let (clock, keys) = (Clock::default(), Keys::default());
        keys.add(&Self::key());
        let shared = Arc::new(Shared::new(clock.clone(), keys.clone()));
        let serving = shared.clone();
        let server = Server::start(move |request, client| serving.answer(request, client));
        Self { server, clock, keys, shared }
    }

    /// The key that it knows at first.
    pub fn key() -> AccessKey {
        AccessKey::lasting("AKIADOWNSPOUTTEST001", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    }

    /// `http://ADDRESS`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The variables with which an agent finds it and signs with its first key.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = Self::key().environment();
        variables.extend(self.environment_without_key());
        variables
    }

    /// The same without a key; never asks a metadata service unless told where one is.
    pub fn environment_without_key(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Makes a group, as somebody else would. Its retention is in days.
    pub fn create_group(&self, name: &str, retention: Option<u32>) {
        let class = "STANDARD".to_owned();
        let group = Group { retention, class, ..Group::default() };
        self.state().contents.groups.insert(name.to_owned(), group);
    }

    /// Makes a stream in a group, which is made as well if there is none.
    pub fn create_stream(&self, group: &str, stream: &str) {
        if !self.with(|contents| contents.groups.contains_key(group)) {
            self.create_group(group, None);
        }
        let mut state = self.state();
        let group = state.contents.groups.get_mut(group).unwrap();
        group.streams.insert(stream.to_owned());
    }

    /// Deletes a group with its streams; what it held still counts as accepted.
    pub fn delete_group(&self, name: &str) {
        self.state().contents.groups.remove(name).expect("there is such a group");
    }

    /// Deletes a stream; what it held still counts as accepted.
    pub fn delete_stream(&self, group: &str, stream: &str) {
        let mut state = self.state();
        let group = state.contents.groups.get_mut(group).expect("there is such a group");
        assert!(group.streams.remove(stream), "there is no stream {stream}");
    }

    /// Adds a rule behind those that there are; returns its number.
    pub fn script(&self, rule: Rule) -> usize {
        self.state().script.add(rule)
    }

    /// Takes a rule out.
    pub fn remove_rule(&self, number: usize) {
        self.state().script.remove(number);
    }

    /// Takes all rules, quotas and the latency out, and releases what hangs.
    pub fn behave(&self) {
        let mut state = self.state();
        state.script.clear();
        state.quotas.clear();
        state.latency = Duration::ZERO;
        state.releases += 1;
    }

    /// How many calls a rule has concerned so far.
    pub fn applied(&self, rule: usize) -> usize {
        self.state().script.applied(rule)
    }

    /// Lets the calls go on that hang now.
    pub fn release(&self) {
        self.state().releases += 1;
    }

    /// Throttles an operation beyond so many calls per second, and as many at once.
    pub fn set_quota(&self, operation: Operation, per_second: f64) {
        self.state().quotas.insert(operation, Quota::new(per_second));
    }

    /// Answers every call so much later.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Looks at all that it has seen so far.
    pub fn with<T>(&self, look: impl FnOnce(&Contents) -> T) -> T {
        look(&self.state().contents)
    }

    /// Waits until `look` is content; it is asked again whenever a call has come or ended.
    #[track_caller]
    pub fn wait<T>(
        &self,
        what: &str,
        bound: Duration,
        mut look: impl FnMut(&Contents) -> Result<T, String>,
    ) -> T {
        let start = Instant::now();
        let mut state = self.state();
        loop {
            let complaint = match look(&state.contents) {
                Ok(value) => return value,
                Err(complaint) => complaint,
            };
            let Some(left) = bound.checked_sub(start.elapsed()) else {
                drop(state);
                panic!("{what}: not within {bound:?}: {complaint}");
            };
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until no expected line is missing, and counts; `line` says what an event is.
    #[track_caller]
    pub fn wait_complete(
        &self,
        expected: &Expected,
        bound: Duration,
        line: impl Fn(&str, &str, &Event) -> Option<Line>,
    ) -> Tally {
        let wanted = usize::try_from(expected.count()).unwrap();
        self.wait("every numbered line arrives", bound, |contents| {
            // Counting is cheap until all could be here.
            if contents.count() < wanted {
                return Err(format!("{} of {wanted} events came", contents.count()));
            }
            let tally = contents.tally(expected, &line);
            tally.complete().map(|()| tally)
        })
    }

    /// No call was refused for what it said, unless the script wanted it.
    #[track_caller]
    pub fn assert_no_bad_request(&self) {
        self.with(Contents::assert_no_bad_request);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}
