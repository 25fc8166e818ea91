//! Hands every destination the positions that an earlier run has kept, and has the present ones
//! kept. Destinations may come and go meanwhile.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::select_all;
use tokio::sync::Notify;

use crate::checkpoint::{Snapshot, Store, Writer};
use crate::lane::{Kept, Lanes};
use crate::metrics::Metrics;
use crate::options::Problem;
use crate::record::Timestamp;
use crate::shutdown::{Stop, Tasks};

/// The positions of all destinations on their way from and to the disk. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Positions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Destinations came or went.
    changed: Notify,
    stop: Stop,
}

#[derive(Debug, Default)]
struct State {
    store: Option<Store>,
    snapshot: Snapshot,
    lanes: Vec<(String, Arc<Lanes>)>,
    /// The snapshot has changed by more than what lanes tell.
    changed: bool,
    writer: Option<Tasks>,
}

impl Positions {
    /// What is kept in `folder`; nothing is kept where there is none. Refused if another agent
    /// keeps its positions there.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self, Problem> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let (store, snapshot) = Store::open(folder)?;
        let state = State { store: Some(store), snapshot, ..State::default() };
        Ok(Self(Arc::new(Inner { state: Mutex::new(state), ..Inner::default() })))
    }

    /// Where a destination goes on. One that was never shipped to begins with `started`.
    pub(super) fn of(&self, destination: &str, started: Timestamp) -> Kept {
        let first = || Kept { since: started, ..Kept::default() };
        self.lock().snapshot.get(destination).cloned().unwrap_or_else(first)
    }

    /// Has the positions of a destination kept.
    pub(super) fn watch(&self, destination: String, lanes: Arc<Lanes>) {
        self.lock().lanes.push((destination, lanes));
        self.0.changed.notify_one();
    }

    /// The destination has ended. Its positions are its heir's, who goes on in its place, or go with
    /// it.
    pub(super) fn unwatch(&self, destination: &str, heir: Option<&str>) {
        let mut state = self.lock();
        let ended = state.lanes.iter().position(|(name, _)| name == destination);
        let ended = ended.map(|at| state.lanes.swap_remove(at).1);
        if let Some(kept) = ended.and_then(|lanes| lanes.kept()) {
            state.snapshot.insert(destination.to_owned(), kept);
        }
        state.inherit(destination, heir);
        drop(state);
        self.0.changed.notify_one();
    }

    /// The same for one that was not opened yet.
    pub(super) fn inherit(&self, destination: &str, heir: Option<&str>) {
        self.lock().inherit(destination, heir);
        self.0.changed.notify_one();
    }

    /// Starts keeping. Destinations that are not shipped to any more stay as they are, for the
    /// day on which they are again.
    pub(super) fn keep(&self, metrics: &Metrics) {
        let Some(store) = self.lock().store.take() else { return };
        let (waiting, asked) = (self.0.clone(), self.0.clone());
        let wait = move || Box::pin(moved(waiting.clone()));
        let snapshot = move || lock(&asked.state).moved();
        let writer = Writer::new(store, snapshot, wait, metrics.checkpoint().clone());
        let tasks = Tasks::new(metrics.tasks().clone());
        tasks.spawn("checkpoint", writer.run(self.0.stop.clone()));
        self.lock().writer = Some(tasks);
    }

    /// Saves a last time. Call it once nothing moves any more.
    pub(super) async fn save(&self) {
        self.0.stop.quit();
        let writer = self.lock().writer.clone();
        if let Some(writer) = writer {
            writer.finished().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl State {
    // The heir is shipped to from now on; of the logs that were followed it gets what is left.
    fn inherit(&mut self, destination: &str, heir: Option<&str>) {
        let kept = self.snapshot.remove(destination);
        if let Some((heir, kept)) = heir.zip(kept) {
            self.snapshot.insert(heir.to_owned(), Kept { since: Timestamp::now(), ..kept });
        }
        self.changed = true;
    }

    /// What is to be saved, if anything has moved since the last call.
    fn moved(&mut self) -> Option<Snapshot> {
        let mut moved = std::mem::take(&mut self.changed);
        for (destination, lanes) in &self.lanes {
            if let Some(kept) = lanes.kept() {
                self.snapshot.insert(destination.clone(), kept);
                moved = true;
            }
        }
        moved.then(|| self.snapshot.clone())
    }
}

/// Waits until asking for what has moved is worth while.
async fn moved(inner: Arc<Inner>) {
    loop {
        let lanes: Vec<Arc<Lanes>> = {
            let state = lock(&inner.state);
            if state.changed {
                return;
            }
            state.lanes.iter().map(|(_, lanes)| lanes.clone()).collect()
        };
        if lanes.is_empty() {
            inner.changed.notified().await;
            continue;
        }
        tokio::select! {
            _ = select_all(lanes.iter().map(|lanes| Box::pin(lanes.moved()))) => return,
            () = inner.changed.notified() => {}
        }
    }
}

// A panic while the lock is held leaves positions behind that are still right.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Container;

    fn lanes(since: i64) -> Arc<Lanes> {
        let kept = Kept { since: Timestamp::from_nanos(since), ..Kept::default() };
        Lanes::new(1 << 20, kept, Metrics::new().unlisted())
    }

    #[tokio::test]
    async fn a_destination_that_ends_leaves_its_positions_only_to_one_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let positions = Positions::open(Some(folder.path())).unwrap();
        let (gone, replaced, stays) = (lanes(1), lanes(2), lanes(3));
        let container = Container { id: "c".into(), ..Container::default() };
        drop(replaced.open(&container, None));
        for (name, lanes) in [("gone", &gone), ("replaced", &replaced)] {
            positions.watch(name.to_owned(), lanes.clone());
        }
        positions.keep(&Metrics::new());
        // One that comes later is kept as well.
        positions.watch("stays".to_owned(), stays.clone());
        let before = Timestamp::now();
        positions.unwatch("gone", None);
        positions.unwatch("replaced", Some("heir"));
        let check = |positions: &Positions| {
            let at = Timestamp::from_nanos(9);
            let since = |name: &str| positions.of(name, at).since;
            assert_eq!([since("gone"), since("replaced")], [at, at]);
            assert!(since("heir") >= before, "what it wants beyond that begins now");
            assert!(positions.of("heir", at).logs.contains_key("c"), "it goes on where that was");
        };
        check(&positions);
        positions.save().await;
        drop(positions);
        let again = Positions::open(Some(folder.path())).unwrap();
        check(&again);
        assert_eq!(again.of("stays", before).since.nanos(), 3);
    }
}
