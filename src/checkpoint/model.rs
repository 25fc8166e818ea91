//! For tests: snapshots of every kind, and a disk that loses power. What was not synced may be
//! there, partly, as zeros or not at all; renames that were not synced are undone from some point.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use proptest::prelude::*;

use super::Snapshot;
use super::disk::{Disk, DiskFile, Refusal};
use crate::lane::Kept;
use crate::record::{Cursor, FileId, FilePlace, Mark, Resume, Stream, Timestamp};

// ── snapshots ───────────────────────────────────────────────────────────────────────────────

pub(super) fn snapshots() -> impl Strategy<Value = Snapshot> {
    prop::collection::btree_map(names(), kept(), 0..4)
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "syslog\\+tcp://[a-c]:514",
        Just("a b=c%20\n crc=00000000 ü\u{0}".to_owned()),
        ".{0,12}",
        Just(String::new()),
    ]
}

fn kept() -> impl Strategy<Value = Kept> {
    let ids = prop_oneof!["[0-9a-f]{64}", names()];
    (stamps(), prop::collection::btree_map(ids, resumes(), 0..5))
        .prop_map(|(since, logs)| Kept { since, logs })
}

fn resumes() -> impl Strategy<Value = Resume> {
    let mark = || prop::option::of((stamps(), any::<u32>()));
    let stamp = || prop::option::of(stamps());
    let file = (any::<u64>(), stamps(), any::<u64>(), any::<u64>());
    let file = prop::option::of(file.prop_map(|(inode, first, offset, look_from)| FilePlace {
        file: FileId { inode, first },
        offset,
        look_from,
    }));
    (mark(), mark(), stamp(), stamp(), file).prop_map(|(stdout, stderr, floor, open, file)| {
        let mut cursor = Cursor::default();
        for (stream, mark) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            if let Some((time, pieces)) = mark {
                cursor.advance(stream, Mark { time, pieces });
            }
        }
        cursor.set_open(open);
        cursor.set_file(file);
        Resume { floor, cursor }
    })
}

fn stamps() -> impl Strategy<Value = Timestamp> {
    prop_oneof![4 => 1_795_387_206_063_720_431_i64.., 1 => any::<i64>()]
        .prop_map(Timestamp::from_nanos)
}

// ── a disk ──────────────────────────────────────────────────────────────────────────────────

/// What happens at the next steps of the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// The power goes in the middle of the step after so many.
    PowerCut { after: usize },
    /// The step after so many fails for want of room.
    Full { after: usize },
    /// All steps from this one on fail for want of room.
    StaysFull { after: usize },
}

/// A handle on a disk, which lives on when the store on it is gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Model(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Names as a running program sees them, and as the disk has them.
    names: BTreeMap<String, usize>,
    names_on_disk: BTreeMap<String, usize>,
    /// Changes of names since the last sync of the folder, in their order.
    changes: Vec<Change>,
    files: Vec<Content>,
    fault: Fault,
    steps: usize,
    dead: bool,
    claimed_by_another: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Put(String, usize),
    Remove(String),
    Rename(String, String),
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    on_disk: Vec<u8>,
    synced: bool,
}

impl Model {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Sets what happens from the next step on.
    pub(super) fn set(&self, fault: Fault) {
        let mut state = self.lock();
        state.fault = fault;
        state.steps = 0;
    }

    /// Lets another process have the lock, or give it back.
    pub(super) fn claim_by_another(&self, held: bool) {
        self.lock().claimed_by_another = held;
    }

    /// True once the power is gone.
    pub(super) fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// Cuts the power and brings it back. `dice` decides what is left of what was not synced.
    pub(super) fn restart(&self, mut dice: impl FnMut(usize) -> usize) {
        let mut state = self.lock();
        let survived = dice(state.changes.len() + 1);
        let changes: Vec<Change> = state.changes.drain(..).take(survived).collect();
        let mut names = std::mem::take(&mut state.names_on_disk);
        for change in changes {
            apply(&mut names, change);
        }
        for file in state.files.iter_mut().filter(|file| !file.synced) {
            let length = dice(file.bytes.len() + 1);
            file.bytes = match dice(4) {
                0 => file.on_disk.clone(),
                1 => vec![0; length],
                2 => file.bytes[..length].to_vec(),
                _ => std::mem::take(&mut file.bytes),
            };
            file.on_disk = file.bytes.clone();
            file.synced = true;
        }
        state.names = names.clone();
        state.names_on_disk = names;
        state.dead = false;
        state.fault = Fault::None;
    }

    /// What a running program reads of a file.
    pub(super) fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        Some(state.files[*state.names.get(name)?].bytes.clone())
    }

    /// The names of all files.
    pub(super) fn listing(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// A file as if somebody had put it there long ago.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.lock();
        let (bytes, on_disk) = (bytes.to_vec(), bytes.to_vec());
        state.files.push(Content { bytes, on_disk, synced: true });
        let id = state.files.len() - 1;
        state.names.insert(name.to_owned(), id);
        state.names_on_disk.insert(name.to_owned(), id);
    }
}

impl State {
    // `Ok(true)`: the power goes within this step, which may still have an effect.
    fn step(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(io::Error::other("no power"));
        }
        let at = self.steps;
        self.steps += 1;
        let full = match self.fault {
            Fault::PowerCut { after } if at == after => {
                self.dead = true;
                return Ok(true);
            }
            Fault::Full { after } => at == after,
            Fault::StaysFull { after } => at >= after,
            _ => false,
        };
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(false) }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        let dies = self.step()?;
        apply(&mut self.names, change.clone());
        self.changes.push(change);
        if dies { Err(io::Error::other("power cut")) } else { Ok(()) }
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: Change) {
    match change {
        Change::Put(name, id) => {
            names.insert(name, id);
        }
        Change::Remove(name) => {
            names.remove(&name);
        }
        Change::Rename(from, to) => {
            if let Some(id) = names.remove(&from) {
                names.insert(to, id);
            }
        }
    }
}

impl Disk for Model {
    fn claim(&mut self) -> Result<(), Refusal> {
        if self.lock().claimed_by_another { Err(Refusal::Held) } else { Ok(()) }
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        if self.lock().dead {
            return Err(io::Error::other("no power"));
        }
        self.content(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        state.files.push(Content::default());
        let id = state.files.len() - 1;
        state.change(Change::Put(name.to_owned(), id))?;
        Ok(Box::new(ModelFile { disk: self.clone(), id }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.lock().change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Remove(name.to_owned()))
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.lock();
        if state.step()? {
            return Err(io::Error::other("power cut"));
        }
        state.names_on_disk = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

struct ModelFile {
    disk: Model,
    id: usize,
}

impl DiskFile for ModelFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let outcome = state.step();
        // What fails in the middle has written a part.
        let part = if matches!(outcome, Ok(false)) { bytes } else { &bytes[..bytes.len() / 2] };
        let file = &mut state.files[self.id];
        file.bytes.extend_from_slice(part);
        file.synced = false;
        if outcome? { Err(io::Error::other("power cut")) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        if state.step()? {
            return Err(io::Error::other("power cut"));
        }
        let file = &mut state.files[self.id];
        file.on_disk = file.bytes.clone();
        file.synced = true;
        Ok(())
    }
}
