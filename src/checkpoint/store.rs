//! One file that is replaced as a whole: whatever happens, it is the last one that was saved, or
//! the one being saved. Damage and a folder that cannot be written never refuse a start.

use std::io;
use std::path::{Path, PathBuf};

use super::Snapshot;
use super::disk::{Disk, Folder, MAX_BYTES, Refusal};
use super::format::{self, Reading, VERSION};
use crate::options::Problem;

/// The file.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The next one while it is written. Only the holder of the lock writes, so one name is enough.
pub(super) const NEW: &str = "checkpoint.new";
/// A copy of the last one that was found damaged.
pub(super) const DAMAGED: &str = "checkpoint.damaged";

/// The place where positions outlive the agent. Holds the folder's lock for as long as it lives.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    disk: Box<dyn Disk>,
}

/// A store, what it held, and what its operator should know.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) snapshot: Snapshot,
    pub(super) notes: Vec<String>,
}

impl Store {
    /// Takes the folder, which is made if it is missing, and reads what an earlier agent left in
    /// it. Refused only while another process works on it: whatever else is wrong is logged, and
    /// what is undamaged is returned. Reads and writes files: not for long, but it blocks.
    pub fn open(folder: &Path) -> Result<(Self, Snapshot), Problem> {
        let opened = Self::on(folder, Box::new(Folder::new(folder)))?;
        for note in &opened.notes {
            tracing::warn!("{note}");
        }
        let destinations = opened.snapshot.len();
        let logs: usize = opened.snapshot.values().map(|kept| kept.logs.len()).sum();
        tracing::info!(folder = %folder.display(), destinations, logs, "positions kept so far");
        Ok((opened.store, opened.snapshot))
    }

    pub(super) fn on(folder: &Path, disk: Box<dyn Disk>) -> Result<Opened, Problem> {
        let mut store = Self { folder: folder.to_owned(), disk };
        let mut notes = Vec::new();
        let writable = match store.disk.claim() {
            Err(Refusal::Held) => return Err(held(folder)),
            Err(Refusal::Unusable(error)) => Err(error),
            Ok(()) => store.try_writing(),
        };
        let is_writable = writable.is_ok();
        if let Err(error) = writable {
            notes.push(format!(
                "positions are not kept over a restart: {error}; mount a volume at {} that can be \
                 written, or set DOWNSPOUT_STATE_DIR to such a folder",
                folder.display()
            ));
        }
        let snapshot = store.load(is_writable, &mut notes);
        Ok(Opened { store, snapshot, notes })
    }

    /// Replaces what is kept by `snapshot`. After an error the last one is there still, or this
    /// one is. Blocks until it is on the disk.
    pub fn save(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        self.disk.claim().map_err(|refusal| match refusal {
            Refusal::Held => {
                io::Error::new(io::ErrorKind::WouldBlock, held(&self.folder).to_string())
            }
            Refusal::Unusable(error) => error,
        })?;
        let text = format::text(snapshot);
        if text.len() as u64 > MAX_BYTES {
            let what = format!("a checkpoint of {} bytes; {MAX_BYTES} at most", text.len());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        let replaced = self.replace(text.as_bytes());
        if replaced.is_err() {
            // A full disk wants its room back; after the rename there is nothing to remove.
            self.disk.remove(NEW).ok();
        }
        replaced
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(NEW)?;
        file.write(text)?;
        // Before the rename: else the new name may be on the disk without what it names.
        file.sync()?;
        drop(file);
        self.disk.rename(NEW, CHECKPOINT)?;
        self.disk.sync_folder()
    }

    // Also clears away what an agent that was killed left half written.
    fn try_writing(&self) -> io::Result<()> {
        self.disk.create(NEW).map(drop)?;
        self.disk.remove(NEW)
    }

    fn load(&self, is_writable: bool, notes: &mut Vec<String>) -> Snapshot {
        let path = self.folder.join(CHECKPOINT);
        let bytes = match self.disk.read(CHECKPOINT) {
            Ok(bytes) => bytes,
            Err(error) if is_missing(&error) => return Snapshot::default(),
            Err(error) => {
                // Not to be overwritten by the next save: perhaps it can be read another day.
                if is_writable {
                    self.disk.rename(CHECKPOINT, DAMAGED).ok();
                }
                notes.push(format!(
                    "{error}; this start is a first start, and what was printed since the last \
                     one is not shipped; {DAMAGED} beside it keeps the file, if it could be moved"
                ));
                return Snapshot::default();
            }
        };
        let reading = format::read(&bytes);
        if is_writable && !reading.intact() {
            self.copy_aside(&bytes);
        }
        notes.extend(flaws(&path, &reading));
        reading.snapshot
    }

    // A copy: the file itself stays until a whole one takes its place.
    fn copy_aside(&self, bytes: &[u8]) {
        if self.disk.create(DAMAGED).and_then(|mut copy| copy.write(bytes)).is_err() {
            // Half a copy helps nobody, and a full disk wants its room back.
            self.disk.remove(DAMAGED).ok();
        }
    }
}

/// What is wrong with a file that was read, in full sentences.
pub(super) fn flaws(path: &Path, reading: &Reading) -> Option<String> {
    let path = path.display();
    let logs: usize = reading.snapshot.values().map(|kept| kept.logs.len()).sum();
    if !reading.intact() {
        let end = if reading.whole() { "" } else { ", lines are missing" };
        let lost = reading.lost;
        return Some(format!(
            "{path} is damaged ({lost} lines unreadable{end}): {logs} positions are undamaged and \
             kept; the other logs are shipped again from when their destination was first shipped \
             to, and a destination of which nothing is left begins anew; the agent copies the file to {DAMAGED} beside it and writes a new one"
        ));
    }
    let version = reading.version.filter(|version| *version > VERSION)?;
    Some(format!(
        "{path} is of a newer downspout (version {version}, this one writes {VERSION}): {logs} \
         positions are understood and kept; the next save leaves out what is not understood"
    ))
}

/// Says that another agent has the folder.
pub(super) fn held(folder: &Path) -> Problem {
    Problem::new(format!(
        "another downspout runs on {}: stop it, or set DOWNSPOUT_STATE_DIR to another folder",
        folder.display()
    ))
}

/// True where there never was a file.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;
