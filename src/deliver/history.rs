//! Where the cursors stood when bytes were sent: what it takes to read again, from the containers'
//! logs, what a peer has acknowledged and not read. Keeps no byte of a line.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::lane::Settled;
use crate::record::Cursor;

/// Bytes after which cursors are noted anew. A replay starts at such a place, so it repeats up to
/// this much more than is in doubt.
const SEGMENT_BYTES: u64 = 128 * 1024;

/// Cursors kept at most; some 100 bytes each. With more, neighbouring segments are made one, and a
/// replay repeats more.
const MOST_CURSORS: usize = 2048;

/// Positions of a window with the cursors that stood there.
#[derive(Debug, Default)]
pub(super) struct History {
    segments: VecDeque<Segment>,
    cursors: usize,
}

/// What was sent from `start` up to the next segment.
#[derive(Debug)]
struct Segment {
    start: u64,
    /// By log: the place before the first of its lines in here.
    before: BTreeMap<LogId, Before>,
}

/// A log, and a place in it.
#[derive(Debug, Clone)]
pub(super) struct Before {
    pub(super) settled: Arc<Settled>,
    pub(super) cursor: Cursor,
}

/// Tells the logs of a destination apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LogId(usize);

impl LogId {
    /// Valid as long as `settled` is kept.
    pub(super) fn of(settled: &Arc<Settled>) -> Self {
        Self(Arc::as_ptr(settled).addr())
    }
}

impl History {
    /// Lines were sent at `position`; before them their log was at `before`. Positions rise.
    pub(super) fn note(&mut self, position: u64, before: Before) {
        let start = self.segments.back().map(|segment| segment.start);
        if start.is_none_or(|start| position >= start + SEGMENT_BYTES) {
            self.segments.push_back(Segment { start: position, before: BTreeMap::new() });
        }
        let Some(segment) = self.segments.back_mut() else { return };
        if let std::collections::btree_map::Entry::Vacant(entry) =
            segment.before.entry(LogId::of(&before.settled))
        {
            entry.insert(before);
            self.cursors += 1;
        }
        if self.cursors > MOST_CURSORS {
            self.coarsen();
        }
    }

    /// Forgets what lies before `position`, as far as whole segments do.
    pub(super) fn forget_before(&mut self, position: u64) {
        while self.segments.get(1).is_some_and(|next| next.start <= position)
            && let Some(segment) = self.segments.pop_front()
        {
            self.cursors -= segment.before.len();
        }
    }

    /// Where the logs stood at `from` or just before, and the position that this covers. `None`
    /// if nothing is known.
    pub(super) fn since(&self, from: u64) -> Option<(u64, BTreeMap<LogId, Before>)> {
        let first = self.segments.partition_point(|segment| segment.start <= from);
        let mut segments = self.segments.iter().skip(first.saturating_sub(1)).peekable();
        let start = segments.peek()?.start;
        let mut found = BTreeMap::new();
        for (log, before) in segments.flat_map(|segment| &segment.before) {
            found.entry(*log).or_insert_with(|| before.clone());
        }
        Some((start, found))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.cursors = 0;
    }

    /// Makes one of every two segments: the earlier place holds for both.
    fn coarsen(&mut self) {
        let mut coarse: VecDeque<Segment> = VecDeque::new();
        for (index, segment) in std::mem::take(&mut self.segments).into_iter().enumerate() {
            match coarse.back_mut() {
                Some(last) if index % 2 == 1 => {
                    for (log, before) in segment.before {
                        last.before.entry(log).or_insert(before);
                    }
                }
                _ => coarse.push_back(segment),
            }
        }
        self.cursors = coarse.iter().map(|segment| segment.before.len()).sum();
        // One segment with too many logs in it: only a doubt about all of it can be lifted.
        if coarse.len() == 1 && self.cursors > MOST_CURSORS {
            coarse.clear();
            self.cursors = 0;
        }
        self.segments = coarse;
    }
}
