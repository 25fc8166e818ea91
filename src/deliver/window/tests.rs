use proptest::prelude::*;

use std::sync::Arc;

use super::*;
use crate::lane::{Kept, Lane};
use crate::metrics::Metrics;
use crate::record::{Chunk, ChunkBuilder, Container, Mark, Place, Span, Stream, Timestamp};

struct Bench {
    window: Window,
    lanes: Arc<Lanes>,
    lane: Lane,
    next: i64,
    keep: u64,
}

impl Bench {
    fn new(keep: u64) -> Self {
        let metrics = Metrics::new().destination("test");
        let lanes = Lanes::new(1, Kept::default(), metrics.clone());
        let lane = lanes.open(&Container::default(), None);
        Self { window: Window::new(metrics), lanes, lane, next: 0, keep }
    }

    /// A batch of frames of the given sizes; each line is stamped with its number from 1.
    fn push(&mut self, sizes: &[usize]) {
        let mut batch = self.window.empty_batch();
        let mut builder = ChunkBuilder::default();
        for size in sizes {
            self.next += 1;
            let tag = u8::try_from(self.next % 251).unwrap();
            batch.bytes.extend(std::iter::repeat_n(tag, *size));
            batch.ends.push(u32::try_from(batch.bytes.len()).unwrap());
            let time = Timestamp::from_nanos(self.next);
            let mark = Mark { time, pieces: 1 };
            builder.push(
                b"",
                b"",
                Place { time, stream: Stream::Stdout, mark, span: Span::default() },
            );
        }
        let chunk: Chunk = builder.take(&Arc::new(Container::default())).unwrap();
        batch.parts.push(Part::of(chunk, self.lane.settled().clone()));
        self.window.push(batch);
        self.window.metrics.read(sizes.len() as u64, 0);
    }

    fn settle(&mut self, on_link: u64) {
        self.window.settle(on_link);
        self.window.release(Keep { frames: self.keep, places: 1 << 20 });
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
    let resent = bench.resent(1_000);
    assert_eq!(resent, [vec![2; 10], vec![3; 10], vec![4; 10]].concat(), "the first is not kept");
    bench.settle(30);
    assert_eq!(bench.cursor(), 4);
    assert_eq!(bench.window.metrics.lines_delivered(), 4);
    assert_eq!(bench.window.metrics.lines_in_flight(), 0);
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

#[test]
fn what_is_not_kept_is_read_again_and_let_go_here() {
    let mut bench = Bench::new(20);
    for _ in 0..4 {
        bench.push(&[10, 10]);
    }
    bench.settle(75);
    assert_eq!(bench.window.rewind(20, 1 << 20, &bench.lanes), 0, "the kept frames suffice");
    assert_eq!(bench.window.rewind(70, 60, &bench.lanes), 10, "no further back than allowed");
    assert_eq!(bench.cursor(), 0, "places are noted at some distance");
    assert_eq!(bench.window.outstanding(), 0);
    assert_eq!(bench.resent(75), vec![0; 0], "all of it comes from the log again");
    assert_eq!(bench.window.metrics.lines_in_flight(), 1, "seven were delivered");
}

#[test]
fn of_a_log_that_cannot_be_read_again_what_is_kept_is_sent() {
    let mut bench = Bench::new(20);
    bench.lane.never_returns();
    for _ in 0..4 {
        bench.push(&[10, 10]);
    }
    bench.settle(75);
    assert_eq!(bench.window.rewind(75, 1 << 20, &bench.lanes), 40);
    assert_eq!(bench.cursor(), 7);
    assert_eq!(bench.resent(75).len(), 40);
    bench.settle(40);
    assert_eq!(bench.cursor(), 8);
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
            prop_assert_eq!(bench.window.metrics.lines_delivered(), settled as u64);
        }
    }
}
