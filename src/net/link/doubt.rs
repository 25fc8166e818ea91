//! Estimates how much of what the peer's kernel acknowledged its process may not have read.
//! Errs on the side of more: that costs repeats, less would cost lines.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A process that lives reads what arrived within this time.
const READ_WITHIN: Duration = Duration::from_secs(1);

/// Most that a process is suspected to leave unread without its window showing it. A receive
/// buffer of Linux starts at 128 KiB; a fuller one shows.
pub(super) const HIDDEN_LIMIT_BYTES: usize = 256 * 1024;

/// A buffer that the kernel has let grow beyond this was read fast, and may have grown further
/// than its window shows: newer kernels go up to 32 MiB. Measured, it then hid as much as the window
/// was wide.
const GROWN_BYTES: u32 = 1 << 20;

/// How long a process may stall, and then break off, before such a buffer.
const STALLS_WITHIN: Duration = Duration::from_secs(10);

/// Acknowledgements closer together than this are one entry, which bounds their number.
const GRAIN: Duration = Duration::from_millis(100);

/// Linux sets half of a receive buffer aside for overhead and gives it to data after all when the
/// segments are large, without ever having advertised it. Measured on 6.18 in 40 kinds of stall:
/// up to 1.4 times the shrinking of the window is unread, and 1.6 times in buffers of 128 KiB; 3.6
/// times where the process was starved of its processor while its buffer grew.
const UNREAD_PER_SHRUNK: u64 = 4;

/// What a window that has shrunk at all hides in addition: the room kept for one large segment.
const SLACK_BYTES: u64 = 64 * 1024;

/// What is known of a peer's reading.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    acknowledged: u64,
    widest: u32,
    window: u32,
    steps: VecDeque<Step>,
}

/// Acknowledgements that came close together.
#[derive(Debug)]
struct Step {
    first: Instant,
    last: Instant,
    acknowledged: u64,
}

impl Doubt {
    /// Notes what was acknowledged by now and, where the kernel tells, the window.
    pub(super) fn sample(&mut self, now: Instant, acknowledged: u64, window: Option<u32>) {
        if let Some(window) = window {
            self.widest = self.widest.max(window);
            self.window = window;
        }
        if acknowledged <= self.acknowledged {
            return;
        }
        self.acknowledged = acknowledged;
        match self.steps.back_mut() {
            Some(step) if now - step.first < GRAIN => {
                step.last = now;
                step.acknowledged = acknowledged;
            }
            _ => self.steps.push_back(Step { first: now, last: now, acknowledged }),
        }
        // The newest step before the time that counts stays: what came after it is recent.
        while self.steps.get(1).is_some_and(|step| now - step.last >= STALLS_WITHIN) {
            self.steps.pop_front();
        }
    }

    /// Bytes that are acknowledged and perhaps unread, if the peer ended abnormally by now.
    pub(super) fn unread(&self, now: Instant) -> u64 {
        let recent = self.since(now, READ_WITHIN).min(HIDDEN_LIMIT_BYTES as u64);
        let grown = if self.widest < GROWN_BYTES { 0 } else { self.widest };
        let hidden = self.since(now, STALLS_WITHIN).min(u64::from(grown)).max(recent);
        let shrunk = match u64::from(self.widest.saturating_sub(self.window)) {
            0 => 0,
            shrunk => shrunk * UNREAD_PER_SHRUNK + SLACK_BYTES,
        };
        shrunk.max(hidden).min(self.acknowledged)
    }

    /// What was acknowledged within this time.
    fn since(&self, now: Instant, within: Duration) -> u64 {
        let before = self.steps.iter().rev().find(|step| now - step.last >= within);
        self.acknowledged - before.map_or(0, |step| step.acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn what_was_acknowledged_long_ago_is_read_if_the_window_is_open() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        doubt.sample(start, 1_000, Some(65_536));
        doubt.sample(at(start, 10), 2_000, Some(65_536));
        assert_eq!(doubt.unread(at(start, 900)), 2_000);
        assert_eq!(doubt.unread(at(start, 1_010)), 0);
    }

    #[test]
    fn only_the_last_second_of_a_steady_flow_is_in_doubt() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        for step in 1..=500 {
            doubt.sample(at(start, step * 10), step * 100, Some(65_536));
        }
        let unread = doubt.unread(at(start, 5_000));
        assert!((10_000..=12_000).contains(&unread), "{unread}");
        assert!(doubt.steps.len() <= 103, "{}", doubt.steps.len());
    }

    #[test]
    fn a_shrunk_window_shows_more_than_the_last_second() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        doubt.sample(start, 10 * MB, Some(4_000_000));
        doubt.sample(at(start, 10), 13 * MB, Some(1_000_000));
        assert!(doubt.unread(at(start, 60_000)) >= 3 * MB);
        doubt.sample(at(start, 60_000), 13 * MB, Some(4_000_000));
        assert_eq!(doubt.unread(at(start, 60_000)), 0);
    }

    #[test]
    fn a_buffer_that_has_grown_may_hide_as_much_as_its_window_is_wide() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        doubt.sample(start, 4 * MB, Some(5_000_000));
        doubt.sample(at(start, 100), 6 * MB, Some(5_000_000));
        assert_eq!(doubt.unread(at(start, 3_000)), 5 * MB);
        assert_eq!(doubt.unread(at(start, 10_100)), 0, "a process that lives has read it");
    }

    #[test]
    fn never_more_than_was_acknowledged_and_recent_bytes_have_a_limit() {
        let start = Instant::now();
        let mut doubt = Doubt::default();
        doubt.sample(start, 0, Some(65_536));
        doubt.sample(at(start, 10), 1_000, Some(0));
        assert_eq!(doubt.unread(at(start, 10)), 1_000);
        doubt.sample(at(start, 20), 10 * MB, Some(65_536));
        assert_eq!(doubt.unread(at(start, 20)), HIDDEN_LIMIT_BYTES as u64);
    }
}
