//! What stands behind the header of a container's lines: what is the same for all of them is rendered
//! once, the rest for each.

use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::Part;
use crate::encode::framing::{Body, Record};
use crate::record::{Container, Stream};
use crate::template::{Subject, Zone};

/// One piece of a message.
#[derive(Debug)]
pub(super) enum Piece {
    /// The same for all lines of a stream.
    Text(Vec<u8>),
    /// Each line has its own.
    OfLine(Part),
}

/// The pieces of a stream's messages, and its priority.
type OfStream = (Vec<Piece>, u8);

/// What stands behind the header of one container's lines.
#[derive(Debug)]
pub(super) struct Rest {
    container: Container,
    zone: Zone,
    stdout: OfStream,
    stderr: OfStream,
    patched: AtomicU64,
}

impl Rest {
    pub(super) fn new(
        container: Container,
        zone: Zone,
        stdout: OfStream,
        stderr: OfStream,
    ) -> Self {
        Self { container, zone, stdout, stderr, patched: AtomicU64::new(0) }
    }
}

impl Body for Rest {
    fn write(&self, _: &[u8], record: Record<'_>, out: &mut Vec<u8>) {
        let Record { stream, time, text } = record;
        let (pieces, priority) = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        let (priority, zone) = (*priority, &self.zone);
        let subject =
            Subject { stream, time, text, zone, priority, ..Subject::of(&self.container) };
        let mut whole = true;
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                // A label's tag is no piece of a line.
                Piece::OfLine(part) => whole &= part.render(&subject, None, out),
            }
        }
        if !whole {
            self.patched.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_patched(&self) -> u64 {
        self.patched.swap(0, Ordering::Relaxed)
    }
}
