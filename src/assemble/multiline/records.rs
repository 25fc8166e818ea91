//! The open records of one log, each stream for itself: takes whole lines, gives out whole records.
//! Without I/O and without a clock: whoever reads says what time it is, and hears when a record is
//! to be given out.
//!
//! A record is held from its first line on, and lies behind the marks of all that is given out, as
//! a line does whose end was not read.

use std::time::Duration;

use tokio::time::Instant;

use super::Multiline;
use super::preset::State;
use crate::assemble::back::Back;
use crate::record::{ChunkBuilder, DISORDER_NANOS, Mark, Place, Stream, Timestamp};

/// What a record keeps of its buffer for the next one, in bytes.
const KEPT_BYTES: usize = 16 * 1024;

/// The open records of one log.
#[derive(Debug)]
pub(in crate::assemble) struct Records {
    rule: Multiline,
    max_bytes: usize,
    open: [Record; 2],
    cut: u64,
}

#[derive(Debug, Default)]
struct Record {
    text: Vec<u8>,
    /// How many lines it has.
    lines: usize,
    /// What a preset has seen of it.
    state: State,
    /// It has a line, and is held.
    open: bool,
    /// The stamps of its first line and of its last.
    time: Timestamp,
    last: Timestamp,
    /// Of its last line.
    mark: Option<Mark>,
    /// Where its first line begins in the log's file; `None` if that is in an earlier file.
    began: Option<u64>,
    /// When it is complete; `None` if a line has come since that was asked.
    due: Option<Instant>,
    /// Where the first line begins that has the stamp of the last one: lines of one stamp are told
    /// apart by their number, so that a reader has to look at all of them.
    same_stamp: Option<u64>,
}

/// Where in the log's file a record is given out, and where that begins which is held beside the
/// records.
#[derive(Debug, Clone, Copy)]
pub(in crate::assemble) struct Behind {
    /// Behind this byte, if the line that is taken does not belong to it.
    pub(in crate::assemble) end: Option<u64>,
    /// Behind this one if it does: all that was read.
    pub(in crate::assemble) read_to: Option<u64>,
    pub(in crate::assemble) back: Back,
}

impl Records {
    /// A record takes `max_bytes` at most.
    pub(in crate::assemble) fn new(rule: Multiline, max_bytes: usize) -> Self {
        Self { rule, max_bytes, open: <[Record; 2]>::default(), cut: 0 }
    }

    /// An empty one with the same limits.
    pub(in crate::assemble) fn anew(&self) -> Self {
        Self::new(self.rule.clone(), self.max_bytes)
    }

    /// Takes a whole line; what it completes goes to `out`. `behind` is where the last piece of it
    /// begins, and what is held beside it.
    pub(in crate::assemble) fn line(
        &mut self,
        text: &[u8],
        place: Place,
        behind: Behind,
        out: &mut ChunkBuilder,
    ) {
        self.give_passed(place, behind, out);
        let Self { rule, max_bytes, open, .. } = self;
        let record = of_mut(open, place.stream);
        let goes_on = record.open && !record.is_passed(place.time, rule.0.flush_nanos);
        let above = goes_on.then_some((record.state, record.text.as_slice()));
        let step = rule.0.form.step(above, text);
        if !step.joins {
            return self.start(text, step.open, (place, behind), out);
        }
        let separator = &rule.0.separator;
        let bytes = record.text.len() + separator.len() + text.len();
        if bytes > *max_bytes || record.lines >= rule.0.most_lines {
            self.cut += 1;
            return self.start(text, step.open, (place, behind), out);
        }
        record.text.extend_from_slice(separator);
        record.text.extend_from_slice(text);
        record.lines += 1;
        record.note(place);
        match step.open {
            Some(state) => record.state = state,
            None => {
                self.give(place.stream, behind.of_all(), out);
            }
        }
    }

    /// Takes a line that begins a record, whatever it looks like.
    pub(in crate::assemble) fn begin(
        &mut self,
        text: &[u8],
        place: Place,
        behind: Behind,
        out: &mut ChunkBuilder,
    ) {
        let open = self.rule.0.form.step(None, text).open;
        self.start(text, open, (place, behind), out);
    }

    // Gives out what is open; the line begins a record, which stays open as `open` says.
    fn start(
        &mut self,
        text: &[u8],
        open: Option<State>,
        (place, behind): (Place, Behind),
        out: &mut ChunkBuilder,
    ) {
        let began = self.begins_at(place);
        self.give(place.stream, behind.and(Back::to(began)), out);
        let beside = behind.of_all().and(self.of(place.stream.other()).back());
        let record = of_mut(&mut self.open, place.stream);
        record.note(place);
        let Some(state) = open else {
            let span = beside.back.span_to(beside.end);
            return out.push(b"", text, Place { span, ..place });
        };
        record.open = true;
        record.lines = 1;
        record.state = state;
        record.time = place.time;
        record.began = began;
        record.text.extend_from_slice(text);
    }

    /// Gives out the record of a stream, if one is open; true if so.
    pub(in crate::assemble) fn give(
        &mut self,
        stream: Stream,
        behind: Behind,
        out: &mut ChunkBuilder,
    ) -> bool {
        let Behind { end, back, .. } = behind.and(self.of(stream.other()).back());
        let record = of_mut(&mut self.open, stream);
        if !std::mem::take(&mut record.open) {
            return false;
        }
        let time = record.time;
        let mark = record.mark.unwrap_or(Mark { time, pieces: 0 });
        out.push(&record.text, b"", Place { time, stream, mark, span: back.span_to(end) });
        record.text.clear();
        record.text.shrink_to(KEPT_BYTES);
        record.due = None;
        true
    }

    /// Gives out all that is open: nothing is to be waited for.
    pub(in crate::assemble) fn give_all(&mut self, behind: Behind, out: &mut ChunkBuilder) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.give(stream, behind, out);
            // A log that is silent must not pin memory.
            of_mut(&mut self.open, stream).text = Vec::new();
        }
    }

    /// The same because there is no room for it.
    pub(in crate::assemble) fn give_cut(
        &mut self,
        stream: Stream,
        behind: Behind,
        out: &mut ChunkBuilder,
    ) {
        self.cut += u64::from(self.give(stream, behind, out));
    }

    /// Gives out what was complete by `now`.
    pub(in crate::assemble) fn give_due(
        &mut self,
        now: Instant,
        behind: Behind,
        out: &mut ChunkBuilder,
    ) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.of(stream).due.is_some_and(|due| due <= now) {
                self.give(stream, behind, out);
                of_mut(&mut self.open, stream).text = Vec::new();
            }
        }
    }

    /// When the next record is complete to which no line comes. Lines that came since the last
    /// call have come at `now`.
    pub(in crate::assemble) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let flush = self.rule.0.flush;
        let open = self.open.iter_mut().filter(|record| record.open);
        open.map(|record| {
            let wait = || if record.state.may_go_on(&record.text) { flush } else { Duration::ZERO };
            *record.due.get_or_insert_with(|| now + wait())
        })
        .min()
    }

    /// What comes next is in another file of the log.
    pub(in crate::assemble) fn file_ended(&mut self) {
        for record in &mut self.open {
            (record.began, record.same_stamp) = (None, None);
        }
    }

    /// Records that were given out because a line had no room in them; counted from the last call.
    pub(in crate::assemble) fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    /// Whether there is one.
    pub(in crate::assemble) fn is_open(&self) -> bool {
        self.open.iter().any(|record| record.open)
    }

    /// Bytes of open records.
    pub(in crate::assemble) fn bytes(&self) -> usize {
        self.open.iter().map(|record| record.text.len()).sum()
    }

    /// The stamp of the open record of a stream.
    pub(in crate::assemble) fn open_since(&self, stream: Stream) -> Option<Timestamp> {
        let record = self.of(stream);
        record.open.then_some(record.time)
    }

    /// Where a reader has to look for a line that begins now.
    pub(in crate::assemble) fn begins_at(&self, place: Place) -> Option<u64> {
        self.of(place.stream).same_stamp_from(place)
    }

    /// Where the open record of a stream begins.
    pub(in crate::assemble) fn back(&self, stream: Stream) -> Back {
        self.of(stream).back()
    }

    // The other stream may be silent while this one never is, and then nobody waits: there the
    // stamps tell that no line came for long. Unless one has begun, which is held beside.
    fn give_passed(&mut self, place: Place, behind: Behind, out: &mut ChunkBuilder) {
        let nanos = self.rule.0.flush_nanos.saturating_add(DISORDER_NANOS);
        let is_passed = self.of(place.stream.other()).is_passed(place.time, nanos);
        if is_passed && behind.back == Back::Nowhere {
            let began = self.begins_at(place);
            self.give(place.stream.other(), behind.and(Back::to(began)), out);
        }
    }

    fn of(&self, stream: Stream) -> &Record {
        let [stdout, stderr] = &self.open;
        if stream == Stream::Stdout { stdout } else { stderr }
    }
}

fn of_mut(open: &mut [Record; 2], stream: Stream) -> &mut Record {
    let [stdout, stderr] = open;
    if stream == Stream::Stdout { stdout } else { stderr }
}

impl Behind {
    fn and(self, back: Back) -> Self {
        Self { back: self.back.and(back), ..self }
    }

    // The same once the line is taken.
    fn of_all(self) -> Self {
        Self { end: self.read_to, ..self }
    }
}

impl Record {
    // The first byte of the lines with the stamp of one that comes now.
    fn same_stamp_from(&self, place: Place) -> Option<u64> {
        let is_same = self.mark.is_some() && place.time == self.last;
        if is_same { self.same_stamp } else { place.span.start() }
    }

    fn note(&mut self, place: Place) {
        self.same_stamp = self.same_stamp_from(place);
        self.last = place.time;
        self.mark = Some(place.mark);
        self.due = None;
    }

    /// Whether a line of this stamp comes too late for it.
    fn is_passed(&self, time: Timestamp, nanos: i64) -> bool {
        self.open && time.nanos().saturating_sub(self.last.nanos()) > nanos
    }

    fn back(&self) -> Back {
        if self.open { Back::to(self.began) } else { Back::Nowhere }
    }
}

#[cfg(test)]
mod tests;
