//! Reads a log from its files: from where the position says, over rotations, until the container
//! is gone or the files cannot be trusted. Then the engine is asked, from the same position.

mod open;
mod reader;

use std::cell::Cell;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{End, Follower};
use crate::assemble::Piece;
use crate::metrics::containers::Way;
use crate::record::{FilePlace, Loss, LossReason, Place, Span, Stream, Timestamp};
use crate::source::docker::files::{Files, LogFile, MOST_RECORD_BYTES, Next};
use crate::source::docker::json_file::Decoded;
use crate::source::docker::position::Admission;
use crate::source::passed;
use reader::{READ_BYTES, Reader};

/// A container that ended, as events say, is asked about this often until the engine says so too.
const ASK_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    /// One buffer per worker thread serves all files, for it is empty again before a read ends.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a read brought.
enum Step {
    /// Records, and surely more.
    More,
    /// Records, and perhaps more: a short read may end where the page cache does.
    Short,
    /// No whole record.
    Nothing,
}

impl Follower {
    /// Reads the files until they end or cannot be read.
    pub(super) async fn read_files(&mut self, files: Files) -> End {
        self.position.reopened(Timestamp::now());
        // Where the lines began that are held is not known in these files.
        self.assembler.file_ended();
        let mut reader = match Box::pin(self.open_files(files)).await {
            Ok(reader) => reader,
            Err(error) => return End::Files(error),
        };
        self.shared.metrics.files_followed.inc();
        self.reads_by(Way::File);
        let end = match self.read_on(&mut reader).await {
            Ok(end) => end,
            Err(error) => End::Files(error),
        };
        self.shared.metrics.files_followed.dec();
        self.from_file = None;
        end
    }

    async fn read_on(&mut self, reader: &mut Reader) -> io::Result<End> {
        loop {
            self.lane.room().await;
            // Looked at before the read: what was printed before it ended is there by then.
            let (gone, running) = {
                let seen = self.seen.borrow_and_update();
                (seen.gone, seen.running)
            };
            let step = match self.may_read(reader).await? {
                Some(end) => return Ok(end),
                None if self.is_judged() => self.read_now(reader).await?,
                None => Step::Nothing,
            };
            self.hand_over();
            match step {
                Step::More => tokio::task::yield_now().await,
                Step::Short | Step::Nothing => {
                    if self.has_more(reader, matches!(step, Step::Short))? {
                        continue;
                    }
                    if let Some(end) = self.at_end(reader, gone, running).await? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    // Nothing is taken before it is known whose it is.
    async fn may_read(&mut self, reader: &Reader) -> io::Result<Option<End>> {
        if self.is_judged() || !reader.has_unread()? {
            return Ok(None);
        }
        Ok(Box::pin(self.judge()).await)
    }

    async fn read_now(&mut self, reader: &mut Reader) -> io::Result<Step> {
        match self.read_file(reader, false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                reader.file.content.fetch(reader.offset).await?;
                self.read_file(reader, true)
            }
            step => step,
        }
    }

    /// Whether to read again at once, after records (`taken`) or none.
    fn has_more(&mut self, reader: &mut Reader, taken: bool) -> io::Result<bool> {
        let Some(length) = reader.file.content.length()? else { return Ok(taken) };
        if length < reader.offset {
            self.begin_again(reader);
            return Ok(true);
        }
        Ok(taken && length > reader.offset)
    }

    /// Waits for a change of the file or the container, and no longer than a record is open.
    async fn change(
        &mut self,
        reader: &Reader,
        pause: Option<Duration>,
        deadline: Option<Instant>,
    ) {
        tokio::select! {
            biased;
            () = reader.watch.changed() => {}
            // Discovery holds the sender as long as there are followers.
            _ = self.seen.changed() => {}
            // Changes are told with a delay: it is read once more before a record is given out.
            () = passed(deadline) => {}
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }

    /// The file has no more records for now: goes on to the next one, or waits.
    async fn at_end(
        &mut self,
        reader: &mut Reader,
        gone: bool,
        running: bool,
    ) -> io::Result<Option<End>> {
        let mut pause = None;
        // Changes are told with a delay, in which the container may have ended.
        if reader.is_moved() || !running || gone {
            match reader.files.after(&reader.file) {
                Ok(Next::Empty) if running => pause = Some(reader.next_pause()),
                Ok(Next::Empty) => {}
                Ok(Next::Nothing) => reader.note_in_place(),
                Ok(Next::File(next)) => return self.go_on(reader, next, None).map(|()| None),
                Ok(Next::AfterGap(next, written)) => {
                    return self.go_on(reader, next, Some(written)).map(|()| None);
                }
                Err(error) if is_passing(&error) && !gone => pause = Some(reader.next_pause()),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if gone {
            if reader.files.was_rotated(&reader.file) {
                self.announce_rest();
            }
            return Ok(Some(End::Gone));
        }
        if self.deadline().is_some() {
            self.give_due();
        }
        if pause.is_none() {
            reader.note_caught_up();
            if self.assembler.holds_from().is_none() {
                // Whatever was to be read again has come again.
                self.lane.ended();
            }
            if !running {
                if reader.stopped_at == Some(reader.offset) {
                    return Ok(Some(End::Stopped));
                }
                if Box::pin(self.tracked.has_stopped(&self.shared)).await {
                    // It may have run once more meanwhile.
                    reader.stopped_at = Some(reader.offset);
                    return Ok(None);
                }
                pause = Some(ASK_EVERY);
            }
        }
        let deadline = self.deadline();
        self.change(reader, pause, deadline).await;
        Ok(None)
    }

    fn go_on(
        &mut self,
        reader: &mut Reader,
        next: LogFile,
        gap: Option<(u64, u64)>,
    ) -> io::Result<()> {
        let read = reader.offset + reader.torn;
        if reader.file.content.length()?.is_some_and(|length| length != read) {
            // Written after the last look at it, and before it got its new name.
            return Ok(());
        }
        self.shared.metrics.bytes_garbled.inc_by(reader.torn);
        self.shared.metrics.files_opened.inc();
        self.assembler.file_ended();
        if gap.is_some() {
            self.position.began_again();
        }
        let watch = self.shared.changes.watch(next.content.descriptor(), reader.files.path());
        reader.go_on(next, watch, gap);
        Ok(())
    }

    fn begin_again(&mut self, reader: &mut Reader) {
        self.position.began_again();
        self.assembler.file_ended();
        reader.begin_again();
    }

    // Later files were removed before they could be read.
    fn announce_rest(&mut self) {
        let now = Timestamp::now();
        if let Some((from, to)) = self.position.gap(Stream::Stdout, now, now) {
            let loss = Loss { counted: None, from, to, reason: LossReason::Rotated };
            self.lane.announce(&loss, &self.seen.borrow().container);
        }
    }

    /// One read: decodes, admits and assembles what is there. Unless it is `fetched`, an error of
    /// kind `WouldBlock` says that it has to be brought from the disk.
    fn read_file(&mut self, reader: &mut Reader, fetched: bool) -> io::Result<Step> {
        let mut scratch = SCRATCH.take();
        if scratch.len() < reader.room {
            scratch.resize(reader.room, 0);
        }
        let buffer = scratch.get_mut(..reader.room).unwrap_or_default();
        let seam = reader.seam_bytes();
        let (content, from) = (&mut reader.file.content, reader.offset - seam as u64);
        let read = if fetched {
            content.read_at(buffer, from)
        } else {
            content.read_now(buffer, from, seam)
        };
        let step = match read {
            Ok(read) => {
                let is_full = read == buffer.len();
                match buffer.get_mut(..read).and_then(|bytes| bytes.split_at_mut_checked(seam)) {
                    Some((before, bytes)) if reader.is_seamless(before) => {
                        Ok(self.take(reader, bytes, is_full))
                    }
                    _ => {
                        self.begin_again(reader);
                        Ok(Step::More)
                    }
                }
            }
            Err(error) => Err(error),
        };
        scratch.truncate(READ_BYTES);
        scratch.shrink_to(READ_BYTES);
        SCRATCH.set(scratch);
        step
    }

    fn take(&mut self, reader: &mut Reader, bytes: &mut [u8], is_full: bool) -> Step {
        let hole = memchr::memchr(0, bytes);
        let whole = bytes.get(..hole.unwrap_or(bytes.len())).unwrap_or_default();
        let whole = memchr::memrchr(b'\n', whole).map_or(0, |at| at + 1);
        let Some(lines) = bytes.get_mut(..whole).filter(|lines| !lines.is_empty()) else {
            reader.torn = bytes.len() as u64;
            return match hole {
                Some(hole) => self.take_hole(reader, bytes, hole, is_full),
                None if is_full => self.enlarge(reader),
                None => Step::Nothing,
            };
        };
        reader.room = READ_BYTES;
        reader.torn = 0;
        // Decoding overwrites it.
        reader.keep_seam(lines);
        self.take_lines(reader, lines);
        reader.offset += whole as u64;
        if let Some(file) = reader.file.id() {
            self.from_file = Some(file);
            let offset = reader.offset;
            self.position.set_file(FilePlace { file, offset, look_from: offset });
        }
        if is_full { Step::More } else { Step::Short }
    }

    /// Takes whole lines.
    fn take_lines(&mut self, reader: &mut Reader, lines: &mut [u8]) {
        let Self { position, assembler, builder, shared, lane, seen, .. } = self;
        let Reader { decoder, file, offset, new_from, is_exact, check_gap, .. } = reader;
        let mut now = None;
        let mut at = 0;
        decoder.push(lines, |decoded| match decoded {
            Decoded::Record { stream, time, text, end } => {
                let span = Span::new(*offset + at as u64, *offset + end as u64);
                file.note_first(time);
                at = end;
                let mark = if span.end > *new_from {
                    if !std::mem::replace(is_exact, true) {
                        position.go_on_exactly();
                    }
                    position.take(stream, time)
                } else {
                    let now = *now.get_or_insert_with(Timestamp::now);
                    if std::mem::take(check_gap)
                        && let Some((from, to)) = position.gap(stream, time, now)
                    {
                        let loss = Loss { counted: None, from, to, reason: LossReason::Rotated };
                        lane.announce(&loss, &seen.borrow().container);
                    }
                    match position.admit_stamp(stream, time, now) {
                        Admission::New(mark) => mark,
                        Admission::Repeated => return shared.metrics.pieces_repeated.inc(),
                        Admission::TooOld => return,
                    }
                };
                let piece = Piece { place: Place { time, stream, mark, span }, text };
                let parts = assembler.piece(piece, builder);
                if parts > 0 {
                    shared.metrics.lines_split.inc_by(parts);
                }
            }
            Decoded::Garbled { bytes, end } => {
                shared.metrics.bytes_garbled.inc_by(bytes as u64);
                at = end;
            }
        });
    }

    // A record that is longer than a read.
    fn enlarge(&mut self, reader: &mut Reader) -> Step {
        if reader.room < MOST_RECORD_BYTES {
            reader.room = MOST_RECORD_BYTES;
        } else {
            self.shared.metrics.bytes_garbled.inc_by(reader.room as u64);
            reader.pass_over(reader.room);
        }
        Step::More
    }

    /// Zeros stand where a file was truncated under its writer, or where a disk lost something.
    fn take_hole(&self, reader: &mut Reader, bytes: &[u8], hole: usize, is_full: bool) -> Step {
        let zeros = bytes.get(hole..).unwrap_or_default().iter().position(|byte| *byte != 0);
        if zeros.is_none() && !is_full {
            return Step::Nothing;
        }
        let passed = zeros.map_or(bytes.len(), |zeros| hole + zeros);
        self.shared.metrics.bytes_garbled.inc_by(passed as u64);
        reader.pass_over(passed);
        reader.doubt();
        Step::More
    }
}

// The engine is about to put something there, or to remove everything.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy)
}
