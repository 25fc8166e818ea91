//! The streams of a destination: what is being filled, what waits, what is on its way, and when
//! each is to be looked at. Never sends.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::unit::Unit;
use crate::backoff::Backoff;
use crate::store::{Batch, StreamName};

/// Empty batches kept for reuse, so that a busy stream allocates nothing.
const SPARE_BATCHES: usize = 2;

/// One stream.
#[derive(Debug)]
pub(super) struct OneStream {
    pub(super) name: Arc<StreamName>,
    /// Being filled.
    pub(super) open: Option<Open>,
    /// Full, and behind `current`.
    pub(super) ready: VecDeque<Unit>,
    /// The one that is on its way or was not taken yet.
    pub(super) current: Option<Unit>,
    pub(super) state: State,
    pub(super) backoff: Option<Backoff>,
    /// It has taken something in this run.
    pub(super) proven: bool,
    /// What was in its way last needs somebody to change something.
    pub(super) needs_somebody: bool,
    /// Lanes that are passed over until it goes on.
    pub(super) parked: Vec<u64>,
    scheduled: Option<Instant>,
    weight: usize,
}

/// A batch that is being filled.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) batch: Batch,
    /// What the ledger knows it by.
    pub(super) unit: u64,
    /// When its first event came.
    pub(super) since: Instant,
}

/// What a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is in its way.
    Idle,
    /// A batch is on its way.
    Flying,
    /// The last call failed; not before this again.
    Waiting(Instant),
}

impl OneStream {
    /// Whether nothing more should be read for it.
    pub(super) fn is_congested(&self) -> bool {
        !self.ready.is_empty() || matches!(self.state, State::Waiting(_))
    }

    /// Whether it holds nothing at all.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_none() && self.ready.is_empty() && self.current.is_none()
    }

    /// Whether its last call failed.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// When its oldest events came.
    pub(super) fn since(&self) -> Option<Instant> {
        let units = self.current.iter().chain(&self.ready).map(|unit| unit.since);
        units.chain(self.open.iter().map(|open| open.since)).min()
    }

    fn due(&self, flush: Duration) -> Option<Instant> {
        match self.state {
            State::Flying => None,
            State::Waiting(until) => Some(until),
            State::Idle => {
                let unit = self.current.as_ref().or_else(|| self.ready.front());
                let open = || self.open.as_ref().map(|open| open.since + flush);
                unit.map(|unit| unit.since).or_else(open)
            }
        }
    }

    fn weigh(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.batch.weight());
        let units = self.current.iter().chain(&self.ready).map(Unit::weight);
        open + units.sum::<usize>()
    }
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_id: HashMap<u64, OneStream>,
    by_name: HashMap<Arc<StreamName>, u64>,
    schedule: BTreeSet<(Instant, u64)>,
    last_id: u64,
    held: usize,
    spare: Vec<Batch>,
}

impl Streams {
    /// The stream of a name, made if it is new.
    pub(super) fn id_of(&mut self, name: StreamName) -> u64 {
        if let Some(id) = self.by_name.get(&name) {
            return *id;
        }
        self.last_id += 1;
        let name = Arc::new(name);
        let stream = OneStream {
            name: name.clone(),
            open: None,
            ready: VecDeque::new(),
            current: None,
            state: State::Idle,
            backoff: None,
            proven: false,
            needs_somebody: false,
            parked: Vec::new(),
            scheduled: None,
            weight: 0,
        };
        self.by_id.insert(self.last_id, stream);
        self.by_name.insert(name, self.last_id);
        self.last_id
    }

    /// One stream.
    pub(super) fn get(&mut self, id: u64) -> Option<&mut OneStream> {
        self.by_id.get_mut(&id)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &OneStream> {
        self.by_id.values()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Bytes of all that is held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// An empty batch with room from an earlier one.
    pub(super) fn empty_batch(&mut self) -> Batch {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes back a batch that was sealed.
    pub(super) fn recycle(&mut self, mut batch: Batch) {
        if self.spare.len() < SPARE_BATCHES {
            batch.clear();
            self.spare.push(batch);
        }
    }

    /// Whether none holds anything.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.by_id.values().all(OneStream::is_idle)
    }

    /// Notes what has changed in a stream: what it holds, and when it is to be looked at.
    pub(super) fn update(&mut self, id: u64, flush: Duration) {
        let Some(stream) = self.by_id.get_mut(&id) else { return };
        let weight = stream.weigh();
        self.held = self.held + weight - std::mem::replace(&mut stream.weight, weight);
        self.reschedule(id, flush);
    }

    /// Looks at a stream when it is due.
    pub(super) fn reschedule(&mut self, id: u64, flush: Duration) {
        let Some(stream) = self.by_id.get_mut(&id) else { return };
        let due = stream.due(flush);
        if due != stream.scheduled {
            if let Some(before) = stream.scheduled {
                self.schedule.remove(&(before, id));
            }
            if let Some(due) = due {
                self.schedule.insert((due, id));
            }
            stream.scheduled = due;
        }
    }

    /// Looks at all streams when they are due.
    pub(super) fn reschedule_all(&mut self, flush: Duration) {
        let ids: Vec<u64> = self.by_id.keys().copied().collect();
        for id in ids {
            self.reschedule(id, flush);
        }
    }

    /// The peer takes batches again: those that wait for nothing else wait no longer than
    /// `at_most`, each for a time of its own.
    pub(super) fn hasten(&mut self, now: Instant, at_most: Duration, flush: Duration) {
        for stream in self.by_id.values_mut().filter(|stream| !stream.needs_somebody) {
            if let State::Waiting(until) = &mut stream.state {
                *until = (*until).min(now + at_most.mul_f64(fastrand::f64()));
            }
        }
        self.reschedule_all(flush);
    }

    /// Looks at a stream no earlier than `at`.
    pub(super) fn postpone(&mut self, id: u64, at: Instant) {
        let Some(stream) = self.by_id.get_mut(&id) else { return };
        if let Some(before) = stream.scheduled.replace(at) {
            self.schedule.remove(&(before, id));
        }
        self.schedule.insert((at, id));
    }

    /// The stream that is to be looked at first, and when.
    pub(super) fn first(&self) -> Option<(Instant, u64)> {
        self.schedule.first().copied()
    }

    /// Of the batches that could go, the one with the most in it.
    pub(super) fn fullest(&self) -> Option<u64> {
        let could = self.by_id.iter().filter(|(_, stream)| stream.state == State::Idle);
        could.max_by_key(|(_, stream)| stream.weight).map(|(id, _)| *id)
    }

    /// Forgets streams that hold nothing, but for those that are `wanted`.
    pub(super) fn forget_idle(&mut self, wanted: impl Fn(u64) -> bool) {
        let Self { by_id, by_name, schedule, .. } = self;
        by_id.retain(|id, stream| {
            let keep = !stream.is_idle() || stream.is_waiting() || wanted(*id);
            if !keep {
                by_name.remove(&stream.name);
                if let Some(at) = stream.scheduled {
                    schedule.remove(&(at, *id));
                }
            }
            keep
        });
    }
}
