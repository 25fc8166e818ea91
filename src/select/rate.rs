//! How many lines a container may send: a rate as people write it, and the bucket that admits
//! lines by their own stamps, so that a log read again gives the same result. Never a clock.

use std::fmt;

use super::shown::Shown;
use crate::record::{DISORDER_NANOS, Timestamp};

/// Most lines in a unit of time.
const MOST_LINES: u32 = 1_000_000;
/// Fewest lines that may come at once: a stack trace, however low the rate.
const LEAST_BURST: u64 = 10;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Lines in a unit of time, on average. At once as many may come as in a second, and at least 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    lines: u32,
    seconds: u8,
}

impl Rate {
    /// `100/s`, `6000/m`, or `100`, which is per second; 1 to 1,000,000 lines.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (lines, seconds) = match text.split_once('/') {
            None => (text, 1),
            Some((lines, "s")) => (lines, 1),
            Some((lines, "m")) => (lines, 60),
            Some((_, unit)) => {
                let unit = Shown(unit);
                return Err(format!("unknown unit '{unit}'; write 100/s or 6000/m"));
            }
        };
        let digits = !lines.is_empty() && lines.bytes().all(|byte| byte.is_ascii_digit());
        let number = lines.parse().ok().filter(|lines| digits && (1..=MOST_LINES).contains(lines));
        number.map(|lines| Self { lines, seconds }).ok_or_else(|| {
            "expected 1 to 1000000 lines per second or minute, such as 100/s or 6000/m".into()
        })
    }

    /// Lines that may come at once.
    pub fn burst(self) -> u64 {
        (u64::from(self.lines) / u64::from(self.seconds)).max(LEAST_BURST)
    }

    // What a line costs, where every nanosecond earns `lines`: so no fraction is ever lost.
    fn cost(self) -> u64 {
        NANOS_PER_SECOND * u64::from(self.seconds)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lines, if self.seconds == 1 { "s" } else { "m" })
    }
}

/// What is left of a rate: full at first.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: Rate,
    credit: u64,
    /// The stamp up to which credit was earned.
    earned: Option<Timestamp>,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate) -> Self {
        Self { rate, credit: rate.burst() * rate.cost(), earned: None }
    }

    /// The rate it was made for.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether a line of this stamp may pass; if so, it is charged for. Stamps that go back earn
    /// nothing.
    pub fn admit(&mut self, time: Timestamp) -> bool {
        let elapsed = time.nanos().saturating_sub(self.earned.unwrap_or(time).nanos());
        if let Ok(elapsed @ 1..) = u64::try_from(elapsed) {
            let earnings = elapsed.saturating_mul(u64::from(self.rate.lines));
            let full = self.rate.burst() * self.rate.cost();
            self.credit = self.credit.saturating_add(earnings).min(full);
            self.earned = Some(time);
        } else if self.earned.is_none() || elapsed < -DISORDER_NANOS {
            // The host's clock was set back: whoever waited for it to catch up would earn nothing
            // for as long as it had been ahead.
            self.earned = Some(time);
        }
        let left = self.credit.checked_sub(self.rate.cost());
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
    }

    fn admitted(bucket: &mut Bucket, millis: i64, lines: usize) -> usize {
        (0..lines).filter(|_| bucket.admit(at(millis))).count()
    }

    #[test]
    fn rates_read_as_people_write_them() {
        for (text, shown, burst) in [
            ("100/s", "100/s", 100),
            ("100", "100/s", 100),
            ("6000/m", "6000/m", 100),
            ("1/m", "1/m", 10),
            ("3", "3/s", 10),
            ("1000000/s", "1000000/s", 1_000_000),
        ] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!((rate.to_string().as_str(), rate.burst()), (shown, burst), "{text}");
        }
        for text in ["", "0", "0/s", "-1", "+5", "1.5", "1000001", "/s", "1/s/s", "x", "5/", "5/h"]
        {
            let said = Rate::parse(text).unwrap_err();
            assert!(said.contains("100/s"), "{text}: {said}");
        }
        assert!(Rate::parse("5/h").unwrap_err().contains("unknown unit 'h'"));
    }

    #[test]
    fn a_bucket_admits_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(Rate::parse("100/s").unwrap());
        assert_eq!(admitted(&mut bucket, 0, 500), 100);
        assert_eq!(admitted(&mut bucket, 9, 5), 0, "nine tenths of a line are none");
        assert_eq!(admitted(&mut bucket, 10, 5), 1);
        assert_eq!(admitted(&mut bucket, 510, 500), 50);
        assert_eq!(admitted(&mut bucket, 3_600_000, 500), 100, "credit is not hoarded");
    }

    #[test]
    fn a_rate_per_minute_earns_by_the_minute() {
        let mut bucket = Bucket::new(Rate::parse("6/m").unwrap());
        assert_eq!(admitted(&mut bucket, 0, 50), 10);
        assert_eq!(admitted(&mut bucket, 9_999, 5), 0);
        assert_eq!(admitted(&mut bucket, 10_000, 5), 1);
        assert_eq!(admitted(&mut bucket, 60_000, 50), 5);
    }

    #[test]
    fn stamps_that_go_back_earn_nothing() {
        let mut bucket = Bucket::new(Rate::parse("10/s").unwrap());
        assert_eq!(admitted(&mut bucket, 10_000, 50), 10);
        assert_eq!(admitted(&mut bucket, 9_000, 5), 0);
        assert_eq!(admitted(&mut bucket, 10_000, 5), 0, "the second was earned already");
        assert_eq!(admitted(&mut bucket, 10_100, 5), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_earning() {
        let mut bucket = Bucket::new(Rate::parse("10/s").unwrap());
        let century = 3_000_000_000_000;
        assert_eq!(admitted(&mut bucket, century, 50), 10);
        assert_eq!(admitted(&mut bucket, 0, 5), 0);
        assert_eq!(admitted(&mut bucket, 1_000, 50), 10);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_stamps_make_it_panic_and_the_same_stamps_give_the_same_lines(
            stamps in prop::collection::vec(any::<i64>(), 0..200), lines in 1_u32..=1_000_000,
        ) {
            let rate = Rate::parse(&format!("{lines}/m")).unwrap();
            let (mut one, mut other) = (Bucket::new(rate), Bucket::new(rate));
            for stamp in stamps {
                let time = Timestamp::from_nanos(stamp);
                prop_assert_eq!(one.admit(time), other.admit(time));
            }
        }

        #[test]
        fn no_more_lines_pass_than_the_burst_and_what_the_time_earns(
            steps in prop::collection::vec(0_i64..50, 1..300), lines in 1_u32..=2000,
        ) {
            let mut bucket = Bucket::new(Rate::parse(&lines.to_string()).unwrap());
            let (mut now, mut passed) = (0, 0);
            for step in steps {
                now += step;
                passed += i64::from(bucket.admit(at(now)));
            }
            let most = i64::from(lines).max(10) + now * i64::from(lines) / 1000;
            prop_assert!(passed <= most, "{} of {}", passed, most);
        }
    }
}
