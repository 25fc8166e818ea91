//! The few things that a checkpoint needs of a file system, as a seam: tests put a disk under it
//! that loses power. Errors name the file. Never knows what a file holds.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Largest checkpoint, in bytes: room for some 200,000 logs. What is behind is not read.
pub(super) const MAX_BYTES: u64 = 64 << 20;

const LOCK: &str = "lock";

/// Why a folder cannot be written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Another process has its lock.
    Held,
    /// It cannot be made, or not be locked.
    Unusable(io::Error),
}

/// One folder of a file system. Names are those of files right in it.
pub(super) trait Disk: Debug + Send {
    /// Makes the folder and takes its lock. Does nothing once it has it.
    fn claim(&mut self) -> Result<(), Refusal>;
    /// What a file holds, up to `MAX_BYTES`.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// An empty file in the place of any that has the name.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name; a file that has it is gone at the same moment.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; one that is not there is an error.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names last: without it a power cut may undo a rename.
    fn sync_folder(&self) -> io::Result<()>;
}

/// A file that is being written.
pub(super) trait DiskFile {
    /// Appends all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written last.
    fn sync(&mut self) -> io::Result<()>;
}

/// A folder of the real file system.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held until the process ends, however it ends.
    lock: Option<File>,
}

impl Folder {
    /// The folder at `path`, which need not exist.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    fn make(&self) -> io::Result<()> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let missing: Vec<&Path> = self.path.ancestors().take_while(missing).collect();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|error| named("make the folder", &self.path, &error))?;
        // The names of the new folders must last too.
        missing.iter().filter_map(|path| path.parent()).try_for_each(sync)
    }

    fn take_lock(&self) -> Result<File, Refusal> {
        let path = self.path.join(LOCK);
        let open = |write| {
            let mut options = OpenOptions::new();
            options.read(true).write(write).create(write).truncate(false).mode(0o600).open(&path)
        };
        // A folder that cannot be written can still be in use.
        let (file, flaw) = match open(true) {
            Ok(file) => (file, None),
            Err(flaw) => match open(false) {
                Ok(file) => (file, Some(flaw)),
                Err(_) => return Err(Refusal::Unusable(named("write", &path, &flaw))),
            },
        };
        match (file.try_lock(), flaw) {
            (Err(TryLockError::WouldBlock), _) => Err(Refusal::Held),
            (Err(TryLockError::Error(error)), _) => {
                Err(Refusal::Unusable(named("lock", &path, &error)))
            }
            (Ok(()), Some(flaw)) => Err(Refusal::Unusable(named("write", &path, &flaw))),
            (Ok(()), None) => Ok(file),
        }
    }
}

impl Disk for Folder {
    fn claim(&mut self) -> Result<(), Refusal> {
        if self.lock.is_none() {
            self.make().map_err(Refusal::Unusable)?;
            self.lock = Some(self.take_lock()?);
        }
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
            .map_err(|error| named("read", &path, &error))?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(named("remove", &path, &error));
            }
            _ => {}
        }
        // Whatever stands there now is somebody else's: a link that leads elsewhere, perhaps.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match file {
            Ok(file) => Ok(Box::new(Open { file, path })),
            Err(error) => Err(named("make", &path, &error)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let to = self.path.join(to);
        fs::rename(self.path.join(from), &to).map_err(|error| named("replace", &to, &error))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        fs::remove_file(&path).map_err(|error| named("remove", &path, &error))
    }

    fn sync_folder(&self) -> io::Result<()> {
        sync(&self.path)
    }
}

struct Open {
    file: File,
    path: PathBuf,
}

impl DiskFile for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).map_err(|error| named("write", &self.path, &error))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all().map_err(|error| named("write", &self.path, &error))
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    let here = Path::new(".");
    let folder = if folder.as_os_str().is_empty() { here } else { folder };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| named("write", folder, &error))
}

fn named(verb: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {verb} {}: {error}", path.display()))
}
