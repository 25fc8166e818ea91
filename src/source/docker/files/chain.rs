//! The files of a log in their order, as the folder shows them. Never looks for a place in them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::{Content, search};
use crate::record::Timestamp;

/// One file of a log, open.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) inode: u64,
    pub(super) is_compressed: bool,
    /// When it was created, where the file system tells.
    pub(super) created: Option<SystemTime>,
    file: Arc<File>,
}

impl Link {
    fn open(path: &Path, is_compressed: bool) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let created = metadata.created().ok();
        Ok(Self { inode: metadata.ino(), is_compressed, created, file: Arc::new(file) })
    }

    /// Whether this is the stamp of its first record; false as well if it cannot be read.
    pub(super) fn begins_with(&self, time: Timestamp) -> bool {
        search::first(&mut self.content()).is_ok_and(|first| first == Some(time))
    }

    /// Its content, to be read by itself.
    pub(super) fn content(&self) -> Content {
        Content::new(self.file.clone(), self.is_compressed)
    }
}

/// All files of the log that is written to `path`, newest first; `None` if files were renamed
/// meanwhile. An error if there is none, or one cannot be read.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<Link>>> {
    let names = names(path)?;
    let mut links = Vec::new();
    let newest = (path, false);
    let rotated = names.iter().map(|(_, name, is_compressed)| (name.as_path(), *is_compressed));
    for (name, is_compressed) in std::iter::once(newest).chain(rotated) {
        match Link::open(name, is_compressed) {
            Ok(link) => links.push(link),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !names.is_empty() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    let newest = fs::metadata(path).map(|metadata| metadata.ino());
    let unchanged = newest.is_ok_and(|inode| links.first().is_some_and(|l| l.inode == inode))
        && self::names(path)? == names;
    Ok(unchanged.then_some(links))
}

type Name = (u32, PathBuf, bool);

// The rotated files, newest first. Of one that is being compressed, the original.
fn names(path: &Path) -> io::Result<Vec<Name>> {
    let (Some(folder), Some(base)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(suffix) = name.to_str().and_then(|n| n.strip_prefix(base)?.strip_prefix('.'))
        else {
            continue;
        };
        let number = suffix.strip_suffix(".gz");
        if let Ok(index) = number.unwrap_or(suffix).parse::<u32>() {
            names.push((index, folder.join(&name), number.is_some()));
        }
    }
    names.sort_by_key(|(index, _, is_compressed)| (*index, *is_compressed));
    names.dedup_by_key(|(index, ..)| *index);
    Ok(names)
}
