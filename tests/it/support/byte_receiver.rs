//! A TCP receiver that keeps every byte as it came: for what is held to the byte, its frames'
//! ends included. Never looks for frames.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the receiver's thread looks whether it should end.
const TICK: Duration = Duration::from_millis(5);

/// A running receiver, on a loopback port of its own.
pub struct ByteReceiver {
    address: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ByteReceiver {
    /// Takes one connection after the other.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (bytes, stop) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicBool>::default());
        let (sink, told) = (bytes.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => read(stream, &sink, &told),
                    Err(_) => std::thread::sleep(TICK),
                }
            }
        });
        Self { address, bytes, stop, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that has come so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

impl Drop for ByteReceiver {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}

fn read(mut stream: TcpStream, sink: &Mutex<Vec<u8>>, stop: &AtomicBool) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(TICK)).unwrap();
    let mut space = vec![0; 64 * 1024];
    while !stop.load(SeqCst) {
        match stream.read(&mut space) {
            Ok(0) => return,
            Ok(count) => sink.lock().unwrap().extend_from_slice(&space[..count]),
            Err(_) => {}
        }
    }
}
