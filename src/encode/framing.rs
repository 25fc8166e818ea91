//! Where a frame ends: the count before it, the line feed after it, or the datagram around it.
//! Knows no format.

use std::fmt;

use super::decimal::ten_digits;
use super::header::COUNT_ROOM;
use crate::record::{Stream, Timestamp};

/// How a frame's end is marked on a byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The transport keeps frames apart; nothing is added, and a frame is cut to `max` bytes at
    /// a character boundary.
    Datagram {
        /// Largest frame in bytes.
        max: usize,
    },
    /// RFC 6587 section 3.4.1: the frame's length in bytes, a space, the frame.
    OctetCounting,
    /// RFC 6587 section 3.4.2: a line feed after the frame; CR, LF and NUL inside are escaped.
    Lf,
    /// The same as logspout writes it: of what is inside only LF is escaped.
    BareLf,
}

/// Which bytes of a text would end or hide a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// None that are there.
    Nothing,
    /// LF.
    Feeds,
    /// LF, CR and NUL.
    Controls,
}

impl Framing {
    /// What has to be escaped in a text.
    pub(super) fn escape(self, text: &[u8]) -> Escape {
        match self {
            Self::Lf if holds_controls(text) => Escape::Controls,
            Self::BareLf if memchr::memchr(b'\n', text).is_some() => Escape::Feeds,
            _ => Escape::Nothing,
        }
    }
}

/// How a format writes the text of a line where it does not stand as it is.
pub trait Body: fmt::Debug + Send + Sync {
    /// Appends the text and what comes after it. Of LF, CR and NUL it writes only what is in the
    /// text, if any.
    fn write(&self, header: &[u8], record: Record<'_>, out: &mut Vec<u8>);

    /// Lines, since the last call, with something that stands in for a template which failed.
    fn take_patched(&self) -> u64 {
        0
    }
}

/// What a body sees of a line.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where the container printed it.
    pub stream: Stream,
    /// When.
    pub time: Timestamp,
    /// The line without its end.
    pub text: &'a [u8],
}

/// One frame before it is written.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// `COUNT_ROOM`, then the header.
    pub(super) header: &'a mut [u8],
    pub(super) record: Record<'a>,
    /// How the text is written; as it is if there is none.
    pub(super) body: Option<&'a dyn Body>,
    /// What stands behind the text where no line feed ends the frame.
    pub(super) tail: &'static [u8],
}

impl Frame<'_> {
    fn push_header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.header.get(COUNT_ROOM..).unwrap_or_default());
    }

    fn push_text(&self, out: &mut Vec<u8>) {
        match self.body {
            None => out.extend_from_slice(self.record.text),
            Some(body) => {
                body.write(self.header.get(COUNT_ROOM..).unwrap_or_default(), self.record, out);
            }
        }
    }

    /// Appends the count, a space, and the frame.
    #[inline]
    pub(super) fn push_counted(self, out: &mut Vec<u8>) {
        // The text as it is, or the likely length of what the body writes.
        let expected = self.header.len() - COUNT_ROOM + self.record.text.len() + self.tail.len();
        let start = out.len();
        let from = put_count(self.header, expected);
        out.extend_from_slice(self.header.get(from..).unwrap_or_default());
        self.push_text(out);
        out.extend_from_slice(self.tail);
        if self.body.is_some() {
            correct_count(out, start, COUNT_ROOM - from);
        }
    }

    /// Appends the frame and a line feed. What the text holds of controls has to be escaped.
    #[inline]
    pub(super) fn push_line(self, escape: Escape, out: &mut Vec<u8>) {
        self.push_header(out);
        let text = out.len();
        self.push_text(out);
        match escape {
            Escape::Nothing => {}
            Escape::Feeds => escape_feeds(out, text),
            Escape::Controls => escape_in_place(out, text),
        }
        out.push(b'\n');
    }

    /// Appends the frame alone, cut to `max` bytes; true if it was cut.
    #[inline]
    pub(super) fn push_alone(self, max: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.push_header(out);
        self.push_text(out);
        out.extend_from_slice(self.tail);
        let full = out.len() - start;
        if full > max {
            let cut = character_boundary(out.get(start..).unwrap_or_default(), max);
            out.truncate(start + cut);
        }
        full > max
    }
}

// Puts `number` in front of the space that ends the room for it: the place of its first digit.
#[inline]
fn put_count(room: &mut [u8], number: usize) -> usize {
    let Some([place @ .., _]) = room.first_chunk_mut::<COUNT_ROOM>() else {
        return 0;
    };
    // What does not fit into 32 bits does not fit into a batch either.
    let (digits, zeros) = ten_digits(u32::try_from(number).unwrap_or(u32::MAX));
    *place = digits;
    zeros
}

// Puts the count of what stands after the first `room` bytes from `start` into these bytes, or
// moves it where the count takes more or less room.
pub(super) fn correct_count(out: &mut Vec<u8>, start: usize, room: usize) {
    let length = out.len() - start - room;
    let mut count = [b' '; COUNT_ROOM];
    let from = put_count(&mut count, length);
    let count = count.get(from..).unwrap_or_default();
    if count.len() != room {
        let frame = start + room..out.len();
        out.resize(out.len().max(start + count.len() + length), b' ');
        out.copy_within(frame, start + count.len());
        out.truncate(start + count.len() + length);
    }
    if let Some(place) = out.get_mut(start..start + count.len()) {
        place.copy_from_slice(count);
    }
}

/// Whether there is anything in `text` that would end or hide a frame which a line feed ends.
pub(super) fn holds_controls(text: &[u8]) -> bool {
    memchr::memchr3(b'\n', b'\r', 0, text).is_some()
}

// CR, LF and NUL as rsyslog writes control characters: '#' and three octal digits. Works from the
// back, so that each byte moves once and nothing is allocated.
pub(super) fn escape_in_place(out: &mut Vec<u8>, start: usize) {
    let content = out.get(start..).unwrap_or_default();
    let hidden = memchr::memchr3_iter(b'\n', b'\r', 0, content).count();
    let mut read = out.len();
    out.resize(read + hidden * 3, 0);
    let mut write = out.len();
    while write > read {
        let rest = out.get(start..read).unwrap_or_default();
        let Some(at) = memchr::memrchr3(b'\n', b'\r', 0, rest).map(|at| start + at) else {
            return;
        };
        let escape = match out.get(at) {
            Some(b'\n') => b"#012",
            Some(b'\r') => b"#015",
            _ => b"#000",
        };
        let tail = read - at - 1;
        out.copy_within(at + 1..read, write - tail);
        write -= tail + escape.len();
        if let Some(place) = out.get_mut(write..write + escape.len()) {
            place.copy_from_slice(escape);
        }
        read = at;
    }
}

// The same for line feeds alone. They are rare there: a record has them that was joined.
fn escape_feeds(out: &mut Vec<u8>, start: usize) {
    let text = out.split_off(start);
    for (at, part) in text.split(|byte| *byte == b'\n').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"#012");
        }
        out.extend_from_slice(part);
    }
}

// The last place at or before `max` that does not cut a UTF-8 character. Bytes that are not
// UTF-8 are cut at `max`.
fn character_boundary(bytes: &[u8], max: usize) -> usize {
    let is_continuation = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (max.saturating_sub(3)..=max).rev().find(|at| !is_continuation(*at)).unwrap_or(max)
}
