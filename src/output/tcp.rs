//! Syslog to one peer over TCP, plain (RFC 6587) or in TLS (RFC 5425). A frame is delivered when
//! the peer's TCP has acknowledged its last byte. Never resends.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{BoxFuture, Carriage, Driver, Fault, Frames, Output, Target, TargetKind};
use crate::metrics::OutputMetrics;
use crate::net::dial::Dial;
use crate::net::link::{self, Counted, Link};
use crate::net::tls::{self, Tls, TlsOptions};
use crate::options::{OptionSpec, Options, parse_duration};

const CONNECT_TIMEOUT: OptionSpec = OptionSpec {
    name: "connect_timeout",
    default: "10s",
    unit: "duration",
    help: "How long all addresses of the host together may take to accept a connection.",
};
const USER_TIMEOUT: OptionSpec = OptionSpec {
    name: "user_timeout",
    default: "20s",
    unit: "duration",
    help: "How long the peer may leave data unacknowledged before the connection counts as lost.",
};

/// Plain TCP. Practice has settled on 514, though that port is another service's (RFC 6587).
pub(super) static DRIVER: Driver = Driver {
    schemes: &["syslog+tcp"],
    help: "Syslog over TCP; delivered when the peer's TCP has acknowledged.",
    example: "syslog+tcp://logs.example.com:514",
    target: TargetKind::Host { default_port: 514 },
    carriage: Carriage::Stream,
    options: &[CONNECT_TIMEOUT, USER_TIMEOUT],
    open: |target, options, metrics| open(target, options, metrics, false),
};

/// TCP with TLS 1.2 or 1.3.
pub(super) static TLS_DRIVER: Driver = Driver {
    schemes: &["syslog+tls"],
    help: "Syslog over TLS; delivered when the peer's TCP has acknowledged.",
    example: "syslog+tls://logs.example.com:6514?tls_ca=/etc/downspout/ca.pem",
    target: TargetKind::Host { default_port: 6514 },
    carriage: Carriage::Stream,
    options: &[
        tls::CA,
        tls::CERTIFICATE,
        tls::KEY,
        tls::SERVER_NAME,
        CONNECT_TIMEOUT,
        USER_TIMEOUT,
    ],
    open: |target, options, metrics| open(target, options, metrics, true),
};

#[derive(Debug)]
struct Tcp {
    dial: Dial,
    tls: Option<Tls>,
    link: Option<Link>,
    metrics: OutputMetrics,
}

fn open(
    target: Target,
    options: &mut Options,
    metrics: OutputMetrics,
    encrypted: bool,
) -> Option<Box<dyn Output>> {
    let Target::Host(host, port) = target else {
        options.problem("syslog over TCP needs a host; write syslog+tcp://logs.example.com:514");
        return None;
    };
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
    let dial = Dial { host, port, connect_timeout, user_timeout };
    Some(Box::new(Tcp { dial, tls, link: None, metrics }))
}

impl Tcp {
    async fn dial(&self) -> Result<(Link, String), Fault> {
        let dial = &self.dial;
        let (stream, address) =
            dial.connect().await.map_err(|error| Fault::retry(error.to_string()))?;
        let Some(tls) = &self.tls else {
            return Ok((Link::tcp(stream, dial.user_timeout), format!("{dial} ({address})")));
        };
        let (stream, agreed) = tls
            .handshake(Counted::new(stream))
            .await
            .map_err(|why| Fault::retry(format!("{dial} ({address}): {why}")))?;
        Ok((Link::tls(stream, dial.user_timeout), format!("{dial} ({address}, {agreed})")))
    }

    fn linked(&mut self) -> Result<&mut Link, Fault> {
        self.link.as_mut().ok_or_else(|| Fault::retry("not connected"))
    }
}

impl Output for Tcp {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async {
            self.link = None;
            let (link, to) = self.dial().await?;
            self.link = Some(link);
            self.metrics.connections.inc();
            Ok(to)
        })
    }

    fn send<'a>(&'a mut self, frames: Frames<'a>) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { Ok(self.linked()?.send(frames.bytes()).await?) })
    }

    fn settled(&mut self) -> u64 {
        self.link.as_mut().map_or(0, Link::settled)
    }

    fn acknowledged(&mut self, beyond: u64) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async move { Ok(self.linked()?.acknowledged(beyond).await?) })
    }

    fn keeps_acknowledged(&self) -> u64 {
        let doubtful = self.link.as_ref().map_or(0, Link::doubtful);
        doubtful.max(link::USUAL_DOUBT_BYTES as u64)
    }

    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async { Ok(self.linked()?.close().await?) })
    }
}
