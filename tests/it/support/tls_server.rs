//! A TLS receiver that counts octet-counted frames and ends connections without a goodbye.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificates::Identity;
use super::numbers::{Expected, Tally};
use super::receiver::Frame;
use super::{SOON, until};

/// How a connection ends. TLS knows a goodbye, `close_notify`; none of these says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// TCP ends in order.
    Fin,
    /// TCP is reset, with whatever lies unread.
    Reset,
}

/// A running server, on a loopback port of its own.
pub struct TlsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    frames: Mutex<Vec<Frame>>,
    connections: AtomicUsize,
    current: Mutex<Option<TcpStream>>,
    stop: AtomicBool,
}

impl TlsServer {
    /// Cuts one connection after the other, each after `frames` frames; later ones stay.
    pub fn start(identity: &Identity, cuts: &[(usize, Cut)]) -> Self {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&identity.certificate).unwrap().collect();
        let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.unwrap(), key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let (server, cuts) = (shared.clone(), cuts.to_vec());
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if server.stop.load(SeqCst) {
                    return;
                }
                server.serve(&config, stream.unwrap(), cuts.get(number).copied());
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// A route to it, with further options.
    pub fn route(&self, options: &str) -> String {
        format!("syslog+tls://{}?{options}", self.address)
    }

    /// How many connections it has had.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// Waits until no expected line is missing, and counts.
    #[track_caller]
    pub fn wait_complete(&self, expected: &Expected) -> Tally {
        until("every numbered line arrives", SOON, || {
            let tally = expected.tally(&*self.shared.frames.lock().unwrap());
            tally.complete().map(|()| tally)
        })
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        if let Some(current) = &*self.shared.current.lock().unwrap() {
            current.shutdown(Shutdown::Both).ok();
        }
        // Wakes the thread that accepts.
        TcpStream::connect(self.address).ok();
        self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    // One connection after the other: the agent has one at a time.
    fn serve(&self, config: &Arc<ServerConfig>, stream: TcpStream, cut: Option<(usize, Cut)>) {
        self.connections.fetch_add(1, SeqCst);
        *self.current.lock().unwrap() = Some(stream.try_clone().unwrap());
        let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
        let (mut bytes, mut space, mut taken) = (Vec::new(), vec![0; 16 * 1024], 0);
        let limit = cut.map_or(usize::MAX, |(frames, _)| frames);
        while let Ok(count @ 1..) = tls.read(&mut space) {
            bytes.extend_from_slice(&space[..count]);
            // What was read and lies beyond the cut is thrown away, as a process does that dies.
            while let Some(frame) = take_frame(&mut bytes).filter(|_| taken < limit) {
                taken += 1;
                self.frames.lock().unwrap().push(Frame::new(frame));
            }
            if taken == limit {
                if let Some((_, Cut::Reset)) = cut {
                    socket2::SockRef::from(&tls.sock).set_linger(Some(Duration::ZERO)).unwrap();
                }
                break;
            }
        }
        *self.current.lock().unwrap() = None;
    }
}

fn take_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
    let end = space + 1 + length;
    let frame = bytes.get(space + 1..end)?.to_vec();
    bytes.drain(..end);
    Some(frame)
}
