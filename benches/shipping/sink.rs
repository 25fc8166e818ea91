//! A receiver that only counts: of syslog, over each transport and in both framings, and of calls to
//! CloudWatch Logs. Over TCP it can go away and come back. Never writes to its senders but what their
//! protocol asks for.

mod cloudwatch;
mod receive;
mod relp;
mod tls;

use std::fs;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio_rustls::rustls::{ServerConfig, SupportedCipherSuite};

use super::calls::Call;
use super::tally::Tally;
use super::wire::{Address, Wire};
use cloudwatch::Put;
use receive::receive;

/// What stands before the number of a line, which has `DIGITS` digits.
pub(crate) const MARKER: &str = "bench/";
pub(crate) const DIGITS: usize = 8;

/// Connections that wait to be accepted.
const WAITING: i32 = 128;

#[derive(Debug)]
struct Shared {
    tally: Mutex<Tally>,
    changed: Condvar,
    /// Calls that have to be counted, and those that were.
    puts: Sender<Put>,
    calls: Mutex<Vec<Call>>,
    /// What the last TLS connection agreed on.
    suite: OnceLock<SupportedCipherSuite>,
}

/// The side of a sink that senders can reach.
#[derive(Debug)]
struct Door {
    closing: Arc<AtomicBool>,
    /// Ends when `closing` is set and a last connection wakes it.
    accepting: JoinHandle<Vec<(TcpStream, JoinHandle<()>)>>,
}

/// A listening sink. Its threads end with the process.
#[derive(Debug)]
pub(crate) struct Sink {
    address: Address,
    shared: Arc<Shared>,
    tls: Option<Arc<ServerConfig>>,
    door: Option<Door>,
    /// Bound and not listening: senders are refused, and nobody else gets the port.
    reserved: Option<Socket>,
}

impl Sink {
    /// Listens on a free port of the loopback for the numbers from 0 to `lines` of `containers`.
    pub(crate) fn listen(lines: u64, containers: usize) -> Self {
        Self::listen_on(Wire::Tcp, Path::new("/"), Tally::new(lines, containers))
    }

    /// Listens for what `tally` counts; certificate and unix socket are in `folder`.
    pub(crate) fn listen_on(wire: Wire, folder: &Path, tally: Tally) -> Self {
        let (tally, changed, suite) = (Mutex::new(tally), Condvar::new(), OnceLock::new());
        let calls = Mutex::default();
        let (puts, waiting) = mpsc::channel();
        let shared = Arc::new(Shared { tally, changed, puts, calls, suite });
        if matches!(wire, Wire::CloudWatch { .. }) {
            cloudwatch::start_count(waiting, Arc::downgrade(&shared));
        }
        if wire == Wire::UnixStream {
            let address = Address::new(wire, 0, folder);
            drop(fs::remove_file(address.socket()));
            let listener = UnixListener::bind(address.socket()).unwrap();
            let counting = shared.clone();
            thread::spawn(move || {
                for mut connection in listener.incoming().flatten() {
                    let shared = counting.clone();
                    thread::spawn(move || receive(&mut connection, &shared));
                }
            });
            return Self { address, shared, tls: None, door: None, reserved: None };
        }
        let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let address = Address::new(wire, port, folder);
        let tls = (wire == Wire::Tls).then(|| tls::server(&address.authority()));
        let mut sink = Self { address, shared, tls, door: None, reserved: Some(socket) };
        sink.come_back();
        sink
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The cipher suite of its TLS connection.
    pub(crate) fn suite(&self) -> Option<SupportedCipherSuite> {
        self.shared.suite.get().copied()
    }

    /// Refuses connections and ends those that are there, like a process that stops: what has
    /// arrived by now is counted. With `reset` their ends are not orderly.
    pub(crate) fn go_away(&mut self, reset: bool) {
        let Some(door) = self.door.take() else { return };
        door.closing.store(true, Ordering::SeqCst);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.address.port));
        drop(TcpStream::connect(address));
        let connections = door.accepting.join().unwrap();
        self.reserved = Some(bound(address));
        for (connection, reading) in connections {
            if reset {
                // Fails for those that the sender has ended.
                drop(SockRef::from(&connection).set_linger(Some(Duration::ZERO)));
            }
            // Says nothing to the sender; wakes the thread, which reads the rest and closes.
            drop(connection.shutdown(Shutdown::Read));
            drop(connection);
            reading.join().unwrap();
        }
    }

    /// Listens again, on the same port.
    pub(crate) fn come_back(&mut self) {
        let socket = self.reserved.take().expect("it is away");
        socket.listen(WAITING).unwrap();
        let listener = TcpListener::from(socket);
        let closing = Arc::new(AtomicBool::new(false));
        let (shared, ends) = (self.shared.clone(), closing.clone());
        let (wire, tls) = (self.address.wire, self.tls.clone());
        let accepting = thread::spawn(move || {
            let mut connections = Vec::new();
            for connection in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, tls) = (shared.clone(), tls.clone());
                let copy = connection.try_clone().unwrap();
                let serving = thread::spawn(move || serve(connection, wire, tls, &shared));
                connections.push((copy, serving));
            }
            connections
        });
        self.door = Some(Door { closing, accepting });
    }

    /// Waits until `lines` different ones are there, or nothing new has come for `patience`.
    pub(crate) fn wait(&self, lines: u64, patience: Duration) -> Tally {
        let mut tally = lock(&self.shared);
        loop {
            let before = tally.distinct;
            if before >= lines {
                return tally.clone();
            }
            let (after, timeout) = self
                .shared
                .changed
                .wait_timeout_while(tally, patience, |tally| tally.distinct == before)
                .unwrap();
            if timeout.timed_out() {
                return after.clone();
            }
            tally = after;
        }
    }

    /// The calls that have arrived and were counted by now.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// What has arrived by now.
    pub(crate) fn tally(&self) -> Tally {
        lock(&self.shared).clone()
    }
}

/// A socket at `address`, though connections of a listener before it may linger there.
fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

fn lock(shared: &Shared) -> MutexGuard<'_, Tally> {
    shared.tally.lock().unwrap()
}

fn serve(mut connection: TcpStream, wire: Wire, tls: Option<Arc<ServerConfig>>, shared: &Shared) {
    // Answers are small, and the sender waits for them.
    connection.set_nodelay(true).unwrap();
    match (wire, tls) {
        (Wire::Relp, _) => relp::receive(&mut connection, shared),
        (Wire::CloudWatch { .. }, _) => cloudwatch::receive(&connection, shared),
        (_, Some(server)) => tls::receive(connection, server, shared),
        _ => receive(&mut connection, shared),
    }
}
