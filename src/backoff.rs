//! Delays between attempts: exponential, under a cap, with full jitter, for ever.

use std::time::Duration;

use backon::BackoffBuilder;

/// Never shorter than this, so that jitter cannot make a hot loop.
const FLOOR: Duration = Duration::from_millis(10);

/// The delays of one thing that is tried again and again.
#[derive(Debug)]
pub struct Backoff {
    builder: backon::ExponentialBuilder,
    steps: backon::ExponentialBackoff,
    cap: Duration,
    attempts: u64,
}

impl Backoff {
    /// The first delay is up to `base`, doubled with every attempt up to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        let builder = backon::ExponentialBuilder::new()
            .with_min_delay(base)
            .with_max_delay(cap)
            .with_factor(2.0)
            .without_max_times();
        Self { builder, steps: builder.build(), cap, attempts: 0 }
    }

    /// The next delay: uniform between the floor and the step.
    pub fn next_delay(&mut self) -> Duration {
        self.attempts += 1;
        let step = self.steps.next().unwrap_or(self.cap).min(self.cap);
        step.mul_f64(fastrand::f64()).max(FLOOR)
    }

    /// Attempts since the last reset.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Starts over. Call it only once the thing has worked, not when it merely began.
    pub fn reset(&mut self) {
        self.attempts = 0;
        self.steps = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const CAP: Duration = Duration::from_secs(30);

    #[test]
    fn delays_double_under_the_cap_for_ever() {
        let mut backoff = Backoff::new(BASE, CAP);
        let mut ceiling = BASE;
        for _ in 0..200 {
            let delay = backoff.next_delay();
            assert!(delay >= FLOOR && delay <= ceiling, "{delay:?} above {ceiling:?}");
            ceiling = (ceiling * 2).min(CAP);
        }
        assert_eq!(backoff.attempts(), 200);
    }

    #[test]
    fn a_reset_starts_over_and_jitter_spreads() {
        let mut backoff = Backoff::new(BASE, CAP);
        for _ in 0..20 {
            backoff.next_delay();
        }
        backoff.reset();
        assert!(backoff.next_delay() <= BASE);
        let late: std::collections::BTreeSet<_> = (0..50).map(|_| backoff.next_delay()).collect();
        assert!(late.len() > 10, "delays must not run in step: {late:?}");
    }
}
