//! Which lines of a log are on their way in which batch, so that the cursor of a log passes them
//! in the order in which they were read, whatever order their streams answer in.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::super::history::LogId;
use crate::lane::Settled;
use crate::record::{Edge, Line, Stream, Timestamp};

/// The lines of all logs that no store has taken yet. By log, not by lane: a container that starts
/// again has another lane on the same log.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    logs: HashMap<LogId, VecDeque<Entry>>,
    /// The logs of a batch.
    batches: HashMap<u64, Vec<LogId>>,
}

/// A stretch of one log that is in one batch.
#[derive(Debug)]
struct Entry {
    batch: u64,
    done: bool,
    stretch: Stretch,
}

/// Lines that stand behind each other in a log, as far as a cursor needs them.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    settled: Arc<Settled>,
    /// The last line of the stream that `last` is not of.
    other: Option<Line>,
    last: Line,
    edge: Edge,
    /// Lines that are in the batch; others were given up before.
    in_flight: u64,
}

impl Stretch {
    /// `lines`, behind which the log stands as `edge` says, and of which so many are in a batch.
    /// `None` if there are none.
    pub(super) fn of(
        settled: &Arc<Settled>,
        lines: &[Line],
        edge: Edge,
        in_flight: u64,
    ) -> Option<Self> {
        let last = *lines.last()?;
        let other = lines.iter().rev().find(|line| line.stream != last.stream).copied();
        Some(Self { settled: settled.clone(), other, last, edge, in_flight })
    }

    fn append(&mut self, next: Self) {
        let before =
            if next.last.stream == self.last.stream { self.other } else { Some(self.last) };
        let in_flight = self.in_flight + next.in_flight;
        *self = Self { other: next.other.or(before), in_flight, ..next };
    }

    fn settle(&self) {
        match self.other {
            Some(other) => self.settled.advance(&[other, self.last], &[], self.edge),
            None => self.settled.advance(&[self.last], &[], self.edge),
        }
    }
}

impl Ledger {
    /// A stretch of a log is in a batch.
    pub(super) fn add(&mut self, batch: u64, stretch: Stretch) {
        let log = LogId::of(&stretch.settled);
        let entries = self.logs.entry(log).or_default();
        match entries.back_mut() {
            Some(entry) if entry.batch == batch && !entry.done => entry.stretch.append(stretch),
            _ => {
                entries.push_back(Entry { batch, done: false, stretch });
                let logs = self.batches.entry(batch).or_default();
                if !logs.contains(&log) {
                    logs.push(log);
                }
            }
        }
    }

    /// A stretch of a log is in no batch: the cursor passes it as soon as it has come to it.
    pub(super) fn skip(&mut self, stretch: Stretch) {
        let log = LogId::of(&stretch.settled);
        match self.logs.get_mut(&log).and_then(VecDeque::back_mut) {
            Some(entry) => entry.stretch.append(stretch),
            None => stretch.settle(),
        }
    }

    /// A batch was taken, or given up: cursors move.
    pub(super) fn done(&mut self, batch: u64) {
        for log in self.batches.remove(&batch).unwrap_or_default() {
            let Some(entries) = self.logs.get_mut(&log) else { continue };
            for entry in entries.iter_mut().filter(|entry| entry.batch == batch) {
                entry.done = true;
            }
            while let Some(entry) = entries.pop_front_if(|entry| entry.done) {
                entry.stretch.settle();
            }
            if entries.is_empty() {
                self.logs.remove(&log);
            }
        }
    }

    /// Lines of batches that were not taken as a whole, which are in no log any more.
    pub(super) fn unreturnable(&self) -> u64 {
        let entries = self.logs.values().flatten();
        let lost = entries.filter(|entry| !entry.done && !entry.stretch.settled.is_in_log());
        lost.map(|entry| entry.stretch.in_flight).sum()
    }
}

/// The stretches of one chunk, line by line.
#[derive(Debug)]
pub(super) struct Run<'a> {
    settled: &'a Arc<Settled>,
    lines: &'a [Line],
    edge: Edge,
    /// From here on lines are in no stretch yet.
    from: usize,
    /// The batch of the lines since then, if any of them is in one, and how many are.
    batch: Option<u64>,
    placed: u64,
    /// By line, the earliest stamp of it and all behind it; made when the chunk is first cut.
    earliest: Vec<Timestamp>,
}

impl<'a> Run<'a> {
    /// The lines of a chunk.
    pub(super) fn new(settled: &'a Arc<Settled>, lines: &'a [Line], edge: Edge) -> Self {
        Self { settled, lines, edge, from: 0, batch: None, placed: 0, earliest: Vec::new() }
    }

    /// Line `index` is in `batch`.
    #[inline]
    pub(super) fn line(&mut self, index: usize, batch: u64, ledger: &mut Ledger) {
        match self.batch {
            Some(before) if before != batch => {
                self.flush(index, ledger);
                self.batch = Some(batch);
            }
            None => self.batch = Some(batch),
            Some(_) => {}
        }
        self.placed += 1;
    }

    /// All lines are placed.
    pub(super) fn end(mut self, ledger: &mut Ledger) {
        self.flush(self.lines.len(), ledger);
    }

    fn flush(&mut self, to: usize, ledger: &mut Ledger) {
        let lines = self.lines.get(self.from..to).unwrap_or_default();
        let edge = Edge { open: self.open_behind(to), ..self.edge };
        let placed = std::mem::take(&mut self.placed);
        if let Some(stretch) = Stretch::of(self.settled, lines, edge, placed) {
            match self.batch.take() {
                Some(batch) => ledger.add(batch, stretch),
                None => ledger.skip(stretch),
            }
        }
        self.from = to;
    }

    // Of what comes behind, the earliest line that had begun.
    fn open_behind(&mut self, to: usize) -> Option<Timestamp> {
        if to >= self.lines.len() {
            return self.edge.open;
        }
        if self.earliest.is_empty() {
            self.earliest = self.lines.iter().map(|line| line.time).collect();
            let mut earliest = None;
            for time in self.earliest.iter_mut().rev() {
                *time = earliest.map_or(*time, |before| (*time).min(before));
                earliest = Some(*time);
            }
        }
        self.earliest.get(to).copied().into_iter().chain(self.edge.open).min()
    }
}

/// Which of the two streams of a lane a line is of.
pub(super) fn index_of(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}
