//! Where lines come from: the trait, and what a source is given. A source feeds lanes; it never
//! knows what happens to the lines.

pub mod docker;
pub mod replay;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;

use crate::assemble::{Assembler, Multiline};
use crate::lane::{Lane, Lanes};
use crate::metrics::SourceMetrics;
use crate::record::{Container, Timestamp};
use crate::shutdown::{Stop, Tasks};

/// Anything that has logs.
pub trait Source: Send + fmt::Debug {
    /// Feeds the lanes until the log ends for good or `feed.stop` drains. Tasks that it starts go
    /// into `feed.tasks`; the source has ended when that set is empty.
    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What a source needs to know of the rest.
#[derive(Debug, Clone)]
pub struct Feed {
    /// One per destination; each follows every container by itself.
    pub intakes: Arc<[Intake]>,
    /// Where the source's own tasks live.
    pub tasks: Tasks,
    /// Tells when to stop reading.
    pub stop: Stop,
    /// When this run of the agent has begun.
    pub started: Timestamp,
    /// The counters of all sources.
    pub metrics: SourceMetrics,
    /// A line longer than this is given out in parts.
    pub max_line_bytes: usize,
}

impl Feed {
    /// The same for one destination alone.
    #[must_use]
    pub fn only(&self, intake: &Intake) -> Self {
        Self { intakes: Arc::new([intake.clone()]), ..self.clone() }
    }
}

/// The way into one destination.
#[derive(Debug, Clone)]
pub struct Intake {
    lanes: Arc<Lanes>,
    multiline: Option<Multiline>,
}

impl Intake {
    /// Into the lanes of one destination, which wants lines joined to records or not.
    pub fn new(lanes: Arc<Lanes>, multiline: Option<Multiline>) -> Self {
        Self { lanes, multiline }
    }

    /// What makes the destination's lines of one log's pieces.
    pub fn assembler(&self, max_line_bytes: usize) -> Assembler {
        let assembler = Assembler::new(max_line_bytes);
        match &self.multiline {
            Some(multiline) => assembler.joining(multiline.clone()),
            None => assembler,
        }
    }

    /// Whether the destination wants lines joined.
    pub fn joins(&self) -> bool {
        self.multiline.is_some()
    }

    /// A lane for one container's log. If the destination was never in it, nothing printed before
    /// `first` is wanted.
    pub fn open(&self, container: &Container, first: Option<Timestamp>) -> Lane {
        self.lanes.open(container, first)
    }

    /// When the destination was first shipped to, in this run of the agent or an earlier one.
    pub fn since(&self) -> Timestamp {
        self.lanes.since()
    }

    /// Whether the destination was in this container's log before.
    pub fn knows(&self, container_id: &str) -> bool {
        self.lanes.knows(container_id)
    }

    /// The container was removed.
    pub fn gone(&self, container_id: &str) {
        self.lanes.gone(container_id);
    }

    /// Only these containers exist.
    pub fn retain(&self, there: &HashSet<&str>) {
        self.lanes.retain(there);
    }
}

/// Waits until `deadline`; for ever without one.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        // Rare, and large beside a follower that waits for years.
        Some(deadline) => Box::pin(tokio::time::sleep_until(deadline)).await,
        None => std::future::pending().await,
    }
}
