//! Live tails: one more way into all containers, which many may look at and nobody waits for. Never
//! keeps a position, and never holds a destination up: its followers are its own, what a viewer
//! does not take in time is left out for it and counted, and a viewer that takes nothing is cut.
//!
//! The first viewer opens the way, and some seconds after the last has left it is closed again.
//!
//! ## Metrics
//!
//! `downspout_tail_viewers`, `downspout_tail_viewers_refused_total`,
//! `downspout_tail_viewers_cut_total`, `downspout_tail_lines_total`,
//! `downspout_tail_lines_dropped_total`.

mod queue;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;

use crate::lane::{Kept, Lanes, Picked};
use crate::metrics::{DestinationMetrics, TailMetrics};
use crate::record::{Chunk, Container, Stream, Timestamp};
use crate::shutdown::{Stop, Tasks};
use crate::source::{Intake, Intakes, Wish};

pub use queue::{Next, Progress, STUCK_AFTER};

use queue::Queue;

/// Viewers at the same moment; one more is refused.
pub const MOST_VIEWERS: usize = 16;
/// What waits in the lanes of all viewers together, in bytes: it is picked at once.
const LANE_BYTES: usize = 512 * 1024;
/// Text picked at once, in bytes.
const PICK_BYTES: usize = 64 * 1024;
/// A client that comes again within this time finds the way still open.
const GRACE: Duration = Duration::from_secs(5);

/// What live tails may take, in bytes: the lanes, and what waits for each viewer.
pub const MEMORY_BYTES: u64 = LANE_BYTES as u64 + MOST_VIEWERS as u64 * queue::QUEUE_BYTES as u64;

/// What all viewers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

/// What a hub is made from.
#[derive(Debug)]
pub struct Parts {
    /// The ways into the containers; the hub's is one of them while somebody looks.
    pub intakes: Intakes,
    /// What may be seen.
    pub wish: Wish,
    /// Counters of lanes that are nobody's destination.
    pub lanes: DestinationMetrics,
    /// Counters of the viewers.
    pub metrics: TailMetrics,
    /// Where the hub's task lives.
    pub tasks: Tasks,
    /// Ends the viewers once sources stop.
    pub stop: Stop,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    state: Mutex<State>,
    /// A viewer came or left.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    viewers: Vec<Arc<Queue>>,
    open: Option<Open>,
}

/// The way into the containers while it is open.
#[derive(Debug, Clone)]
struct Open {
    intake: Intake,
    lanes: Arc<Lanes>,
}

/// What a viewer wants to see.
pub struct Filter {
    /// Which containers.
    pub container: Box<dyn Fn(&Container) -> bool + Send + Sync>,
    /// Whether it wants standard output.
    pub stdout: bool,
    /// Whether it wants standard error.
    pub stderr: bool,
}

/// Why there is no place for a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// All places are taken.
    #[error("{MOST_VIEWERS} clients look at live tails already; end one of them")]
    Full,
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopping,
}

/// One client's view. Dropping it gives its place back.
#[derive(Debug)]
pub struct Viewer {
    hub: Hub,
    queue: Arc<Queue>,
}

impl Filter {
    /// Whether a line is wanted that was printed on this stream.
    pub fn wants(&self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stdout, stderr, .. } = self;
        write!(f, "Filter {{ stdout: {stdout}, stderr: {stderr} }}")
    }
}

impl Hub {
    /// Nobody looks yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, state: Mutex::default(), changed: Notify::new() }))
    }

    /// One more viewer, of what is printed from now on.
    pub fn view(&self, filter: Filter) -> Result<Viewer, Refused> {
        let now = Timestamp::now();
        let Parts { metrics, stop, tasks, .. } = &self.0.parts;
        let mut state = self.lock();
        if stop.is_draining() {
            return Err(Refused::Stopping);
        }
        if state.viewers.len() >= MOST_VIEWERS {
            metrics.refused.inc();
            return Err(Refused::Full);
        }
        let queue = Arc::new(Queue::new(filter, now));
        state.viewers.push(queue.clone());
        metrics.viewers.inc();
        if state.open.is_none() {
            let open = self.open(now);
            state.open = Some(open.clone());
            tasks.spawn("tail", self.clone().run(open));
        }
        drop(state);
        self.0.changed.notify_one();
        Ok(Viewer { hub: self.clone(), queue })
    }

    /// Whether a container whose id begins with this is there. It takes a moment until all are
    /// known: ask again.
    pub fn knows(&self, id: &str) -> bool {
        let open = self.lock().open.clone();
        open.is_some_and(|open| open.lanes.knows_some(id))
    }

    fn open(&self, now: Timestamp) -> Open {
        let Parts { intakes, wish, lanes, .. } = &self.0.parts;
        let kept = Kept { since: now, ..Kept::default() };
        let lanes = Lanes::new(LANE_BYTES, kept, lanes.clone());
        let intake = intakes.add_tail(lanes.clone(), wish.clone());
        Open { intake, lanes }
    }

    async fn run(self, open: Open) {
        let closing = Closing { hub: self.clone(), intake: open.intake };
        tokio::select! {
            () = self.hand_out(&open.lanes) => {}
            () = self.unwatched(&open.lanes) => {}
            () = self.0.parts.stop.draining() => {}
        }
        drop(closing);
        open.lanes.close();
        // Who still reads for it must find room until it has noticed.
        tokio::select! {
            () = self.hand_out(&open.lanes) => {}
            () = self.0.parts.stop.quitting() => {}
        }
    }

    /// Gives every viewer what it wants as fast as it comes, until the lanes have ended.
    async fn hand_out(&self, lanes: &Lanes) {
        loop {
            let picked = lanes.next(PICK_BYTES).await;
            if picked.is_empty() {
                return;
            }
            for Picked { chunk, settled, .. } in picked {
                if !chunk.is_notice {
                    settled.advance(chunk.lines(), &[], chunk.edge);
                }
                lanes.metrics().delivered(chunk.lines().len() as u64, chunk.text_bytes() as u64);
                self.show(&Arc::new(chunk));
            }
        }
    }

    fn show(&self, chunk: &Arc<Chunk>) {
        let metrics = &self.0.parts.metrics;
        for queue in &self.lock().viewers {
            queue.push(chunk, metrics);
        }
    }

    /// Waits until nobody has looked for a while; then nobody finds the way open any more.
    async fn unwatched(&self, lanes: &Arc<Lanes>) {
        loop {
            let empty = self.lock().viewers.is_empty();
            if !empty {
                self.0.changed.notified().await;
                continue;
            }
            tokio::select! {
                () = self.0.changed.notified() => {}
                () = tokio::time::sleep(GRACE) => {
                    let mut state = self.lock();
                    if state.viewers.is_empty() {
                        state.open.take_if(|open| Arc::ptr_eq(&open.lanes, lanes));
                        return;
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves lists behind that are still right.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the way into the containers however its task ends: a panic must not leave viewers that
/// wait for nothing.
struct Closing {
    hub: Hub,
    intake: Intake,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.hub.0.parts.intakes.remove(&self.intake);
        let mut state = self.hub.lock();
        // A later one has viewers of its own.
        let is_this = |open: &Open| open.intake.id() == self.intake.id();
        if state.open.take_if(|open| is_this(open)).is_some() {
            for queue in &state.viewers {
                queue.end();
            }
        }
    }
}

impl Viewer {
    /// The next that there is for it; `None` once there will be nothing any more.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Next>> {
        self.queue.poll_next(context)
    }

    /// The same, waited for.
    pub async fn next(&self) -> Option<Next> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Whether a line of a chunk is one that it wants.
    pub fn wants(&self, line: &crate::record::Line) -> bool {
        self.queue.wants(line)
    }

    /// Tells whether it takes what it is given, also once it is gone.
    pub fn progress(&self) -> Progress {
        Progress::of(&self.queue, &self.hub.0.parts.metrics)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.hub.lock().viewers.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.hub.0.parts.metrics.viewers.dec();
        self.hub.0.changed.notify_one();
    }
}
