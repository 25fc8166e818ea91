//! Encoded frames back to back, with the lines they came from.

use std::ops::Range;
use std::sync::Arc;

use crate::lane::Settled;
use crate::metrics::Delays;
use crate::record::{Chunk, Cursor, Edge, Line, Timestamp};

/// The lines of one chunk within a batch, kept for their marks.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) settled: Arc<Settled>,
    /// Where the log was before these lines.
    pub(super) before: Cursor,
    pub(super) lines: Vec<Line>,
    /// See [`crate::record::Chunk::edge`].
    pub(super) edge: Edge,
    /// See [`crate::record::Chunk::is_notice`].
    pub(super) is_notice: bool,
}

impl Part {
    /// What is left of a chunk once it is encoded.
    pub(super) fn of(chunk: Chunk, settled: Arc<Settled>) -> Self {
        let (edge, is_notice) = (chunk.edge, chunk.is_notice);
        let lines = chunk.into_lines();
        let before = if is_notice { Cursor::default() } else { settled.note_sent(&lines, edge) };
        Self { settled, before, lines, edge, is_notice }
    }
}

/// Frames back to back, with the lines they came from.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<u32>,
    pub(super) parts: Vec<Part>,
}

impl Batch {
    /// Bytes of all frames.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Empties it and keeps its room.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.parts.clear();
    }

    /// Each part with the frames that are its own.
    pub(super) fn parts_with_frames(&self) -> impl Iterator<Item = (&Part, Range<usize>)> {
        let mut first = 0;
        self.parts.iter().map(move |part| {
            let frames = first..first + part.lines.len();
            first = frames.end;
            (part, frames)
        })
    }

    /// Each part with the bytes of its frames.
    pub(super) fn parts_with_bytes(&self) -> impl Iterator<Item = (&Part, u64)> {
        self.parts_with_frames().map(|(part, frames)| {
            (part, u64::from(self.frame_start(frames.end) - self.frame_start(frames.start)))
        })
    }

    /// The batch without the parts that are `unwanted`, and a function that tells how many of the
    /// first frames are still there.
    pub(super) fn without(
        self,
        unwanted: impl Fn(&Part) -> bool,
    ) -> (Self, impl Fn(usize) -> usize) {
        let mut rest = Self::default();
        let mut removed: Vec<Range<usize>> = Vec::new();
        for (part, frames) in self.parts_with_frames() {
            if unwanted(part) {
                removed.push(frames);
                continue;
            }
            let (from, to) = (self.frame_start(frames.start), self.frame_start(frames.end));
            let moved = from - rest.frame_start(rest.ends.len());
            rest.bytes.extend(self.bytes.get(from as usize..to as usize).unwrap_or_default());
            rest.ends
                .extend(self.ends.get(frames).unwrap_or_default().iter().map(|end| end - moved));
        }
        rest.parts = self.parts.into_iter().filter(|part| !unwanted(part)).collect();
        let kept = move |frames: usize| {
            frames - removed.iter().map(|r| frames.min(r.end) - frames.min(r.start)).sum::<usize>()
        };
        (rest, kept)
    }

    /// Frames that end at or before `offset`.
    pub(super) fn frames_before(&self, offset: u64) -> usize {
        self.ends.partition_point(|end| u64::from(*end) <= offset)
    }

    /// Where frame `index` starts.
    pub(super) fn frame_start(&self, index: usize) -> u32 {
        index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    /// Moves the cursors over frames `from..to`, which the peer will never take.
    pub(super) fn advance(&self, from: usize, to: usize) {
        self.pass(from, to, |_| {});
    }

    /// The same for frames that the peer has: counts how long their lines took.
    pub(super) fn delivered(&self, from: usize, to: usize, delays: &Delays) {
        let now = Timestamp::now().nanos();
        self.pass(from, to, |lines| {
            delays.observe(now, lines.iter().map(|line| line.time.nanos()));
        });
    }

    fn pass(&self, from: usize, to: usize, seen: impl Fn(&[Line])) {
        for (part, frames) in self.parts_with_frames() {
            let from = from.clamp(frames.start, frames.end) - frames.start;
            let to = to.clamp(frames.start, frames.end) - frames.start;
            if from < to && !part.is_notice {
                let (done, rest) = part.lines.split_at(to);
                let done = done.get(from..).unwrap_or_default();
                seen(done);
                part.settled.advance(done, rest, part.edge);
            }
        }
    }
}
