//! The counters of the sources.

use prometheus::{IntCounter, IntGauge};

use super::Make;
use super::containers::Containers;

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
    /// Settings in containers' labels that are unknown, not allowed or wrong.
    pub label_problems: IntCounter,
    /// 1 while there is something to read from: the engine answers, the input is open.
    pub source_up: IntGauge,
    /// What is known of each container.
    pub containers: Containers,
}

impl SourceMetrics {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            followers: make.gauge("followers", "Logs being followed")?,
            files_followed: make.gauge("log_files_followed", "Logs read from files")?,
            files_opened: make.counter("log_files_opened_total", "Log files opened")?,
            files_refused: make
                .counter("log_files_refused_total", "Log files that could not be read")?,
            streams_opened: make.counter("log_streams_opened_total", "Log streams opened")?,
            streams_cut: make.counter("log_streams_cut_total", "Log streams cut")?,
            streams_stalled: make.counter("log_streams_stalled_total", "Log streams stalled")?,
            logs_rewound: make.counter("logs_rewound_total", "Logs read again")?,
            pieces_repeated: make.counter("pieces_repeated_total", "Pieces sent twice")?,
            records_cut: make
                .counter("multiline_records_cut_total", "Records without room for a line")?,
            lines_split: make.counter("lines_split_total", "Lines shipped in parts")?,
            bytes_garbled: make.counter("log_bytes_garbled_total", "Bytes not understood")?,
            containers_missed: make.counter("containers_missed_total", "Gone too early")?,
            label_problems: make
                .counter("label_problems_total", "Settings by label that do not hold")?,
            source_up: make.gauge("source_up", "1 while the source can be read")?,
            containers: make.containers()?,
        })
    }
}
