//! How often a store is called: a rate that is cut when it throttles and found again afterwards,
//! and batches that wait the longer the less often they may go. Knows no clock but its arguments.

use std::time::Duration;

use tokio::time::Instant;

/// What is left of the rate after a throttled call.
const CUT: f64 = 0.7;
/// Calls per second at least: a probe each five seconds.
const SLOWEST: f64 = 0.2;
/// From here on a limit says nothing any more: no host sends so many.
const FASTEST: f64 = 200.0;
/// Growth of the rate per second: quickly back to near where it was throttled last, slowly there.
const QUICK_GROWTH: f64 = 0.25;
const SLOW_GROWTH: f64 = 0.01;
/// Calls that fail together were sent together: they cut the rate once.
const ONE_EPISODE: Duration = Duration::from_secs(1);
/// Over how long the calls that were taken are averaged.
const AVERAGED: Duration = Duration::from_secs(2);
/// How long batches wait to be filled at most.
const LONGEST_FLUSH: Duration = Duration::from_mins(1);
/// After so long without a throttled call they wait less again.
const CALM: Duration = Duration::from_secs(5);

/// The pace of calls to one store.
#[derive(Debug)]
pub(super) struct Pace {
    base: Duration,
    flush: Duration,
    /// Calls per second; `None` for as many as there are.
    rate: Option<f64>,
    /// The rate at which the store throttled last.
    ceiling: f64,
    tokens: f64,
    /// Calls taken per second, averaged.
    taken: f64,
    updated: Instant,
    throttled: Option<Instant>,
    /// Something was taken since then.
    recovers: bool,
    calmed: Instant,
}

impl Pace {
    /// No limit; batches wait for `flush`.
    pub(super) fn new(flush: Duration, now: Instant) -> Self {
        Self {
            base: flush,
            flush,
            rate: None,
            ceiling: 0.0,
            tokens: 1.0,
            taken: 0.0,
            updated: now,
            throttled: None,
            recovers: false,
            calmed: now,
        }
    }

    /// How long a batch waits to be filled.
    pub(super) fn flush(&self) -> Duration {
        self.flush
    }

    /// Calls per second at most; 0 for no limit.
    pub(super) fn rate(&self) -> f64 {
        self.rate.unwrap_or_default()
    }

    /// Whether a call may be made; else when.
    pub(super) fn look(&mut self, now: Instant) -> Result<(), Instant> {
        self.pass(now);
        match self.rate {
            Some(rate) if self.tokens < 1.0 => {
                let missing = ((1.0 - self.tokens) / rate).max(0.001);
                Err(now + Duration::from_secs_f64(missing))
            }
            _ => Ok(()),
        }
    }

    /// A call is made that may be made.
    pub(super) fn spend(&mut self) {
        if self.rate.is_some() {
            self.tokens -= 1.0;
        }
    }

    /// A call was taken.
    pub(super) fn taken(&mut self, now: Instant) {
        self.pass(now);
        self.recovers = true;
        self.taken += 1.0 / AVERAGED.as_secs_f64();
    }

    /// A call was throttled.
    pub(super) fn throttled(&mut self, now: Instant) {
        self.pass(now);
        let last = self.throttled.replace(now);
        self.calmed = now;
        self.recovers = false;
        if last.is_some_and(|last| now.duration_since(last) < ONE_EPISODE) {
            return;
        }
        let reached = self.rate.map_or(self.taken, |rate| rate.min(self.taken.max(SLOWEST)));
        if self.taken > SLOWEST {
            self.ceiling = reached;
        }
        self.rate = Some((reached * CUT).max(SLOWEST));
        self.tokens = self.tokens.min(0.0);
        self.flush = (self.flush * 2).min(LONGEST_FLUSH.max(self.base));
    }

    /// What has changed since the last call.
    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.updated = now;
        self.taken *= (-passed / AVERAGED.as_secs_f64()).exp();
        while self.recovers
            && self.flush > self.base
            && now.saturating_duration_since(self.calmed) >= CALM
        {
            self.calmed += CALM;
            self.flush = self.flush.saturating_sub(self.base.min(CALM)).max(self.base);
        }
        let Some(rate) = self.rate else { return };
        // A token for each call of a second, so that a pause does not become a burst.
        self.tokens = (self.tokens + passed * rate).min(rate.max(1.0));
        if !self.recovers {
            return;
        }
        let near = rate > 0.9 * self.ceiling && rate < 1.1 * self.ceiling;
        let growth = if near { SLOW_GROWTH } else { QUICK_GROWTH };
        let rate = rate * (growth * passed).exp();
        self.rate = (rate < FASTEST).then_some(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLUSH: Duration = Duration::from_secs(5);

    /// A service that takes `limit` calls per second, with as many saved up at most.
    struct Service {
        limit: f64,
        tokens: f64,
    }

    impl Service {
        fn takes(&mut self, passed: f64) -> bool {
            self.tokens = (self.tokens + passed * self.limit).min(self.limit);
            let takes = self.tokens >= 1.0;
            self.tokens -= f64::from(u8::from(takes));
            takes
        }
    }

    /// Calls taken and refused from second `from` to second `to`, by a caller that always wants.
    fn run(pace: &mut Pace, service: &mut Service, start: Instant, to: u32) -> (u32, u32) {
        let (mut taken, mut refused, mut now) = (0, 0, pace.updated.max(start));
        let end = start + Duration::from_secs(to.into());
        while now < end {
            let step = Duration::from_millis(20);
            now += step;
            let would = service.takes(step.as_secs_f64());
            let may = pace.look(now);
            if may.is_ok() {
                pace.spend();
            }
            match may {
                Ok(()) if would => {
                    taken += 1;
                    pace.taken(now);
                }
                Ok(()) => {
                    refused += 1;
                    pace.throttled(now);
                }
                // What was not asked for is still there.
                Err(_) => service.tokens += f64::from(u8::from(would)),
            }
        }
        (taken, refused)
    }

    #[test]
    fn a_limit_of_five_is_found_and_used_with_few_refusals() {
        let start = Instant::now();
        let mut pace = Pace::new(FLUSH, start);
        let mut service = Service { limit: 5.0, tokens: 5.0 };
        run(&mut pace, &mut service, start, 30);
        let (taken, refused) = run(&mut pace, &mut service, start, 330);
        assert!(refused * 20 < taken + refused, "{refused} refused, {taken} taken");
        assert!(taken > 300 * 5 * 6 / 10, "{taken} taken of {}", 300 * 5);
    }

    #[test]
    fn a_store_that_takes_nothing_is_asked_ever_less_and_is_found_again() {
        let start = Instant::now();
        let mut pace = Pace::new(FLUSH, start);
        let mut service = Service { limit: 0.0, tokens: 0.0 };
        let (_, first) = run(&mut pace, &mut service, start, 60);
        let (_, second) = run(&mut pace, &mut service, start, 600);
        assert!(first <= 60 && second <= 540 / 4, "{first}, {second}");
        assert!(pace.flush() + FLUSH >= LONGEST_FLUSH, "{:?}", pace.flush());
        service.limit = 1000.0;
        run(&mut pace, &mut service, start, 700);
        assert!(pace.rate() == 0.0 || pace.rate() > 10.0, "{}", pace.rate());
        assert_eq!(pace.flush(), FLUSH);
    }

    #[test]
    fn nothing_is_limited_before_something_was_throttled() {
        let start = Instant::now();
        let mut pace = Pace::new(FLUSH, start);
        for _ in 0..10_000 {
            assert_eq!(pace.look(start), Ok(()));
            pace.spend();
        }
        assert_eq!((pace.flush(), pace.rate()), (FLUSH, 0.0));
    }

    #[test]
    fn calls_that_are_throttled_together_count_once() {
        let start = Instant::now();
        let mut pace = Pace::new(FLUSH, start);
        for _ in 0..20 {
            pace.taken(start);
        }
        for _ in 0..8 {
            pace.throttled(start + Duration::from_millis(10));
        }
        assert!(pace.rate() > 6.0, "{}", pace.rate());
        assert_eq!(pace.flush(), 2 * FLUSH);
    }
}
