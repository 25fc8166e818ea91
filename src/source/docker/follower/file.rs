//! Reads a log from its files: from where the position says, over rotations, until the container
//! is gone or the files cannot be trusted. Then the engine is asked, from the same position.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use tokio::time::sleep;

use super::{End, Follower};
use crate::assemble::Piece;
use crate::record::{FilePlace, Loss, LossReason, Place, Span, Timestamp};
use crate::shutdown;
use crate::source::docker::changes::Watch;
use crate::source::docker::files::{Files, LogFile, MOST_RECORD_BYTES, Next, Opened, Wanted};
use crate::source::docker::json_file::{Decoded, Decoder};
use crate::source::docker::position::Admission;

/// The most that one read takes, in bytes; enlarged for a record that is longer.
const READ_BYTES: usize = 128 * 1024;
/// First and longest pause while the file that comes next is not there yet.
const NEXT_PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));
/// A container that ended, as events say, is asked about this often until the engine says so too.
const ASK_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    /// One buffer per worker thread serves all files, for it is empty again before a read ends.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Where one follower is in the files of a log.
struct Reader {
    files: Files,
    file: LogFile,
    watch: Watch,
    decoder: Decoder,
    offset: u64,
    /// From this byte of the file on nothing was taken; before it the stamps tell.
    new_from: u64,
    /// A record from there on has come.
    is_exact: bool,
    /// The file that was written when the log was opened, and its length: up to there the stamps
    /// tell, if the place was found by its stamp.
    opened_at: Option<(u64, u64)>,
    /// The next record may lie behind a gap.
    check_gap: bool,
    /// Bytes that one read takes at most.
    room: usize,
    pause: Duration,
}

/// What a read brought.
enum Step {
    /// Records, and surely more.
    More,
    /// Records, and perhaps more: a short read may end where the page cache does.
    Short,
    /// No whole record.
    Nothing,
    /// A line that may be a terminal's: whether the container has one must be known first.
    Terminal,
}

impl Follower {
    /// Reads the files until they end or cannot be read.
    pub(super) async fn read_files(&mut self, files: Files) -> End {
        self.position.reopened(Timestamp::now());
        let mut reader = match Box::pin(self.open_files(files)).await {
            Ok(reader) => reader,
            Err(error) => return End::Files(error),
        };
        self.shared.metrics.files_followed.inc();
        let end = match self.read_on(&mut reader).await {
            Ok(end) => end,
            Err(error) => End::Files(error),
        };
        self.shared.metrics.files_followed.dec();
        self.from_file = None;
        end
    }

    async fn open_files(&mut self, files: Files) -> io::Result<Reader> {
        // The set of permits is never closed.
        let _permit = self.shared.opening.acquire().await.ok();
        let place = self.position.file();
        let wanted = match self.position.since(self.open_lines()) {
            Some(since) if !self.position.is_seeking() => Wanted::Since(since),
            _ => Wanted::All,
        };
        let all_is_new = self.position.is_start();
        let found = shutdown::blocking(move || {
            let by_place = place.map(|place| files.at(place)).transpose()?.flatten();
            let is_exact = by_place.is_some();
            let mut opened = by_place.map_or_else(|| files.from(wanted), Ok)?;
            opened.file.first()?;
            let written = files.written()?;
            Ok::<_, io::Error>((files, opened, is_exact, written))
        });
        let (files, Opened { file, offset }, is_exact, written) = found.await?;
        self.shared.metrics.files_opened.inc();
        let new_from = match place {
            _ if all_is_new => 0,
            Some(place) if is_exact => place.offset,
            _ => file.new_from(written),
        };
        let watch = self.shared.changes.watch(file.content.descriptor(), files.path());
        Ok(Reader {
            watch,
            decoder: Decoder::default(),
            offset,
            new_from,
            is_exact: false,
            opened_at: (!all_is_new && !is_exact).then_some(written),
            check_gap: !all_is_new && !is_exact,
            room: READ_BYTES,
            pause: NEXT_PAUSE.0,
            files,
            file,
        })
    }

    async fn read_on(&mut self, reader: &mut Reader) -> io::Result<End> {
        loop {
            self.lane.room().await;
            // Looked at before the read: what was printed before it ended is there by then.
            let (gone, running) = {
                let seen = self.seen.borrow_and_update();
                (seen.gone, seen.running)
            };
            let step = match self.read_file(reader) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    reader.file.content.fetch(reader.offset).await?;
                    Step::More
                }
                step => step?,
            };
            self.hand_over();
            match step {
                Step::More => tokio::task::yield_now().await,
                Step::Terminal => Box::pin(self.learn_of_terminal()).await,
                Step::Short | Step::Nothing => {
                    if reader.has_more(matches!(step, Step::Short))? {
                        continue;
                    }
                    if let Some(end) = self.at_end(reader, gone, running).await? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// Waits for a change of the file or the container.
    async fn change(&mut self, reader: &Reader, pause: Option<Duration>) {
        tokio::select! {
            biased;
            () = reader.watch.changed() => {}
            // Discovery holds the sender as long as there are followers.
            _ = self.seen.changed() => {}
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
        if reader.watch.take_moved() || reader.pause > NEXT_PAUSE.0 {
            match reader.files.after(&reader.file) {
                Ok(Next::Nothing) => reader.pause = NEXT_PAUSE.0,
                Ok(Next::File(next)) => return self.go_on(reader, next, false).map(|()| None),
                Ok(Next::AfterGap(next)) => return self.go_on(reader, next, true).map(|()| None),
                Err(error) if is_passing(&error) && !gone => {
                    pause = Some(reader.pause);
                    reader.pause = (reader.pause * 2).min(NEXT_PAUSE.1);
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if gone {
            return Ok(Some(End::Gone));
        }
        if pause.is_none() {
            reader.is_caught_up();
            // Whatever was to be read again has come again.
            self.lane.ended();
            if !running {
                if Box::pin(self.tracked.has_stopped(&self.shared)).await {
                    return Ok(Some(End::Stopped));
                }
                pause = Some(ASK_EVERY);
            }
        }
        self.change(reader, pause).await;
        Ok(None)
    }

    fn go_on(&mut self, reader: &mut Reader, next: LogFile, gap: bool) -> io::Result<()> {
        let torn =
            reader.file.content.length()?.map_or(0, |length| length.saturating_sub(reader.offset));
        self.shared.metrics.bytes_garbled.inc_by(torn);
        self.shared.metrics.files_opened.inc();
        self.assembler.file_ended();
        reader.watch = self.shared.changes.watch(next.content.descriptor(), reader.files.path());
        reader.go_on(next, gap);
        Ok(())
    }

    async fn learn_of_terminal(&mut self) {
        while let Err(error) = self.tracked.learn_of_terminal(&self.shared).await {
            tracing::debug!(container = %self.tracked.id, %error, "cannot inspect");
            self.pause().await;
        }
    }

    /// One read: decodes, admits and assembles what is there.
    fn read_file(&mut self, reader: &mut Reader) -> io::Result<Step> {
        let mut scratch = SCRATCH.take();
        if scratch.len() < reader.room {
            scratch.resize(reader.room, 0);
        }
        let buffer = scratch.get_mut(..reader.room).unwrap_or_default();
        let step = match reader.file.content.read_now(buffer, reader.offset) {
            Ok(read) => {
                let is_full = read == buffer.len();
                Ok(self.take(reader, buffer.get_mut(..read).unwrap_or_default(), is_full))
            }
            Err(error) => Err(error),
        };
        scratch.truncate(READ_BYTES);
        scratch.shrink_to(READ_BYTES);
        SCRATCH.set(scratch);
        step
    }

    fn take(&mut self, reader: &mut Reader, bytes: &mut [u8], is_full: bool) -> Step {
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        let Some(lines) = bytes.get_mut(..whole).filter(|lines| !lines.is_empty()) else {
            return if is_full { self.enlarge(reader) } else { Step::Nothing };
        };
        reader.room = READ_BYTES;
        let taken = self.take_lines(reader, lines);
        reader.offset += taken as u64;
        if let Some(file) = reader.file.id() {
            self.from_file = Some(file);
            let offset = reader.offset;
            self.position.set_file(FilePlace { file, offset, look_from: offset });
        }
        match (taken == whole, is_full) {
            (false, _) => Step::Terminal,
            (true, true) => Step::More,
            (true, false) => Step::Short,
        }
    }

    /// Takes whole lines up to one that needs to be known more of; returns their bytes.
    fn take_lines(&mut self, reader: &mut Reader, lines: &mut [u8]) -> usize {
        let Self { position, assembler, builder, shared, lane, seen, tracked, .. } = self;
        let Reader { decoder, file, offset, new_from, is_exact, check_gap, .. } = reader;
        let terminal = tracked.is_terminal();
        assembler.strip_carriage_returns(terminal == Some(true));
        let mut now = None;
        let (mut at, mut stopped) = (0, false);
        decoder.push(lines, |decoded| match decoded {
            _ if stopped => {}
            Decoded::Record { text, .. } if terminal.is_none() && text.ends_with(b"\r\n") => {
                stopped = true;
            }
            Decoded::Record { stream, time, text, end } => {
                let span = Span::new(*offset + at as u64, *offset + end as u64);
                file.note_first(time);
                at = end;
                let mark = if span.end > *new_from {
                    if !std::mem::replace(is_exact, true) {
                        position.is_exact();
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
        at
    }

    // A record that is longer than a read.
    fn enlarge(&mut self, reader: &mut Reader) -> Step {
        if reader.room < MOST_RECORD_BYTES {
            reader.room = MOST_RECORD_BYTES;
        } else {
            self.shared.metrics.bytes_garbled.inc_by(reader.room as u64);
            reader.offset += reader.room as u64;
        }
        Step::More
    }
}

// The engine is about to put something there, or to remove everything.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy)
}

impl Reader {
    /// Whether to read again at once, after records (`taken`) or none. Begins again if the file
    /// was truncated.
    fn has_more(&mut self, taken: bool) -> io::Result<bool> {
        let Some(length) = self.file.content.length()? else { return Ok(taken) };
        if length < self.offset {
            self.begin_again();
            return Ok(true);
        }
        Ok(taken && length > self.offset)
    }

    fn go_on(&mut self, next: LogFile, gap: bool) {
        self.offset = 0;
        self.pause = NEXT_PAUSE.0;
        self.check_gap |= gap;
        self.new_from = match self.opened_at {
            _ if gap => u64::MAX,
            Some(written) => next.new_from(written),
            None => 0,
        };
        self.is_exact &= self.new_from == 0;
        self.file = next;
    }

    /// The file was truncated: what is in it is another log, or the rest of this one.
    fn begin_again(&mut self) {
        self.file.begin_again();
        self.offset = 0;
        self.new_from = u64::MAX;
        self.is_exact = false;
        self.check_gap = true;
    }

    /// Nothing behind the end was taken.
    fn is_caught_up(&mut self) {
        self.new_from = self.new_from.min(self.offset);
        self.opened_at = None;
        self.check_gap = false;
    }
}
