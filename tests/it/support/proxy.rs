//! A proxy before the engine's socket: writes down every request, refuses those that are not on a
//! list if it has one, and breaks replies on demand.
//!
//! It knows as much HTTP as the agent uses: requests without a body, and replies whose log
//! streams are chunked, one frame of the log per chunk.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use regex_lite::Regex;

/// Where the engine listens.
const ENGINE: &str = "/var/run/docker.sock";

/// What the proxy does to a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Answers 500 itself.
    Error500,
    /// Ends the connection after that many bytes of the reply, head and chunk marks included.
    CutAfter(usize),
    /// Passes that many bytes of the reply on, and then nothing more, without an end.
    StallAfter(usize),
    /// Passes that many chunks and half of the next one on, then ends the connection.
    CutInChunk(usize),
    /// Spoils the first byte of that chunk, counted from 0.
    SpoilChunk(usize),
    /// Sends that many chunks, and with the last of them all of them again, as Engine 20.10 does
    /// around a rotation.
    Repeat(usize),
}

/// A running proxy. Its socket goes with it.
pub struct Proxy {
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<String>>,
    allowed: OnceLock<Regex>,
    refused: Mutex<Vec<String>>,
    orders: Mutex<Vec<Order>>,
    links: Mutex<Vec<Link>>,
    present: AtomicBool,
    stop: AtomicBool,
}

struct Order {
    fragment: String,
    mischief: Mischief,
    times: usize,
}

/// One connection: what was asked last, and both ends.
struct Link {
    asked: Arc<Mutex<String>>,
    ends: [UnixStream; 2],
}

impl Proxy {
    /// Passes everything through.
    pub fn start() -> Self {
        let proxy = Self::absent();
        proxy.appear();
        proxy
    }

    /// Passes on what the pattern matches, `METHOD PATH` without the query, and refuses all else.
    pub fn allowing(pattern: Regex) -> Self {
        let proxy = Self::absent();
        proxy.shared.allowed.set(pattern).unwrap();
        proxy.appear();
        proxy
    }

    /// Nothing listens yet, and the socket's file does not exist.
    pub fn absent() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, shared: Arc::default(), threads: Mutex::default() }
    }

    /// The value for `DOCKER_HOST`.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.path().display())
    }

    /// Starts to listen.
    pub fn appear(&self) {
        self.shared.present.store(true, SeqCst);
        let listener = UnixListener::bind(self.path()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = self.shared.clone();
        let path = self.path();
        self.keep(std::thread::spawn(move || {
            shared.listen(&listener);
            drop(listener);
            std::fs::remove_file(path).ok();
        }));
    }

    /// Stops listening, removes the socket's file, and cuts all connections.
    pub fn vanish(&self) {
        self.shared.present.store(false, SeqCst);
        super::until("the proxy's socket is gone", super::SOON, || {
            super::check(!self.path().exists(), || "it is there".to_owned())
        });
        self.cut("");
    }

    /// Cuts all connections whose last request holds `fragment`; returns how many.
    pub fn cut(&self, fragment: &str) -> usize {
        self.shared.cut(fragment)
    }

    /// Cuts all log streams again and again until the proxy is dropped.
    pub fn cut_logs_every(&self, period: Duration) {
        let shared = self.shared.clone();
        self.keep(std::thread::spawn(move || {
            let mut next = std::time::Instant::now() + period;
            while !shared.stop.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
                if std::time::Instant::now() >= next {
                    shared.cut("/logs?");
                    next += period;
                }
            }
        }));
    }

    /// Breaks the replies to the next `times` requests that hold `fragment`.
    pub fn arm(&self, fragment: &str, mischief: Mischief, times: usize) {
        let order = Order { fragment: fragment.to_owned(), mischief, times };
        self.shared.orders.lock().unwrap().push(order);
    }

    /// How many replies are still to be broken.
    pub fn armed(&self) -> usize {
        self.shared.orders.lock().unwrap().iter().map(|order| order.times).sum()
    }

    /// Every request so far: method and path with query.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The requests that were not allowed.
    pub fn refused(&self) -> Vec<String> {
        self.shared.refused.lock().unwrap().clone()
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    fn keep(&self, thread: std::thread::JoinHandle<()>) {
        self.threads.lock().unwrap().push(thread);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.present.store(false, SeqCst);
        self.shared.stop.store(true, SeqCst);
        self.shared.cut("");
        for thread in self.threads.lock().unwrap().drain(..) {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn cut(&self, fragment: &str) -> usize {
        let mut links = self.links.lock().unwrap();
        let before = links.len();
        links.retain(|link| {
            let keep = !link.asked.lock().unwrap().contains(fragment);
            if !keep {
                for end in &link.ends {
                    end.shutdown(Shutdown::Both).ok();
                }
            }
            keep
        });
        before - links.len()
    }

    fn listen(self: &Arc<Self>, listener: &UnixListener) {
        while self.present.load(SeqCst) {
            match listener.accept() {
                Ok((client, _)) => {
                    let shared = self.clone();
                    std::thread::spawn(move || shared.carry(&client));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }

    // Requests go up here, replies come down in a thread of their own.
    fn carry(&self, client: &UnixStream) {
        client.set_nonblocking(false).unwrap();
        let Ok(engine) = UnixStream::connect(ENGINE) else {
            return;
        };
        let both = || [client.try_clone().unwrap(), engine.try_clone().unwrap()];
        let asked = Arc::new(Mutex::new(String::new()));
        let mischief = Arc::new(Mutex::new(None));
        self.links.lock().unwrap().push(Link { asked: asked.clone(), ends: both() });
        let down = {
            let (ends, mischief) = (both(), mischief.clone());
            std::thread::spawn(move || reply(ends, &mischief))
        };
        let mut requests = BufReader::new(client);
        while let Some((line, head)) = request(&mut requests) {
            self.requests.lock().unwrap().push(line.clone());
            let path = line.split('?').next().unwrap_or_default();
            if self.allowed.get().is_some_and(|allowed| !allowed.is_match(path)) {
                self.refused.lock().unwrap().push(line);
                let mut client = client;
                let text =
                    "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                client.write_all(text.as_bytes()).ok();
                break;
            }
            let order = self.order(&line);
            asked.lock().unwrap().clone_from(&line);
            if order == Some(Mischief::Error500) {
                let text = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\
                     Content-Type: application/json\r\nContent-Length: 23\r\n\r\n\
                     {\"message\":\"by design\"}";
                let mut client = client;
                client.write_all(text.as_bytes()).ok();
                break;
            }
            *mischief.lock().unwrap() = order;
            if (&engine).write_all(&head).is_err() {
                break;
            }
            if line.starts_with("POST") {
                std::io::copy(&mut requests, &mut &engine).ok();
                break;
            }
        }
        engine.shutdown(Shutdown::Both).ok();
        down.join().ok();
    }

    fn order(&self, line: &str) -> Option<Mischief> {
        let mut orders = self.orders.lock().unwrap();
        let order = orders.iter_mut().find(|o| o.times > 0 && line.contains(&o.fragment))?;
        order.times -= 1;
        Some(order.mischief)
    }
}

// The request line without the protocol's version, and the whole head.
fn request(from: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let head = head(from)?;
    let line = String::from_utf8_lossy(&head).lines().next()?.to_owned();
    Some((line.rsplit_once(' ')?.0.to_owned(), head))
}

fn head(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

// Copies replies until one end is gone or the mischief of the day ends the connection.
fn reply([mut client, mut engine]: [UnixStream; 2], mischief: &Mutex<Option<Mischief>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = engine.read(&mut buffer) {
        let done = match mischief.lock().unwrap().take() {
            None | Some(Mischief::Error500) => client.write_all(&buffer[..count]),
            Some(Mischief::CutAfter(bytes)) => {
                let mut reply = buffer[..count].chain(&engine).take(bytes as u64);
                std::io::copy(&mut reply, &mut client).ok();
                break;
            }
            Some(Mischief::StallAfter(bytes)) => {
                let mut reply = buffer[..count].chain(&engine);
                std::io::copy(&mut (&mut reply).take(bytes as u64), &mut client).ok();
                std::io::copy(&mut reply, &mut std::io::sink()).ok();
                break;
            }
            Some(Mischief::CutInChunk(chunk)) => {
                let mut reply = BufReader::new(buffer[..count].chain(&engine));
                chunks(&mut reply, &mut client, chunk, |bytes| {
                    bytes.truncate(bytes.len() / 2);
                });
                break;
            }
            Some(Mischief::Repeat(chunks)) => {
                let mut reply = BufReader::new(buffer[..count].chain(&engine));
                repeat(&mut reply, &mut client, chunks);
                std::io::copy(&mut reply, &mut client).ok();
                break;
            }
            Some(Mischief::SpoilChunk(chunk)) => {
                let mut reply = BufReader::new(buffer[..count].chain(&engine));
                chunks(&mut reply, &mut client, chunk, |bytes| bytes[0] ^= 0x40);
                std::io::copy(&mut reply, &mut client).ok();
                break;
            }
        };
        if done.is_err() {
            break;
        }
    }
    for end in [client, engine] {
        end.shutdown(Shutdown::Both).ok();
    }
}

// Copies a head and `count` chunks, the last of them in one write with all of them again.
fn repeat(from: &mut impl BufRead, client: &mut UnixStream, count: usize) -> Option<()> {
    client.write_all(&head(from)?).ok()?;
    let mut stretch = Vec::new();
    for number in 1..=count {
        let mut chunk = Vec::new();
        from.read_until(b'\n', &mut chunk).ok()?;
        let length = usize::from_str_radix(std::str::from_utf8(&chunk).ok()?.trim(), 16).ok()?;
        from.take(length as u64 + 2).read_to_end(&mut chunk).ok()?;
        stretch.extend_from_slice(&chunk);
        if number < count {
            client.write_all(&chunk).ok()?;
        } else {
            client.write_all(&[chunk, stretch.clone()].concat()).ok()?;
        }
    }
    Some(())
}

// Copies a head and `whole` chunks, then one more after `spoil` had it.
fn chunks(
    from: &mut impl BufRead,
    client: &mut UnixStream,
    whole: usize,
    spoil: impl Fn(&mut Vec<u8>),
) -> Option<()> {
    client.write_all(&head(from)?).ok()?;
    for number in 0..=whole {
        let mut size = String::new();
        from.read_line(&mut size).ok()?;
        let length = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        from.read_exact(&mut chunk).ok()?;
        if number == whole {
            spoil(&mut chunk);
        }
        client.write_all(size.as_bytes()).ok()?;
        client.write_all(&chunk).ok()?;
    }
    Some(())
}
