//! Destinations over HTTP: what `/routes` shows, makes and ends. Answers before a peer does.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Destinations, Made, Open, State};
use crate::admin::{Refusal, Routes};
use crate::app::show_share;
use crate::config::{Share, Stored};
use crate::metrics::Metrics;
use crate::options::Problem;
use crate::record::Timestamp;
use crate::registry::{Folder, MOST_ROUTES, Object};
use crate::route::Route;
use crate::shutdown::blocking;

/// Another change is waited for so long: a disk that hangs must not gather requests.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);

impl Destinations {
    /// Opens the routes that an earlier run has stored. What is wrong with one is said, and it is
    /// passed over.
    pub(in crate::app) fn restore(&self, stored: Stored, started: Timestamp) {
        let Stored { folder, objects, problems } = stored;
        for problem in problems {
            tracing::warn!("{problem}");
        }
        let Some(folder) = folder else { return };
        self.lock().folder = Some(folder.clone());
        for object in objects {
            let (id, path) = (object.id.clone(), folder.path().display());
            match self.check(&object).and_then(|share| self.admit(&object, share)) {
                Ok((change, _)) => self.start(&id, change, started),
                Err(refusal) => tracing::warn!(
                    "the stored route {path}/{id}.json is passed over: {}; correct or remove the file",
                    words(refusal)
                ),
            }
        }
    }

    /// Whether a route is right and there is room for it. Opens it for nothing but that, so that
    /// one that is refused leaves no trace.
    fn check(&self, object: &Object) -> Result<Share, Refusal> {
        let bad = |problems: Vec<Problem>| {
            let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Refusal::Bad(words.join("; "))
        };
        let uri = object.uri().map_err(|problem| bad(vec![problem]))?;
        let openings = &self.0.shared.openings;
        let Route { name, window_bytes, .. } =
            openings.open(&uri, &object.id, &Metrics::new()).map_err(bad)?;
        let state = self.lock();
        state.room(&object.id, &name)?;
        // Its own place is given back, but not before what is there has ended.
        let others = state.shares().filter(|share| share.name != name);
        let plan = &self.0.shared.plan;
        plan.one_more(&name, window_bytes, others).map_err(|problem| bad(vec![problem]))
    }

    /// Enters a route. Returns the number of the change, and what was there in its place.
    fn admit(&self, object: &Object, share: Share) -> Result<(u64, Option<Open>), Refusal> {
        let mut state = self.lock();
        state.room(&object.id, &share.name)?;
        state.last_change += 1;
        let (change, id, name) = (state.last_change, object.id.clone(), share.name.clone());
        let made = Made { object: object.clone(), share, change, open: None };
        let before = state.made.insert(id, made);
        if let Some(before) = before.as_ref().filter(|before| before.open.is_none()) {
            self.0.shared.positions.inherit(&before.share.name, Some(&name));
        }
        let before = before.and_then(|before| state.leave(before));
        drop(state);
        if let Some(before) = &before {
            self.0.shared.metrics.unserve(&before.name);
        }
        Ok((change, before))
    }

    /// Opens a route that was entered, unless there was another change since. What had its name
    /// before must have ended.
    fn start(&self, id: &str, change: u64, started: Timestamp) {
        let Some((object, share)) = self.lock().begin(id, change) else { return };
        let opened = object
            .uri()
            .map_err(|problem| vec![problem])
            .and_then(|uri| self.0.shared.openings.open(&uri, id, &self.0.shared.metrics));
        let route = match opened {
            Ok(route) => route,
            Err(problems) => {
                let problem = problems.first().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(route = id, "cannot be opened any more: {problem}");
                self.lock().ending.remove(&share.name);
                self.0.ended.notify_waiters();
                return;
            }
        };
        tracing::info!(destination = %route.name, "route made over HTTP");
        show_share(&self.0.shared.metrics, &share);
        let open = self.open(route, &share, started);
        let late = {
            let mut state = self.lock();
            match state.made.get_mut(id).filter(|made| made.change == change) {
                Some(made) => {
                    made.open = Some(open);
                    state.ending.remove(&share.name);
                    None
                }
                None => Some(open),
            }
        };
        self.0.ended.notify_waiters();
        // It was ended while it was opened.
        if let Some(open) = late {
            let own = self.clone();
            let id = id.to_owned();
            self.0.shared.beside.spawn("route", async move { own.end(id, open).await });
        }
    }

    /// Ends what was there, and then opens what comes in its place, if anything does.
    async fn replace(self, id: String, before: Option<Open>, next: Option<u64>, since: Timestamp) {
        if let Some(before) = before {
            Box::pin(self.end(id.clone(), before)).await;
        }
        let Some(change) = next else { return };
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            // What ends from here on is heard of.
            ended.as_mut().enable();
            let waits = {
                let state = self.lock();
                let made = state.made.get(&id).filter(|made| made.change == change);
                let Some(made) = made else { return };
                state.ending.contains_key(&made.share.name)
            };
            if !waits {
                break;
            }
            ended.await;
        }
        self.start(&id, change, since);
    }

    /// Makes a change to its end, whether or not the client waits for it: what is stored is what is
    /// open.
    async fn changing<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        if self.0.shared.stop.is_draining() {
            return Err(Refusal::Busy("the agent is stopping".to_owned()));
        }
        let (own, (tell, told)) = (self.clone(), oneshot::channel());
        self.0.shared.beside.spawn("change", async move {
            let turn = tokio::time::timeout(CHANGE_WITHIN, own.0.change.acquire()).await;
            let outcome = match turn {
                Ok(Ok(_turn)) => Box::pin(change).await,
                _ => {
                    Err(Refusal::Busy("another change is under way; try again in a moment".into()))
                }
            };
            // The client may have left.
            tell.send(outcome).ok();
        });
        let bug = "the change has ended by a bug; the log has it";
        told.await.unwrap_or_else(|_| Err(Refusal::Storage(bug.to_owned())))
    }

    async fn make(self, object: Object) -> Result<Object, Refusal> {
        let bad = |problem: Problem| Refusal::Bad(problem.to_string());
        let object = object.identified().map_err(bad)?;
        let share = self.check(&object)?;
        let stored = object.clone();
        self.stored(move |folder| folder.save(&stored)).await?;
        let (change, before) = self.admit(&object, share)?;
        self.spawn_replace(&object.id, before, Some(change));
        Ok(object)
    }

    async fn remove(self, id: String) -> Result<(), Refusal> {
        self.lock().deletable(&id)?;
        let gone = id.clone();
        self.stored(move |folder| folder.remove(&gone)).await?;
        let before = {
            let mut state = self.lock();
            state.last_change += 1;
            let before = state.made.remove(&id);
            before.and_then(|before| state.leave(before))
        };
        if let Some(before) = &before {
            self.0.shared.metrics.unserve(&before.name);
        }
        self.spawn_replace(&id, before, None);
        Ok(())
    }

    async fn stored(
        &self,
        work: impl FnOnce(&Folder) -> Result<(), Problem> + Send + 'static,
    ) -> Result<(), Refusal> {
        let Some(folder) = self.lock().folder.clone() else { return Ok(()) };
        let done = blocking(move || work(&folder)).await;
        done.map_err(|problem| Refusal::Storage(problem.to_string()))
    }

    fn spawn_replace(&self, id: &str, before: Option<Open>, next: Option<u64>) {
        let replace = self.clone().replace(id.to_owned(), before, next, Timestamp::now());
        self.0.shared.beside.spawn("route", Box::pin(replace));
    }
}

impl Routes for Destinations {
    fn list(&self) -> Vec<Object> {
        let state = self.lock();
        let made = state.made.values().map(|made| made.object.clone().shown());
        state.given.iter().cloned().chain(made).collect()
    }

    fn put(
        &self,
        object: Object,
    ) -> Pin<Box<dyn Future<Output = Result<Object, Refusal>> + Send + '_>> {
        Box::pin(self.changing(self.clone().make(object)))
    }

    fn delete<'a>(
        &'a self,
        id: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>> {
        Box::pin(self.changing(self.clone().remove(id.to_owned())))
    }
}

impl State {
    /// Whether there may be a route of this id and name.
    fn room(&self, id: &str, name: &str) -> Result<(), Refusal> {
        if self.given.iter().any(|given| given.id == id) {
            return Err(Refusal::Conflict(format!(
                "the route {id} is given by URI; change DOWNSPOUT_ROUTES or the arguments, or choose \
                 another id"
            )));
        }
        let replaced = self.made.get(id).map(|made| made.share.name.as_str());
        let is_ending = self.ending.contains_key(name);
        if replaced != Some(name) && !is_ending && self.names().contains(name) {
            let why = format!("the destination {name} is there already; choose another id");
            return Err(Refusal::Conflict(why));
        }
        let others = self.made.len() - usize::from(replaced.is_some()) + self.ending.len();
        if others >= MOST_ROUTES {
            return Err(Refusal::Bad(format!(
                "there are {others} routes by HTTP already, {MOST_ROUTES} are the most; delete one"
            )));
        }
        Ok(())
    }

    /// What is to be opened, if that is still wanted. Until it is, nothing else has its name.
    fn begin(&mut self, id: &str, change: u64) -> Option<(Object, Share)> {
        let made = self.made.get(id).filter(|made| made.change == change)?;
        let (object, share) = (made.object.clone(), made.share.clone());
        self.ending.insert(share.name.clone(), share.clone());
        Some((object, share))
    }

    fn deletable(&self, id: &str) -> Result<(), Refusal> {
        if self.given.iter().any(|given| given.id == id) {
            return Err(Refusal::Conflict(format!(
                "the route {id} is given by URI and is not deleted over HTTP; remove it from \
                 DOWNSPOUT_ROUTES or the arguments and start anew"
            )));
        }
        if self.made.contains_key(id) { Ok(()) } else { Err(Refusal::Unknown) }
    }

    /// A route is left to its end: what it takes is taken until then.
    fn leave(&mut self, made: Made) -> Option<Open> {
        let open = made.open?;
        self.ending.insert(open.name.clone(), made.share);
        Some(open)
    }
}

fn words(refusal: Refusal) -> String {
    match refusal {
        Refusal::Unknown => "there is none".to_owned(),
        Refusal::Bad(why) | Refusal::Conflict(why) | Refusal::Busy(why) | Refusal::Storage(why) => {
            why
        }
    }
}
