//! Bounded, fair queues between the followers of one destination and its `deliver` loop: the only
//! place where lines cross tasks. Never knows who reads and who sends.
//!
//! Waiting bytes are charged to the destination's budget, lines whose end was not read yet
//! included. A quarter of the budget is kept for lanes that hold nothing, so that no busy
//! neighbour can starve a quiet one; the rest is shared, up to 1 MiB for one lane. `next` visits lanes in deficit round
//! robin, by bytes.

mod producer;
mod settled;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::metrics::{DestinationMetrics, gauge_value};
use crate::record::{Chunk, Container, Cursor, Resume, Timestamp};

pub use producer::{Lane, Rewinds};
use settled::Moved;
pub use settled::Settled;
use state::{Slot, State};

/// What a lane may take per visit, in bytes: about the size of a chunk, so that a visit of a
/// flooding lane delays a quiet one by no more than that.
const QUANTUM: usize = 32 * 1024;

/// What waits in one lane, in bytes, before the reader of a log is held up: some batches ahead.
/// More would only take memory and leave the processor's cache, for the log has it.
const LANE_BYTES: usize = 1 << 20;

/// What outlives the agent of one destination: what a checkpoint holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// When the destination was first shipped to. What was printed before is not wanted of a
    /// container that is not in `logs`.
    pub since: Timestamp,
    /// Where to go on, by container id.
    pub logs: BTreeMap<String, Resume>,
}

/// What to give up where there is no log to return to and no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// What waits longest.
    DropOldest,
    /// What has just come.
    DropNewest,
}

/// All lanes of one destination.
#[derive(Debug)]
pub struct Lanes {
    state: Mutex<State>,
    filled: Notify,
    budget_bytes: usize,
    since: Timestamp,
    moved: Arc<Moved>,
    metrics: DestinationMetrics,
}

/// A chunk with the cursor that it settles.
#[derive(Debug)]
pub struct Picked {
    /// Which lane it came from; an encoder keeps what a container's lines share under this.
    pub lane: u64,
    /// The lines.
    pub chunk: Chunk,
    /// What to advance once they are acknowledged.
    pub settled: Arc<Settled>,
}

impl Lanes {
    /// No lanes yet. `budget_bytes` bounds what waits in all of them, but for one chunk per
    /// reader that runs at the same time. `kept` is where an earlier run has ended.
    pub fn new(budget_bytes: usize, kept: Kept, metrics: DestinationMetrics) -> Arc<Self> {
        let moved = Arc::new(Moved::new());
        let known = kept.logs.into_iter().map(|(id, resume)| {
            let settled = Arc::new(Settled::new(resume, moved.clone()));
            (id, settled)
        });
        let state = State { known: known.collect(), ..State::default() };
        Arc::new(Self {
            state: Mutex::new(state),
            filled: Notify::new(),
            budget_bytes,
            since: kept.since,
            moved,
            metrics,
        })
    }

    /// A new lane for one container's log. It goes on where the destination is in that log; if it
    /// was never there, `first` is its floor.
    pub fn open(self: &Arc<Self>, container: &Container, first: Option<Timestamp>) -> Lane {
        self.open_in(&mut lock(&self.state), container, first)
    }

    /// The same for a log of which nothing before `first` is wanted, wherever the destination was
    /// in it: what was printed meanwhile was not for it.
    pub fn open_at(self: &Arc<Self>, container: &Container, first: Timestamp) -> Lane {
        let mut state = lock(&self.state);
        state.known.remove(&container.id);
        self.open_in(&mut state, container, Some(first))
    }

    fn open_in(
        self: &Arc<Self>,
        state: &mut State,
        container: &Container,
        first: Option<Timestamp>,
    ) -> Lane {
        state.next_id += 1;
        state.producers += 1;
        let id = state.next_id;
        let known = state.known.entry(container.id.clone()).or_insert_with(|| {
            let resume = Resume { floor: first, ..Resume::default() };
            Arc::new(Settled::new(resume, self.moved.clone()))
        });
        let settled = known.clone();
        settled.opened(id);
        let slot = Slot::new(settled.clone());
        let lane = Lane {
            id,
            lanes: self.clone(),
            room: slot.room.clone(),
            rewind: slot.rewind.clone(),
            settled,
        };
        state.slots.insert(id, slot);
        lane
    }

    /// When the destination was first shipped to, in this run or an earlier one.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether the destination was in this container's log before.
    pub fn knows(&self, container_id: &str) -> bool {
        lock(&self.state).known.contains_key(container_id)
    }

    /// Whether the destination was in the log of any container whose id begins with this.
    pub fn knows_some(&self, id: &str) -> bool {
        let state = lock(&self.state);
        let next = state.known.range(id.to_owned()..).next();
        next.is_some_and(|(known, settled)| known.starts_with(id) && !settled.is_gone())
    }

    /// The container was removed: once all of it is delivered, it is forgotten.
    pub fn gone(&self, container_id: &str) {
        let mut state = lock(&self.state);
        if let Some(settled) = state.known.get(container_id) {
            settled.gone();
        }
        state.prune();
    }

    /// Only these containers exist: all others are gone.
    pub fn retain(&self, there: &HashSet<&str>) {
        let mut state = lock(&self.state);
        for (id, settled) in &state.known {
            if !there.contains(id.as_str()) {
                settled.gone();
            }
        }
        state.prune();
    }

    /// Waits until `kept` has something.
    pub async fn moved(&self) {
        self.moved.wait().await;
    }

    /// What to keep, if anything moved since the last call.
    pub fn kept(&self) -> Option<Kept> {
        if !self.moved.take() {
            return None;
        }
        let mut state = lock(&self.state);
        state.prune();
        let logs = state.known.iter().filter(|(_, settled)| settled.returns());
        let logs = logs.map(|(id, settled)| (id.clone(), settled.kept())).collect();
        Some(Kept { since: self.since, logs })
    }

    /// No more lanes will be opened: once all are closed and empty, `next` ends.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_one();
    }

    /// Waits for chunks and picks about `want` bytes of them, fairly. At least one; none at all
    /// only after the end.
    pub async fn next(&self, want: usize) -> Vec<Picked> {
        self.next_but(want, &HashSet::new()).await
    }

    /// The same, of all lanes but those `passed_over`: what waits in them stays, and is waited for
    /// before the end.
    pub async fn next_but(&self, want: usize, passed_over: &HashSet<u64>) -> Vec<Picked> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = lock(&self.state);
                let picked = state.pick(want, passed_over, &self.metrics);
                let used = state.queued_bytes + state.held_bytes;
                state.wake(
                    self.budget_bytes.saturating_sub(used),
                    self.shared_bytes().saturating_sub(used),
                );
                let ended = state.closed && state.producers == 0 && state.active.is_empty();
                if !picked.is_empty() || ended {
                    return picked;
                }
            }
            filled.await;
            // Others that were woken at the same moment fill their lanes first: one batch, not many.
            tokio::task::yield_now().await;
        }
    }

    /// Sends the reader of a log back to `to`: what waits of it is let go, and `sent` lines that
    /// were picked and are not counted as delivered are the caller's to let go. False if the log
    /// cannot be read again; then nothing was done.
    pub fn rewind(&self, settled: &Settled, to: Cursor, sent: u64) -> bool {
        let returned = lock(&self.state).rewind(settled.lane(), to, sent);
        self.metrics.lines_replayed.inc_by(returned.unwrap_or(0));
        returned.is_some()
    }

    /// Lets go of what waits and is in no log: the agent ends. Returns lines and bytes.
    pub fn abandon(&self) -> (u64, u64) {
        let mut state = lock(&self.state);
        let lost: Vec<u64> = state
            .slots
            .iter()
            .filter(|(_, slot)| !slot.settled.is_in_log())
            .map(|(id, _)| *id)
            .collect();
        let dropped = lost.into_iter().flat_map(|id| state.drop_oldest(id, usize::MAX));
        dropped.fold((0, 0), |(lines, bytes), chunk| {
            (lines + chunk.lines().len() as u64, bytes + chunk.text_bytes() as u64)
        })
    }

    /// Shows how full the lanes are, and how late their lines.
    pub fn look(&self) {
        let now = Timestamp::now();
        let state = lock(&self.state);
        let behind = state.slots.values().filter(|slot| slot.open).map(|slot| slot.behind(now));
        let behind = behind.max().unwrap_or(0);
        let oldest = state.known.values().filter_map(|settled| settled.oldest()).min();
        let used = state.queued_bytes + state.held_bytes;
        drop(state);
        let late = oldest.map_or(0, |oldest| now.nanos() - oldest.nanos());
        self.metrics.source_lag.set(seconds(behind));
        self.metrics.delivery_lag.set(seconds(late));
        self.metrics.lane_bytes.set(gauge_value(used));
    }

    /// Bytes that wait in all lanes.
    pub fn queued_bytes(&self) -> usize {
        lock(&self.state).queued_bytes
    }

    /// Lanes that are open or hold something.
    pub fn count(&self) -> usize {
        lock(&self.state).slots.len()
    }

    /// True while lane `id` is open or holds something.
    pub fn has(&self, id: u64) -> bool {
        lock(&self.state).slots.contains_key(&id)
    }

    /// The counters of the destination that these lanes belong to.
    pub fn metrics(&self) -> &DestinationMetrics {
        &self.metrics
    }

    fn has_room(&self, state: &State, id: u64) -> bool {
        let used = state.queued_bytes + state.held_bytes;
        let Some(slot) = state.slots.get(&id) else { return used < self.budget_bytes };
        let may_share = used < self.shared_bytes() && !slot.is_full();
        may_share || (used < self.budget_bytes && slot.queue.is_empty())
    }

    fn shared_bytes(&self) -> usize {
        self.budget_bytes - self.budget_bytes / 4
    }
}

// A clock that went back is no lead.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds are shown as seconds")]
fn seconds(nanos: i64) -> f64 {
    nanos.max(0) as f64 / 1e9
}

// A panic while the lock is held leaves plain counts and queues behind: still usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
