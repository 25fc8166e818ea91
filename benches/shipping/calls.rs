//! Calls that put events: how many, and how full. Never touches a socket.

use std::time::Instant;

use super::table::figure;

/// `PutLogEvents` (API reference): what a call may have, and what is counted for each event beside
/// its text.
const CALL_BYTES: u64 = 1_048_576;
const CALL_EVENTS: u64 = 10_000;
const EVENT_BYTES: u64 = 26;

const MEGABYTE: f64 = 1e6;
const MIB: f64 = 1_048_576.0;

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// When it was whole.
    pub(crate) came: Instant,
    /// Head and body, as they came.
    pub(crate) wire_bytes: u64,
    /// Text of its events, in UTF-8.
    pub(crate) text_bytes: u64,
    pub(crate) events: u64,
    /// Whether lines of the bench are in it.
    pub(crate) is_ours: bool,
}

/// What the calls of a run come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls {
    pub(crate) count: f64,
    /// By megabyte of lines, without their ends.
    pub(crate) per_megabyte: f64,
    /// How full they were in percent, of bytes or events, whichever is nearer its limit: the mean
    /// of all but the last, which has what is left.
    pub(crate) fill: Option<f64>,
    pub(crate) wire_mib: f64,
    /// From the start to the last but one, in seconds: what is left may wait for more.
    pub(crate) full_s: Option<f64>,
}

impl Calls {
    /// Of the calls since `started` that have lines of the bench; `None` if there is none.
    pub(crate) fn of(calls: &[Call], started: Instant) -> Option<Self> {
        let mut ours: Vec<&Call> = calls.iter().filter(|call| call.is_ours).collect();
        ours.sort_by_key(|call| call.came);
        let (_, whole) = ours.split_last()?;
        let sum = |value: fn(&Call) -> u64| figure(ours.iter().map(|call| value(call)).sum());
        let count = figure(ours.len() as u64);
        let fill: f64 = whole.iter().map(|call| call.fill()).sum();
        Some(Self {
            count,
            per_megabyte: count / (sum(|call| call.text_bytes) / MEGABYTE),
            fill: (!whole.is_empty()).then(|| 100.0 * fill / figure(whole.len() as u64)),
            full_s: whole.last().map(|call| (call.came - started).as_secs_f64()),
            wire_mib: sum(|call| call.wire_bytes) / MIB,
        })
    }
}

impl Call {
    fn fill(&self) -> f64 {
        let counted = self.text_bytes + EVENT_BYTES * self.events;
        let bytes = figure(counted) / figure(CALL_BYTES);
        bytes.max(figure(self.events) / figure(CALL_EVENTS))
    }
}
