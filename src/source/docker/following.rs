//! One container and one destination, from the first that is heard of it to its end: waits until
//! the destination wants its lines, has them followed, and once more after a new name. Never reads.

use std::sync::Arc;

use super::engine::{EngineError, LogQuery, Read};
use super::follower::{Follower, Over, Shared};
use super::frames::{Decoded, Frames};
use super::tracked::Tracked;
use crate::lane::Lane;
use crate::metrics::containers::{Tally, Way};
use crate::record::Timestamp;
use crate::select::Verdict;
use crate::source::Intake;

/// What is wanted of a log in which the destination never was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// All of it: the container is new.
    Whole,
    /// All of it, or its last lines where the operator bounds that.
    Backlog,
    /// Nothing that was printed before.
    From(Timestamp),
}

/// What it takes to follow one container for one destination.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) shared: Arc<Shared>,
    pub(super) tracked: Arc<Tracked>,
    pub(super) intake: Intake,
    pub(super) first: First,
    pub(super) tally: Arc<Tally>,
    pub(super) max_line_bytes: usize,
}

impl Following {
    /// Until the container or the destination is gone, or the agent stops.
    pub(super) async fn run(self) {
        let intake = self.intake.clone();
        tokio::select! {
            () = self.follow() => {}
            () = intake.closed() => {}
        }
        if let Some(seat) = intake.seat() {
            self.shared.survey.read_by(&self.tracked.id, seat, Way::Pending);
        }
    }

    async fn follow(&self) {
        let mut was_unwanted = false;
        loop {
            // A follower itself has something to do at the end.
            let lane = tokio::select! {
                lane = self.lane(&mut was_unwanted) => lane,
                () = self.shared.stop.draining() => None,
            };
            let Some(lane) = lane else { return };
            let assembler = self.intake.assembler(&self.tracked.container(), self.max_line_bytes).0;
            match Follower::new(self, lane, assembler).run().await {
                Over::Done => return,
                Over::Unwanted => was_unwanted = true,
            }
        }
    }

    /// A lane once the destination may want the container's lines; `None` if it never will.
    async fn lane(&self, was_unwanted: &mut bool) -> Option<Lane> {
        if !self.wanted(was_unwanted).await {
            return None;
        }
        // One that is made anew after a panic goes on where the lane was.
        Some(Box::pin(self.open(*was_unwanted)).await)
    }

    /// Waits until the destination may want the container's lines; false once it is gone.
    async fn wanted(&self, was_unwanted: &mut bool) -> bool {
        let mut seen = self.tracked.subscribe();
        loop {
            let (container, gone) = {
                let seen = seen.borrow_and_update();
                (seen.container.clone(), seen.gone)
            };
            if gone {
                return false;
            }
            match self.intake.verdict(&container) {
                Verdict::Ship(_) | Verdict::Unknown => return true,
                Verdict::Skip(reason) => {
                    *was_unwanted = true;
                    self.tracked.say_skipped(&self.shared, &self.intake, &reason);
                    self.tracked.say_problems(&self.shared, &self.intake.problems(&container));
                }
            }
            if seen.changed().await.is_err() {
                return false;
            }
        }
    }

    async fn open(&self, was_unwanted: bool) -> Lane {
        let container = self.tracked.container();
        if was_unwanted {
            return self.intake.open_at(&container, self.tracked.named_at());
        }
        let first = match self.first {
            First::Whole => None,
            First::From(since) => Some(since),
            First::Backlog => match self.shared.settings.tail {
                Some(records) if !self.intake.knows(&container.id) => self.tail(records).await,
                _ => None,
            },
        };
        self.intake.open(&container, first)
    }

    /// The stamp of the first of a log's last records; that of now if there is none, nothing if the
    /// engine does not tell.
    async fn tail(&self, records: u32) -> Option<Timestamp> {
        if records == 0 {
            return Some(Timestamp::now());
        }
        let (mut frames, mut first) = (Frames::default(), None);
        let query = LogQuery { follow: false, since: None, tail: Some(records) };
        let asked = async {
            let _permit = self.shared.opening.acquire().await.ok();
            let mut stream = self.shared.engine.logs(&self.tracked.id, query).await?;
            let mut take = |decoded: Decoded<'_>| {
                if let Decoded::Record { time, .. } = decoded {
                    first.get_or_insert(time);
                }
            };
            // What is missing at the end does not matter.
            while let Ok(Read::Data(_)) = stream
                .read(&mut |bytes: &[u8]| {
                    frames.push(bytes, &mut take).ok();
                })
                .await
            {}
            frames.finish(take);
            Ok::<(), EngineError>(())
        };
        match asked.await {
            Ok(()) => Some(first.unwrap_or_else(Timestamp::now)),
            Err(error) => {
                tracing::debug!(container = %self.tracked.id, %error, "cannot ask for its last lines");
                None
            }
        }
    }
}
