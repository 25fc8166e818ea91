//! The task that saves: when something has moved, once a second at most, and a last time at the end.
//! Never decides what is kept, and sleeps while nothing moves.

use std::future::Future;
use std::time::Duration;

use super::{Snapshot, Store};
use crate::metrics::CheckpointMetrics;
use crate::record::Timestamp;
use crate::shutdown::{self, Stop};

/// What a crash may repeat is what was delivered within this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// Saves what `snapshot` returns, to a store.
#[derive(Debug)]
pub struct Writer<F, M> {
    store: Store,
    state: State<F>,
    moved: M,
}

#[derive(Debug)]
struct State<F> {
    snapshot: F,
    /// What could not be saved and has to be, unless something newer comes.
    unsaved: Option<Snapshot>,
    saved: Timestamp,
    failing: bool,
    metrics: CheckpointMetrics,
}

impl<F, M, W> Writer<F, M>
where
    F: FnMut() -> Option<Snapshot> + Send,
    M: Fn() -> W + Send,
    W: Future<Output = ()> + Send,
{
    /// Will ask `snapshot` what to save; `None` means that nothing has moved since it was asked
    /// last. What it returned is saved or kept for the next attempt. `moved` waits until asking is
    /// worth while.
    pub fn new(store: Store, snapshot: F, moved: M, metrics: CheckpointMetrics) -> Self {
        let saved = Timestamp::now();
        let state = State { snapshot, unsaved: None, saved, failing: false, metrics };
        Self { store, state, moved }
    }

    /// Saves whenever something has moved, and tries again what failed, a second apart, until `stop` quits; then saves a last time and ends, so
    /// that waiting for this to end is waiting for the last save. `stop` should quit only after
    /// the destinations have ended: what they settle later is not saved. A disk that hangs hangs
    /// this too, without holding a worker; whoever waits sets a limit.
    pub async fn run(mut self, stop: Stop) {
        loop {
            let quits = tokio::select! {
                () = stop.quitting() => true,
                () = (self.moved)(), if !self.state.failing => false,
                () = std::future::ready(()), if self.state.failing => false,
            };
            self.state.metrics.waits();
            self = self.save().await;
            if quits {
                return;
            }
            tokio::select! {
                () = stop.quitting() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn save(self) -> Self {
        let Self { mut store, mut state, moved } = self;
        let Some(snapshot) = (state.snapshot)().or_else(|| state.unsaved.take()) else {
            state.metrics.saved();
            return Self { store, state, moved };
        };
        let asked = Timestamp::now();
        let work = move || {
            let result = store.save(&snapshot);
            (store, snapshot, result)
        };
        let (store, snapshot, result) = shutdown::blocking(work).await;
        state.note(result, asked, &store);
        state.unsaved = state.failing.then_some(snapshot);
        Self { store, state, moved }
    }
}

impl<F> State<F> {
    // An outage is logged once, and its end.
    fn note(&mut self, result: std::io::Result<()>, asked: Timestamp, store: &Store) {
        let was_failing = std::mem::replace(&mut self.failing, result.is_err());
        match result {
            Ok(()) => {
                self.metrics.saves.inc();
                self.metrics.saved();
                self.metrics.saved_timestamp.set(asked.seconds());
                self.saved = asked;
                if was_failing {
                    tracing::info!(folder = %store.folder().display(), "positions are kept again");
                }
            }
            Err(error) => {
                self.metrics.errors.inc();
                if !was_failing {
                    tracing::warn!(
                        %error,
                        since = %self.saved,
                        "cannot write the checkpoint: what is delivered since then would be \
                         repeated after a restart; make room or the folder writable; trying again \
                         every second"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
