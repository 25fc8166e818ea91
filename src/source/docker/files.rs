//! A container's log as the engine's json-file driver keeps it on disk: which files there are, which
//! follows which, and where in them a reader goes on. Never waits, and never writes.
//!
//! The driver renames: `ID-json.log` becomes `ID-json.log.1` and so on, and may become
//! `ID-json.log.1.gz`. A file is known by its inode and its first stamp, not by its name, and one
//! that is open stays readable to its last byte, wherever it goes.

mod chain;
mod content;
mod search;

use std::fs;
use std::io;
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
    /// Nothing yet: it is still the one that is written, or the next is not there yet.
    Nothing,
    /// The next one.
    File(LogFile),
    /// This one, and there may have been others between.
    AfterGap(LogFile),
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

    /// The file of `place`, if it is still there.
    pub(super) fn at(&self, place: FilePlace) -> io::Result<Option<Opened>> {
        let links = self.chain()?;
        let Some(at) = position_of(&links, place.file) else { return Ok(None) };
        let link = links.into_iter().nth(at);
        Ok(link.map(|link| {
            let file = LogFile::new(&link, Some(place.file.first));
            Opened { file, offset: place.look_from }
        }))
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

    /// What comes after `file`, which was read to its end.
    pub(super) fn after(&self, file: &LogFile) -> io::Result<Next> {
        if self.written()?.0 == file.inode {
            return Ok(Next::Nothing);
        }
        let mut links = self.chain()?;
        let same = |link: &Link| link.inode == file.inode;
        let known = file.id().and_then(|id| position_of(&links, id));
        let Some(at) = links.iter().position(same).or(known) else {
            let Some(link) = links.pop() else { return Ok(Next::Nothing) };
            let next_step = links.is_empty() && took_its_place(file, &link);
            let next = LogFile::new(&link, None);
            return Ok(if next_step { Next::File(next) } else { Next::AfterGap(next) });
        };
        let next = at.checked_sub(1).and_then(|newer| links.into_iter().nth(newer));
        Ok(next.map_or(Next::Nothing, |link| Next::File(LogFile::new(&link, None))))
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

// By inode, or by the first stamp where it was compressed since.
fn position_of(links: &[Link], id: FileId) -> Option<usize> {
    links.iter().position(|link| {
        (link.inode == id.inode || link.is_compressed)
            && search::first(&mut link.content()).ok().flatten() == Some(id.first)
    })
}

// Whether `link` was created when `file` was removed.
fn took_its_place(file: &LogFile, link: &Link) -> bool {
    let Ok(removed) = file.content.metadata() else { return false };
    let Some(created) = link.created else { return false };
    let seconds = Duration::from_secs(removed.ctime().unsigned_abs());
    let changed = seconds + Duration::from_nanos(removed.ctime_nsec().unsigned_abs());
    let at = created.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    at.abs_diff(changed) <= SAME_STEP
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

    /// Its content was replaced.
    pub(super) fn begin_again(&mut self) {
        self.first = None;
    }
}
