//! Position, assembler, lanes and cursors against a flat log: streams cut and agents killed at any
//! record, acknowledgements at any line. Nothing is missing, nothing comes twice.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::position::{Admission, Position};
use crate::assemble::{Assembler, Multiline, Pattern, Piece};
use crate::lane::{Kept, Lane, Lanes, Picked};
use crate::metrics::Metrics;
use crate::record::{ChunkBuilder, Container, Place, Span, Stream, Timestamp};

/// The engine cuts lines after this many bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// Stamps may lie further apart.
const FLUSH: Duration = Duration::from_secs(2);
const NOW: Timestamp = Timestamp::from_nanos(i64::MAX / 2);

/// Pieces of a line come after others that were stamped later by this much for each line between:
/// within the disorder that a position allows for.
const LATE_NANOS: i64 = 50_000_000;

#[derive(Debug, Clone)]
struct Record {
    stream: Stream,
    time: Timestamp,
    text: Vec<u8>,
}

/// A log of both streams, in the order in which the engine wrote it, and its lines by stream.
#[derive(Debug, Clone)]
struct Log {
    records: Vec<Record>,
    lines: [Vec<String>; 2],
}

#[derive(Debug, Clone)]
enum Action {
    /// Takes so many records of the open stream, then hands over.
    Take(usize),
    /// The destination takes what waits, all of it or not.
    Pick(usize),
    /// So many of the lines that were picked are acknowledged.
    Acknowledge(usize),
    /// No line came for so long that open records are complete.
    Silence,
    /// The stream breaks and is opened again.
    Cut,
    /// The agent is killed and started again.
    Kill,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1..12_usize).prop_map(Action::Take),
        3 => (1..100_000_usize).prop_map(Action::Pick),
        4 => (1..10_usize).prop_map(Action::Acknowledge),
        1 => Just(Action::Silence),
        2 => Just(Action::Cut),
        2 => Just(Action::Kill),
    ]
}

/// Lines of one to three pieces on both streams, their pieces mingled; stamps rise by 0 to 4 s
/// and are shared by the pieces of a line, and by some lines that follow each other.
fn log() -> impl Strategy<Value = Log> {
    let step = prop_oneof![Just(0), 0..LATE_NANOS, 0..4_000_000_000_i64];
    let line = (any::<bool>(), 1..4_usize, step, any::<u8>());
    prop::collection::vec(line, 1..40).prop_map(|lines| {
        let mut clock = 1_000_000_000_000_i64;
        let mut open: [Vec<Record>; 2] = [Vec::new(), Vec::new()];
        let mut log = Log { records: Vec::new(), lines: [Vec::new(), Vec::new()] };
        for (number, (stderr, pieces, step, mingle)) in lines.into_iter().enumerate() {
            let (stream, index) = [(Stream::Stdout, 0), (Stream::Stderr, 1)][usize::from(stderr)];
            // A line of a stream begins when the one before it has ended.
            log.records.extend(open[index].drain(..).rev());
            if step > LATE_NANOS {
                log.records.extend(open[1 - index].drain(..).rev());
            }
            clock += step;
            let time = Timestamp::from_nanos(clock);
            let mut name = format!("{number:05}");
            log.lines[index].push(name.clone());
            name.push_str(&"x".repeat((pieces - 1) * PIECE_BYTES));
            name.push('\n');
            let texts: Vec<Vec<u8>> =
                name.into_bytes().chunks(PIECE_BYTES).map(<[u8]>::to_vec).collect();
            open[index] =
                texts.into_iter().rev().map(|text| Record { stream, time, text }).collect();
            // The first of its pieces comes at once, and some more; the others after those of the
            // other stream.
            for _ in 0..=usize::from(mingle) % pieces {
                log.records.extend(open[index].pop());
            }
        }
        for rest in &mut open {
            log.records.extend(rest.drain(..).rev());
        }
        log
    })
}

/// One run of the agent: the parts of a follower, without its sockets.
struct Agent {
    lanes: Arc<Lanes>,
    lane: Lane,
    container: Arc<Container>,
    position: Position,
    assembler: Assembler,
    builder: ChunkBuilder,
    /// Where the open stream is.
    next: usize,
    picked: Vec<(Picked, usize)>,
}

impl Agent {
    fn start(kept: Kept, log: &Log, rule: Option<&Multiline>) -> Self {
        let lanes = Lanes::new(1 << 30, kept, Metrics::new().destination("model"));
        let container = Arc::new(Container { id: "one".into(), ..Container::default() });
        let lane = lanes.open(&container, None);
        let position = Position::starting(lane.settled().read());
        let (assembler, builder) = (Assembler::new(1 << 20), ChunkBuilder::default());
        let assembler = rule.map_or(assembler.anew(), |rule| assembler.joining(rule.clone()));
        let picked = Vec::new();
        let mut agent =
            Self { lanes, lane, container, position, assembler, builder, next: 0, picked };
        agent.open(log);
        agent
    }

    fn open_lines(&self) -> impl Iterator<Item = Timestamp> {
        let streams = [Stream::Stdout, Stream::Stderr].into_iter();
        streams.filter_map(|stream| self.assembler.open_since(stream))
    }

    /// A tail if it reaches back far enough, else `since`, as the follower does it.
    fn open(&mut self, log: &Log) {
        self.position.reopened(NOW);
        let tails = [2, 3, 10].map(|records| log.records.len().saturating_sub(records));
        let reaches = |start: &usize| {
            let mut position = self.position.clone();
            log.records[*start..].iter().all(|Record { stream, time, text }| {
                let open = self.assembler.open_since(*stream).is_some();
                let reaches = !position.needs_more(*stream, *time, NOW, open);
                position.admit(*stream, *time, text, NOW);
                reaches
            })
        };
        let since = self.position.since(self.open_lines());
        let all = || {
            let first = log.records.iter().position(|r| since.is_none_or(|since| r.time >= since));
            first.unwrap_or(log.records.len())
        };
        self.next = tails.iter().find(|start| reaches(start)).copied().unwrap_or_else(all);
    }

    fn take(&mut self, log: &Log, records: usize) {
        for record in log.records.iter().skip(self.next).take(records) {
            let Record { stream, time, text } = record;
            if let Admission::New(mark) = self.position.admit(*stream, *time, text, NOW) {
                let place = Place { time: *time, stream: *stream, mark, span: Span::default() };
                self.assembler.piece(Piece { place, text }, &mut self.builder);
            }
        }
        self.next = (self.next + records).min(log.records.len());
        self.hand_over();
    }

    fn silence(&mut self) {
        self.assembler.give_records(&mut self.builder);
        self.hand_over();
    }

    fn hand_over(&mut self) {
        if let Some(mut chunk) = self.builder.take(&self.container) {
            chunk.edge.open = self.assembler.holds_from();
            self.lane.push(chunk);
        }
    }

    fn pick(&mut self, bytes: usize) {
        let picked = self.lanes.next(bytes).now_or_never().unwrap_or_default();
        for picked in picked {
            picked.settled.note_sent(picked.chunk.lines(), picked.chunk.edge);
            self.picked.push((picked, 0));
        }
    }

    /// Acknowledges lines; returns them.
    fn acknowledge(&mut self, mut lines: usize) -> Vec<(Stream, String)> {
        let mut seen = Vec::new();
        for (picked, done) in &mut self.picked {
            let chunk = &picked.chunk;
            let upto = (*done + lines).min(chunk.lines().len());
            lines -= upto - *done;
            let (settled, rest) = chunk.lines().split_at(upto);
            if upto > *done {
                picked.settled.advance(&settled[*done..], rest, chunk.edge);
            }
            for line in &settled[*done..] {
                for text in chunk.text(line).split(|byte| *byte == b'\n') {
                    seen.push((line.stream, String::from_utf8_lossy(&text[..5]).into_owned()));
                }
            }
            *done = upto;
        }
        self.picked.retain(|(picked, done)| *done < picked.chunk.lines().len());
        seen
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_resume_at_any_line_repeats_nothing_and_misses_nothing(
        log in log(),
        actions in prop::collection::vec(action(), 1..60),
        joins in any::<bool>(),
    ) {
        // Every third line begins a record.
        let rule = joins.then(|| Multiline::new(Pattern::parse("^....[0369]").unwrap(), FLUSH));
        let mut agent = Agent::start(Kept::default(), &log, rule.as_ref());
        let mut kept = Kept::default();
        let mut seen = Vec::new();
        for action in actions {
            match action {
                Action::Take(records) => agent.take(&log, records),
                Action::Pick(bytes) => agent.pick(bytes),
                Action::Acknowledge(lines) => seen.extend(agent.acknowledge(lines)),
                Action::Silence => agent.silence(),
                Action::Cut => agent.open(&log),
                Action::Kill => {
                    kept = agent.lanes.kept().unwrap_or(kept);
                    agent = Agent::start(kept.clone(), &log, rule.as_ref());
                }
            }
        }
        agent.take(&log, usize::MAX / 2);
        agent.silence();
        agent.pick(usize::MAX / 2);
        seen.extend(agent.acknowledge(usize::MAX / 2));
        for (stream, wanted) in [Stream::Stdout, Stream::Stderr].into_iter().zip(log.lines) {
            let got: Vec<String> =
                seen.iter().filter(|(of, _)| *of == stream).map(|(_, name)| name.clone()).collect();
            prop_assert_eq!(got, wanted, "{:?}", stream);
        }
    }
}
