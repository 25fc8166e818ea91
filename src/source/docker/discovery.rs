//! Finds the containers: events first, then a full list, then both go on. Never reads a log.
//!
//! Events alone miss what happened before and during a hiccup; lists alone miss what lives
//! between two of them. Both only say "this container is there" or "it is gone", so that hearing
//! it twice does no harm.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Semaphore, watch};

use super::changes::Changes;
use super::engine::{Action, ApiVersion, Engine, EngineError, EngineInfo, Event, Listed};
use super::follower::Shared;
use super::own;
use super::roster::Roster;
use super::silence::Silence;
use super::survey::Survey;
use super::{Settings, Strategy};
use crate::backoff::Backoff;
use crate::record::Timestamp;
use crate::source::Feed;

/// A full list at least this often, whatever the events say.
const RECONCILE_EVERY: Duration = Duration::from_mins(1);
/// First and longest pause between attempts to reach the engine.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Logs that are opened at the same moment.
const MAX_OPENING: usize = 16;
/// Containers that are inspected at the same moment: a thousand that print at once are no burst on the
/// engine, and their replies no burst in our memory.
const MAX_ASKING: usize = 4;
/// Events are asked for from this long before the subscription, so that there is no hole between
/// the list and it.
const OVERLAP_NANOS: i64 = 10_000_000_000;
/// What the engine itself remembers.
const EVENTS_REMEMBERED: usize = 256;

/// Follows all containers of the engine until `feed.stop` drains.
pub(super) async fn run(settings: Settings, feed: Feed) {
    let engine = match engine(&settings) {
        Ok(engine) => engine,
        Err(why) => {
            tracing::error!(why, "cannot talk to Docker");
            return;
        }
    };
    let stop = feed.stop.clone();
    let mut discovery = Discovery::new(engine, settings, feed);
    let shared = discovery.shared.clone();
    // By itself: what it reads must not hold up an event.
    let surveyed = shared.clone();
    discovery.roster.feed.tasks.supervise("survey", move || survey(surveyed.clone()));
    tokio::select! {
        () = discovery.watch() => {}
        () = shared.silence.watch() => {}
        () = shared.changes.tell() => {}
        () = stop.draining() => {}
    }
}

async fn survey(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.survey.watch(&shared) => {}
        () = shared.stop.draining() => {}
    }
}

/// The engine that the settings name.
pub(super) fn engine(settings: &Settings) -> Result<Engine, String> {
    let forced = settings.api_version.as_deref().map(str::parse::<ApiVersion>).transpose()?;
    let wanted = settings.wanted.clone();
    Engine::new(settings.endpoint.clone(), forced, wanted).map_err(|error| error.to_string())
}

fn say_strategy(containers: &Path) {
    let folder = containers.display();
    match std::fs::read_dir(containers) {
        Ok(_) => tracing::info!(%folder, "logs of the json-file driver are read from their files"),
        Err(error) => tracing::info!(
            %folder, %error,
            "all logs are asked of Docker, which costs it much more than their files would: mount \
             its folder of containers there, read-only, or set DOWNSPOUT_CONTAINERS_DIR"
        ),
    }
}

/// Whether a container in this state of a list runs.
pub(super) fn is_running(state: &str) -> bool {
    matches!(state, "running" | "paused" | "restarting")
}

struct Discovery {
    shared: Arc<Shared>,
    roster: Roster,
    engine_up: watch::Sender<bool>,
    containers_dir: watch::Sender<Option<PathBuf>>,
    /// What was told last of which container since the last list: the next one may be older.
    told_of: HashMap<String, Action>,
    /// The last events, by which a repetition is known.
    told: VecDeque<(Timestamp, Action, String)>,
    since: Timestamp,
}

impl Discovery {
    fn new(engine: Engine, settings: Settings, feed: Feed) -> Self {
        let engine_up = watch::Sender::new(false);
        let containers_dir = watch::Sender::new(None);
        let own_id = own::container_id();
        let (containers, series) = (feed.metrics.containers.clone(), settings.container_series);
        let shared = Shared {
            engine,
            metrics: feed.metrics.clone(),
            stop: feed.stop.clone(),
            opening: Semaphore::new(MAX_OPENING),
            asking: Semaphore::new(MAX_ASKING),
            engine_up: engine_up.subscribe(),
            since_skips: AtomicBool::new(true),
            cuts_anywhere: AtomicBool::new(false),
            changes: Arc::new(Changes::new()),
            containers_dir: containers_dir.subscribe(),
            unreadable: Once::new(),
            silence: Silence::new(settings.probe_after),
            survey: Survey::new(containers, own_id.clone(), series),
            settings,
        };
        let shared = Arc::new(shared);
        Self {
            since: feed.started,
            roster: Roster::new(shared.clone(), feed, own_id),
            shared,
            engine_up,
            containers_dir,
            told_of: HashMap::new(),
            told: VecDeque::new(),
        }
    }

    /// Connects, watches until the engine goes away, and begins again.
    async fn watch(&mut self) {
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        let mut said = false;
        loop {
            match self.shared.engine.connect().await {
                Ok(info) => {
                    self.connected(&info);
                    (said, backoff) = (false, Backoff::new(RECONNECT.0, RECONNECT.1));
                    let why = match self.session().await {
                        Ok(()) => "the event stream ended".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    self.lost();
                    tracing::warn!(why, "lost the Docker engine; connecting again");
                }
                Err(error) if said => tracing::debug!(%error, "still no Docker engine"),
                Err(error) => {
                    said = true;
                    tracing::error!(%error, "no Docker engine; trying for ever");
                }
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    fn connected(&mut self, info: &EngineInfo) {
        self.shared.since_skips.store(info.skips_compressed(), Ordering::Relaxed);
        self.shared.cuts_anywhere.store(info.podman, Ordering::Relaxed);
        if self.shared.settings.hostname.is_none() {
            self.roster.host = info.host.clone().unwrap_or_default();
        }
        let folder = super::containers_folder(&self.shared.settings, info);
        self.shared.survey.look_into(folder.clone());
        let containers_dir = match self.shared.settings.strategy {
            Strategy::Auto => Some(folder),
            Strategy::Api => None,
        };
        if let Some(folder) = &containers_dir {
            say_strategy(folder);
        }
        self.containers_dir.send_replace(containers_dir);
        tracing::info!(
            engine = %info.version, api = %info.api, host = %self.roster.host,
            endpoint = %self.shared.engine.endpoint(), "connected to Docker"
        );
        self.shared.metrics.source_up.set(1);
        self.engine_up.send_replace(true);
    }

    fn lost(&mut self) {
        self.shared.metrics.source_up.set(0);
        self.engine_up.send_replace(false);
    }

    /// Events and lists side by side, until one fails.
    async fn session(&mut self) -> Result<(), EngineError> {
        let since = Timestamp::now().before(OVERLAP_NANOS).max(self.since);
        self.told_of.clear();
        let engine = self.shared.engine.clone();
        let mut events = engine.events(Some(since))?;
        let list = |after: Duration| {
            let engine = engine.clone();
            Box::pin(async move {
                tokio::time::sleep(after).await;
                engine.list().await
            })
        };
        let mut listing = list(Duration::ZERO);
        let mut changes = self.roster.feed.intakes.changes();
        loop {
            // The subscription begins when it is first polled, which this does before the first
            // list is asked for.
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => self.event(event?),
                    None => return Ok(()),
                },
                listed = &mut listing => {
                    self.reconcile(listed?);
                    listing = list(RECONCILE_EVERY);
                }
                () = changes.next() => self.roster.open_intakes(),
            }
        }
    }

    fn event(&mut self, event: Event) {
        // The engine may tell an event twice around a subscription, and tells the overlap again.
        let key = (event.time, event.action, event.id.clone());
        if self.told.contains(&key) {
            return;
        }
        if self.told.len() >= EVENTS_REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back(key);
        tracing::trace!(action = event.action.name(), id = %event.id, "event");
        self.told_of.insert(event.id.clone(), event.action);
        match event.action {
            Action::Create => self.roster.created(event),
            Action::Start => self.roster.started(event),
            Action::Rename => self.roster.renamed(&event),
            Action::Destroy => self.roster.forget(&event.id),
            Action::Die => self.roster.died(&event.id),
            Action::Pause | Action::Unpause => {}
        }
    }

    fn reconcile(&mut self, listed: Vec<Listed>) {
        // What events have told since the last list is at least as new as this one.
        let told_of = std::mem::take(&mut self.told_of);
        let listed: Vec<_> = listed
            .into_iter()
            .filter(|listed| told_of.get(&listed.id) != Some(&Action::Destroy))
            .collect();
        let told_of: HashSet<&str> = told_of
            .iter()
            .filter(|(_, action)| **action != Action::Destroy)
            .map(|(id, _)| id.as_str())
            .collect();
        let there: HashSet<&str> = listed.iter().map(|listed| listed.id.as_str()).collect();
        let there = &there | &told_of;
        let survey = &self.shared.survey;
        for Listed { id, name, state, .. } in &listed {
            if !(told_of.contains(id.as_str()) && survey.knows(id)) {
                survey.found(id, name, is_running(state));
            }
        }
        survey.listed(&there);
        self.roster.keep(&there);
        for listed in listed {
            self.roster.listed(listed);
        }
    }
}
