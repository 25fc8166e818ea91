//! Syslog to a socket of this machine. Datagrams are delivered when the kernel has taken them,
//! which it does only while the peer has room; a stream when the peer's process has read it all.
//! Never resends.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixDatagram, UnixStream};
use tokio::time::sleep;

use super::{BoxFuture, Carriage, Driver, Fault, Frames, Open, Output, Target, TargetKind};
use crate::metrics::OutputMetrics;
use crate::net::link::Link;
use crate::options::Options;

/// Pause when the kernel has no memory for a datagram.
const NO_BUFFER_PAUSE: Duration = Duration::from_millis(5);

/// Datagrams, which is what `/dev/log` takes nearly everywhere.
pub(super) static DRIVER: Driver = Driver {
    schemes: &["syslog+unix"],
    help: "Syslog to a local datagram socket; delivered when the kernel has taken it.",
    example: "syslog+unix:///dev/log",
    target: TargetKind::Path,
    carriage: Carriage::Datagram,
    options: &[],
    open: Open::Link(|target, options, metrics| {
        let path = path(target, options, &DRIVER)?;
        Some(Box::new(Datagram { path, socket: None, taken: 0, metrics }))
    }),
};

/// A byte stream.
pub(super) static STREAM_DRIVER: Driver = Driver {
    schemes: &["syslog+unix-stream"],
    help: "Syslog to a local stream socket; delivered when the peer's process has read it.",
    example: "syslog+unix-stream:///run/syslog.sock",
    target: TargetKind::Path,
    carriage: Carriage::Lines,
    options: &[],
    open: Open::Link(|target, options, metrics| {
        let path = path(target, options, &STREAM_DRIVER)?;
        Some(Box::new(Stream { path, link: None, metrics }))
    }),
};

#[derive(Debug)]
struct Datagram {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    taken: u64,
    metrics: OutputMetrics,
}

#[derive(Debug)]
struct Stream {
    path: PathBuf,
    link: Option<Link>,
    metrics: OutputMetrics,
}

fn path(target: Target, options: &mut Options, driver: &Driver) -> Option<PathBuf> {
    match target {
        Target::Path(path) => Some(path),
        Target::Host(..) | Target::Name(_) | Target::None => {
            options.problem(format!("a local socket needs a path; write {}", driver.example));
            None
        }
    }
}

impl Datagram {
    fn open(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        Ok(socket)
    }

    async fn datagram(&mut self, frame: &[u8]) -> Result<(), Fault> {
        let Some(socket) = &self.socket else {
            return Err(Fault::retry("not connected"));
        };
        loop {
            let Err(error) = socket.send(frame).await else {
                return Ok(());
            };
            match error.raw_os_error() {
                // Longer than the socket takes; the limit is the encoder's to keep.
                Some(libc::EMSGSIZE) => {
                    self.metrics.suspected.inc();
                    return Ok(());
                }
                Some(libc::ENOBUFS | libc::ENOMEM) => sleep(NO_BUFFER_PAUSE).await,
                _ => return Err(fault(&self.path, &error, &STREAM_DRIVER)),
            }
        }
    }
}

impl Output for Datagram {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async {
            self.taken = 0;
            self.socket = None;
            let socket = self.open().map_err(|error| fault(&self.path, &error, &STREAM_DRIVER))?;
            self.socket = Some(socket);
            self.metrics.connections.inc();
            Ok(self.path.display().to_string())
        })
    }

    fn send<'a>(&'a mut self, frames: Frames<'a>) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
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
            if self.taken > beyond {
                return Ok(self.taken);
            }
            std::future::pending().await
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>> {
        self.socket = None;
        Box::pin(async { Ok(self.taken) })
    }
}

impl Stream {
    fn linked(&mut self) -> Result<&mut Link, Fault> {
        self.link.as_mut().ok_or_else(|| Fault::retry("not connected"))
    }
}

impl Output for Stream {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async {
            self.link = None;
            let stream = UnixStream::connect(&self.path).await;
            let stream = stream.map_err(|error| fault(&self.path, &error, &DRIVER))?;
            self.link = Some(Link::unix(stream));
            self.metrics.connections.inc();
            Ok(self.path.display().to_string())
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

    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async { Ok(self.linked()?.close().await?) })
    }
}

/// What is wrong with a socket file, and the cure. `other` takes the other type of socket.
fn fault(path: &Path, error: &io::Error, other: &Driver) -> Fault {
    let cure = match error.raw_os_error() {
        Some(libc::ENOENT) => {
            "start the syslog daemon, or mount its socket into the container (-v /dev/log:/dev/log)"
        }
        Some(libc::ECONNREFUSED) => {
            "nobody listens on it; start the syslog daemon, and mount the socket's folder rather \
             than the socket, which goes stale when the daemon restarts"
        }
        Some(libc::EACCES | libc::EPERM) => "run with a user or group that may write to it",
        Some(libc::EPROTOTYPE) => {
            let scheme = other.schemes.first().copied().unwrap_or_default();
            let path = path.display();
            return Fault::retry(format!(
                "{path} is a socket of the other type; use {scheme}://{path}"
            ));
        }
        _ => "check the syslog daemon",
    };
    Fault::of(error.kind().into(), format!("{}: {error}; {cure}", path.display()))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixListener;

    use super::*;
    use crate::metrics::Metrics;

    fn output(driver: &Driver, path: &Path) -> (Box<dyn Output>, Metrics) {
        let metrics = Metrics::new();
        let target = Target::Path(path.to_owned());
        let output = driver.open.link()(target, &mut Options::default(), metrics.output("test"));
        (output.unwrap(), metrics)
    }

    #[tokio::test]
    async fn a_datagram_carries_a_frame_and_settles_when_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let peer = UnixDatagram::bind(&path).unwrap();
        let (mut output, _) = output(&DRIVER, &path);
        output.connect().await.unwrap();
        output.send(Frames::new(b"onetwo", &[3, 6], 0)).await.unwrap();
        assert_eq!(output.acknowledged(0).await, Ok(6));
        let mut space = [0; 16];
        assert_eq!(peer.recv(&mut space).await.unwrap(), 3);
        assert_eq!(peer.recv(&mut space).await.unwrap(), 3);
        assert_eq!(&space[..3], b"two");
        drop(peer);
        let why = output.send(Frames::new(b"x", &[1], 0)).await.unwrap_err().to_string();
        assert!(why.contains("nobody listens"), "{why}");
        assert_eq!(output.settled(), 6);
    }

    #[tokio::test]
    async fn a_datagram_that_is_too_long_is_counted_and_the_next_goes_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let peer = UnixDatagram::bind(&path).unwrap();
        let (mut output, metrics) = output(&DRIVER, &path);
        output.connect().await.unwrap();
        let long = 1 << 20;
        let mut bytes = vec![b'x'; long as usize];
        bytes.extend_from_slice(b"short");
        output.send(Frames::new(&bytes, &[long, long + 5], 0)).await.unwrap();
        assert_eq!(peer.recv(&mut [0; 16]).await.unwrap(), 5);
        assert_eq!(metrics.output("test").suspected.get(), 1);
    }

    #[tokio::test]
    async fn a_stream_settles_when_the_process_has_read_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let listener = UnixListener::bind(&path).unwrap();
        let (mut output, _) = output(&STREAM_DRIVER, &path);
        output.connect().await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        output.send(Frames::new(b"one\ntwo\n", &[4, 8], 0)).await.unwrap();
        peer.read_exact(&mut [0; 7]).await.unwrap();
        assert_eq!(output.settled(), 0);
        peer.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(output.acknowledged(0).await, Ok(8));
        drop(peer);
        assert!(output.acknowledged(8).await.is_err());
    }

    #[tokio::test]
    async fn a_stream_peer_that_goes_with_unread_bytes_settles_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let listener = UnixListener::bind(&path).unwrap();
        for look_first in [true, false] {
            let (mut output, _) = output(&STREAM_DRIVER, &path);
            output.connect().await.unwrap();
            let (peer, _) = listener.accept().await.unwrap();
            output.send(Frames::new(b"one\n", &[4], 0)).await.unwrap();
            drop(peer);
            if look_first {
                assert_eq!(output.settled(), 0);
            }
            assert!(output.acknowledged(0).await.is_err());
            assert_eq!(output.settled(), 0);
        }
    }

    #[tokio::test]
    async fn a_socket_of_the_other_type_or_none_is_named_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut datagram, _) = output(&DRIVER, &path);
        let (mut stream, _) = output(&STREAM_DRIVER, &path);
        let why = datagram.connect().await.unwrap_err().to_string();
        assert!(why.contains(path.to_str().unwrap()) && why.contains("mount"), "{why}");
        let listener = UnixListener::bind(&path).unwrap();
        let why = datagram.connect().await.unwrap_err().to_string();
        assert!(why.contains("use syslog+unix-stream:///"), "{why}");
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        let _peer = UnixDatagram::bind(&path).unwrap();
        let why = stream.connect().await.unwrap_err().to_string();
        assert!(why.contains("use syslog+unix:///"), "{why}");
    }
}
