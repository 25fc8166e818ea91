//! What stands before the text of a container's lines: put together once, after which a line
//! changes no more than the fraction of its stamp. Never asks what time it is now.

use super::decimal::{eight_digits, ten_digits};
use super::framing::escape_in_place;
use crate::record::{Civil, Timestamp};
use crate::template::{WHOLE_SECONDS, Zone};

/// Room before a header for an octet count: 10 digits, as many as 4 GiB take, and a space.
pub(super) const COUNT_ROOM: usize = 11;

/// RFC 5424 section 7.3.1: the largest `sequenceId`, after which 1 follows.
pub(super) const SEQUENCE_MAX: u64 = 2_147_483_647;

const NANOS: u32 = 1_000_000_000;

/// `2026-11-22T22:40:06.`: where the fraction begins.
const SECOND_BYTES: usize = 20;

/// The header of the lines of one container and stream.
#[derive(Debug, Clone)]
pub struct Header {
    /// `COUNT_ROOM`, then the header as the last line had it.
    bytes: Vec<u8>,
    stamp: Option<Stamp>,
    /// Where the digits of `sequenceId` begin, the last thing in a header that has them.
    sequence_id: Option<usize>,
}

/// How a header says when a line was printed.
#[derive(Debug, Clone)]
pub enum StampForm {
    /// RFC 3339 in UTC with six fractional digits, the most that RFC 5424 section 6.2.3 allows.
    /// Truncated, so that no stamp lies in the future of its line.
    Micros,
    /// RFC 3339 in UTC with nine fractional digits, as the Engine stamps lines.
    Nanos,
    /// `Mmm dd hh:mm:ss` (RFC 3164 section 4.1.2: the day padded with a space) as clocks show it
    /// that are `utc_offset` seconds east of UTC.
    Rfc3164 {
        /// Seconds east of UTC.
        utc_offset: i32,
    },
    /// RFC 3339 in whole seconds, in a zone, as logspout writes it.
    Seconds(Zone),
}

#[derive(Debug, Clone)]
struct Stamp {
    form: StampForm,
    /// Where it is in the header's bytes, and how many of them it takes.
    at: usize,
    len: usize,
    /// The second that it shows, in nanoseconds since 1970; `None` before the first line.
    second: Option<i64>,
}

impl Default for Header {
    fn default() -> Self {
        Self { bytes: vec![b' '; COUNT_ROOM], stamp: None, sequence_id: None }
    }
}

impl Header {
    /// Appends what is the same for all lines.
    pub fn push(&mut self, text: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(text.as_ref());
    }

    /// Appends the place of the stamp. A header has one at most.
    pub fn push_stamp(&mut self, form: StampForm) {
        let text: &[u8] = match form {
            StampForm::Micros => b"0000-00-00T00:00:00.000000Z",
            StampForm::Nanos => b"0000-00-00T00:00:00.000000000Z",
            StampForm::Rfc3164 { .. } => b"Jan  0 00:00:00",
            StampForm::Seconds(_) => b"0000-00-00T00:00:00Z",
        };
        let (at, len) = (self.bytes.len(), text.len());
        self.stamp = Some(Stamp { form, at, len, second: None });
        self.bytes.extend_from_slice(text);
    }

    /// Appends the digits of `sequenceId` and the end of its element. Nothing may follow.
    pub fn push_sequence_id(&mut self) {
        self.sequence_id = Some(self.bytes.len());
    }

    /// Escapes what would end or hide a frame which a line feed ends.
    pub(super) fn escape(&mut self) {
        let at = self.stamp.as_ref().map_or(COUNT_ROOM, |stamp| stamp.at);
        let mut rest = self.bytes.split_off(at);
        escape_in_place(&mut self.bytes, COUNT_ROOM);
        escape_in_place(&mut rest, 0);
        if let Some(stamp) = &mut self.stamp {
            stamp.at = self.bytes.len();
        }
        self.bytes.append(&mut rest);
        self.sequence_id = self.sequence_id.map(|_| self.bytes.len());
    }

    /// The most bytes it takes, an octet count included.
    pub(super) fn bytes_max(&self) -> usize {
        // A zone that is not UTC takes five bytes more.
        const MORE_BYTES: usize = 10 + SEQUENCE_ID_END.len();
        self.bytes.len() + MORE_BYTES
    }

    /// Room for a count, and the header of a line that is number `sequence` of its destination.
    #[inline]
    pub(super) fn for_line(&mut self, time: Timestamp, sequence: u64) -> &mut [u8] {
        if let Some(stamp) = &mut self.stamp {
            stamp.show(time, &mut self.bytes);
        }
        if let Some(at) = self.sequence_id {
            let number = (sequence.max(1) - 1) % SEQUENCE_MAX + 1;
            let (digits, zeros) = ten_digits(u32::try_from(number).unwrap_or_default());
            self.bytes.truncate(at);
            self.bytes.extend_from_slice(digits.get(zeros..).unwrap_or_default());
            self.bytes.extend_from_slice(SEQUENCE_ID_END);
        }
        &mut self.bytes
    }
}

/// What ends the digits of `sequenceId`, its element, and STRUCTURED-DATA.
const SEQUENCE_ID_END: &[u8] = b"\"] ";

impl Stamp {
    #[inline]
    fn show(&mut self, time: Timestamp, header: &mut Vec<u8>) {
        let since = self.second.and_then(|second| time.nanos().checked_sub(second));
        let nanos = match since.and_then(|since| u32::try_from(since).ok()) {
            Some(nanos) if nanos < NANOS => nanos,
            _ => self.show_second(time, header),
        };
        let place = header.get_mut(self.at + SECOND_BYTES..).unwrap_or_default();
        let first = eight_digits(nanos / 10);
        match &self.form {
            StampForm::Micros => {
                let [digits @ .., _, _] = first;
                if let Some(place) = place.first_chunk_mut() {
                    *place = digits;
                }
            }
            StampForm::Nanos => {
                if let Some([eight @ .., last]) = place.first_chunk_mut::<9>() {
                    *eight = first;
                    *last = b'0' + (nanos % 10) as u8;
                }
            }
            StampForm::Rfc3164 { .. } | StampForm::Seconds(_) => {}
        }
    }

    // Returns the nanoseconds after the second.
    #[cold]
    fn show_second(&mut self, time: Timestamp, header: &mut Vec<u8>) -> u32 {
        let place = header.get_mut(self.at..).unwrap_or_default();
        match &self.form {
            StampForm::Micros | StampForm::Nanos => put_second(place, time),
            StampForm::Rfc3164 { utc_offset } => put_local(place, time.civil(*utc_offset)),
            StampForm::Seconds(zone) => {
                let mut text = Vec::new();
                WHOLE_SECONDS.format(time, zone, &mut text);
                let len = std::mem::replace(&mut self.len, text.len());
                // Summer time may take other room than winter time.
                header.splice(self.at..(self.at + len).min(header.len()), text);
            }
        }
        // The earliest of all seconds begins before the earliest stamp, and is not remembered.
        self.second = time.nanos().checked_sub(time.subsec_nanos().into());
        time.subsec_nanos()
    }
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

    fn stamped(form: StampForm) -> Header {
        let mut header = Header::default();
        header.push_stamp(form);
        header
    }

    fn shown(header: &mut Header, time: Timestamp) -> String {
        String::from_utf8(header.for_line(time, 1)[COUNT_ROOM..].to_vec()).unwrap()
    }

    #[test]
    fn the_stamp_of_syslog_has_local_time_and_a_day_padded_with_a_space() {
        let time = Timestamp::parse(b"2026-12-31T22:30:09.9Z").unwrap();
        for (utc_offset, expected) in
            [(0, "Dec 31 22:30:09"), (7200, "Jan  1 00:30:09"), (-19_800, "Dec 31 17:00:09")]
        {
            let mut header = stamped(StampForm::Rfc3164 { utc_offset });
            assert_eq!(shown(&mut header, time), expected);
            let before = Timestamp::from_nanos(time.nanos() - 9_000_000_000);
            shown(&mut header, before);
            assert_eq!(shown(&mut header, time), expected);
        }
    }

    #[test]
    fn microseconds_are_cut_not_rounded() {
        let time = Timestamp::parse(b"2026-12-31T23:59:59.999999999Z").unwrap();
        assert_eq!(shown(&mut stamped(StampForm::Micros), time), "2026-12-31T23:59:59.999999Z");
    }

    #[test]
    fn the_first_stamp_may_be_second_zero() {
        let time = Timestamp::default();
        assert_eq!(shown(&mut stamped(StampForm::Nanos), time), "1970-01-01T00:00:00.000000000Z");
        let mut header = stamped(StampForm::Rfc3164 { utc_offset: 0 });
        assert_eq!(shown(&mut header, time), "Jan  1 00:00:00");
    }

    #[test]
    fn a_header_is_escaped_around_its_stamp() {
        let mut header = Header::default();
        header.push("\n<");
        header.push_stamp(StampForm::Micros);
        header.push("\r>");
        header.push_sequence_id();
        header.escape();
        let expected = "#012<1970-01-01T00:00:00.000000Z#015>1\"] ";
        assert_eq!(shown(&mut header, Timestamp::default()), expected);
        assert_eq!(shown(&mut header, Timestamp::default()), expected);
    }

    proptest! {
        // The oracle is the plain Display; steps are small so that seconds repeat and change.
        #[test]
        fn a_remembered_second_reads_like_a_fresh_one(
            start in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
            steps in prop::collection::vec(-1_500_000_000_i64..1_500_000_000, 1..20),
        ) {
            let (mut nine, mut six) = (stamped(StampForm::Nanos), stamped(StampForm::Micros));
            let mut nanos = start;
            for step in steps {
                nanos = nanos.saturating_add(step);
                let time = Timestamp::from_nanos(nanos);
                let expected = time.to_string();
                prop_assert_eq!(&shown(&mut nine, time), &expected);
                let micros = format!("{}Z", expected.split_at(26).0);
                prop_assert_eq!(shown(&mut six, time), micros);
            }
        }
    }
}
