//! What the lanes of one destination hold, under one lock: queues, turns, debts.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use super::settled::Settled;
use super::{LANE_BYTES, Picked, QUANTUM};
use crate::metrics::{DestinationMetrics, DropReason};
use crate::record::{Chunk, Container, Cursor, DISORDER_NANOS, Loss, Resume, Timestamp};

/// A reader that brought something this short a while ago is still reading.
const READING_NANOS: i64 = 2_000_000_000;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) slots: HashMap<u64, Slot>,
    /// Every log that is followed or was, by container id.
    pub(super) known: BTreeMap<String, Arc<Settled>>,
    pub(super) active: VecDeque<u64>,
    pub(super) waiting: VecDeque<u64>,
    pub(super) queued_bytes: usize,
    pub(super) held_bytes: usize,
    pub(super) next_id: u64,
    pub(super) producers: usize,
    pub(super) closed: bool,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) queue: VecDeque<Chunk>,
    /// What `queue` weighs.
    pub(super) queued_bytes: usize,
    pub(super) deficit: usize,
    pub(super) room: Arc<Notify>,
    pub(super) rewind: Arc<Notify>,
    pub(super) settled: Arc<Settled>,
    pub(super) open: bool,
    /// Bytes of lines that the reader has not seen the end of.
    pub(super) held: usize,
    /// The reader has yet to go back to here; what it still brings comes from behind it.
    pub(super) rewound: Option<Cursor>,
    pub(super) debt: Debt,
    pub(super) lost: Option<Lost>,
    /// When something was read last, and how long after it was printed.
    pub(super) brought: Option<(Timestamp, i64)>,
    /// Since when the reader waits for room.
    pub(super) held_up: Option<Timestamp>,
}

/// Lines that were read, and given back to the log to be read again.
#[derive(Debug, Default)]
pub(super) struct Debt {
    lines: u64,
    until: Cursor,
}

/// Lines given up for want of room, and not announced yet.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) loss: Loss,
    pub(super) container: Arc<Container>,
    /// Older than everything that waits; else newer.
    pub(super) oldest: bool,
}

impl Slot {
    pub(super) fn new(settled: Arc<Settled>) -> Self {
        Self {
            queue: VecDeque::new(),
            queued_bytes: 0,
            deficit: 0,
            room: Arc::new(Notify::new()),
            rewind: Arc::new(Notify::new()),
            settled,
            open: true,
            held: 0,
            rewound: None,
            debt: Debt::default(),
            lost: None,
            brought: None,
            held_up: None,
        }
    }

    /// Whether enough waits of a log that can be read later.
    pub(super) fn is_full(&self) -> bool {
        self.queued_bytes >= LANE_BYTES && self.settled.returns()
    }

    /// From where the reader has to read again, if it has to and was not told.
    pub(super) fn take_rewind(&mut self) -> Option<Resume> {
        let cursor = self.rewound.take()?;
        Some(Resume { cursor, ..self.settled.read() })
    }

    fn note_brought(&mut self, chunk: &Chunk) {
        let now = Timestamp::now();
        let printed = chunk.lines().last().map(|line| line.time.nanos());
        self.brought = printed.map(|printed| (now, now.nanos() - printed));
        self.held_up = None;
    }

    /// How far the reader is behind the log, in nanoseconds: what it was when it last read, and
    /// how long it has waited for room since. One that reads what comes is not behind.
    pub(super) fn behind(&self, now: Timestamp) -> i64 {
        let waited = self.held_up.map(|since| now.nanos() - since.nanos());
        match (self.brought, waited) {
            (Some((_, behind)), Some(waited)) => behind + waited,
            (Some((at, behind)), None) if now.nanos() - at.nanos() < READING_NANOS => behind,
            (_, waited) => waited.unwrap_or(0),
        }
    }

    /// What was given back and did not come again is lost.
    pub(super) fn write_off(&mut self, metrics: &DestinationMetrics) {
        let lines = std::mem::take(&mut self.debt.lines);
        if lines > 0 {
            metrics.dropped(DropReason::Rotated, lines, 0);
        }
    }

    fn pay(&mut self, chunk: &Chunk, metrics: &DestinationMetrics) -> u64 {
        let lines = chunk.lines().len() as u64;
        if self.debt.lines == 0 || chunk.is_notice {
            return lines;
        }
        let until = self.debt.until.latest().map_or(0, |time| time.nanos() + DISORDER_NANOS);
        if chunk.lines().first().is_some_and(|line| line.time.nanos() > until) {
            self.write_off(metrics);
        }
        let paid = lines.min(self.debt.lines);
        self.debt.lines -= paid;
        lines - paid
    }
}

impl State {
    /// Takes a chunk into a lane.
    pub(super) fn push(&mut self, id: u64, chunk: Chunk, metrics: &DestinationMetrics) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if !chunk.is_notice {
            if slot.rewound.is_some() {
                return;
            }
            slot.settled.note_read(chunk.lines(), chunk.edge);
            slot.note_brought(&chunk);
        }
        let lines = slot.pay(&chunk, metrics);
        count_read(metrics, lines, &chunk);
        self.queue(id, chunk);
    }

    /// Puts a chunk that is counted behind what waits in a lane.
    pub(super) fn queue(&mut self, id: u64, chunk: Chunk) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        self.queued_bytes += chunk.weight();
        slot.queued_bytes += chunk.weight();
        let was_empty = slot.queue.is_empty();
        slot.queue.push_back(chunk);
        if was_empty {
            self.active.push_back(id);
        }
    }

    /// Takes about `want` bytes, lane by lane, but for those `passed_over`.
    pub(super) fn pick(
        &mut self,
        want: usize,
        passed_over: &HashSet<u64>,
        metrics: &DestinationMetrics,
    ) -> Vec<Picked> {
        let mut picked = Vec::new();
        let mut bytes = 0;
        let mut passed = VecDeque::new();
        while bytes < want
            && let Some(id) = self.active.pop_front()
        {
            if passed_over.contains(&id) {
                passed.push_back(id);
                continue;
            }
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.deficit += QUANTUM;
            if let Some(lost) = slot.lost.take_if(|lost| lost.oldest) {
                let chunk = notice(&lost.loss, &lost.container, metrics);
                picked.push(Picked { lane: id, chunk, settled: slot.settled.clone() });
            }
            while let Some(chunk) = slot.queue.front()
                && chunk.weight() <= slot.deficit
                && bytes < want
            {
                slot.deficit -= chunk.weight();
                bytes += chunk.weight();
                self.queued_bytes -= chunk.weight();
                slot.queued_bytes -= chunk.weight();
                if let Some(chunk) = slot.queue.pop_front() {
                    picked.push(Picked { lane: id, chunk, settled: slot.settled.clone() });
                }
            }
            if slot.queue.is_empty() {
                slot.deficit = 0;
                slot.room.notify_one();
                if !slot.open {
                    self.slots.remove(&id);
                }
            } else {
                // A lane that was cut short by the end of the batch keeps its turn's credit.
                self.active.push_back(id);
            }
            // Going round again with larger deficits ends: a chunk's weight is bounded.
        }
        // They keep their turn.
        passed.append(&mut self.active);
        self.active = passed;
        picked
    }

    /// Wakes as many of the lanes that wait as there is room for, first come: `free` bytes for
    /// those that hold nothing, `shared` of them for all.
    pub(super) fn wake(&mut self, mut free: usize, mut shared: usize) {
        let slots = &self.slots;
        self.waiting.retain(|id| {
            let Some(slot) = slots.get(id) else { return false };
            let room = if slot.queue.is_empty() { free } else { shared };
            if room < QUANTUM || slot.is_full() {
                return true;
            }
            slot.room.notify_one();
            free -= QUANTUM;
            shared = shared.saturating_sub(QUANTUM);
            false
        });
    }

    /// Removes the oldest of a lane, at least `bytes` of it or all.
    pub(super) fn drop_oldest(&mut self, id: u64, bytes: usize) -> Vec<Chunk> {
        let mut dropped = Vec::new();
        let Some(slot) = self.slots.get_mut(&id) else { return dropped };
        let mut freed = 0;
        while freed < bytes
            && let Some(chunk) = slot.queue.pop_front()
        {
            freed += chunk.weight();
            dropped.push(chunk);
        }
        self.queued_bytes -= freed;
        slot.queued_bytes -= freed;
        if slot.queue.is_empty() {
            self.active.retain(|active| *active != id);
        }
        dropped
    }

    /// Empties a lane of what its log holds as well, and sends its reader back to `to`. `sent`
    /// more lines were taken from it and are given up by the caller. Tells how many lines return;
    /// `None` if nothing can.
    pub(super) fn rewind(&mut self, id: u64, to: Cursor, sent: u64) -> Option<u64> {
        let slot = self.slots.get(&id)?;
        if !slot.open || !slot.settled.is_in_log() {
            return None;
        }
        let (notices, lines): (Vec<_>, Vec<_>) =
            self.drop_oldest(id, usize::MAX).into_iter().partition(|chunk| chunk.is_notice);
        let returned = sent + lines.iter().map(|chunk| chunk.lines().len() as u64).sum::<u64>();
        if let Some(slot) = self.slots.get_mut(&id) {
            let read = slot.settled.rewind(to);
            if slot.debt.lines == 0 || slot.debt.until.latest() < read.latest() {
                slot.debt.until = read;
            }
            slot.debt.lines += returned;
            slot.rewound = Some(to);
            slot.rewind.notify_one();
        }
        for chunk in notices {
            self.queue(id, chunk);
        }
        Some(returned)
    }

    /// Forgets the logs of containers that are gone and delivered.
    pub(super) fn prune(&mut self) {
        let slots = &self.slots;
        self.known.retain(|_, settled| {
            let done = settled.is_gone() && settled.is_delivered();
            !done || slots.get(&settled.lane()).is_some_and(|slot| slot.open)
        });
    }
}

/// What was lost, as the agent's own line, counted as read; the agent's log has it too.
pub(super) fn notice(loss: &Loss, container: &Container, metrics: &DestinationMetrics) -> Chunk {
    let chunk = loss.announce(container);
    let text = chunk.lines().first().map(|line| String::from_utf8_lossy(chunk.text(line)));
    tracing::warn!("{}", text.unwrap_or_default());
    count_read(metrics, chunk.lines().len() as u64, &chunk);
    chunk
}

fn count_read(metrics: &DestinationMetrics, lines: u64, chunk: &Chunk) {
    if lines > 0 {
        metrics.read(lines, chunk.text_bytes() as u64);
    }
}
