//! What was sent and is not yet certain: encoded batches, how far they are acknowledged, and the
//! cursors that an acknowledgement moves. Never touches the output.
//!
//! Positions are bytes of frames since the agent started. They go on rising over reconnects;
//! `link_base` says which position was byte 0 of the present link.
//!
//! ```text
//!   first ......... settled ............. sent ....... end
//!   kept for replay   unacknowledged       encoded, not sent on this link
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use crate::lane::Settled;
use crate::metrics::{DestinationMetrics, DropReason};
use crate::output::Frames;
use crate::record::Line;

/// The lines of one chunk within a batch, kept for their marks.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) settled: Arc<Settled>,
    pub(super) lines: Vec<Line>,
}

/// Frames back to back, with the lines they came from.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<u32>,
    pub(super) parts: Vec<Part>,
}

impl Batch {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Frames that end at or before `offset`.
    fn frames_before(&self, offset: u64) -> usize {
        self.ends.partition_point(|end| u64::from(*end) <= offset)
    }

    /// Where frame `index` starts.
    fn frame_start(&self, index: usize) -> u32 {
        index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    /// Moves the cursors over frames `from..to`.
    fn advance(&self, from: usize, to: usize) {
        let mut first = 0;
        for part in &self.parts {
            let last = first + part.lines.len();
            let lines = from.max(first) - first..to.min(last).max(first) - first;
            if let Some(lines) = part.lines.get(lines).filter(|lines| !lines.is_empty()) {
                part.settled.advance(lines);
            }
            first = last;
        }
    }
}

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
    /// Bytes that the peer may not have read and that are not kept any more.
    pub(super) doubtful: u64,
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
                batch.advance(from, until);
                let bytes = batch.frame_start(until) - batch.frame_start(from);
                self.metrics.lines_delivered.inc_by((until - from) as u64);
                self.metrics.bytes_delivered.inc_by(u64::from(bytes));
                self.metrics.lines_in_flight.sub(i64::try_from(until - from).unwrap_or(i64::MAX));
                self.counted = reached;
            }
            start += batch.len();
        }
        self.settled = aligned;
    }

    /// Lets go of acknowledged batches that lie further back than `keep_bytes`, which is as far
    /// as a replay could go.
    pub(super) fn release(&mut self, keep_bytes: u64) {
        while let Some(batch) = self.batches.front()
            && self.first + batch.len() + keep_bytes <= self.settled
            && let Some(mut batch) = self.batches.pop_front()
        {
            self.first += batch.len();
            if self.spare.len() < SPARE_BATCHES {
                batch.bytes.clear();
                batch.ends.clear();
                batch.parts.clear();
                self.spare.push(batch);
            }
        }
    }

    /// A new link: what is not acknowledged, and `unread` bytes before it as far as they are
    /// kept, will be sent on it from its byte 0.
    pub(super) fn relink(&mut self, unread: u64) -> Relinked {
        let settled = self.settled;
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
        // What was settled before the agent's first byte cannot be in doubt.
        let doubtful = unread.min(settled).saturating_sub(settled - self.settled);
        Relinked { from: self.settled, frames, doubtful }
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
                    self.metrics.lines_in_flight.dec();
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lane::Lanes;
    use crate::metrics::Metrics;
    use crate::record::{Container, Mark, Stream, Timestamp};

    struct Bench {
        window: Window,
        lane: crate::lane::Lane,
        next: i64,
        keep: u64,
    }

    impl Bench {
        fn new(keep: u64) -> Self {
            let metrics = Metrics::new().destination("test");
            let lane = Lanes::new(1, metrics.clone()).open(&Container::default());
            Self { window: Window::new(metrics), lane, next: 0, keep }
        }

        /// A batch of frames of the given sizes; each line is stamped with its number from 1.
        fn push(&mut self, sizes: &[usize]) {
            let mut batch = self.window.empty_batch();
            let mut lines = Vec::new();
            for size in sizes {
                self.next += 1;
                let tag = u8::try_from(self.next % 251).unwrap();
                batch.bytes.extend(std::iter::repeat_n(tag, *size));
                batch.ends.push(u32::try_from(batch.bytes.len()).unwrap());
                let time = Timestamp::from_nanos(self.next);
                let mark = Mark { time, pieces: 1 };
                lines.push(Line { start: 0, end: 0, time, stream: Stream::Stdout, mark });
            }
            batch.parts.push(Part { settled: self.lane.settled().clone(), lines });
            self.window.push(batch);
            self.window.metrics.lines_in_flight.add(i64::try_from(sizes.len()).unwrap());
        }

        fn settle(&mut self, on_link: u64) {
            self.window.settle(on_link);
            self.window.release(self.keep);
        }

        fn cursor(&self) -> i64 {
            let mark = self.lane.settled().cursor().mark(Stream::Stdout);
            mark.map_or(0, |mark| mark.time.nanos())
        }

        fn resent(&mut self, unread: u64) -> Vec<u8> {
            let from = self.window.relink(unread).from;
            self.window.frames_from(from).flat_map(|f| f.bytes().to_vec()).collect()
        }
    }

    #[test]
    fn an_acknowledgement_inside_a_frame_settles_the_frames_before_it() {
        let mut bench = Bench::new(0);
        bench.push(&[10, 10, 10]);
        bench.settle(25);
        assert_eq!(bench.window.reported(), 25, "the next wait is for more than this");
        assert_eq!(bench.cursor(), 2);
        assert_eq!(bench.window.outstanding(), 10);
        assert_eq!(bench.resent(0), vec![3; 10], "resent from the first whole frame");
    }

    #[test]
    fn a_replay_reaches_back_as_far_as_frames_are_kept_and_counts_nothing_twice() {
        let mut bench = Bench::new(20);
        bench.push(&[10]);
        bench.push(&[10, 10]);
        bench.push(&[10]);
        bench.settle(30);
        assert_eq!(bench.window.relink(30).doubtful, 10, "the first frame is not kept");
        let resent = bench.resent(1_000);
        assert_eq!(resent, [vec![2; 10], vec![3; 10], vec![4; 10]].concat());
        bench.settle(30);
        assert_eq!(bench.cursor(), 4);
        assert_eq!(bench.window.metrics.lines_delivered.get(), 4);
        assert_eq!(bench.window.metrics.lines_in_flight.get(), 0);
    }

    #[test]
    fn a_rejected_frame_is_counted_and_passed() {
        let mut bench = Bench::new(0);
        bench.push(&[10, 10]);
        bench.window.reject_first();
        assert_eq!(bench.cursor(), 1);
        assert_eq!(bench.window.metrics.lines_dropped(), 1);
        assert_eq!(bench.resent(0), vec![2; 10]);
    }

    #[derive(Debug, Clone)]
    enum Action {
        Push(Vec<usize>),
        Settle(u64),
        Break(u64),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            prop::collection::vec(1..40_usize, 1..6).prop_map(Action::Push),
            (0..200_u64).prop_map(Action::Settle),
            (0..100_u64).prop_map(Action::Break),
        ]
    }

    proptest! {
        // Against a flat model: whatever is acknowledged and broken, what is sent again starts at
        // a frame, ends with the last one, and misses none that is not acknowledged.
        #[test]
        fn nothing_unacknowledged_is_ever_missing(actions in prop::collection::vec(action(), 1..40)) {
            let mut bench = Bench::new(50);
            let mut flat: Vec<u8> = Vec::new();
            let mut ends = vec![0_u64];
            let (mut base, mut acked, mut best) = (0_u64, 0_u64, 0_u64);
            for action in actions {
                match action {
                    Action::Push(sizes) => {
                        bench.push(&sizes);
                        for size in sizes {
                            let tag = u8::try_from(ends.len() % 251).unwrap();
                            flat.extend(std::iter::repeat_n(tag, size));
                            ends.push(flat.len() as u64);
                        }
                    }
                    Action::Settle(more) => {
                        acked = (acked + more).min(flat.len() as u64 - base);
                        bench.settle(acked);
                        best = best.max(base + acked);
                    }
                    Action::Break(unread) => {
                        let resent = bench.resent(unread);
                        base = flat.len() as u64 - resent.len() as u64;
                        prop_assert!(ends.contains(&base), "starts inside a frame");
                        prop_assert!(base + unread <= base + acked + unread && flat.ends_with(&resent));
                        acked = 0;
                    }
                }
                let settled = ends.iter().filter(|end| **end <= best).count() - 1;
                prop_assert_eq!(bench.cursor(), i64::try_from(settled).unwrap());
                prop_assert_eq!(bench.window.metrics.lines_delivered.get(), settled as u64);
            }
        }
    }
}
