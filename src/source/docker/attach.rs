//! Following by attachment: the only way to a container whose log driver is `none`, and only
//! where the operator asked for it.
//!
//! An attached reader that stops reading freezes the container (the engine blocks its writes
//! after 1.3 MB), so this one always reads. What the destination does not take is given up, counted
//! and announced: there is no log to return to.

use tokio::time::Instant;

use super::engine::{EngineError, LogStream, Read};
use super::follower::{End, Follower};
use crate::assemble::Piece;
use crate::metrics::containers::Way;
use crate::record::{Mark, Place, Span, Stream, Timestamp};
use crate::source::passed;

/// `[stream, 0, 0, 0, length as u32 big-endian]` (pkg/stdcopy).
const HEADER_BYTES: usize = 8;

impl Follower {
    /// Reads the container's output as it comes, over its restarts. False once there is nothing
    /// more to do for this container.
    pub(super) async fn attach(&mut self) -> bool {
        if !self.shared.settings.attach {
            self.reads_by(Way::Skipped);
            let name = self.seen.borrow().container.name.clone();
            tracing::info!(
                container = %name,
                "skipped: its log driver keeps no log (none); DOWNSPOUT_ATTACH=true to attach to it"
            );
            return false;
        }
        if Box::pin(self.judge()).await.is_some() {
            return self.goes_without();
        }
        self.lane.never_returns();
        match self.shared.engine.attach(&self.tracked.id).await {
            Ok(stream) => {
                tracing::debug!(container = %self.tracked.id, "attached");
                self.reads_by(Way::Attach);
                if self.read_attached(stream).await.is_some() {
                    return self.goes_without();
                }
            }
            Err(EngineError::NotFound { .. }) => return false,
            // Paused or restarting: it cannot be attached to just now.
            Err(error) => tracing::debug!(container = %self.tracked.id, %error, "cannot attach"),
        }
        self.pause().await;
        !self.seen.borrow().gone
    }

    async fn read_attached(&mut self, mut stream: LogStream) -> Option<End> {
        let mut splitter = Splitter::new(self.tracked.is_terminal());
        let mut going = true;
        while going {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                // What is wrong with it is told by the read.
                _ = stream.readable() => {
                    if !self.is_judged()
                        && let Some(end) = Box::pin(self.judge()).await
                    {
                        return Some(end);
                    }
                }
                () = passed(deadline) => {
                    self.assembler.give_due(Instant::now(), &mut self.builder);
                    self.offer();
                    continue;
                }
            }
            // Of the first line that comes: a time from before the wait would be long past.
            let mut last = None;
            let (assembler, builder) = (&mut self.assembler, &mut self.builder);
            let mut take = |stream, text: &[u8]| {
                // Nothing returns to these marks; they only have to rise.
                let next = |last: Timestamp| Timestamp::from_nanos(last.nanos() + 1);
                let time = last.map_or_else(Timestamp::now, next);
                last = Some(time);
                let mark = Mark { time, pieces: 1 };
                assembler.piece(
                    Piece { place: Place { time, stream, mark, span: Span::default() }, text },
                    builder,
                );
            };
            let read = stream.read(&mut |bytes: &[u8]| splitter.push(bytes, &mut take)).await;
            going = matches!(read, Ok(Read::Data(_)));
            if !going {
                splitter.finish(&mut take);
                assembler.flush(builder);
            }
            self.offer();
        }
        None
    }

    fn offer(&mut self) {
        self.charge();
        if let Some(chunk) = self.chunk() {
            self.lane.offer(chunk, self.shared.settings.overflow);
        }
    }
}

/// The frames of an attached stream to lines. Frames are cut where the engine's reads were cut,
/// not at lines.
#[derive(Debug)]
struct Splitter {
    terminal: bool,
    header: Vec<u8>,
    stream: Stream,
    left: usize,
    lines: [Vec<u8>; 2],
}

/// A line without end is given out in pieces of this size, as the engine would cut it.
const PIECE_BYTES: usize = 16 * 1024;

impl Splitter {
    fn new(terminal: bool) -> Self {
        let lines = [Vec::new(), Vec::new()];
        Self { terminal, header: Vec::new(), stream: Stream::Stdout, left: 0, lines }
    }

    fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(Stream, &[u8])) {
        if self.terminal {
            self.text(bytes, &mut sink);
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.left > 0 {
                let (text, tail) = rest.split_at(self.left.min(rest.len()));
                self.left -= text.len();
                self.text(text, &mut sink);
                rest = tail;
                continue;
            }
            let missing = HEADER_BYTES - self.header.len();
            let (head, tail) = rest.split_at(missing.min(rest.len()));
            self.header.extend_from_slice(head);
            rest = tail;
            if let [stream, _, _, _, a, b, c, d] = *self.header.as_slice() {
                self.stream = if stream == 2 { Stream::Stderr } else { Stream::Stdout };
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.header.clear();
            }
        }
    }

    fn text(&mut self, text: &[u8], sink: &mut impl FnMut(Stream, &[u8])) {
        let [stdout, stderr] = &mut self.lines;
        let line = if self.stream == Stream::Stdout { stdout } else { stderr };
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            while line.len() >= PIECE_BYTES && line.last() != Some(&b'\n') {
                sink(self.stream, line.get(..PIECE_BYTES).unwrap_or_default());
                line.drain(..PIECE_BYTES);
            }
            if line.last() == Some(&b'\n') {
                sink(self.stream, line);
                line.clear();
            }
        }
    }

    /// What came after the last line feed, at the end of the stream.
    fn finish(&mut self, mut sink: impl FnMut(Stream, &[u8])) {
        let [stdout, stderr] = &mut self.lines;
        for (stream, line) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            if !line.is_empty() {
                sink(stream, line);
                line.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(splitter: &mut Splitter, bytes: &[u8], cut: usize) -> Vec<(Stream, Vec<u8>)> {
        let mut seen = Vec::new();
        for part in bytes.chunks(cut) {
            splitter.push(part, |stream, text| seen.push((stream, text.to_vec())));
        }
        splitter.finish(|stream, text| seen.push((stream, text.to_vec())));
        seen
    }

    #[test]
    fn lines_are_found_across_frames_and_reads() {
        let frame = |stream: u8, text: &[u8]| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&[stream, 0, 0, 0][..], &length[..], text].concat()
        };
        let body = [frame(1, b"on"), frame(2, b"err\n"), frame(1, b"e\ntwo\nla"), frame(1, b"st")]
            .concat();
        let wanted = [
            (Stream::Stderr, b"err\n".to_vec()),
            (Stream::Stdout, b"one\n".to_vec()),
            (Stream::Stdout, b"two\n".to_vec()),
            (Stream::Stdout, b"last".to_vec()),
        ];
        for cut in 1..body.len() {
            assert_eq!(lines(&mut Splitter::new(false), &body, cut), wanted, "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_line_stays_within_bounds() {
        let mut splitter = Splitter::new(true);
        let seen = lines(&mut splitter, &vec![b'x'; 10 * PIECE_BYTES], 1000);
        assert!(seen.iter().all(|(_, text)| text.len() <= PIECE_BYTES));
        assert!(splitter.lines[0].capacity() < 3 * PIECE_BYTES);
    }
}
