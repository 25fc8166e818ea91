//! Hands every destination the positions that an earlier run has kept, and has the present ones
//! kept.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::select_all;

use crate::checkpoint::{Snapshot, Store, Writer};
use crate::lane::{Kept, Lanes};
use crate::metrics::Metrics;
use crate::options::Problem;
use crate::record::Timestamp;
use crate::shutdown::{Stop, Tasks};

/// The positions of all destinations on their way from and to the disk.
#[derive(Debug, Default)]
pub(super) struct Positions {
    store: Option<Store>,
    snapshot: Snapshot,
    lanes: Vec<(String, Arc<Lanes>)>,
    stop: Stop,
    writer: Option<Tasks>,
}

impl Positions {
    /// What is kept in `folder`; nothing is kept where there is none. Refused if another agent
    /// keeps its positions there.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self, Problem> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let (store, snapshot) = Store::open(folder)?;
        Ok(Self { store: Some(store), snapshot, ..Self::default() })
    }

    /// Where a destination goes on. One that was never shipped to begins with this run.
    pub(super) fn of(&self, destination: &str, started: Timestamp) -> Kept {
        let first = || Kept { since: started, ..Kept::default() };
        self.snapshot.get(destination).cloned().unwrap_or_else(first)
    }

    /// Has the positions of a destination kept.
    pub(super) fn watch(&mut self, destination: String, lanes: Arc<Lanes>) {
        self.lanes.push((destination, lanes));
    }

    /// Starts keeping. Destinations that are not shipped to any more stay as they are, for the
    /// day on which they are again.
    pub(super) fn keep(&mut self, metrics: &Metrics) {
        let Some(store) = self.store.take() else { return };
        let (lanes, mut snapshot) = (std::mem::take(&mut self.lanes), self.snapshot.clone());
        let waiting = lanes.clone();
        let wait = move || {
            let lanes: Vec<_> = waiting.iter().map(|(_, lanes)| lanes.clone()).collect();
            async move {
                let each = lanes.iter().map(|lanes| Box::pin(lanes.moved()));
                // There is a route, always.
                select_all(each).await;
            }
        };
        let moved = move || {
            let mut moved = false;
            for (destination, lanes) in &lanes {
                if let Some(kept) = lanes.kept() {
                    snapshot.insert(destination.clone(), kept);
                    moved = true;
                }
            }
            moved.then(|| snapshot.clone())
        };
        let writer = Writer::new(store, moved, wait, metrics.checkpoint().clone());
        let tasks = Tasks::new(metrics.tasks().clone());
        tasks.spawn("checkpoint", writer.run(self.stop.clone()));
        self.writer = Some(tasks);
    }

    /// Saves a last time. Call it once nothing moves any more.
    pub(super) async fn save(&self) {
        self.stop.quit();
        if let Some(writer) = &self.writer {
            writer.finished().await;
        }
    }
}
