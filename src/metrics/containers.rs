//! What is known of the containers of the host: how each is read, and what its log takes of the
//! disk. One table, from which every series is made when it is asked for, so that none can drift.

mod families;
mod table;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) use families::Families;
use table::Table;

/// The containers of the host. Cheap to clone: all are one table.
#[derive(Debug, Clone, Default)]
pub struct Containers {
    table: Arc<Mutex<Table>>,
}

/// How a container's log is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// From its files.
    File,
    /// Through the engine.
    Api,
    /// By attachment.
    Attach,
    /// Not at all: it ships by itself, keeps no log, or is our own.
    Skipped,
    /// Nobody has begun yet.
    #[default]
    Pending,
}

/// Whether a json-file log has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It has.
    Bounded,
    /// It grows until the disk is full.
    Unbounded,
    /// The engine was not asked yet, or does not say.
    Unknown,
}

/// The log driver of a container, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogKind {
    /// The engine was not asked yet.
    #[default]
    Unknown,
    /// json-file.
    JsonFile(Rotation),
    /// Any other.
    Other,
}

/// What was read of a container's log, counted once for each destination.
#[derive(Debug, Default)]
pub struct Tally {
    lines: AtomicU64,
    bytes: AtomicU64,
}

/// What the logs take of the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// Bytes on disk by the container's id, rotated files included; of those that have files.
    pub logs: HashMap<String, u64>,
    /// Size of the file system that holds them, in bytes; 0 if it is not known.
    pub disk_size: u64,
    /// What is free of it for everybody, in bytes.
    pub disk_free: u64,
}

impl Tally {
    /// Lines of so many bytes of text were read.
    pub fn count(&self, lines: u64, bytes: u64) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn totals(&self) -> (u64, u64) {
        (self.lines.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl Containers {
    /// Gives the next `most` containers that are found series of their own; all others share one.
    /// With 0, which is the default, there are no such series.
    pub fn show_series(&self, most: usize) {
        self.lock().show_series(most);
    }

    /// A container is there. True if it was not known.
    pub fn found(&self, id: &str, name: &str, running: bool) -> bool {
        self.lock().found(id, name, running)
    }

    /// Whether it is there.
    pub fn knows(&self, id: &str) -> bool {
        self.lock().knows(id)
    }

    /// It was started, or has ended.
    pub fn is_running(&self, id: &str, running: bool) {
        self.lock().change(id, |entry| entry.running = running);
    }

    /// It has another name now.
    pub fn renamed(&self, id: &str, name: &str) {
        self.lock().change(id, |entry| name.clone_into(&mut entry.name));
    }

    /// How the destination of this number reads it now.
    pub fn read_by(&self, id: &str, destination: usize, way: Way) {
        self.lock().change(id, |entry| entry.read_by(destination, way));
    }

    /// What its log driver is.
    pub fn learned(&self, id: &str, log: LogKind) {
        self.lock().change(id, |entry| entry.log = log);
    }

    /// What the logs take of the disk by now.
    pub fn measured(&self, measured: Measured) {
        self.lock().measured(measured);
    }

    /// It was removed.
    pub fn gone(&self, id: &str) {
        self.lock().gone(id);
    }

    /// Only these exist.
    pub fn retain(&self, there: &HashSet<&str>) {
        self.lock().retain(there);
    }

    /// Those whose log driver is not known.
    pub fn unknown(&self) -> Vec<String> {
        self.lock().ids(|entry| entry.log == LogKind::Unknown)
    }

    /// Those that may have files of the json-file driver.
    pub fn with_files(&self) -> Vec<String> {
        self.lock().ids(|entry| entry.log != LogKind::Other)
    }

    /// Where what is read of it is counted. One that is not known counts for itself.
    pub fn tally(&self, id: &str) -> Arc<Tally> {
        self.lock().tally(id)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
