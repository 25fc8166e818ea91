//! Bounded, fair queues between the followers of one destination and its `deliver` loop: the only
//! place where lines cross tasks. Never knows who reads and who sends.
//!
//! Waiting bytes are charged to the destination's budget. A lane may always hold one chunk, so
//! that no busy neighbour can starve it; beyond that, lanes share the budget. `next` visits lanes
//! in deficit round robin, by bytes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::metrics::DestinationMetrics;
use crate::record::{Chunk, Container, Cursor, Line, Resume, Timestamp};

/// What a lane may take per visit, in bytes: about the size of a chunk, so that a visit of a
/// flooding lane delays a quiet one by no more than that.
const QUANTUM: usize = 32 * 1024;

/// What outlives the agent of one destination: what a checkpoint holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// When the destination was first shipped to. What was printed before is not wanted of a
    /// container that is not in `logs`.
    pub since: Timestamp,
    /// Where to go on, by container id.
    pub logs: BTreeMap<String, Resume>,
}

/// All lanes of one destination.
#[derive(Debug)]
pub struct Lanes {
    state: Mutex<State>,
    filled: Notify,
    budget_bytes: usize,
    metrics: DestinationMetrics,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<u64, Slot>,
    active: VecDeque<u64>,
    waiting: VecDeque<u64>,
    queued_bytes: usize,
    next_id: u64,
    producers: usize,
    closed: bool,
}

#[derive(Debug)]
struct Slot {
    queue: VecDeque<Chunk>,
    deficit: usize,
    room: Arc<Notify>,
    settled: Arc<Settled>,
    open: bool,
}

/// How far a destination has acknowledged one container's log.
#[derive(Debug)]
pub struct Settled {
    container_id: String,
    cursor: Mutex<Cursor>,
}

impl Settled {
    /// The container whose log it is.
    pub fn container_id(&self) -> &str {
        &self.container_id
    }

    /// The place up to which everything is acknowledged.
    pub fn cursor(&self) -> Cursor {
        *lock(&self.cursor)
    }

    /// Moves the cursor over `lines`, which were acknowledged in their order.
    pub fn advance(&self, lines: &[Line]) {
        lock(&self.cursor).advance_over(lines);
    }
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

/// The producing end of one lane. Dropping it closes the lane; what waits is still delivered.
#[derive(Debug)]
pub struct Lane {
    id: u64,
    lanes: Arc<Lanes>,
    room: Arc<Notify>,
    settled: Arc<Settled>,
}

impl Lanes {
    /// No lanes yet. `budget_bytes` bounds what waits in all of them, one chunk a lane excepted.
    pub fn new(budget_bytes: usize, metrics: DestinationMetrics) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::default()),
            filled: Notify::new(),
            budget_bytes,
            metrics,
        })
    }

    /// A new lane for one container's log.
    pub fn open(self: &Arc<Self>, container: &Container) -> Lane {
        let room = Arc::new(Notify::new());
        let settled = Arc::new(Settled {
            container_id: container.id.clone(),
            cursor: Mutex::new(Cursor::default()),
        });
        let mut state = lock(&self.state);
        state.next_id += 1;
        state.producers += 1;
        let id = state.next_id;
        let slot = Slot {
            queue: VecDeque::new(),
            deficit: 0,
            room: room.clone(),
            settled: settled.clone(),
            open: true,
        };
        state.slots.insert(id, slot);
        Lane { id, lanes: self.clone(), room, settled }
    }

    /// No more lanes will be opened: once all are closed and empty, `next` ends.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_one();
    }

    /// Waits for chunks and picks about `want` bytes of them, fairly. At least one; none at all
    /// only after the end.
    pub async fn next(&self, want: usize) -> Vec<Picked> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = lock(&self.state);
                let picked = state.pick(want, self.budget_bytes);
                if !picked.is_empty() || (state.closed && state.producers == 0) {
                    return picked;
                }
            }
            filled.await;
        }
    }

    fn has_room(&self, state: &State, id: u64) -> bool {
        state.queued_bytes < self.budget_bytes
            || state.slots.get(&id).is_none_or(|slot| slot.queue.is_empty())
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
}

impl State {
    fn pick(&mut self, want: usize, budget: usize) -> Vec<Picked> {
        let mut picked = Vec::new();
        let mut bytes = 0;
        while bytes < want
            && let Some(id) = self.active.pop_front()
        {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.deficit += QUANTUM;
            while let Some(chunk) = slot.queue.front()
                && chunk.weight() <= slot.deficit
                && bytes < want
            {
                slot.deficit -= chunk.weight();
                bytes += chunk.weight();
                self.queued_bytes -= chunk.weight();
                if let Some(chunk) = slot.queue.pop_front() {
                    picked.push(Picked { lane: id, chunk, settled: slot.settled.clone() });
                }
            }
            if slot.queue.is_empty() {
                slot.deficit = 0;
                slot.room.notify_one();
                if !slot.open {
                    self.slots.remove(&id);
                }
            } else {
                // A lane that was cut short by the end of the batch keeps its turn's credit.
                self.active.push_back(id);
            }
            // Going round again with larger deficits ends: a chunk's weight is bounded.
        }
        self.wake(budget);
        picked
    }

    // Wakes as many of the lanes that wait for shared room as there is room for, first come.
    fn wake(&mut self, budget: usize) {
        let mut free = budget.saturating_sub(self.queued_bytes);
        while free >= QUANTUM
            && let Some(id) = self.waiting.pop_front()
        {
            if let Some(slot) = self.slots.get(&id) {
                slot.room.notify_one();
                free -= QUANTUM;
            }
        }
    }
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
                    return;
                }
                if !state.waiting.contains(&self.id) {
                    state.waiting.push_back(self.id);
                }
            }
            self.room.notified().await;
        }
    }

    /// Adds a chunk. Call it after `room`: a chunk is never refused, so the budget is exceeded by
    /// at most one chunk a lane.
    pub fn push(&self, chunk: Chunk) {
        let lines = chunk.lines().len();
        let metrics = &self.lanes.metrics;
        metrics.lines_read.inc_by(lines as u64);
        metrics.bytes_read.inc_by(chunk.text_bytes() as u64);
        metrics.lines_in_flight.add(i64::try_from(lines).unwrap_or(i64::MAX));
        let mut state = lock(&self.lanes.state);
        state.queued_bytes += chunk.weight();
        if let Some(slot) = state.slots.get_mut(&self.id) {
            let was_empty = slot.queue.is_empty();
            slot.queue.push_back(chunk);
            if was_empty {
                state.active.push_back(self.id);
            }
        }
        drop(state);
        self.lanes.filled.notify_one();
    }

    /// How far the destination has acknowledged this log.
    pub fn settled(&self) -> &Arc<Settled> {
        &self.settled
    }

    /// The counters of the destination.
    pub fn metrics(&self) -> &DestinationMetrics {
        &self.lanes.metrics
    }

    /// Removes what waits and is older than needed to make room for `bytes`, for a source that
    /// cannot be read again. Returns lines and bytes removed.
    pub fn drop_oldest(&self, bytes: usize) -> (u64, u64) {
        let mut state = lock(&self.lanes.state);
        let over = (state.queued_bytes + bytes).saturating_sub(self.lanes.budget_bytes);
        let (mut freed, mut lines, mut text) = (0, 0, 0);
        let Some(slot) = state.slots.get_mut(&self.id) else { return (0, 0) };
        while freed < over
            && let Some(chunk) = slot.queue.pop_front()
        {
            freed += chunk.weight();
            lines += chunk.lines().len() as u64;
            text += chunk.text_bytes() as u64;
        }
        if slot.queue.is_empty() {
            let id = self.id;
            state.active.retain(|active| *active != id);
        }
        state.queued_bytes -= freed;
        self.lanes.metrics.lines_in_flight.sub(i64::try_from(lines).unwrap_or(i64::MAX));
        (lines, text)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut state = lock(&self.lanes.state);
        state.producers -= 1;
        if let Some(slot) = state.slots.get_mut(&self.id) {
            slot.open = false;
            if slot.queue.is_empty() {
                state.slots.remove(&self.id);
            }
        }
        drop(state);
        self.lanes.filled.notify_one();
    }
}

// A panic while the lock is held leaves plain counts and queues behind: still usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::metrics::Metrics;
    use crate::record::{ChunkBuilder, Mark, Place, Stream, Timestamp};

    fn container(name: &str) -> Arc<Container> {
        Arc::new(Container { id: name.into(), name: name.into(), ..Container::default() })
    }

    fn chunk(container: &Arc<Container>, number: i64, bytes: usize) -> Chunk {
        let mut builder = ChunkBuilder::default();
        let time = Timestamp::from_nanos(number);
        let mark = Mark { time, pieces: 1 };
        builder.push(&vec![b'x'; bytes], b"", Place { time, stream: Stream::Stdout, mark });
        builder.take(container).unwrap()
    }

    fn lanes(budget: usize) -> Arc<Lanes> {
        Lanes::new(budget, Metrics::new().destination("test"))
    }

    #[tokio::test]
    async fn a_flooding_lane_cannot_hold_up_a_quiet_one() {
        let lanes = lanes(10 << 20);
        let (loud, quiet) = (container("loud"), container("quiet"));
        let (loud_lane, quiet_lane) = (lanes.open(&loud), lanes.open(&quiet));
        for number in 0..100 {
            loud_lane.push(chunk(&loud, number, 30_000));
        }
        quiet_lane.push(chunk(&quiet, 1, 10));
        let picked = lanes.next(100_000).await;
        let place = picked.iter().position(|p| p.chunk.container.name == "quiet").unwrap();
        assert!(place <= 1, "the quiet lane waits for one quantum only, not {place} chunks");
    }

    #[tokio::test]
    async fn order_within_a_lane_is_kept_and_all_of_it_comes_out() {
        let lanes = lanes(1 << 20);
        let one = container("one");
        let lane = lanes.open(&one);
        for number in 0..50 {
            lane.push(chunk(&one, number, 1_000));
        }
        drop(lane);
        lanes.close();
        let mut seen = Vec::new();
        loop {
            let picked = lanes.next(5_000).await;
            if picked.is_empty() {
                break;
            }
            seen.extend(picked.iter().map(|p| p.chunk.lines()[0].time.nanos()));
        }
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
        assert_eq!(lanes.queued_bytes(), 0);
    }

    #[tokio::test]
    async fn a_full_budget_holds_busy_lanes_and_lets_an_empty_one_through() {
        let lanes = lanes(64 * 1024);
        let (busy, fresh) = (container("busy"), container("fresh"));
        let (busy_lane, fresh_lane) = (lanes.open(&busy), lanes.open(&fresh));
        busy_lane.push(chunk(&busy, 1, 40_000));
        busy_lane.push(chunk(&busy, 2, 40_000));
        assert!(busy_lane.room().now_or_never().is_none(), "over budget");
        assert!(fresh_lane.room().now_or_never().is_some(), "a lane is sure of one chunk");
        let waiting = busy_lane.room();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        lanes.next(1 << 20).await;
        waiting.await;
    }

    #[tokio::test]
    async fn a_chunk_larger_than_a_quantum_gets_its_turn() {
        let lanes = lanes(1 << 20);
        let one = container("one");
        let lane = lanes.open(&one);
        lane.push(chunk(&one, 1, 10 * QUANTUM));
        assert_eq!(lanes.next(1).await.len(), 1);
    }

    #[tokio::test]
    async fn the_oldest_go_first_where_nothing_can_be_read_again() {
        let lanes = lanes(100_000);
        let one = container("one");
        let lane = lanes.open(&one);
        for number in 0..3 {
            lane.push(chunk(&one, number, 40_000));
        }
        let (dropped, _) = lane.drop_oldest(40_000);
        assert_eq!(dropped, 2);
        assert_eq!(lanes.next(1 << 20).await[0].chunk.lines()[0].time.nanos(), 2);
        assert_eq!(lanes.metrics().lines_in_flight.get(), 1);
    }

    #[test]
    fn settling_moves_each_stream_to_its_last_line() {
        let lanes = lanes(1);
        let lane = lanes.open(&container("one"));
        let stamped = |nanos, stream| {
            let time = Timestamp::from_nanos(nanos);
            Line { start: 0, end: 0, time, stream, mark: Mark { time, pieces: 1 } }
        };
        lane.settled().advance(&[
            stamped(5, Stream::Stderr),
            stamped(3, Stream::Stdout),
            stamped(4, Stream::Stdout),
        ]);
        let cursor = lane.settled().cursor();
        assert_eq!(cursor.mark(Stream::Stdout).unwrap().time.nanos(), 4);
        assert_eq!(cursor.mark(Stream::Stderr).unwrap().time.nanos(), 5);
    }
}
