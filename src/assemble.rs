//! Docker's pieces to whole lines, and lines to records of several lines where that is asked for: a
//! state machine per log, without I/O and without a clock.
//!
//! The engine cuts a line after 16 KiB (`defaultBufSize` in its copier) and passes the parts on as
//! records of their own. What is held here lies behind the marks of all lines given out, so that
//! no cursor can pass it.

mod back;
mod multiline;

use tokio::time::Instant;

use crate::record::{ChunkBuilder, Mark, Place, Span, Stream, Timestamp};
use back::Back;
use multiline::{Behind, Records};
pub use multiline::{DEFAULT_LINES, Form, Joining, Multiline, Pattern, Preset};

/// A record that is at least this long and has no line end is continued by the next one.
const PIECE_BYTES: usize = 16 * 1024;

/// One record of a container's log.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Where and when it was printed (pieces of one line share the first one's stamp), and its
    /// place in its stream.
    pub place: Place,
    /// The text, with its line feed if it has one.
    pub text: &'a [u8],
}

/// Joins the pieces of one log, each stream for itself.
#[derive(Debug)]
pub struct Assembler {
    max_line_bytes: usize,
    /// A whole line shorter than this is given out at once; 0 where lines are joined.
    direct_below: usize,
    carriage_returns: bool,
    /// A record without a line end that is shorter is a line.
    piece_bytes: usize,
    /// Which streams are wanted: standard output, standard error.
    wanted: [bool; 2],
    held: [Held; 2],
    records: Option<Box<Records>>,
    /// Up to here the log's file was read; `None` before anything was taken of it.
    read_to: Option<u64>,
}

#[derive(Debug, Default)]
struct Held {
    text: Vec<u8>,
    time: Timestamp,
    mark: Option<Mark>,
    /// The last piece.
    span: Span,
    /// Where the open line begins in the log's file; `None` if that is in an earlier file. Also once
    /// parts of it were given out: its pieces share a stamp, and only all of them can be counted.
    began: Option<u64>,
    /// Something was held back or given out as a part: the line goes on.
    open: bool,
    /// Of the open line a part was given out.
    parted: bool,
}

impl Assembler {
    /// Lines longer than `max_line_bytes` are given out in parts of that size.
    pub fn new(max_line_bytes: usize) -> Self {
        Self {
            max_line_bytes,
            direct_below: max_line_bytes.saturating_add(1),
            carriage_returns: false,
            piece_bytes: PIECE_BYTES,
            wanted: [true; 2],
            held: <[Held; 2]>::default(),
            records: None,
            read_to: None,
        }
    }

    /// Joins lines to records, which are no longer than a line may be.
    #[must_use]
    pub fn joining(mut self, rule: Multiline) -> Self {
        self.direct_below = 0;
        self.records = Some(Box::new(Records::new(rule, self.max_line_bytes)));
        self
    }

    /// A terminal ends its lines with CR LF: takes the CR off as well.
    pub fn strip_carriage_returns(&mut self, strip: bool) {
        self.carriage_returns = strip;
    }

    /// Podman cuts lines where its reads end: a record without a line end is then always continued,
    /// however short it is.
    pub fn cut_anywhere(&mut self, anywhere: bool) {
        self.piece_bytes = if anywhere { 0 } else { PIECE_BYTES };
    }

    /// What comes on a stream that is not wanted is passed over.
    pub fn only(&mut self, stdout: bool, stderr: bool) {
        self.wanted = [stdout, stderr];
    }

    /// Takes one piece; whole lines go to `out`. Returns how many parts of overlong lines did.
    pub fn piece(&mut self, piece: Piece<'_>, out: &mut ChunkBuilder) -> u64 {
        let (strip, direct_below) = (self.carriage_returns, self.direct_below);
        self.read_to = Some(piece.place.span.end);
        let [stdout, stderr] = self.wanted;
        if !(if piece.place.stream == Stream::Stdout { stdout } else { stderr }) {
            return 0;
        }
        let (held, other) = of(&mut self.held, piece.place.stream);
        let (text, ended) = match piece.text.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (piece.text, piece.text.len() < self.piece_bytes),
        };
        if ended && !held.open && text.len() < direct_below {
            let text = if strip { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
            let Place { mark, span, .. } = piece.place;
            out.push(b"", text, Place { span: other.back().span(span.end), ..piece.place });
            held.mark = Some(mark);
            return 0;
        }
        self.hold(Piece { text, ..piece }, ended, out)
    }

    // A part of a line, or a line that may be a part of a record.
    fn hold(&mut self, piece: Piece<'_>, ended: bool, out: &mut ChunkBuilder) -> u64 {
        let (strip, max) = (self.carriage_returns, self.max_line_bytes);
        let Piece { place, text } = piece;
        let Place { time, stream, mark, span } = place;
        let (held, other) = of(&mut self.held, stream);
        let behind = Behind { end: span.start(), read_to: self.read_to, back: other.back() };
        if let Some(records) = &mut self.records
            && ended
            && !held.open
            && text.len() <= max
        {
            let text = if strip { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
            records.line(text, place, behind, out);
            held.mark = Some(mark);
            return 0;
        }
        if !held.open {
            held.time = time;
            held.began = match &self.records {
                Some(records) => records.begins_at(place),
                None => span.start(),
            };
        }
        let before = held.mark;
        held.open = true;
        held.text.extend_from_slice(text);
        held.span = span;
        let mut parts = 0;
        if held.text.len() > max {
            let mut back = other.back();
            if let Some(records) = &mut self.records {
                let behind = Behind { back: back.and(held.back()), ..behind };
                records.give_cut(stream, behind, out);
                back = back.and(records.back(stream.other()));
            }
            parts = held.give_parts(max, (stream, before), back, out);
        }
        held.mark = Some(mark);
        if ended {
            if strip && held.text.last() == Some(&b'\r') {
                held.text.pop();
            }
            match &mut self.records {
                Some(records) => held.join_rest(stream, records, behind, out),
                None => held.give_rest(stream, other.back().span(span.end), out),
            }
        }
        parts
    }

    /// Gives out what is held: the log has ended and nothing will complete it.
    pub fn flush(&mut self, out: &mut ChunkBuilder) {
        let read_to = self.read_to;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (held, other) = of(&mut self.held, stream);
            if held.open && !held.text.is_empty() {
                match &mut self.records {
                    Some(records) => {
                        let behind = Behind { end: read_to, read_to, back: other.back() };
                        held.join_rest(stream, records, behind, out);
                    }
                    None => held.give_rest(stream, other.back().span_to(read_to), out),
                }
            }
        }
        self.give_records(out);
    }

    /// Gives out what is held as parts of lines that go on: there is no room to wait for their
    /// end. Returns how many parts. Records that lines are joined to are given out as they are.
    pub fn give_out(&mut self, out: &mut ChunkBuilder) -> u64 {
        let (mut parts, read_to) = (0, self.read_to);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (held, other) = of(&mut self.held, stream);
            let mut back = other.back();
            if let Some(records) = &mut self.records {
                let behind = Behind { end: read_to, read_to, back: back.and(held.back()) };
                records.give_cut(stream, behind, out);
                back = back.and(records.back(stream.other()));
            }
            if held.open && !held.text.is_empty() {
                held.give_rest(stream, back.span_to(read_to), out);
                held.open = true;
                held.parted = true;
                parts += 1;
            }
        }
        parts
    }

    /// Whether lines are joined to records.
    pub fn joins(&self) -> bool {
        self.records.is_some()
    }

    /// Whether a record is open that a line may be joined to.
    pub fn has_record(&self) -> bool {
        self.records.as_ref().is_some_and(|records| records.is_open())
    }

    /// When the next record is complete if no line comes. Lines that came since the last call have
    /// come at `now`.
    pub fn deadline(&mut self, now: Instant) -> Option<Instant> {
        self.records.as_mut()?.deadline(now)
    }

    /// Gives out the records that were complete by `now`, as `deadline` has told.
    pub fn give_due(&mut self, now: Instant, out: &mut ChunkBuilder) {
        let behind = self.behind_all();
        if let Some(records) = &mut self.records {
            records.give_due(now, behind, out);
        }
    }

    /// Gives out the records that are open as they are.
    pub fn give_records(&mut self, out: &mut ChunkBuilder) {
        let behind = self.behind_all();
        if let Some(records) = &mut self.records {
            records.give_all(behind, out);
        }
    }

    /// Records given out, since the last call, because a line had no room in them.
    pub fn take_cut(&mut self) -> u64 {
        self.records.as_mut().map_or(0, |records| records.take_cut())
    }

    /// What comes next is in another file of the log.
    pub fn file_ended(&mut self) {
        self.read_to = None;
        for held in &mut self.held {
            held.began = None;
        }
        if let Some(records) = &mut self.records {
            records.file_ended();
        }
    }

    /// An assembler with the same limits that holds nothing.
    #[must_use]
    pub fn anew(&self) -> Self {
        let records = self.records.as_ref().map(|records| Box::new(records.anew()));
        Self {
            direct_below: self.direct_below,
            carriage_returns: self.carriage_returns,
            piece_bytes: self.piece_bytes,
            wanted: self.wanted,
            records,
            ..Self::new(self.max_line_bytes)
        }
    }

    /// Bytes of lines whose end has not come, and of open records.
    pub fn held_bytes(&self) -> usize {
        let records = self.records.as_ref().map_or(0, |records| records.bytes());
        self.held.iter().map(|held| held.text.len()).sum::<usize>() + records
    }

    /// The stamp of the line that is open on a stream, of which pieces are to come.
    pub fn open_since(&self, stream: Stream) -> Option<Timestamp> {
        let [stdout, stderr] = &self.held;
        let held = if stream == Stream::Stdout { stdout } else { stderr };
        held.open.then_some(held.time)
    }

    /// The stamp of the earliest line that was taken and not given out, wholly or in part: a resume
    /// must not start behind it.
    pub fn holds_from(&self) -> Option<Timestamp> {
        let records = self.records.as_ref();
        let streams = [Stream::Stdout, Stream::Stderr].into_iter();
        let open = |stream| {
            let record = records.and_then(|records| records.open_since(stream));
            self.open_since(stream).into_iter().chain(record).min()
        };
        streams.filter_map(open).min()
    }

    // Where that is given out which is not given out for a line.
    fn behind_all(&self) -> Behind {
        let [stdout, stderr] = &self.held;
        let read_to = self.read_to;
        Behind { end: read_to, read_to, back: stdout.back().and(stderr.back()) }
    }
}

// What is held of this stream, and of the other.
fn of(held: &mut [Held; 2], stream: Stream) -> (&mut Held, &Held) {
    let [stdout, stderr] = held;
    if stream == Stream::Stdout { (stdout, stderr) } else { (stderr, stdout) }
}

impl Held {
    fn back(&self) -> Back {
        if self.open { Back::to(self.began) } else { Back::Nowhere }
    }

    // Whole parts of `max` bytes. All but the piece's last byte are still to come after a resume,
    // so their mark is the one before this piece.
    fn give_parts(
        &mut self,
        max: usize,
        (stream, before): (Stream, Option<Mark>),
        back: Back,
        out: &mut ChunkBuilder,
    ) -> u64 {
        let time = self.time;
        let mark = before.unwrap_or(Mark { time, pieces: 0 });
        let piece = self.span.start().unwrap_or_default();
        let span = back.span(piece);
        let mut parts = 0;
        let mut given = 0;
        while self.text.len() > given + max {
            let rest = self.text.get(given..).unwrap_or_default();
            let part = rest.get(..whole_characters(rest, max)).unwrap_or_default();
            out.push(part, b"", Place { time, stream, mark, span });
            given += part.len();
            parts += 1;
        }
        self.parted |= given > 0;
        self.text.drain(..given);
        parts
    }

    fn give_rest(&mut self, stream: Stream, span: Span, out: &mut ChunkBuilder) {
        let time = self.time;
        let mark = self.mark.unwrap_or(Mark { time, pieces: 0 });
        out.push(&self.text, b"", Place { time, stream, mark, span });
        self.end();
    }

    // The line is complete and may be a part of a record; what is left of one that was given out
    // in parts begins one.
    fn join_rest(
        &mut self,
        stream: Stream,
        records: &mut Records,
        behind: Behind,
        out: &mut ChunkBuilder,
    ) {
        let time = self.time;
        let mark = self.mark.unwrap_or(Mark { time, pieces: 0 });
        let place = Place { time, stream, mark, span: self.back().span(self.span.end) };
        if self.parted {
            records.begin(&self.text, place, behind, out);
        } else {
            records.line(&self.text, place, behind, out);
        }
        self.end();
    }

    fn end(&mut self) {
        self.text.clear();
        // One long line must not pin its memory for the life of the container.
        self.text.shrink_to(PIECE_BYTES);
        self.open = false;
        self.parted = false;
    }
}

/// How much of the first `max` bytes to take so that no UTF-8 character is cut: all of them where
/// there is none. `text` is longer than `max`.
fn whole_characters(text: &[u8], max: usize) -> usize {
    let continues = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xC0 == 0x80);
    // A character has four bytes at most.
    (max.saturating_sub(3).max(1)..=max).rev().find(|at| !continues(at)).unwrap_or(max)
}

#[cfg(test)]
mod tests;
