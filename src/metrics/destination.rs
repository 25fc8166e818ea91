//! The counters of a destination, whatever its output.
//!
//! What is read, delivered, given up and on its way moves together: each of the three methods that
//! move them leaves `read = delivered + dropped + in_flight` as it was, and no scrape comes between.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{DelayFamily, Delays, DropReason, FaultKind, Make, gauge_value};

/// Held for reading while counters move that belong together, for writing while they are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<RwLock<()>>);

impl Gate {
    fn moving(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all at one moment.
    pub(super) fn still<T>(&self, read: impl FnOnce() -> T) -> T {
        let _still = self.0.write().unwrap_or_else(PoisonError::into_inner);
        read()
    }
}

/// The families, registered once.
#[derive(Debug, Clone)]
pub(super) struct DestinationFamilies {
    gate: Gate,
    lines_read: IntCounterVec,
    bytes_read: IntCounterVec,
    lines_delivered: IntCounterVec,
    bytes_delivered: IntCounterVec,
    lines_dropped: IntCounterVec,
    bytes_dropped: IntCounterVec,
    lines_in_flight: IntGaugeVec,
    lines_resent: IntCounterVec,
    lines_replayed: IntCounterVec,
    lines_truncated: IntCounterVec,
    lines_patched: IntCounterVec,
    gaps: IntCounterVec,
    bytes_doubtful: IntCounterVec,
    faults: IntCounterVec,
    up: IntGaugeVec,
    stalled: IntGaugeVec,
    required: IntGaugeVec,
    backoff: GaugeVec,
    delays: DelayFamily,
    delivery_lag: GaugeVec,
    source_lag: GaugeVec,
    lane_bytes: IntGaugeVec,
    window_bytes: IntGaugeVec,
}

/// The counters of one destination. `read = delivered + dropped + in_flight` holds for lines.
#[derive(Debug, Clone)]
pub struct DestinationMetrics {
    gate: Gate,
    lines_read: IntCounter,
    bytes_read: IntCounter,
    lines_delivered: IntCounter,
    bytes_delivered: IntCounter,
    lines_in_flight: IntGauge,
    dropped: [(IntCounter, IntCounter); DropReason::ALL.len()],
    /// Lines sent again after a link broke.
    pub lines_resent: IntCounter,
    /// Lines given back to their logs, to be read and sent once more.
    pub lines_replayed: IntCounter,
    /// Lines cut to a datagram's limit.
    pub lines_truncated: IntCounter,
    /// Lines in which something stands in for a template that failed.
    pub lines_patched: IntCounter,
    /// Bytes acknowledged by a peer that broke, which its process may not have read and which
    /// were not kept for a replay: an estimate from above of what was lost.
    pub bytes_doubtful: IntCounter,
    faults: [IntCounter; FaultKind::ALL.len()],
    /// 1 while connected.
    pub up: IntGauge,
    /// 1 while connected and nothing was acknowledged for a while although something waits.
    pub stalled: IntGauge,
    /// 1 if the agent is not ready without it.
    pub required: IntGauge,
    /// The pause between two attempts that it is in, in seconds; 0 outside of one.
    pub backoff: prometheus::Gauge,
    /// Times that a log had lost lines before they could be read; each is announced in its stream.
    pub gaps: IntCounter,
    /// From Docker's stamp to the acknowledgement.
    pub delays: Delays,
    /// Age of the oldest line that was read and is not acknowledged, in seconds.
    pub delivery_lag: prometheus::Gauge,
    /// How far the reader is behind that is furthest behind, in seconds.
    pub source_lag: prometheus::Gauge,
    /// Text that waits in the lanes, in bytes.
    pub lane_bytes: IntGauge,
    /// Frames sent and not acknowledged, in bytes; of a store what its batches hold.
    pub window_bytes: IntGauge,
}

impl DestinationMetrics {
    /// Counts lines that were taken into the lanes, and their text in bytes.
    pub fn read(&self, lines: u64, bytes: u64) {
        let _moving = self.gate.moving();
        self.lines_read.inc_by(lines);
        self.bytes_read.inc_by(bytes);
        self.lines_in_flight.add(gauge_value(lines));
    }

    /// Counts lines that the peer has acknowledged, and their frames in bytes.
    pub fn delivered(&self, lines: u64, bytes: u64) {
        let _moving = self.gate.moving();
        self.lines_in_flight.sub(gauge_value(lines));
        self.lines_delivered.inc_by(lines);
        self.bytes_delivered.inc_by(bytes);
    }

    /// Counts lines that were read and will not be delivered, and their text in bytes.
    pub fn dropped(&self, reason: DropReason, lines: u64, bytes: u64) {
        let counters = DropReason::ALL.iter().zip(&self.dropped).find(|(each, _)| **each == reason);
        let Some((_, (line_counter, byte_counter))) = counters else { return };
        let _moving = self.gate.moving();
        self.lines_in_flight.sub(gauge_value(lines));
        line_counter.inc_by(lines);
        byte_counter.inc_by(bytes);
    }

    /// Counts a link that broke or an attempt that failed.
    pub fn fault(&self, kind: FaultKind) {
        let counters = FaultKind::ALL.iter().zip(&self.faults);
        for (_, counter) in counters.filter(|(each, _)| **each == kind) {
            counter.inc();
        }
    }

    /// Lines taken into the lanes.
    pub fn lines_read(&self) -> u64 {
        self.lines_read.get()
    }

    /// Lines acknowledged.
    pub fn lines_delivered(&self) -> u64 {
        self.lines_delivered.get()
    }

    /// Lines dropped for all reasons together.
    pub fn lines_dropped(&self) -> u64 {
        self.dropped.iter().map(|(lines, _)| lines.get()).sum()
    }

    /// Lines between reading and acknowledgement.
    pub fn lines_in_flight(&self) -> u64 {
        u64::try_from(self.lines_in_flight.get()).unwrap_or(0)
    }
}

impl DestinationFamilies {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        let counters = |name, help| make.counters(name, help, &[]);
        Ok(Self {
            gate: Gate::default(),
            lines_read: counters("lines_read_total", "Lines taken into the lanes")?,
            bytes_read: counters("bytes_read_total", "Text of the lines read")?,
            lines_delivered: counters("lines_delivered_total", "Lines acknowledged")?,
            bytes_delivered: counters("bytes_delivered_total", "Frames acknowledged")?,
            lines_dropped: make.counters("lines_dropped_total", "Lines given up", &["reason"])?,
            bytes_dropped: make.counters("bytes_dropped_total", "Text given up", &["reason"])?,
            lines_in_flight: make.gauges("lines_in_flight", "Lines read and not settled")?,
            lines_resent: counters("lines_resent_total", "Lines sent again")?,
            lines_replayed: counters("lines_replayed_total", "Lines given back to be read again")?,
            lines_truncated: counters("lines_truncated_total", "Lines cut to a limit")?,
            lines_patched: counters(
                "lines_patched_total",
                "Lines in which something stands in for a template that failed",
            )?,
            gaps: counters("gaps_total", "Logs that had lost lines unread")?,
            bytes_doubtful: counters("bytes_doubtful_total", "Bytes perhaps unread")?,
            faults: make.counters("faults_total", "Broken links and failed attempts", &["kind"])?,
            up: make.gauges("destination_up", "1 while connected")?,
            stalled: make.gauges("destination_stalled", "1 while nothing is acknowledged")?,
            required: make.gauges("destination_required", "1 if readiness needs it")?,
            backoff: make.float_gauges(
                "destination_backoff_seconds",
                "The pause between two attempts that it is in",
            )?,
            delays: make
                .delays("delivery_seconds", "From Docker's stamp to the acknowledgement")?,
            delivery_lag: make.float_gauges(
                "delivery_lag_seconds",
                "Age of the oldest line that was read and is not acknowledged",
            )?,
            source_lag: make.float_gauges(
                "source_lag_seconds",
                "How far the reader is behind that is furthest behind",
            )?,
            lane_bytes: make.gauges("lane_bytes", "Text that waits in the lanes")?,
            window_bytes: make.gauges("window_bytes", "Bytes sent and not acknowledged")?,
        })
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Handles for one destination, all at zero.
    pub(super) fn of(&self, name: &str) -> DestinationMetrics {
        let counter = |family: &IntCounterVec| family.with_label_values(&[name]);
        let gauge = |family: &IntGaugeVec| family.with_label_values(&[name]);
        let float = |family: &GaugeVec| family.with_label_values(&[name]);
        DestinationMetrics {
            gate: self.gate.clone(),
            lines_read: counter(&self.lines_read),
            bytes_read: counter(&self.bytes_read),
            lines_delivered: counter(&self.lines_delivered),
            bytes_delivered: counter(&self.bytes_delivered),
            lines_in_flight: gauge(&self.lines_in_flight),
            dropped: DropReason::ALL.map(|reason| {
                let labels = [name, reason.name()];
                (
                    self.lines_dropped.with_label_values(&labels),
                    self.bytes_dropped.with_label_values(&labels),
                )
            }),
            lines_resent: counter(&self.lines_resent),
            lines_replayed: counter(&self.lines_replayed),
            lines_truncated: counter(&self.lines_truncated),
            lines_patched: counter(&self.lines_patched),
            bytes_doubtful: counter(&self.bytes_doubtful),
            faults: FaultKind::ALL.map(|kind| self.faults.with_label_values(&[name, kind.name()])),
            up: gauge(&self.up),
            stalled: gauge(&self.stalled),
            required: gauge(&self.required),
            backoff: float(&self.backoff),
            gaps: counter(&self.gaps),
            delays: self.delays.of(name),
            delivery_lag: float(&self.delivery_lag),
            source_lag: float(&self.source_lag),
            lane_bytes: gauge(&self.lane_bytes),
            window_bytes: gauge(&self.window_bytes),
        }
    }
}
