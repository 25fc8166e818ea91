//! The service's clock: this host's, corrected by what the service says. A signature is valid for
//! five minutes only, and a host's clock may be further off.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_async::time::TimeSource;

use crate::record::Timestamp;

/// A `Date` header has whole seconds, and is on its way for a while: less is no difference.
const LEAST_MILLIS: i64 = 30_000;

/// How far the service's clock is ahead of ours.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead_millis: AtomicI64,
}

impl Clock {
    /// The time by the service's clock.
    pub(super) fn now(&self) -> Timestamp {
        let ahead = self.ahead_millis.load(Ordering::Relaxed);
        Timestamp::from_nanos(Timestamp::now().nanos().saturating_add(ahead * 1_000_000))
    }

    /// How far the service's clock is ahead, in milliseconds.
    pub(super) fn ahead_millis(&self) -> i64 {
        self.ahead_millis.load(Ordering::Relaxed)
    }

    /// The service says what time it is.
    pub(super) fn heard(&self, date: SystemTime) {
        let since = date.duration_since(UNIX_EPOCH).unwrap_or_default();
        let theirs = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let ahead = theirs.saturating_sub(Timestamp::now().millis());
        let ahead = if ahead.abs() < LEAST_MILLIS { 0 } else { ahead };
        let before = self.ahead_millis.swap(ahead, Ordering::Relaxed);
        if (ahead - before).abs() >= LEAST_MILLIS {
            tracing::warn!(
                seconds = ahead / 1000,
                "the service's clock is ahead of this host's by this; requests are signed by its"
            );
        }
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        let nanos = u64::try_from(Self::now(self).nanos()).unwrap_or_default();
        UNIX_EPOCH + Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_corrected_and_one_that_is_right_is_left() {
        let clock = Clock::default();
        let ours = || UNIX_EPOCH + Duration::from_millis(Timestamp::now().millis().unsigned_abs());
        clock.heard(ours() + Duration::from_secs(20));
        assert_eq!(clock.ahead_millis(), 0);
        clock.heard(ours() + Duration::from_mins(20));
        let ahead = clock.now().millis() - Timestamp::now().millis();
        assert!((1_199_000..=1_201_000).contains(&ahead), "{ahead}");
        clock.heard(ours() - Duration::from_mins(20));
        let ahead = TimeSource::now(&clock).duration_since(ours()).unwrap_err().duration();
        assert!((1199..=1201).contains(&ahead.as_secs()), "{ahead:?}");
        clock.heard(ours());
        assert_eq!(clock.ahead_millis(), 0);
    }
}
