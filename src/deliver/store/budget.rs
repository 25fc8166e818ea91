//! How many calls may be repeated: one budget for all streams of a destination, so that an outage
//! sees a trickle of probes and not all streams trying. Knows no clock but its arguments.

use std::time::Duration;

use tokio::time::Instant;

/// Repeats that may be saved up.
const MOST: f64 = 20.0;
/// Repeats there are at the start.
const FIRST: f64 = 10.0;
/// Repeats per second that there are in any case.
const FLOOR_PER_SECOND: f64 = 1.0;
/// A call that succeeds at once allows a tenth of a repeat.
const OF_A_CALL: f64 = 0.1;
/// A repeat that succeeds allows two more: after an outage they double, as in a slow start.
const OF_A_REPEAT: f64 = 2.0;
/// After so many failures without a success in between the peer is taken to be down.
const DOWN_AFTER: u32 = 3;

/// What is left to be spent on repeats.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: f64,
    updated: Instant,
    failures: u32,
}

impl Budget {
    /// The first allowance.
    pub(super) fn new(now: Instant) -> Self {
        Self { tokens: FIRST, updated: now, failures: 0 }
    }

    /// Whether the peer fails whatever is tried; then first calls cost as much as repeats.
    pub(super) fn is_down(&self) -> bool {
        self.failures >= DOWN_AFTER
    }

    /// Takes the right to a call; else when there will be one.
    pub(super) fn take(&mut self, repeats: bool, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.updated = now;
        let most = if self.is_down() { 1.0 } else { MOST };
        self.tokens = (self.tokens + passed * FLOOR_PER_SECOND).min(most);
        if !repeats && !self.is_down() {
            return Ok(());
        }
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let missing = (1.0 - self.tokens) / FLOOR_PER_SECOND;
        Err(now + Duration::from_secs_f64(missing.max(0.001)))
    }

    /// A call succeeded.
    pub(super) fn succeeded(&mut self, repeat: bool) {
        self.failures = 0;
        self.tokens = (self.tokens + if repeat { OF_A_REPEAT } else { OF_A_CALL }).min(MOST);
    }

    /// A call failed for a reason that is likely to hold for all streams.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 500 streams, each with a batch that it wants to send as soon as it may.
    #[test]
    fn an_outage_sees_a_trickle_and_its_end_a_doubling() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let at = |tenths: u64| start + Duration::from_millis(tenths * 100);
        let mut calls = 0;
        for tenth in 0..600 {
            while budget.take(true, at(tenth)).is_ok() {
                calls += 1;
                budget.failed();
            }
        }
        assert!((55..=75).contains(&calls), "{calls}");
        assert!(budget.take(false, at(610)).is_ok() && budget.take(false, at(610)).is_err());
        budget.succeeded(true);
        let mut left = 500;
        for tenth in 611.. {
            while left > 0 && budget.take(true, at(tenth)).is_ok() {
                left -= 1;
                budget.succeeded(true);
            }
            if left == 0 {
                assert!(tenth < 700, "recovered after {tenth} tenths of a second");
                return;
            }
        }
    }

    #[test]
    fn repeats_are_a_tenth_of_what_succeeds_and_a_floor() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        while budget.take(true, start).is_ok() {}
        for _ in 0..100 {
            budget.succeeded(false);
        }
        let repeats = (0..100).take_while(|_| budget.take(true, start).is_ok()).count();
        assert!((9..=10).contains(&repeats), "{repeats}");
        let next = budget.take(true, start).unwrap_err();
        assert!(budget.take(true, next).is_ok());
    }

    #[test]
    fn first_calls_are_free_while_something_succeeds() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        for _ in 0..1000 {
            assert!(budget.take(false, start).is_ok());
            budget.failed();
            budget.succeeded(false);
        }
    }
}
