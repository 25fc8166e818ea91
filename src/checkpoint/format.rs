//! The text of a checkpoint, in lines that stand alone: damage costs the line that it hits and no
//! other. Never touches a file.
//!
//! ```text
//! downspout checkpoint 1
//! destination name=NAME since=NANOS crc=CHECKSUM
//! log destination=NAME since=NANOS container=ID floor=NANOS stdout=NANOS:PIECES
//!     stderr=NANOS:PIECES open=NANOS file=INODE:NANOS:OFFSET:OFFSET crc=CHECKSUM  (one line)
//! end lines=COUNT crc=CHECKSUM
//! ```
//!
//! - `NANOS` are nanoseconds since 1970; `floor`, `stdout`, `stderr`, `open` and `file` stand only
//!   where there is such a place. `file` is the same place in the log's file, by the stamp of the
//!   file's first record: nothing was taken from the first offset on, look from the second on.
//! - In names every byte that is not a visible ASCII character, and `%`, is written `%XX`.
//! - The checksum is the CRC-32 of what stands before ` crc=`, in eight digits.
//! - Words, kinds of lines and versions that are not known are passed over: a file of a newer
//!   agent gives what this one understands.
//! - All destinations stand before all logs, so that a file that was cut short still has them.
//!   `since` stands on the logs too: a destination whose own line is lost keeps its true value as
//!   long as one of its logs is left, neither repeating what it never wanted nor losing anything.

use std::fmt::Write;

use memchr::memmem;

use super::Snapshot;
use super::crc::crc32;
use crate::lane::Kept;
use crate::record::{Cursor, FileId, FilePlace, Mark, Resume, Stream, Timestamp};

/// The version that is written. A higher one is read as far as it is understood.
pub(super) const VERSION: u64 = 1;
const FIRST_LINE: &[u8] = b"downspout checkpoint ";
const CHECKSUM: &str = " crc=";
const CHECKSUM_DIGITS: usize = 8;

// ── writing ─────────────────────────────────────────────────────────────────────────────────

/// The whole file.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut text = Text { whole: format!("downspout checkpoint {VERSION}\n"), ..Text::default() };
    for (name, kept) in snapshot {
        text.begin("destination");
        text.name("name", name);
        text.stamp("since", Some(kept.since));
        text.finish();
    }
    for (name, kept) in snapshot {
        for (id, resume) in &kept.logs {
            text.begin("log");
            text.name("destination", name);
            text.stamp("since", Some(kept.since));
            text.name("container", id);
            text.stamp("floor", resume.floor);
            text.mark(Stream::Stdout, &resume.cursor);
            text.mark(Stream::Stderr, &resume.cursor);
            text.stamp("open", resume.cursor.open());
            text.file(&resume.cursor);
            text.finish();
        }
    }
    let lines = text.lines;
    text.begin("end");
    text.word(format_args!("lines={lines}"));
    text.finish();
    text.whole
}

#[derive(Default)]
struct Text {
    whole: String,
    line: String,
    lines: usize,
}

impl Text {
    fn begin(&mut self, kind: &str) {
        self.line.clear();
        self.line.push_str(kind);
    }

    fn word(&mut self, word: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        write!(self.line, " {word}").ok();
    }

    fn stamp(&mut self, key: &str, stamp: Option<Timestamp>) {
        if let Some(stamp) = stamp {
            self.word(format_args!("{key}={}", stamp.nanos()));
        }
    }

    fn mark(&mut self, stream: Stream, cursor: &Cursor) {
        if let Some(mark) = cursor.mark(stream) {
            self.word(format_args!("{}={}:{}", stream.name(), mark.time.nanos(), mark.pieces));
        }
    }

    fn file(&mut self, cursor: &Cursor) {
        if let Some(FilePlace { file, offset, look_from }) = cursor.file() {
            let (inode, first) = (file.inode, file.first.nanos());
            self.word(format_args!("file={inode}:{first}:{offset}:{look_from}"));
        }
    }

    fn name(&mut self, key: &str, name: &str) {
        self.word(format_args!("{key}="));
        for byte in name.bytes() {
            if byte.is_ascii_graphic() && byte != b'%' {
                self.line.push(char::from(byte));
            } else {
                write!(self.line, "%{byte:02X}").ok();
            }
        }
    }

    fn finish(&mut self) {
        let crc = crc32(self.line.as_bytes());
        writeln!(self.whole, "{}{CHECKSUM}{crc:08x}", self.line).ok();
        self.lines += 1;
    }
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Everything that is undamaged.
    pub(super) snapshot: Snapshot,
    /// The version that the file says it has.
    pub(super) version: Option<u64>,
    /// Lines that are damaged or lack what they must have.
    pub(super) lost: usize,
    /// A line end was damaged; both its lines were read all the same.
    joined: bool,
    lines: usize,
    announced: Option<usize>,
}

/// A line with a right checksum that lacks what this version needs.
struct NotUnderstood;

/// Reads a file, whatever it holds.
pub(super) fn read(bytes: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let body = reading.first_line(bytes);
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        reading.line(line);
    }
    reading
}

impl Reading {
    /// True if it is as it was written.
    pub(super) fn intact(&self) -> bool {
        self.version.is_some() && self.lost == 0 && !self.joined && self.whole()
    }

    /// True if no line is missing.
    pub(super) fn whole(&self) -> bool {
        self.announced == Some(self.lines)
    }

    // Returns what stands behind it.
    fn first_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let rest = bytes.strip_prefix(FIRST_LINE).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, behind) = rest.split_at_checked(digits).unwrap_or_default();
        self.version = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        match behind.split_first() {
            Some((end, body)) if self.version.is_some() => {
                self.joined = *end != b'\n';
                body
            }
            _ => {
                self.version = None;
                let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
                bytes.get(end..).unwrap_or_default()
            }
        }
    }

    // A damaged line end joins two lines: what stands behind a checksum is a line of its own.
    fn line(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            let (content, behind) = checked(rest);
            if content.map(|content| self.entry(content)).is_none_or(|read| read.is_err()) {
                self.lines += 1;
                self.lost += 1;
            }
            self.joined |= !behind.is_empty();
            rest = behind.get(1..).unwrap_or_default();
        }
    }

    fn entry(&mut self, content: &[u8]) -> Result<(), NotUnderstood> {
        let words = Words(std::str::from_utf8(content).map_err(|_| NotUnderstood)?);
        match words.kind() {
            "destination" => {
                let since = words.stamp("since")?.ok_or(NotUnderstood)?;
                self.snapshot.entry(words.name("name")?).or_default().since = since;
            }
            "log" => {
                let (id, resume) = (words.name("container")?, words.resume()?);
                let since = words.stamp("since")?.ok_or(NotUnderstood)?;
                let new = || Kept { since, ..Kept::default() };
                let kept = self.snapshot.entry(words.name("destination")?).or_insert_with(new);
                kept.logs.insert(id, resume);
            }
            "end" => {
                let lines = words.value("lines").and_then(|lines| lines.parse().ok());
                self.announced = Some(lines.ok_or(NotUnderstood)?);
                return Ok(());
            }
            _ => {}
        }
        self.lines += 1;
        Ok(())
    }
}

// The first line of `rest` if its checksum is right, and what stands behind the checksum.
fn checked(rest: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let split = memmem::find(rest, CHECKSUM.as_bytes()).and_then(|at| {
        let (content, tail) = rest.split_at_checked(at)?;
        let (digits, behind) = tail.get(CHECKSUM.len()..)?.split_at_checked(CHECKSUM_DIGITS)?;
        Some((content, digits, behind))
    });
    let Some((content, digits, behind)) = split else {
        return (None, &[]);
    };
    let right = format!("{:08x}", crc32(content)).as_bytes() == digits;
    (right.then_some(content), behind)
}

#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn kind(self) -> &'a str {
        self.0.split(' ').next().unwrap_or_default()
    }

    fn value(self, key: &str) -> Option<&'a str> {
        self.0.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn name(self, key: &str) -> Result<String, NotUnderstood> {
        self.value(key).and_then(unescaped).ok_or(NotUnderstood)
    }

    fn stamp(self, key: &str) -> Result<Option<Timestamp>, NotUnderstood> {
        self.value(key).map(|text| nanos(text).ok_or(NotUnderstood)).transpose()
    }

    fn mark(self, stream: Stream) -> Result<Option<Mark>, NotUnderstood> {
        let mark = |text: &str| {
            let (time, pieces) = text.split_once(':')?;
            Some(Mark { time: nanos(time)?, pieces: pieces.parse().ok()? })
        };
        self.value(stream.name()).map(|text| mark(text).ok_or(NotUnderstood)).transpose()
    }

    fn resume(self) -> Result<Resume, NotUnderstood> {
        let mut cursor = Cursor::default();
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(mark) = self.mark(stream)? {
                cursor.advance(stream, mark);
            }
        }
        cursor.set_open(self.stamp("open")?);
        // The marks say the same, only less quickly.
        cursor.set_file(self.value("file").and_then(file_place));
        Ok(Resume { floor: self.stamp("floor")?, cursor })
    }
}

fn nanos(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_nanos)
}

fn file_place(text: &str) -> Option<FilePlace> {
    let mut numbers = text.split(':');
    let inode = numbers.next()?.parse().ok()?;
    let first = nanos(numbers.next()?)?;
    let offset = numbers.next()?.parse().ok()?;
    let look_from = numbers.next()?.parse().ok()?;
    let whole = numbers.next().is_none();
    whole.then_some(FilePlace { file: FileId { inode, first }, offset, look_from })
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
