//! The counters of live tails. Never one per viewer: they come and go.

use prometheus::{IntCounter, IntGauge};

use super::Make;

/// The counters of all live tails together.
#[derive(Debug, Clone)]
pub struct TailMetrics {
    /// Clients that look at a live tail just now.
    pub viewers: IntGauge,
    /// Clients that were too many.
    pub refused: IntCounter,
    /// Clients that were cut off because they took nothing.
    pub stuck: IntCounter,
    /// Lines handed to clients, each client counted.
    pub lines: IntCounter,
    /// Lines left out for clients that read too slowly, each client counted.
    pub lines_dropped: IntCounter,
}

impl TailMetrics {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            viewers: make.gauge("tail_viewers", "Clients that look at a live tail")?,
            refused: make.counter("tail_viewers_refused_total", "Clients that were too many")?,
            stuck: make.counter("tail_viewers_cut_total", "Clients that took nothing")?,
            lines: make.counter("tail_lines_total", "Lines handed to clients")?,
            lines_dropped: make
                .counter("tail_lines_dropped_total", "Lines left out for slow clients")?,
        })
    }
}
