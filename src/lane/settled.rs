//! How far one destination is in one log: read, sent, acknowledged. Never decides anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;
use crate::record::{Cursor, Edge, Line, Resume, Timestamp};

/// A destination's cursors in one container's log. Lives as long as either a lane or a checkpoint
/// needs it.
#[derive(Debug)]
pub struct Settled {
    floor: Option<Timestamp>,
    progress: Mutex<Progress>,
    returns: AtomicBool,
    gone: AtomicBool,
    /// Shared by all of a destination: something is new for its checkpoint.
    moved: Arc<Moved>,
}

/// Whether something is new for a checkpoint, and who waits for that.
#[derive(Debug)]
pub(super) struct Moved {
    since: AtomicBool,
    told: Notify,
}

#[derive(Debug)]
struct Progress {
    lane: u64,
    /// The stamp of the first line that was read and is not acknowledged, or of one before it.
    oldest: Option<Timestamp>,
    read: Cursor,
    sent: Cursor,
    acknowledged: Cursor,
}

impl Moved {
    /// Something is new.
    pub(super) fn new() -> Self {
        let moved = Self { since: AtomicBool::new(false), told: Notify::new() };
        moved.set();
        moved
    }

    /// Whether there was something since the last call.
    pub(super) fn take(&self) -> bool {
        self.since.swap(false, Ordering::Relaxed)
    }

    /// Waits until there is something.
    pub(super) async fn wait(&self) {
        while !self.since.load(Ordering::Relaxed) {
            self.told.notified().await;
        }
    }

    // Called for each stretch that is acknowledged: mostly there is nothing to write.
    fn set(&self) {
        if !self.since.load(Ordering::Relaxed) && !self.since.swap(true, Ordering::Relaxed) {
            self.told.notify_one();
        }
    }
}

impl Settled {
    pub(super) fn new(resume: Resume, moved: Arc<Moved>) -> Self {
        let Resume { floor, cursor } = resume;
        let progress =
            Progress { lane: 0, oldest: None, read: cursor, sent: cursor, acknowledged: cursor };
        Self {
            floor,
            progress: Mutex::new(progress),
            returns: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            moved,
        }
    }

    /// What a checkpoint keeps: the place up to which everything is acknowledged.
    pub fn kept(&self) -> Resume {
        Resume { floor: self.floor, cursor: self.cursor() }
    }

    /// The place up to which everything is acknowledged.
    pub fn cursor(&self) -> Cursor {
        lock(&self.progress).acknowledged
    }

    /// The place up to which everything was handed over.
    pub fn read(&self) -> Resume {
        Resume { floor: self.floor, cursor: lock(&self.progress).read }
    }

    /// Moves the acknowledged place over `lines`; behind them come `rest`, and then `edge`.
    pub fn advance(&self, lines: &[Line], rest: &[Line], edge: Edge) {
        let mut progress = lock(&self.progress);
        progress.acknowledged.advance_over(lines, rest, edge);
        let next = rest.first().or(lines.last()).map(|line| line.time);
        let caught_up = progress.read == progress.acknowledged;
        progress.oldest = progress.oldest.max(next).filter(|_| !caught_up);
        drop(progress);
        self.touch();
    }

    /// Notes that `lines` are on their way to the peer. Returns the place before them.
    pub fn note_sent(&self, lines: &[Line], edge: Edge) -> Cursor {
        let mut progress = lock(&self.progress);
        let before = progress.sent;
        progress.sent.advance_over(lines, &[], edge);
        before
    }

    /// Whether what was read can be read again: it is in a log, and its container still exists.
    pub fn is_in_log(&self) -> bool {
        self.returns() && !self.is_gone()
    }

    /// Whether it has a log at all.
    pub(super) fn returns(&self) -> bool {
        self.returns.load(Ordering::Relaxed)
    }

    /// Whether the container was removed, and its log with it.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(super) fn gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
        self.touch();
    }

    pub(super) fn never_returns(&self) {
        self.returns.store(false, Ordering::Relaxed);
    }

    pub(super) fn note_read(&self, lines: &[Line], edge: Edge) {
        let mut progress = lock(&self.progress);
        progress.read.advance_over(lines, &[], edge);
        progress.oldest = progress.oldest.or(lines.first().map(|line| line.time));
    }

    /// Goes back: everything behind `to` will be read again. Returns how far it was read before.
    pub(super) fn rewind(&self, to: Cursor) -> Cursor {
        let mut progress = lock(&self.progress);
        let read = progress.read;
        progress.oldest = None;
        progress.read = to;
        progress.sent = to;
        progress.acknowledged = to;
        drop(progress);
        self.touch();
        read
    }

    pub(super) fn lane(&self) -> u64 {
        lock(&self.progress).lane
    }

    pub(super) fn opened(&self, lane: u64) {
        lock(&self.progress).lane = lane;
        self.touch();
    }

    /// When the oldest line was printed that was read and is not acknowledged: never later, and
    /// earlier only by what was acknowledged since.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        lock(&self.progress).oldest
    }

    /// Whether nothing was ever read of it.
    pub(super) fn is_untouched(&self) -> bool {
        lock(&self.progress).read == Cursor::default()
    }

    pub(super) fn is_delivered(&self) -> bool {
        let progress = lock(&self.progress);
        progress.read == progress.acknowledged
    }

    fn touch(&self) {
        self.moved.set();
    }
}
