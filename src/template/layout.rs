//! Go's time layouts (`2006-01-02T15:04:05Z07:00`), compiled once and written as often as needed.
//! Never reads a time, only writes one.

use super::zone::Zone;
use crate::record::{Civil, Timestamp};

/// A compiled layout. Any text is one: what is no element stands as it is.
#[derive(Debug, Clone)]
pub struct Layout(Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(Box<str>),
    Element(Element),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Element {
    LongYear,
    Year,
    LongMonth,
    ShortMonth,
    Month(Pad),
    LongWeekday,
    ShortWeekday,
    Day(Pad),
    DayOfYear(Pad),
    Hour,
    Hour12(Pad),
    Minute(Pad),
    Second(Pad),
    UpperPm,
    LowerPm,
    Abbreviation,
    Offset { z: bool, colon: bool, parts: u8 },
    Fraction { separator: u8, digits: usize, trim: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pad {
    No,
    Zero,
    Blank,
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Elements by how they are written; of two that begin alike the longer is first. Go's package
/// `time`, nextStdChunk. `Jan`, `Mon` and `_2006` are looked at more closely.
const ELEMENTS: &[(&str, Element)] = &[
    ("January", Element::LongMonth),
    ("Jan", Element::ShortMonth),
    ("Monday", Element::LongWeekday),
    ("Mon", Element::ShortWeekday),
    ("MST", Element::Abbreviation),
    ("002", Element::DayOfYear(Pad::Zero)),
    ("01", Element::Month(Pad::Zero)),
    ("02", Element::Day(Pad::Zero)),
    ("03", Element::Hour12(Pad::Zero)),
    ("04", Element::Minute(Pad::Zero)),
    ("05", Element::Second(Pad::Zero)),
    ("06", Element::Year),
    ("15", Element::Hour),
    ("1", Element::Month(Pad::No)),
    ("2006", Element::LongYear),
    ("2", Element::Day(Pad::No)),
    ("__2", Element::DayOfYear(Pad::Blank)),
    ("_2", Element::Day(Pad::Blank)),
    ("3", Element::Hour12(Pad::No)),
    ("4", Element::Minute(Pad::No)),
    ("5", Element::Second(Pad::No)),
    ("PM", Element::UpperPm),
    ("pm", Element::LowerPm),
    ("-070000", Element::Offset { z: false, colon: false, parts: 3 }),
    ("-07:00:00", Element::Offset { z: false, colon: true, parts: 3 }),
    ("-0700", Element::Offset { z: false, colon: false, parts: 2 }),
    ("-07:00", Element::Offset { z: false, colon: true, parts: 2 }),
    ("-07", Element::Offset { z: false, colon: false, parts: 1 }),
    ("Z070000", Element::Offset { z: true, colon: false, parts: 3 }),
    ("Z07:00:00", Element::Offset { z: true, colon: true, parts: 3 }),
    ("Z0700", Element::Offset { z: true, colon: false, parts: 2 }),
    ("Z07:00", Element::Offset { z: true, colon: true, parts: 2 }),
    ("Z07", Element::Offset { z: true, colon: false, parts: 1 }),
];

/// Writes a moment as a layout says. A layout that is used again is better compiled.
pub fn format_time(layout: &str, at: Timestamp, zone: &Zone, out: &mut Vec<u8>) {
    Layout::new(layout).format(at, zone, out);
}

impl Layout {
    /// Compiles a layout.
    pub fn new(layout: &str) -> Self {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            // Here the underscore is a text, and the year follows.
            let found = if rest.starts_with("_2006") { None } else { element(rest) };
            let len = found.map_or(first.len_utf8(), |(_, len)| len);
            match found {
                Some((element, _)) => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text).into()));
                    }
                    pieces.push(Piece::Element(element));
                }
                None => text.push(first),
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.into()));
        }
        Self(pieces)
    }

    /// Appends a moment as it is in a zone.
    pub fn format(&self, at: Timestamp, zone: &Zone, out: &mut Vec<u8>) {
        let offset = zone.offset_seconds(at);
        let civil = at.civil(offset);
        let moment = Moment { at, civil, offset };
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Element(Element::Abbreviation) => zone.push_abbreviation(at, out),
                Piece::Element(element) => moment.write(*element, out),
            }
        }
    }
}

fn element(rest: &str) -> Option<(Element, usize)> {
    if rest.starts_with(['.', ',']) {
        return fraction(rest);
    }
    let (text, element) = ELEMENTS.iter().find(|(text, _)| rest.starts_with(text))?;
    let after = rest.get(text.len()..).unwrap_or_default();
    let is_short_name = matches!(element, Element::ShortMonth | Element::ShortWeekday);
    if is_short_name && after.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    Some((*element, text.len()))
}

// A point or comma and zeros or nines, behind which no digit follows.
fn fraction(rest: &str) -> Option<(Element, usize)> {
    let digits = rest.get(1..)?;
    let digit = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let after = digits.trim_start_matches(digit);
    if after.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let count = digits.len() - after.len();
    let separator = rest.bytes().next()?;
    let element = Element::Fraction { separator, digits: count.min(9), trim: digit == '9' };
    Some((element, 1 + count))
}

struct Moment {
    at: Timestamp,
    civil: Civil,
    offset: i32,
}

impl Moment {
    fn write(&self, element: Element, out: &mut Vec<u8>) {
        let Civil { year, month, day, hour, minute, second } = self.civil;
        let month_name = MONTHS.get(usize::from(month).wrapping_sub(1)).copied();
        let week_name = || WEEKDAYS.get(weekday(self.at, self.offset)).copied().unwrap_or_default();
        let hour12 = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
        let year = year.unsigned_abs();
        match element {
            Element::LongYear if year < 10_000 => {
                number(out, year / 100, 2, Pad::Zero);
                number(out, year % 100, 2, Pad::Zero);
            }
            Element::LongYear => number(out, year, 4, Pad::Zero),
            Element::Year => number(out, year % 100, 2, Pad::Zero),
            Element::LongMonth => name(out, month_name.unwrap_or_default(), usize::MAX),
            Element::ShortMonth => name(out, month_name.unwrap_or_default(), 3),
            Element::Month(pad) => number(out, month.into(), 2, pad),
            Element::LongWeekday => name(out, week_name(), usize::MAX),
            Element::ShortWeekday => name(out, week_name(), 3),
            Element::Day(pad) => number(out, day.into(), 2, pad),
            Element::DayOfYear(pad) => number(out, day_of_year(self.civil), 3, pad),
            Element::Hour => number(out, hour.into(), 2, Pad::Zero),
            Element::Hour12(pad) => number(out, hour12.into(), 2, pad),
            Element::Minute(pad) => number(out, minute.into(), 2, pad),
            Element::Second(pad) => number(out, second.into(), 2, pad),
            Element::UpperPm => name(out, if hour >= 12 { "PM" } else { "AM" }, 2),
            Element::LowerPm => name(out, if hour >= 12 { "pm" } else { "am" }, 2),
            Element::Abbreviation => {}
            Element::Offset { z: true, .. } if self.offset == 0 => out.push(b'Z'),
            Element::Offset { colon, parts, .. } => write_offset(out, self.offset, colon, parts),
            Element::Fraction { separator, digits, trim } => {
                self.fraction(separator, digits, trim, out);
            }
        }
    }

    fn fraction(&self, separator: u8, digits: usize, trim: bool, out: &mut Vec<u8>) {
        let before = out.len();
        out.push(separator);
        number(out, self.at.subsec_nanos(), 9, Pad::Zero);
        out.truncate(before + 1 + digits);
        while trim && out.len() > before + 1 && out.last() == Some(&b'0') {
            out.pop();
        }
        if out.len() == before + 1 {
            out.pop();
        }
    }
}

fn name(out: &mut Vec<u8>, name: &str, most: usize) {
    out.extend(name.bytes().take(most));
}

// Hours, minutes and seconds as far as `parts` says.
pub(super) fn write_offset(out: &mut Vec<u8>, offset: i32, colon: bool, parts: u8) {
    let seconds = offset.unsigned_abs();
    out.push(if offset < 0 { b'-' } else { b'+' });
    let fields = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    for (place, field) in fields.into_iter().take(usize::from(parts)).enumerate() {
        if colon && place > 0 {
            out.push(b':');
        }
        number(out, field, 2, Pad::Zero);
    }
}

fn number(out: &mut Vec<u8>, number: u32, width: u32, pad: Pad) {
    // Most of what is written for each line.
    if width == 2 && pad == Pad::Zero && number < 100 {
        let digit = |number: u32| b'0' + u8::try_from(number % 10).unwrap_or_default();
        out.extend_from_slice(&[digit(number / 10), digit(number)]);
        return;
    }
    let mut unit = 10_u32.saturating_pow(width.max(1) - 1);
    while number / unit >= 10 {
        unit = unit.saturating_mul(10);
    }
    let mut leads = true;
    loop {
        let digit = number / unit % 10;
        leads &= digit == 0 && unit > 1;
        match (leads, pad) {
            (true, Pad::No) => {}
            (true, Pad::Blank) => out.push(b' '),
            _ => out.extend(u8::try_from(digit).map(|digit| b'0' + digit)),
        }
        if unit == 1 {
            return;
        }
        unit /= 10;
    }
}

/// 0 is Sunday.
pub(super) fn weekday(at: Timestamp, offset: i32) -> usize {
    let days = (at.seconds() + i64::from(offset)).div_euclid(86_400);
    // 1970 began on a Thursday.
    usize::try_from((days + 4).rem_euclid(7)).unwrap_or_default()
}

/// From 1.
pub(super) fn day_of_year(civil: Civil) -> u32 {
    const BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let Civil { year, month, day, .. } = civil;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = BEFORE.get(usize::from(month).wrapping_sub(1)).copied().unwrap_or_default();
    before + u32::from(day) + u32::from(is_leap && month > 2)
}
