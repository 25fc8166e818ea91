//! Docker's pieces to whole lines: a state machine per log, without I/O and without a clock.
//!
//! The engine cuts a line after 16 KiB (`defaultBufSize` in its copier) and passes the parts on as
//! records of their own. What is held here lies behind the marks of all lines given out, so that
//! no cursor can pass it.

use crate::record::{ChunkBuilder, Mark, Place, Span, Stream, Timestamp};

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
    carriage_returns: bool,
    held: [Held; 2],
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
    /// Where the first piece of what is held begins in the log's file; `None` if that is in an
    /// earlier file.
    began: Option<u64>,
    /// Something was held back or given out as a part: the line goes on.
    open: bool,
}

impl Assembler {
    /// Lines longer than `max_line_bytes` are given out in parts of that size.
    pub fn new(max_line_bytes: usize) -> Self {
        let held = [Held::default(), Held::default()];
        Self { max_line_bytes, carriage_returns: false, held, read_to: None }
    }

    /// A terminal ends its lines with CR LF: takes the CR off as well.
    pub fn strip_carriage_returns(&mut self, strip: bool) {
        self.carriage_returns = strip;
    }

    /// Takes one piece; whole lines go to `out`. Returns how many parts of overlong lines did.
    pub fn piece(&mut self, piece: Piece<'_>, out: &mut ChunkBuilder) -> u64 {
        let strip = self.carriage_returns;
        let max = self.max_line_bytes;
        let Place { time, stream, mark, span } = piece.place;
        self.read_to = Some(span.end);
        let (held, other) = self.of(stream);
        let (text, ended) = match piece.text.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (piece.text, piece.text.len() < PIECE_BYTES),
        };
        if ended && !held.open && text.len() <= max {
            let text = if strip { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
            out.push(b"", text, Place { span: other.behind(span.end), ..piece.place });
            held.mark = Some(mark);
            return 0;
        }
        if !held.open {
            held.time = time;
            held.began = span.start();
        }
        let before = held.mark;
        held.open = true;
        held.text.extend_from_slice(text);
        held.span = span;
        let parts = held.give_parts(max, (stream, before), other, out);
        held.mark = Some(mark);
        if ended {
            if strip && held.text.last() == Some(&b'\r') {
                held.text.pop();
            }
            held.give_rest(stream, other.behind(span.end), out);
        }
        parts
    }

    /// Gives out what is held: the log has ended and nothing will complete it.
    pub fn flush(&mut self, out: &mut ChunkBuilder) {
        let read_to = self.read_to;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (held, other) = self.of(stream);
            if held.open && !held.text.is_empty() {
                held.give_rest(stream, other.behind_all(read_to), out);
            }
        }
    }

    /// Gives out what is held as parts of lines that go on: there is no room to wait for their
    /// end. Returns how many parts.
    pub fn give_out(&mut self, out: &mut ChunkBuilder) -> u64 {
        let (mut parts, read_to) = (0, self.read_to);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (held, other) = self.of(stream);
            if held.open && !held.text.is_empty() {
                held.give_rest(stream, other.behind_all(read_to), out);
                held.open = true;
                held.began = read_to;
                parts += 1;
            }
        }
        parts
    }

    /// What comes next is in another file of the log.
    pub fn file_ended(&mut self) {
        self.read_to = None;
        for held in &mut self.held {
            held.began = None;
        }
    }

    /// An assembler with the same limits that holds nothing.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(self.max_line_bytes)
    }

    /// Bytes of lines whose end has not come.
    pub fn held_bytes(&self) -> usize {
        self.held.iter().map(|held| held.text.len()).sum()
    }

    /// The stamp of the line that is open on a stream, which a resume must not start behind.
    pub fn open_since(&self, stream: Stream) -> Option<Timestamp> {
        let [stdout, stderr] = &self.held;
        let held = if stream == Stream::Stdout { stdout } else { stderr };
        held.open.then_some(held.time)
    }

    // What is held of this stream, and of the other.
    fn of(&mut self, stream: Stream) -> (&mut Held, &Held) {
        let [stdout, stderr] = &mut self.held;
        if stream == Stream::Stdout { (stdout, stderr) } else { (stderr, stdout) }
    }
}

impl Held {
    // What has to be looked at again behind a line of the other stream that ends at `end`.
    fn behind(&self, end: u64) -> Span {
        match self.began {
            _ if !self.open => Span::new(end, end),
            Some(began) => Span::new(began.min(end), end),
            None => Span { end, back: u32::MAX },
        }
    }

    // The same behind everything that was read, which may be nothing of this file.
    fn behind_all(&self, read_to: Option<u64>) -> Span {
        read_to.map_or(Span { end: 0, back: u32::MAX }, |end| self.behind(end))
    }

    // Whole parts of `max` bytes. All but the piece's last byte are still to come after a resume,
    // so their mark is the one before this piece.
    fn give_parts(
        &mut self,
        max: usize,
        (stream, before): (Stream, Option<Mark>),
        other: &Self,
        out: &mut ChunkBuilder,
    ) -> u64 {
        let time = self.time;
        let mark = before.unwrap_or(Mark { time, pieces: 0 });
        let piece = self.span.start().unwrap_or_default();
        let span = other.behind(piece);
        let mut parts = 0;
        let mut given = 0;
        while let Some(part) =
            self.text.get(given..given + max).filter(|_| self.text.len() > given + max)
        {
            out.push(part, b"", Place { time, stream, mark, span });
            given += max;
            parts += 1;
        }
        if given > 0 {
            self.began = Some(piece);
        }
        self.text.drain(..given);
        parts
    }

    fn give_rest(&mut self, stream: Stream, span: Span, out: &mut ChunkBuilder) {
        let time = self.time;
        let mark = self.mark.unwrap_or(Mark { time, pieces: 0 });
        out.push(&self.text, b"", Place { time, stream, mark, span });
        self.text.clear();
        // One long line must not pin its memory for the life of the container.
        self.text.shrink_to(PIECE_BYTES);
        self.open = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::record::Container;

    struct Feed {
        assembler: Assembler,
        out: ChunkBuilder,
        clock: i64,
    }

    impl Feed {
        fn new(max: usize) -> Self {
            Self { assembler: Assembler::new(max), out: ChunkBuilder::default(), clock: 0 }
        }

        /// Cuts a line as the engine's copier does: 16 KiB pieces with one stamp.
        fn line(&mut self, stream: Stream, text: &[u8], newline: bool) {
            self.clock += 1;
            let time = Timestamp::from_nanos(self.clock);
            let mut pieces = 0;
            let mut rest = text;
            while rest.len() >= PIECE_BYTES {
                let (piece, tail) = rest.split_at(PIECE_BYTES);
                pieces += 1;
                self.piece(stream, time, pieces, piece);
                rest = tail;
            }
            let mut last = rest.to_vec();
            if newline {
                last.push(b'\n');
            }
            if !last.is_empty() {
                self.piece(stream, time, pieces + 1, &last);
            }
        }

        fn piece(&mut self, stream: Stream, time: Timestamp, pieces: u32, text: &[u8]) {
            let place = Place { time, stream, mark: Mark { time, pieces }, span: Span::default() };
            self.assembler.piece(Piece { place, text }, &mut self.out);
        }

        fn lines(&mut self) -> Vec<(Stream, Vec<u8>, Mark)> {
            let Some(chunk) = self.out.take(&Arc::new(Container::default())) else {
                return Vec::new();
            };
            let line = |l: &crate::record::Line| (l.stream, chunk.text(l).to_vec(), l.mark);
            chunk.lines().iter().map(line).collect()
        }
    }

    #[test]
    fn what_is_given_out_without_its_end_lies_behind_all_that_was_read_of_the_file() {
        let mut feed = Feed::new(1 << 20);
        let mut take = |stream, text: &[u8], start, end| {
            let mark = Mark { time: Timestamp::from_nanos(1), pieces: 1 };
            let place = Place { time: mark.time, stream, mark, span: Span::new(start, end) };
            feed.assembler.piece(Piece { place, text }, &mut feed.out);
        };
        take(Stream::Stderr, &[b'x'; PIECE_BYTES], 0, 100);
        take(Stream::Stdout, b"line\n", 100, 150);
        take(Stream::Stdout, &[b'x'; PIECE_BYTES], 150, 250);
        take(Stream::Stderr, &[b'x'; PIECE_BYTES], 250, 350);
        let spans = |feed: &mut Feed| {
            feed.assembler.give_out(&mut feed.out);
            let chunk = feed.out.take(&Arc::new(Container::default()));
            chunk.unwrap().lines().iter().map(|line| line.span).collect::<Vec<_>>()
        };
        // The line was behind the piece that was held, and so is what is given out first.
        let given = [Span::new(0, 150), Span::new(0, 350), Span::new(350, 350)];
        assert_eq!(spans(&mut feed), given);
        feed.piece(Stream::Stdout, Timestamp::from_nanos(2), 1, &[b'x'; PIECE_BYTES]);
        feed.assembler.file_ended();
        assert_eq!(spans(&mut feed)[0].start(), None, "that was in another file");
    }

    #[test]
    fn a_held_piece_keeps_every_mark_behind_it() {
        let mut feed = Feed::new(1 << 20);
        feed.line(Stream::Stdout, b"one", true);
        let time = Timestamp::from_nanos(50);
        feed.piece(Stream::Stdout, time, 1, &[b'x'; PIECE_BYTES]);
        feed.line(Stream::Stderr, b"two", true);
        let lines = feed.lines();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].2.time.nanos(), 1, "stdout stays before the open line");
        assert_eq!(feed.assembler.open_since(Stream::Stdout), Some(time));
        feed.piece(Stream::Stdout, time, 2, b"y\n");
        let lines = feed.lines();
        assert_eq!(lines[0].1.len(), PIECE_BYTES + 1);
        assert_eq!(lines[0].2, Mark { time, pieces: 2 });
    }

    #[test]
    fn a_short_record_without_a_line_feed_is_a_whole_line() {
        let mut feed = Feed::new(1 << 20);
        feed.line(Stream::Stdout, b"no end", false);
        assert_eq!(feed.lines()[0].1, b"no end");
    }

    #[test]
    fn a_terminal_line_loses_its_carriage_return_even_when_cut_before_the_line_feed() {
        let mut feed = Feed::new(1 << 20);
        feed.assembler.strip_carriage_returns(true);
        let mut text = vec![b'z'; PIECE_BYTES - 1];
        text.push(b'\r');
        feed.line(Stream::Stdout, &text, true);
        feed.line(Stream::Stdout, b"short\r", true);
        let lines = feed.lines();
        assert_eq!(lines[0].1.len(), PIECE_BYTES - 1);
        assert_eq!(lines[1].1, b"short");
    }

    #[test]
    fn an_endless_line_is_given_out_in_parts_within_bounds() {
        let mut feed = Feed::new(20_000);
        let text: Vec<u8> =
            (0..100_000_u32).map(|i| b'a' + u8::try_from(i % 26).unwrap()).collect();
        feed.line(Stream::Stdout, &text, true);
        let lines = feed.lines();
        assert!(lines.iter().all(|line| line.1.len() <= 20_000));
        let joined: Vec<u8> = lines.iter().flat_map(|line| line.1.clone()).collect();
        assert_eq!(joined, text);
        assert!(lines.windows(2).all(|pair| pair[0].2 <= pair[1].2), "marks never fall");
        assert!(feed.assembler.held[0].text.capacity() <= PIECE_BYTES);
    }

    #[test]
    fn what_is_held_comes_out_at_the_end_of_the_log() {
        let mut feed = Feed::new(1 << 20);
        feed.line(Stream::Stderr, &[b'q'; PIECE_BYTES], false);
        assert!(feed.lines().is_empty());
        feed.assembler.flush(&mut feed.out);
        assert_eq!(feed.lines()[0].1.len(), PIECE_BYTES);
    }

    fn length() -> impl Strategy<Value = usize> {
        prop_oneof![
            0..200_usize,
            (1..4_usize, -2..3_isize).prop_map(|(k, d)| (k * PIECE_BYTES).saturating_add_signed(d)),
        ]
    }

    proptest! {
        #[test]
        fn n_lines_in_are_n_lines_out(
            lines in prop::collection::vec((any::<bool>(), length()), 1..20)
        ) {
            let mut feed = Feed::new(1 << 20);
            let mut wanted = Vec::new();
            for (number, (stderr, length)) in lines.into_iter().enumerate() {
                let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
                let text = vec![b'a' + u8::try_from(number).unwrap(); length];
                feed.line(stream, &text, true);
                wanted.push((stream, text));
            }
            let got: Vec<_> = feed.lines().into_iter().map(|(s, t, _)| (s, t)).collect();
            prop_assert_eq!(got, wanted);
        }
    }
}
