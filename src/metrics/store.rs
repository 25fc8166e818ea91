//! The counters of destinations that keep streams: CloudWatch Logs. Never per stream: there may be
//! a hundred thousand.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec,
};

use super::Make;

/// What can become of a call that puts a batch, in the order of `StoreMetrics::puts`.
const OUTCOMES: [&str; 10] = [
    "taken",
    "invalid",
    "throttled",
    "unavailable",
    "unanswered",
    "stale",
    "unreachable",
    "credentials",
    "denied",
    "missing",
];

/// The families, registered once.
#[derive(Debug, Clone)]
pub(super) struct StoreFamilies {
    puts: IntCounterVec,
    events: IntCounterVec,
    billed_bytes: IntCounterVec,
    request_bytes: IntCounterVec,
    lines_doubtful: IntCounterVec,
    lines_split: IntCounterVec,
    created: IntCounterVec,
    put_seconds: HistogramVec,
    batch_fill: HistogramVec,
    streams: IntGaugeVec,
    streams_waiting: IntGaugeVec,
    puts_in_flight: IntGaugeVec,
    held_bytes: IntGaugeVec,
    oldest_seconds: GaugeVec,
    rate_limit: GaugeVec,
    flush_seconds: GaugeVec,
    credentials_expiry: IntGaugeVec,
}

/// The counters of one destination that keeps streams.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    puts: [IntCounter; OUTCOMES.len()],
    /// Events that the peer has taken.
    pub events: IntCounter,
    /// Bytes that are paid for: text, and 26 for each event taken.
    pub billed_bytes: IntCounter,
    /// Bytes of request bodies as they went over the wire, repeated ones included.
    pub request_bytes: IntCounter,
    /// Lines sent again although the peer may have taken them: each may be there twice.
    pub lines_doubtful: IntCounter,
    /// Lines longer than an event may be, sent as several.
    pub lines_split: IntCounter,
    /// Groups made.
    pub groups_created: IntCounter,
    /// Streams made.
    pub streams_created: IntCounter,
    /// From the call to its answer.
    pub put_seconds: Histogram,
    /// How full batches were, from 0 to 1.
    pub batch_fill: Histogram,
    /// Streams known.
    pub streams: IntGauge,
    /// Of these, those whose last batch was not taken and waits to be sent again.
    pub streams_waiting: IntGauge,
    /// Batches on their way.
    pub puts_in_flight: IntGauge,
    /// Batches that are being filled, wait or are on their way, in bytes.
    pub held_bytes: IntGauge,
    /// Age of the oldest batch that is not on its way or answered.
    pub oldest_seconds: Gauge,
    /// Calls per second at most; 0 for no limit.
    pub rate_limit: Gauge,
    /// How long a batch waits to be filled.
    pub flush_seconds: Gauge,
    /// When the present credentials expire, in seconds since 1970; 0 for never.
    pub credentials_expiry: IntGauge,
}

impl StoreFamilies {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        let counters = |name, help| make.counters(name, help, &[]);
        Ok(Self {
            puts: make.counters("cloudwatch_puts_total", "Calls that put a batch", &["outcome"])?,
            events: counters("cloudwatch_events_total", "Events taken")?,
            billed_bytes: counters("cloudwatch_billed_bytes_total", "Text, and 26 for each event")?,
            request_bytes: counters("cloudwatch_request_bytes_total", "Request bodies")?,
            lines_doubtful: counters(
                "cloudwatch_lines_doubtful_total",
                "Lines sent again that may have been taken",
            )?,
            lines_split: counters("cloudwatch_lines_split_total", "Lines sent as several events")?,
            created: make.counters("cloudwatch_created_total", "What was made", &["what"])?,
            put_seconds: make.histograms(
                "cloudwatch_put_seconds",
                "From a call to its answer",
                &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
            )?,
            batch_fill: make.histograms(
                "cloudwatch_batch_fill_ratio",
                "How full batches were",
                &[0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0],
            )?,
            streams: make.gauges("cloudwatch_streams", "Streams known")?,
            streams_waiting: make.gauges("cloudwatch_streams_waiting", "Streams to be retried")?,
            puts_in_flight: make.gauges("cloudwatch_puts_in_flight", "Batches on their way")?,
            held_bytes: make.gauges("cloudwatch_held_bytes", "Batches in memory")?,
            oldest_seconds: make.float_gauges(
                "cloudwatch_oldest_batch_seconds",
                "Age of the oldest batch that waits",
            )?,
            rate_limit: make.float_gauges(
                "cloudwatch_rate_limit_calls_per_second",
                "Limit of calls; 0 for none",
            )?,
            flush_seconds: make
                .float_gauges("cloudwatch_flush_seconds", "How long a batch waits to be filled")?,
            credentials_expiry: make.gauges(
                "cloudwatch_credentials_expiry_timestamp_seconds",
                "Unix time; 0 for never",
            )?,
        })
    }

    /// Handles for one destination, all at zero.
    pub(super) fn of(&self, name: &str) -> StoreMetrics {
        let counter = |family: &IntCounterVec| family.with_label_values(&[name]);
        let gauge = |family: &IntGaugeVec| family.with_label_values(&[name]);
        let float = |family: &GaugeVec| family.with_label_values(&[name]);
        let created = |what| self.created.with_label_values(&[name, what]);
        StoreMetrics {
            puts: OUTCOMES.map(|outcome| self.puts.with_label_values(&[name, outcome])),
            events: counter(&self.events),
            billed_bytes: counter(&self.billed_bytes),
            request_bytes: counter(&self.request_bytes),
            lines_doubtful: counter(&self.lines_doubtful),
            lines_split: counter(&self.lines_split),
            groups_created: created("group"),
            streams_created: created("stream"),
            put_seconds: self.put_seconds.with_label_values(&[name]),
            batch_fill: self.batch_fill.with_label_values(&[name]),
            streams: gauge(&self.streams),
            streams_waiting: gauge(&self.streams_waiting),
            puts_in_flight: gauge(&self.puts_in_flight),
            held_bytes: gauge(&self.held_bytes),
            oldest_seconds: float(&self.oldest_seconds),
            rate_limit: float(&self.rate_limit),
            flush_seconds: float(&self.flush_seconds),
            credentials_expiry: gauge(&self.credentials_expiry),
        }
    }
}

impl StoreMetrics {
    /// Counts the outcome of a call, one of a closed set.
    pub fn put(&self, outcome: &str) {
        let counters = OUTCOMES.iter().zip(&self.puts);
        for (_, counter) in counters.filter(|(each, _)| **each == outcome) {
            counter.inc();
        }
    }
}

impl Make<'_> {
    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::from(Self::opts(name, help)).buckets(buckets.to_vec());
        self.add_of_destinations(HistogramVec::new(opts, &["destination"])?)
    }
}
