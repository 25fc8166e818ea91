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
    let given = [Span::new(0, 150), Span::new(0, 350), Span::new(150, 350)];
    assert_eq!(spans(&mut feed), given);
    feed.piece(Stream::Stdout, Timestamp::from_nanos(2), 1, &[b'x'; PIECE_BYTES]);
    feed.assembler.file_ended();
    assert_eq!(spans(&mut feed)[0].start(), None, "that was in another file");
}

#[test]
fn behind_a_part_of_a_line_all_its_pieces_are_looked_at_for_they_share_a_stamp() {
    let mut feed = Feed::new(20_000);
    let mut take = |stream, (time, pieces), text: &[u8], start, end| {
        let time = Timestamp::from_nanos(time);
        let mark = Mark { time, pieces };
        let place = Place { time, stream, mark, span: Span::new(start, end) };
        feed.assembler.piece(Piece { place, text }, &mut feed.out);
    };
    take(Stream::Stdout, (7, 1), &[b'x'; PIECE_BYTES], 0, 100);
    take(Stream::Stdout, (7, 2), &[b'x'; PIECE_BYTES], 100, 200);
    take(Stream::Stderr, (9, 1), b"line\n", 200, 300);
    let chunk = feed.out.take(&Arc::new(Container::default())).unwrap();
    let [part, line] = chunk.lines() else { panic!("{:?}", chunk.lines()) };
    // The second piece, of which the end is held, is the second one with its stamp only for a
    // reader that has seen the first.
    assert_eq!((part.mark.pieces, part.span), (1, Span::new(100, 100)));
    assert_eq!(line.span, Span::new(0, 300));
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
fn where_lines_are_cut_anywhere_only_a_line_feed_ends_one() {
    let mut feed = Feed::new(1 << 20);
    feed.assembler.cut_anywhere(true);
    let time = Timestamp::from_nanos(1);
    for (pieces, text) in [(1, &b"li"[..]), (2, b"ne\n"), (3, b"whole\n")] {
        feed.piece(Stream::Stdout, time, pieces, text);
    }
    let texts: Vec<_> = feed.lines().into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(texts, [&b"line"[..], b"whole"]);
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
fn a_part_ends_between_characters_where_there_are_any() {
    for (text, max, taken) in [
        ("aé".as_bytes(), 2, 1),
        ("aaé".as_bytes(), 2, 2),
        ("a\u{20ac}b".as_bytes(), 3, 1),
        ("\u{1f600}\u{1f600}".as_bytes(), 7, 4),
        (&[0x80; 9][..], 5, 5),
        ("é".as_bytes(), 1, 1),
    ] {
        assert_eq!(whole_characters(text, max), taken, "{text:?}");
    }
}

#[test]
fn an_endless_line_is_given_out_in_parts_within_bounds() {
    let mut feed = Feed::new(20_000);
    let text: Vec<u8> = (0..100_000_u32).map(|i| b'a' + u8::try_from(i % 26).unwrap()).collect();
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
