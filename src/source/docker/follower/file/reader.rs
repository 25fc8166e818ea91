//! Where one follower is in the files of its log, and from where on what it reads is known to be
//! new. Never reads, and never decides on a record.

use std::time::Duration;

use crate::source::docker::changes::Watch;
use crate::source::docker::files::{Files, LogFile};
use crate::source::docker::json_file::Decoder;

/// The most that one read takes, in bytes; enlarged for a record that is longer.
pub(super) const READ_BYTES: usize = 128 * 1024;
/// First and longest pause while the file that comes next is not there yet.
pub(super) const NEXT_PAUSE: (Duration, Duration) =
    (Duration::from_millis(2), Duration::from_secs(1));
/// So many bytes before the place that was reached are read again each time: they hold the stamp
/// of a record. A file that was truncated, and has grown since, has others there.
const SEAM_BYTES: usize = 40;

/// A place in the files of a log.
pub(super) struct Reader {
    pub(super) files: Files,
    pub(super) file: LogFile,
    pub(super) watch: Watch,
    pub(super) decoder: Decoder,
    pub(super) offset: u64,
    /// From this byte of the file on nothing was taken; before it the stamps tell.
    pub(super) new_from: u64,
    /// A record from there on has come.
    pub(super) is_exact: bool,
    /// The file that was written when the log was opened, and its length: up to there the stamps
    /// tell, if the place was found by its stamp.
    opened_at: Option<(u64, u64)>,
    /// The next record may lie behind a gap.
    pub(super) check_gap: bool,
    /// Bytes that one read takes at most.
    pub(super) room: usize,
    /// The file may have got another name since it was last compared with the folder.
    moved: bool,
    /// Before the next look at the folder, where the file that comes next was not found.
    pause: Duration,
    /// The bytes before `offset`, as they were read; none if that is not known.
    seam: Vec<u8>,
    /// Bytes behind `offset` that are no whole record yet.
    pub(super) torn: u64,
    /// Where it was when the container was found not to be running.
    pub(super) stopped_at: Option<u64>,
}

impl Reader {
    /// From `offset` on, where everything from `new_from` on is new. `opened_at` if that is known
    /// by the stamps alone, which have to show first that nothing is missing.
    pub(super) fn new(
        files: Files,
        (file, offset): (LogFile, u64),
        watch: Watch,
        new_from: u64,
        opened_at: Option<(u64, u64)>,
    ) -> Self {
        Self {
            files,
            file,
            watch,
            decoder: Decoder::default(),
            offset,
            new_from,
            is_exact: false,
            opened_at,
            check_gap: opened_at.is_some(),
            room: READ_BYTES,
            moved: false,
            pause: NEXT_PAUSE.0,
            seam: Vec::new(),
            torn: 0,
            stopped_at: None,
        }
    }

    /// Whether the file may have got another name.
    pub(super) fn is_moved(&mut self) -> bool {
        self.moved |= self.watch.take_moved();
        self.moved
    }

    /// Whether there may be something that was not read.
    pub(super) fn has_unread(&self) -> std::io::Result<bool> {
        Ok(self.file.content.length()?.is_none_or(|length| length > self.offset))
    }

    /// It has its name still.
    pub(super) fn note_in_place(&mut self) {
        self.moved = false;
        self.pause = NEXT_PAUSE.0;
    }

    /// How long to wait for the file that comes next.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (self.pause * 2).min(NEXT_PAUSE.1);
        pause
    }

    /// How many bytes before `offset` are to be read with what follows.
    pub(super) fn seam_bytes(&self) -> usize {
        self.seam.len()
    }

    /// Whether these are the bytes that stood before `offset`.
    pub(super) fn is_seamless(&self, before: &[u8]) -> bool {
        self.seam == before
    }

    /// Keeps the end of what is about to be taken.
    pub(super) fn keep_seam(&mut self, lines: &[u8]) {
        self.seam.clear();
        // A compressed file does not change, and is not read backwards.
        if self.file.content.is_plain() {
            self.seam.extend_from_slice(lines.last_chunk::<SEAM_BYTES>().map_or(&[], |end| end));
        }
    }

    /// Passes over `bytes` that are no records. Nothing is known of what stands before them.
    pub(super) fn pass_over(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.seam.clear();
    }

    /// Goes on in the file that comes next; or, behind a gap, in the oldest there is. Then all may
    /// have been taken that is in this and the others by now, up to the end of the one that is
    /// `written`.
    pub(super) fn go_on(&mut self, next: LogFile, watch: Watch, gap: Option<(u64, u64)>) {
        self.file = next;
        self.watch = watch;
        self.offset = 0;
        self.seam.clear();
        self.torn = 0;
        self.note_in_place();
        self.check_gap |= gap.is_some();
        self.opened_at = gap.or(self.opened_at);
        self.new_from = self.opened_at.map_or(0, |written| self.file.new_from(written));
        self.is_exact &= self.new_from == 0;
    }

    /// The file was truncated: what is in it is another log, or the rest of this one.
    pub(super) fn begin_again(&mut self) {
        self.file.begin_again();
        self.offset = 0;
        self.seam.clear();
        self.torn = 0;
        self.doubt();
    }

    /// What comes may have been taken, or something may be missing before it: the stamps tell.
    pub(super) fn doubt(&mut self) {
        self.new_from = u64::MAX;
        self.is_exact = false;
        self.check_gap = true;
    }

    /// Nothing behind the end was taken.
    pub(super) fn note_caught_up(&mut self) {
        self.new_from = self.new_from.min(self.offset);
        self.opened_at = None;
        self.check_gap = false;
    }
}
