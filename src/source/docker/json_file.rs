//! Docker's json-file log format: whole lines to records, decoded in place in the buffer that they
//! were read into. Never reads a file and never fails: what is no record is told and passed over.
//!
//! The engine writes `{"log":"text\n","stream":"stdout","attrs":{…},"time":"…Z"}` and a line feed,
//! the members in this order and no white space between them. This form is decoded here; any other
//! JSON object with these members is left to `serde_json`.

mod string;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::Deserialize;

use crate::record::{StampReader, Stream, Timestamp};

const HEAD: &[u8; 8] = b"{\"log\":\"";
const STDOUT: &[u8; 28] = b"\",\"stream\":\"stdout\",\"time\":\"";
const STDERR: &[u8; 28] = b"\",\"stream\":\"stderr\",\"time\":\"";
/// What the two end with: attributes stand before it.
const TIME: &[u8; 8] = b"\"time\":\"";
/// The longest stamp: nine digits of a fraction.
const STAMP_BYTES: usize = 30;

/// Attributes that are longer are read anew with every record. A container's are some labels and
/// variables that the operator names.
const KNOWN_MEMBERS_BYTES: usize = 4096;
/// How many places of one line are tried that could begin a record after a torn one. A torn record
/// holds two at most, and ends with the line unless the engine was killed while writing it.
const TRIES_PER_LINE: usize = 16;

/// What a buffer of lines is made of.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A record.
    Record {
        /// Where it was printed.
        stream: Stream,
        /// Docker's stamp.
        time: Timestamp,
        /// The text with its line feed, if it has one: a piece of a long line has none.
        text: &'a [u8],
        /// The place in the buffer after the record and its line feed.
        end: usize,
    },
    /// Bytes that are no record: damaged, torn by a crash, or zeros where a file was truncated.
    Garbled {
        /// How many, the line feed included.
        bytes: usize,
        /// The place in the buffer after them.
        end: usize,
    },
}

/// A decoder for one file after the other of one container's log.
#[derive(Debug, Default)]
pub struct Decoder {
    stamps: StampReader,
    /// What stood between stream and time when `serde_json` last read a record: the attributes,
    /// which are the same in all records of a container. Ends with a comma unless it is empty.
    known_members: Vec<u8>,
}

/// A record in the buffer.
struct Found {
    stream: Stream,
    time: Timestamp,
    text: Range<usize>,
    end: usize,
}

/// What is at a place of the buffer.
enum Next {
    Record(Found),
    /// No record; at `place` on the same line there may be one.
    Brace {
        place: usize,
        line_end: usize,
    },
    /// No record up to the end of the line.
    Line {
        line_end: usize,
    },
}

/// Where the engine's form ends. The buffer is as it was from the byte before `stop` on.
struct Otherwise {
    /// The text, already decoded, if `stop` is its closing quote.
    text: Option<Range<usize>>,
    stop: usize,
}

impl Decoder {
    /// Gives out the records of `lines`, which holds whole lines only: the last byte is a line
    /// feed. The buffer is overwritten: decoded text is never longer than what stood for it.
    /// Every byte belongs to one record or one garbled stretch, in order.
    pub fn push(&mut self, lines: &mut [u8], mut sink: impl FnMut(Decoded<'_>)) {
        let (mut at, mut reported, mut tries) = (0, 0, 0);
        while at < lines.len() {
            let next = match self.written_form(lines, at) {
                Ok(found) => Next::Record(found),
                Err(otherwise) => self.other_form(lines, at, &otherwise),
            };
            match next {
                Next::Record(Found { stream, time, text, end }) => {
                    if at > reported {
                        sink(Decoded::Garbled { bytes: at - reported, end: at });
                    }
                    let text = lines.get(text).unwrap_or_default();
                    sink(Decoded::Record { stream, time, text, end });
                    at = end;
                }
                Next::Brace { place, .. } if tries < TRIES_PER_LINE => {
                    tries += 1;
                    at = place;
                    continue;
                }
                Next::Brace { line_end, .. } | Next::Line { line_end } => {
                    sink(Decoded::Garbled { bytes: line_end - reported, end: line_end });
                    at = line_end;
                }
            }
            (reported, tries) = (at, 0);
        }
    }

    // A record as the engine writes it.
    fn written_form(&mut self, lines: &mut [u8], at: usize) -> Result<Found, Otherwise> {
        let record = lines.get_mut(at..).unwrap_or_default();
        if record.first_chunk() != Some(HEAD) {
            return Err(Otherwise { text: None, stop: at });
        }
        let (text, quote) = match string::decode(record, HEAD.len()) {
            Ok((text, quote)) => (at + text.start..at + text.end, quote),
            Err(stop) => return Err(Otherwise { text: None, stop: at + stop }),
        };
        match self.written_members(record.get(quote..).unwrap_or_default()) {
            Some((stream, time, rest)) => {
                let end = at + record.len() - rest.len();
                Ok(Found { stream, time, text, end })
            }
            None => Err(Otherwise { text: Some(text), stop: at + quote }),
        }
    }

    // What follows the text: from its closing quote to the line feed, and what comes after that.
    fn written_members<'a>(&mut self, tail: &'a [u8]) -> Option<(Stream, Timestamp, &'a [u8])> {
        let (members, rest) = tail.split_first_chunk()?;
        let (stream, rest) = if members == STDOUT {
            (Stream::Stdout, rest)
        } else if members == STDERR {
            (Stream::Stderr, rest)
        } else {
            self.after_known_members(tail)?
        };
        if let Some(([stamp @ .., b'"', b'}', b'\n'], rest)) =
            rest.split_first_chunk::<{ STAMP_BYTES + 3 }>()
            && let Some(time) = self.stamps.parse(stamp)
        {
            return Some((stream, time, rest));
        }
        // Zeros at the end of a fraction are not written.
        let searched = rest.get(..STAMP_BYTES).unwrap_or(rest);
        let length = memchr::memchr(b'"', searched)?;
        let (stamp, rest) = rest.split_at_checked(length)?;
        Some((stream, self.stamps.parse(stamp)?, rest.strip_prefix(b"\"}\n")?))
    }

    // The same attributes as before stand between stream and time.
    fn after_known_members<'a>(&self, tail: &'a [u8]) -> Option<(Stream, &'a [u8])> {
        let (stream, rest) = stream_member(tail)?;
        if self.known_members.is_empty() {
            return None;
        }
        Some((stream, rest.strip_prefix(self.known_members.as_slice())?.strip_prefix(TIME)?))
    }

    // What is at `at`, where the engine's form is not.
    #[cold]
    fn other_form(&mut self, lines: &mut [u8], at: usize, otherwise: &Otherwise) -> Next {
        let rest = lines.get(otherwise.stop..).unwrap_or_default();
        let feed = memchr::memchr(b'\n', rest).map(|feed| otherwise.stop + feed + 1);
        let line_end = feed.unwrap_or(lines.len());
        let line = lines.get_mut(..line_end).unwrap_or_default();
        if let Some(found) = self.any_form(line, at, otherwise) {
            return Next::Record(found);
        }
        // A torn record's text ends only at the first quote of the next record.
        let after = (at + 1).max(otherwise.stop.saturating_sub(1));
        let brace = memchr::memmem::find(line.get(after..).unwrap_or_default(), b"{\"");
        brace
            .map_or(Next::Line { line_end }, |brace| Next::Brace { place: after + brace, line_end })
    }

    // The record at `start` as any JSON object with its members.
    fn any_form(&mut self, line: &mut [u8], start: usize, known: &Otherwise) -> Option<Found> {
        let (Members { log, stream, time: stamp }, mut end) = match &known.text {
            Some(_) => {
                // With a brace for the comma after the text, the other members are an object.
                let rest = line.get(known.stop + 1..)?;
                let comma = known.stop + 1 + rest.iter().position(|byte| !is_white(*byte))?;
                *line.get_mut(comma).filter(|byte| **byte == b',')? = b'{';
                let read = Members::read(line, comma);
                *line.get_mut(comma)? = b',';
                read?
            }
            None if known.stop == start => Members::read(line, start)?,
            None => return None,
        };
        let time = Timestamp::parse(stamp.as_bytes())?;
        let stream = match stream.as_str() {
            "stdout" => Stream::Stdout,
            "stderr" => Stream::Stderr,
            _ => return None,
        };
        let text = match (&known.text, log) {
            (Some(text), None) => {
                self.remember(line.get(known.stop..end)?, &stamp);
                text.clone()
            }
            (Some(_), Some(_)) => return None,
            (None, log) => {
                // It is shorter than the record.
                let log = log.unwrap_or_default();
                let text = start..start + log.len();
                line.get_mut(text.clone())?.copy_from_slice(log.as_bytes());
                text
            }
        };
        if line.get(end..)?.iter().all(|byte| is_white(*byte)) {
            end = line.len();
        }
        Some(Found { stream, time, text, end })
    }

    // Keeps what stands between stream and time in `tail`, which begins with the text's closing
    // quote and is known to be right. A comma before it tells that `time` is no part of a string.
    fn remember(&mut self, tail: &[u8], stamp: &str) {
        let known = tail.strip_suffix(b"\"}").and_then(|tail| {
            let members = tail.strip_suffix(stamp.as_bytes())?.strip_suffix(TIME)?;
            let (_, members) = stream_member(members)?;
            let fits = members.len() <= KNOWN_MEMBERS_BYTES && members.ends_with(b",");
            fits.then_some(members)
        });
        if let Some(members) = known {
            self.known_members.clear();
            self.known_members.extend_from_slice(members);
        }
    }
}

/// What a record consists of, whatever the order; other members are passed over.
#[derive(Deserialize)]
struct Members {
    log: Option<String>,
    stream: String,
    time: String,
}

impl Members {
    // The object at `start`, and the place after it.
    fn read(line: &[u8], start: usize) -> Option<(Self, usize)> {
        let mut objects = serde_json::Deserializer::from_slice(line.get(start..)?).into_iter();
        let members = objects.next()?.ok()?;
        Some((members, start + objects.byte_offset()))
    }
}

// A closing quote, the stream and a comma; and what comes after them.
fn stream_member(tail: &[u8]) -> Option<(Stream, &[u8])> {
    let (member, rest) = tail.split_at_checked(STDOUT.len() - TIME.len())?;
    if STDOUT.starts_with(member) {
        Some((Stream::Stdout, rest))
    } else if STDERR.starts_with(member) {
        Some((Stream::Stderr, rest))
    } else {
        None
    }
}

// White space of JSON.
fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
