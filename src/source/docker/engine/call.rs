//! One call: through bollard or over a connection of our own, within a time limit.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use serde_json::Value;

use super::exchange::{Head, HeadError, Method};
use super::{
    ApiVersion, CALL_LIMIT, Endpoint, Engine, EngineError, LogStream, connection, error, exchange,
};

/// The longest reply that is read leniently, in bytes: a list of some thousand containers.
const MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;
/// What is read of a refusal, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

impl Engine {
    /// bollard's handle. Opens no connection, but wants to see the socket file.
    pub(super) fn control(&self) -> Result<Docker, EngineError> {
        let mut session = self.session();
        if let Some(docker) = &session.control {
            return Ok(docker.clone());
        }
        let docker = connect_bollard(&self.inner.endpoint)
            .map_err(|error| EngineError::bollard(&self.inner.endpoint, "", &error))?;
        session.control = Some(docker.clone());
        Ok(docker)
    }

    /// A reply through bollard, or read leniently through a call of our own if bollard cannot.
    /// Its futures are large, hence the box.
    pub(super) async fn ask<T, R>(
        &self,
        path: &str,
        call: Pin<Box<impl Future<Output = Result<T, bollard::errors::Error>>>>,
        typed: impl FnOnce(T) -> R,
        lenient: impl FnOnce(&Value) -> R,
    ) -> Result<R, EngineError> {
        let endpoint = &self.inner.endpoint;
        // bollard has no limit of its own for a body.
        let call = self.within(path, Some(CALL_LIMIT), async { Ok(call.await) });
        match call.await? {
            Ok(reply) => Ok(typed(reply)),
            Err(error) if error::is_undecodable(&error) => {
                Ok(lenient(&Box::pin(self.fetch(path)).await?))
            }
            Err(error) => Err(EngineError::bollard(endpoint, path, &error)),
        }
    }

    /// A whole reply in JSON.
    async fn fetch(&self, path: &str) -> Result<Value, EngineError> {
        let endpoint = &self.inner.endpoint;
        let reply = self.within(path, Some(CALL_LIMIT), async {
            let mut stream = Box::pin(self.open(Method::Get, path, None)).await?;
            stream.collect(MAX_REPLY_BYTES).await.map_err(|error| EngineError::io(endpoint, &error))
        });
        let Some(reply) = reply.await? else {
            return Err(self.nonsense(path, format!("more than {MAX_REPLY_BYTES} bytes")));
        };
        serde_json::from_slice(&reply).map_err(|error| self.nonsense(path, error))
    }

    pub(super) fn nonsense(&self, path: &str, why: impl Display) -> EngineError {
        EngineError::protocol(&self.inner.endpoint, format!("{path}: {why}"))
    }

    /// Opens a connection, asks, and reads the head. Anything but success is an error.
    pub(super) async fn open(
        &self,
        method: Method,
        path: &str,
        head_limit: Option<Duration>,
    ) -> Result<LogStream, EngineError> {
        let endpoint = &self.inner.endpoint;
        let (tls, spoken) = {
            let session = self.session();
            (session.tls.clone(), session.spoken)
        };
        let target = spoken.map_or_else(|| path.to_owned(), |spoken| format!("/v{spoken}{path}"));
        let opening = async {
            let mut connection = connection::open(endpoint, tls).await?;
            exchange::write_request(&mut connection, method, &self.inner.host, &target).await?;
            Ok(connection)
        };
        let opening = async { opening.await.map_err(|error| EngineError::io(endpoint, &error)) };
        let mut connection = self.within(path, Some(CALL_LIMIT), opening).await?;
        let head = async {
            exchange::read_head(&mut connection).await.map_err(|error| match error {
                HeadError::Io(error) => EngineError::io(endpoint, &error),
                HeadError::Protocol(why) => EngineError::protocol(endpoint, why),
            })
        };
        let (head, surplus) = self.within(path, head_limit, head).await?;
        let (status, multiplexed) = (head.status, multiplexed(&head, spoken));
        let mut stream = LogStream::new(connection, head.body, surplus, multiplexed);
        if (200..300).contains(&status) || (status == 101 && method == Method::PostUpgrade) {
            return Ok(stream);
        }
        // A refusal without its reason is a refusal all the same.
        let body = tokio::time::timeout(CALL_LIMIT, stream.collect(MAX_REFUSAL_BYTES)).await;
        let body = body.ok().and_then(Result::ok).flatten().unwrap_or_default();
        Err(EngineError::refusal(status, &body))
    }

    async fn within<T>(
        &self,
        call: &str,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let Some(limit) = limit else {
            return work.await;
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            Err(EngineError::TimedOut {
                endpoint: self.inner.endpoint.to_string(),
                call: call.to_owned(),
                seconds: limit.as_secs(),
            })
        })
    }
}

/// Opens no connection. The version is a formality: bollard 0.21 sends paths without one, which
/// every engine answers with its own newest.
fn connect_bollard(endpoint: &Endpoint) -> Result<Docker, bollard::errors::Error> {
    let (limit, version) = (CALL_LIMIT.as_secs(), bollard::API_DEFAULT_VERSION);
    match endpoint {
        Endpoint::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), limit, version),
        Endpoint::Tcp { .. } => Docker::connect_with_http(&endpoint.host_header(), limit, version),
        Endpoint::Tls { certificates, .. } => {
            connection::set_default_provider();
            let [key, certificate, authority] =
                ["key.pem", "cert.pem", "ca.pem"].map(|name| certificates.join(name));
            let host = endpoint.host_header();
            Docker::connect_with_ssl(&host, &key, &certificate, &authority, limit, version)
        }
    }
}

fn multiplexed(head: &Head, spoken: Option<ApiVersion>) -> Option<bool> {
    match head.content_type.as_deref()? {
        "application/vnd.docker.multiplexed-stream" => Some(true),
        // Before 1.42 attach called everything raw.
        "application/vnd.docker.raw-stream" if spoken? >= ApiVersion::CONTENT_TYPES => Some(false),
        _ => None,
    }
}
