//! One client's connection: its place among those that are served at the same moment, and how long
//! it may take. A live tail gives the place back and has a limit of its own.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use crate::shutdown::{Stop, Tasks};
use crate::tail::Progress;

/// A client that has not taken the reply by then is cut off.
const LIMIT: Duration = Duration::from_secs(10);

/// What holds for one connection.
#[derive(Debug)]
pub(super) struct Connection {
    place: Mutex<Option<OwnedSemaphorePermit>>,
    progress: OnceLock<Progress>,
    tasks: Tasks,
    stop: Stop,
}

/// Why a connection was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It took too long.
    Late,
    /// It took nothing of a live tail, or the agent stops.
    Ended,
}

impl Connection {
    pub(super) fn new(place: OwnedSemaphorePermit, tasks: Tasks, stop: Stop) -> Self {
        Self { place: Mutex::new(Some(place)), progress: OnceLock::new(), tasks, stop }
    }

    /// It shows a live tail from now on: it counts among the viewers only.
    pub(super) fn shows(&self, progress: Progress) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A connection carries one request.
        self.progress.set(progress).ok();
    }

    /// Whether it shows a live tail.
    pub(super) fn is_live(&self) -> bool {
        self.progress.get().is_some()
    }

    /// Goes on with a client beside this connection.
    pub(super) fn go_on(&self, with: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn("websocket", Box::pin(with));
    }

    pub(super) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Waits until the client has had its time.
    pub(super) async fn over(&self) -> Cut {
        tokio::time::sleep(LIMIT).await;
        let Some(progress) = self.progress.get() else { return Cut::Late };
        tokio::select! {
            () = progress.stuck() => {}
            () = self.stop.quitting() => {}
        }
        Cut::Ended
    }
}
