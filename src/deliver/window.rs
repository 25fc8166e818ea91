//! What was sent and is not yet certain: encoded batches, how far they are acknowledged, and the
//! cursors that an acknowledgement moves. Never touches the output.
//!
//! Positions are bytes of frames since the agent started. They go on rising over reconnects;
//! `link_base` says which position was byte 0 of the present link.
//!
//! ```text
//!   ........ first ......... settled ............. sent ....... end
//!   history    kept for replay   unacknowledged       encoded, not sent on this link
//! ```

use std::collections::{BTreeSet, VecDeque};

use super::batch::{Batch, Part};
use super::history::{Before, History, LogId};
use crate::lane::Lanes;
use crate::metrics::{DestinationMetrics, DropReason};
use crate::output::Frames;

/// The batches of one destination that are not yet out of doubt.
#[derive(Debug)]
pub(super) struct Window {
    batches: VecDeque<Batch>,
    first: u64,
    settled: u64,
    counted: u64,
    end: u64,
    link_base: u64,
    /// What the link last said, which may lie inside a frame.
    reported: u64,
    /// Where the logs stood when what lies before `first` was sent.
    history: History,
    metrics: DestinationMetrics,
    spare: Vec<Batch>,
}

/// What a new link begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relinked {
    /// The position of its byte 0.
    pub(super) from: u64,
    /// Frames that are sent again.
    pub(super) frames: u64,
}

/// How much may be kept of what is acknowledged and in doubt, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// As frames.
    pub(super) frames: u64,
    /// As places in the containers' logs, what is kept as frames included.
    pub(super) places: u64,
}

/// Buffers kept for reuse, so that a steady stream of batches allocates nothing.
const SPARE_BATCHES: usize = 4;

impl Window {
    /// Nothing sent yet.
    pub(super) fn new(metrics: DestinationMetrics) -> Self {
        Self {
            batches: VecDeque::new(),
            first: 0,
            settled: 0,
            counted: 0,
            end: 0,
            link_base: 0,
            reported: 0,
            history: History::default(),
            metrics,
            spare: Vec::new(),
        }
    }

    /// An empty batch with room from an earlier one.
    pub(super) fn empty_batch(&mut self) -> Batch {
        self.spare.pop().unwrap_or_default()
    }

    /// Adds an encoded batch behind all others.
    pub(super) fn push(&mut self, batch: Batch) {
        self.end += batch.len();
        self.batches.push_back(batch);
    }

    /// Bytes that are not acknowledged.
    pub(super) fn outstanding(&self) -> u64 {
        self.end - self.settled
    }

    /// Bytes acknowledged on the present link, in the link's own count: it may lie inside a
    /// frame, and waiting for less would be over at once, for ever.
    pub(super) fn reported(&self) -> u64 {
        self.reported
    }

    /// All of the frames after position `from`, batch by batch.
    pub(super) fn frames_from(&self, from: u64) -> impl Iterator<Item = Frames<'_>> {
        let mut start = self.first;
        self.batches.iter().filter_map(move |batch| {
            let begin = start;
            start += batch.len();
            if start <= from {
                return None;
            }
            let index = batch.frames_before(from.saturating_sub(begin));
            let base = batch.frame_start(index);
            let bytes = batch.bytes.get(base as usize..).unwrap_or_default();
            Some(Frames::new(bytes, batch.ends.get(index..).unwrap_or_default(), base))
        })
    }

    /// The frames of the last batch.
    pub(super) fn last_frames(&self) -> Option<Frames<'_>> {
        self.batches.back().map(|batch| Frames::new(&batch.bytes, &batch.ends, 0))
    }

    /// Takes the link's word that its first `on_link` bytes are acknowledged: counts whole
    /// frames and moves cursors.
    pub(super) fn settle(&mut self, on_link: u64) {
        self.reported = self.reported.max(on_link);
        let to = (self.link_base + on_link).min(self.end);
        if to <= self.settled {
            return;
        }
        let mut start = self.first;
        let mut aligned = self.settled;
        for batch in &self.batches {
            if start >= to {
                break;
            }
            let from = batch.frames_before(self.counted.saturating_sub(start));
            let until = batch.frames_before(to - start);
            let reached = start + u64::from(batch.frame_start(until));
            aligned = aligned.max(reached);
            if until > from {
                batch.delivered(from, until, &self.metrics.delays);
                let bytes = batch.frame_start(until) - batch.frame_start(from);
                self.metrics.delivered((until - from) as u64, u64::from(bytes));
                self.counted = reached;
            }
            start += batch.len();
        }
        self.settled = aligned;
    }

    /// Lets go of acknowledged batches that lie further back than is to be kept.
    pub(super) fn release(&mut self, keep: Keep) {
        while let Some(batch) = self.batches.front()
            && self.first + batch.len() + keep.frames <= self.settled
            && let Some(mut batch) = self.batches.pop_front()
        {
            if keep.places > keep.frames {
                let mut position = self.first;
                for (part, bytes) in batch.parts_with_bytes() {
                    if !part.is_notice {
                        let Part { settled, before, .. } = part;
                        let before = Before { settled: settled.clone(), cursor: *before };
                        self.history.note(position, before);
                    }
                    position += bytes;
                }
            }
            self.first += batch.len();
            if self.spare.len() < SPARE_BATCHES {
                batch.clear();
                self.spare.push(batch);
            }
        }
        let oldest = self.settled.saturating_sub(keep.places).max(self.link_base);
        self.history.forget_before(oldest);
    }

    /// A link broke with `unread` acknowledged bytes in doubt. As far as they are not kept as
    /// frames, and lie no more than `places` back, the logs they came from are read again from
    /// there; what was sent or waits of these logs comes again with them and is let go. Returns
    /// the bytes in doubt for which that is not possible.
    pub(super) fn rewind(&mut self, unread: u64, places: u64, lanes: &Lanes) -> u64 {
        let wanted = self.settled.saturating_sub(unread).max(self.link_base);
        if wanted >= self.first {
            return 0;
        }
        let from = wanted.max(self.settled.saturating_sub(places));
        let beyond = self.first - wanted;
        let Some((start, befores)) = self.history.since(from).filter(|_| from < self.first) else {
            return beyond;
        };
        let mut returning = BTreeSet::new();
        let mut stuck = false;
        for (log, Before { settled, cursor }) in befores {
            if lanes.rewind(&settled, cursor, self.uncounted(log)) {
                returning.insert(log);
            } else {
                stuck = true;
            }
        }
        self.let_go(&returning);
        if stuck { beyond } else { start.max(from) - wanted }
    }

    /// Lines of one log that are in here and not counted as delivered.
    fn uncounted(&self, log: LogId) -> u64 {
        self.uncounted_of(|part| LogId::of(&part.settled) == log && !part.is_notice).0
    }

    /// Lines that are not counted as delivered and whose log cannot be read again, and the bytes
    /// of their frames.
    pub(super) fn unreturnable(&self) -> (u64, u64) {
        self.uncounted_of(|part| part.is_notice || !part.settled.is_in_log())
    }

    fn uncounted_of(&self, wanted: impl Fn(&Part) -> bool) -> (u64, u64) {
        let mut start = self.first;
        let (mut lines, mut bytes) = (0, 0);
        for batch in &self.batches {
            let counted = batch.frames_before(self.counted.saturating_sub(start));
            for (part, frames) in batch.parts_with_frames() {
                if wanted(part) {
                    let from = frames.start.max(counted).min(frames.end);
                    lines += (frames.end - from) as u64;
                    bytes += u64::from(batch.frame_start(frames.end) - batch.frame_start(from));
                }
            }
            start += batch.len();
        }
        (lines, bytes)
    }

    /// Removes the frames of some logs. Positions behind them close up.
    fn let_go(&mut self, logs: &BTreeSet<LogId>) {
        let (mut settled, mut counted, mut end) = (self.first, self.first, self.first);
        let mut start = self.first;
        let batches = std::mem::take(&mut self.batches);
        for batch in batches {
            let upto = |position: u64| batch.frames_before(position.saturating_sub(start));
            let (settled_frames, counted_frames) = (upto(self.settled), upto(self.counted));
            start += batch.len();
            let (rest, kept) =
                batch.without(|part| !part.is_notice && logs.contains(&LogId::of(&part.settled)));
            let bytes_of = |frames| u64::from(rest.frame_start(kept(frames)));
            settled += bytes_of(settled_frames);
            counted += bytes_of(counted_frames);
            end += rest.len();
            if rest.len() > 0 {
                self.batches.push_back(rest);
            }
        }
        (self.settled, self.counted, self.end) = (settled, counted, end);
    }

    /// A new link: what is not acknowledged, and `unread` bytes before it as far as they are
    /// kept, will be sent on it from its byte 0.
    pub(super) fn relink(&mut self, unread: u64) -> Relinked {
        let wanted = self.settled.saturating_sub(unread).max(self.first);
        let mut start = self.first;
        let mut frames = 0;
        let mut position = self.settled;
        for batch in &self.batches {
            if start + batch.len() > wanted {
                let index = batch.frames_before(wanted.saturating_sub(start));
                if frames == 0 {
                    position = start + u64::from(batch.frame_start(index));
                }
                frames += (batch.ends.len() - index) as u64;
            }
            start += batch.len();
        }
        self.settled = position.min(self.settled);
        self.link_base = self.settled;
        self.reported = 0;
        // What an earlier link has carried cannot be in doubt on this one.
        self.history.clear();
        Relinked { from: self.settled, frames }
    }

    /// Gives up the first frame that is not acknowledged: the peer will never take it.
    pub(super) fn reject_first(&mut self) {
        let mut start = self.first;
        for batch in &self.batches {
            if start + batch.len() > self.settled {
                let index = batch.frames_before(self.settled.saturating_sub(start));
                let bytes = batch.frame_start(index + 1) - batch.frame_start(index);
                if self.counted <= self.settled {
                    batch.advance(index, index + 1);
                    self.metrics.dropped(DropReason::Rejected, 1, u64::from(bytes));
                    self.counted = self.settled + u64::from(bytes);
                }
                self.settled += u64::from(bytes);
                return;
            }
            start += batch.len();
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
