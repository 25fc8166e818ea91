//! Follows one container's log for one destination: opens the stream where the last one ended,
//! feeds the lane, opens it again. Never drops a line and never asks who else follows.
//!
//! A stream that ends means nothing by itself: a proxy may have cut it. Only a container that has
//! stopped and whose last record was taken is read to its end.

mod file;
mod judge;
mod limit;
mod shared;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::engine::EngineError;
use super::files::Files;
use super::following::Following;
use super::position::Position;
use super::tracked::{Seen, Tracked};
use crate::assemble::Assembler;
use crate::backoff::Backoff;
use crate::lane::Lane;
use crate::metrics::containers::{Tally, Way};
use crate::record::{Chunk, ChunkBuilder, Container, Edge, FileId, Stream, Timestamp};
use crate::source::{Intake, passed};
use limit::Limit;
use shared::Followed;
pub(super) use shared::Shared;

/// First and longest pause between two streams of one log.
const REOPEN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A stream that lived this long ended for a reason of its own.
const HEALTHY_AFTER: Duration = Duration::from_secs(5);
/// Without room in the lane for this long, the stream is closed and opened again later: a parked
/// one costs the engine up to 90 MB.
const PARK_AFTER: Duration = Duration::from_secs(5);
/// The engine writes every record by itself. On a busy stream a short pause lets some hundreds of
/// them gather, which are then read at once; on a quiet one there is no pause.
const GATHER: Duration = Duration::from_millis(1);
/// Reads that follow each other faster than this make a stream busy.
const BUSY_WITHIN: Duration = Duration::from_millis(3);

/// How much of a log to ask for. A short tail is a hundred times cheaper for the engine than
/// `since`, which reads the whole log; if it does not reach back far enough, the next is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Tail(u32),
    Since,
}

const REACHES: [Reach; 4] = [Reach::Tail(2), Reach::Tail(100), Reach::Tail(5_000), Reach::Since];

/// Why a stream is no longer read.
#[derive(Debug)]
pub(super) enum End {
    /// It ended; whether the log did is to be found out.
    Stream,
    /// It broke, or could not be opened.
    Broken(String),
    /// Its first record lies behind the position: ask for more.
    TooShort,
    /// The destination takes no more for now.
    Parked,
    /// It brought nothing, and the log has more.
    Stalled,
    /// There is no such container any more.
    Gone,
    /// The log driver cannot be read.
    NotReadable,
    /// The agent is stopping.
    Stopping,
    /// The container has stopped, and its files were read to their end.
    Stopped,
    /// The destination does not want these lines.
    Unwanted,
    /// The files cannot be read, or not any more.
    Files(io::Error),
}

/// Why a follower has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing more will come.
    Done,
    /// The destination does not want these lines, for now.
    Unwanted,
}

/// One container, one destination.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) tracked: Arc<Tracked>,
    pub(super) intake: Intake,
    max_line_bytes: usize,
    tally: Arc<Tally>,
    /// As what its lines were wanted last, which is as what they are sent; `None` before that.
    judged: Option<Arc<Container>>,
    over: Over,
    limit: Option<Box<Limit>>,
    pub(super) seen: watch::Receiver<Seen>,
    pub(super) lane: Lane,
    position: Position,
    pub(super) assembler: Assembler,
    pub(super) builder: ChunkBuilder,
    /// Bytes that the lane is charged for lines whose end was not read yet.
    held: usize,
    reach: usize,
    /// A new record came since the last look.
    progressed: bool,
    /// The file that is read, once its first record was seen.
    from_file: Option<FileId>,
    /// The engine is asked until the container has started more often than this.
    engine_until: Option<u64>,
    backoff: Backoff,
}

impl Follower {
    /// Starts where `lane` is in the log: behind what was read by an earlier follower, or settled
    /// by an earlier run of the agent.
    pub(super) fn new(following: &Following, lane: Lane, assembler: Assembler) -> Self {
        let Following { shared, tracked, intake, tally, max_line_bytes, .. } = following;
        Self {
            seen: tracked.subscribe(),
            judged: None,
            over: Over::Done,
            limit: None,
            position: Position::starting(lane.settled().read()),
            // A container that is new has a short log, and may be gone before it can be asked
            // for more of it.
            reach: if tracked.is_new() { REACHES.len() - 1 } else { 0 },
            progressed: false,
            from_file: None,
            engine_until: None,
            assembler,
            builder: ChunkBuilder::default(),
            held: 0,
            backoff: Backoff::new(REOPEN.0, REOPEN.1),
            shared: shared.clone(),
            tracked: tracked.clone(),
            intake: intake.clone(),
            tally: tally.clone(),
            max_line_bytes: *max_line_bytes,
            lane,
        }
    }

    /// Has the survey know how the log is read.
    pub(super) fn reads_by(&self, way: Way) {
        if let Some(seat) = self.intake.seat() {
            self.shared.survey.read_by(&self.tracked.id, seat, way);
        }
    }

    /// Follows until the container is gone or the agent stops.
    pub(super) async fn run(mut self) -> Over {
        let _followed = Followed::new(&self.shared);
        let stop = self.shared.stop.clone();
        tokio::select! {
            () = self.follow_over_rewinds() => {}
            () = stop.draining() => {}
        }
        self.give_records();
        self.over
    }

    async fn follow_over_rewinds(&mut self) {
        let rewinds = self.lane.rewinds();
        loop {
            let to = tokio::select! {
                biased;
                to = rewinds.next() => to,
                () = self.follow() => match self.lane.end() {
                    Some(to) => to,
                    None => return,
                },
            };
            self.position = Position::starting(to);
            self.assembler = self.assembler.anew();
            self.builder = ChunkBuilder::default();
            self.charge();
            self.reach = 0;
            self.shared.metrics.logs_rewound.inc();
            tracing::debug!(container = %self.tracked.id, "reading again from further back");
        }
    }

    // Calls that are rare and large are boxed, here and in `stream`: a follower waits for years,
    // and must not hold room for them meanwhile.
    async fn follow(&mut self) {
        loop {
            let starts = self.seen.borrow_and_update().starts;
            let opened = Instant::now();
            let end = match self.files(starts) {
                Some(files) => self.read_files(files).await,
                None => self.stream().await,
            };
            self.hand_over();
            if opened.elapsed() >= HEALTHY_AFTER {
                self.backoff.reset();
            }
            if !self.goes_on(end, starts).await {
                return;
            }
        }
    }

    /// What to do after `end`; false once there is nothing more to come.
    async fn goes_on(&mut self, end: End, starts: u64) -> bool {
        match end {
            End::Stopping => {
                self.give_records();
                return false;
            }
            End::TooShort => self.reach = (self.reach + 1).min(REACHES.len() - 1),
            End::Parked => {
                self.reach = 0;
                self.lane.room().await;
            }
            End::Gone => {
                self.finish();
                return false;
            }
            End::Unwanted => return self.goes_without(),
            End::Stopped => {
                self.finish();
                return self.started_again(starts).await;
            }
            End::Files(error) => {
                self.engine_until = Some(starts);
                self.reach = 0;
                self.shared.say_unreadable(&error);
                tracing::debug!(container = %self.tracked.id, %error, "no file; asking Docker");
            }
            End::NotReadable => return Box::pin(self.attach()).await,
            End::Stalled => {
                self.shared.metrics.streams_stalled.inc();
                tracing::debug!(container = %self.tracked.id, "a log stream had stalled");
                self.reach = 0;
            }
            End::Broken(why) => {
                tracing::debug!(container = %self.tracked.id, why, "log stream broke");
                self.pause().await;
            }
            End::Stream if self.is_mid_line() => self.pause().await,
            End::Stream => return self.stream_ended(starts).await,
        }
        true
    }

    /// The destination does not want these lines; false, for nothing is to be read.
    pub(super) fn goes_without(&mut self) -> bool {
        // What is held was printed while it was wanted.
        self.finish();
        self.lane.unwanted();
        self.over = Over::Unwanted;
        false
    }

    async fn stream_ended(&mut self, starts: u64) -> bool {
        let (shared, position) = (&self.shared, &self.position);
        match Box::pin(self.tracked.is_read_to_end(shared, position)).await {
            Ok(true) => {
                self.finish();
                if !self.started_again(starts).await {
                    return false;
                }
            }
            Ok(false) => self.shared.metrics.streams_cut.inc(),
            Err(EngineError::NotFound { .. }) => {
                self.finish();
                return false;
            }
            Err(_) => {}
        }
        // A crash loop is followed at its own pace, but not faster.
        self.pause().await;
        true
    }

    // The log's files, unless the engine is to be asked.
    fn files(&self, starts: u64) -> Option<Files> {
        if self.engine_until.is_some_and(|until| starts <= until) {
            return None;
        }
        let containers = self.shared.containers_dir.borrow();
        containers.as_ref().map(|containers| Files::of(containers, &self.tracked.id))
    }

    // A stream that ends inside a long line was probably cut. If the next one brings nothing new,
    // the line has no end.
    fn is_mid_line(&mut self) -> bool {
        let progressed = std::mem::take(&mut self.progressed);
        progressed && self.open_lines().next().is_some()
    }

    fn open_lines(&self) -> impl Iterator<Item = Timestamp> {
        let streams = [Stream::Stdout, Stream::Stderr].into_iter();
        streams.filter_map(|stream| self.assembler.open_since(stream))
    }

    pub(super) fn hand_over(&mut self) {
        self.charge();
        if let Some(chunk) = self.chunk() {
            self.lane.push(chunk);
        }
    }

    /// Charges what is held, or gives it out if that is too much.
    pub(super) fn charge(&mut self) {
        let held = self.assembler.held_bytes();
        if held == std::mem::replace(&mut self.held, held) {
            return;
        }
        if !self.lane.hold(held) {
            self.shared.metrics.lines_split.inc_by(self.assembler.give_out(&mut self.builder));
            self.lane.hold(0);
            self.held = 0;
        }
        self.shared.metrics.records_cut.inc_by(self.assembler.take_cut());
    }

    /// When the next open record is complete if no line comes. To be asked when there is nothing
    /// to read: only then a line that does not come is one that was not printed.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        if self.assembler.has_record() { self.assembler.deadline(Instant::now()) } else { None }
    }

    /// Hands over the records that are complete by now.
    fn give_due(&mut self) {
        self.assembler.give_due(Instant::now(), &mut self.builder);
        self.hand_over();
    }

    // Nothing is to be waited for.
    fn give_records(&mut self) {
        self.assembler.give_records(&mut self.builder);
        self.hand_over();
    }

    pub(super) fn chunk(&mut self) -> Option<Chunk> {
        let mut chunk = self.builder.take(&self.container())?;
        chunk.edge = Edge { open: self.assembler.holds_from(), file: self.from_file };
        self.tally.count(chunk.lines().len() as u64, chunk.text_bytes() as u64);
        match &mut self.limit {
            Some(limit) => limit.pass(chunk, &self.lane),
            None => Some(chunk),
        }
    }

    /// The log has ended, or is not wanted any more: nothing will complete what is held.
    fn finish(&mut self) {
        self.assembler.flush(&mut self.builder);
        self.hand_over();
        let container = self.container();
        if let Some(limit) = &mut self.limit {
            limit.announce(&self.lane, &container);
        }
        self.lane.ended();
    }

    fn container(&self) -> Arc<Container> {
        self.judged.clone().unwrap_or_else(|| self.seen.borrow().container.clone())
    }

    /// Waits for the next start; false once the container is gone for good.
    async fn started_again(&mut self, starts: u64) -> bool {
        let seen = self.seen.wait_for(|seen| seen.gone || seen.starts > starts).await;
        seen.is_ok_and(|seen| !seen.gone)
    }

    /// Waits before the next attempt, and for the engine if it is away.
    pub(super) async fn pause(&mut self) {
        self.reach = 0;
        let delay = self.backoff.next_delay();
        let mut up = self.shared.engine_up.clone();
        let mut over = Box::pin(async move {
            tokio::time::sleep(delay).await;
            // Discovery holds the sender as long as there are followers.
            drop(up.wait_for(|up| *up).await);
        });
        loop {
            tokio::select! {
                biased;
                () = &mut over => return,
                () = passed(self.deadline()) => self.give_due(),
            }
        }
    }
}
