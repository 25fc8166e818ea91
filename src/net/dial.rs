//! Names to addresses to connected TCP sockets. Resolves anew every time and tries every address;
//! never tries twice.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::metrics::FaultKind;

/// A resolver with two servers and two tries of 5 s each may need more; by then a new attempt
/// with its own log line serves better.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// A flow that is silent for longer than this is asked whether it is still there, so that load
/// balancers, which drop silent flows after 60 s or more, see it live.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// Where to connect to, and how long to be patient.
#[derive(Debug, Clone)]
pub struct Dial {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Budget for all addresses together. Each gets an even share of what is left, so that one
    /// black hole among them does not use up the time of the others.
    pub connect_timeout: Duration,
    /// `TCP_USER_TIMEOUT`: how long data may stay unacknowledged before the kernel gives up.
    pub user_timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name does not resolve.
    #[error(
        "cannot resolve '{host}': {why}; check the name and the DNS server in /etc/resolv.conf"
    )]
    Lookup {
        /// The name asked for.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// The name resolves, but no address takes a connection.
    #[error("cannot connect to {to}: {}; check that the server listens there", list(tried))]
    Connect {
        /// Host and port asked for.
        to: String,
        /// Every address tried, and why it failed.
        tried: Vec<(SocketAddr, String)>,
        /// Of which kind the first failure was.
        kind: FaultKind,
    },
}

impl DialError {
    /// Of which kind it is.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Lookup { .. } => FaultKind::Resolve,
            Self::Connect { kind, .. } => *kind,
        }
    }
}

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Dial {
    /// All addresses of the host, in the resolver's order (RFC 6724).
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, DialError> {
        let failed = |why: String| DialError::Lookup { host: self.host.clone(), why };
        let found = timeout(LOOKUP_TIMEOUT, lookup_host((self.host.as_str(), self.port)))
            .await
            .map_err(|_| failed(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        let addresses: Vec<_> = found.collect();
        if addresses.is_empty() {
            return Err(failed("it has no address".into()));
        }
        Ok(addresses)
    }

    /// Whether the host is a name, whose addresses can change.
    pub fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    /// Resolves the host and connects to the first of its addresses that answers.
    pub async fn connect(&self) -> Result<(TcpStream, SocketAddr), DialError> {
        let addresses = self.resolve().await?;
        self.connect_first(&addresses).await
    }

    async fn connect_first(
        &self,
        addresses: &[SocketAddr],
    ) -> Result<(TcpStream, SocketAddr), DialError> {
        let deadline = Instant::now() + self.connect_timeout;
        let (mut tried, mut kind) = (Vec::new(), None);
        for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
            let share = deadline.saturating_duration_since(Instant::now())
                / u32::try_from(left).unwrap_or(u32::MAX);
            match timeout(share, self.connect_to(*address)).await {
                Ok(Ok(stream)) => return Ok((stream, *address)),
                Ok(Err(error)) => {
                    kind.get_or_insert(error.kind().into());
                    tried.push((*address, error.to_string()));
                }
                Err(_) => {
                    kind.get_or_insert(FaultKind::Timeout);
                    tried.push((*address, format!("no answer within {share:.1?}")));
                }
            }
        }
        let kind = kind.unwrap_or(FaultKind::Other);
        Err(DialError::Connect { to: self.to_string(), tried, kind })
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        let options = SockRef::from(&socket);
        // A batch is written whole; waiting for more to fill a segment would only delay its end.
        options.set_tcp_nodelay(true)?;
        options.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE_IDLE)
                .with_interval(KEEPALIVE_INTERVAL)
                .with_retries(KEEPALIVE_PROBES),
        )?;
        options.set_tcp_user_timeout(Some(self.user_timeout))?;
        socket.connect(address).await
    }
}

fn list(tried: &[(SocketAddr, String)]) -> String {
    let each: Vec<_> = tried.iter().map(|(address, why)| format!("{address}: {why}")).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn dial(host: &str, port: u16) -> Dial {
        Dial {
            host: host.into(),
            port,
            connect_timeout: Duration::from_secs(10),
            user_timeout: Duration::from_secs(20),
        }
    }

    // A port that nobody listens on for as long as the socket lives.
    fn refusing() -> (TcpSocket, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn an_unknown_name_is_named() {
        let error = dial("nope.invalid", 514).connect().await.unwrap_err();
        assert!(matches!(error, DialError::Lookup { .. }), "{error:?}");
        assert!(error.to_string().contains("'nope.invalid'"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_address_is_named_with_the_reason() {
        let (_socket, address) = refusing();
        let error = dial("127.0.0.1", address.port()).connect().await.unwrap_err().to_string();
        assert!(error.contains(&format!("{address}: Connection refused")), "{error}");
    }

    #[tokio::test]
    async fn every_address_is_tried_until_one_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = SocketAddr::new("::1".parse().unwrap(), open.port());
        let (_socket, refused) = refusing();
        let addresses = [closed, refused, open];
        let (stream, to) = dial("several", 0).connect_first(&addresses).await.unwrap();
        assert_eq!((to, stream.peer_addr().unwrap()), (open, open));
        let error = dial("several", 9).connect_first(&addresses[..2]).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("several:9"), "{text}");
        assert!(
            text.contains(&closed.to_string()) && text.contains(&refused.to_string()),
            "{text}"
        );
    }

    #[tokio::test]
    async fn localhost_is_reached_on_whatever_family_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_stream, to) = dial("localhost", port).connect().await.unwrap();
        assert!(to.is_ipv4());
    }

    #[tokio::test]
    async fn a_connection_is_watched_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stream, _) = dial("127.0.0.1", port).connect().await.unwrap();
        let options = SockRef::from(&stream);
        assert!(options.tcp_nodelay().unwrap() && options.keepalive().unwrap());
        assert_eq!(options.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(options.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(options.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert_eq!(options.tcp_user_timeout().unwrap(), Some(Duration::from_secs(20)));
    }

    #[tokio::test]
    async fn an_address_that_never_answers_leaves_time_for_the_others() {
        // A listener whose queue is full swallows further SYNs, as a black hole does.
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(0).unwrap();
        let black_hole = full.local_addr().unwrap();
        let _first = TcpStream::connect(black_hole).await.unwrap();
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [black_hole, open.local_addr().unwrap()];
        let mut dial = dial("several", 9);
        dial.connect_timeout = Duration::from_millis(400);
        let (_stream, to) = dial.connect_first(&addresses).await.unwrap();
        assert_eq!(to, addresses[1]);
        let error = dial.connect_first(&addresses[..1]).await.unwrap_err().to_string();
        assert!(error.contains("no answer within 400"), "{error}");
    }

    #[test]
    fn an_ipv6_address_is_written_with_brackets() {
        assert_eq!(dial("::1", 514).to_string(), "[::1]:514");
        assert!(!dial("::1", 514).is_name() && dial("localhost", 514).is_name());
    }
}
