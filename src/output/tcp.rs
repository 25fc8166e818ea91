//! Syslog to one peer over TCP, plain (RFC 6587) or in TLS (RFC 5425). A frame is delivered when
//! the peer's TCP has acknowledged its last byte. Never resends.

#[cfg(test)]
mod tests;

use super::{BoxFuture, Carriage, Driver, Fault, Frames, Open, Output, Target, TargetKind};
use crate::metrics::OutputMetrics;
use crate::net::link::{self, Link};
use crate::net::server::{self, Server};
use crate::net::tls;
use crate::options::Options;

/// Plain TCP. Practice has settled on 514, though that port is another service's (RFC 6587).
pub(super) static DRIVER: Driver = Driver {
    schemes: &["syslog+tcp", "raw+tcp", "tcp"],
    help: "Syslog over TCP; delivered when the peer's TCP has acknowledged.",
    example: "syslog+tcp://logs.example.com:514",
    target: TargetKind::Host { default_port: 514 },
    carriage: Carriage::Stream,
    options: &[server::CONNECT_TIMEOUT, server::USER_TIMEOUT],
    open: Open::Link(|target, options, metrics| open(target, options, metrics, false)),
};

/// TCP with TLS 1.2 or 1.3.
pub(super) static TLS_DRIVER: Driver = Driver {
    schemes: &["syslog+tls", "raw+tls", "tls"],
    help: "Syslog over TLS; delivered when the peer's TCP has acknowledged.",
    example: "syslog+tls://logs.example.com:6514?tls_ca=/etc/downspout/ca.pem",
    target: TargetKind::Host { default_port: 6514 },
    carriage: Carriage::Stream,
    options: &[
        tls::CA,
        tls::CERTIFICATE,
        tls::KEY,
        tls::SERVER_NAME,
        server::CONNECT_TIMEOUT,
        server::USER_TIMEOUT,
    ],
    open: Open::Link(|target, options, metrics| open(target, options, metrics, true)),
};

#[derive(Debug)]
struct Tcp {
    server: Server,
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
    let server = Server::open(host, port, options, encrypted)?;
    Some(Box::new(Tcp { server, link: None, metrics }))
}

impl Tcp {
    fn linked(&mut self) -> Result<&mut Link, Fault> {
        self.link.as_mut().ok_or_else(|| Fault::retry("not connected"))
    }
}

impl Output for Tcp {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async {
            self.link = None;
            let (link, to) = self.server.connect(&self.metrics).await?;
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
