//! One stream of a log, from its opening to its end: how far back to ask for, what to take of what
//! comes, and when to stop.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{BUSY_WITHIN, End, Follower, GATHER, PARK_AFTER, REACHES, Reach};
use crate::assemble::Piece;
use crate::metrics::containers::Way;
use crate::record::{Loss, LossReason, Place, Span, Timestamp};
use crate::source::docker::engine::{EngineError, LogQuery, LogStream, Read};
use crate::source::docker::frames::{Decoded, Frames};
use crate::source::docker::position::Admission;
use crate::source::docker::silence::Ear;
use crate::source::passed;

impl Follower {
    /// Reads one stream until it ends.
    pub(super) async fn stream(&mut self) -> End {
        // Before the query is made: whether stamps tell what is new decides how much to ask for.
        self.position.reopened(Timestamp::now());
        let mut stream = match Box::pin(self.open()).await {
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
        // The stream was opened first: one that removes itself may be gone by now.
        if !self.is_judged()
            && let Some(end) = Box::pin(self.judge()).await
        {
            return end;
        }
        self.reads_by(Way::Api);
        let mut reading = Reading::new(self.must_reach_back());
        let shared = self.shared.clone();
        let ear = shared.silence.listen();
        loop {
            if let Some(end) = self.readable(&mut stream, &ear).await {
                return end;
            }
            if !self.is_judged()
                && let Some(end) = Box::pin(self.judge()).await
            {
                return end;
            }
            self.assembler.cut_anywhere(shared.cuts_anywhere.load(Ordering::Relaxed));
            let read = self.read(&mut stream, &mut reading).await;
            match (read, reading.end.take()) {
                (_, Some(end)) => return end,
                (Ok(Read::Data(bytes)), None) => ear.heard(bytes),
                (Ok(Read::End { .. }), None) => return End::Stream,
                (Err(error), None) => return End::Broken(error.to_string()),
            }
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
            let deadline = self.deadline();
            tokio::select! {
                biased;
                readable = stream.readable() => match readable {
                    Ok(()) => break,
                    Err(error) => return Some(End::Broken(error.to_string())),
                },
                () = passed(deadline) => self.give_due(),
                () = ear.silent() => {
                    if Box::pin(self.tracked.has_more(&self.shared, &self.position)).await {
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
        match self.reach() {
            Reach::Tail(records) => LogQuery { tail: Some(records), ..all },
            Reach::Since if self.shared.since_skips.load(Ordering::Relaxed) => all,
            Reach::Since => LogQuery { since: self.position.since(self.open_lines()), ..all },
        }
    }

    fn must_reach_back(&self) -> bool {
        let all = self.position.is_start() || self.position.is_seeking();
        !all && self.reach() != Reach::Since
    }

    fn reach(&self) -> Reach {
        // Podman miscounts the end of a log in which lines were cut.
        let miscounts = self.shared.cuts_anywhere.load(Ordering::Relaxed);
        let reach = REACHES.get(self.reach).filter(|_| !miscounts);
        reach.copied().unwrap_or(Reach::Since)
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
        let keeps = self.shared.settings.keep_carriage_returns;
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
                assembler.strip_carriage_returns(terminal && !keeps);
                match position.admit(stream, time, text, now) {
                    Admission::New(mark) => {
                        *progressed = true;
                        let span = Span::default();
                        let piece = Piece { place: Place { time, stream, mark, span }, text };
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
