//! Lines to frames: pure functions over bytes. Never touches sockets or cursors.
//!
//! n lines in are n frames out, for every byte string: octet counting keeps the bytes as they
//! are, line-feed framing escapes what would end or hide a frame.

mod clock;
mod console;
mod json;
mod options;
mod raw;
mod rfc3164;
mod rfc5424;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::output::Carriage;
use crate::record::{Chunk, Container, Stream};

pub use clock::Clock;
pub use options::{OPTIONS, Terminal, plan};

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
}

/// One format. Called once per line; everything that a container's lines share is prepared by
/// `prepare` and handed back with each line.
pub trait Format: Send + Sync + fmt::Debug {
    /// What the lines of a container share.
    fn prepare(&self, container: &Container) -> Prepared;

    /// Appends one frame's content, without framing.
    fn line(&self, prepared: &Prepared, clock: &mut Clock, record: Record<'_>, out: &mut Vec<u8>);
}

/// What a format sees of a line.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When Docker saw the line.
    pub time: crate::record::Timestamp,
    /// Where the container printed it.
    pub stream: Stream,
    /// The line without its end.
    pub text: &'a [u8],
    /// Counts the lines of this destination from 1, for `meta sequenceId`.
    pub sequence: u64,
}

/// Bytes that a container's lines share, by stream where they differ.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    /// Before the time stamp: standard output, standard error.
    pub before: [Vec<u8>; 2],
    /// After the time stamp: standard output, standard error.
    pub after: [Vec<u8>; 2],
}

impl Prepared {
    /// The parts for one stream: before and after the time stamp.
    pub fn parts(&self, stream: Stream) -> (&[u8], &[u8]) {
        let ([before_out, before_err], [after_out, after_err]) = (&self.before, &self.after);
        match stream {
            Stream::Stdout => (before_out, after_out),
            Stream::Stderr => (before_err, after_err),
        }
    }
}

/// What a lane keeps between its chunks: the prepared bytes, as long as the container is the same.
#[derive(Debug, Clone, Default)]
pub struct Cache(Option<(Arc<Container>, Prepared)>);

/// A format with a framing: what a destination uses.
#[derive(Debug)]
pub struct Encoder {
    format: Box<dyn Format>,
    framing: Framing,
    clock: Clock,
    sequence: u64,
}

/// What an encoder did to frames that did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Frames cut to the limit of a datagram or message.
    pub truncated: u64,
}

impl Encoder {
    /// A format on a framing.
    pub fn new(format: Box<dyn Format>, framing: Framing) -> Self {
        Self { format, framing, clock: Clock::default(), sequence: 0 }
    }

    /// Appends one frame per line of `chunk` to `bytes` and its end to `ends`.
    pub fn encode(
        &mut self,
        chunk: &Chunk,
        cache: &mut Cache,
        bytes: &mut Vec<u8>,
        ends: &mut Vec<u32>,
    ) -> Encoded {
        let prepared = match &mut cache.0 {
            Some((known, prepared)) if Arc::ptr_eq(known, &chunk.container) => prepared,
            slot => {
                let prepared = self.format.prepare(&chunk.container);
                &mut slot.insert((chunk.container.clone(), prepared)).1
            }
        };
        let mut encoded = Encoded::default();
        for line in chunk.lines() {
            self.sequence += 1;
            let record = Record {
                time: line.time,
                stream: line.stream,
                text: chunk.text(line),
                sequence: self.sequence,
            };
            let (before, after) = prepared.parts(record.stream);
            let expected = before.len() + TIME_BYTES + after.len() + record.text.len();
            let cut = frame(self.framing, bytes, expected, |bytes| {
                self.format.line(prepared, &mut self.clock, record, bytes);
            });
            encoded.truncated += u64::from(cut);
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        encoded
    }
}

/// Facility and severity as syslog writes them, by stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Priorities {
    stdout: u8,
    stderr: u8,
}

impl Priorities {
    // RFC 5424 section 6.2.1: facility 0 to 23, severity 0 to 7, PRI at most 191.
    fn new(facility: u8, severity_stdout: u8, severity_stderr: u8) -> Self {
        let facility = facility.min(23) * 8;
        Self {
            stdout: facility + severity_stdout.min(7),
            stderr: facility + severity_stderr.min(7),
        }
    }

    fn of(self, stream: Stream) -> u8 {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

/// Most bytes of one of a container's own fields (image, label value, JSON name) in a frame.
/// They come with every line, so one huge label must not become the traffic.
const FIELD_BYTES: usize = 1024;

/// Most bytes of all label names and values together in a frame; the labels after that are left out.
const LABELS_BYTES: usize = 8192;

fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

// The labels that fit in `LABELS_BYTES`, with values cut to `FIELD_BYTES`.
fn labels_within_limits<'a>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut room = LABELS_BYTES;
    labels.map(|(name, value)| (name, cut(value, FIELD_BYTES))).map_while(move |(name, value)| {
        room = room.checked_sub(name.len() + value.len())?;
        Some((name, value))
    })
}

/// What a time stamp takes in RFC 5424, the default format: `expected` is exact there.
const TIME_BYTES: usize = 27;

/// Appends what `content` writes, framed; true if it was cut. `expected` is the content's likely
/// length: a wrong guess costs one move of the content, and only across a power of ten.
fn frame(
    framing: Framing,
    out: &mut Vec<u8>,
    expected: usize,
    content: impl FnOnce(&mut Vec<u8>),
) -> bool {
    let start = out.len();
    match framing {
        Framing::Datagram { max } => {
            content(out);
            let full = out.len() - start;
            if full > max {
                let cut = character_boundary(out.get(start..).unwrap_or_default(), max);
                out.truncate(start + cut);
            }
            full > max
        }
        Framing::OctetCounting => {
            // The count stands before bytes that are not known yet, so room is left for it.
            let guess = digits(expected) + 1;
            out.resize(start + guess, b' ');
            content(out);
            let len = out.len() - start - guess;
            let needed = digits(len) + 1;
            if needed != guess {
                let body = start + guess..out.len();
                out.resize(out.len().max(start + needed + len), b' ');
                out.copy_within(body, start + needed);
                out.truncate(start + needed + len);
            }
            if let Some([count @ .., space]) = out.get_mut(start..start + needed) {
                write_decimal(count, len as u64);
                *space = b' ';
            }
            false
        }
        Framing::Lf => {
            content(out);
            escape_in_place(out, start);
            out.push(b'\n');
            false
        }
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

// Fills `place` with the last digits of `number`, zeros in front.
fn write_decimal(place: &mut [u8], mut number: u64) {
    for byte in place.iter_mut().rev() {
        *byte = b"0123456789".get((number % 10) as usize).copied().unwrap_or(b'0');
        number /= 10;
    }
}

// CR, LF and NUL as rsyslog writes control characters: '#' and three octal digits. Works from the
// back, so that each byte moves once and nothing is allocated.
fn escape_in_place(out: &mut Vec<u8>, start: usize) {
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

// The last place at or before `max` that does not cut a UTF-8 character. Bytes that are not
// UTF-8 are cut at `max`.
fn character_boundary(bytes: &[u8], max: usize) -> usize {
    let is_continuation = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (max.saturating_sub(3)..=max).rev().find(|at| !is_continuation(*at)).unwrap_or(max)
}

/// The framing that a transport has unless the route says otherwise.
pub fn default_framing(carriage: Carriage, max_message: usize) -> Framing {
    match carriage {
        Carriage::Datagram | Carriage::Messages => Framing::Datagram { max: max_message },
        Carriage::Stream => Framing::OctetCounting,
        Carriage::Lines | Carriage::Text => Framing::Lf,
    }
}
