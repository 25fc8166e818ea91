//! Follows one container's log for one destination: opens the stream where the last one ended,
//! feeds the lane, opens it again. Never drops a line and never asks who else follows.
//!
//! A stream that ends means nothing by itself: a proxy may have cut it. Only a container that has
//! stopped and whose last record was taken is read to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::Settings;
use super::engine::{Engine, EngineError, LogQuery, LogStream, Read};
use super::frames::{Decoded, Frames};
use super::position::{Admission, Position};
use super::silence::{Ear, Silence};
use super::tracked::{Seen, Tracked};
use crate::assemble::{Assembler, Piece};
use crate::backoff::Backoff;
use crate::lane::Lane;
use crate::metrics::SourceMetrics;
use crate::record::{Chunk, ChunkBuilder, Loss, LossReason, Place, Stream, Timestamp};
use crate::shutdown::Stop;

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

/// What all followers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) settings: Settings,
    pub(super) metrics: SourceMetrics,
    pub(super) stop: Stop,
    /// How many logs may be opened at the same moment.
    pub(super) opening: Semaphore,
    /// True while the engine answers.
    pub(super) engine_up: watch::Receiver<bool>,
    /// The engine skips compressed rotated files when asked for `since` (up to 20.10).
    pub(super) since_skips: AtomicBool,
    /// Who listens, and since when without hearing anything.
    pub(super) silence: Silence,
}

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
enum End {
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
}

/// One container, one destination.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) tracked: Arc<Tracked>,
    pub(super) seen: watch::Receiver<Seen>,
    pub(super) lane: Lane,
    position: Position,
    pub(super) assembler: Assembler,
    pub(super) builder: ChunkBuilder,
    reach: usize,
    /// A new record came since the last look.
    progressed: bool,
    backoff: Backoff,
}

impl Follower {
    /// Starts where `lane` is in the log: behind what was read by an earlier follower, or settled
    /// by an earlier run of the agent.
    pub(super) fn new(
        shared: Arc<Shared>,
        tracked: Arc<Tracked>,
        lane: Lane,
        max_line_bytes: usize,
    ) -> Self {
        Self {
            seen: tracked.subscribe(),
            position: Position::starting(lane.settled().read()),
            // A container that is new has a short log, and may be gone before it can be asked
            // for more of it.
            reach: if tracked.is_new() { REACHES.len() - 1 } else { 0 },
            progressed: false,
            assembler: Assembler::new(max_line_bytes),
            builder: ChunkBuilder::default(),
            backoff: Backoff::new(REOPEN.0, REOPEN.1),
            shared,
            tracked,
            lane,
        }
    }

    /// Follows until the container is gone or the agent stops.
    pub(super) async fn run(mut self) {
        self.shared.metrics.followers.inc();
        let stop = self.shared.stop.clone();
        tokio::select! {
            () = self.follow_over_rewinds() => {}
            () = stop.draining() => {}
        }
        self.hand_over();
        self.shared.metrics.followers.dec();
    }

    async fn follow_over_rewinds(&mut self) {
        let rewinds = self.lane.rewinds();
        loop {
            let to = tokio::select! {
                biased;
                to = rewinds.next() => to,
                () = self.follow() => return,
            };
            self.position = Position::starting(to);
            self.assembler = self.assembler.anew();
            self.builder = ChunkBuilder::default();
            self.lane.hold(0);
            self.reach = 0;
            self.shared.metrics.logs_rewound.inc();
            tracing::debug!(container = %self.tracked.id, "reading again from further back");
        }
    }

    async fn follow(&mut self) {
        loop {
            let starts = self.seen.borrow_and_update().starts;
            let opened = Instant::now();
            let end = self.stream().await;
            self.hand_over();
            if opened.elapsed() >= HEALTHY_AFTER {
                self.backoff.reset();
            }
            match end {
                End::Stopping => return,
                End::TooShort => self.reach = (self.reach + 1).min(REACHES.len() - 1),
                End::Parked => {
                    self.reach = 0;
                    self.lane.room().await;
                }
                End::Gone => {
                    self.finish();
                    return;
                }
                End::NotReadable => {
                    if !self.attach().await {
                        return;
                    }
                }
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
                End::Stream => {
                    match self.tracked.is_read_to_end(&self.shared, &self.position).await {
                        Ok(true) => {
                            self.finish();
                            if !self.started_again(starts).await {
                                return;
                            }
                            // A crash loop is followed at its own pace, but not faster.
                            self.pause().await;
                        }
                        Ok(false) => {
                            self.shared.metrics.streams_cut.inc();
                            self.pause().await;
                        }
                        Err(EngineError::NotFound { .. }) => {
                            self.finish();
                            return;
                        }
                        Err(_) => self.pause().await,
                    }
                }
            }
        }
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

    /// Reads one stream until it ends.
    async fn stream(&mut self) -> End {
        // Before the query is made: whether stamps tell what is new decides how much to ask for.
        self.position.reopened(Timestamp::now());
        let mut stream = match self.open().await {
            Ok(stream) => stream,
            Err(EngineError::NotFound { .. }) => {
                if self.position.is_start() {
                    self.shared.metrics.containers_missed.inc();
                }
                return End::Gone;
            }
            Err(EngineError::NotReadable { .. }) => return End::NotReadable,
            Err(error) => return End::Broken(error.to_string()),
        };
        if self.tracked.is_skipped(&self.shared).await {
            return End::Gone;
        }
        let mut reading = Reading::new(self.must_reach_back());
        let shared = self.shared.clone();
        let ear = shared.silence.listen();
        loop {
            if let Some(end) = self.readable(&mut stream, &ear).await {
                return end;
            }
            let read = self.read(&mut stream, &mut reading).await;
            match (read, reading.end.take()) {
                (_, Some(end)) => return end,
                (Ok(Read::Data(_)), None) => {}
                (Ok(Read::End { .. }), None) => return End::Stream,
                (Err(error), None) => return End::Broken(error.to_string()),
            }
            ear.heard();
            self.hand_over();
            if self.shared.stop.is_draining() {
                return End::Stopping;
            }
            if reading.is_busy()
                && let Err(error) = stream.rest(GATHER).await
            {
                return End::Broken(error.to_string());
            }
        }
    }

    /// Waits until there is something to read and room for it; else says why not.
    async fn readable(&mut self, stream: &mut LogStream, ear: &Ear<'_>) -> Option<End> {
        loop {
            tokio::select! {
                biased;
                readable = stream.readable() => match readable {
                    Ok(()) => break,
                    Err(error) => return Some(End::Broken(error.to_string())),
                },
                () = ear.silent() => {
                    if self.tracked.has_more(&self.shared, &self.position).await {
                        return Some(End::Stalled);
                    }
                }
            }
        }
        if self.lane.has_room() {
            return None;
        }
        let room = tokio::time::timeout(PARK_AFTER, self.lane.room()).await;
        room.is_err().then_some(End::Parked)
    }

    async fn open(&mut self) -> Result<LogStream, EngineError> {
        // The set of permits is never closed.
        let _permit = self.shared.opening.acquire().await.ok();
        let query = self.query();
        self.shared.metrics.streams_opened.inc();
        self.shared.engine.logs(&self.tracked.id, query).await
    }

    fn query(&self) -> LogQuery {
        let all = LogQuery { follow: true, since: None, tail: None };
        if self.position.is_start() || self.position.is_seeking() {
            return all;
        }
        match REACHES.get(self.reach).copied().unwrap_or(Reach::Since) {
            Reach::Tail(records) => LogQuery { tail: Some(records), ..all },
            Reach::Since if self.shared.since_skips.load(Ordering::Relaxed) => all,
            Reach::Since => LogQuery { since: self.position.since(self.open_lines()), ..all },
        }
    }

    fn must_reach_back(&self) -> bool {
        let all = self.position.is_start() || self.position.is_seeking();
        !all && REACHES.get(self.reach).is_some_and(|r| *r != Reach::Since)
    }

    /// One read: decodes, admits and assembles what came.
    async fn read(
        &mut self,
        stream: &mut LogStream,
        reading: &mut Reading,
    ) -> std::io::Result<Read> {
        // Taken once there is something to stamp: a time from before the wait would make every
        // record seem to come from the future.
        let mut arrival = None;
        let Self { position, assembler, builder, shared, progressed, lane, seen, .. } = self;
        let Reading { frames, end, first, must_reach_back, .. } = reading;
        let mut take = |decoded: Decoded<'_>| match decoded {
            // What comes behind a gap must not be taken: it will come again.
            Decoded::Record { .. } if end.is_some() => {}
            Decoded::Record { stream, time, text, terminal } => {
                let now = *arrival.get_or_insert_with(Timestamp::now);
                let open = assembler.open_since(stream).is_some();
                if *must_reach_back && position.needs_more(stream, time, now, open) {
                    *end = Some(End::TooShort);
                    return;
                }
                if std::mem::take(first)
                    && !*must_reach_back
                    && let Some((from, to)) = position.gap(stream, time, now)
                {
                    let reason = LossReason::Rotated;
                    let loss = Loss { counted: None, from, to, reason };
                    lane.announce(&loss, &seen.borrow().container);
                }
                assembler.strip_carriage_returns(terminal);
                match position.admit(stream, time, now) {
                    Admission::New(mark) => {
                        *progressed = true;
                        let piece = Piece { place: Place { time, stream, mark }, text };
                        shared.metrics.lines_split.inc_by(assembler.piece(piece, builder));
                    }
                    Admission::Repeated => shared.metrics.pieces_repeated.inc(),
                    Admission::TooOld => {}
                }
            }
            Decoded::EngineError(why) => {
                *end = Some(End::Broken(String::from_utf8_lossy(why).trim().to_owned()));
            }
            Decoded::Garbled(bytes) => shared.metrics.bytes_garbled.inc_by(bytes as u64),
        };
        let mut broken = false;
        let read = stream
            .read(&mut |bytes: &[u8]| {
                if !broken && frames.push(bytes, &mut take).is_err() {
                    broken = true;
                }
            })
            .await;
        if matches!(read, Ok(Read::End { .. })) {
            frames.finish(take);
        }
        if broken {
            shared.metrics.bytes_garbled.inc();
            *end = Some(End::Broken("a header that is none; reading again".into()));
        }
        read
    }

    pub(super) fn hand_over(&mut self) {
        if !self.lane.hold(self.assembler.held_bytes()) {
            self.shared.metrics.lines_split.inc_by(self.assembler.give_out(&mut self.builder));
            self.lane.hold(0);
        }
        if let Some(chunk) = self.chunk() {
            self.lane.push(chunk);
        }
    }

    pub(super) fn chunk(&mut self) -> Option<Chunk> {
        let mut chunk = self.builder.take(&self.seen.borrow().container)?;
        chunk.open = self.open_lines().min();
        Some(chunk)
    }

    /// The log has ended: nothing will complete what is held.
    fn finish(&mut self) {
        self.assembler.flush(&mut self.builder);
        self.hand_over();
        self.lane.ended();
    }

    /// Waits for the next start; false once the container is gone for good.
    async fn started_again(&mut self, starts: u64) -> bool {
        let seen = self.seen.wait_for(|seen| seen.gone || seen.starts > starts).await;
        seen.is_ok_and(|seen| !seen.gone)
    }

    /// Waits before the next attempt, and for the engine if it is away.
    pub(super) async fn pause(&mut self) {
        self.reach = 0;
        tokio::time::sleep(self.backoff.next_delay()).await;
        let mut up = self.shared.engine_up.clone();
        // Discovery holds the sender as long as there are followers.
        drop(up.wait_for(|up| *up).await);
    }
}

/// What is known of the stream being read.
struct Reading {
    frames: Frames,
    end: Option<End>,
    /// No record came yet.
    first: bool,
    must_reach_back: bool,
    last: Instant,
}

impl Reading {
    fn new(must_reach_back: bool) -> Self {
        let frames = Frames::default();
        Self { frames, end: None, first: true, must_reach_back, last: Instant::now() }
    }

    /// Whether this read came shortly after the last one.
    fn is_busy(&mut self) -> bool {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.last, now)) < BUSY_WITHIN
    }
}
