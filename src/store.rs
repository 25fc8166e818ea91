//! A peer that keeps streams of events: it takes them batch by batch, several streams side by
//! side, and answers each batch as a whole. The trait, and what a batch is.
//!
//! A store, which is an output, never decides when a batch is due, never tries one again and never sees a cursor;
//! `deliver` does that.

mod batch;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::record::{Container, Stream, Timestamp};
use crate::template::Needs;

pub use batch::{Batch, Event};

/// Where events go: streams stand in groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    /// The group.
    pub group: String,
    /// The stream in it.
    pub stream: String,
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.group, self.stream)
    }
}

/// What a store takes, and how it likes to be served.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Counted bytes of a batch at most: text and `event_overhead_bytes` for each event.
    pub batch_bytes: usize,
    /// Events of a batch at most.
    pub batch_events: usize,
    /// What an event counts beside its text, in bytes.
    pub event_overhead_bytes: usize,
    /// From the earliest event of a batch to its latest at most.
    pub span: Duration,
    /// Older events are not taken.
    pub oldest: Duration,
    /// Events further ahead of the store's clock are not taken.
    pub newest: Duration,
    /// How long the first event of a batch waits for others.
    pub flush: Duration,
    /// Batches on their way at most, one for each stream.
    pub in_flight: usize,
    /// What a line without text becomes; nothing at all if there is nothing that it may be.
    pub empty_line: Option<&'static str>,
}

impl Terms {
    /// The longest text of an event, in bytes.
    pub fn event_bytes(&self) -> usize {
        self.batch_bytes - self.event_overhead_bytes
    }
}

/// Which properties of a line, beside its container, decide where it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Varies {
    /// Whether it was printed on standard output or standard error.
    pub by_stream: bool,
    /// The day, in UTC, on which it was printed.
    pub by_day: bool,
}

/// A batch as it goes over the wire, again and again if need be.
#[derive(Debug)]
pub struct Sealed {
    /// The body of the request.
    pub body: Bytes,
    /// Whether `body` is compressed.
    pub gzip: bool,
    /// Its events, in the order in which they stand in the body.
    pub events: Vec<SealedEvent>,
}

/// One event of a sealed batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedEvent {
    /// When its line was printed, in milliseconds since 1970.
    pub time: i64,
    /// Where it ends in the body before that was compressed.
    pub end: u32,
    /// Bytes of its text.
    pub text_bytes: u32,
    /// Whether its line ends with it.
    pub ends_line: bool,
}

/// Lines, and the text of events in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Events.
    pub events: u64,
    /// Lines that end with one of them.
    pub lines: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
}

impl Sealed {
    /// What some of its events amount to.
    pub fn count(&self, events: Range<usize>) -> Count {
        let end = events.end.min(self.events.len());
        let events = self.events.get(events.start.min(end)..end).unwrap_or_default();
        let mut count = Count { events: events.len() as u64, ..Count::default() };
        for event in events {
            count.lines += u64::from(event.ends_line);
            count.text_bytes += u64::from(event.text_bytes);
        }
        count
    }

    /// What all of its events amount to.
    pub fn total(&self) -> Count {
        self.count(0..self.events.len())
    }

    /// What it takes in memory, in bytes.
    pub fn weight(&self) -> usize {
        self.body.len() + self.events.len() * size_of::<SealedEvent>()
    }
}

/// What a store said to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It has the batch, but for the events that it refuses.
    Taken(Refused),
    /// It has nothing, or nothing is known: the same again later.
    Again {
        /// What kind of failure it was.
        trouble: Trouble,
        /// What happened, for the log.
        why: String,
    },
    /// One of the events, or all of them, can never succeed.
    Invalid {
        /// What the store said, for the log.
        why: String,
    },
}

/// The events of a batch that the store will never take, by their index in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// All before this one are too old.
    pub too_old_end: usize,
    /// All before this one are older than the group keeps events.
    pub expired_end: usize,
    /// From this one on they lie too far in the future.
    pub too_new_start: Option<usize>,
}

/// Why a batch was not taken. A closed set: each has a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Too many calls.
    Throttled,
    /// The service failed, and says so.
    Unavailable,
    /// No answer: whether the batch was taken is not known.
    Unanswered,
    /// No answer on a connection that had been idle: likely closed before the request came.
    Stale,
    /// Not even a connection.
    Unreachable,
    /// No credentials, or none that count.
    Credentials,
    /// The credentials do not allow it.
    Denied,
    /// The stream or its group is not there and was not made.
    Missing,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::Unavailable,
        Self::Unanswered,
        Self::Stale,
        Self::Unreachable,
        Self::Credentials,
        Self::Denied,
        Self::Missing,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unanswered => "unanswered",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
            Self::Credentials => "credentials",
            Self::Denied => "denied",
            Self::Missing => "missing",
        }
    }

    /// Whether the store may have taken the batch all the same.
    pub fn is_ambiguous(self) -> bool {
        matches!(self, Self::Unanswered | Self::Stale | Self::Unavailable)
    }

    /// Whether somebody has to change something, so that trying often is of no use.
    pub fn needs_somebody(self) -> bool {
        matches!(self, Self::Credentials | Self::Denied | Self::Missing)
    }
}

/// One peer that keeps streams.
pub trait Store: Send + Sync + fmt::Debug {
    /// What it takes.
    fn terms(&self) -> Terms;

    /// Finds out what every put needs, and whether the peer can be reached at all. Returns what it
    /// is connected to, for the log.
    fn connect(&self) -> BoxFuture<'_, Result<String, String>>;

    /// Does what has to be done beside the puts, for ever.
    fn tend(&self) -> BoxFuture<'_, ()>;

    /// Which properties of a line decide where it goes.
    fn varies(&self) -> Varies;

    /// What has to be known of a container for that, beside its name.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Where the lines of a container go that were printed on this stream and this day. Asked only
    /// after `connect`.
    fn stream_of(&self, container: &Container, stream: Stream, time: Timestamp) -> StreamName;

    /// The time by the store's clock.
    fn now(&self) -> Timestamp;

    /// Makes of a batch, in the order of its events, what goes over the wire.
    fn seal(&self, name: &StreamName, batch: &Batch) -> Sealed;

    /// The same with some of its events only.
    fn cut(&self, sealed: &Sealed, events: Range<usize>) -> Sealed;

    /// Hands over one batch.
    fn put(
        self: Arc<Self>,
        name: Arc<StreamName>,
        sealed: Arc<Sealed>,
    ) -> BoxFuture<'static, Reply>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_where_they_end() {
        let event = |ends_line| SealedEvent { time: 0, end: 1, text_bytes: 3, ends_line };
        let events = [true, false, false, true, true, false].map(event).to_vec();
        let sealed = Sealed { body: Bytes::new(), gzip: false, events };
        for (range, events, lines) in [
            (0..6, 6, 3),
            (0..1, 1, 1),
            (0..3, 3, 1),
            (3..6, 3, 2),
            (5..6, 1, 0),
            (4..99, 2, 1),
            (9..12, 0, 0),
        ] {
            let count = Count { events, lines, text_bytes: 3 * events };
            assert_eq!(sealed.count(range.clone()), count, "{range:?}");
        }
        assert_eq!(sealed.total().lines, 3);
    }
}
