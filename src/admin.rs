//! HTTP for health checks and scrapes: `/livez`, `/readyz`, `/metrics`. GET only; never changes
//! anything, never shows a setting.

mod probe;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::metrics::Metrics;
use crate::shutdown::{Stop, Tasks};

pub use probe::probe;

/// Connections at the same moment; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// A client that has not sent its request by then, or not taken the reply, is cut off.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// The server, bound and not yet serving.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    metrics: Metrics,
}

/// Why it cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be listened on.
    #[error("DOWNSPOUT_HTTP={address}: cannot listen: {why}; choose another address, or off")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// The system's words.
        why: std::io::Error,
    },
}

impl Admin {
    /// Listens on `address`; port 0 takes any that is free.
    pub async fn bind(address: SocketAddr, metrics: Metrics) -> Result<Self, AdminError> {
        let bind = async {
            let listener = TcpListener::bind(address).await?;
            let bound = listener.local_addr()?;
            Ok((listener, bound))
        };
        let (listener, bound) = bind.await.map_err(|why| AdminError::Bind { address, why })?;
        Ok(Self { listener, address: bound, metrics })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` quits; a task in `tasks` per connection.
    pub async fn serve(self, tasks: Tasks, stop: Stop) {
        tokio::select! {
            () = self.accept(tasks) => {}
            () = stop.quitting() => {}
        }
    }

    async fn accept(self, tasks: Tasks) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((connection, _)) => {
                    let metrics = self.metrics.clone();
                    tasks.spawn("scrape", async move {
                        let served =
                            tokio::time::timeout(CONNECTION_LIMIT, serve(connection, metrics));
                        if served.await.is_err() {
                            tracing::debug!("cut off a client that took too long");
                        }
                        drop(permit);
                    });
                }
                // Out of descriptors: give others a moment to close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

async fn serve(connection: TcpStream, metrics: Metrics) {
    let service = service_fn(move |request: Request<Incoming>| {
        let reply = reply(request.method(), request.uri().path(), &metrics);
        async move { Ok::<_, Infallible>(reply) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a client of the HTTP server");
    }
}

fn reply(method: &Method, path: &str, metrics: &Metrics) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if method != Method::GET {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".into());
    }
    match path {
        "/metrics" => response(StatusCode::OK, prometheus::TEXT_FORMAT, metrics.render()),
        "/livez" => response(StatusCode::OK, "application/json", "{\"status\":\"alive\"}\n".into()),
        "/readyz" => {
            let missing = metrics.not_ready();
            let status =
                if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = serde_json::json!({ "ready": missing.is_empty(), "waiting_for": missing });
            response(status, "application/json", format!("{body}\n"))
        }
        _ => response(StatusCode::NOT_FOUND, TEXT, "/livez /readyz /metrics\n".into()),
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_paths_and_methods_answer() {
        let metrics = Metrics::new();
        let status = |method, path| reply(&method, path, &metrics).status().as_u16();
        assert_eq!(status(Method::GET, "/livez"), 200);
        assert_eq!(status(Method::GET, "/metrics"), 200);
        assert_eq!(status(Method::POST, "/metrics"), 405);
        assert_eq!(status(Method::GET, "/"), 404);
    }

    #[test]
    fn ready_means_engine_and_destinations_are_there() {
        let metrics = Metrics::new();
        let destination = metrics.destination("stdout://");
        let status = || reply(&Method::GET, "/readyz", &metrics).status().as_u16();
        assert_eq!(status(), 503);
        destination.up.set(1);
        assert_eq!(status(), 503);
        metrics.source().source_up.set(1);
        assert_eq!(status(), 200);
    }
}
