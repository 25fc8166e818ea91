//! The SDK's requests over one pool of connections of ours: one TLS stack, limits on every wait,
//! and an end to idle connections before the service ends them.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector as SmithyConnector, HttpConnectorFuture, HttpConnectorSettings,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use hyper::header::{AUTHORIZATION, DATE};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::clock::Clock;
use super::connect::Connect;
use super::identity::with_causes;
use crate::net::tls;

/// The service ends idle connections after some 6 s; AWS advises its clients to use none that was
/// idle for longer than this.
const IDLE: Duration = Duration::from_secs(4);

/// What a connection takes that is going to be made; names have several addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A first answer, with handshakes.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);

const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Replies are small; what is longer is none of the service's.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// Connections kept for the next call to the same place.
const MAX_IDLE: usize = 64;

type Pool = Client<HttpsConnector<Connect>, SdkBody>;

/// All connections of one output.
#[derive(Clone)]
pub(super) struct Transport {
    pool: Pool,
    clock: Arc<Clock>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Why a request brought no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no connection.
    Connect,
    /// The connection ended before a byte of the reply came.
    Closed,
    /// The connection ended within the reply, or it could not be understood.
    Reply,
    /// It took too long.
    Timeout,
}

/// The failure of a request, for the log as well.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    why: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for Failed {}

impl Transport {
    /// Connections that trust the authorities of `ca`, or the system's.
    pub(super) fn new(ca: Option<&Path>, clock: Arc<Clock>) -> Result<Self, String> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE));
        http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        http.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(ca)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connect::new(http));
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(https);
        Ok(Self { pool, clock })
    }

    /// Whether anybody answers at a place, whatever it says.
    pub(super) async fn reach(&self, url: &str) -> Result<(), String> {
        let request = hyper::Request::get(url).body(SdkBody::empty());
        let request = request.map_err(|error| format!("{url} is no endpoint: {error}"))?;
        let answer = tokio::time::timeout(REACH_TIMEOUT, self.pool.request(request)).await;
        match answer {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{url}: {}", failed(&error))),
            Err(_) => Err(format!("{url}: no answer within {} s", REACH_TIMEOUT.as_secs())),
        }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, Failed> {
        let signed = request.headers().contains_key(AUTHORIZATION.as_str());
        let request = request
            .try_into_http1x()
            .map_err(|error| Failed { failure: Failure::Connect, why: error.to_string() })?;
        let reply = self.pool.request(request).await.map_err(|error| failed(&error))?;
        let (head, body) = reply.into_parts();
        // Only of the service: a token's endpoint on this host has this host's clock.
        if signed
            && let Some(date) = head.headers.get(DATE).and_then(|date| date.to_str().ok())
            && let Ok(date) = httpdate::parse_http_date(date)
        {
            self.clock.heard(date);
        }
        let body = Limited::new(body, MAX_REPLY_BYTES).collect().await.map_err(|error| Failed {
            failure: Failure::Reply,
            why: format!("the reply broke off: {error}"),
        })?;
        let body = SdkBody::from(body.to_bytes());
        HttpResponse::try_from(hyper::Response::from_parts(head, body))
            .map_err(|error| Failed { failure: Failure::Reply, why: error.to_string() })
    }
}

fn failed(error: &hyper_util::client::legacy::Error) -> Failed {
    let (failure, what) = if error.is_connect() {
        (Failure::Connect, "cannot connect")
    } else {
        (Failure::Closed, "the connection ended before a reply")
    };
    Failed { failure, why: with_causes(what.into(), error) }
}

/// One of the SDK's connectors: the pool, and how long its caller wants to wait.
#[derive(Debug)]
struct Connector {
    transport: Transport,
    timeout: Option<Duration>,
}

impl SmithyConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (transport, timeout) = (self.transport.clone(), self.timeout);
        HttpConnectorFuture::new(async move {
            let exchange = transport.exchange(request);
            let reply = match timeout {
                None => exchange.await,
                Some(limit) => tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
                    let why = format!("no answer within {:.1} s", limit.as_secs_f64());
                    Err(Failed { failure: Failure::Timeout, why })
                }),
            };
            reply.map_err(|failed| match failed.failure {
                Failure::Timeout => ConnectorError::timeout(Box::new(failed)),
                Failure::Connect | Failure::Closed => ConnectorError::io(Box::new(failed)),
                Failure::Reply => ConnectorError::other(Box::new(failed), None),
            })
        })
    }
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        // Of the metadata service's client, which must not wait long where there is no service.
        // Others say only how long a connection may take; here that is always the same.
        let connecting = settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT);
        let timeout = settings.read_timeout().map(|reading| connecting + reading);
        SharedHttpConnector::new(Connector { transport: self.clone(), timeout })
    }
}
