use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::assemble::{Assembler, Form, PIECE_BYTES, Pattern, Piece, Preset};
use crate::record::{Container, Cursor, Edge, FileId, Line, Span};

const FLUSH: Duration = Duration::from_secs(1);
const SECOND: i64 = 1_000_000_000;
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

type Mode = fn(Pattern) -> Form;
const MODES: [Mode; 4] = [Form::First, Form::NonFirst, Form::Last, Form::NonLast];

fn rule(mode: Mode) -> Multiline {
    Multiline::new(mode(Pattern::parse("BEGIN").unwrap()), FLUSH)
}

/// A log as it is written: stamps, marks and places in its file.
struct Log {
    assembler: Assembler,
    out: ChunkBuilder,
    clock: i64,
    position: u64,
    run: [Option<Mark>; 2],
}

impl Log {
    fn new(max: usize) -> Self {
        Self::of(rule(Form::First), max)
    }

    fn of(rule: Multiline, max: usize) -> Self {
        let assembler = Assembler::new(max).joining(rule);
        let out = ChunkBuilder::default();
        Self { assembler, out, clock: 0, position: 0, run: [None, None] }
    }

    /// One piece with this stamp; returns its place.
    fn piece(&mut self, stream: Stream, time: i64, text: &[u8]) -> Place {
        let time = Timestamp::from_nanos(time);
        let run = &mut self.run[usize::from(stream == Stream::Stderr)];
        let pieces = run.filter(|mark| mark.time == time).map_or(1, |mark| mark.pieces + 1);
        let mark = Mark { time, pieces };
        *run = Some(mark);
        let start = self.position;
        self.position += text.len() as u64 + 60;
        let place = Place { time, stream, mark, span: Span::new(start, self.position) };
        self.assembler.piece(Piece { place, text }, &mut self.out);
        place
    }

    /// A line of one piece, a millisecond after the last one.
    fn line(&mut self, stream: Stream, text: &str) {
        self.clock += 1_000_000;
        self.piece(stream, self.clock, format!("{text}\n").as_bytes());
    }

    fn records(&mut self) -> Vec<(Stream, String)> {
        let Some(chunk) = self.out.take(&Arc::new(Container::default())) else { return Vec::new() };
        let text = |line: &Line| String::from_utf8(chunk.text(line).to_vec()).unwrap();
        chunk.lines().iter().map(|line| (line.stream, text(line))).collect()
    }
}

#[test]
fn interleaved_stack_traces_come_whole_and_apart() {
    let mut log = Log::new(1 << 20);
    for (stream, text) in [
        (Stream::Stdout, "before"),
        (Stream::Stdout, "any match"),
        (Stream::Stdout, "BEGIN a"),
        (Stream::Stderr, "BEGIN x"),
        (Stream::Stdout, " at 1"),
        (Stream::Stderr, " at 2"),
        (Stream::Stdout, ""),
        (Stream::Stdout, "BEGIN b"),
    ] {
        log.line(stream, text);
    }
    let out = |text: &str| (Stream::Stdout, text.to_owned());
    assert_eq!(log.records(), [out("before\nany match"), out("BEGIN a\n at 1\n")]);
    assert!(log.assembler.has_record());
    log.assembler.flush(&mut log.out);
    assert_eq!(log.records(), [out("BEGIN b"), (Stream::Stderr, "BEGIN x\n at 2".to_owned())]);
    assert!(!log.assembler.has_record() && log.assembler.held_bytes() == 0);
}

#[test]
fn a_record_is_complete_when_no_line_of_its_stream_came_for_so_long() {
    let mut log = Log::new(1 << 20);
    let start = Instant::now();
    assert_eq!(log.assembler.deadline(start), None, "nothing is open");
    log.line(Stream::Stdout, "BEGIN a");
    assert_eq!(log.assembler.deadline(start), Some(start + FLUSH));
    let later = start + FLUSH / 2;
    log.line(Stream::Stderr, "BEGIN b");
    assert_eq!(log.assembler.deadline(later), Some(start + FLUSH), "stdout is still silent");
    log.line(Stream::Stdout, " a 2");
    assert_eq!(log.assembler.deadline(later), Some(later + FLUSH), "a line came");
    log.assembler.give_due(start + FLUSH, &mut log.out);
    assert_eq!(log.records(), []);
    log.assembler.give_due(later + FLUSH, &mut log.out);
    let both = [(Stream::Stdout, "BEGIN a\n a 2".into()), (Stream::Stderr, "BEGIN b".into())];
    assert_eq!(log.records(), both);
    assert_eq!(log.assembler.deadline(later + FLUSH), None);
    log.line(Stream::Stdout, " late");
    assert!(log.assembler.has_record(), "it begins a record of its own");
}

#[test]
fn stamps_tell_what_came_too_late_also_for_a_stream_that_is_silent() {
    let mut log = Log::new(1 << 20);
    log.piece(Stream::Stdout, 0, b"BEGIN a\n");
    log.piece(Stream::Stdout, SECOND, b"joined\n");
    log.piece(Stream::Stderr, SECOND, b"BEGIN x\n");
    log.piece(Stream::Stdout, 2 * SECOND + 1, b"late\n");
    assert_eq!(log.records(), [(Stream::Stdout, "BEGIN a\njoined".to_owned())]);
    let passed = 2 * SECOND + 1 + DISORDER_NANOS;
    log.piece(Stream::Stdout, passed - SECOND, b"late, too\n");
    assert_eq!(log.records(), []);
    log.piece(Stream::Stdout, passed, b"joined\n");
    assert_eq!(log.records(), [(Stream::Stderr, "BEGIN x".to_owned())]);
}

#[test]
fn a_record_without_room_for_a_line_is_given_out_and_counted() {
    let mut log = Log::new(10);
    for text in ["BEGIN a", "12", "3", "BEGIN bbb", "BEGIN c"] {
        log.line(Stream::Stdout, text);
    }
    let texts: Vec<_> = log.records().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["BEGIN a\n12", "3", "BEGIN bbb"]);
    assert_eq!(log.assembler.take_cut(), 1);
    log.line(Stream::Stdout, "BEGIN a long line");
    log.line(Stream::Stdout, "d");
    assert_eq!(log.assembler.give_out(&mut log.out), 0);
    let texts: Vec<_> = log.records().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["BEGIN c", "BEGIN a lo", "ng line\nd"]);
    assert_eq!((log.assembler.take_cut(), log.assembler.take_cut()), (2, 0));
    assert_eq!(log.assembler.held_bytes(), 0);
}

// The records that came so far, and then the ones that were still open.
fn come_of(rule: Multiline, lines: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut log = Log::of(rule, 1 << 20);
    for text in lines {
        log.line(Stream::Stdout, text);
    }
    let texts = |log: &mut Log| log.records().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    let came = texts(&mut log);
    log.assembler.flush(&mut log.out);
    (came, texts(&mut log))
}

#[test]
fn each_mode_groups_lines_in_its_own_way_and_gives_out_at_once_what_is_complete() {
    type Lines = &'static [&'static str];
    let cases: [(Mode, Lines, Lines, Lines); 6] = [
        (Form::First, &["a", "BEGIN b", "c"], &["a"], &["BEGIN b|c"]),
        (Form::NonFirst, &["a", "BEGIN b", "c"], &["a|BEGIN b"], &["c"]),
        (Form::NonFirst, &["BEGIN a", "BEGIN b"], &[], &["BEGIN a|BEGIN b"]),
        (Form::Last, &["a", "b BEGIN", "BEGIN", "c"], &["a|b BEGIN", "BEGIN"], &["c"]),
        (Form::NonLast, &["BEGIN a", "b", "c"], &["BEGIN a|b", "c"], &[]),
        (Form::NonLast, &["a", "BEGIN b"], &["a"], &["BEGIN b"]),
    ];
    for (mode, lines, came, open) in cases {
        let (got, rest) = come_of(rule(mode).separated_by(b"|"), lines);
        assert_eq!((got.as_slice(), rest.as_slice()), (&strings(came)[..], &strings(open)[..]));
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_record_of_as_many_lines_as_it_may_have_is_given_out_and_counted() {
    let mut log = Log::of(rule(Form::First).of_lines(2), 1 << 20);
    for text in ["BEGIN a", "1", "2", "3", "4", "BEGIN b", "1", "BEGIN c"] {
        log.line(Stream::Stdout, text);
    }
    let texts: Vec<_> = log.records().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["BEGIN a\n1", "2\n3", "4", "BEGIN b\n1"]);
    assert_eq!(log.assembler.take_cut(), 2);
}

#[test]
fn a_trace_longer_than_a_record_goes_on_in_the_next_one() {
    let rule = Multiline::new(Form::Preset(Preset::Java), FLUSH).of_lines(2);
    let lines = ["ERROR x", "a.b.CException: d", "\tat e", "\tat f", "\tat g", "done"];
    let (came, open) = come_of(rule, &lines);
    assert_eq!(came, ["ERROR x\na.b.CException: d", "\tat e\n\tat f", "\tat g"]);
    assert_eq!(open, ["done"]);
}

#[test]
fn a_separator_of_any_length_counts_among_the_bytes() {
    for (separator, max, wanted) in [
        (&b""[..], 10, &["BEGIN a123"][..]),
        (b"", 9, &["BEGIN a12", "3"]),
        (b"--", 12, &["BEGIN a--12", "3"]),
        (b"--", 14, &["BEGIN a--12--3"]),
    ] {
        let mut log = Log::of(rule(Form::First).separated_by(separator), max);
        for text in ["BEGIN a", "12", "3"] {
            log.line(Stream::Stdout, text);
        }
        log.assembler.flush(&mut log.out);
        let texts: Vec<_> = log.records().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, wanted);
    }
}

#[test]
fn a_line_that_no_trace_can_be_joined_to_waits_only_until_no_line_follows_it() {
    let mut log = Log::of(Multiline::new(Form::Preset(Preset::Auto), FLUSH), 1 << 20);
    let now = Instant::now();
    for (line, wait) in [
        ("10.0.0.7 GET / 200", Duration::ZERO),
        ("ERROR no order 17", FLUSH),
        ("panic: no order 17", FLUSH),
    ] {
        log.line(Stream::Stdout, line);
        assert_eq!(log.assembler.deadline(now), Some(now + wait), "{line}");
        log.assembler.give_due(now + wait, &mut log.out);
        assert_eq!(log.records(), [(Stream::Stdout, line.to_owned())]);
    }
    // Of lines that come together none is looked at for longer.
    log.line(Stream::Stdout, "ready");
    log.line(Stream::Stdout, "ERROR no order 17");
    assert_eq!(log.assembler.deadline(now), Some(now + FLUSH));
    log.line(Stream::Stdout, "\tat a.b.C.d(C.java:1)");
    assert_eq!(log.records(), [(Stream::Stdout, "ready".to_owned())]);
}

#[test]
fn a_silent_log_keeps_no_buffer() {
    let mut log = Log::new(1 << 20);
    log.line(Stream::Stdout, &"x".repeat(10_000));
    let deadline = log.assembler.deadline(Instant::now()).unwrap();
    log.assembler.give_due(deadline, &mut log.out);
    assert_eq!(log.assembler.records.as_ref().unwrap().open[0].text.capacity(), 0);
}

/// A line of a log, and how it is cut into pieces.
#[derive(Debug, Clone)]
struct Printed {
    begins: bool,
    filling: usize,
    cut: usize,
    step: i64,
}

impl Printed {
    // In a log of traces a line that does not begin one is a frame, or by its `cut` no part of one.
    fn text(&self, number: usize) -> Vec<u8> {
        let text = match (self.begins, self.cut % 3) {
            (true, _) => format!("ERROR {number:04} BEGIN "),
            (false, 0) => format!("plain {number:04} more "),
            (false, _) => format!("\tat {number:04} more "),
        };
        let mut text = text.into_bytes();
        text.resize(text.len() + self.filling, b'a' + u8::try_from(number % 26).unwrap());
        text
    }

    /// The pieces, at least 16 KiB each but for the last.
    fn pieces(&self, number: usize) -> Vec<Vec<u8>> {
        let mut text = self.text(number);
        text.push(b'\n');
        text.chunks(PIECE_BYTES + self.cut).map(<[u8]>::to_vec).collect()
    }
}

fn printed(longest: usize) -> impl Strategy<Value = [Vec<Printed>; 2]> {
    let filling = prop_oneof![4 => 0..40_usize, 1 => 0..longest];
    let step = prop_oneof![
        1 => Just(0),
        4 => 0..SECOND / 4,
        1 => Just(SECOND),
        1 => 0..5 * SECOND,
    ];
    let line = (any::<bool>(), filling, 0..3000_usize, step)
        .prop_map(|(begins, filling, cut, step)| Printed { begins, filling, cut, step });
    let lines = || prop::collection::vec(line.clone(), 0..16);
    (lines(), lines()).prop_map(|(out, err)| [out, err])
}

/// Which piece of the log belongs to which line.
#[derive(Debug, Clone)]
struct Written {
    stream: Stream,
    number: usize,
    time: i64,
    text: Vec<u8>,
}

// The pieces of both streams in the order in which `turns` has them written.
fn written(lines: &[Vec<Printed>; 2], turns: &[bool]) -> Vec<Written> {
    let mut queues = [0, 1].map(|at: usize| {
        let pieces = lines[at].iter().enumerate().flat_map(|(number, line)| {
            let step = |index| if index == 0 { Some(line.step) } else { None };
            let pieces = line.pieces(number).into_iter().enumerate();
            pieces.map(move |(index, text)| (number, step(index), text)).collect::<Vec<_>>()
        });
        pieces.collect::<std::collections::VecDeque<_>>()
    });
    let (mut clock, mut stamps, mut log) = (SECOND, [0; 2], Vec::new());
    let mut turns = turns.iter().cycle();
    while queues.iter().any(|queue| !queue.is_empty()) {
        let turn = usize::from(*turns.next().unwrap());
        let turn = if queues[turn].is_empty() { 1 - turn } else { turn };
        let (number, step, text) = queues[turn].pop_front().unwrap();
        if let Some(step) = step {
            clock += step;
            stamps[turn] = clock;
        }
        log.push(Written { stream: STREAMS[turn], number, time: stamps[turn], text });
    }
    log
}

/// What limits a record besides time, and what stands between its lines.
#[derive(Debug, Clone)]
struct Limits {
    mode: usize,
    separator: &'static str,
    lines: usize,
    bytes: usize,
}

impl Limits {
    fn rule(&self) -> Multiline {
        let rule = rule(MODES[self.mode]).of_lines(self.lines);
        rule.separated_by(self.separator.as_bytes())
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    let bytes = prop_oneof![Just(60_usize), 200..2000_usize, Just(40_000), Just(1 << 20)];
    let separator = prop_oneof![Just("\n"), Just(""), Just(" | ")];
    (0..MODES.len(), separator, prop_oneof![1..6_usize, Just(500)], bytes)
        .prop_map(|(mode, separator, lines, bytes)| Limits { mode, separator, lines, bytes })
}

/// The records of one stream, by the words of the documentation.
fn oracle(lines: &[(Vec<u8>, i64)], limits: &Limits) -> Vec<Vec<u8>> {
    let mut records: Vec<(Vec<u8>, usize)> = Vec::new();
    // Whether the last one may go on, and the stamp of its last line.
    let (mut last, mut open) = (None, false);
    for (text, time) in lines {
        // Of a line that is given out in parts the rest alone is looked at.
        let rest = text.chunks(limits.bytes).last().unwrap();
        let matches = rest.windows(5).take(PIECE_BYTES).any(|word| word == b"BEGIN");
        let in_time = last.is_some_and(|last| time - last <= SECOND);
        let goes_on = match limits.mode {
            0 => !matches,
            1 => matches,
            _ => true,
        };
        match records.last_mut() {
            Some((record, count))
                if open
                    && in_time
                    && goes_on
                    && *count < limits.lines
                    && record.len() + limits.separator.len() + text.len() <= limits.bytes =>
            {
                record.extend_from_slice(limits.separator.as_bytes());
                record.extend_from_slice(text);
                *count += 1;
            }
            _ => records.extend(text.chunks(limits.bytes).map(|part| (part.to_vec(), 1))),
        }
        open = match limits.mode {
            2 => !matches,
            3 => matches,
            _ => true,
        };
        last = Some(*time);
    }
    records.into_iter().map(|(record, _)| record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_a_log_gives_the_records_of_the_naive_model(
        lines in printed(60_000),
        turns in prop::collection::vec(any::<bool>(), 1..20),
        reads in prop::collection::vec(any::<bool>(), 1..20),
        limits in limits(),
    ) {
        let mut log = Log::of(limits.rule(), limits.bytes);
        let mut wanted: [Vec<(Vec<u8>, i64)>; 2] = [Vec::new(), Vec::new()];
        let mut got = Vec::new();
        let mut reads = reads.iter().cycle();
        for piece in written(&lines, &turns) {
            log.piece(piece.stream, piece.time, &piece.text);
            let at = usize::from(piece.stream == Stream::Stderr);
            if piece.text.ends_with(b"\n") {
                let text = lines[at][piece.number].text(piece.number);
                wanted[at].push((text, piece.time));
            }
            if *reads.next().unwrap() {
                got.extend(log.records());
            }
        }
        log.assembler.flush(&mut log.out);
        got.extend(log.records());
        for (stream, lines) in STREAMS.into_iter().zip(wanted) {
            let of = got.iter().filter(|(of, _)| *of == stream);
            let got: Vec<_> = of.map(|(_, text)| text.clone().into_bytes()).collect();
            prop_assert_eq!(got, oracle(&lines, &limits));
        }
    }

    #[test]
    fn a_resume_behind_any_record_finds_all_lines_that_it_does_not_have_and_no_other(
        lines in printed(40_000),
        turns in prop::collection::vec(any::<bool>(), 1..20),
        acts in prop::collection::vec(0..12_u8, 1..40),
        form in 0..=MODES.len(),
        most_lines in prop_oneof![1..6_usize, Just(500)],
    ) {
        let traces = || Multiline::new(Form::Preset(Preset::Java), FLUSH);
        let rule = MODES.get(form).map_or_else(traces, |mode| rule(*mode));
        let mut log = Log::of(rule.of_lines(most_lines), 1 << 20);
        let mut file = FileId { inode: 0, first: Timestamp::default() };
        let mut pieces: Vec<(FileId, Place, (Stream, usize))> = Vec::new();
        let mut done = BTreeSet::new();
        let mut cursor = Cursor::default();
        let mut acts = acts.iter().cycle();
        let written = written(&lines, &turns);
        for (index, piece) in written.iter().enumerate() {
            let place = log.piece(piece.stream, piece.time, &piece.text);
            pieces.push((file, place, (piece.stream, piece.number)));
            let edge_file = file;
            let act = if index + 1 == written.len() { 2 } else { *acts.next().unwrap() };
            match act {
                2 => log.assembler.give_records(&mut log.out),
                3 if log.out.is_empty() => {
                    log.assembler.file_ended();
                    log.position = 0;
                    file.inode += 1;
                }
                _ => {}
            }
            if act > 6 {
                continue;
            }
            let Some(mut chunk) = log.out.take(&Arc::new(Container::default())) else { continue };
            chunk.edge = Edge { open: log.assembler.holds_from(), file: Some(edge_file) };
            for at in 0..chunk.lines().len() {
                let (now, rest) = chunk.lines().split_at(at + 1);
                cursor.advance_over(&now[at..], rest, chunk.edge);
                for line in chunk.text(&now[at]).split(|byte| *byte == b'\n') {
                    let digits = line.iter().position(u8::is_ascii_digit).unwrap();
                    let number = std::str::from_utf8(&line[digits..digits + 4]).unwrap();
                    let number = number.parse().unwrap();
                    done.insert((now[at].stream, number));
                }
                assert_resumes(&pieces, &done, &cursor);
            }
        }
        let all = [0, 1].map(|at: usize| lines[at].len()).iter().sum::<usize>();
        prop_assert_eq!(done.len(), all);
    }
}

// As a follower goes on: what is taken is what is not `done`.
fn assert_resumes(
    pieces: &[(FileId, Place, (Stream, usize))],
    done: &BTreeSet<(Stream, usize)>,
    cursor: &Cursor,
) {
    let place = cursor.file();
    let mut runs: [Option<Mark>; 2] = [None, None];
    for (file, Place { time, stream, mark, span }, line) in pieces {
        let is_done = done.contains(line);
        let taken = cursor.mark(*stream);
        assert_eq!(taken.is_some_and(|taken| *mark <= taken), is_done, "by its mark: {line:?}");
        if !is_done {
            assert!(cursor.open().is_some_and(|open| open <= *time), "not looked for: {line:?}");
        }
        let Some(place) = place else { continue };
        let start = span.start().unwrap();
        let is_taken = match file.inode.cmp(&place.file.inode) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal if start < place.look_from => false,
            std::cmp::Ordering::Equal if start >= place.offset => true,
            std::cmp::Ordering::Equal => {
                let run = &mut runs[usize::from(*stream == Stream::Stderr)];
                let pieces = run.filter(|run| run.time == *time).map_or(1, |run| run.pieces + 1);
                let mark = Mark { time: *time, pieces };
                *run = Some(mark);
                taken.is_none_or(|taken| mark > taken)
            }
        };
        assert_eq!(is_taken, !is_done, "by its place: {line:?} in {place:?}");
    }
}
