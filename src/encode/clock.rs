//! Time stamps as text. Renders a second once and then only the fraction; never asks what time
//! it is now.

use crate::record::{Civil, Timestamp};

/// Formats time stamps, remembering the last second of each form it was asked for.
#[derive(Debug, Clone)]
pub struct Clock {
    micros: Rendered<27>,
    nanos: Rendered<30>,
    local: Rendered<15>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            micros: Rendered { second: None, text: *b"0000-00-00T00:00:00.000000Z" },
            nanos: Rendered { second: None, text: *b"0000-00-00T00:00:00.000000000Z" },
            local: Rendered { second: None, text: *b"Jan  0 00:00:00" },
        }
    }
}

impl Clock {
    /// Appends RFC 3339 in UTC with six fractional digits, the most that RFC 5424 section 6.2.3
    /// allows. Truncated, so that no stamp lies in the future of its line.
    pub fn rfc3339_micros(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let Rendered { second, text } = &mut self.micros;
        if second.replace(time.seconds()) != Some(time.seconds()) {
            put_second(text, time);
        }
        let micros = time.subsec_nanos() / 1_000;
        put(text, 20, micros / 10_000);
        put(text, 22, micros / 100);
        put(text, 24, micros);
        out.extend_from_slice(text);
    }

    /// Appends RFC 3339 in UTC with nine fractional digits, as the Engine stamps lines.
    pub fn rfc3339_nanos(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let Rendered { second, text } = &mut self.nanos;
        if second.replace(time.seconds()) != Some(time.seconds()) {
            put_second(text, time);
        }
        let nanos = time.subsec_nanos();
        put(text, 20, nanos / 10_000_000);
        put(text, 22, nanos / 100_000);
        put(text, 24, nanos / 1_000);
        put(text, 26, nanos / 10);
        put(text, 27, nanos);
        out.extend_from_slice(text);
    }

    /// Appends `Mmm dd hh:mm:ss` (RFC 3164 section 4.1.2: the day padded with a space) as clocks
    /// show it that are `utc_offset` seconds east of UTC.
    pub fn rfc3164(&mut self, time: Timestamp, utc_offset: i32, out: &mut Vec<u8>) {
        let shown = time.seconds() + i64::from(utc_offset);
        let Rendered { second, text } = &mut self.local;
        if second.replace(shown) != Some(shown) {
            put_local(text, time.civil(utc_offset));
        }
        out.extend_from_slice(text);
    }
}

#[derive(Debug, Clone)]
struct Rendered<const N: usize> {
    second: Option<i64>,
    text: [u8; N],
}

#[cold]
fn put_second(text: &mut [u8], time: Timestamp) {
    let Civil { year, month, day, hour, minute, second } = time.civil(0);
    // A stamp counts nanoseconds in 64 bits, so its year lies between 1677 and 2262.
    put(text, 0, year.unsigned_abs() / 100);
    put(text, 2, year.unsigned_abs());
    for (at, value) in [(5, month), (8, day), (11, hour), (14, minute), (17, second)] {
        put(text, at, value.into());
    }
}

#[cold]
fn put_local(text: &mut [u8], civil: Civil) {
    const MONTHS: [[u8; 3]; 12] = [
        *b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct",
        *b"Nov", *b"Dec",
    ];
    let Civil { month, day, hour, minute, second, .. } = civil;
    let month = MONTHS.into_iter().nth(usize::from(month.saturating_sub(1)));
    if let (Some(place), Some(month)) = (text.first_chunk_mut(), month) {
        *place = month;
    }
    for (at, value) in [(4, day), (7, hour), (10, minute), (13, second)] {
        put(text, at, value.into());
    }
    if let Some(tens @ b'0') = text.get_mut(4) {
        *tens = b' ';
    }
}

// The last two decimal digits of `value`, at `at`.
#[inline]
fn put(text: &mut [u8], at: usize, value: u32) {
    if let Some([tens, ones]) = text.get_mut(at..at + 2) {
        *tens = b'0' + (value / 10 % 10) as u8;
        *ones = b'0' + (value % 10) as u8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn appended(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_stamp_of_syslog_has_local_time_and_a_day_padded_with_a_space() {
        let mut clock = Clock::default();
        let time = Timestamp::parse(b"2026-12-31T22:30:09.9Z").unwrap();
        assert_eq!(appended(|out| clock.rfc3164(time, 0, out)), "Dec 31 22:30:09");
        assert_eq!(appended(|out| clock.rfc3164(time, 7200, out)), "Jan  1 00:30:09");
        assert_eq!(appended(|out| clock.rfc3164(time, -19_800, out)), "Dec 31 17:00:09");
    }

    #[test]
    fn microseconds_are_cut_not_rounded() {
        let time = Timestamp::parse(b"2026-12-31T23:59:59.999999999Z").unwrap();
        let text = appended(|out| Clock::default().rfc3339_micros(time, out));
        assert_eq!(text, "2026-12-31T23:59:59.999999Z");
    }

    #[test]
    fn the_first_stamp_may_be_second_zero() {
        let text = appended(|out| Clock::default().rfc3339_nanos(Timestamp::default(), out));
        assert_eq!(text, "1970-01-01T00:00:00.000000000Z");
        let text = appended(|out| Clock::default().rfc3164(Timestamp::default(), 0, out));
        assert_eq!(text, "Jan  1 00:00:00");
    }

    proptest! {
        // The oracle is the plain Display; steps are small so that seconds repeat and change.
        #[test]
        fn a_remembered_second_reads_like_a_fresh_one(
            start in any::<i64>(),
            steps in prop::collection::vec(-1_500_000_000_i64..1_500_000_000, 1..20),
        ) {
            let mut clock = Clock::default();
            let mut nanos = start;
            for step in steps {
                nanos = nanos.saturating_add(step);
                let time = Timestamp::from_nanos(nanos);
                let expected = time.to_string();
                prop_assert_eq!(&appended(|out| clock.rfc3339_nanos(time, out)), &expected);
                let micros = format!("{}Z", expected.split_at(26).0);
                prop_assert_eq!(appended(|out| clock.rfc3339_micros(time, out)), micros);
            }
        }
    }
}
