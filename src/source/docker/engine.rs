//! What is called of the Docker Engine: HTTP over a unix socket, TCP or TLS, and its replies as
//! types. Never changes anything on the engine (GET, and the attach POST), never retries, and
//! decides nothing.
//!
//! bollard asks for version, info, list, inspection and events. Its types are strict: one
//! container in a state that it does not know would hide all others, so a reply that it cannot
//! decode is asked for again and read leniently. The bytes of a log come through a reader of our
//! own ([`LogStream`]), which is bounded, exact to the nanosecond and twenty times cheaper.

mod body;
mod call;
mod clock;
mod connection;
mod endpoint;
mod error;
mod event;
mod exchange;
mod reply;
mod socket_file;
mod stream;
#[cfg(test)]
mod tests;
mod version;
mod wanted;

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptions,
};
use futures_util::{Stream, StreamExt};
use tokio_rustls::rustls::ClientConfig;

use crate::record::Timestamp;
use exchange::Method;

pub use body::{Body, BodyError};
pub use endpoint::Endpoint;
pub use error::EngineError;
pub use event::{Action, Event};
pub use reply::{EngineInfo, Inspected, Listed};
pub use stream::{LogStream, Read};
pub use version::ApiVersion;
pub use wanted::Wanted;

/// How long a call may take: connection and head of a stream, or a whole reply.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// bollard's limit covers the time to the head of events, which Podman sends with the first event.
const EVENTS_LIMIT: Duration = Duration::from_hours(10 * 365 * 24);

/// Which part of a container's log is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Go on with what is printed from now on. Ignored by the engine if the container has ended.
    pub follow: bool,
    /// Only what is stamped at this moment or later. The engine scans the whole log for it.
    pub since: Option<Timestamp>,
    /// Only the last records, counted over both streams and before `since` is looked at.
    pub tail: Option<u32>,
}

/// Events as they happen, until the connection ends.
pub type Events = Pin<Box<dyn Stream<Item = Result<Event, EngineError>> + Send>>;

/// The Engine at one endpoint. Cheap to clone; every call opens a connection of its own.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    host: String,
    forced: Option<ApiVersion>,
    wanted: Wanted,
    session: Mutex<Session>,
}

/// What lasts from one `connect` to the next.
#[derive(Default)]
struct Session {
    /// Made at the first call, for bollard wants to see the socket file.
    control: Option<Docker>,
    tls: Option<Arc<ClientConfig>>,
    spoken: Option<ApiVersion>,
}

impl Engine {
    /// An engine that nobody has talked to yet. `forced` is `DOCKER_API_VERSION`; `wanted` is kept
    /// of inspections beside what everybody needs. Fails only if the certificates of a TLS endpoint
    /// cannot be read.
    pub fn new(
        endpoint: Endpoint,
        forced: Option<ApiVersion>,
        wanted: Wanted,
    ) -> Result<Self, EngineError> {
        let tls = connection::load_tls(&endpoint)?;
        let session = Mutex::new(Session { control: None, tls, spoken: forced });
        let host = endpoint.host_header();
        Ok(Self { inner: Arc::new(Inner { endpoint, host, forced, wanted, session }) })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// Asks who it is, and agrees on the version of the API that later calls speak. To be called
    /// again after the connection was lost: engine and certificates may be other ones.
    pub async fn connect(&self) -> Result<EngineInfo, EngineError> {
        let tls = connection::load_tls(&self.inner.endpoint)?;
        *self.session() = Session { control: None, tls, spoken: self.inner.forced };
        let docker = self.control()?;
        let mut info = self
            .ask(
                "/version",
                Box::pin(docker.version()),
                |reply| EngineInfo::typed(&reply),
                EngineInfo::lenient,
            )
            .await?
            .map_err(|why| self.nonsense("/version", why))?;
        info.api = ApiVersion::negotiate(self.inner.forced, info.oldest_api, info.api)?;
        self.session().spoken = Some(info.api);
        let more = self.ask(
            "/info",
            Box::pin(docker.info()),
            |reply| (reply.name, reply.logging_driver, reply.docker_root_dir),
            |reply| {
                let text = |path| reply::text(reply, path);
                (text("/Name"), text("/LoggingDriver"), text("/DockerRootDir"))
            },
        );
        match more.await {
            Ok((host, driver, root)) => {
                (info.host, info.default_driver, info.root) = (host, driver, root);
            }
            // A socket proxy may forbid it, and nothing depends on it.
            Err(EngineError::Status { .. } | EngineError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(info)
    }

    /// All containers, whatever their state.
    pub async fn list(&self) -> Result<Vec<Listed>, EngineError> {
        let path = "/containers/json?all=1";
        let options = ListContainersOptions { all: true, ..Default::default() };
        let docker = self.control()?;
        let listed = self.ask(
            path,
            Box::pin(docker.list_containers(Some(options))),
            |reply| Some(reply.into_iter().map(Listed::typed).collect()),
            |reply| Some(reply.as_array()?.iter().map(Listed::lenient).collect()),
        );
        // Not an empty list: that would mean that all containers are gone.
        listed.await?.ok_or_else(|| self.nonsense(path, "it is not a list"))
    }

    /// One container by id or name; `None` if there is none.
    pub async fn inspect(&self, id: &str) -> Result<Option<Inspected>, EngineError> {
        if !is_plausible(id) {
            return Ok(None);
        }
        let docker = self.control()?;
        let path = format!("/containers/{id}/json");
        let inspected = self.ask(
            &path,
            Box::pin(docker.inspect_container(id, None::<InspectContainerOptions>)),
            |reply| Inspected::typed(reply, &self.inner.wanted),
            |reply| Inspected::lenient(reply, &self.inner.wanted),
        );
        match inspected.await {
            Ok(inspected) if inspected.id.is_empty() => Err(self.nonsense(&path, "it has no id")),
            Ok(inspected) => Ok(Some(inspected)),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What happens to containers, from `since` on as far as the engine remembers (256 events of
    /// all kinds). The subscription begins when the stream is first polled: pass a `since` by the
    /// engine's clock to have no hole before a list. Events may come twice, and an engine drops
    /// them when the reader is slow. After an error the stream is at its end.
    pub fn events(&self, since: Option<Timestamp>) -> Result<Events, EngineError> {
        let wanted = Action::ALL.iter().map(|action| action.name()).collect();
        let filters = HashMap::from([("type", vec!["container"]), ("event", wanted)]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(since) = since {
            options = options.since(&seconds(since));
        }
        let docker = self.control()?.with_timeout(EVENTS_LIMIT);
        let engine = self.clone();
        let events = docker.events(Some(options.build())).filter_map(move |message| {
            let event = match message {
                Ok(message) => Event::typed(message).map(Ok),
                Err(error) => {
                    Some(Err(EngineError::bollard(&engine.inner.endpoint, "/events", &error)))
                }
            };
            std::future::ready(event)
        });
        Ok(Box::pin(events))
    }

    /// A container's log with stamps. While following, the reply may begin only with the first
    /// line (Podman), so this waits for it without a limit; drop the future to give up.
    pub async fn logs(&self, id: &str, query: LogQuery) -> Result<LogStream, EngineError> {
        let follow = if query.follow { "&follow=1" } else { "" };
        let since = query.since.map(|since| format!("&since={}", seconds(since)));
        let tail = query.tail.map(|tail| format!("&tail={tail}"));
        let path = format!(
            "/containers/{id}/logs?stdout=1&stderr=1&timestamps=1{follow}{}{}",
            since.unwrap_or_default(),
            tail.unwrap_or_default()
        );
        let limit = (!query.follow).then_some(CALL_LIMIT);
        self.of_container(id, Method::Get, &path, limit).await
    }

    /// What a container prints from now on, without stamps. Whoever has called this must read
    /// without pause: 1.27 MB unread freeze the container.
    pub async fn attach(&self, id: &str) -> Result<LogStream, EngineError> {
        let path = format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1");
        self.of_container(id, Method::PostUpgrade, &path, Some(CALL_LIMIT)).await
    }

    async fn of_container(
        &self,
        id: &str,
        method: Method,
        path: &str,
        head_limit: Option<Duration>,
    ) -> Result<LogStream, EngineError> {
        if !is_plausible(id) {
            return Err(EngineError::NotFound { message: format!("container {id:?}") });
        }
        // Boxed, for a follower's future keeps room for it as long as it lives.
        Box::pin(self.open(method, path, head_limit)).await
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.inner.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("endpoint", &self.inner.endpoint).finish_non_exhaustive()
    }
}

/// Ids and names hold nothing that would change the path of a request.
fn is_plausible(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !id.is_empty() && id != "." && id != ".." && id.bytes().all(plain)
}

/// A moment as the engine takes it: exact to the nanosecond.
fn seconds(time: Timestamp) -> String {
    format!("{}.{:09}", time.seconds(), time.subsec_nanos())
}
