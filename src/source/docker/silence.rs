//! Finds the log streams that bring nothing: a stream can stall without an error, and then only
//! asking the engine tells. One clock for all of them; a stream that is silent has no timer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the streams are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Streams that are asked about within one look, at most. The engine spends 2 ms on each, which
/// keeps the cost of a thousand silent containers at 1 % of a core; their turn comes later.
const QUESTIONS: usize = 5;

/// A stream that has brought this much and then falls silent is asked about after
/// [`SOON_AFTER`]: Engine 20.10 may stop following a log that it rotates, which takes that many
/// bytes at least.
const MUCH_BYTES: u64 = 16 * 1024;
const SOON_AFTER: Duration = Duration::from_secs(1);

/// All streams that are being read.
#[derive(Debug)]
pub(super) struct Silence {
    streams: Mutex<HashMap<u64, Arc<Heard>>>,
    next: AtomicU64,
    /// There is a first stream.
    first: Notify,
    started: Instant,
    after: Duration,
}

/// When a stream last brought something, or was asked about.
#[derive(Debug)]
struct Heard {
    millis: AtomicU64,
    /// Since the last question.
    bytes: AtomicU64,
    ask: Notify,
}

/// One reader's part; dropping it ends the watch.
#[derive(Debug)]
pub(super) struct Ear<'a> {
    silence: &'a Silence,
    id: u64,
    heard: Arc<Heard>,
}

impl Silence {
    /// A stream is asked about once it was silent for `after`.
    pub(super) fn new(after: Duration) -> Self {
        Self {
            streams: Mutex::default(),
            next: AtomicU64::new(0),
            first: Notify::new(),
            started: Instant::now(),
            after,
        }
    }

    /// A new stream.
    pub(super) fn listen(&self) -> Ear<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let heard = Heard {
            millis: AtomicU64::new(self.now()),
            bytes: AtomicU64::new(0),
            ask: Notify::new(),
        };
        let heard = Arc::new(heard);
        let mut streams = self.lock();
        if streams.is_empty() {
            self.first.notify_one();
        }
        streams.insert(id, heard.clone());
        drop(streams);
        Ear { silence: self, id, heard }
    }

    /// Has the readers of silent streams ask, longest silence first, for ever.
    pub(super) async fn watch(&self) {
        let mut clock = interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while self.lock().is_empty() {
                self.first.notified().await;
            }
            clock.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let now = self.now();
        let (after, soon) = (millis(self.after), millis(self.after.min(SOON_AFTER)));
        let streams = self.lock();
        let is_silent = |(since, heard): &(u64, &Arc<Heard>)| {
            let much = heard.bytes.load(Ordering::Relaxed) >= MUCH_BYTES;
            now.saturating_sub(*since) >= if much { soon } else { after }
        };
        let mut silent: Vec<_> = streams
            .values()
            .map(|heard| (heard.millis.load(Ordering::Relaxed), heard))
            .filter(is_silent)
            .collect();
        silent.sort_by_key(|(since, _)| *since);
        for (_, heard) in silent.into_iter().take(QUESTIONS) {
            heard.millis.store(now, Ordering::Relaxed);
            heard.bytes.store(0, Ordering::Relaxed);
            heard.ask.notify_one();
        }
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Heard>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ear<'_> {
    /// The stream has brought so many bytes.
    pub(super) fn heard(&self, bytes: usize) {
        self.heard.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.heard.millis.store(self.silence.now(), Ordering::Relaxed);
    }

    /// Waits until the engine should be asked about this stream.
    pub(super) async fn silent(&self) {
        self.heard.ask.notified().await;
    }
}

impl Drop for Ear<'_> {
    fn drop(&mut self) {
        self.silence.lock().remove(&self.id);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const AFTER: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_is_asked_about_once_per_silence_and_a_busy_one_never() {
        let silence = Silence::new(AFTER);
        let (quiet, busy) = (silence.listen(), silence.listen());
        tokio::time::advance(AFTER).await;
        busy.heard(100);
        silence.look();
        assert!(quiet.silent().now_or_never().is_some());
        assert!(busy.silent().now_or_never().is_none());
        silence.look();
        assert!(quiet.silent().now_or_never().is_none(), "the next question has its time");
        tokio::time::advance(AFTER).await;
        silence.look();
        assert!(quiet.silent().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_silent_streams_are_asked_about_a_few_at_a_time_and_all_in_the_end() {
        let silence = Silence::new(AFTER);
        let ears: Vec<_> = (0..1000).map(|_| silence.listen()).collect();
        tokio::time::advance(AFTER).await;
        let mut asked = 0;
        for look in 1..=200 {
            silence.look();
            asked += ears.iter().filter(|ear| ear.silent().now_or_never().is_some()).count();
            assert_eq!(asked, look * QUESTIONS);
        }
        drop(ears);
        assert!(silence.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_brought_much_is_asked_about_soon_and_once() {
        let silence = Silence::new(AFTER);
        let ear = silence.listen();
        ear.heard(usize::try_from(MUCH_BYTES).unwrap());
        silence.look();
        assert!(ear.silent().now_or_never().is_none());
        tokio::time::advance(SOON_AFTER).await;
        silence.look();
        assert!(ear.silent().now_or_never().is_some());
        tokio::time::advance(SOON_AFTER).await;
        silence.look();
        assert!(ear.silent().now_or_never().is_none(), "it has brought nothing since");
    }
}
