//! What a fake CloudWatch Logs keeps: groups and streams as they are now, every event that was
//! ever accepted, and every call.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::super::numbers::{Expected, Stream, Tally};
use super::contract::{
    self, Batch, CreateLogGroup, CreateLogStream, MOST_BATCH_BYTES, MOST_EVENTS,
    PutRetentionPolicy, Refusal, Rejection, TagResource, refuse,
};
use super::script::Operation;

/// A log group as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Days that it keeps its events; for ever if none.
    pub retention: Option<u32>,
    /// Its class.
    pub class: String,
    /// The key it is encrypted with.
    pub key: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The names of its streams.
    pub streams: BTreeSet<String>,
}

/// An event that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The line.
    pub message: String,
    /// The number of the call that brought it.
    pub call: usize,
}

/// What became of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The status of the reply; none if there was none.
    pub status: Option<u16>,
    /// The error's code.
    pub code: Option<String>,
    /// The error's text.
    pub message: Option<String>,
    /// Whether it had its effect.
    pub is_committed: bool,
    /// Whether the script decided it, not the contract.
    pub is_scripted: bool,
    /// What of its batch was not stored.
    pub rejection: Rejection,
}

/// A call as it came, and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// From 0, in the order of arrival.
    pub number: usize,
    /// What it asked for.
    pub operation: Operation,
    /// `logGroupName`, if there was one.
    pub group: Option<String>,
    /// `logStreamName`, if there was one.
    pub stream: Option<String>,
    /// The id of the key in its signature, valid or not.
    pub access_key: Option<String>,
    /// Events of its batch, if it could be read.
    pub events: usize,
    /// Counted bytes of its batch, if it could be read.
    pub counted_bytes: usize,
    /// Bytes of the body on the wire.
    pub wire_bytes: usize,
    /// Bytes of the JSON.
    pub json_bytes: usize,
    /// SHA-256 of the body on the wire, in hex: a retry of the same bytes has the same.
    pub digest: String,
    /// `Content-Encoding`.
    pub encoding: Option<String>,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// How many calls came before it on its connection.
    pub on_connection: usize,
    /// When it was whole.
    pub arrived: Instant,
    /// When its reply was ready; none while it is answered.
    pub finished: Option<Instant>,
    /// How many calls were being answered when it came, itself included.
    pub in_flight: usize,
    /// The same of `PutLogEvents` for its stream.
    pub in_flight_of_stream: usize,
    /// What became of it; none while it is answered.
    pub outcome: Option<Outcome>,
}

impl Call {
    /// The code of the error that it was refused with.
    pub fn code(&self) -> Option<&str> {
        self.outcome.as_ref()?.code.as_deref()
    }

    /// Whether it was answered with success.
    pub fn is_accepted(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| outcome.status == Some(200))
    }
}

/// Sums over the calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// All calls.
    pub calls: usize,
    /// `PutLogEvents` among them.
    pub puts: usize,
    /// Those that had their effect.
    pub committed_puts: usize,
    /// Events that were stored.
    pub events: usize,
    /// Events that were not stored, of batches that were; each counts once: what is too old is not
    /// expired as well.
    pub rejection: Rejection,
    /// Counted bytes of the batches that had their effect.
    pub counted_bytes: usize,
    /// Bytes of the bodies of all puts on the wire.
    pub wire_bytes: usize,
    /// How full the batches that had their effect were on average: the larger of the share of the
    /// bytes and of the events that are allowed.
    pub fill: f64,
    /// How many calls were refused, by code.
    pub refused: BTreeMap<String, usize>,
    /// Calls without a whole answer.
    pub unanswered: usize,
    /// The most calls that were being answered at a time.
    pub most_in_flight: usize,
    /// The same of puts for one stream.
    pub most_in_flight_of_stream: usize,
}

/// A line of a container, as `Expected` counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The container's name.
    pub container: String,
    /// Where it was printed; if unknown, its text says.
    pub stream: Option<Stream>,
    /// The line without its end.
    pub text: String,
}

/// All that a fake has seen.
#[derive(Debug, Default)]
pub struct Contents {
    /// The groups that there are now, by name.
    pub groups: BTreeMap<String, Group>,
    /// Every call, in the order of arrival.
    pub calls: Vec<Call>,
    accepted: BTreeMap<(String, String), Vec<Event>>,
    count: usize,
}

impl Contents {
    /// How many events were accepted.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Group and stream of all events that were accepted, also of what was deleted since.
    pub fn streams(&self) -> impl Iterator<Item = (&str, &str)> {
        self.accepted.keys().map(|(group, stream)| (group.as_str(), stream.as_str()))
    }

    /// The events of a stream in the order in which they were accepted.
    pub fn events(&self, group: &str, stream: &str) -> &[Event] {
        self.accepted.get(&(group.to_owned(), stream.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Their messages.
    pub fn texts(&self, group: &str, stream: &str) -> Vec<String> {
        self.events(group, stream).iter().map(|event| event.message.clone()).collect()
    }

    /// All events that were accepted, with group and stream, stream by stream.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &Event)> {
        self.accepted.iter().flat_map(|((group, stream), events)| {
            events.iter().map(move |event| (group.as_str(), stream.as_str(), event))
        })
    }

    /// How many events equal an earlier one of their stream, stamp included.
    pub fn duplicates(&self) -> usize {
        let repeats = |events: &Vec<Event>| {
            let distinct: BTreeSet<_> =
                events.iter().map(|event| (event.timestamp, &event.message)).collect();
            events.len() - distinct.len()
        };
        self.accepted.values().map(repeats).sum()
    }

    /// The calls of one operation.
    pub fn calls_of(&self, operation: &Operation) -> Vec<&Call> {
        self.calls.iter().filter(|call| call.operation == *operation).collect()
    }

    /// Counts numbered lines; `line` says what an event (with group and stream) is, if it is one.
    pub fn tally(
        &self,
        expected: &Expected,
        line: impl Fn(&str, &str, &Event) -> Option<Line>,
    ) -> Tally {
        let lines = self.all().filter_map(|(group, stream, event)| line(group, stream, event));
        let lines: Vec<_> = lines.collect();
        expected.tally_lines(
            lines.iter().map(|line| (line.container.as_str(), line.stream, line.text.as_bytes())),
        )
    }

    /// Sums over all calls so far.
    pub fn statistics(&self) -> Statistics {
        let mut sums = Statistics { calls: self.calls.len(), ..Statistics::default() };
        sums.events = self.count;
        for call in &self.calls {
            sums.add(call);
        }
        if sums.committed_puts > 0 {
            #[allow(clippy::cast_precision_loss, reason = "a count of calls")]
            let puts = sums.committed_puts as f64;
            sums.fill /= puts;
        }
        sums
    }

    /// No call was refused for what it said, unless the script wanted it.
    #[track_caller]
    pub fn assert_no_bad_request(&self) {
        let bad: Vec<_> = self.calls.iter().filter(|call| call.is_bad_request()).collect();
        assert!(bad.is_empty(), "{} bad requests, the first: {:?}", bad.len(), bad[0]);
    }

    /// Carries out what creates or changes groups and streams.
    pub fn change(&mut self, operation: &Operation, body: &[u8]) -> Result<(), Refusal> {
        match operation {
            Operation::CreateLogGroup => {
                let new = contract::parse::<CreateLogGroup>(body)?.check()?;
                if self.groups.contains_key(&new.name) {
                    let text = "The specified log group already exists";
                    return refuse("ResourceAlreadyExistsException", text);
                }
                let (class, key, tags) = (new.class, new.key, new.tags);
                let group = Group { class, key, tags, ..Group::default() };
                self.groups.insert(new.name, group);
            }
            Operation::CreateLogStream => {
                let (group, stream) = contract::parse::<CreateLogStream>(body)?.check()?;
                if !self.group(&group)?.streams.insert(stream) {
                    let text = "The specified log stream already exists";
                    return refuse("ResourceAlreadyExistsException", text);
                }
            }
            Operation::PutRetentionPolicy => {
                let (group, days) = contract::parse::<PutRetentionPolicy>(body)?.check()?;
                self.group(&group)?.retention = Some(days);
            }
            Operation::TagResource => {
                let (group, tags) = contract::parse::<TagResource>(body)?.check()?;
                let group = self.group(&group)?;
                let names = group.tags.keys().chain(tags.keys()).collect::<BTreeSet<_>>();
                if names.len() > 50 {
                    let text = "A resource can have no more than 50 tags.";
                    return refuse("TooManyTagsException", text);
                }
                group.tags.extend(tags);
            }
            Operation::PutLogEvents | Operation::Other(_) => {
                return Err(Refusal::new(404, "UnknownOperationException", ""));
            }
        }
        Ok(())
    }

    /// What of a batch would be stored at this time.
    pub fn check(&mut self, batch: &Batch, now: i64) -> Result<Rejection, Refusal> {
        let group = self.group(&batch.group)?;
        if !group.streams.contains(&batch.stream) {
            let text = "The specified log stream does not exist.";
            return refuse("ResourceNotFoundException", text);
        }
        batch.check(now, group.retention)
    }

    /// Stores what is not rejected.
    pub fn store(&mut self, call: usize, batch: Batch, rejection: Rejection) {
        let (first, end) = rejection.bounds(batch.events.len());
        let kept = batch.events.into_iter().skip(first).take(end - first);
        let events = self.accepted.entry((batch.group, batch.stream)).or_default();
        events.extend(kept.map(|(timestamp, message)| Event { timestamp, message, call }));
        self.count += end - first;
    }

    fn group(&mut self, name: &str) -> Result<&mut Group, Refusal> {
        let text = "The specified log group does not exist.";
        let missing = || Refusal::new(400, "ResourceNotFoundException", text);
        self.groups.get_mut(name).ok_or_else(missing)
    }
}

impl Call {
    fn is_bad_request(&self) -> bool {
        let codes = [
            "InvalidParameterException",
            "ValidationException",
            "SerializationException",
            "TooManyTagsException",
            "UnknownOperationException",
            "RequestEntityTooLargeException",
        ];
        self.outcome.as_ref().is_some_and(|outcome| {
            !outcome.is_scripted
                && outcome.code.as_deref().is_some_and(|code| codes.contains(&code))
        })
    }

    // Between 0 and 1.
    fn fill(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "below two to the 52")]
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        share(self.counted_bytes, MOST_BATCH_BYTES).max(share(self.events, MOST_EVENTS))
    }
}

impl Statistics {
    fn add(&mut self, call: &Call) {
        self.most_in_flight = self.most_in_flight.max(call.in_flight);
        self.most_in_flight_of_stream = self.most_in_flight_of_stream.max(call.in_flight_of_stream);
        let outcome = call.outcome.clone().unwrap_or_default();
        self.unanswered += usize::from(outcome.status.is_none());
        if let Some(code) = outcome.code {
            *self.refused.entry(code).or_default() += 1;
        }
        if call.operation != Operation::PutLogEvents {
            return;
        }
        self.puts += 1;
        self.wire_bytes += call.wire_bytes;
        if outcome.is_committed {
            self.committed_puts += 1;
            self.counted_bytes += call.counted_bytes;
            self.fill += call.fill();
            self.rejection.too_old += outcome.rejection.too_old;
            let Rejection { too_old, expired, .. } = outcome.rejection;
            self.rejection.expired += expired.saturating_sub(too_old);
            self.rejection.too_new += outcome.rejection.too_new;
        }
    }
}
