//! One peer: frames in, acknowledgements out. The trait, and the table of what this binary has.
//!
//! An output never retries, never drops, never counts a delivery and never sees a cursor;
//! `deliver` does all of that for every output alike.

#[cfg(feature = "cloudwatch")]
mod cloudwatch;
mod relp;
mod stdout;
mod tcp;
mod udp;
mod unix;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::metrics::{FaultKind, OutputMetrics, StoreMetrics};
use crate::net::link::Broken;
use crate::options::{OptionSpec, Options};
use crate::store::Store;

/// What the binary contains: one row per output.
pub const DRIVERS: &[&Driver] = &[
    &stdout::DRIVER,
    &udp::DRIVER,
    &tcp::DRIVER,
    &tcp::TLS_DRIVER,
    &relp::DRIVER,
    &relp::TLS_DRIVER,
    &unix::DRIVER,
    &unix::STREAM_DRIVER,
    #[cfg(feature = "cloudwatch")]
    &cloudwatch::DRIVER,
];

/// A boxed future: one per batch, never one per line.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One kind of output: its schemes, its options, and how to make one.
#[derive(Debug)]
pub struct Driver {
    /// The URI schemes that select it, the canonical one first.
    pub schemes: &'static [&'static str],
    /// One line for `--help` and the reference.
    pub help: &'static str,
    /// An example URI for error messages.
    pub example: &'static str,
    /// Whether the URI names a host, a path, or nothing.
    pub target: TargetKind,
    /// How frames are told apart on this transport.
    pub carriage: Carriage,
    /// Rows of the options that `open` takes.
    pub options: &'static [OptionSpec],
    /// Makes the output without touching the network. Problems go into `options`.
    pub open: Open,
}

/// How an output is made; which also says of which kind it is.
#[derive(Debug, Clone, Copy)]
pub enum Open {
    /// One link, over which frames go in order.
    Link(OpenLink),
    /// Streams, each of which takes batches.
    Store(OpenStore),
}

#[cfg(test)]
impl Open {
    /// How a link is made.
    pub(crate) fn link(self) -> OpenLink {
        match self {
            Self::Link(open) => open,
            Self::Store(_) => panic!("a store"),
        }
    }
}

/// Makes a link.
pub type OpenLink = fn(Target, &mut Options, OutputMetrics) -> Option<Box<dyn Output>>;

/// Makes a store.
pub type OpenStore = fn(&Target, &mut Options, StoreMetrics) -> Option<Arc<dyn Store>>;

/// What was made.
#[derive(Debug)]
pub enum Peer {
    /// One link, over which frames go in order.
    Link(Box<dyn Output>),
    /// Streams, each of which takes batches.
    Store(Arc<dyn Store>),
}

/// What stands after `scheme://`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Host and port; the port defaults to the number given.
    Host {
        /// Used when the URI has no port.
        default_port: u16,
    },
    /// An absolute path.
    Path,
    /// A name that the output understands, which may hold slashes; or nothing.
    Name,
    /// Nothing.
    None,
}

/// What stands after `scheme://`, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A name or address (an IPv6 address without brackets) and a port.
    Host(String, u16),
    /// An absolute path.
    Path(std::path::PathBuf),
    /// A name; empty for none.
    Name(String),
    /// Nothing.
    None,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
            Self::Path(path) => path.display().fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::None => Ok(()),
        }
    }
}

/// How a transport tells frames apart, which decides the default framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// One frame per datagram; a frame is cut to a limit instead of framed.
    Datagram,
    /// A protocol that says how long each message is, so that it may hold any byte; a message is
    /// cut to a limit instead of framed.
    Messages,
    /// A byte stream: octet counting or line feeds.
    Stream,
    /// A byte stream whose readers expect line feeds: the local sockets of syslog daemons.
    Lines,
    /// Text for people and pipes: line feeds, readable encoding by default.
    Text,
    /// Events of a store, which keeps time and container beside the text: the bare line by
    /// default. The output splits what is too long.
    Events,
}

/// Encoded frames, back to back in one buffer.
#[derive(Debug, Clone, Copy)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    ends: &'a [u32],
    base: u32,
}

impl<'a> Frames<'a> {
    /// The frames that end at `ends`, counted from `base` bytes before `bytes` starts.
    pub fn new(bytes: &'a [u8], ends: &'a [u32], base: u32) -> Self {
        Self { bytes, ends, base }
    }

    /// All frames as they go over a byte stream.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Frame by frame, as they go into datagrams and messages.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + Send + use<'a> {
        let (bytes, base) = (self.bytes, self.base);
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = (end - base) as usize;
            let frame = bytes.get(start..end).unwrap_or_default();
            start = end;
            frame
        })
    }
}

/// One peer. Positions are bytes of frames since the last successful `connect`.
///
/// Every method is dropped at any await point when something else happens first; `acknowledged`
/// loses nothing by that. A dropped `send` leaves the link unusable: `deliver` connects again.
pub trait Output: Send + fmt::Debug {
    /// Makes a new link, dropping the old one: resolves names anew, tries every address, completes
    /// handshakes. Returns what it is connected to, for the log.
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>>;

    /// Hands frames to the transport; waits while the transport takes no more.
    fn send<'a>(&'a mut self, frames: Frames<'a>) -> BoxFuture<'a, Result<(), Fault>>;

    /// How far the peer has acknowledged what was sent. Cheap: at most a system call.
    fn settled(&mut self) -> u64;

    /// Waits until `settled` moves beyond `beyond` or the link breaks, also when nothing is
    /// outstanding: then it only watches the link (and pends for ever where there is none).
    fn acknowledged(&mut self, beyond: u64) -> BoxFuture<'_, Result<u64, Fault>>;

    /// How many acknowledged bytes would be in doubt if the link broke now
    /// (`Fault::Retry::unread`), and are to be kept for that.
    fn keeps_acknowledged(&self) -> u64 {
        0
    }

    /// Ends the link in order: flush, say goodbye, wait for the peer's end. Returns what was
    /// acknowledged by then.
    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>>;
}

/// Why a link ended or a send failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Connect again and go on.
    Retry {
        /// Of which kind it was.
        kind: FaultKind,
        /// What happened, for the log.
        why: String,
        /// Bytes acknowledged by the transport that the peer's process may not have read.
        /// Zero after an orderly end.
        unread: u64,
    },
    /// The first unsettled frame can never succeed.
    Reject {
        /// What the peer said, for the log.
        why: String,
    },
}

impl Fault {
    /// A fault after which nothing that was acknowledged is in doubt.
    pub fn retry(why: impl Into<String>) -> Self {
        Self::of(FaultKind::Other, why)
    }

    /// The same, of a kind that is known.
    pub fn of(kind: FaultKind, why: impl Into<String>) -> Self {
        Self::Retry { kind, why: why.into(), unread: 0 }
    }

    /// Of which kind it is.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Retry { kind, .. } => *kind,
            Self::Reject { .. } => FaultKind::Rejected,
        }
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Retry { kind: broken.kind, why: broken.why, unread: broken.unread }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { why, .. } | Self::Reject { why } => f.write_str(why),
        }
    }
}

/// The driver of a scheme.
pub fn driver(scheme: &str) -> Option<&'static Driver> {
    DRIVERS.iter().copied().find(|driver| driver.schemes.contains(&scheme))
}
