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
    /// Frames cut to the datagram limit.
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
            encoded.truncated += u64::from(frame(
                self.framing,
                bytes,
                record.text.len(),
                |bytes| self.format.line(prepared, &mut self.clock, record, bytes),
            ));
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        encoded
    }
}

/// Largest header that is reserved for: digits of a frame length, and a space.
const COUNT_BYTES: usize = 11;

/// Appends what `content` writes, framed; true if it was cut.
fn frame(
    framing: Framing,
    out: &mut Vec<u8>,
    text_len: usize,
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
            // The count stands before bytes that are not known yet. Room is left for as many
            // digits as a frame with a usual header needs; a wrong guess costs one move.
            let guess = digits(text_len + 80) + 1;
            out.resize(start + guess, b' ');
            content(out);
            let len = out.len() - start - guess;
            let needed = digits(len) + 1;
            if needed != guess {
                let body = start + guess..out.len();
                if needed > guess {
                    out.resize(out.len() + needed - guess, 0);
                }
                out.copy_within(body, start + needed);
                out.truncate(start + needed + len);
            }
            let mut count = [b' '; COUNT_BYTES];
            write_count(&mut count, len, needed);
            if let Some(place) = out.get_mut(start..start + needed) {
                place.copy_from_slice(count.get(..needed).unwrap_or_default());
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

fn write_count(place: &mut [u8; COUNT_BYTES], mut len: usize, needed: usize) {
    for byte in place.iter_mut().take(needed - 1).rev() {
        *byte = b"0123456789".get(len % 10).copied().unwrap_or(b'0');
        len /= 10;
    }
}

// CR, LF and NUL as rsyslog writes control characters: '#' and three octal digits.
fn escape_in_place(out: &mut Vec<u8>, start: usize) {
    let hidden = |byte: &u8| matches!(byte, b'\n' | b'\r' | 0);
    let content = out.get(start..).unwrap_or_default();
    if memchr::memchr3(b'\n', b'\r', 0, content).is_none() {
        return;
    }
    let content = out.split_off(start);
    for part in content.split_inclusive(hidden) {
        match part.split_last() {
            Some((b'\n', head)) => out.extend_from_slice(&[head, b"#012"].concat()),
            Some((b'\r', head)) => out.extend_from_slice(&[head, b"#015"].concat()),
            Some((0, head)) => out.extend_from_slice(&[head, b"#000"].concat()),
            _ => out.extend_from_slice(part),
        }
    }
}

// The last place at or before `max` that does not cut a UTF-8 character. Bytes that are not
// UTF-8 are cut at `max`.
fn character_boundary(bytes: &[u8], max: usize) -> usize {
    let is_continuation = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (max.saturating_sub(3)..=max).rev().find(|at| !is_continuation(*at)).unwrap_or(max)
}

/// The framing that a transport has unless the route says otherwise.
pub fn default_framing(carriage: Carriage, max_datagram: usize) -> Framing {
    match carriage {
        Carriage::Datagram => Framing::Datagram { max: max_datagram },
        Carriage::Stream => Framing::OctetCounting,
        Carriage::Text => Framing::Lf,
    }
}
