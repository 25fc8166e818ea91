//! Lines to frames: pure functions over bytes. Never touches sockets or cursors.
//!
//! n lines in are n frames out, for every byte string: octet counting keeps the bytes as they
//! are, line-feed framing escapes what would end or hide a frame.

mod console;
mod decimal;
mod framing;
mod header;
mod json;
mod logspout;
mod names;
mod options;
mod raw;
mod rfc3164;
mod rfc5424;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::output::Carriage;
use crate::record::{Chunk, Container, Line, Stream};
use crate::select::Settings;
use crate::template::Needs;

use framing::Frame;
pub use framing::{Body, Framing, Record};
pub use header::{Header, StampForm};
pub use logspout::{Adapter, Logspout, RAW_FORMAT, SYSLOG_VARIABLES};
pub use options::{NAME_OPTIONS, OPTIONS, Surroundings, Terminal, plan};

/// One format: a header that is prepared for a container, and after it the text of each line.
pub trait Format: Send + Sync + fmt::Debug {
    /// What stands before the text of a container's lines.
    fn prepare(&self, container: &Container) -> Prepared;

    /// How the text is written, if not as it is.
    fn body(&self) -> Option<&dyn Body> {
        None
    }

    /// What stands behind the text where no line feed ends the frame.
    fn tail(&self) -> &'static [u8] {
        b""
    }

    /// What has to be known of a container beside its name.
    fn needs(&self) -> Needs {
        Needs::default()
    }
}

/// What the lines of a container share: their headers, which differ by stream.
#[derive(Debug, Clone)]
pub struct Prepared {
    stdout: Header,
    stderr: Header,
    /// How the text of this container's lines is written, where the format does not say it for all.
    body: Option<Arc<dyn Body>>,
    /// Something stands in for a field that could not be rendered.
    patched: bool,
}

impl Prepared {
    /// The same header for both streams, or one for each.
    pub fn new(header: impl Fn(Stream) -> Header) -> Self {
        let (stdout, stderr) = (header(Stream::Stdout), header(Stream::Stderr));
        Self { stdout, stderr, body: None, patched: false }
    }

    fn header(&mut self, stream: Stream) -> &mut Header {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn header_bytes_max(&self) -> usize {
        self.stdout.bytes_max().max(self.stderr.bytes_max())
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
    sequence: u64,
    /// As the option `format` has it; empty where none was asked for by name.
    name: &'static str,
}

/// What an encoder did to frames that did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Frames cut to the limit of a datagram or message.
    pub truncated: u64,
    /// Frames with something that stands in for a template which failed.
    pub patched: u64,
}

impl Encoder {
    /// A format on a framing.
    pub fn new(format: Box<dyn Format>, framing: Framing) -> Self {
        Self { format, framing, sequence: 0, name: "" }
    }

    /// The same with the name that the format has in a route.
    #[must_use]
    fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The name of the format, as the option `format` has it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How frames are told apart.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// What has to be known of a container beside its name.
    pub fn needs(&self) -> Needs {
        self.format.needs()
    }

    /// Appends one frame per line of `chunk` to `bytes` and its end to `ends`.
    pub fn encode(
        &mut self,
        chunk: &Chunk,
        cache: &mut Cache,
        bytes: &mut Vec<u8>,
        ends: &mut Vec<u32>,
    ) -> Encoded {
        let Self { format, framing, sequence, .. } = self;
        let prepared = match &mut cache.0 {
            Some((known, prepared)) if Arc::ptr_eq(known, &chunk.container) => prepared,
            slot => {
                let mut prepared = format.prepare(&chunk.container);
                if *framing == Framing::Lf {
                    prepared.stdout.escape();
                    prepared.stderr.escape();
                }
                &mut slot.insert((chunk.container.clone(), prepared)).1
            }
        };
        // Enough unless text grows, so that no line has to wait for memory to be moved.
        let lines = chunk.lines();
        bytes.reserve(chunk.text_bytes() + lines.len() * (prepared.header_bytes_max() + 1));
        ends.reserve(lines.len());
        let own_body = prepared.body.clone();
        let escape = match own_body {
            // A template may bring what no line has.
            Some(_) => framing.escape(b"\n"),
            None => framing.escape(arena(chunk)),
        };
        let body = own_body.as_deref().or(format.body());
        let tail = format.tail();
        let mut encoded = Encoded::default();
        for line in lines {
            *sequence += 1;
            let header = prepared.header(line.stream).for_line(line.time, *sequence);
            let record = Record { stream: line.stream, time: line.time, text: chunk.text(line) };
            let frame = Frame { header, record, body, tail };
            match *framing {
                Framing::OctetCounting => frame.push_counted(bytes),
                Framing::Lf | Framing::BareLf => frame.push_line(escape, bytes),
                Framing::Datagram { max } => {
                    encoded.truncated += u64::from(frame.push_alone(max, bytes));
                }
            }
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        let patched = if prepared.patched { lines.len() as u64 } else { 0 };
        encoded.patched = patched.max(body.map_or(0, Body::take_patched));
        encoded
    }
}

// From the first byte of all lines to the last.
fn arena(chunk: &Chunk) -> &[u8] {
    let lines = chunk.lines();
    let start = lines.iter().map(|line| line.start).min().unwrap_or_default();
    let end = lines.iter().map(|line| line.end).max().unwrap_or_default();
    lines.first().map_or(&[], |line| chunk.text(&Line { start, end, ..*line }))
}

// One frame's content, for the tests of the formats.
#[cfg(test)]
fn content(
    format: &dyn Format,
    prepared: &mut Prepared,
    record: Record<'_>,
    time: crate::record::Timestamp,
    sequence: u64,
) -> Vec<u8> {
    let own_body = prepared.body.clone();
    let header = prepared.header(record.stream).for_line(time, sequence);
    let mut out = Vec::new();
    let body = own_body.as_deref().or(format.body());
    let record = Record { time, ..record };
    Frame { header, record, body, tail: format.tail() }.push_alone(usize::MAX, &mut out);
    out
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

    /// With what a container asks for.
    fn with(self, settings: &Settings) -> Self {
        let facility = settings.facility.unwrap_or(self.stdout / 8);
        Self::new(
            facility,
            settings.severity_stdout.unwrap_or(self.stdout % 8),
            settings.severity_stderr.unwrap_or(self.stderr % 8),
        )
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

/// The framing that a transport has unless the route says otherwise.
pub fn default_framing(carriage: Carriage, max_message: usize) -> Framing {
    match carriage {
        Carriage::Datagram | Carriage::Messages => Framing::Datagram { max: max_message },
        Carriage::Events => Framing::Datagram { max: usize::MAX },
        Carriage::Stream => Framing::OctetCounting,
        Carriage::Lines | Carriage::Text => Framing::Lf,
    }
}
