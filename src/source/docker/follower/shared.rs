//! What all followers of a run share.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use tokio::sync::{Semaphore, watch};

use crate::metrics::SourceMetrics;
use crate::shutdown::Stop;
use crate::source::docker::Settings;
use crate::source::docker::changes::Changes;
use crate::source::docker::engine::Engine;
use crate::source::docker::silence::Silence;
use crate::source::docker::survey::Survey;

/// What all followers share.
#[derive(Debug)]
pub(in crate::source::docker) struct Shared {
    pub(in crate::source::docker) engine: Engine,
    pub(in crate::source::docker) settings: Settings,
    pub(in crate::source::docker) metrics: SourceMetrics,
    pub(in crate::source::docker) stop: Stop,
    /// How many logs may be opened at the same moment.
    pub(in crate::source::docker) opening: Semaphore,
    /// How many containers may be inspected at the same moment.
    pub(in crate::source::docker) asking: Semaphore,
    /// True while the engine answers.
    pub(in crate::source::docker) engine_up: watch::Receiver<bool>,
    /// The engine skips compressed rotated files when asked for `since` (up to 20.10).
    pub(in crate::source::docker) since_skips: AtomicBool,
    /// The engine cuts lines where it likes, and only a line's end has a line feed (Podman).
    pub(in crate::source::docker) cuts_anywhere: AtomicBool,
    /// Who listens, and since when without hearing anything.
    pub(in crate::source::docker) silence: Silence,
    /// What is known of all containers.
    pub(in crate::source::docker) survey: Survey,
    /// Which log files have changed.
    pub(in crate::source::docker) changes: Arc<Changes>,
    /// Where the logs are, if they may be read from files and the engine says where.
    pub(in crate::source::docker) containers_dir: watch::Receiver<Option<PathBuf>>,
    /// Said once: files that are there cannot be read.
    pub(in crate::source::docker) unreadable: Once,
}

impl Shared {
    /// Says once that files cannot be read. One that is not there is another log driver's way.
    pub(super) fn say_unreadable(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        self.metrics.files_refused.inc();
        self.unreadable.call_once(|| {
            tracing::warn!(
                %error,
                "a log file cannot be read; Docker is asked instead, which costs it 20 times as \
                 much (run as root, with Docker's folder of containers mounted)"
            );
        });
    }
}

/// Counted as a follower as long as it lives, however it ends.
#[derive(Debug)]
pub(super) struct Followed(SourceMetrics);

impl Followed {
    pub(super) fn new(shared: &Shared) -> Self {
        shared.metrics.followers.inc();
        Self(shared.metrics.clone())
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.followers.dec();
    }
}
