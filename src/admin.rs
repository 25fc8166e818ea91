//! HTTP: health checks and scrapes (`/livez`, `/readyz`, `/health`, `/metrics`), live tails (`/logs`)
//! and routes (`/routes`). Never waits for a destination, and never shows a secret.

mod access;
mod body;
mod connection;
mod logs;
mod pages;
mod probe;
mod routes;
mod site;
mod websocket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::metrics::HttpMetrics;
use crate::shutdown::{Stop, Tasks};

pub use access::Token;
pub use logs::LiveTails;
pub use pages::Pages;
pub use probe::probe;
pub use routes::{Refusal, Routes, RoutesApi};
pub use site::Site;

use connection::{Connection, Cut};

/// Connections at the same moment; one more is closed at once.
const MAX_CONNECTIONS: usize = 32;
/// The same for those from this host's loopback: a crowd outside must not fail the health check.
const MAX_OWN_CONNECTIONS: usize = 4;
/// A client that has not sent its request by then is cut off.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// A client that is silent is asked whether it is still there: it may look at a live tail of which
/// nothing comes for days.
const ASK_AFTER: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_secs(10);
/// A connection carries one request, whatever the client would like.
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// Request line and headers, in bytes.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// The server, bound and not yet serving.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    site: Arc<Site>,
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
        site: Site,
        metrics: HttpMetrics,
    ) -> Result<Self, AdminError> {
        let bind = async {
            let listener = TcpListener::bind(address).await?;
            let bound = listener.local_addr()?;
            Ok((listener, bound))
        };
        let (listener, bound) = bind.await.map_err(|why| AdminError::Bind { address, why })?;
        Ok(Self { listener, address: bound, site: Arc::new(site), metrics })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` quits; a task in `tasks` per connection.
    pub async fn serve(self, tasks: Tasks, stop: Stop) {
        tokio::select! {
            () = self.accept(tasks, &stop) => {}
            () = stop.quitting() => {}
        }
    }

    async fn accept(self, tasks: Tasks, stop: &Stop) {
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
                    let own = Connection::new(permit, tasks.clone(), stop.clone());
                    let served = serve(connection, self.site.clone(), own, self.metrics.clone());
                    tasks.spawn("scrape", Box::pin(served));
                }
                Err(_) => self.metrics.busy.inc(),
            }
        }
    }
}

async fn serve(stream: TcpStream, site: Arc<Site>, own: Connection, metrics: HttpMetrics) {
    let keepalive = TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ASK_EVERY);
    // Without it a client that vanishes is noticed at the next line.
    SockRef::from(&stream).set_tcp_keepalive(&keepalive).ok();
    let service = service_fn(|request: Request<Incoming>| {
        let path = request.uri().path().to_owned();
        let (site, own, metrics) = (&site, &own, &metrics);
        async move {
            let mut reply = site.answer(request, own).await;
            if reply.status() != StatusCode::SWITCHING_PROTOCOLS {
                reply.headers_mut().insert(CONNECTION, CLOSE);
            }
            metrics.request(&path, reply.status().as_u16());
            Ok::<_, Infallible>(reply)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_LIMIT)
        .max_buf_size(MAX_REQUEST_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let ended = tokio::select! {
        ended = served => ended,
        cut = own.over() => {
            if cut == Cut::Late {
                metrics.timeouts.inc();
            }
            return;
        }
    };
    match ended {
        Ok(()) => {}
        // A client of a live tail leaves whenever it likes.
        Err(_) if own.is_live() => {}
        Err(error) if error.is_timeout() => metrics.timeouts.inc(),
        Err(error) => {
            metrics.malformed.inc();
            tracing::debug!(%error, "a client of the HTTP server");
        }
    }
}
