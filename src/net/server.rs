//! One server over TCP, plain or in TLS: the options that all outputs to servers share, and the
//! way to a link. Never knows what is said over the link.

use std::time::Duration;

use super::dial::Dial;
use super::link::{Broken, Counted, Link};
use super::tls::{Agreed, Tls, TlsOptions};
use crate::metrics::{FaultKind, OutputMetrics};
use crate::options::{OptionSpec, Options, parse_duration};

/// `connect_timeout`
pub const CONNECT_TIMEOUT: OptionSpec = OptionSpec {
    name: "connect_timeout",
    default: "10s",
    unit: "duration",
    help: "How long all addresses of the host together may take to accept a connection.",
};
/// `user_timeout`
pub const USER_TIMEOUT: OptionSpec = OptionSpec {
    name: "user_timeout",
    default: "20s",
    unit: "duration",
    help: "How long the peer may leave data unacknowledged before the connection counts as lost.",
};

/// Where to connect to, and how.
#[derive(Debug)]
pub struct Server {
    dial: Dial,
    tls: Option<Tls>,
}

impl Server {
    /// Takes the two options of this module and, if `encrypted`, those of `tls`. Problems go
    /// into `options`.
    pub fn open(host: String, port: u16, options: &mut Options, encrypted: bool) -> Option<Self> {
        let mut duration = |spec, seconds| {
            options.parsed(spec, parse_duration).unwrap_or(Duration::from_secs(seconds))
        };
        let connect_timeout = duration(&CONNECT_TIMEOUT, 10);
        let user_timeout = duration(&USER_TIMEOUT, 20);
        let tls = if encrypted {
            match Tls::open(TlsOptions::take(options), &host) {
                Ok(tls) => Some(tls),
                Err(problems) => {
                    for problem in problems {
                        options.problem(problem);
                    }
                    return None;
                }
            }
        } else {
            None
        };
        Some(Self { dial: Dial { host, port, connect_timeout, user_timeout }, tls })
    }

    /// Resolves the host anew, connects to the first address that answers and shakes hands. Also
    /// says what it is connected to. `metrics` show when the certificates expire.
    pub async fn connect(&self, metrics: &OutputMetrics) -> Result<(Link, String), Broken> {
        let dial = &self.dial;
        let failed = |kind, why| Broken { kind, why, unread: 0 };
        let connected = dial.connect().await;
        let (stream, address) =
            connected.map_err(|error| failed(error.kind(), error.to_string()))?;
        let Some(tls) = &self.tls else {
            return Ok((Link::tcp(stream, dial.user_timeout), format!("{dial} ({address})")));
        };
        let (stream, agreed) = tls
            .handshake(Counted::new(stream))
            .await
            .map_err(|why| failed(FaultKind::Tls, format!("{dial} ({address}): {why}")))?;
        let Agreed { peer_expiry, own_expiry, .. } = &agreed;
        metrics.peer_expiry.set(peer_expiry.unwrap_or(0));
        metrics.own_expiry.set(own_expiry.unwrap_or(0));
        Ok((Link::tls(stream, dial.user_timeout), format!("{dial} ({address}, {agreed})")))
    }

    /// What `connect_timeout` says.
    pub fn connect_timeout(&self) -> Duration {
        self.dial.connect_timeout
    }
}
