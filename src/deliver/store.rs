//! One loop per destination that keeps streams: fill a batch for each stream, put it when it is
//! full or old enough, and move cursors once it is taken. The only place that tries a put again.
//! Never knows whose streams they are.
//!
//! What is read is bounded by the window: batches that are filled, wait, or are on their way.
//! While it is full, and for streams that do not get on, nothing is picked from the lanes, so that
//! the logs keep it.

mod answers;
mod budget;
mod health;
mod intake;
mod ledger;
mod pace;
mod streams;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::encode::Encoder;
use crate::lane::Lanes;
use crate::metrics::{DestinationMetrics, DropReason, FaultKind, StoreMetrics, gauge_value};
use crate::shutdown::Stop;
use crate::store::{Reply, Sealed, Store, Terms, Varies};

use budget::Budget;
use health::Health;
use intake::Intake;
use ledger::Ledger;
use pace::Pace;
use streams::{OneStream, State, Streams};

/// Text picked at once, in bytes.
const PICK_BYTES: usize = 64 * 1024;

/// First delay after a failed attempt to connect; doubles up to the configured cap.
const BACKOFF_BASE: Duration = Duration::from_millis(200);

/// What a delivery to a store is made from.
#[derive(Debug)]
pub struct StoreParts {
    /// The name in log, metrics and messages.
    pub name: String,
    /// Where lines come from.
    pub lanes: Arc<Lanes>,
    /// How lines become the text of events.
    pub encoder: Encoder,
    /// Where events go.
    pub store: Arc<dyn Store>,
    /// Bytes that may be held: filled, waiting, or on their way.
    pub window_bytes: usize,
    /// Longest pause between two attempts.
    pub backoff_max: Duration,
    /// What only a store counts.
    pub metrics: StoreMetrics,
}

/// One destination that keeps streams.
#[derive(Debug)]
pub struct StoreDelivery {
    name: Arc<str>,
    lanes: Arc<Lanes>,
    encoder: Encoder,
    store: Arc<dyn Store>,
    terms: Terms,
    varies: Varies,
    window_bytes: usize,
    backoff_max: Duration,
    intake: Intake,
    streams: Streams,
    last_unit: u64,
    ledger: Ledger,
    /// Lanes whose stream does not get on.
    parked: HashSet<u64>,
    flights: FuturesUnordered<Flight>,
    /// Nothing more will come: what there is goes.
    ended: bool,
    pace: Pace,
    budget: Budget,
    health: Health,
    metrics: DestinationMetrics,
    store_metrics: StoreMetrics,
}

/// A put that is on its way.
type Flight = BoxFuture<'static, Landed>;

/// A put that was answered.
#[derive(Debug)]
struct Landed {
    stream: u64,
    /// What was sent.
    sent: Arc<Sealed>,
    reply: Reply,
    started: Instant,
}

impl StoreDelivery {
    /// A delivery that has not connected yet.
    pub fn new(parts: StoreParts) -> Self {
        let now = Instant::now();
        let (terms, varies) = (parts.store.terms(), parts.store.varies());
        let metrics = parts.lanes.metrics().clone();
        let name: Arc<str> = parts.name.into();
        Self {
            health: Health::new(name.clone(), metrics.clone()),
            name,
            lanes: parts.lanes,
            encoder: parts.encoder,
            store: parts.store,
            terms,
            varies,
            window_bytes: parts.window_bytes,
            backoff_max: parts.backoff_max,
            intake: Intake::default(),
            streams: Streams::default(),
            last_unit: 0,
            ledger: Ledger::default(),
            parked: HashSet::new(),
            flights: FuturesUnordered::new(),
            ended: false,
            pace: Pace::new(terms.flush, now),
            budget: Budget::new(now),
            metrics,
            store_metrics: parts.metrics,
        }
    }

    /// Delivers until the lanes have ended and all is taken, or until `stop` quits.
    pub async fn run(mut self, stop: Stop) {
        let store = self.store.clone();
        tokio::select! {
            () = self.deliver() => {}
            () = store.tend() => {}
            () = stop.quitting() => {
                self.give_up();
            }
        }
        self.metrics.up.set(0);
        self.metrics.window_bytes.set(0);
        self.store_metrics.puts_in_flight.set(0);
    }

    /// The time is over. What is in a log is read again after the next start; the rest is lost.
    fn give_up(&self) {
        let waiting = self.lanes.abandon();
        // Of a batch that is sent in pieces, some may be taken.
        let all = self.metrics.lines_in_flight();
        let lost = (waiting.0 + self.ledger.unreturnable()).min(all);
        if lost > 0 {
            self.metrics.dropped(DropReason::Shutdown, lost, waiting.1);
            tracing::warn!(
                destination = %self.name, lines = lost,
                "stopped before all was taken; these lines are in no log and are lost"
            );
        }
        let lines = self.metrics.lines_in_flight();
        if lines > 0 {
            tracing::warn!(
                destination = %self.name, lines,
                "stopped before all was taken; the containers' logs have these lines"
            );
        }
    }

    async fn deliver(&mut self) {
        self.connect().await;
        while !(self.ended && self.streams.is_idle()) {
            let wake = self.dispatch();
            let may_pick = !self.ended && self.streams.held() < self.window_bytes;
            tokio::select! {
                biased;
                Some(landed) = self.flights.next(), if !self.flights.is_empty() => {
                    self.landed(landed);
                }
                picked = self.lanes.next_but(PICK_BYTES, &self.parked), if may_pick => {
                    if picked.is_empty() {
                        self.ended = true;
                        self.streams.reschedule_all(self.flush());
                    }
                    let now = Instant::now();
                    for picked in picked {
                        self.take_in(picked, now);
                    }
                    self.forget_closed_lanes();
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// Tries until everything is known that a put needs.
    async fn connect(&mut self) {
        let mut backoff = Backoff::new(BACKOFF_BASE, self.backoff_max);
        loop {
            match self.store.connect().await {
                Ok(peer) => return self.health.connected(&peer),
                Err(why) => {
                    self.metrics.fault(FaultKind::Other);
                    self.health.down(&why);
                    let delay = backoff.next_delay();
                    self.metrics.backoff.set(delay.as_secs_f64());
                    tokio::time::sleep(delay).await;
                    self.metrics.backoff.set(0.0);
                }
            }
        }
    }

    /// Sends what is due and may go. Returns when to look again; if nothing is due, it is the
    /// lanes or an answer that comes next.
    fn dispatch(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let flush = self.flush();
        // Without room, the fullest goes.
        let pressed = self.streams.held() >= self.window_bytes;
        if pressed
            && self.flights.len() < self.terms.in_flight
            && let Some(id) = self.streams.fullest()
        {
            self.streams.postpone(id, now);
        }
        let mut wake = None;
        while self.flights.len() < self.terms.in_flight
            && let Some((due, id)) = self.streams.first()
        {
            if due > now {
                wake = Some(due);
                break;
            }
            let Some(stream) = self.streams.get(id) else { break };
            if !pressed && !is_due(stream, flush, now) {
                self.streams.reschedule(id, flush);
                continue;
            }
            if let Err(later) = self.pace.look(now) {
                wake = Some(later);
                break;
            }
            let repeats = stream.current.as_ref().is_some_and(unit::Unit::is_repeat);
            if let Err(later) = self.budget.take(repeats, now) {
                self.streams.postpone(id, later);
                continue;
            }
            self.pace.spend();
            self.start(id, now);
        }
        self.note(now);
        wake
    }

    /// How long a batch waits to be filled.
    fn flush(&self) -> Duration {
        if self.ended { Duration::ZERO } else { self.pace.flush() }
    }

    /// Puts what is first in a stream.
    fn start(&mut self, id: u64, now: Instant) {
        let flush = self.flush();
        let none_waits = |stream: &OneStream| stream.current.is_none() && stream.ready.is_empty();
        if self.streams.get(id).is_some_and(|stream| none_waits(stream)) {
            self.seal_open(id);
        }
        let Some(stream) = self.streams.get(id) else { return };
        if stream.current.is_none() {
            stream.current = stream.ready.pop_front();
        }
        let Some(unit) = &mut stream.current else {
            return self.streams.update(id, flush);
        };
        if unit.is_doubtful {
            self.store_metrics.lines_doubtful.inc_by(unit.count().lines);
        }
        if unit.calls > 0 && unit.is_whole() {
            self.metrics.lines_resent.inc_by(unit.count().lines);
        }
        unit.calls = unit.calls.saturating_add(1);
        let sent = if unit.is_whole() {
            unit.sealed.clone()
        } else {
            Arc::new(self.store.cut(&unit.sealed, unit.piece()))
        };
        stream.state = State::Flying;
        let put = self.store.clone().put(stream.name.clone(), sent.clone());
        self.flights.push(Box::pin(async move {
            let reply = put.await;
            Landed { stream: id, sent, reply, started: now }
        }));
        self.streams.update(id, flush);
    }

    /// Shows how things stand.
    fn note(&mut self, now: Instant) {
        let set = |gauge: &prometheus::IntGauge, value: usize| gauge.set(gauge_value(value));
        set(&self.store_metrics.puts_in_flight, self.flights.len());
        set(&self.store_metrics.held_bytes, self.streams.held());
        set(&self.metrics.window_bytes, self.streams.held());
        set(&self.store_metrics.streams, self.streams.count());
        self.store_metrics.rate_limit.set(self.pace.rate());
        self.store_metrics.flush_seconds.set(self.pace.flush().as_secs_f64());
        let down = self.budget.is_down();
        if self.health.is_time(now) {
            let waiting = || self.streams.all().filter(|stream| stream.is_waiting());
            let helpless = waiting().any(|stream| stream.needs_somebody);
            set(&self.store_metrics.streams_waiting, waiting().count());
            let since = self.streams.all().filter_map(OneStream::since).min();
            let oldest = since.map_or(Duration::ZERO, |since| now.duration_since(since));
            self.store_metrics.oldest_seconds.set(oldest.as_secs_f64());
            self.health.note(down || helpless, oldest, self.pace.flush());
        }
    }
}

fn is_due(stream: &OneStream, flush: Duration, now: Instant) -> bool {
    let waits = stream.current.is_some() || !stream.ready.is_empty();
    waits || stream.open.as_ref().is_some_and(|open| open.since + flush <= now)
}
