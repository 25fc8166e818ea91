//! What the followers of one container share: its metadata as events change it, and what an
//! inspection said once.

use std::sync::{Arc, Mutex, Once, PoisonError};

use tokio::sync::watch;

use super::engine::{EngineError, Inspected, LogQuery, Read};
use super::follower::Shared;
use super::frames::{Decoded, Frames};
use super::position::Position;
use crate::metrics::containers::{Tally, Way};
use crate::record::{Container, Details, Timestamp};
use crate::select::Reason;
use crate::source::Intake;

/// Drivers that ship by themselves: their containers' lines are on their way already.
pub const SHIPPING: [&str; 8] =
    ["awslogs", "fluentd", "gcplogs", "gelf", "logentries", "splunk", "syslog", "etwlogs"];

/// A container that is followed.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) id: String,
    new: bool,
    seen: watch::Sender<Seen>,
    /// Held while an inspection is under way.
    asking: tokio::sync::Mutex<()>,
    said: Said,
    /// What was read of it.
    pub(super) tally: Arc<Tally>,
}

/// As many problems of one container are said; more of them is no news.
const MOST_PROBLEMS: usize = 32;

/// What was said of it once.
#[derive(Debug)]
struct Said {
    skipped: Once,
    problems: Mutex<Vec<String>>,
}

/// What events and lists have said of a container.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// With the name it has now, and what an inspection has said.
    pub(super) container: Arc<Container>,
    /// Since when it has that name; since ever, if it had no other.
    named_at: Timestamp,
    /// How many of its runs are known of.
    runs: u64,
    /// The value of `runs` when it was inspected last.
    inspected_at: Option<u64>,
    /// Rises with every start.
    pub(super) starts: u64,
    /// As far as events and lists tell.
    pub(super) running: bool,
    /// It was removed.
    pub(super) gone: bool,
}

// The name in the inspection, as far as that is kept.
fn rename(details: &mut Details, name: &str) {
    if let Some(kept) = details.inspection.as_mut().and_then(|kept| kept.get_mut("Name")) {
        *kept = format!("/{name}").into();
    }
}

impl Tracked {
    /// A container whose log may be followed. `new`: it was created under our eyes.
    pub(super) fn new(container: Container, new: bool, tally: Arc<Tally>) -> Self {
        let id = container.id.clone();
        let seen = watch::Sender::new(Seen {
            container: Arc::new(container),
            named_at: Timestamp::default(),
            runs: 0,
            inspected_at: None,
            starts: 0,
            running: false,
            gone: false,
        });
        let asking = tokio::sync::Mutex::new(());
        Self {
            id,
            new,
            seen,
            asking,
            said: Said { skipped: Once::new(), problems: Mutex::default() },
            tally,
        }
    }

    pub(super) fn is_new(&self) -> bool {
        self.new
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// What is known of it.
    pub(super) fn container(&self) -> Arc<Container> {
        self.seen.borrow().container.clone()
    }

    /// Since when it has its name.
    pub(super) fn named_at(&self) -> Timestamp {
        self.seen.borrow().named_at
    }

    /// Its log is followed from now on.
    pub(super) fn tracked(&self, running: bool) {
        self.seen.send_modify(|seen| {
            seen.running = running;
            // What was asked before its first run does not know that.
            seen.runs += u64::from(running);
        });
    }

    /// It was started.
    pub(super) fn started(&self) {
        self.seen.send_modify(|seen| {
            seen.starts += 1;
            seen.runs += 1;
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
        self.seen.send_modify(|seen| {
            seen.starts += 1;
            seen.runs += u64::from(!seen.running);
            seen.running = true;
        });
    }

    /// It was removed.
    pub(super) fn gone(&self) {
        self.seen.send_modify(|seen| seen.gone = true);
    }

    /// It has another name since `at`; lines read from here on carry it.
    pub(super) fn renamed(&self, name: &str, at: Timestamp) {
        self.seen.send_if_modified(|seen| {
            let changed = seen.container.name != name;
            if changed {
                let container = Arc::make_mut(&mut seen.container);
                name.clone_into(&mut container.name);
                if let Some(details) = &mut container.details {
                    rename(Arc::make_mut(details), name);
                }
                seen.named_at = at;
            }
            changed
        });
    }

    /// Whether all is known of it that its lines need.
    pub(super) fn is_known(&self, shared: &Shared) -> bool {
        let seen = self.seen.borrow();
        match seen.inspected_at {
            Some(at) => at == seen.runs || !shared.settings.wanted.changes_with_runs(),
            None => false,
        }
    }

    /// Inspects it unless that was done. One that is gone by now has no details.
    pub(super) async fn learn(&self, shared: &Shared) -> Result<(), EngineError> {
        let _asking = self.asking.lock().await;
        if self.is_known(shared) {
            return Ok(());
        }
        let run = self.seen.borrow().runs;
        // The set of permits is never closed. A thousand at once would be a burst on the engine.
        let _permit = shared.asking.acquire().await.ok();
        // Boxed once it is its turn: a thousand may wait for theirs, each with room for what it holds.
        let facts = Box::pin(shared.engine.inspect(&self.id)).await?;
        if let Some(facts) = &facts {
            shared.survey.learned(facts);
        }
        self.seen.send_modify(|seen| {
            seen.inspected_at = Some(run);
            let container = Arc::make_mut(&mut seen.container);
            match facts {
                Some(Inspected { variables, driver, tty, inspection, labels, image, .. }) => {
                    container.variables = variables;
                    container.details = Some(Arc::new(Details { driver, tty, inspection }));
                    // Events mix labels with facts of the engine's own, and lists may name an image
                    // by its id.
                    if !labels.is_empty() {
                        container.labels = labels;
                    }
                    if !image.is_empty() {
                        container.image = image;
                    }
                }
                None => {
                    container.details.get_or_insert_default();
                }
            }
        });
        Ok(())
    }

    /// Whether it has a terminal, as far as that was learnt.
    pub(super) fn is_terminal(&self) -> bool {
        self.seen.borrow().container.details.as_ref().is_some_and(|details| details.tty)
    }

    /// Says once why its lines are not wanted. What only one route does not want is less of a
    /// surprise.
    pub(super) fn say_skipped(&self, shared: &Shared, intake: &Intake, reason: &Reason) {
        if let Some(seat) = intake.seat() {
            shared.survey.read_by(&self.id, seat, Way::Skipped);
        }
        let name = &self.container().name;
        if reason.is_of_all_routes() {
            self.said.skipped.call_once(|| tracing::info!(container = %name, "skipped: {reason}"));
        } else {
            tracing::debug!(container = %name, destination = intake.id(), "not for a route: {reason}");
        }
    }

    /// Says and counts once what is wrong with its labels, and with how it wants lines joined.
    pub(super) fn say_problems(&self, shared: &Shared, problems: &[String]) {
        let mut said = self.said.problems.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in problems {
            if said.len() < MOST_PROBLEMS && !said.contains(problem) {
                shared.metrics.label_problems.inc();
                tracing::warn!(container = %self.container().name, "{problem}");
                said.push(problem.clone());
            }
        }
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
