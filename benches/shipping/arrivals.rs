//! When a line was printed and when it came, by one clock; and what follows from that. Never
//! measures.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::sink::{DIGITS, MARKER};

/// Digits of the time at which a line was printed, in microseconds of the bench.
pub(crate) const STAMP_DIGITS: usize = 12;
const PER_MILLI: f64 = 1e3;
const PER_SECOND: f64 = 1e6;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds since this was first asked for.
pub(crate) fn now() -> u64 {
    u64::try_from(START.elapsed().as_micros()).unwrap()
}

/// A line of this bench.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    /// Only lines of a `Feed` say it.
    pub(crate) printed: Option<u64>,
}

impl Frame {
    /// The line in a frame; `place` is where the last one was, for they stand in line.
    pub(crate) fn find(frame: &[u8], place: &mut usize) -> Option<Self> {
        let marker = MARKER.as_bytes();
        if frame.get(*place..*place + marker.len()) != Some(marker) {
            *place = memchr::memmem::find(frame, marker)?;
        }
        let start = *place + marker.len();
        let number = decimal(frame.get(start..start + DIGITS)?)?;
        let stamp = start + DIGITS + 1;
        let printed = frame.get(stamp..stamp + STAMP_DIGITS).and_then(decimal);
        Some(Self { number, printed })
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

/// A line that came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The container.
    pub(crate) container: usize,
    pub(crate) printed: u64,
    pub(crate) at: u64,
}

/// After how many seconds from `returned` the first line came.
pub(crate) fn first_after(arrivals: &[Arrival], returned: u64) -> Option<f64> {
    let first = arrivals.iter().map(|arrival| arrival.at).filter(|at| *at >= returned).min()?;
    Some(seconds(first - returned))
}

/// After how many seconds from `returned` a line of each of the `containers` had come that was
/// younger than `fresh`.
pub(crate) fn caught_up(
    arrivals: &[Arrival],
    containers: usize,
    returned: u64,
    fresh: Duration,
) -> Option<f64> {
    let youth = u64::try_from(fresh.as_micros()).unwrap();
    let mut fresh: Vec<Option<u64>> = vec![None; containers];
    for Arrival { container, printed, at } in arrivals.iter().copied() {
        if at >= returned && at.saturating_sub(printed) < youth {
            fresh[container] = Some(fresh[container].map_or(at, |before| before.min(at)));
        }
    }
    let last = fresh.into_iter().collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    Some(seconds(last - returned))
}

/// How many milliseconds the lines took that were printed from `from` to `to`, in order.
#[expect(clippy::cast_precision_loss, reason = "microseconds of some hours")]
pub(crate) fn delays(arrivals: &[Arrival], from: u64, to: u64) -> Vec<f64> {
    let wanted = arrivals.iter().filter(|arrival| (from..to).contains(&arrival.printed));
    let mut delays: Vec<f64> = wanted
        .map(|arrival| arrival.at.saturating_sub(arrival.printed) as f64 / PER_MILLI)
        .collect();
    delays.sort_by(f64::total_cmp);
    delays
}

/// Of sorted values, the one below or at which `percent` of them are.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).checked_sub(1)?;
    sorted.get(rank).copied()
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of some hours")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / PER_SECOND
}
