//! The destinations that are shipped to: opened at the start, and over HTTP while the agent runs.
//! Never waits for one to open or end another, and never holds a lock while it waits.

mod api;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};

use super::positions::Positions;
use crate::config::{Openings, Plan, Share};
use crate::deliver::store::{StoreDelivery, StoreParts};
use crate::deliver::{Delivery, Parts};
use crate::lane::Lanes;
use crate::metrics::Metrics;
use crate::output::Peer;
use crate::record::Timestamp;
use crate::registry::{Folder, Object};
use crate::route::Route;
use crate::select::Rules;
use crate::shutdown::{Stop, Tasks};
use crate::source::{Intake, Intakes, Wish};

/// Text picked at once of what nobody wants any more, in bytes.
const PICK_BYTES: usize = 64 * 1024;

/// All destinations. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Destinations(Arc<Inner>);

/// What all destinations of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) intakes: Intakes,
    pub(super) rules: Arc<Rules>,
    pub(super) metrics: Metrics,
    pub(super) positions: Positions,
    pub(super) plan: Plan,
    pub(super) openings: Openings,
    /// The deliveries.
    pub(super) deliveries: Tasks,
    /// Tasks that change destinations.
    pub(super) beside: Tasks,
    pub(super) stop: Stop,
    pub(super) backoff_max: Duration,
    /// How long a destination that is ended may take for what was read.
    pub(super) drain_timeout: Duration,
}

#[derive(Debug)]
struct Inner {
    shared: Shared,
    state: Mutex<State>,
    /// A destination has ended.
    ended: Notify,
    /// One change at a time: the folder and the list say the same. Who reads needs none.
    change: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    /// Those of the start, as they are shown.
    given: Vec<Object>,
    /// Those of HTTP, by id.
    made: BTreeMap<String, Made>,
    /// Rises with every change.
    last_change: u64,
    /// What those take that are ending or just being opened, by name.
    ending: BTreeMap<String, Share>,
    /// The lanes of all that are open, by name.
    lanes: BTreeMap<String, Arc<Lanes>>,
    folder: Option<Folder>,
}

/// A route that was made over HTTP.
#[derive(Debug)]
struct Made {
    object: Object,
    share: Share,
    change: u64,
    /// `None` until what was there in its place has ended.
    open: Option<Open>,
}

/// A destination that is shipped to.
#[derive(Debug)]
struct Open {
    name: String,
    intake: Intake,
    lanes: Arc<Lanes>,
    /// Ends the delivery.
    stop: Stop,
    /// Closes once the delivery has ended.
    ended: watch::Receiver<()>,
}

impl Destinations {
    /// None yet.
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(Inner {
            shared,
            state: Mutex::default(),
            ended: Notify::new(),
            change: Semaphore::new(1),
        }))
    }

    /// Opens those of the start, which are shown as `given`.
    pub(super) fn open_given(&self, routes: Vec<Route>, given: Vec<Object>, started: Timestamp) {
        self.lock().given = given;
        let shares = self.0.shared.plan.destinations.clone();
        for (route, share) in routes.into_iter().zip(&shares) {
            tracing::info!(destination = %route.name, "route");
            self.open(route, share, started);
        }
    }

    /// Nothing more will come for any: what was read is delivered.
    pub(super) fn close(&self) {
        let lanes: Vec<_> = self.lock().lanes.values().cloned().collect();
        for lanes in lanes {
            lanes.close();
        }
    }

    fn open(&self, route: Route, share: &Share, started: Timestamp) -> Open {
        let Shared { intakes, rules, metrics, positions, stop, .. } = &self.0.shared;
        let name = route.name.clone();
        let counters = metrics.destination(&name);
        counters.required.set(i64::from(route.required));
        let budget = usize::try_from(share.lanes).unwrap_or(usize::MAX);
        let lanes = Lanes::new(budget, positions.of(&name, started), counters);
        let shown = Arc::downgrade(&lanes);
        metrics.before_rendering_while(move || {
            let lanes = shown.upgrade();
            lanes.inspect(|lanes| lanes.look()).is_some()
        });
        let wish = Wish {
            route: route.selection.name().to_owned(),
            selection: route.selection.clone(),
            rules: rules.clone(),
            joining: route.joining.clone(),
            heeds_variable: route.heeds_variable,
        };
        let intake = intakes.add(lanes.clone(), wish);
        let (own, done) = (Stop::new(), watch::Sender::new(()));
        let ended = done.subscribe();
        let (all, delivery) = (stop.clone(), self.delivery(route, lanes.clone(), own.clone()));
        let quits = own.clone();
        self.0.shared.deliveries.spawn("deliver", async move {
            let _done = done;
            tokio::pin!(delivery);
            tokio::select! {
                () = &mut delivery => return,
                () = all.quitting() => quits.quit(),
            }
            delivery.await;
        });
        positions.watch(name.clone(), lanes.clone());
        self.lock().lanes.insert(name.clone(), lanes.clone());
        Open { name, intake, lanes, stop: own, ended }
    }

    /// The one loop that serves a destination.
    fn delivery(
        &self,
        route: Route,
        lanes: Arc<Lanes>,
        stop: Stop,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let Route { name, encoder, peer, window_bytes, replay_bytes, .. } = route;
        let Shared { metrics, backoff_max, .. } = &self.0.shared;
        let backoff_max = *backoff_max;
        match peer {
            Peer::Link(output) => {
                let parts =
                    Parts { name, lanes, encoder, output, window_bytes, replay_bytes, backoff_max };
                Box::pin(Delivery::new(parts).run(stop))
            }
            Peer::Store(store) => {
                let metrics = metrics.store(&name);
                let parts =
                    StoreParts { name, lanes, encoder, store, window_bytes, backoff_max, metrics };
                Box::pin(StoreDelivery::new(parts).run(stop))
            }
        }
    }

    /// Reads nothing more for a destination, delivers what was read if that does not take too
    /// long, and lets go of all it had.
    async fn end(&self, id: String, open: Open) {
        let Open { name, intake, lanes, stop, mut ended } = open;
        let Shared { intakes, metrics, positions, drain_timeout, stop: all, .. } = &self.0.shared;
        intakes.remove(&intake);
        lanes.close();
        let drained = tokio::time::timeout(*drain_timeout, ended.changed()).await;
        if drained.is_err() {
            stop.quit();
            // The sender is dropped, whatever the delivery does.
            ended.changed().await.ok();
        }
        // A source that has not noticed must find room.
        tokio::select! {
            () = empty(&lanes) => {}
            () = all.quitting() => {}
        }
        let mut state = self.lock();
        // Positions that are kept at the end of the agent are those of the next run.
        if !all.is_draining() {
            let heir = state.made.get(&id).map(|made| made.share.name.as_str());
            positions.unwatch(&name, heir);
        }
        metrics.forget(&name);
        state.lanes.remove(&name);
        state.ending.remove(&name);
        drop(state);
        self.0.ended.notify_waiters();
        tracing::info!(destination = %name, "route ended");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves lists behind that are still right.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What those take that were made over HTTP, and those that are ending.
    fn shares(&self) -> impl Iterator<Item = &Share> {
        self.made.values().map(|made| &made.share).chain(self.ending.values())
    }

    fn names(&self) -> BTreeSet<&str> {
        let open = self.lanes.keys().map(String::as_str);
        open.chain(self.made.values().map(|made| made.share.name.as_str())).collect()
    }
}

async fn empty(lanes: &Lanes) {
    while !lanes.next(PICK_BYTES).await.is_empty() {}
}
