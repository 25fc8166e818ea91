//! The parts of logspout's messages in their order, and how they become a header that is the same
//! for all lines of a container, and a rest that is not.

use std::cell::Cell;
use std::sync::Arc;

use super::Logspout;
use super::field::Field;
use super::rest::{Piece, Rest};
use crate::encode::{Format, Header, Prepared, Priorities, StampForm};
use crate::record::{Container, Stream};
use crate::select::{Allowed, Settings};
use crate::template::{Needs, Subject, Zone};

// As logspout cuts, in Unicode code points: RFC 5424 section 6, RFC 3164 section 4.1.3.
const HOSTNAME_CHARACTERS: usize = 255;
const TAG_CHARACTERS: usize = 48;
const PID_CHARACTERS: usize = 128;
const RFC3164_TAG_CHARACTERS: usize = 32;

/// One part of a message.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// The same always.
    Text(&'static str),
    /// A field, of so many characters at most.
    Field(Field, usize),
    /// The container's tag, unless a label has another.
    Tag(Field, usize),
    /// A field in brackets; `-` if it is empty.
    Bracketed(Field),
}

/// The fields of syslog's messages.
pub(super) struct Fields<'a> {
    pub(super) tag: Field,
    pub(super) structured_data: Option<Field>,
    pub(super) of: &'a Logspout,
}

/// The layout of a destination's messages.
#[derive(Debug)]
pub(in crate::encode) struct Layout {
    parts: Vec<Part>,
    /// Those before it are the same for all lines of a container's stream, but for a stamp.
    rest_from: usize,
    priorities: Priorities,
    zone: Zone,
    allowed: Allowed,
    tail: &'static [u8],
}

impl Fields<'_> {
    /// `<PRI>1 TIMESTAMP HOSTNAME TAG PID - SD DATA`.
    pub(super) fn rfc5424(self) -> Vec<Part> {
        let Logspout { priority, timestamp, hostname, pid, data, .. } = self.of.clone();
        let structured_data = match self.structured_data {
            Some(field) => Part::Bracketed(field),
            None => Part::Text("-"),
        };
        vec![
            Part::Text("<"),
            Part::Field(priority, usize::MAX),
            Part::Text(">1 "),
            Part::Field(timestamp, usize::MAX),
            Part::Text(" "),
            Part::Field(hostname, HOSTNAME_CHARACTERS),
            Part::Text(" "),
            Part::Tag(self.tag, TAG_CHARACTERS),
            Part::Text(" "),
            Part::Field(pid, PID_CHARACTERS),
            Part::Text(" - "),
            structured_data,
            Part::Text(" "),
            Part::Field(data, usize::MAX),
        ]
    }

    /// `<PRI>TIMESTAMP HOSTNAME TAG[PID]: DATA`: the time is not that of RFC 3164.
    pub(super) fn rfc3164(self) -> Vec<Part> {
        let Logspout { priority, timestamp, hostname, pid, data, .. } = self.of.clone();
        vec![
            Part::Text("<"),
            Part::Field(priority, usize::MAX),
            Part::Text(">"),
            Part::Field(timestamp, usize::MAX),
            Part::Text(" "),
            Part::Field(hostname, usize::MAX),
            Part::Text(" "),
            Part::Tag(self.tag, RFC3164_TAG_CHARACTERS),
            Part::Text("["),
            Part::Field(pid, usize::MAX),
            Part::Text("]: "),
            Part::Field(data, usize::MAX),
        ]
    }
}

impl Part {
    fn field(&self) -> Option<&Field> {
        match self {
            Self::Text(_) => None,
            Self::Field(field, _) | Self::Tag(field, _) | Self::Bracketed(field) => Some(field),
        }
    }

    /// Whether each line has its own. `tag` is what a label asks for.
    fn is_of_line(&self, tag: Option<&str>) -> bool {
        match self {
            Self::Tag(..) if tag.is_some() => false,
            _ => self.field().is_some_and(Field::is_of_line),
        }
    }

    /// Appends it; false if something else had to stand for a field.
    pub(super) fn render(
        &self,
        subject: &Subject<'_>,
        tag: Option<&str>,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        match (self, tag) {
            (Self::Text(text), _) => {
                out.extend_from_slice(text.as_bytes());
                true
            }
            (Self::Tag(_, most), Some(tag)) => {
                out.extend_from_slice(tag.as_bytes());
                cut(out, start, *most);
                true
            }
            (Self::Field(field, most) | Self::Tag(field, most), _) => {
                let whole = field.render(subject, out);
                cut(out, start, *most);
                whole
            }
            (Self::Bracketed(field), _) => {
                out.push(b'[');
                let whole = field.render(subject, out);
                if out.len() == start + 1 {
                    out.truncate(start);
                    out.push(b'-');
                } else {
                    out.push(b']');
                }
                whole
            }
        }
    }
}

// Keeps so many code points. Of what is no UTF-8 each stretch counts as one, as in Go.
fn cut(out: &mut Vec<u8>, start: usize, most: usize) {
    if out.len() - start <= most {
        return;
    }
    let mut end = start;
    let mut left = most;
    for chunk in out.get(start..).unwrap_or_default().utf8_chunks() {
        for character in chunk.valid().chars() {
            if left == 0 {
                return out.truncate(end);
            }
            end += character.len_utf8();
            left -= 1;
        }
        if !chunk.invalid().is_empty() {
            if left == 0 {
                return out.truncate(end);
            }
            end += chunk.invalid().len();
            left -= 1;
        }
    }
}

impl Layout {
    /// Messages with a header; a line feed ends them whatever frames them.
    pub(super) fn syslog(
        parts: Vec<Part>,
        priorities: Priorities,
        zone: Zone,
        allowed: Allowed,
    ) -> Self {
        let rest_from = rest_from(&parts);
        Self { parts, rest_from, priorities, zone, allowed, tail: b"\n" }
    }

    /// What one field makes of a line.
    pub(super) fn raw(field: Field, zone: Zone) -> Self {
        // The text as it is needs no template.
        let is_plain = field.is_text_and_feed();
        let parts = if is_plain { Vec::new() } else { vec![Part::Field(field, usize::MAX)] };
        Self {
            parts,
            rest_from: 0,
            priorities: Priorities::new(1, 6, 3),
            zone,
            allowed: Allowed::none(),
            tail: if is_plain { b"\n" } else { b"" },
        }
    }
}

// Up to the first part that each line has its own of. One stamp can be shown in a header.
fn rest_from(parts: &[Part]) -> usize {
    let mut stamped = false;
    let is_rest = |part: &Part| match part.field() {
        Some(field) if field.is_timestamp() && !stamped => {
            stamped = true;
            false
        }
        field => field.is_some_and(Field::is_of_line),
    };
    parts.iter().position(is_rest).unwrap_or(parts.len())
}

impl Format for Layout {
    fn prepare(&self, container: &Container) -> Prepared {
        let settings = Settings::of(container, &self.allowed);
        let priorities = self.priorities.with(&settings);
        let subject = |stream| Subject {
            stream,
            priority: priorities.of(stream),
            zone: &self.zone,
            ..Subject::of(container)
        };
        let (patched, tag) = (Cell::new(false), settings.tag.as_deref());
        let rendered = |part: &Part, stream| {
            let mut text = Vec::new();
            if !part.render(&subject(stream), tag, &mut text) {
                patched.set(true);
            }
            text
        };
        let (before, rest) = self.parts.split_at_checked(self.rest_from).unwrap_or_default();
        let mut prepared = Prepared::new(|stream| {
            let mut header = Header::default();
            for part in before {
                if part.field().is_some_and(Field::is_timestamp) {
                    header.push_stamp(StampForm::Seconds(self.zone.clone()));
                } else {
                    header.push(rendered(part, stream));
                }
            }
            header
        });
        if !rest.iter().all(is_text) {
            let piece = |part: &Part, stream| {
                if part.is_of_line(tag) {
                    Piece::OfLine(part.clone())
                } else {
                    Piece::Text(rendered(part, stream))
                }
            };
            let pieces = |stream| rest.iter().map(|part| piece(part, stream)).collect();
            let of_stream = |stream| (pieces(stream), priorities.of(stream));
            let (stdout, stderr) = (of_stream(Stream::Stdout), of_stream(Stream::Stderr));
            let rest = Rest::new(container.clone(), self.zone.clone(), stdout, stderr);
            prepared.body = Some(Arc::new(rest));
        }
        prepared.patched = patched.get();
        prepared
    }

    fn tail(&self) -> &'static [u8] {
        self.tail
    }

    fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for field in self.parts.iter().filter_map(Part::field) {
            needs.add(field.needs());
        }
        needs
    }
}

fn is_text(part: &Part) -> bool {
    part.field().is_some_and(Field::is_text)
}
