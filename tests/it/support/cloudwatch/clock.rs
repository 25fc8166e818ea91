//! The clock of a fake service: this host's, and how far it is ahead; and how AWS writes time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use super::super::fake_engine::{now, stamp};

/// One day in milliseconds.
pub const DAY: i64 = 86_400_000;

/// A clock that several fakes may share.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// Sets how many milliseconds it is ahead of this host's; behind if negative.
    pub fn set_ahead(&self, milliseconds: i64) {
        self.0.store(milliseconds, SeqCst);
    }

    /// Milliseconds since 1970.
    pub fn now(&self) -> i64 {
        now() / 1_000_000 + self.0.load(SeqCst)
    }
}

/// RFC 3339 in UTC, whole seconds, as credentials say when they expire.
pub fn rfc3339(milliseconds: i64) -> String {
    part(&stamp(milliseconds * 1_000_000), ..19).to_owned() + "Z"
}

/// `YYYYMMDDTHHMMSSZ`, the `X-Amz-Date` of a signature.
pub fn amz_date(milliseconds: i64) -> String {
    rfc3339(milliseconds).replace(['-', ':'], "")
}

/// Milliseconds since 1970 of an `X-Amz-Date`.
pub fn parse_amz_date(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    let field = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (field(0..4)?, field(4..6)?, field(6..8)?);
    let (hour, minute, second) = (field(9..11)?, field(11..13)?, field(13..15)?);
    // Howard Hinnant's days_from_civil, for years from 1970 on.
    let year = year - i64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + of_year;
    let days = year / 400 * 146_097 + of_era - 719_468;
    let milliseconds = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000;
    (amz_date(milliseconds) == text).then_some(milliseconds)
}

/// The `Date` header: IMF-fixdate of RFC 9110, section 5.6.7.
pub fn http_date(milliseconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = rfc3339(milliseconds);
    let weekday = DAYS[usize::try_from(milliseconds.div_euclid(DAY) % 7).unwrap()];
    let month = MONTHS[part(&text, 5..7).parse::<usize>().unwrap() - 1];
    format!(
        "{weekday}, {} {month} {} {} GMT",
        part(&text, 8..10),
        part(&text, ..4),
        part(&text, 11..19)
    )
}

// Of a text that is ASCII.
fn part(text: &str, range: impl std::slice::SliceIndex<str, Output = str>) -> &str {
    text.get(range).unwrap()
}

#[test]
fn time_is_written_and_read_as_aws_does() {
    // RFC 9110's example, and the date of AWS's signature examples.
    assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(amz_date(1_440_938_160_000), "20150830T123600Z");
    for text in ["20150830T123600Z", "20000229T235959Z", "20261231T000000Z"] {
        assert_eq!(amz_date(parse_amz_date(text).unwrap()), text);
    }
    assert_eq!(parse_amz_date("20150830T123600Z"), Some(1_440_938_160_000));
    for text in ["", "Z", "20150830", "20150231T000000Z", "2015-08-30T12:36:00Z"] {
        assert_eq!(parse_amz_date(text), None, "{text}");
    }
}
