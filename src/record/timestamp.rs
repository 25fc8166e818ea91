//! Nanoseconds since 1970 in UTC, read from and written as RFC 3339. Never a time zone.

use std::fmt;

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A moment: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted (as Docker does).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A moment taken apart for formatting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year, e.g. 2026.
    pub year: i32,
    /// Month from 1.
    pub month: u8,
    /// Day of the month from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

impl Timestamp {
    /// The moment `nanos` nanoseconds after 1970.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// The nanoseconds after the whole second, 0 to 999,999,999.
    #[expect(clippy::cast_possible_truncation, reason = "0..10^9")]
    pub const fn subsec_nanos(self) -> u32 {
        self.0.rem_euclid(NANOS) as u32
    }

    /// This host's time of day. For lines without a stamp of Docker's, and to know "now" as the
    /// place from which a log is followed; never to stamp a line that has a stamp.
    #[expect(clippy::disallowed_methods, reason = "the one reader of the time of day")]
    pub fn now() -> Self {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Milliseconds since 1970, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Earlier by `nanos`, not before 1970.
    #[must_use]
    pub fn before(self, nanos: i64) -> Self {
        Self(self.0.saturating_sub(nanos).max(0))
    }

    /// Reads RFC 3339 in UTC with a `Z` and 0 to 9 fractional digits: what the Engine writes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (second, fraction) = text.split_first_chunk()?;
        nanos_of_second(second)?.checked_add(nanos_of_fraction(fraction)?).map(Self)
    }

    /// The same in any zone: `Z`, or an offset such as `+02:00`. Podman writes its own.
    pub fn parse_zoned(text: &[u8]) -> Option<Self> {
        let Some((local, &[sign @ (b'+' | b'-'), h0, h1, b':', n0, n1])) =
            text.split_last_chunk::<6>()
        else {
            return Self::parse(text);
        };
        let two = |a: u8, b: u8| -> Option<i64> { Some(digit(a)? * 10 + digit(b)?) };
        let offset = (two(h0, h1)? * 3600 + two(n0, n1)? * 60) * NANOS;
        let offset = if sign == b'+' { offset } else { -offset };
        let (second, fraction) = local.split_first_chunk()?;
        let fraction = [fraction, b"Z"].concat();
        let nanos = nanos_of_second(second)?.checked_add(nanos_of_fraction(&fraction)?)?;
        nanos.checked_sub(offset).map(Self)
    }

    /// Year to second in UTC, shifted by `offset` seconds (an east-positive zone offset).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "every value is reduced to its range first"
    )]
    pub fn civil(self, offset: i32) -> Civil {
        let seconds = self.seconds() + i64::from(offset);
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        Civil {
            year: year as i32,
            month: month as u8,
            day: day as u8,
            hour: (rest / 3600) as u8,
            minute: (rest % 3600 / 60) as u8,
            second: (rest % 60) as u8,
        }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with nine fractional digits, as the Engine writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second } = self.civil(0);
        let nanos = self.subsec_nanos();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }
}

/// Reads stamps of which most lie in the same second as the one before: equal to
/// [`Timestamp::parse`] for every text, but such a stamp costs no more than its fraction.
#[derive(Debug, Clone, Copy)]
pub struct StampReader {
    second: [u8; SECOND_BYTES],
    nanos: i64,
}

impl Default for StampReader {
    fn default() -> Self {
        Self { second: *b"1970-01-01T00:00:00", nanos: 0 }
    }
}

impl StampReader {
    /// See [`Timestamp::parse`].
    #[inline]
    pub fn parse(&mut self, text: &[u8]) -> Option<Timestamp> {
        let (second, fraction) = text.split_first_chunk()?;
        if *second != self.second {
            self.nanos = nanos_of_second(second)?;
            self.second = *second;
        }
        self.nanos.checked_add(nanos_of_fraction(fraction)?).map(Timestamp)
    }
}

/// `2026-11-22T22:40:06`.
const SECOND_BYTES: usize = 19;

// Nanoseconds since 1970.
fn nanos_of_second(text: &[u8; SECOND_BYTES]) -> Option<i64> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] =
        *text
    else {
        return None;
    };
    let two = |a: u8, b: u8| -> Option<i64> { Some(digit(a)? * 10 + digit(b)?) };
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(n0, n1)?, two(s0, s1)?);
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(NANOS)
}

// What follows the second: a point and 1 to 9 digits, or nothing; and the `Z`.
#[inline]
fn nanos_of_fraction(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" => Some(0),
        [b'.', digits @ .., b'Z'] => match <[u8; 9]>::try_from(digits) {
            Ok(digits) => nine_digits(digits),
            Err(_) if (1..9).contains(&digits.len()) => {
                let mut nine = [b'0'; 9];
                nine.iter_mut().zip(digits).for_each(|(place, digit)| *place = *digit);
                nine_digits(nine)
            }
            Err(_) => None,
        },
        _ => None,
    }
}

fn nine_digits(digits: [u8; 9]) -> Option<i64> {
    let [eight @ .., last] = digits;
    Some(eight_digits(eight)? * 10 + digit(last)?)
}

// All at once: neighbours are joined to pairs, these to fours, and these to the number. Nothing
// overflows, which the compiler cannot see.
#[expect(clippy::cast_possible_wrap, reason = "less than 10^8")]
fn eight_digits(digits: [u8; 8]) -> Option<i64> {
    let ones = u64::from_le_bytes(digits) ^ 0x3030_3030_3030_3030;
    // A byte above 9 has a bit in its upper half, or gets one when 6 is added.
    if (ones | ones.wrapping_add(0x0606_0606_0606_0606)) & 0xF0F0_F0F0_F0F0_F0F0 != 0 {
        return None;
    }
    let join = |word: u64, base: u64, bits: u32| word.wrapping_mul(base).wrapping_add(word >> bits);
    let pairs = join(ones, 10, 8) & 0x00FF_00FF_00FF_00FF;
    let fours = join(pairs, 100, 16) & 0x0000_FFFF_0000_FFFF;
    Some((join(fours, 10_000, 32) & 0xFFFF_FFFF) as i64)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

// Both from Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": the year starts in
// March, so that the leap day is its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_the_engine_writes() {
        let parsed = Timestamp::parse(b"2026-11-22T22:40:06.063720431Z").unwrap();
        assert_eq!(parsed.nanos(), 1_795_387_206_063_720_431);
        assert_eq!(
            Timestamp::parse(b"2026-11-22T22:40:06.1Z").unwrap().subsec_nanos(),
            100_000_000
        );
        assert_eq!(Timestamp::parse(b"1970-01-01T00:00:00Z").unwrap().nanos(), 0);
    }

    #[test]
    fn refuses_what_is_not_a_stamp() {
        for bad in [
            &b""[..],
            b"2026-11-22T22:40:06",
            b"2026-13-22T22:40:06Z",
            b"2026-11-22 22:40:06Z",
            b"2026-11-22T22:40:06.Z",
            b"2026-11-22T22:40:06.1234567890Z",
            b"2026-11-22T22:40:06+01:00",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    // Stamps of few seconds, some with a byte that is wrong, and bytes of any kind.
    fn stamp() -> impl Strategy<Value = Vec<u8>> {
        let second = prop::sample::select(vec![
            "1970-01-01T00:00:00",
            "2026-11-22T22:40:06",
            "2026-11-22T22:40:07",
            "2262-04-11T23:47:16",
            "1677-09-21T00:12:43",
            "9999-12-31T23:59:59",
        ]);
        let written =
            (second, "(|\\.[0-9]{0,10})Z?").prop_map(|(second, rest)| second.to_owned() + &rest);
        let wrong = (written.clone(), any::<prop::sample::Index>(), any::<u8>());
        let wrong = wrong.prop_map(|(stamp, place, byte)| {
            let mut stamp = stamp.into_bytes();
            let place = place.index(stamp.len());
            stamp[place] = byte;
            stamp
        });
        let any = prop::collection::vec(any::<u8>(), 0..40);
        prop_oneof![4 => written.prop_map(String::into_bytes), 2 => wrong, 1 => any]
    }

    proptest! {
        #[test]
        fn a_reader_of_stamps_reads_each_as_if_it_were_the_first(
            stamps in prop::collection::vec(stamp(), 1..20),
        ) {
            let mut reader = StampReader::default();
            for stamp in stamps {
                prop_assert_eq!(reader.parse(&stamp), Timestamp::parse(&stamp));
            }
        }

        #[test]
        fn a_fraction_has_any_number_of_digits(nanos in 0..1_000_000_000_u32, digits in 0..=9_usize) {
            let unit = 10_u32.pow(9 - u32::try_from(digits).unwrap());
            let kept = nanos / unit * unit;
            let point = if digits == 0 { "" } else { "." };
            let stamp = format!("1970-01-01T00:00:01{point}{nanos:09}");
            let stamp = [stamp.get(..19 + point.len() + digits).unwrap(), "Z"].concat();
            let wanted = Timestamp::from_nanos(1_000_000_000 + i64::from(kept));
            prop_assert_eq!(Timestamp::parse(stamp.as_bytes()), Some(wanted));
        }

        #[test]
        fn what_is_written_is_read_back(nanos in 0..253_402_300_799_i64 * 1_000_000) {
            let stamp = Timestamp::from_nanos(nanos.saturating_mul(30));
            prop_assert_eq!(Timestamp::parse(stamp.to_string().as_bytes()), Some(stamp));
        }
    }
}
