//! What the followers of one container share: its metadata as events change it, and what an
//! inspection said once.

use std::sync::Arc;

use tokio::sync::{OnceCell, watch};

use super::engine::{EngineError, LogQuery, Read};
use super::follower::Shared;
use super::frames::{Decoded, Frames};
use super::position::Position;
use crate::metrics::containers::Tally;
use crate::record::{Container, Timestamp};

/// Drivers that ship by themselves: their containers' lines are on their way already.
pub(super) const SHIPPING: [&str; 8] =
    ["awslogs", "fluentd", "gcplogs", "gelf", "logentries", "splunk", "syslog", "etwlogs"];

/// A container that is followed.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) id: String,
    new: bool,
    seen: watch::Sender<Seen>,
    skipped: OnceCell<bool>,
    terminal: OnceCell<bool>,
    variables: OnceCell<()>,
    /// What was read of it.
    pub(super) tally: Arc<Tally>,
}

/// What events and lists have said of a container.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// With the name it has now.
    pub(super) container: Arc<Container>,
    /// Rises with every start.
    pub(super) starts: u64,
    /// As far as events and lists tell.
    pub(super) running: bool,
    /// It was removed.
    pub(super) gone: bool,
}

impl Tracked {
    /// A container whose log is followed. `new`: it was created under our eyes.
    pub(super) fn new(container: Container, new: bool, running: bool, tally: Arc<Tally>) -> Self {
        let id = container.id.clone();
        let seen = Seen { container: Arc::new(container), starts: 0, running, gone: false };
        let seen = watch::Sender::new(seen);
        Self {
            id,
            new,
            seen,
            skipped: OnceCell::new(),
            terminal: OnceCell::new(),
            variables: OnceCell::new(),
            tally,
        }
    }

    pub(super) fn is_new(&self) -> bool {
        self.new
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// It was started, or is found running.
    pub(super) fn started(&self) {
        self.seen.send_modify(|seen| {
            seen.starts += 1;
            seen.running = true;
        });
    }

    /// It has ended; it may start again.
    pub(super) fn died(&self) {
        self.seen.send_modify(|seen| seen.running = false);
    }

    /// A list says that it runs: wakes followers that believe otherwise. For one that reads it
    /// changes nothing.
    pub(super) fn found_running(&self) {
        self.started();
    }

    /// It was removed.
    pub(super) fn gone(&self) {
        self.seen.send_modify(|seen| seen.gone = true);
    }

    /// It has another name now; lines read from here on carry it.
    pub(super) fn renamed(&self, name: &str) {
        self.seen.send_if_modified(|seen| {
            let changed = seen.container.name != name;
            if changed {
                name.clone_into(&mut Arc::make_mut(&mut seen.container).name);
            }
            changed
        });
    }

    /// Asks once for the variables that a route wants to know. One that is gone by now has none.
    pub(super) async fn learn_of_variables(&self, shared: &Shared) -> Result<(), EngineError> {
        let learnt = self.variables.get_or_try_init(|| async {
            if let Some(facts) = shared.engine.inspect(&self.id).await? {
                self.seen.send_if_modified(|seen| {
                    let changed = seen.container.variables != facts.variables;
                    if changed {
                        Arc::make_mut(&mut seen.container).variables = facts.variables;
                    }
                    changed
                });
            }
            Ok(())
        });
        learnt.await.copied()
    }

    /// Whether its log is none of our business. Asked once, said once.
    pub(super) async fn is_skipped(&self, shared: &Shared) -> bool {
        let skipped = self.skipped.get_or_try_init(|| async {
            let facts = shared.engine.inspect(&self.id).await?;
            if let Some(facts) = &facts {
                shared.survey.learned(facts);
            }
            // A container that is gone already is shipped: its stream was opened in time.
            Ok::<bool, EngineError>(facts.is_some_and(|facts| {
                let ships = SHIPPING.contains(&facts.driver.as_str());
                let skip = ships && !shared.settings.follow_shipped;
                if skip {
                    let name = self.seen.borrow().container.name.clone();
                    tracing::info!(
                        container = %name, driver = %facts.driver,
                        "skipped: its log driver ships already; DOWNSPOUT_SHIPPED_DRIVERS=follow to follow it"
                    );
                }
                skip
            }))
        });
        matches!(skipped.await, Ok(true))
    }

    /// Whether it has a terminal, as far as that was learnt.
    pub(super) fn is_terminal(&self) -> Option<bool> {
        self.terminal.get().copied()
    }

    /// Asks the engine whether it has a terminal. One that is gone by now had none: then its lines
    /// are shipped as they are.
    pub(super) async fn learn_of_terminal(&self, shared: &Shared) -> Result<(), EngineError> {
        let learnt = self.terminal.get_or_try_init(|| async {
            let facts = shared.engine.inspect(&self.id).await?;
            Ok(facts.is_some_and(|facts| facts.tty))
        });
        learnt.await.map(drop)
    }

    /// Whether it is certain that the container is not running.
    pub(super) async fn has_stopped(&self, shared: &Shared) -> bool {
        let facts = shared.engine.inspect(&self.id).await;
        // "Restarting" is not running, whatever its flags say.
        matches!(facts, Ok(Some(facts)) if !facts.running || facts.restarting)
    }

    /// Whether the container has stopped and its last record was taken.
    pub(super) async fn is_read_to_end(
        &self,
        shared: &Shared,
        position: &Position,
    ) -> Result<bool, EngineError> {
        let Some(facts) = shared.engine.inspect(&self.id).await? else {
            return Err(EngineError::NotFound { message: format!("no container {}", self.id) });
        };
        // "Restarting" is not running, whatever its flags say.
        if facts.running && !facts.restarting {
            return Ok(false);
        }
        // The clean end of a stream can be a proxy's doing, and Engine 20.10 may miss the last
        // records of a container that exits while its log is followed.
        self.newest_is_taken(shared, position).await
    }

    /// Whether the log has records that were not taken, as far as the engine can be asked.
    pub(super) async fn has_more(&self, shared: &Shared, position: &Position) -> bool {
        matches!(self.newest_is_taken(shared, position).await, Ok(false))
    }

    async fn newest_is_taken(
        &self,
        shared: &Shared,
        position: &Position,
    ) -> Result<bool, EngineError> {
        let query = LogQuery { follow: false, since: None, tail: Some(1) };
        let mut stream = shared.engine.logs(&self.id, query).await?;
        let (mut frames, mut complete) = (Frames::default(), true);
        let now = Timestamp::now();
        let mut check = |decoded: Decoded<'_>| {
            if let Decoded::Record { stream, time, .. } = decoded {
                complete &= !position.is_ahead(stream, time, now);
            }
        };
        loop {
            let read = stream
                .read(&mut |bytes: &[u8]| {
                    // Bytes that make no sense are no record that is missing.
                    frames.push(bytes, &mut check).ok();
                })
                .await;
            match read {
                Ok(Read::Data(_)) => {}
                Ok(Read::End { .. }) => break,
                Err(error) => {
                    let (endpoint, why) = (shared.engine.endpoint().to_string(), error.to_string());
                    return Err(EngineError::Unreachable { endpoint, why, cure: String::new() });
                }
            }
        }
        frames.finish(&mut check);
        Ok(complete)
    }
}
