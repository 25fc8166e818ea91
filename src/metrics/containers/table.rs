//! The table of containers and the sums over it. Knows nothing of series.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{LogKind, Measured, Rotation, Tally, Way};

/// All containers of the host by id.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<String, Entry>,
    /// How many may have series of their own.
    most: usize,
    /// How many have.
    shown: usize,
    /// What was read of those that shared a series and are gone: a counter does not fall.
    others_gone: (u64, u64),
    disk: (u64, u64),
}

/// One container.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) running: bool,
    pub(super) log: LogKind,
    /// Its log on disk, in bytes; `None` if there are no files to be seen.
    bytes: Option<u64>,
    /// By destination.
    ways: Vec<Way>,
    tally: Arc<Tally>,
    has_series: bool,
}

/// The series of one container, or of all that share one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// On disk, and whether all of it is bounded; `None` without such a file.
    pub(super) file: Option<(u64, bool)>,
}

/// The sums over all containers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Containers by state and way.
    pub(super) ways: Vec<(bool, Way)>,
    /// Containers on json-file and their bytes, by rotation.
    pub(super) logs: Vec<(Rotation, u64)>,
    pub(super) disk_size: u64,
    pub(super) disk_free: u64,
}

impl Entry {
    pub(super) fn read_by(&mut self, destination: usize, way: Way) {
        if self.ways.len() <= destination {
            self.ways.resize(destination + 1, Way::Pending);
        }
        if let Some(place) = self.ways.get_mut(destination) {
            *place = way;
        }
    }

    // The dearest, for that is what an operator wants to know of.
    fn way(&self) -> Way {
        let dearest = [Way::Attach, Way::Api, Way::File, Way::Skipped];
        dearest.into_iter().find(|way| self.ways.contains(way)).unwrap_or_default()
    }

    // A file that is there proves the driver.
    fn rotation(&self) -> Option<Rotation> {
        match (self.log, self.bytes) {
            (LogKind::JsonFile(rotation), _) => Some(rotation),
            (LogKind::Unknown, Some(_)) => Some(Rotation::Unknown),
            _ => None,
        }
    }
}

impl Table {
    pub(super) fn show_series(&mut self, most: usize) {
        self.most = most;
    }

    pub(super) fn found(&mut self, id: &str, name: &str, running: bool) -> bool {
        if let Some(entry) = self.entries.get_mut(id) {
            name.clone_into(&mut entry.name);
            entry.running = running;
            return false;
        }
        let has_series = self.shown < self.most;
        self.shown += usize::from(has_series);
        let entry = Entry { name: name.to_owned(), running, has_series, ..Entry::default() };
        self.entries.insert(id.to_owned(), entry);
        true
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    pub(super) fn change(&mut self, id: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(id) {
            change(entry);
        }
    }

    pub(super) fn measured(&mut self, measured: Measured) {
        let Measured { mut logs, disk_size, disk_free } = measured;
        for (id, entry) in &mut self.entries {
            entry.bytes = logs.remove(id);
        }
        self.disk = (disk_size, disk_free);
    }

    pub(super) fn gone(&mut self, id: &str) {
        if let Some(entry) = self.entries.remove(id) {
            self.left(&entry);
        }
    }

    pub(super) fn retain(&mut self, there: &HashSet<&str>) {
        let gone: Vec<_> = self.entries.extract_if(|id, _| !there.contains(id.as_str())).collect();
        for (_, entry) in gone {
            self.left(&entry);
        }
    }

    fn left(&mut self, entry: &Entry) {
        if entry.has_series {
            self.shown -= 1;
        } else {
            let (lines, bytes) = entry.tally.totals();
            self.others_gone.0 += lines;
            self.others_gone.1 += bytes;
        }
    }

    pub(super) fn ids(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<String> {
        let wanted = self.entries.iter().filter(|(_, entry)| wanted(entry));
        wanted.map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn tally(&self, id: &str) -> Arc<Tally> {
        self.entries.get(id).map(|entry| entry.tally.clone()).unwrap_or_default()
    }

    pub(super) fn sums(&self) -> Sums {
        let entries = || self.entries.values();
        let log = |entry: &Entry| Some((entry.rotation()?, entry.bytes.unwrap_or_default()));
        Sums {
            ways: entries().map(|entry| (entry.running, entry.way())).collect(),
            logs: entries().filter_map(log).collect(),
            disk_size: self.disk.0,
            disk_free: self.disk.1,
        }
    }

    /// Every series of containers under its name, `others` for what is shared; empty without any.
    pub(super) fn rows<'a>(&'a self, others: &'a str) -> HashMap<&'a str, Row> {
        if self.most == 0 {
            return HashMap::new();
        }
        let (lines, bytes) = self.others_gone;
        let mut rows = HashMap::from([(others, Row { lines, bytes, file: None })]);
        for entry in self.entries.values() {
            let name = if entry.has_series { entry.name.as_str() } else { others };
            // Two may have one name for a moment, when a name goes from one to the other.
            let row = rows.entry(name).or_default();
            let (lines, bytes) = entry.tally.totals();
            row.lines += lines;
            row.bytes += bytes;
            if let Some(rotation) = entry.rotation() {
                let (size, bounded) = row.file.unwrap_or((0, true));
                let size = size + entry.bytes.unwrap_or_default();
                row.file = Some((size, bounded && rotation == Rotation::Bounded));
            }
        }
        rows
    }
}
