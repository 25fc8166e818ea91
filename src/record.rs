//! What travels: a container's lines in chunks, and the marks that say how far a log is settled.
//!
//! Plain data; never knows where it came from or where it goes.

mod notice;
mod timestamp;

use std::collections::BTreeMap;

use bytes::Bytes;

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
    /// The name of the host it runs on, as the operator or the engine calls it.
    pub host: String,
}

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
}

/// Stamps of the two streams, and of a line's pieces, may be out of step by this much in the
/// order in which the engine wrote them. Measured: microseconds; seconds only for pieces of an
/// open line, which are accounted for apart.
pub const DISORDER_NANOS: i64 = 2_000_000_000;

/// A place in one stream of a log: all pieces stamped earlier, and the first `pieces` of those
/// stamped `time`, lie before it. Stamps rise strictly within a stream except that the pieces of
/// one long line share a stamp, so a count beside the stamp makes the place exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Docker's stamp of the last piece taken.
    pub time: Timestamp,
    /// How many pieces with this stamp were taken, from 1.
    pub pieces: u32,
}

/// A place in a whole log: one mark per stream, since stamps are not ordered across streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    marks: [Option<Mark>; 2],
    open: Option<Timestamp>,
}

impl Cursor {
    /// The stamp of the earliest line that had begun by here and is not behind the marks: a
    /// reader that goes on here must look no later than this. `None` if there is none.
    pub fn open(&self) -> Option<Timestamp> {
        self.open
    }

    /// Says which line had begun and was not complete.
    pub fn set_open(&mut self, open: Option<Timestamp>) {
        self.open = open;
    }

    /// The mark of one stream; `None` before its first line.
    pub fn mark(&self, stream: Stream) -> Option<Mark> {
        let [stdout, stderr] = self.marks;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    /// Moves one stream's mark.
    pub fn advance(&mut self, stream: Stream, mark: Mark) {
        let [stdout, stderr] = &mut self.marks;
        match stream {
            Stream::Stdout => *stdout = Some(mark),
            Stream::Stderr => *stderr = Some(mark),
        }
    }

    /// Moves over `lines`, which stand in the order in which they were read. Behind them come
    /// `rest`, and after those `open` is the earliest line that had begun.
    pub fn advance_over(&mut self, lines: &[Line], rest: &[Line], open: Option<Timestamp>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(line) = lines.iter().rev().find(|line| line.stream == stream) {
                self.advance(stream, line.mark);
            }
        }
        self.open = rest.iter().map(|line| line.time).chain(open).min();
    }

    /// The latest stamp of both streams.
    pub fn latest(&self) -> Option<Timestamp> {
        self.marks.iter().flatten().map(|mark| mark.time).max()
    }
}

/// Where one destination goes on in one log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resume {
    /// What was printed before this is not wanted; `None` for the log from its beginning.
    pub floor: Option<Timestamp>,
    /// Everything up to here is settled.
    pub cursor: Cursor,
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
}

/// Lines of one container that were read together. The unit that crosses tasks.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The container as it was known when the lines were read.
    pub container: std::sync::Arc<Container>,
    /// The stamp of the earliest line that had begun and was not complete when they were handed
    /// over; see [`Cursor::open`].
    pub open: Option<Timestamp>,
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
        let Place { time, stream, mark } = place;
        if self.lines.is_empty() {
            self.arena.reserve(self.usual.0);
            self.lines.reserve(self.usual.1);
        }
        let start = offset(self.arena.len());
        self.arena.extend_from_slice(head);
        self.arena.extend_from_slice(tail);
        let end = offset(self.arena.len());
        self.lines.push(Line { start, end, time, stream, mark });
    }

    /// The lines so far as a chunk of `container`; `None` if there are none.
    pub fn take(&mut self, container: &std::sync::Arc<Container>) -> Option<Chunk> {
        (!self.lines.is_empty()).then(|| self.chunk(container))
    }

    fn chunk(&mut self, container: &std::sync::Arc<Container>) -> Chunk {
        self.usual = (self.arena.len(), self.lines.len());
        // A chunk may wait for long, and is charged for what it holds, not for spare room.
        self.arena.shrink_to_fit();
        self.lines.shrink_to_fit();
        let arena = Bytes::from(std::mem::take(&mut self.arena));
        Chunk {
            container: container.clone(),
            open: None,
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
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_chunk_gives_back_the_lines_that_were_pushed() {
        let mut builder = ChunkBuilder::default();
        let mark = Mark { time: Timestamp::from_nanos(7), pieces: 2 };
        let time = Timestamp::from_nanos(5);
        builder.push(b"ab", b"cd", Place { time, stream: Stream::Stderr, mark });
        builder.push(b"", b"", Place { time, stream: Stream::Stdout, mark });
        let chunk = builder.take(&Arc::new(Container::default())).unwrap();
        let texts: Vec<_> = chunk.lines().iter().map(|line| chunk.text(line)).collect();
        assert_eq!(texts, [&b"abcd"[..], b""]);
        assert!(builder.take(&chunk.container).is_none(), "a taken builder is empty");
    }

    #[test]
    fn a_cursor_between_two_lines_looks_no_later_than_the_next_one_and_what_had_begun() {
        let at = Timestamp::from_nanos;
        let line = |time, stream| {
            let mark = Mark { time: at(time), pieces: 1 };
            Line { start: 0, end: 0, time: at(time), stream, mark }
        };
        // The second line began first, and was complete last.
        let lines = [line(5, Stream::Stderr), line(3, Stream::Stdout), line(6, Stream::Stderr)];
        let mut cursor = Cursor::default();
        cursor.advance_over(&lines[..1], &lines[1..], Some(at(9)));
        assert_eq!((cursor.mark(Stream::Stdout), cursor.open()), (None, Some(at(3))));
        cursor.advance_over(&lines[1..], &[], Some(at(9)));
        assert_eq!(cursor.mark(Stream::Stderr).unwrap().time, at(6));
        assert_eq!(cursor.open(), Some(at(9)));
        cursor.advance_over(&[], &[], None);
        assert_eq!(cursor.open(), None);
    }

    #[test]
    fn a_cursor_keeps_the_streams_apart() {
        let mut cursor = Cursor::default();
        let late = Mark { time: Timestamp::from_nanos(9), pieces: 1 };
        cursor.advance(Stream::Stderr, late);
        assert_eq!(cursor.mark(Stream::Stdout), None);
        assert_eq!(cursor.mark(Stream::Stderr), Some(late));
        assert_eq!(cursor.latest(), Some(late.time));
    }
}
