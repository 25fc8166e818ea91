//! The ways into the destinations: which of them there are, what each wants of a container, and
//! when one goes. Never reads a log.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::assemble::{Assembler, Joining};
use crate::lane::{Lane, Lanes};
use crate::record::{Container, Timestamp};
use crate::select::{Rules, Selection, Settings, Verdict};

/// The ways into all destinations, which may come and go.
#[derive(Debug, Clone)]
pub struct Intakes {
    list: watch::Sender<Arc<[Intake]>>,
    /// Held while the list changes.
    given: Arc<Mutex<Given>>,
}

#[derive(Debug, Default)]
struct Given {
    next_id: u64,
    /// What the routes are called that containers may ask for.
    routes: Vec<String>,
}

impl Given {
    fn note(&mut self, list: &[Intake]) {
        let names = list.iter().map(|intake| intake.0.wish.route.clone());
        self.routes = names.filter(|name| !name.is_empty()).collect();
    }
}

/// Tells when intakes came or went.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Arc<[Intake]>>);

/// The way into one destination. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Never given twice.
    id: u64,
    wish: Wish,
    lanes: Arc<Lanes>,
    /// It is there to be counted among the readers of a container; `None` for a live tail.
    seat: Option<usize>,
    closed: watch::Sender<bool>,
    /// What holds for it and all others.
    given: Arc<Mutex<Given>>,
}

/// What a destination wants of the containers.
#[derive(Debug, Clone)]
pub struct Wish {
    /// By which a container may ask for the route; empty if it has no name.
    pub route: String,
    /// Which containers, and which of their streams.
    pub selection: Selection,
    /// What holds for all routes.
    pub rules: Arc<Rules>,
    /// How lines are joined to records.
    pub joining: Joining,
    /// Whether the variable `LOGSPOUT_MULTILINE` of a container counts.
    pub heeds_variable: bool,
}

impl Intakes {
    /// None yet.
    pub fn new() -> Self {
        Self { list: watch::Sender::new(Arc::new([])), given: Arc::default() }
    }

    /// Those there are.
    pub fn now(&self) -> Arc<[Intake]> {
        self.list.borrow().clone()
    }

    /// Tells of later changes.
    pub fn changes(&self) -> Changes {
        Changes(self.list.subscribe())
    }

    /// A way into the lanes of a destination.
    pub fn add(&self, lanes: Arc<Lanes>, wish: Wish) -> Intake {
        self.insert(lanes, wish, false)
    }

    /// A way into lanes that somebody looks at for a while: it is nobody's destination.
    pub fn add_tail(&self, lanes: Arc<Lanes>, wish: Wish) -> Intake {
        self.insert(lanes, wish, true)
    }

    fn insert(&self, lanes: Arc<Lanes>, wish: Wish, is_tail: bool) -> Intake {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, list) = (given.next_id, self.now());
        given.next_id += 1;
        // A seat is an index of a short list: one that was left is taken again.
        let taken: HashSet<usize> = list.iter().filter_map(Intake::seat).collect();
        let free = (0..=list.len()).find(|seat| !taken.contains(seat));
        let seat = free.filter(|_| !is_tail);
        let closed = watch::Sender::new(false);
        let shared = self.given.clone();
        let intake = Intake(Arc::new(Inner { id, wish, lanes, seat, closed, given: shared }));
        let list: Arc<[Intake]> = list.iter().cloned().chain([intake.clone()]).collect();
        given.note(&list);
        self.list.send_replace(list);
        intake
    }

    /// Nothing is read for it any more; what was read is still in its lanes.
    pub fn remove(&self, intake: &Intake) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        intake.0.closed.send_replace(true);
        let list = self.now();
        let left = list.iter().filter(|one| one.id() != intake.id());
        let left: Arc<[Intake]> = left.cloned().collect();
        given.note(&left);
        self.list.send_replace(left);
    }

    /// The same for one intake alone.
    #[must_use]
    pub fn only(intake: &Intake) -> Self {
        Self { list: watch::Sender::new(Arc::new([intake.clone()])), given: Arc::default() }
    }
}

impl Default for Intakes {
    fn default() -> Self {
        Self::new()
    }
}

impl Changes {
    /// Waits for the next change.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Intake {
    /// By which it is known from others.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Its number among the destinations; `None` if it is none.
    pub fn seat(&self) -> Option<usize> {
        self.0.seat
    }

    /// Whether it is only looked at.
    pub fn is_tail(&self) -> bool {
        self.0.seat.is_none()
    }

    /// Whether the destination wants a container's lines, as far as that can be told.
    pub fn verdict(&self, container: &Container) -> Verdict {
        let Wish { route, selection, rules, .. } = &self.0.wish;
        selection.verdict(route, container, rules)
    }

    /// What the container's labels ask for, as far as they may.
    pub fn settings(&self, container: &Container) -> Settings {
        Settings::of(container, &self.0.wish.rules.allowed)
    }

    /// What is wrong with what the container's labels ask for.
    pub fn problems(&self, container: &Container) -> Vec<String> {
        let settings = self.settings(container);
        let given = self.0.given.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<&str> = given.routes.iter().map(String::as_str).collect();
        let mut problems = settings.unknown_routes(&known);
        drop(given);
        problems.extend(settings.problems);
        problems
    }

    /// What makes the destination's lines of a container's pieces. The second value is what is
    /// wrong with what the container asks for.
    pub fn assembler(
        &self,
        container: &Container,
        max_line_bytes: usize,
    ) -> (Assembler, Option<String>) {
        let label = self.settings(container).multiline;
        let Wish { joining, heeds_variable, .. } = &self.0.wish;
        let variable = container.variables.get("LOGSPOUT_MULTILINE").filter(|_| *heeds_variable);
        let (multiline, problem) =
            match joining.for_container(label.as_deref(), variable.map(String::as_str)) {
                Ok(multiline) => (multiline, None),
                Err(why) => {
                    let why = format!("label downspout.multiline: {why}");
                    (joining.by_default().cloned(), Some(why))
                }
            };
        let assembler = Assembler::new(max_line_bytes);
        match multiline {
            Some(multiline) => (assembler.joining(multiline), problem),
            None => (assembler, problem),
        }
    }

    /// A lane for one container's log. If the destination was never in it, nothing printed before
    /// `first` is wanted.
    pub fn open(&self, container: &Container, first: Option<Timestamp>) -> Lane {
        self.0.lanes.open(container, first)
    }

    /// The same where nothing printed before `first` is wanted, whatever was read before.
    pub fn open_at(&self, container: &Container, first: Timestamp) -> Lane {
        self.0.lanes.open_at(container, first)
    }

    /// When the destination was first shipped to, in this run of the agent or an earlier one.
    pub fn since(&self) -> Timestamp {
        self.0.lanes.since()
    }

    /// Whether the destination was in this container's log before.
    pub fn knows(&self, container_id: &str) -> bool {
        self.0.lanes.knows(container_id)
    }

    /// The container was removed.
    pub fn gone(&self, container_id: &str) {
        self.0.lanes.gone(container_id);
    }

    /// Only these containers exist.
    pub fn retain(&self, there: &HashSet<&str>) {
        self.0.lanes.retain(there);
    }

    /// Waits until the destination is no longer wanted.
    pub async fn closed(&self) {
        if self.0.closed.subscribe().wait_for(|closed| *closed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Kept;
    use crate::metrics::Metrics;

    #[test]
    fn a_container_may_ask_for_routes_that_come_while_the_agent_runs_until_they_go() {
        let (metrics, intakes) = (Metrics::new(), Intakes::new());
        let add = |route: &str| {
            let wish = Wish {
                route: route.to_owned(),
                selection: Selection::default(),
                rules: Arc::default(),
                joining: Joining::never(),
                heeds_variable: false,
            };
            let lanes = Lanes::new(1 << 20, Kept::default(), metrics.destination(route));
            intakes.add(lanes, wish)
        };
        let labels = [("downspout.routes".to_owned(), "audit".to_owned())].into();
        let container = Container { labels, ..Container::default() };
        let first = add("main");
        assert_eq!(first.problems(&container).len(), 1);
        let second = add("audit");
        assert_eq!(first.problems(&container), [] as [&str; 0]);
        intakes.remove(&second);
        assert!(first.problems(&container)[0].contains("no route has the name 'audit'"));
    }
}
