//! A syslog receiver that only counts, and that can go away and come back. Understands both
//! framings of TCP. Never writes to its senders.

use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::arrivals::{self, Frame};
use super::tally::Tally;

/// What stands before the number of a line, which has `DIGITS` digits.
pub(crate) const MARKER: &str = "bench/";
pub(crate) const DIGITS: usize = 8;

/// Taken from a connection at once, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// A frame that is longer is no frame of a bench.
const MAX_FRAME_BYTES: usize = 1 << 20;
/// Connections that wait to be accepted.
const WAITING: i32 = 128;

#[derive(Debug)]
struct Shared {
    tally: Mutex<Tally>,
    changed: Condvar,
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
    address: SocketAddr,
    shared: Arc<Shared>,
    door: Option<Door>,
    /// Bound and not listening: senders are refused, and nobody else gets the port.
    reserved: Option<Socket>,
}

impl Sink {
    /// Listens on a free port of the loopback for the numbers from 0 to `lines` of `containers`.
    pub(crate) fn listen(lines: u64, containers: usize) -> Self {
        let tally = Mutex::new(Tally::new(lines, containers));
        let shared = Arc::new(Shared { tally, changed: Condvar::new() });
        let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut sink = Self { address, shared, door: None, reserved: Some(socket) };
        sink.come_back();
        sink
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Refuses connections and ends those that are there, like a process that stops: what has
    /// arrived by now is counted. With `reset` their ends are not orderly.
    pub(crate) fn go_away(&mut self, reset: bool) {
        let Some(door) = self.door.take() else { return };
        door.closing.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        let connections = door.accepting.join().unwrap();
        self.reserved = Some(bound(self.address));
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
        let accepting = thread::spawn(move || {
            let mut connections = Vec::new();
            for connection in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, copy) = (shared.clone(), connection.try_clone().unwrap());
                connections.push((copy, thread::spawn(move || receive(connection, &shared))));
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

fn receive(mut connection: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; READ_BYTES + MAX_FRAME_BYTES];
    let mut held = 0;
    let mut place = 0;
    while let Ok(read) = connection.read(&mut buffer[held..held + READ_BYTES]) {
        if read == 0 {
            break;
        }
        let filled = held + read;
        let mut rest = &buffer[..filled];
        {
            let mut tally = lock(shared);
            let (before, at) = (tally.distinct, arrivals::now());
            while let Some((frame, after)) = next_frame(rest) {
                tally.note(Frame::find(frame, &mut place), at);
                rest = after;
            }
            if tally.distinct > before {
                tally.last = Some(Instant::now());
            }
            if rest.len() >= MAX_FRAME_BYTES {
                tally.garbled += rest.len() as u64;
                rest = &[];
            }
        }
        shared.changed.notify_all();
        held = rest.len();
        buffer.copy_within(filled - held..filled, 0);
    }
    lock(shared).garbled += held as u64;
}

/// The first whole frame: counted if it starts with a digit, else up to a line feed.
fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if !bytes.first()?.is_ascii_digit() {
        let end = memchr::memchr(b'\n', bytes)?;
        return Some((&bytes[..end], &bytes[end + 1..]));
    }
    let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    bytes.get(space + 1..)?.split_at_checked(length)
}
