//! Learns what the host's containers write to and how much of the disk their logs take, at a pace
//! that nobody feels: each is inspected once, some a second, and all files are looked at with the
//! list of containers. Never reads a log.

pub mod disk;
pub mod rotation;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::engine::Inspected;
use super::follower::Shared;
use crate::metrics::containers::{Containers, LogKind, Tally, Way};
use crate::shutdown;
use rotation::Limits;

/// Between two inspections. The engine spends some milliseconds on each.
const PACE: Duration = Duration::from_millis(200);
/// A container that just came is left alone for as long: most that live shorter are gone by then, and
/// the engine has other things to do while it starts them.
const SETTLE: Duration = Duration::from_secs(3);
/// After an inspection that failed, whoever refused it; and between two looks at the disk while
/// the engine gives no lists.
const LONG: Duration = Duration::from_mins(1);
/// A list comes every minute; this much later there is none.
const NO_LIST_AFTER: Duration = Duration::from_secs(75);

/// What is known of all containers, also of those that nobody follows.
#[derive(Debug)]
pub(super) struct Survey {
    containers: Containers,
    own_id: Option<String>,
    /// The engine's folder of containers, where it may be for us.
    folder: Mutex<Option<PathBuf>>,
    /// There is a container that was not inspected.
    news: Notify,
    /// There is a new list.
    listed: Notify,
}

impl Survey {
    /// Of no container yet. `series`: how many containers have series of their own.
    pub(super) fn new(containers: Containers, own_id: Option<String>, series: usize) -> Self {
        containers.show_series(series);
        let folder = Mutex::default();
        Self { containers, own_id, folder, news: Notify::new(), listed: Notify::new() }
    }

    /// Where the files of the logs may be.
    pub(super) fn look_into(&self, folder: PathBuf) {
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
    }

    /// A container is there.
    pub(super) fn found(&self, id: &str, name: &str, running: bool) {
        if self.containers.found(id, name, running) {
            if self.own_id.as_deref() == Some(id) {
                self.containers.read_by(id, 0, Way::Skipped);
            }
            self.news.notify_one();
        }
    }

    /// Whether that was said of it.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.containers.knows(id)
    }

    /// It has ended; it may start again.
    pub(super) fn died(&self, id: &str) {
        self.containers.is_running(id, false);
    }

    /// It has another name now.
    pub(super) fn renamed(&self, id: &str, name: &str) {
        self.containers.renamed(id, name);
    }

    /// It was removed.
    pub(super) fn gone(&self, id: &str) {
        self.containers.gone(id);
    }

    /// These are all there are.
    pub(super) fn listed(&self, there: &HashSet<&str>) {
        self.containers.retain(there);
        self.listed.notify_one();
    }

    /// How a destination reads a container now.
    pub(super) fn read_by(&self, id: &str, destination: usize, way: Way) {
        self.containers.read_by(id, destination, way);
    }

    /// Where what is read of a container is counted.
    pub(super) fn tally(&self, id: &str) -> Arc<Tally> {
        self.containers.tally(id)
    }

    /// What an inspection has said, whoever asked.
    pub(super) fn learned(&self, facts: &Inspected) {
        let log = match facts.driver.as_str() {
            "json-file" => LogKind::JsonFile(Limits::of(&facts.driver_options).rotation()),
            "" => return,
            _ => LogKind::Other,
        };
        self.containers.learned(&facts.id, log);
    }

    /// Inspects and measures, for ever.
    pub(super) async fn watch(&self, shared: &Shared) {
        tokio::join!(self.ask(shared), self.measure());
    }

    async fn ask(&self, shared: &Shared) {
        let mut up = shared.engine_up.clone();
        let mut clock = interval(PACE);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // After a panic, too, there may be some.
        self.news.notify_one();
        loop {
            self.news.notified().await;
            sleep(SETTLE).await;
            for id in self.containers.unknown() {
                // Discovery holds the sender as long as this runs.
                drop(up.wait_for(|up| *up).await);
                if !self.containers.knows(&id) {
                    continue;
                }
                clock.tick().await;
                match Box::pin(shared.engine.inspect(&id)).await {
                    Ok(Some(facts)) => self.learned(&facts),
                    // Its end will be told.
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(container = %id, %error, "cannot inspect");
                        sleep(LONG).await;
                        self.news.notify_one();
                        break;
                    }
                }
            }
        }
    }

    async fn measure(&self) {
        loop {
            drop(timeout(NO_LIST_AFTER, self.listed.notified()).await);
            let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(folder) = folder else { continue };
            let ids = self.containers.with_files();
            let measured = shutdown::blocking(move || disk::measure(&folder, &ids)).await;
            self.containers.measured(measured);
        }
    }
}
