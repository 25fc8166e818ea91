//! The producing end of a lane: what a reader does with it. Never waits for a peer.

use std::sync::Arc;

use tokio::sync::Notify;

use super::settled::Settled;
use super::state::{Lost, State, notice};
use super::{Lanes, Overflow, lock};
use crate::metrics::{DestinationMetrics, DropReason};
use crate::record::{Chunk, Container, Loss, LossReason, Resume, Timestamp};

/// The producing end of one lane. Dropping it closes the lane; what waits is still delivered.
#[derive(Debug)]
pub struct Lane {
    pub(super) id: u64,
    pub(super) lanes: Arc<Lanes>,
    pub(super) room: Arc<Notify>,
    pub(super) rewind: Arc<Notify>,
    pub(super) settled: Arc<Settled>,
}

/// What a reader hears of the destination's wish to have a log read again.
#[derive(Debug)]
pub struct Rewinds {
    id: u64,
    lanes: Arc<Lanes>,
    rewind: Arc<Notify>,
}

impl Lane {
    /// Whether this lane may take another chunk now.
    pub fn has_room(&self) -> bool {
        self.lanes.has_room(&lock(&self.lanes.state), self.id)
    }

    /// Waits until this lane may take another chunk.
    pub async fn room(&self) {
        loop {
            {
                let mut state = lock(&self.lanes.state);
                if self.lanes.has_room(&state, self.id) {
                    if let Some(slot) = state.slots.get_mut(&self.id) {
                        slot.held_up = None;
                    }
                    return;
                }
                if !state.waiting.contains(&self.id) {
                    state.waiting.push_back(self.id);
                }
                if let Some(slot) = state.slots.get_mut(&self.id) {
                    slot.held_up.get_or_insert_with(Timestamp::now);
                }
            }
            self.room.notified().await;
        }
    }

    /// Adds a chunk. Call it when there is room: a chunk is never refused. While the log has to
    /// be read again from further back, chunks are let go: they will come once more.
    pub fn push(&self, chunk: Chunk) {
        lock(&self.lanes.state).push(self.id, chunk, &self.lanes.metrics);
        self.lanes.filled.notify_one();
    }

    /// Adds a chunk that cannot be read again, whether there is room or not: what is given up for
    /// it is counted, and announced in its place in the stream.
    pub fn offer(&self, chunk: Chunk, overflow: Overflow) {
        let mut state = lock(&self.lanes.state);
        if overflow == Overflow::DropNewest && !self.lanes.has_room(&state, self.id) {
            self.lose(&mut state, &[chunk], false);
            return;
        }
        if overflow == Overflow::DropOldest {
            let used = state.queued_bytes + state.held_bytes + chunk.weight();
            let over = used.saturating_sub(self.lanes.budget_bytes);
            if over > 0 {
                let dropped = state.drop_oldest(self.id, over);
                self.lose(&mut state, &dropped, true);
            }
        }
        self.announce_newest(&mut state);
        state.push(self.id, chunk, &self.lanes.metrics);
        drop(state);
        self.lanes.filled.notify_one();
    }

    /// Says in the stream what its log has lost.
    pub fn announce(&self, loss: &Loss, container: &Container) {
        self.tell(loss, container);
        self.lanes.metrics.gaps.inc();
    }

    /// The same where no log has lost anything.
    pub fn tell(&self, loss: &Loss, container: &Container) {
        self.queue_notice(&mut lock(&self.lanes.state), loss, container);
        self.lanes.filled.notify_one();
    }

    /// Charges the budget for `bytes` of lines whose end was not read yet. False if that is too
    /// much: they should be given out as they are.
    pub fn hold(&self, bytes: usize) -> bool {
        let mut state = lock(&self.lanes.state);
        let Some(slot) = state.slots.get_mut(&self.id) else { return true };
        let before = std::mem::replace(&mut slot.held, bytes);
        state.held_bytes = state.held_bytes + bytes - before;
        state.held_bytes <= self.lanes.budget_bytes / 2 || bytes == 0
    }

    /// Tells when the log has to be read again.
    pub fn rewinds(&self) -> Rewinds {
        Rewinds { id: self.id, lanes: self.lanes.clone(), rewind: self.rewind.clone() }
    }

    /// Nothing more will come of this log for now: what was to be read again and did not come is
    /// lost.
    pub fn ended(&self) {
        let mut state = lock(&self.lanes.state);
        if let Some(slot) = state.slots.get_mut(&self.id)
            && slot.rewound.is_none()
        {
            slot.write_off(&self.lanes.metrics);
        }
    }

    /// Ends the lane, unless its log has to be read again: then tells from where. From here on
    /// nothing sends the reader back, so that nothing is let go that nobody would read.
    pub fn end(&self) -> Option<Resume> {
        let mut state = lock(&self.lanes.state);
        let resume = state.slots.get_mut(&self.id)?.take_rewind();
        if resume.is_none() {
            self.close(&mut state);
        }
        resume
    }

    /// What is read here cannot be read again, now or after a restart.
    pub fn never_returns(&self) {
        self.settled.never_returns();
    }

    /// Nothing of this log is wanted: if nothing was read, it is not remembered either.
    pub fn unwanted(&self) {
        let mut state = lock(&self.lanes.state);
        if self.settled.is_untouched() {
            state.known.retain(|_, settled| !Arc::ptr_eq(settled, &self.settled));
        }
    }

    /// How far the destination is in this log.
    pub fn settled(&self) -> &Arc<Settled> {
        &self.settled
    }

    /// The counters of the destination.
    pub fn metrics(&self) -> &DestinationMetrics {
        &self.lanes.metrics
    }

    fn lose(&self, state: &mut State, chunks: &[Chunk], oldest: bool) {
        let Some(slot) = state.slots.get_mut(&self.id) else { return };
        for chunk in chunks {
            let (lines, bytes) = (chunk.lines().len() as u64, chunk.text_bytes() as u64);
            if !oldest {
                self.lanes.metrics.read(lines, bytes);
            }
            self.lanes.metrics.dropped(DropReason::Overflow, lines, bytes);
            let Some(loss) = Loss::of(chunk, LossReason::Overflow) else { continue };
            let loss = slot.lost.take().map_or(loss, |lost| lost.loss.and(loss));
            slot.lost = Some(Lost { loss, container: chunk.container.clone(), oldest });
        }
    }

    fn close(&self, state: &mut State) {
        self.announce_newest(state);
        if let Some(slot) = state.slots.get_mut(&self.id) {
            slot.open = false;
            state.held_bytes -= std::mem::take(&mut slot.held);
        }
    }

    fn announce_newest(&self, state: &mut State) {
        let lost = state.slots.get_mut(&self.id).and_then(|slot| slot.lost.take_if(|l| !l.oldest));
        if let Some(Lost { loss, container, .. }) = lost {
            self.queue_notice(state, &loss, &container);
        }
    }

    fn queue_notice(&self, state: &mut State, loss: &Loss, container: &Container) {
        state.queue(self.id, notice(loss, container, &self.lanes.metrics));
    }
}

impl Rewinds {
    /// Waits until the log has to be read again, and tells from where. Until then, and from then
    /// on, chunks are taken; those that come between are let go.
    pub async fn next(&self) -> Resume {
        loop {
            let waiting = |state: &mut State| state.slots.get_mut(&self.id)?.take_rewind();
            if let Some(resume) = waiting(&mut lock(&self.lanes.state)) {
                return resume;
            }
            self.rewind.notified().await;
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut state = lock(&self.lanes.state);
        self.close(&mut state);
        state.producers -= 1;
        if state.slots.get(&self.id).is_some_and(|slot| slot.queue.is_empty()) {
            state.slots.remove(&self.id);
        }
        drop(state);
        self.lanes.filled.notify_one();
    }
}
