//! The Docker Engine as a source: finds every container and follows its log, once per
//! destination. Only GET requests, and the attach POST where the operator asked for it.

mod attach;
mod changes;
mod discovery;
pub mod engine;
mod files;
mod follower;
mod following;
mod frames;
pub mod json_file;
#[cfg(test)]
mod model;
mod own;
mod position;
mod roster;
mod silence;
mod survey;
mod tracked;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use crate::lane::Overflow;
use crate::source::{Feed, Source};

pub use engine::Endpoint;
pub use survey::{disk, rotation};
pub use tracked::SHIPPING;

/// For one answer of an engine that is there, where somebody waits for it.
const ANSWER: Duration = Duration::from_secs(10);

/// What the operator decides about the source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Settings {
    /// Where the engine listens.
    pub endpoint: Endpoint,
    /// `DOCKER_API_VERSION`; negotiated when absent.
    pub api_version: Option<String>,
    /// The host name that lines carry; the engine's own when absent.
    pub hostname: Option<String>,
    /// Containers that run already are followed from the beginning of their log, not from now.
    pub backlog: bool,
    /// Containers whose log driver is `none` are attached to.
    pub attach: bool,
    /// What to give up of an attached container that prints faster than its destination takes.
    pub overflow: Overflow,
    /// A log stream that was silent for this long is checked for a stall.
    pub probe_after: Duration,
    /// Containers whose log driver ships by itself are followed as well.
    pub follow_shipped: bool,
    /// How logs are read.
    pub strategy: Strategy,
    /// Where the engine's folder of containers is for us; the engine's own path when absent.
    pub containers_dir: Option<PathBuf>,
    /// How many containers have series of their own.
    pub container_series: usize,
    /// What is kept of inspections.
    pub wanted: engine::Wanted,
    /// How many of its last records are wanted of a log of which the backlog is; all when absent.
    pub tail: Option<u32>,
    /// Lines of terminals keep the carriage returns at their ends.
    pub keep_carriage_returns: bool,
}

/// How logs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// From their files where that is possible, else through the engine.
    Auto,
    /// Through the engine.
    Api,
}

/// The Docker Engine.
#[derive(Debug)]
pub struct Docker {
    settings: Settings,
}

impl Docker {
    /// A source that has not connected yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

/// The engine that the settings name, what it says of itself, and its containers: for others than the
/// source. An error says why it cannot be asked.
pub async fn reached(
    settings: &Settings,
) -> Result<(engine::Engine, engine::EngineInfo, Vec<engine::Listed>), String> {
    let engine = discovery::engine(settings)?;
    let info = answer(engine.connect()).await?.map_err(|error| error.to_string())?;
    let listed = answer(engine.list()).await?.map_err(|error| error.to_string())?;
    Ok((engine, info, listed))
}

/// What an engine answers within 10 s; an error says that it did not.
pub async fn answer<T>(asked: impl Future<Output = T>) -> Result<T, String> {
    let answer = tokio::time::timeout(ANSWER, Box::pin(asked)).await;
    answer.map_err(|_| format!("the Docker engine did not answer within {} s", ANSWER.as_secs()))
}

/// Where the engine's folder of containers is, if it is anywhere for us.
pub fn containers_folder(settings: &Settings, info: &engine::EngineInfo) -> PathBuf {
    settings.containers_dir.clone().unwrap_or_else(|| info.containers())
}

/// The file of the json-file driver to which a container's log is written, whether it is there or
/// not.
pub fn log_file(containers: &Path, id: &str) -> PathBuf {
    files::Files::of(containers, id).path().to_owned()
}

/// Whether a container runs whose state the engine calls so.
pub fn is_running(state: &str) -> bool {
    discovery::is_running(state)
}

/// Whether a log driver ships by itself.
pub fn ships(driver: &str) -> bool {
    SHIPPING.contains(&driver)
}

/// The id of the container that this process runs in; `None` outside of containers.
pub fn own_container_id() -> Option<String> {
    own::container_id()
}

/// Connects, says who answers, and leaves again.
pub async fn probe(settings: &Settings) -> Result<String, String> {
    let engine = discovery::engine(settings)?;
    let info = engine.connect().await.map_err(|error| error.to_string())?;
    let containers = engine.list().await.map_err(|error| error.to_string())?.len();
    let (version, api, endpoint) = (info.version, info.api, &settings.endpoint);
    Ok(format!("engine {version}, API {api} at {endpoint}, {containers} containers"))
}

impl Source for Docker {
    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(discovery::run(self.settings, feed))
    }
}
