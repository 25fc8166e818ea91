//! HTTP for health checks and scrapes: `/livez`, `/readyz`, `/metrics`. GET only; never changes
//! anything, never shows a setting.

mod pages;
mod probe;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::HttpMetrics;
use crate::shutdown::{Stop, Tasks};

pub use pages::Pages;
pub use probe::probe;

/// Connections at the same moment; one more is closed at once.
const MAX_CONNECTIONS: usize = 32;
/// The same for those from this host's loopback: a crowd outside must not fail the health check.
const MAX_OWN_CONNECTIONS: usize = 4;
/// A client that has not sent its request by then is cut off.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// The same for one that has not taken the reply.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);
/// Request line and headers, in bytes.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// The server, bound and not yet serving.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    pages: Arc<Pages>,
    metrics: HttpMetrics,
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
    pub async fn bind(
        address: SocketAddr,
        pages: Pages,
        metrics: HttpMetrics,
    ) -> Result<Self, AdminError> {
        let bind = async {
            let listener = TcpListener::bind(address).await?;
            let bound = listener.local_addr()?;
            Ok((listener, bound))
        };
        let (listener, bound) = bind.await.map_err(|why| AdminError::Bind { address, why })?;
        Ok(Self { listener, address: bound, pages: Arc::new(pages), metrics })
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
        let all = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let own = Arc::new(Semaphore::new(MAX_OWN_CONNECTIONS));
        loop {
            let Ok((connection, from)) = self.listener.accept().await else {
                // Out of descriptors: give others a moment to close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let mut permit = all.clone().try_acquire_owned();
            if permit.is_err() && from.ip().to_canonical().is_loopback() {
                permit = own.clone().try_acquire_owned();
            }
            match permit {
                Ok(permit) => {
                    let served = serve(connection, self.pages.clone(), self.metrics.clone());
                    tasks.spawn("scrape", Box::pin(holding(permit, served)));
                }
                Err(_) => self.metrics.busy.inc(),
            }
        }
    }
}

async fn holding(permit: OwnedSemaphorePermit, served: impl Future<Output = ()>) {
    served.await;
    drop(permit);
}

async fn serve(connection: TcpStream, pages: Arc<Pages>, metrics: HttpMetrics) {
    let service = service_fn(|request: Request<Incoming>| {
        let path = request.uri().path();
        let reply = pages.reply(request.method(), path, request.headers());
        metrics.request(path, reply.status().as_u16());
        async move { Ok::<_, Infallible>(reply) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_LIMIT)
        .max_buf_size(MAX_REQUEST_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), service);
    match tokio::time::timeout(CONNECTION_LIMIT, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_timeout() => metrics.timeouts.inc(),
        Ok(Err(error)) => {
            metrics.malformed.inc();
            tracing::debug!(%error, "a client of the HTTP server");
        }
        Err(_) => metrics.timeouts.inc(),
    }
}
