//! What travels: a container's lines in chunks, and the marks that say how far a log is settled.
//!
//! Plain data; never knows where it came from or where it goes.

mod cursor;
mod notice;
mod timestamp;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

pub use cursor::{Cursor, DISORDER_NANOS, Edge, FileId, FilePlace, Mark, Resume};
pub use notice::{Loss, LossReason};
pub use timestamp::{Civil, StampReader, Timestamp};

/// What is known of a container. A rename or an inspection makes a new value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits; anything at all for a source other than Docker.
    pub id: String,
    /// Without the leading slash. Hostile input: may hold any character the source allows.
    pub name: String,
    /// The image reference it was started from.
    pub image: String,
    /// Its labels. Hostile input.
    pub labels: BTreeMap<String, String>,
    /// Its environment, as far as anybody may see it: [`KNOWN_VARIABLES`], and what the operator
    /// has allowed. Empty while nobody has asked. Hostile input.
    pub variables: BTreeMap<String, String>,
    /// The name of the host it runs on, as the operator or the engine calls it.
    pub host: String,
    /// What an inspection has said; `None` while nobody has asked.
    pub details: Option<Arc<Details>>,
}

/// What only an inspection tells of a container. One that was gone by then has empty ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The log driver, e.g. `json-file`; empty if it is not known.
    pub driver: String,
    /// It has a terminal.
    pub tty: bool,
    /// The engine's reply, reduced to what templates ask for; `None` if they ask for nothing. Never
    /// holds the environment.
    pub inspection: Option<serde_json::Value>,
}

/// By these variables of its environment a container may name its stream, where the operator lets
/// it.
pub const NAMING_VARIABLES: [&str; 2] = ["DOWNSPOUT_STREAM", "LOGSPOUT_STREAM"];

/// The only variables of a container's environment that are ever looked at, but for those that the
/// operator allows. All others may be secrets.
pub const KNOWN_VARIABLES: [&str; 4] =
    ["DOWNSPOUT_STREAM", "LOGSPOUT_STREAM", "LOGSPOUT", "LOGSPOUT_MULTILINE"];

impl Container {
    /// The first 12 characters of the id, as `docker ps` shows them.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// Which of the container's two outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output; also everything a container with a TTY prints.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name used on the wire and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Stdout => Self::Stderr,
            Self::Stderr => Self::Stdout,
        }
    }
}

/// One line of a chunk: where its bytes are, and the mark that holds once it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// First byte in the chunk's arena.
    pub start: u32,
    /// One past the last byte; the line's end-of-line is not part of it.
    pub end: u32,
    /// Docker's stamp of the line's first piece.
    pub time: Timestamp,
    /// The stream it was printed on.
    pub stream: Stream,
    /// The stream's mark once this line and all before it are delivered. Pieces that the
    /// assembler still holds lie behind it, so that no cursor can pass them.
    pub mark: Mark,
    /// Where it ends in the log's file.
    pub span: Span,
}

/// Where and when a line was printed, and what it settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Docker's stamp.
    pub time: Timestamp,
    /// The stream it was printed on.
    pub stream: Stream,
    /// See [`Line::mark`].
    pub mark: Mark,
    /// Where it lies in the log's file.
    pub span: Span,
}

/// A stretch of a log's file, in bytes; all zero where a log is not read from a file.
///
/// Of a record, the record itself. Of a line, what a reader has to look at again that goes on
/// behind it: that is nothing, unless a line of the other stream was open there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// One past the last byte of the line's last record.
    pub end: u64,
    /// How far before `end` the stretch begins.
    pub back: u32,
}

impl Span {
    /// From `start` to `end`.
    pub fn new(start: u64, end: u64) -> Self {
        Self { end, back: u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX) }
    }

    /// Its first byte; `None` if that cannot be told.
    pub fn start(self) -> Option<u64> {
        (self.back < u32::MAX).then(|| self.end.saturating_sub(u64::from(self.back)))
    }
}

/// Lines of one container that were read together. The unit that crosses tasks.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The container as it was known when the lines were read.
    pub container: Arc<Container>,
    /// The container whose log they belong to: the same, but for what the agent says of it.
    pub log_of: Arc<Container>,
    /// What a cursor behind these lines has to know beside them.
    pub edge: Edge,
    /// What the agent itself has to say: it is in no log, and no reader will meet it again.
    pub is_notice: bool,
    arena: Bytes,
    lines: Vec<Line>,
}

impl Chunk {
    /// The lines in the order in which they were read.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The bytes of one of this chunk's lines.
    pub fn text(&self, line: &Line) -> &[u8] {
        self.arena.get(line.start as usize..line.end as usize).unwrap_or_default()
    }

    /// Bytes of text, without line ends.
    pub fn text_bytes(&self) -> usize {
        self.arena.len()
    }

    /// What a budget is charged: the arena, the line table, and what a chunk takes itself. The
    /// allocator adds 20 to 45 % between chunks (measured with full lanes), which the memory plan
    /// has room for.
    pub fn weight(&self) -> usize {
        self.arena.len() + self.lines.len() * size_of::<Line>() + size_of::<Self>()
    }

    /// The lines that are `wanted`, and all others; both in their order, `None` without any.
    pub fn split(self, mut wanted: impl FnMut(&Line) -> bool) -> (Option<Self>, Option<Self>) {
        let (mut kept, mut rest) = (ChunkBuilder::default(), ChunkBuilder::default());
        let is_kept: Vec<bool> = self.lines.iter().map(&mut wanted).collect();
        if is_kept.iter().all(|kept| *kept) {
            return (Some(self), None);
        }
        for (line, is_kept) in self.lines.iter().zip(is_kept) {
            let Line { time, stream, mark, span, .. } = *line;
            let to = if is_kept { &mut kept } else { &mut rest };
            to.push(self.text(line), b"", Place { time, stream, mark, span });
        }
        let [kept, rest] = [kept, rest].map(|mut builder| {
            let chunk = builder.take(&self.container)?;
            Some(Self { log_of: self.log_of.clone(), edge: self.edge, ..chunk })
        });
        (kept, rest)
    }

    /// Gives up the text and keeps the lines, for settling after the text was encoded.
    pub fn into_lines(self) -> Vec<Line> {
        self.lines
    }
}

/// Collects lines into an arena until a reader hands them over as a `Chunk`.
#[derive(Debug, Default)]
pub struct ChunkBuilder {
    arena: Vec<u8>,
    lines: Vec<Line>,
    /// Bytes and lines of the last chunk: what the next one probably needs.
    usual: (usize, usize),
}

impl ChunkBuilder {
    /// True while no line was added.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes of text so far.
    pub fn text_bytes(&self) -> usize {
        self.arena.len()
    }

    /// Appends a line made of up to two parts (`head` is what an assembler held back).
    /// An arena holds less than 4 GiB; readers hand a chunk over at some tens of KiB.
    pub fn push(&mut self, head: &[u8], tail: &[u8], place: Place) {
        let Place { time, stream, mark, span } = place;
        if self.lines.is_empty() {
            self.arena.reserve(self.usual.0);
            self.lines.reserve(self.usual.1);
        }
        let start = offset(self.arena.len());
        self.arena.extend_from_slice(head);
        self.arena.extend_from_slice(tail);
        let end = offset(self.arena.len());
        self.lines.push(Line { start, end, time, stream, mark, span });
    }

    /// The lines so far as a chunk of `container`; `None` if there are none.
    pub fn take(&mut self, container: &Arc<Container>) -> Option<Chunk> {
        (!self.lines.is_empty()).then(|| self.chunk(container))
    }

    fn chunk(&mut self, container: &Arc<Container>) -> Chunk {
        self.usual = (self.arena.len(), self.lines.len());
        // A chunk may wait for long, and is charged for what it holds, not for spare room.
        self.arena.shrink_to_fit();
        self.lines.shrink_to_fit();
        let arena = Bytes::from(std::mem::take(&mut self.arena));
        Chunk {
            container: container.clone(),
            log_of: container.clone(),
            edge: Edge::default(),
            is_notice: false,
            arena,
            lines: std::mem::take(&mut self.lines),
        }
    }
}

#[expect(clippy::expect_used, reason = "readers bound a chunk at some tens of KiB plus one line")]
fn offset(len: usize) -> u32 {
    u32::try_from(len).expect("an arena is below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_split_in_order_with_the_text_and_the_marks_of_its_lines() {
        let mut builder = ChunkBuilder::default();
        for number in 0..6_u32 {
            let time = Timestamp::from_nanos(number.into());
            let (mark, span) = (Mark { time, pieces: 1 }, Span::new(number.into(), 9));
            let place = Place { time, stream: Stream::Stdout, mark, span };
            builder.push(number.to_string().as_bytes(), b"", place);
        }
        let chunk = builder.take(&Arc::new(Container::default())).unwrap();
        let texts = |chunk: &Option<Chunk>| {
            let chunk = chunk.as_ref()?;
            let lines = chunk.lines().iter();
            Some(
                lines
                    .map(|line| (chunk.text(line).to_vec(), line.mark, line.span))
                    .collect::<Vec<_>>(),
            )
        };
        let all = texts(&Some(chunk.clone())).unwrap();
        let (even, odd) = chunk.clone().split(|line| line.time.nanos() % 2 == 0);
        let every = |from: usize| all.iter().skip(from).step_by(2).cloned().collect::<Vec<_>>();
        assert_eq!((texts(&even), texts(&odd)), (Some(every(0)), Some(every(1))));
        assert_eq!(texts(&chunk.clone().split(|_| true).0), Some(all.clone()));
        let (none, everything) = chunk.split(|_| false);
        assert_eq!((texts(&none), texts(&everything)), (None, Some(all)));
    }

    #[test]
    fn a_chunk_gives_back_the_lines_that_were_pushed() {
        let mut builder = ChunkBuilder::default();
        let mark = Mark { time: Timestamp::from_nanos(7), pieces: 2 };
        let time = Timestamp::from_nanos(5);
        let span = Span::default();
        builder.push(b"ab", b"cd", Place { time, stream: Stream::Stderr, mark, span });
        builder.push(b"", b"", Place { time, stream: Stream::Stdout, mark, span });
        let chunk = builder.take(&Arc::new(Container::default())).unwrap();
        let texts: Vec<_> = chunk.lines().iter().map(|line| chunk.text(line)).collect();
        assert_eq!(texts, [&b"abcd"[..], b""]);
        assert!(builder.take(&chunk.container).is_none(), "a taken builder is empty");
    }
}
