//! One loop per destination: pick fairly, encode, send, and move cursors on acknowledgement. The
//! only place that retries a send. Never knows a scheme, never reads a log.

mod batch;
mod history;
pub mod store;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::encode::{Cache, Encoder};
use crate::lane::{Lanes, Picked};
use crate::metrics::{DestinationMetrics, DropReason, gauge_value};
use crate::output::{Fault, Output};
use crate::record::Container;
use crate::shutdown::Stop;

use batch::Part;
use window::{Keep, Window};

/// Text picked for one batch, in bytes: large enough that a system call per batch is cheap.
const BATCH_BYTES: usize = 64 * 1024;

/// First delay after a failed attempt; doubles up to the configured cap.
const BACKOFF_BASE: Duration = Duration::from_millis(100);

/// Acknowledged frames kept in memory at most, because the peer's process may not have read them:
/// what TCP and TLS ask for at most times (`net::link::USUAL_DOUBT_BYTES`). More is read again.
pub const REPLAY_FRAME_BYTES: u64 = 256 * 1024;

/// A link that lived this long was healthy, even if nothing had to be sent over it.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// Without an acknowledgement for this long while something waits, a destination is stalled.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// Breaks of a link are logged at most this often; the counter has them all.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// One destination: its lanes, its encoder, its link.
#[derive(Debug)]
pub struct Delivery {
    name: Arc<str>,
    lanes: Arc<Lanes>,
    encoder: Encoder,
    caches: HashMap<u64, Cache>,
    output: Box<dyn Output>,
    window: Window,
    window_bytes: u64,
    replay_bytes: u64,
    backoff: Backoff,
    metrics: DestinationMetrics,
    state: State,
}

/// What was last said in the log about the link.
#[derive(Debug)]
struct State {
    broke: Option<Instant>,
    break_logged: Option<Instant>,
    down_logged: bool,
    connected: Option<Instant>,
    peer: Option<String>,
    progressed: bool,
}

impl State {
    const NEW: Self = Self {
        broke: None,
        break_logged: None,
        down_logged: false,
        connected: None,
        peer: None,
        progressed: false,
    };
}

/// What a delivery is made from.
#[derive(Debug)]
pub struct Parts {
    /// The name in log, metrics and messages.
    pub name: String,
    /// Where lines come from.
    pub lanes: Arc<Lanes>,
    /// How lines become frames.
    pub encoder: Encoder,
    /// Where frames go.
    pub output: Box<dyn Output>,
    /// Bytes that may be sent and not acknowledged.
    pub window_bytes: usize,
    /// Acknowledged bytes that are sent again at most, because the peer may not have read them.
    pub replay_bytes: u64,
    /// Longest pause between two attempts.
    pub backoff_max: Duration,
}

impl Delivery {
    /// A delivery that has not connected yet.
    pub fn new(parts: Parts) -> Self {
        let metrics = parts.lanes.metrics().clone();
        Self {
            name: parts.name.into(),
            lanes: parts.lanes,
            encoder: parts.encoder,
            caches: HashMap::new(),
            window: Window::new(metrics.clone()),
            replay_bytes: parts.replay_bytes,
            output: parts.output,
            window_bytes: parts.window_bytes as u64,
            backoff: Backoff::new(BACKOFF_BASE, parts.backoff_max),
            metrics,
            state: State::NEW,
        }
    }

    /// Delivers until the lanes have ended and all is acknowledged, or until `stop` quits.
    pub async fn run(mut self, stop: Stop) {
        tokio::select! {
            () = self.deliver() => {}
            () = stop.quitting() => {
                self.give_up();
            }
        }
        self.metrics.up.set(0);
        self.metrics.window_bytes.set(0);
    }

    /// The time is over. What is in a log is read again after the next start; the rest is lost.
    fn give_up(&self) {
        let (waiting, unsent) = (self.lanes.abandon(), self.window.unreturnable());
        let lost = waiting.0 + unsent.0;
        if lost > 0 {
            self.metrics.dropped(DropReason::Shutdown, lost, waiting.1 + unsent.1);
            tracing::warn!(
                destination = %self.name, lines = lost,
                "stopped before all was acknowledged; these lines are in no log and are lost"
            );
        }
        let lines = self.metrics.lines_in_flight();
        if lines > 0 {
            tracing::warn!(
                destination = %self.name, lines,
                "stopped before all was acknowledged; the containers' logs have these lines"
            );
        }
    }

    async fn deliver(&mut self) {
        let mut unread = 0;
        loop {
            self.connect().await;
            let Err(fault) = self.serve(unread).await else { return };
            unread = self.broken(&fault);
            // Also after a healthy link: a peer that accepts and resets must not make a hot loop.
            let delay = self.backoff.next_delay();
            self.pause(delay).await;
        }
    }

    async fn pause(&mut self, delay: Duration) {
        self.metrics.backoff.set(delay.as_secs_f64());
        tokio::time::sleep(delay).await;
        self.metrics.backoff.set(0.0);
    }

    /// Tries until there is a link.
    async fn connect(&mut self) {
        loop {
            match self.output.connect().await {
                Ok(peer) => {
                    self.connected(&peer);
                    return;
                }
                Err(fault) => {
                    self.metrics.fault(fault.kind());
                    let delay = self.backoff.next_delay();
                    self.attempt_failed(&fault, delay);
                    self.pause(delay).await;
                }
            }
        }
    }

    /// Serves one link: first what the last one left, then what comes. Ok once all is delivered.
    async fn serve(&mut self, unread: u64) -> Result<(), Fault> {
        self.resend(unread).await?;
        let mut ended = false;
        while !ended || self.window.outstanding() > 0 {
            let reported = self.window.reported();
            let outstanding = self.window.outstanding();
            self.metrics.window_bytes.set(gauge_value(outstanding));
            tokio::select! {
                biased;
                acknowledged = self.output.acknowledged(reported) => self.settle(acknowledged?),
                picked = self.lanes.next(BATCH_BYTES), if !ended && outstanding < self.window_bytes => {
                    ended = picked.is_empty();
                    if !ended {
                        self.encode(picked);
                        self.send_last().await?;
                    }
                }
                () = tokio::time::sleep(STALLED_AFTER), if outstanding > 0 => self.stalled(),
            }
        }
        // All is acknowledged, but a reset instead of a goodbye may put the last lines in doubt.
        self.output.close().await?;
        Ok(())
    }

    async fn resend(&mut self, unread: u64) -> Result<(), Fault> {
        let relinked = self.window.relink(unread);
        self.metrics.lines_resent.inc_by(relinked.frames);
        for frames in self.window.frames_from(relinked.from) {
            self.output.send(frames).await?;
        }
        Ok(())
    }

    /// Sees to it that `unread` bytes which the peer acknowledged are sent again: from memory, or
    /// by reading their logs again.
    fn replay(&mut self, unread: u64) {
        let doubtful = self.window.rewind(unread, self.replay_bytes, &self.lanes);
        if doubtful > 0 {
            self.metrics.bytes_doubtful.inc_by(doubtful);
            tracing::warn!(
                destination = %self.name, bytes = doubtful,
                "the peer acknowledged bytes that it may not have read, and they cannot be sent \
                 again: more than replay= allows, or in no log any more"
            );
        }
    }

    async fn send_last(&mut self) -> Result<(), Fault> {
        let Some(frames) = self.window.last_frames() else { return Ok(()) };
        let mut send = self.output.send(frames);
        tokio::select! {
            outcome = &mut send => return outcome,
            () = tokio::time::sleep(STALLED_AFTER) => {}
        }
        note_stalled(&self.name, &self.metrics);
        send.await
    }

    fn encode(&mut self, picked: Vec<Picked>) {
        let mut batch = self.window.empty_batch();
        for Picked { lane, chunk, settled } in picked {
            let cache = self.caches.entry(lane).or_default();
            let encoded = self.encoder.encode(&chunk, cache, &mut batch.bytes, &mut batch.ends);
            self.metrics.lines_truncated.inc_by(encoded.truncated);
            self.note_patched(encoded.patched, &chunk.container);
            batch.parts.push(Part::of(chunk, settled));
        }
        self.window.push(batch);
        self.forget_closed_lanes();
    }

    fn note_patched(&mut self, lines: u64, container: &Container) {
        if lines > 0 && self.metrics.lines_patched.get() == 0 {
            tracing::warn!(
                destination = %self.name, container = %container.name,
                "a template has failed, and something stands in for it; the log at the level debug has \
                 each case, and downspout_lines_patched_total the number"
            );
        }
        self.metrics.lines_patched.inc_by(lines);
    }

    // Caches of lanes that are gone are let go once they are the larger part.
    fn forget_closed_lanes(&mut self) {
        if self.caches.len() > 64 && self.caches.len() > 2 * self.lanes.count() {
            let lanes = &self.lanes;
            self.caches.retain(|lane, _| lanes.has(*lane));
        }
    }

    fn settle(&mut self, on_link: u64) {
        self.window.settle(on_link);
        let doubtful = self.output.keeps_acknowledged().min(self.replay_bytes);
        let frames = doubtful.min(REPLAY_FRAME_BYTES);
        let places = if doubtful > 0 { self.replay_bytes } else { 0 };
        self.window.release(Keep { frames, places });
        if !self.state.progressed {
            self.state.progressed = true;
            self.backoff.reset();
        }
        if self.metrics.stalled.get() == 1 {
            self.metrics.stalled.set(0);
            tracing::info!(destination = %self.name, "destination takes lines again");
        }
    }

    fn stalled(&self) {
        note_stalled(&self.name, &self.metrics);
    }

    fn connected(&mut self, peer: &str) {
        self.metrics.up.set(1);
        self.state.progressed = false;
        let attempts = self.backoff.attempts();
        let down = self.state.broke.take().map_or(Duration::ZERO, |since| since.elapsed());
        if std::mem::take(&mut self.state.down_logged) {
            let down = humane(down);
            tracing::info!(destination = %self.name, %peer, down, attempts, "destination is up again");
        } else if self.state.connected.is_none() {
            tracing::info!(destination = %self.name, %peer, "destination is up");
        } else if self.state.peer.as_deref() != Some(peer) {
            tracing::info!(destination = %self.name, %peer, "destination is up at another address");
        } else {
            tracing::debug!(destination = %self.name, %peer, "connected again");
        }
        self.state.peer = Some(peer.to_owned());
        self.state.connected = Some(Instant::now());
    }

    /// A link ended: counts it, says so, and returns how much of what was acknowledged on it is
    /// in doubt.
    fn broken(&mut self, fault: &Fault) -> u64 {
        self.metrics.fault(fault.kind());
        self.metrics.up.set(0);
        self.metrics.stalled.set(0);
        // What the transport had acknowledged before it broke is settled first.
        let settled = self.output.settled();
        self.window.settle(settled);
        if self.state.connected.is_some_and(|since| since.elapsed() >= HEALTHY_AFTER) {
            self.backoff.reset();
        }
        self.state.broke = Some(Instant::now());
        if self.state.break_logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.state.break_logged = Some(Instant::now());
            tracing::warn!(destination = %self.name, %fault, "link broke; connecting again");
        }
        match fault {
            Fault::Retry { unread, .. } => {
                self.replay(*unread);
                *unread
            }
            Fault::Reject { .. } => {
                self.window.reject_first();
                0
            }
        }
    }

    // Said once per outage; the attempts after it are counted, not logged.
    fn attempt_failed(&mut self, fault: &Fault, delay: Duration) {
        self.state.broke.get_or_insert_with(Instant::now);
        if self.state.down_logged {
            tracing::debug!(destination = %self.name, %fault, ?delay, "attempt failed");
        } else {
            self.state.down_logged = true;
            tracing::warn!(destination = %self.name, %fault, "destination is down; trying for ever");
        }
    }
}

fn note_stalled(name: &str, metrics: &DestinationMetrics) {
    if metrics.stalled.get() == 0 {
        metrics.stalled.set(1);
        let after = humane(STALLED_AFTER);
        tracing::warn!(destination = %name, after, "destination acknowledges nothing: stalled");
    }
}

fn humane(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f64())
}
