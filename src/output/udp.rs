//! Syslog to one peer over UDP (RFC 5426), a datagram a frame. A frame is delivered when the
//! kernel has taken it; refusals that come back are counted as suspected loss. Never resends.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};

use super::{BoxFuture, Carriage, Driver, Fault, Frames, Open, Output, Target, TargetKind};
use crate::metrics::{FaultKind, OutputMetrics};
use crate::net::dial::Dial;
use crate::options::Options;

/// How long refusals may go on before the name is resolved anew. With another address left to
/// try, less: each refusal is a line.
const REFUSED_LIMIT: Duration = Duration::from_secs(10);
const REFUSED_LIMIT_WITH_OTHERS: Duration = Duration::from_secs(1);

/// Refusals further apart than this are not one run: datagrams got through in between.
const REFUSED_GAP: Duration = Duration::from_secs(5);

/// How old an answer of DNS may get. Nobody tells a sender of datagrams that its peer has moved.
const RESOLVED_LIMIT: Duration = Duration::from_mins(1);

/// Pause when the kernel has no buffer left; it empties at the speed of the interface.
const NO_BUFFER_PAUSE: Duration = Duration::from_millis(5);

/// UDP.
pub(super) static DRIVER: Driver = Driver {
    schemes: &["syslog+udp", "syslog", "raw+udp", "raw", "udp"],
    help: "Syslog over UDP; delivered when the kernel has taken it, so lines can get lost.",
    example: "syslog+udp://logs.example.com:514",
    target: TargetKind::Host { default_port: 514 },
    carriage: Carriage::Datagram,
    options: &[],
    open: Open::Link(open),
};

#[derive(Debug)]
struct Udp {
    dial: Dial,
    peer: Option<Peer>,
    /// Which of the host's addresses is next, so that one that refuses is not the only one tried.
    turn: usize,
    taken: u64,
    metrics: OutputMetrics,
}

#[derive(Debug)]
struct Peer {
    socket: UdpSocket,
    address: SocketAddr,
    has_others: bool,
    resolved: Instant,
    refused: Option<Run>,
}

/// Refusals without a long gap.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: Instant,
    last: Instant,
}

/// What to do about an error of a datagram.
#[derive(Debug, PartialEq, Eq)]
enum Cure {
    /// It was about an earlier datagram; send this one again.
    Again,
    /// Send again after a pause.
    Pause,
}

fn open(target: Target, options: &mut Options, metrics: OutputMetrics) -> Option<Box<dyn Output>> {
    let Target::Host(host, port) = target else {
        options.problem("syslog over UDP needs a host; write syslog+udp://logs.example.com:514");
        return None;
    };
    // Neither time-out plays a part without a connection.
    let (connect_timeout, user_timeout) = (Duration::ZERO, Duration::ZERO);
    let dial = Dial { host, port, connect_timeout, user_timeout };
    Some(Box::new(Udp { dial, peer: None, turn: 0, taken: 0, metrics }))
}

impl Udp {
    async fn connect_first(&mut self, addresses: &[SocketAddr]) -> Result<(), Fault> {
        let mut tried = Vec::new();
        for step in 0..addresses.len() {
            let turn = (self.turn + step) % addresses.len().max(1);
            let Some(address) = addresses.get(turn).copied() else {
                continue;
            };
            match connected(address).await {
                Ok(socket) => {
                    self.turn = turn;
                    self.peer = Some(Peer {
                        socket,
                        address,
                        has_others: addresses.len() > 1,
                        resolved: Instant::now(),
                        refused: None,
                    });
                    self.metrics.connections.inc();
                    return Ok(());
                }
                Err(error) => tried.push(format!("{address}: {error}")),
            }
        }
        let (to, tried) = (&self.dial, tried.join(", "));
        Err(Fault::retry(format!("no way to {to}: {tried}; check the routes of this host")))
    }

    /// Follows a name to its new address, if it has one. A name that does not resolve for the
    /// moment is left where it was.
    async fn follow_name(&mut self) -> Result<(), Fault> {
        let Some(peer) = &mut self.peer else {
            return Err(Fault::retry("not connected"));
        };
        if peer.resolved.elapsed() < RESOLVED_LIMIT || !self.dial.is_name() {
            return Ok(());
        }
        peer.resolved = Instant::now();
        let at = peer.address;
        match self.dial.resolve().await {
            Ok(addresses) if !addresses.contains(&at) => self.connect_first(&addresses).await,
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn datagram(&mut self, frame: &[u8]) -> Result<(), Fault> {
        let mut was_too_long = false;
        loop {
            let Some(peer) = &mut self.peer else {
                return Err(Fault::retry("not connected"));
            };
            let Err(error) = peer.socket.send(frame).await else {
                return Ok(());
            };
            if error.raw_os_error() == Some(libc::EMSGSIZE) {
                // The first may be about an earlier datagram that met a narrower path; the
                // second is about this one, and the limit is the encoder's to keep.
                if was_too_long {
                    self.metrics.suspected.inc();
                    return Ok(());
                }
                was_too_long = true;
            } else if self.judge(&error)? == Cure::Pause {
                sleep(NO_BUFFER_PAUSE).await;
            }
        }
    }

    fn judge(&mut self, error: &io::Error) -> Result<Cure, Fault> {
        let Some(peer) = &mut self.peer else {
            return Ok(Cure::Again);
        };
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => {
                self.metrics.suspected.inc();
                if !peer.refuses_for_good(Instant::now()) {
                    return Ok(Cure::Again);
                }
                let address = peer.address;
                self.turn += 1;
                let to = &self.dial;
                let why = format!("{to}: {address} refuses datagrams; resolving anew");
                Err(Fault::of(FaultKind::Refused, why))
            }
            Some(libc::ENOBUFS | libc::ENOMEM) => Ok(Cure::Pause),
            _ => {
                let (to, address) = (&self.dial, peer.address);
                let why = format!("cannot send to {to} ({address}): {error}");
                Err(Fault::of(error.kind().into(), why))
            }
        }
    }

    /// Waits for an error that comes back; what else comes is thrown away.
    async fn listen(&mut self) -> Result<(), Fault> {
        let Some(peer) = &mut self.peer else {
            return Err(Fault::retry("not connected"));
        };
        let mut space = [0; 64];
        if let Err(error) = peer.socket.recv(&mut space).await
            && error.raw_os_error() != Some(libc::EMSGSIZE)
        {
            self.judge(&error)?;
        }
        Ok(())
    }
}

impl Peer {
    fn refuses_for_good(&mut self, now: Instant) -> bool {
        let run = match self.refused {
            Some(run) if now - run.last < REFUSED_GAP => Run { last: now, ..run },
            _ => Run { first: now, last: now },
        };
        self.refused = Some(run);
        let limit = if self.has_others { REFUSED_LIMIT_WITH_OTHERS } else { REFUSED_LIMIT };
        run.last - run.first >= limit
    }
}

/// A socket that sends to one address only, so that the kernel reports refusals to it.
async fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

impl Output for Udp {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async {
            self.peer = None;
            self.taken = 0;
            let resolved = self.dial.resolve().await;
            let addresses = resolved.map_err(|error| Fault::of(error.kind(), error.to_string()))?;
            self.connect_first(&addresses).await?;
            let address = self.peer.as_ref().map(|peer| peer.address.to_string());
            Ok(format!("{} ({})", self.dial, address.unwrap_or_default()))
        })
    }

    fn send<'a>(&'a mut self, frames: Frames<'a>) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.follow_name().await?;
            for frame in frames.iter() {
                self.datagram(frame).await?;
                self.taken += frame.len() as u64;
            }
            Ok(())
        })
    }

    fn settled(&mut self) -> u64 {
        self.taken
    }

    fn acknowledged(&mut self, beyond: u64) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async move {
            while self.taken <= beyond {
                self.listen().await?;
            }
            Ok(self.taken)
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>> {
        self.peer = None;
        Box::pin(async { Ok(self.taken) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn output(host: &str, port: u16) -> (Box<dyn Output>, OutputMetrics) {
        let metrics = Metrics::new().output("test");
        let target = Target::Host(host.into(), port);
        let output = open(target, &mut Options::default(), metrics.clone());
        (output.unwrap(), metrics)
    }

    #[tokio::test]
    async fn a_datagram_carries_a_frame() {
        for (host, any) in [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0")] {
            let peer = UdpSocket::bind(any).await.unwrap();
            let (mut output, _) = output(host, peer.local_addr().unwrap().port());
            output.connect().await.unwrap();
            output.send(Frames::new(b"onetwo", &[13, 16], 10)).await.unwrap();
            assert_eq!(output.acknowledged(0).await, Ok(6));
            let mut space = [0; 16];
            assert_eq!(peer.recv(&mut space).await.unwrap(), 3);
            assert_eq!(peer.recv(&mut space).await.unwrap(), 3);
            assert_eq!(&space[..3], b"two");
        }
    }

    #[tokio::test]
    async fn refused_datagrams_are_counted_and_later_ones_go_out() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = peer.local_addr().unwrap();
        drop(peer);
        let (mut output, metrics) = output("127.0.0.1", address.port());
        output.connect().await.unwrap();
        output.send(Frames::new(b"onetwo", &[3, 6], 0)).await.unwrap();
        assert_eq!(metrics.suspected.get(), 1, "the second found out about the first");
        let watch = tokio::time::timeout(Duration::from_millis(50), output.acknowledged(6));
        assert!(watch.await.is_err(), "a refusal is no fault");
        assert_eq!(metrics.suspected.get(), 2, "the second was noticed while idle");
        let peer = UdpSocket::bind(address).await.unwrap();
        output.send(Frames::new(b"three", &[5], 0)).await.unwrap();
        let mut space = [0; 16];
        assert_eq!(peer.recv(&mut space).await.unwrap(), 5);
        assert_eq!((output.settled(), metrics.suspected.get()), (11, 2));
    }

    #[tokio::test]
    async fn a_datagram_that_is_too_long_is_counted_and_the_next_goes_out() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (mut output, metrics) = output("127.0.0.1", peer.local_addr().unwrap().port());
        output.connect().await.unwrap();
        let bytes = vec![b'x'; 70_005];
        output.send(Frames::new(&bytes, &[70_000, 70_005], 0)).await.unwrap();
        assert_eq!(peer.recv(&mut [0; 16]).await.unwrap(), 5);
        assert_eq!(metrics.suspected.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_for_long_makes_room_for_the_next() {
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let refusing = closed.local_addr().unwrap();
        drop(closed);
        let open = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addresses = [refusing, open.local_addr().unwrap()];
        let dial = Dial {
            host: "several".into(),
            port: 9,
            connect_timeout: Duration::ZERO,
            user_timeout: Duration::ZERO,
        };
        let metrics = Metrics::new().output("test");
        let mut output = Udp { dial, peer: None, turn: 0, taken: 0, metrics };
        output.connect_first(&addresses).await.unwrap();
        let mut frames = 0;
        let fault = loop {
            frames += 1;
            if let Err(fault) = output.datagram(b"x").await {
                break fault;
            }
            tokio::time::advance(Duration::from_millis(250)).await;
        };
        assert!((5..=7).contains(&frames), "about a second: {frames}");
        assert!(fault.to_string().contains(&refusing.to_string()), "{fault}");
        output.connect_first(&addresses).await.unwrap();
        output.datagram(b"y").await.unwrap();
        assert_eq!(
            open.into_std().unwrap().recv(&mut [0; 16]).unwrap(),
            1,
            "on loopback it is there at once"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_resolved_anew_every_minute_and_left_where_it_was_in_between() {
        let old: SocketAddr = "127.0.0.9:514".parse().unwrap();
        let (connect_timeout, user_timeout) = (Duration::ZERO, Duration::ZERO);
        let dial = Dial { host: "localhost".into(), port: 514, connect_timeout, user_timeout };
        let metrics = Metrics::new().output("test");
        let mut output = Udp { dial, peer: None, turn: 0, taken: 0, metrics };
        output.connect_first(&[old]).await.unwrap();
        let address = |output: &Udp| output.peer.as_ref().unwrap().address;
        tokio::time::advance(RESOLVED_LIMIT.saturating_sub(Duration::from_secs(1))).await;
        output.send(Frames::new(b"", &[], 0)).await.unwrap();
        assert_eq!(address(&output), old);
        tokio::time::advance(Duration::from_secs(1)).await;
        output.send(Frames::new(b"", &[], 0)).await.unwrap();
        let new = address(&output);
        assert!(new != old && new.ip().is_loopback() && new.port() == 514, "{new}");
    }

    #[tokio::test]
    async fn an_unknown_name_is_named() {
        let (mut output, _) = output("nope.invalid", 514);
        let why = output.connect().await.unwrap_err().to_string();
        assert!(why.contains("'nope.invalid'"), "{why}");
    }
}
