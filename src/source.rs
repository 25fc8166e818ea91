//! Where lines come from: the trait, and what a source is given. A source feeds lanes; it never
//! knows what happens to the lines.

pub mod docker;
mod intake;
pub mod replay;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

use crate::metrics::SourceMetrics;
use crate::record::Timestamp;
use crate::shutdown::{Stop, Tasks};

pub use intake::{Changes, Intake, Intakes, Wish};

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
    pub intakes: Intakes,
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
        Self { intakes: Intakes::only(intake), ..self.clone() }
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
