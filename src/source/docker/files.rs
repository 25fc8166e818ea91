//! A container's log as the engine's json-file driver keeps it on disk: which files there are, which
//! follows which, and where in them a reader goes on. Never waits, and never writes.
//!
//! The driver renames: `ID-json.log` becomes `ID-json.log.1` and so on, and may become
//! `ID-json.log.1.gz`. A file is known by its inode and its first stamp, not by its name, and one
//! that is open stays readable to its last byte, wherever it goes.

mod chain;
mod content;
mod search;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::record::{FileId, FilePlace, Timestamp};

use chain::Link;
pub(super) use content::{Content, MOST_RECORD_BYTES};

/// How often the folder is read again when files are renamed meanwhile.
const TRIES: usize = 10;
/// A file that was created within this time of the removal of another took its place: the engine
/// does both in one step. (The kernel's file times are some milliseconds coarse.)
const SAME_STEP: Duration = Duration::from_millis(20);

/// The files of one container's log.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// Of the file that is written.
    path: PathBuf,
}

/// An open file of a log.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) content: Content,
    inode: u64,
    /// The stamp of its first record, once that was seen.
    first: Option<Timestamp>,
}

/// Where a reader wants to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole log.
    All,
    /// What was printed at this time or later, and perhaps some more before it.
    Since(Timestamp),
}

/// A file, and where in it to begin.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: LogFile,
    pub(super) offset: u64,
}

/// What comes after a file.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing: it is still the one that is written.
    Nothing,
    /// A file that nothing was written to yet. The engine does that at once; as long as it has
    /// not, it was not the engine who renamed this one, and it may still write to it.
    Empty,
    /// The next one.
    File(LogFile),
    /// The oldest there is, for there may have been others between; and which file is written, by
    /// its inode, and its length.
    AfterGap(LogFile, (u64, u64)),
}

impl Files {
    /// Those of container `id` in the engine's folder of containers.
    pub(super) fn of(containers: &Path, id: &str) -> Self {
        Self { path: containers.join(id).join(format!("{id}-json.log")) }
    }

    /// Where the file is that is written.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that is written, by its inode, and its length.
    pub(super) fn written(&self) -> io::Result<(u64, u64)> {
        let metadata = fs::metadata(&self.path)?;
        Ok((metadata.ino(), metadata.len()))
    }

    /// The file of `place`, if it is still there and as it was.
    pub(super) fn at(&self, place: FilePlace) -> io::Result<Option<Opened>> {
        let links = self.chain()?;
        let Some(link) = same_file(&links, place.file).and_then(|at| links.get(at)) else {
            return Ok(None);
        };
        let mut file = LogFile::new(link, Some(place.file.first));
        let is_as_it_was = file.has_line_end(place.offset)?;
        Ok(is_as_it_was.then_some(Opened { file, offset: place.look_from }))
    }

    /// Where to begin for `wanted`.
    pub(super) fn from(&self, wanted: Wanted) -> io::Result<Opened> {
        let links = self.chain()?;
        let mut oldest = None;
        for link in links {
            let mut file = LogFile::new(&link, None);
            if let Wanted::Since(since) = wanted
                && file.first()?.is_some_and(|first| first < since)
            {
                let offset = search::since(&mut file.content, since)?;
                return Ok(Opened { file, offset });
            }
            oldest = Some(file);
        }
        oldest.map(|file| Opened { file, offset: 0 }).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What comes after `file`, which was read to its end. An error of kind `InvalidData` if that
    /// is not certain.
    pub(super) fn after(&self, file: &LogFile) -> io::Result<Next> {
        if self.written()?.0 == file.inode {
            return Ok(Next::Nothing);
        }
        let links = self.chain()?;
        let same = links.iter().position(|link| link.inode == file.inode);
        let same = match (same, file.id()) {
            (None, Some(id)) => same_first(&links, id)?,
            _ => same,
        };
        let (next, gap) = match same {
            Some(at) => (at.checked_sub(1).and_then(|newer| links.get(newer)), false),
            None => (links.last(), links.len() > 1),
        };
        let Some(next) = next else { return Ok(Next::Nothing) };
        let gap = gap || same.is_none() && !took_its_place(file, next)?;
        let written = links.first().unwrap_or(next);
        let length = written.content().length()?.unwrap_or_default();
        let file = LogFile::new(next, None);
        Ok(match gap {
            _ if length == 0 && next.inode == written.inode => Next::Empty,
            true => Next::AfterGap(file, (written.inode, length)),
            false => Next::File(file),
        })
    }

    /// Whether `file`, whose log was removed, had been rotated: then there were later ones.
    pub(super) fn was_rotated(&self, file: &LogFile) -> bool {
        let link = format!("/proc/self/fd/{}", file.content.descriptor().as_raw_fd());
        // The name that it had last, followed by " (deleted)".
        let name = fs::read_link(link).unwrap_or_default();
        let name = name.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let base = self.path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.strip_prefix(base).is_some_and(|suffix| suffix.starts_with('.'))
    }

    // Newest first.
    fn chain(&self) -> io::Result<Vec<Link>> {
        for _ in 0..TRIES {
            if let Some(links) = chain::read(&self.path)? {
                return Ok(links);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }
}

// By inode and first stamp, for an inode may be another file's by now; or by the first stamp alone
// where it was compressed since. `None` as well where several begin with pieces of one long line,
// which share a stamp: then it is not certain.
fn same_file(links: &[Link], id: FileId) -> Option<usize> {
    let is_same = |link: &Link| link.inode == id.inode && link.begins_with(id.first);
    let Some(at) = links.iter().position(is_same) else { return same_first(links, id).ok()? };
    let mut beside = [at.checked_sub(1), at.checked_add(1)].into_iter().flatten();
    let is_alone = !beside.any(|at| links.get(at).is_some_and(|link| link.begins_with(id.first)));
    is_alone.then_some(at)
}

// The file that was compressed since; an error if that is not certain.
fn same_first(links: &[Link], id: FileId) -> io::Result<Option<usize>> {
    let is_same = |link: &&Link| link.is_compressed && link.begins_with(id.first);
    let mut found = links.iter().enumerate().filter(|(_, link)| is_same(link));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(io::ErrorKind::InvalidData.into()),
        (one, _) => Ok(one.map(|(at, _)| at)),
    }
}

// Whether the engine created `link` when it removed `file`, which was the only one. What somebody
// put there instead has records of `file`, if it is not empty.
fn took_its_place(file: &LogFile, link: &Link) -> io::Result<bool> {
    let removed = file.content.metadata()?;
    let Some(created) = link.created else { return Ok(false) };
    let seconds = Duration::from_secs(removed.ctime().unsigned_abs());
    let changed = seconds + Duration::from_nanos(removed.ctime_nsec().unsigned_abs());
    let at = created.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(at.abs_diff(changed) <= SAME_STEP
        && match search::first(&mut link.content())? {
            Some(first) => !search::holds(&mut file.content.again(), first)?,
            None => true,
        })
}

impl LogFile {
    fn new(link: &Link, first: Option<Timestamp>) -> Self {
        Self { inode: link.inode, content: link.content(), first }
    }

    /// What it is known by; `None` before its first record was seen.
    pub(super) fn id(&self) -> Option<FileId> {
        self.first.map(|first| FileId { inode: self.inode, first })
    }

    /// Looks for the first record's stamp, if it is not known.
    pub(super) fn first(&mut self) -> io::Result<Option<Timestamp>> {
        if self.first.is_none() {
            self.first = search::first(&mut self.content)?;
        }
        Ok(self.first)
    }

    /// A record of this stamp was read. Only the first counts.
    pub(super) fn note_first(&mut self, time: Timestamp) {
        self.first.get_or_insert(time);
    }

    /// From where on all of it is later than what was there when `written` was.
    pub(super) fn new_from(&self, (inode, length): (u64, u64)) -> u64 {
        if inode == self.inode { length } else { u64::MAX }
    }

    // Whether a line ends at `offset`; one that was truncated, and has grown since, has none there.
    fn has_line_end(&mut self, offset: u64) -> io::Result<bool> {
        let Some(last) = offset.checked_sub(1).filter(|_| self.content.is_plain()) else {
            return Ok(true);
        };
        let mut byte = [0];
        self.content.read_at(&mut byte, last)?;
        Ok(byte == *b"\n")
    }

    /// Its content was replaced.
    pub(super) fn begin_again(&mut self) {
        self.first = None;
    }
}
