//! What waits for one viewer: bounded, and what does not fit any more makes the oldest go. Never
//! waits for the viewer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::Filter;
use crate::metrics::TailMetrics;
use crate::record::{Chunk, Line, Timestamp};

/// What may wait for a viewer, in bytes. One chunk may always wait, whatever it weighs.
pub(super) const QUEUE_BYTES: usize = 256 * 1024;
/// A viewer that has taken nothing for so long although something waits is cut off.
pub const STUCK_AFTER: Duration = Duration::from_mins(1);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a viewer is given.
#[derive(Debug, Clone)]
pub enum Next {
    /// Lines; those that it does not want are among them.
    Lines(Arc<Chunk>),
    /// So many lines that it wanted are missing here.
    LeftOut(u64),
}

#[derive(Debug)]
pub(super) struct Queue {
    filter: Filter,
    since: Timestamp,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Arc<Chunk>>,
    bytes: usize,
    left_out: u64,
    ended: bool,
    waker: Option<Waker>,
    /// When it last took something, or began to have something to take.
    took: Instant,
}

/// Whether a viewer takes what it is given.
#[derive(Debug, Clone)]
pub struct Progress {
    queue: Arc<Queue>,
    metrics: TailMetrics,
}

impl Queue {
    /// Nothing waits; nothing printed before `since` is wanted.
    pub(super) fn new(filter: Filter, since: Timestamp) -> Self {
        let state = State {
            chunks: VecDeque::new(),
            bytes: 0,
            left_out: 0,
            ended: false,
            waker: None,
            took: Instant::now(),
        };
        Self { filter, since, state: Mutex::new(state) }
    }

    pub(super) fn wants(&self, line: &Line) -> bool {
        line.time >= self.since && self.filter.wants(line.stream)
    }

    /// Has a chunk wait if the viewer wants any of it.
    pub(super) fn push(&self, chunk: &Arc<Chunk>, metrics: &TailMetrics) {
        let wanted = self.count(chunk);
        if wanted == 0 || !(self.filter.container)(&chunk.log_of) {
            return;
        }
        metrics.lines.inc_by(wanted);
        let mut state = self.lock();
        let weight = chunk.weight();
        while state.bytes + weight > QUEUE_BYTES
            && let Some(oldest) = state.chunks.pop_front()
        {
            state.bytes -= oldest.weight();
            let lines = self.count(&oldest);
            state.left_out += lines;
            metrics.lines_dropped.inc_by(lines);
        }
        if state.chunks.is_empty() && state.left_out == 0 {
            state.took = Instant::now();
        }
        state.bytes += weight;
        state.chunks.push_back(chunk.clone());
        state.wake();
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.wake();
    }

    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Next>> {
        let mut state = self.lock();
        if state.left_out > 0 {
            state.took = Instant::now();
            return Poll::Ready(Some(Next::LeftOut(std::mem::take(&mut state.left_out))));
        }
        if let Some(chunk) = state.chunks.pop_front() {
            state.took = Instant::now();
            state.bytes -= chunk.weight();
            return Poll::Ready(Some(Next::Lines(chunk)));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn count(&self, chunk: &Chunk) -> u64 {
        chunk.lines().iter().filter(|line| self.wants(line)).count() as u64
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves a queue behind that is still right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Progress {
    pub(super) fn of(queue: &Arc<Queue>, metrics: &TailMetrics) -> Self {
        Self { queue: queue.clone(), metrics: metrics.clone() }
    }

    /// Waits until the viewer has taken nothing for too long, and counts that.
    pub async fn stuck(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let state = self.queue.lock();
            if !state.chunks.is_empty() && state.took.elapsed() >= STUCK_AFTER {
                self.metrics.stuck.inc();
                return;
            }
        }
    }
}
