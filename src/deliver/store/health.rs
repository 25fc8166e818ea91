//! How a destination that keeps streams is doing, for the log, the metrics and readiness. Says a
//! state once, and troubles rarely.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::DestinationMetrics;
use crate::store::StreamName;

/// Troubles are logged at most this often; the counters have them all.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// How often it is looked how things stand, unless there is news.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A batch that waits for so long beyond its time makes a stalled destination.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// What was last said.
#[derive(Debug)]
pub(super) struct Health {
    name: Arc<str>,
    metrics: DestinationMetrics,
    connected: bool,
    down_since: Option<Instant>,
    trouble_logged: Option<Instant>,
    rejected_logged: Option<Instant>,
    looked: Option<Instant>,
}

impl Health {
    pub(super) fn new(name: Arc<str>, metrics: DestinationMetrics) -> Self {
        Self {
            name,
            metrics,
            connected: false,
            down_since: None,
            trouble_logged: None,
            rejected_logged: None,
            looked: None,
        }
    }

    /// All is known that a put needs.
    pub(super) fn connected(&mut self, peer: &str) {
        self.connected = true;
        self.metrics.up.set(1);
        tracing::info!(destination = %self.name, %peer, "destination is up");
        if let Some(since) = self.down_since.take() {
            self.up_again(since);
        }
    }

    /// There is not even a connection. Said once.
    pub(super) fn down(&mut self, why: &str) {
        self.metrics.up.set(0);
        if self.down_since.is_none() {
            self.down_since = Some(Instant::now());
            tracing::warn!(
                destination = %self.name, fault = why, "destination is down; trying for ever"
            );
        } else {
            tracing::debug!(destination = %self.name, fault = why, "attempt failed");
        }
    }

    /// A batch was not taken.
    pub(super) fn trouble(&mut self, stream: &StreamName, attempt: u32, why: &str, now: Instant) {
        let StreamName { group, stream } = stream;
        if is_over(&mut self.trouble_logged, LOG_EVERY, now) {
            tracing::warn!(
                destination = %self.name, %group, %stream, attempt, fault = why,
                "a batch was not taken; it will be sent again"
            );
        } else {
            tracing::debug!(
                destination = %self.name, %group, %stream, attempt, fault = why,
                "a batch was not taken"
            );
        }
    }

    /// An event will never be taken.
    pub(super) fn rejected(&mut self, stream: &StreamName, why: &str, now: Instant) {
        let StreamName { group, stream } = stream;
        if is_over(&mut self.rejected_logged, LOG_EVERY, now) {
            tracing::warn!(
                destination = %self.name, %group, %stream, fault = why,
                "an event was rejected for good; it is dropped and counted"
            );
        }
    }

    /// There is news.
    pub(super) fn look(&mut self) {
        self.looked = None;
    }

    /// Whether it is time to look how things stand.
    pub(super) fn is_time(&mut self, now: Instant) -> bool {
        is_over(&mut self.looked, LOOK_EVERY, now)
    }

    /// How things stand: whether nothing gets through, and how long the oldest batch has waited
    /// that should have waited for `flush`.
    pub(super) fn note(&mut self, down: bool, oldest: Duration, flush: Duration) {
        self.metrics.up.set(i64::from(self.connected && !down));
        match (down, self.down_since) {
            (true, None) => {
                self.down_since = Some(Instant::now());
                tracing::warn!(destination = %self.name, "destination is down; trying for ever");
            }
            (false, Some(since)) if self.connected => {
                self.down_since = None;
                self.up_again(since);
            }
            _ => {}
        }
        let stalled = oldest > flush + STALLED_AFTER;
        if stalled && self.metrics.stalled.get() == 0 {
            let oldest = format!("{}s", oldest.as_secs());
            tracing::warn!(destination = %self.name, oldest, "batches are not taken: stalled");
        }
        self.metrics.stalled.set(i64::from(stalled));
    }

    fn up_again(&self, since: Instant) {
        let down = format!("{:.1}s", since.elapsed().as_secs_f64());
        tracing::info!(destination = %self.name, down, "destination is up again");
    }
}

fn is_over(last: &mut Option<Instant>, every: Duration, now: Instant) -> bool {
    let over = last.is_none_or(|last| now.duration_since(last) >= every);
    if over {
        *last = Some(now);
    }
    over
}
