//! Syslog to one RELP server, plain or in TLS. A frame is delivered when the server has answered
//! for it: 200. Never resends.

mod frame;
mod session;
mod talk;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{BoxFuture, Carriage, Driver, Fault, Frames, Open, Output, Target, TargetKind};
use crate::metrics::{FaultKind, OutputMetrics};
use crate::net::server::{self, Server};
use crate::net::tls;
use crate::options::{OptionSpec, Options, parse_duration};
use session::End;
use talk::{Limits, Talk};

/// How often a message must be refused, each time by a server that accepts others and on a new
/// session, until it is given up: an error of the server itself may pass.
const REFUSALS: u32 = 3;

/// The port of all examples in rsyslog's manual, with TLS and without; none is registered.
const PORT: u16 = 2514;

// 128 is what librelp's clients have, so that every server is used to it. A larger one is for
// long ways: no more than the window can be accepted per round trip, or repeated after a break.
const WINDOW: OptionSpec = OptionSpec {
    name: "window_commands",
    default: "128",
    unit: "2 to 10000",
    help: "How many messages may be on their way without the server's answer, and so be repeated \
           after a break; one window per round trip is the most that can be delivered.",
};

// What rsyslog's own client waits. A server whose queue is full answers nothing, and to break with
// it would gain repeats only; a server that is gone is noticed by user_timeout.
const ANSWER_TIMEOUT: OptionSpec = OptionSpec {
    name: "answer_timeout",
    default: "90s",
    unit: "duration",
    help: "How long a server that owes answers may be silent before the connection counts as \
           lost. The answer to the open of a session must come within connect_timeout.",
};

/// Plain RELP.
pub(super) static DRIVER: Driver = Driver {
    schemes: &["relp"],
    help: "Syslog over RELP, as rsyslog's imrelp takes it; delivered when the server has answered.",
    example: "relp://logs.example.com:2514",
    target: TargetKind::Host { default_port: PORT },
    carriage: Carriage::Messages,
    options: &[WINDOW, ANSWER_TIMEOUT, server::CONNECT_TIMEOUT, server::USER_TIMEOUT],
    open: Open::Link(|target, options, metrics| open(target, options, metrics, false)),
};

/// RELP in TLS 1.2 or 1.3 from the first byte on, as librelp does it.
pub(super) static TLS_DRIVER: Driver = Driver {
    schemes: &["relp+tls"],
    help: "Syslog over RELP in TLS; delivered when the server has answered.",
    example: "relp+tls://logs.example.com:2514?tls_ca=/etc/downspout/ca.pem",
    target: TargetKind::Host { default_port: PORT },
    carriage: Carriage::Messages,
    options: &[
        tls::CA,
        tls::CERTIFICATE,
        tls::KEY,
        tls::SERVER_NAME,
        WINDOW,
        ANSWER_TIMEOUT,
        server::CONNECT_TIMEOUT,
        server::USER_TIMEOUT,
    ],
    open: Open::Link(|target, options, metrics| open(target, options, metrics, true)),
};

#[derive(Debug)]
struct Relp {
    server: Server,
    limits: Limits,
    talk: Option<Talk>,
    refusals: Refusals,
    metrics: OutputMetrics,
}

/// How often the same message was refused. Every session begins with the first frame that the one
/// before did not settle, so that positions over all sessions tell frames apart.
#[derive(Debug, Default)]
struct Refusals {
    /// Where the present session's byte 0 lies.
    base: u64,
    /// Where the frame began that was refused last.
    at: Option<u64>,
    count: u32,
}

fn open(
    target: Target,
    options: &mut Options,
    metrics: OutputMetrics,
    encrypted: bool,
) -> Option<Box<dyn Output>> {
    let Target::Host(host, port) = target else {
        options.problem("RELP needs a host; write relp://logs.example.com:2514");
        return None;
    };
    let window = options.parsed(&WINDOW, parse_window).unwrap_or(128);
    let answer_timeout =
        options.parsed(&ANSWER_TIMEOUT, parse_duration).unwrap_or(Duration::from_secs(90));
    let server = Server::open(host, port, options, encrypted)?;
    let limits = Limits { window, answer_timeout };
    Some(Box::new(Relp { server, limits, talk: None, refusals: Refusals::default(), metrics }))
}

// With 1, a message that is refused could not be told from a server that refuses all.
fn parse_window(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (2..=10_000).contains(number));
    number.ok_or_else(|| "expected 2 to 10000 commands, such as 128".into())
}

impl Relp {
    fn talking(&mut self) -> Result<&mut Talk, Fault> {
        self.talk.as_mut().ok_or_else(|| Fault::retry("not connected"))
    }

    fn fault(&mut self, end: End) -> Fault {
        match end {
            End::Broken(kind, why) => Fault::of(kind, why),
            End::Refused { why, others: false } => {
                let why = format!("the server refuses messages: {why}");
                Fault::of(FaultKind::Rejected, why)
            }
            End::Refused { why, others: true } => {
                let settled = self.talk.as_mut().map_or(0, Talk::settled);
                let why = format!("the server refused a message and took others: {why}");
                if self.refusals.note(settled) {
                    Fault::Reject { why }
                } else {
                    Fault::of(FaultKind::Rejected, why)
                }
            }
        }
    }
}

impl Refusals {
    /// A session ended, having settled that much.
    fn session_ended(&mut self, settled: u64) {
        self.base += settled;
    }

    /// The frame behind the settled ones was refused; true if that was once too often.
    fn note(&mut self, settled: u64) -> bool {
        let at = Some(self.base + settled);
        self.count = if self.at == at { self.count + 1 } else { 1 };
        self.at = at;
        if self.count < REFUSALS {
            return false;
        }
        self.at = None;
        true
    }
}

impl Output for Relp {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async {
            if let Some(mut old) = self.talk.take() {
                self.refusals.session_ended(old.settled());
            }
            let (link, to) = self.server.connect(&self.metrics).await?;
            let limit = self.server.connect_timeout();
            let talk = Talk::open(link, self.limits, limit)
                .await
                .map_err(|(kind, why)| Fault::of(kind, format!("{to}: {why}")))?;
            self.talk = Some(talk);
            self.metrics.connections.inc();
            Ok(to)
        })
    }

    fn send<'a>(&'a mut self, frames: Frames<'a>) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let sent = self.talking()?.send(frames).await;
            sent.map_err(|end| self.fault(end))
        })
    }

    fn settled(&mut self) -> u64 {
        self.talk.as_mut().map_or(0, Talk::settled)
    }

    fn acknowledged(&mut self, beyond: u64) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async move {
            let accepted = self.talking()?.accepted(beyond).await;
            accepted.map_err(|end| self.fault(end))
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async { Ok(self.talking()?.close().await) })
    }
}
