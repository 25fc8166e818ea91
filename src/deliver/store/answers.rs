//! What follows from a store's answer to a put: counters, cursors, pieces, delays.

use std::time::Duration;

use tokio::time::Instant;

use super::streams::State;
use super::unit::Next;
use super::{BACKOFF_BASE, Landed, StoreDelivery};
use crate::backoff::Backoff;
use crate::metrics::{DropReason, FaultKind};
use crate::record::Timestamp;
use crate::store::{Refused, Reply, Sealed, Trouble};

/// First delay after a call was throttled: longer, for it is the calls that are too many.
const THROTTLED_BASE: Duration = Duration::from_secs(1);

/// Once a peer that was down takes something, all others are tried within this.
const AFTER_OUTAGE: Duration = Duration::from_secs(5);

const NANOS_PER_MILLI: i64 = 1_000_000;

impl StoreDelivery {
    /// Draws the conclusions from an answer.
    pub(super) fn landed(&mut self, landed: Landed) {
        let Landed { stream: id, sent, reply, started } = landed;
        let now = Instant::now();
        self.store_metrics.put_seconds.observe(now.duration_since(started).as_secs_f64());
        match reply {
            Reply::Taken(refused) => {
                self.store_metrics.put("taken");
                self.taken(id, &sent, refused, now);
            }
            Reply::Again { trouble, why } => {
                self.store_metrics.put(trouble.name());
                self.again(id, trouble, &why, now);
            }
            Reply::Invalid { why } => {
                self.store_metrics.put("invalid");
                self.budget.succeeded(false);
                self.invalid(id, &why, now);
            }
        }
        self.streams.update(id, self.flush());
        self.release_lanes(id);
        self.health.look();
    }

    fn taken(&mut self, id: u64, sent: &Sealed, refused: Refused, now: Instant) {
        self.pace.taken(now);
        self.count_taken(sent, refused);
        let Some(stream) = self.streams.get(id) else { return };
        let Some(unit) = &mut stream.current else { return };
        let was_down = self.budget.is_down();
        self.budget.succeeded(unit.calls > 1);
        let next = unit.taken(stream.proven);
        stream.proven = true;
        stream.backoff = None;
        stream.needs_somebody = false;
        self.go_on(id, next, now);
        if was_down {
            self.streams.hasten(now, AFTER_OUTAGE, self.flush());
        }
    }

    /// Events are taken or refused by the store, exactly.
    fn count_taken(&self, sent: &Sealed, refused: Refused) {
        let all = sent.events.len();
        let Refused { too_old_end, expired_end, too_new_start } = refused;
        let first = too_old_end.max(expired_end).min(all);
        let end = too_new_start.unwrap_or(all).clamp(first, all);
        for (reason, events) in [
            (DropReason::TooOld, 0..too_old_end.min(all)),
            (DropReason::Expired, too_old_end.min(all)..first),
            (DropReason::TooNew, end..all),
        ] {
            let count = sent.count(events);
            if count.events > 0 {
                self.metrics.dropped(reason, count.lines, count.text_bytes);
            }
        }
        let taken = sent.count(first..end);
        self.metrics.delivered(taken.lines, taken.text_bytes);
        let events = sent.events.get(first..end).unwrap_or_default();
        let printed = events.iter().filter(|event| event.ends_line);
        let printed = printed.map(|event| event.time.saturating_mul(NANOS_PER_MILLI));
        self.metrics.delays.observe(Timestamp::now().nanos(), printed);
        self.store_metrics.events.inc_by(taken.events);
        let overhead = taken.events * self.terms.event_overhead_bytes as u64;
        self.store_metrics.billed_bytes.inc_by(taken.text_bytes + overhead);
    }

    fn invalid(&mut self, id: u64, why: &str, now: Instant) {
        let Some(stream) = self.streams.get(id) else { return };
        let Some(unit) = &mut stream.current else { return };
        why.clone_into(&mut unit.why);
        let next = unit.invalid(stream.proven);
        self.go_on(id, next, now);
    }

    fn go_on(&mut self, id: u64, next: Next, now: Instant) {
        let slow = self.slow_delay();
        let Some(stream) = self.streams.get(id) else { return };
        match next {
            Next::Piece => stream.state = State::Idle,
            Next::Hopeless => {
                stream.state = State::Waiting(now + slow);
                stream.needs_somebody = true;
                self.metrics.fault(FaultKind::Rejected);
                if let Some(unit) = &stream.current {
                    self.health.trouble(&stream.name, unit.calls, &unit.why, now);
                }
            }
            Next::Done(given_up) => {
                stream.state = State::Idle;
                let Some(unit) = stream.current.take() else { return };
                let name = stream.name.clone();
                for event in given_up {
                    let count = unit.sealed.count(event..event + 1);
                    self.metrics.dropped(DropReason::Rejected, count.lines, count.text_bytes);
                    self.health.rejected(&name, &unit.why, now);
                }
                self.ledger.done(unit.id);
            }
        }
    }

    fn again(&mut self, id: u64, trouble: Trouble, why: &str, now: Instant) {
        match trouble {
            Trouble::Throttled => self.pace.throttled(now),
            Trouble::Stale | Trouble::Denied | Trouble::Missing => {}
            _ => self.budget.failed(),
        }
        self.metrics.fault(kind_of(trouble));
        let (slow, most) = (self.slow_delay(), self.backoff_max);
        let Some(stream) = self.streams.get(id) else { return };
        let Some(unit) = &mut stream.current else { return };
        unit.is_doubtful |= trouble.is_ambiguous();
        stream.needs_somebody = trouble.needs_somebody();
        let at_once = trouble == Trouble::Stale && !std::mem::replace(&mut unit.was_stale, true);
        let base = if trouble == Trouble::Throttled { THROTTLED_BASE } else { BACKOFF_BASE };
        let delay = if at_once {
            Duration::ZERO
        } else if stream.needs_somebody {
            slow
        } else {
            stream.backoff.get_or_insert_with(|| Backoff::new(base.min(most), most)).next_delay()
        };
        stream.state = State::Waiting(now + delay);
        let (name, calls) = (stream.name.clone(), unit.calls);
        if !at_once {
            self.health.trouble(&name, calls, why, now);
        }
    }

    /// Between two attempts where only somebody's change can help.
    fn slow_delay(&self) -> Duration {
        self.backoff_max.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    fn release_lanes(&mut self, id: u64) {
        let Some(stream) = self.streams.get(id) else { return };
        if !stream.is_congested() {
            for lane in stream.parked.drain(..) {
                self.parked.remove(&lane);
            }
        }
    }
}

fn kind_of(trouble: Trouble) -> FaultKind {
    match trouble {
        Trouble::Throttled => FaultKind::Throttled,
        Trouble::Unanswered => FaultKind::Timeout,
        Trouble::Stale => FaultKind::Closed,
        Trouble::Unreachable => FaultKind::Refused,
        Trouble::Credentials | Trouble::Denied => FaultKind::Credentials,
        Trouble::Missing => FaultKind::Rejected,
        Trouble::Unavailable => FaultKind::Other,
    }
}
