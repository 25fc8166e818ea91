//! How many lines a container may send: what is over its rate is given up, counted, and announced
//! now and then. Never waits.

use crate::lane::Lane;
use crate::metrics::DropReason;
use crate::record::{Chunk, Container, Loss, LossReason};
use crate::select::{Bucket, Rate};

/// Between two announcements while lines are given up all the time.
const ANNOUNCE_NANOS: i64 = 10_000_000_000;

/// What is left of a container's rate.
#[derive(Debug)]
pub(super) struct Limit {
    bucket: Bucket,
    /// Given up and not announced.
    lost: Option<Loss>,
}

impl Limit {
    pub(super) fn new(rate: Rate) -> Self {
        Self { bucket: Bucket::new(rate), lost: None }
    }

    /// The lines that may go on, if any. Stamps decide, so that a log read again gives the same.
    pub(super) fn pass(&mut self, chunk: Chunk, lane: &Lane) -> Option<Chunk> {
        let container = chunk.container.clone();
        let (kept, over) = chunk.split(|line| self.bucket.admit(line.time));
        let Some(over) = over else {
            self.announce(lane, &container);
            return kept;
        };
        let (lines, bytes) = (over.lines().len() as u64, over.text_bytes() as u64);
        lane.metrics().read(lines, bytes);
        lane.metrics().dropped(DropReason::Rate, lines, bytes);
        if let Some(loss) = Loss::of(&over, LossReason::Rate) {
            let loss = self.lost.take().map_or(loss, |lost| lost.and(loss));
            let is_due = loss.to.nanos() - loss.from.nanos() >= ANNOUNCE_NANOS;
            self.lost = Some(loss);
            if is_due {
                self.announce(lane, &container);
            }
        }
        kept
    }

    /// Says in the stream what was given up.
    pub(super) fn announce(&mut self, lane: &Lane, container: &Container) {
        if let Some(loss) = self.lost.take() {
            lane.tell(&loss, container);
        }
    }
}
