//! Counters: registered once, handed out as handles, rendered as text. Never looked up by label
//! on the path of a line, never kept in step by hand where the object can be asked.

mod drop_reason;
mod store;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

pub use drop_reason::DropReason;
use store::StoreFamilies;
pub use store::StoreMetrics;

/// All families of the agent.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    lines_read: IntCounterVec,
    bytes_read: IntCounterVec,
    lines_delivered: IntCounterVec,
    bytes_delivered: IntCounterVec,
    lines_dropped: IntCounterVec,
    bytes_dropped: IntCounterVec,
    lines_in_flight: IntGaugeVec,
    lines_resent: IntCounterVec,
    lines_truncated: IntCounterVec,
    gaps: IntCounterVec,
    bytes_doubtful: IntCounterVec,
    connections: IntCounterVec,
    switches: IntCounterVec,
    uncounted: IntCounter,
    faults: IntCounterVec,
    suspected: IntCounterVec,
    up: IntGaugeVec,
    stalled: IntGaugeVec,
    store: StoreFamilies,
    source: SourceMetrics,
    checkpoint: CheckpointMetrics,
    tasks: TaskMetrics,
}

/// The counters of one destination. `read = delivered + dropped + in_flight` holds for lines.
#[derive(Debug, Clone)]
pub struct DestinationMetrics {
    /// Lines taken into the destination's lanes.
    pub lines_read: IntCounter,
    /// Their text in bytes.
    pub bytes_read: IntCounter,
    /// Lines the peer has acknowledged.
    pub lines_delivered: IntCounter,
    /// Frames the peer has acknowledged, in bytes.
    pub bytes_delivered: IntCounter,
    /// Lines between reading and acknowledgement.
    pub lines_in_flight: IntGauge,
    /// Lines sent again after a link broke.
    pub lines_resent: IntCounter,
    /// Lines cut to a datagram's limit.
    pub lines_truncated: IntCounter,
    /// Bytes acknowledged by a peer that broke, which its process may not have read and which
    /// were not kept for a replay: an estimate from above of what was lost.
    pub bytes_doubtful: IntCounter,
    /// Links that broke and attempts that failed.
    pub faults: IntCounter,
    /// 1 while connected.
    pub up: IntGauge,
    /// 1 while connected and nothing was acknowledged for a while although something waits.
    pub stalled: IntGauge,
    /// Times that a log had lost lines before they could be read; each is announced in its stream.
    pub gaps: IntCounter,
    dropped: [(IntCounter, IntCounter); DropReason::ALL.len()],
}

impl DestinationMetrics {
    /// Counts lines and bytes that will not be delivered.
    pub fn dropped(&self, reason: DropReason, lines: u64, bytes: u64) {
        let counters = DropReason::ALL.iter().zip(&self.dropped).find(|(each, _)| **each == reason);
        let Some((_, (line_counter, byte_counter))) = counters else { return };
        line_counter.inc_by(lines);
        byte_counter.inc_by(bytes);
    }

    /// Lines dropped for all reasons together.
    pub fn lines_dropped(&self) -> u64 {
        self.dropped.iter().map(|(lines, _)| lines.get()).sum()
    }
}

/// The counters an output moves itself.
#[derive(Debug, Clone)]
pub struct OutputMetrics {
    /// Links made.
    pub connections: IntCounter,
    /// Links made to another address of the list than the one before.
    pub switches: IntCounter,
    /// Frames handed to the kernel that probably arrived nowhere (an ICMP error came back).
    pub suspected: IntCounter,
    uncounted: IntCounter,
}

impl OutputMetrics {
    /// The same, but for links, which are not counted: for an output that stands behind another,
    /// which counts its own.
    #[must_use]
    pub fn uncounted(&self) -> Self {
        Self { connections: self.uncounted.clone(), ..self.clone() }
    }
}

/// The counters of the sources.
#[derive(Debug, Clone)]
pub struct SourceMetrics {
    /// Containers being followed, once per destination.
    pub followers: IntGauge,
    /// Of these, those that are read from the containers' log files.
    pub files_followed: IntGauge,
    /// Log files opened.
    pub files_opened: IntCounter,
    /// Log files that are there and could not be read: the engine was asked instead.
    pub files_refused: IntCounter,
    /// Log streams opened.
    pub streams_opened: IntCounter,
    /// Log streams that ended although the container went on.
    pub streams_cut: IntCounter,
    /// Log streams that had stalled without an error and were opened again.
    pub streams_stalled: IntCounter,
    /// Logs read again from further back, for a peer that had not read what it acknowledged.
    pub logs_rewound: IntCounter,
    /// Pieces received again after a cut or a rotation and skipped.
    pub pieces_repeated: IntCounter,
    /// Records of several lines that were given out because a further line had no room in them.
    pub records_cut: IntCounter,
    /// Lines longer than the limit, shipped in parts.
    pub lines_split: IntCounter,
    /// Bytes of a log stream that could not be understood and were skipped.
    pub bytes_garbled: IntCounter,
    /// Containers that were gone before their log could be opened.
    pub containers_missed: IntCounter,
    /// 1 while there is something to read from: the engine answers, the input is open.
    pub source_up: IntGauge,
}

/// The counters of the checkpoint.
#[derive(Debug, Clone)]
pub struct CheckpointMetrics {
    /// Checkpoints written.
    pub saves: IntCounter,
    /// Checkpoints that could not be written.
    pub errors: IntCounter,
    /// When the positions of the last one written were taken, in seconds since 1970; 0 before.
    pub saved_timestamp: IntGauge,
}

/// The counters of the task set.
#[derive(Debug, Clone)]
pub struct TaskMetrics {
    /// Tasks alive.
    pub alive: IntGauge,
    /// Tasks that panicked.
    pub panics: IntCounter,
}

impl Metrics {
    /// All families, registered.
    #[expect(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "names and labels are constants, checked by a test"
    )]
    pub fn new() -> Self {
        Self::try_new(&Registry::new()).expect("constant names are valid and unique")
    }

    fn try_new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Make { registry };
        Ok(Self {
            lines_read: make.counters("lines_read_total", "Lines taken into the lanes", &[])?,
            bytes_read: make.counters("bytes_read_total", "Text of the lines read", &[])?,
            lines_delivered: make.counters("lines_delivered_total", "Lines acknowledged", &[])?,
            bytes_delivered: make.counters("bytes_delivered_total", "Frames acknowledged", &[])?,
            lines_dropped: make.counters("lines_dropped_total", "Lines given up", &["reason"])?,
            bytes_dropped: make.counters("bytes_dropped_total", "Text given up", &["reason"])?,
            lines_in_flight: make.gauges("lines_in_flight", "Lines read and not settled")?,
            lines_resent: make.counters("lines_resent_total", "Lines sent again", &[])?,
            lines_truncated: make.counters("lines_truncated_total", "Lines cut to a limit", &[])?,
            gaps: make.counters("gaps_total", "Logs that had lost lines unread", &[])?,
            bytes_doubtful: make.counters("bytes_doubtful_total", "Bytes perhaps unread", &[])?,
            connections: make.counters("connections_total", "Links made", &[])?,
            switches: make.counters(
                "destination_switches_total",
                "Links to another address of the list than before",
                &[],
            )?,
            // Not registered: nobody sees it.
            uncounted: IntCounter::new("uncounted", "Links of outputs behind another")?,
            faults: make.counters("faults_total", "Broken links and failed attempts", &[])?,
            suspected: make.counters(
                "lines_suspected_lost_total",
                "Frames refused by ICMP",
                &[],
            )?,
            up: make.gauges("destination_up", "1 while connected")?,
            stalled: make.gauges("destination_stalled", "1 while nothing is acknowledged")?,
            store: StoreFamilies::new(&make)?,
            source: SourceMetrics {
                followers: make.gauge("followers", "Logs being followed")?,
                files_followed: make.gauge("log_files_followed", "Logs read from files")?,
                files_opened: make.counter("log_files_opened_total", "Log files opened")?,
                files_refused: make
                    .counter("log_files_refused_total", "Log files that could not be read")?,
                streams_opened: make.counter("log_streams_opened_total", "Log streams opened")?,
                streams_cut: make.counter("log_streams_cut_total", "Log streams cut")?,
                streams_stalled: make
                    .counter("log_streams_stalled_total", "Log streams stalled")?,
                logs_rewound: make.counter("logs_rewound_total", "Logs read again")?,
                pieces_repeated: make.counter("pieces_repeated_total", "Pieces sent twice")?,
                records_cut: make
                    .counter("multiline_records_cut_total", "Records without room for a line")?,
                lines_split: make.counter("lines_split_total", "Lines shipped in parts")?,
                bytes_garbled: make.counter("log_bytes_garbled_total", "Bytes not understood")?,
                containers_missed: make.counter("containers_missed_total", "Gone too early")?,
                source_up: make.gauge("source_up", "1 while the source can be read")?,
            },
            checkpoint: CheckpointMetrics {
                saves: make.counter("checkpoint_saves_total", "Checkpoints written")?,
                errors: make.counter("checkpoint_errors_total", "Checkpoints not written")?,
                saved_timestamp: make
                    .gauge("checkpoint_saved_timestamp_seconds", "Unix time of the last one")?,
            },
            tasks: TaskMetrics {
                alive: make.gauge("tasks", "Tasks alive")?,
                panics: make.counter("task_panics_total", "Tasks that panicked")?,
            },
            registry: registry.clone(),
        })
    }

    /// Handles for one destination, all at zero.
    pub fn destination(&self, name: &str) -> DestinationMetrics {
        let of = |family: &IntCounterVec| family.with_label_values(&[name]);
        let dropped = DropReason::ALL.map(|reason| {
            let labels = [name, reason.name()];
            (
                self.lines_dropped.with_label_values(&labels),
                self.bytes_dropped.with_label_values(&labels),
            )
        });
        DestinationMetrics {
            lines_read: of(&self.lines_read),
            bytes_read: of(&self.bytes_read),
            lines_delivered: of(&self.lines_delivered),
            bytes_delivered: of(&self.bytes_delivered),
            lines_in_flight: self.lines_in_flight.with_label_values(&[name]),
            lines_resent: of(&self.lines_resent),
            lines_truncated: of(&self.lines_truncated),
            gaps: of(&self.gaps),
            bytes_doubtful: of(&self.bytes_doubtful),
            faults: of(&self.faults),
            up: self.up.with_label_values(&[name]),
            stalled: self.stalled.with_label_values(&[name]),
            dropped,
        }
    }

    /// Handles for one destination's output.
    pub fn output(&self, name: &str) -> OutputMetrics {
        OutputMetrics {
            connections: self.connections.with_label_values(&[name]),
            switches: self.switches.with_label_values(&[name]),
            suspected: self.suspected.with_label_values(&[name]),
            uncounted: self.uncounted.clone(),
        }
    }

    /// Handles for one destination that keeps streams, all at zero.
    pub fn store(&self, name: &str) -> StoreMetrics {
        self.store.of(name)
    }

    /// Handles for the sources.
    pub fn source(&self) -> &SourceMetrics {
        &self.source
    }

    /// Handles for the checkpoint.
    pub fn checkpoint(&self) -> &CheckpointMetrics {
        &self.checkpoint
    }

    /// Handles for the task set.
    pub fn tasks(&self) -> &TaskMetrics {
        &self.tasks
    }

    /// What is not there yet: the source, and destinations that are down. Reads the series that
    /// are shown, so that both cannot disagree.
    pub fn not_ready(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.source.source_up.get() == 0 {
            missing.push("source".to_owned());
        }
        for metric in self.up.collect().iter().flat_map(prometheus::proto::MetricFamily::get_metric)
        {
            if metric.get_gauge().get_value() < 1.0 {
                missing.extend(metric.get_label().iter().map(|label| label.value().to_owned()));
            }
        }
        missing
    }

    /// Everything in the Prometheus text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes and registers families with the common prefix and the `destination` label.
struct Make<'a> {
    registry: &'a Registry,
}

impl Make<'_> {
    fn add<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("downspout")
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        more: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        let labels = [&["destination"], more].concat();
        self.add(IntCounterVec::new(Self::opts(name, help), &labels)?)
    }

    fn gauges(&self, name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Self::opts(name, help), &["destination"])?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::with_opts(Self::opts(name, help))?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::with_opts(Self::opts(name, help))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_a_destination_is_there_from_the_start() {
        let metrics = Metrics::new();
        let destination = metrics.destination("syslog+tcp://a:514");
        metrics.output("syslog+tcp://a:514");
        let text = metrics.render();
        for reason in DropReason::ALL {
            let series = format!(
                "downspout_lines_dropped_total{{destination=\"syslog+tcp://a:514\",reason=\"{}\"}} 0",
                reason.name()
            );
            assert!(text.contains(&series), "{series} missing in\n{text}");
        }
        destination.dropped(DropReason::Overflow, 3, 30);
        assert_eq!(destination.lines_dropped(), 3);
        assert!(metrics.render().contains("reason=\"overflow\"} 30"));
    }

    #[test]
    fn a_hostile_name_cannot_break_the_format() {
        let metrics = Metrics::new();
        metrics.destination("a\"b\nc\\");
        assert!(metrics.render().contains(r#"destination="a\"b\nc\\""#));
    }
}
