//! The containers that are followed, and for whom: what discovery hears of them becomes followers,
//! one for each destination. Never talks to the engine itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::discovery::is_running;
use super::engine::{Event, Listed};
use super::follower::Shared;
use super::following::{First, Following};
use super::tracked::Tracked;
use crate::metrics::containers::Tally;
use crate::record::Container;
use crate::source::{Feed, Intake};

/// All containers that are followed.
pub(super) struct Roster {
    shared: Arc<Shared>,
    pub(super) feed: Feed,
    /// The name of the engine's host, for the lines.
    pub(super) host: String,
    tracked: HashMap<String, Arc<Tracked>>,
    /// Created while we watched, and not started yet: their logs are new.
    created: HashMap<String, Arc<Tracked>>,
    /// Numbers of the intakes that follow everything in `tracked`.
    open: HashSet<u64>,
    own_id: Option<String>,
}

impl Roster {
    /// Nothing is followed yet.
    pub(super) fn new(shared: Arc<Shared>, feed: Feed, own_id: Option<String>) -> Self {
        Self {
            host: shared.settings.hostname.clone().unwrap_or_default(),
            open: feed.intakes.now().iter().map(Intake::id).collect(),
            shared,
            feed,
            tracked: HashMap::new(),
            created: HashMap::new(),
            own_id,
        }
    }

    /// A container was created; it has not been started.
    pub(super) fn created(&mut self, event: Event) {
        self.shared.survey.found(&event.id, &event.name, false);
        let is_new = event.time >= self.feed.started;
        let container = self.container(event);
        if is_new {
            self.expect(container.clone());
        }
        // Only an attachment that is there before the start has the first byte.
        if self.shared.settings.attach {
            self.track(&container, true);
        }
    }

    /// A run begins.
    pub(super) fn started(&mut self, event: Event) {
        self.shared.survey.found(&event.id, &event.name, true);
        let id = event.id.clone();
        let container = self.container(event);
        if !self.track(&container, true)
            && let Some(tracked) = self.tracked.get(&id)
        {
            tracked.started();
        }
    }

    /// It has another name.
    pub(super) fn renamed(&self, event: &Event) {
        self.shared.survey.renamed(&event.id, &event.name);
        for known in [&self.tracked, &self.created] {
            if let Some(tracked) = known.get(&event.id) {
                tracked.renamed(&event.name, event.time);
            }
        }
    }

    /// A run has ended.
    pub(super) fn died(&self, id: &str) {
        self.shared.survey.died(id);
        if let Some(tracked) = self.tracked.get(id) {
            tracked.died();
        }
    }

    /// It was removed.
    pub(super) fn forget(&mut self, id: &str) {
        for intake in self.feed.intakes.now().iter() {
            intake.gone(id);
        }
        self.created.remove(id);
        self.shared.survey.gone(id);
        if let Some(tracked) = self.tracked.remove(id) {
            tracked.gone();
        }
    }

    /// Only these containers exist.
    pub(super) fn keep(&mut self, there: &HashSet<&str>) {
        let known = self.tracked.keys().chain(self.created.keys());
        let gone: Vec<_> = known.filter(|id| !there.contains(id.as_str())).cloned().collect();
        for id in gone {
            self.forget(&id);
        }
        // Of what an earlier run has kept, only what is still there has a log.
        for intake in self.feed.intakes.now().iter() {
            intake.retain(there);
        }
    }

    /// A list shows it.
    pub(super) fn listed(&mut self, listed: Listed) {
        let (running, since) = (is_running(&listed.state), self.feed.started);
        let new = listed.created > since.seconds();
        if let Some(tracked) = self.tracked.get(&listed.id) {
            tracked.renamed(&listed.name, crate::record::Timestamp::now());
            if running {
                tracked.found_running();
            }
            return;
        }
        // A container may have printed its last while no agent ran. One that was never looked at may
        // have run since the first start; its floor tells what is wanted of it.
        let intakes = self.feed.intakes.now();
        let left = intakes.iter().any(|intake| intake.knows(&listed.id) || intake.since() < since);
        let never_ran = listed.state == "created";
        let Listed { id, name, image, labels, .. } = listed;
        let host = self.host.clone();
        let container = Container { id, name, image, labels, host, ..Container::default() };
        if new {
            self.expect(container.clone());
        }
        // One that came and ended while nobody watched has a log all the same.
        if running || ((new || left) && !never_ran) {
            self.track(&container, running);
        }
    }

    /// Has every container followed for the intakes that came since the last call.
    pub(super) fn open_intakes(&mut self) {
        let intakes = self.feed.intakes.now();
        let there: HashSet<u64> = intakes.iter().map(Intake::id).collect();
        for intake in intakes.iter().filter(|intake| !self.open.contains(&intake.id())) {
            for tracked in self.tracked.values() {
                self.follow(tracked, intake, First::From(intake.since()));
            }
        }
        self.open = there;
    }

    fn container(&self, event: Event) -> Container {
        let Event { id, name, image, labels, .. } = event;
        Container { id, name, image, labels, host: self.host.clone(), ..Container::default() }
    }

    fn is_own(&self, id: &str) -> bool {
        self.own_id.as_deref() == Some(id)
    }

    /// Notes a container that is new. It is inspected before it starts, for one that removes itself
    /// may be gone before anybody could ask whether its lines are wanted.
    fn expect(&mut self, container: Container) {
        if self.is_own(&container.id) || self.created.contains_key(&container.id) {
            return;
        }
        let tally = self.shared.survey.tally(&container.id);
        let id = container.id.clone();
        let tracked = Arc::new(Tracked::new(container, true, tally));
        self.created.insert(id, tracked.clone());
        let shared = self.shared.clone();
        self.feed.tasks.spawn("inspect", async move {
            tokio::select! {
                learnt = Box::pin(tracked.learn(&shared)) => if let Err(error) = learnt {
                    tracing::debug!(container = %tracked.id, %error, "cannot inspect");
                },
                () = shared.stop.draining() => {}
            }
        });
    }

    /// Starts following a container for every destination; false if it is followed already.
    fn track(&mut self, container: &Container, running: bool) -> bool {
        let id = container.id.clone();
        if self.is_own(&id) || self.tracked.contains_key(&id) {
            return false;
        }
        let expected = self.created.remove(&id);
        let new = expected.is_some();
        tracing::debug!(container = %container.name, %id, new, "following");
        let tracked = expected.unwrap_or_else(|| {
            let tally = self.shared.survey.tally(&id);
            Arc::new(Tracked::new(container.clone(), false, tally))
        });
        tracked.tracked(running);
        let backlog = self.shared.settings.backlog;
        self.open_intakes();
        for intake in self.feed.intakes.now().iter() {
            // One that has ended and is not known had ended before the destination was first shipped to.
            let wants_backlog = backlog && !intake.is_tail() && (running || intake.knows(&id));
            let first = if new {
                First::Whole
            } else if wants_backlog {
                First::Backlog
            } else {
                First::From(intake.since())
            };
            self.follow(&tracked, intake, first);
        }
        self.tracked.insert(id, tracked);
        true
    }

    fn follow(&self, tracked: &Arc<Tracked>, intake: &Intake, first: First) {
        let (shared, tracked, intake) = (self.shared.clone(), tracked.clone(), intake.clone());
        // What is shown to somebody for a while is not what is read for a destination.
        let tally = if intake.is_tail() { Arc::<Tally>::default() } else { tracked.tally.clone() };
        let max_line_bytes = self.feed.max_line_bytes;
        self.feed.tasks.supervise("follower", move || {
            let (shared, tracked, intake) = (shared.clone(), tracked.clone(), intake.clone());
            Following { shared, tracked, intake, first, tally: tally.clone(), max_line_bytes }.run()
        });
    }
}
