//! Places in a log: how far it is read, sent, acknowledged. Plain data; never knows who reads.

use super::{Line, Stream, Timestamp};

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

/// A file of a log, whatever its name is: rotation renames it. Its first record's stamp tells it
/// from a later file on the same inode, and finds it again once it was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Its inode's number.
    pub inode: u64,
    /// The stamp of its first record.
    pub first: Timestamp,
}

/// The place in a file that belongs to a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePlace {
    /// Which file.
    pub file: FileId,
    /// From this byte on nothing was taken.
    pub offset: u64,
    /// From this byte on a reader has to look: between it and `offset` stands a line that was open,
    /// and what else is there is told by the marks.
    pub look_from: u64,
}

/// What a cursor has to know beside the lines that it has passed: how the log stands behind them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edge {
    /// The stamp of the earliest line that had begun and was not complete; see [`Cursor::open`].
    pub open: Option<Timestamp>,
    /// The file that the lines were read from, if they were read from a file.
    pub file: Option<FileId>,
}

/// A place in a whole log: one mark per stream, since stamps are not ordered across streams. With
/// it a reader of records by stamp can go on, and one of the log's file as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    marks: [Option<Mark>; 2],
    open: Option<Timestamp>,
    file: Option<FilePlace>,
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

    /// The same place in the log's file, if the last line passed was read from a file.
    pub fn file(&self) -> Option<FilePlace> {
        self.file
    }

    /// Says where in a file this is.
    pub fn set_file(&mut self, file: Option<FilePlace>) {
        self.file = file;
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
    /// `rest`, and then `edge`.
    pub fn advance_over(&mut self, lines: &[Line], rest: &[Line], edge: Edge) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(line) = lines.iter().rev().find(|line| line.stream == stream) {
                self.advance(stream, line.mark);
            }
        }
        self.open = rest.iter().map(|line| line.time).chain(edge.open).min();
        if let Some(last) = lines.last() {
            self.file = edge.file.and_then(|file| {
                let look_from = last.span.start()?;
                Some(FilePlace { file, offset: last.span.end, look_from })
            });
        }
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

#[cfg(test)]
mod tests {
    use super::super::Span;
    use super::*;

    #[test]
    fn a_cursor_between_two_lines_looks_no_later_than_the_next_one_and_what_had_begun() {
        let at = Timestamp::from_nanos;
        let line = |time, stream| {
            let mark = Mark { time: at(time), pieces: 1 };
            Line { start: 0, end: 0, time: at(time), stream, mark, span: Span::default() }
        };
        // The second line began first, and was complete last.
        let lines = [line(5, Stream::Stderr), line(3, Stream::Stdout), line(6, Stream::Stderr)];
        let mut cursor = Cursor::default();
        let edge = Edge { open: Some(at(9)), file: None };
        cursor.advance_over(&lines[..1], &lines[1..], edge);
        assert_eq!((cursor.mark(Stream::Stdout), cursor.open()), (None, Some(at(3))));
        cursor.advance_over(&lines[1..], &[], edge);
        assert_eq!(cursor.mark(Stream::Stderr).unwrap().time, at(6));
        assert_eq!(cursor.open(), Some(at(9)));
        cursor.advance_over(&[], &[], Edge::default());
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

    #[test]
    fn a_cursor_tells_the_place_in_the_file_of_the_last_line_and_what_was_open_there() {
        let file = FileId { inode: 3, first: Timestamp::from_nanos(1) };
        let edge = Edge { open: None, file: Some(file) };
        let mark = Mark { time: Timestamp::from_nanos(5), pieces: 1 };
        let line =
            |span| Line { start: 0, end: 0, time: mark.time, stream: Stream::Stdout, mark, span };
        let mut cursor = Cursor::default();
        cursor.advance_over(&[line(Span::new(100, 100)), line(Span::new(40, 150))], &[], edge);
        assert_eq!(cursor.file(), Some(FilePlace { file, offset: 150, look_from: 40 }));
        cursor.advance_over(&[], &[], edge);
        assert!(cursor.file().is_some(), "nothing was passed");
        cursor.advance_over(&[line(Span::new(0, u64::MAX))], &[], edge);
        assert_eq!(cursor.file(), None, "too far back to be told");
        cursor.advance_over(&[line(Span::new(9, 9))], &[], Edge::default());
        assert_eq!(cursor.file(), None, "read through the engine");
    }
}
