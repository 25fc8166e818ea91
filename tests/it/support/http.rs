//! A small HTTP/1.1 server for the fakes of AWS services: keep-alive, one thread per connection,
//! and everything that can happen to a connection on command.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::blackhole;
use super::receiver::{Close, bound};

/// How often a thread that waits looks for commands.
const TICK: Duration = Duration::from_millis(5);
/// For a request that has begun.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest legal call, with every character escaped, takes about 6.3 MB.
const MOST_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Heads with a long session token take a few KiB.
const MOST_HEAD_BYTES: u64 = 64 * 1024;
/// The Logs endpoint closes connections that are idle for about 6 s (aws-for-fluent-bit PR 775).
const IDLE: Duration = Duration::from_secs(6);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// Path and query, undecoded.
    pub target: String,
    /// In the order of arrival; names in lower case, values trimmed.
    pub headers: Vec<(String, String)>,
    /// As on the wire.
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// How many requests came before it on its connection.
    pub on_connection: usize,
    /// When it was whole.
    pub arrived: Instant,
}

impl Request {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(own, _)| own == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// The query without the question mark; empty if there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// A reply; the length of its body is added when it is sent.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Everything after the head.
    pub body: Vec<u8>,
}

impl Reply {
    /// A reply with a body of this content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }.header("Content-Type", content_type)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "Content-Length: {}\r\n\r\n", self.body.len()).unwrap();
        [head.as_bytes(), &self.body].concat()
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// It is answered.
    Reply(Reply),
    /// The head of the answer and half of its body, then the end of the connection.
    Cut(Reply),
    /// The connection ends without an answer.
    End(Close),
}

/// The client of a request that is being answered.
pub struct Client<'a> {
    link: &'a TcpStream,
    stop: &'a AtomicBool,
}

impl Client<'_> {
    /// Waits until `is_over`; false if the client or the server has gone meanwhile.
    pub fn wait(&self, is_over: impl Fn() -> bool) -> bool {
        while !is_over() {
            if self.stop.load(SeqCst) || has_left(self.link) {
                return false;
            }
            std::thread::sleep(TICK);
        }
        true
    }

    /// Waits for so long; false if the client or the server has gone meanwhile.
    pub fn wait_for(&self, time: Duration) -> bool {
        let start = Instant::now();
        self.wait(|| start.elapsed() >= time)
    }
}

type Service = dyn Fn(&Request, &Client<'_>) -> Answer + Send + Sync;

/// A running server. Its connections go with it.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    service: Box<Service>,
    stop: AtomicBool,
    is_frozen: AtomicBool,
    idle_milliseconds: AtomicU64,
    state: Mutex<State>,
}

struct State {
    listener: Option<socket2::Socket>,
    is_open: bool,
    swallows: bool,
    accepted: usize,
    links: BTreeMap<usize, Arc<Link>>,
}

struct Link {
    stream: TcpStream,
    is_idle: AtomicBool,
    swallows: AtomicBool,
}

impl Server {
    /// Listens on a loopback port of its own.
    pub fn start(
        service: impl Fn(&Request, &Client<'_>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        listener.listen(128).unwrap();
        let state = State {
            listener: Some(listener),
            is_open: true,
            swallows: false,
            accepted: 0,
            links: BTreeMap::new(),
        };
        let shared = Arc::new(Shared {
            service: Box::new(service),
            stop: AtomicBool::new(false),
            is_frozen: AtomicBool::new(false),
            idle_milliseconds: AtomicU64::new(u64::try_from(IDLE.as_millis()).unwrap()),
            state: Mutex::new(state),
        });
        let listening = shared.clone();
        let listener = Some(std::thread::spawn(move || listening.listen()));
        Self { address, shared, listener }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().accepted
    }

    /// Ends all connections and refuses new ones; nobody else can get the port meanwhile.
    pub fn refuse(&self) {
        let mut state = self.shared.state.lock().unwrap();
        if state.is_open {
            state.listener = None;
            state.listener = Some(bound(self.address));
            state.is_open = false;
            state.swallows = false;
        }
        state.close(Close::Reset, |_| true);
    }

    /// Accepts connections again, on the same port.
    pub fn accept_again(&self) {
        let mut state = self.shared.state.lock().unwrap();
        if !state.is_open {
            state.listener.as_ref().unwrap().listen(128).unwrap();
            state.is_open = true;
        }
    }

    /// Accepts connections and answers nothing, until `thaw`. What comes meanwhile is answered
    /// then, if its client is still there.
    pub fn freeze(&self) {
        self.shared.is_frozen.store(true, SeqCst);
    }

    /// Ends `freeze`.
    pub fn thaw(&self) {
        self.shared.is_frozen.store(false, SeqCst);
    }

    /// Makes a black hole of the port and of all connections: no packet is answered, not even by
    /// the kernel.
    pub fn swallow(&self) {
        let mut state = self.shared.state.lock().unwrap();
        if !std::mem::replace(&mut state.swallows, true) {
            blackhole::swallow(state.listener.as_ref().unwrap());
        }
        for link in state.links.values() {
            if !link.swallows.swap(true, SeqCst) {
                blackhole::swallow(&link.stream);
            }
        }
    }

    /// Ends the black hole.
    pub fn heal(&self) {
        let mut state = self.shared.state.lock().unwrap();
        if std::mem::replace(&mut state.swallows, false) {
            blackhole::heal(state.listener.as_ref().unwrap());
        }
        for link in state.links.values() {
            if link.swallows.swap(false, SeqCst) {
                blackhole::heal(&link.stream);
            }
        }
    }

    /// Closes connections that are idle for so long, from their next request on; 6 s at first.
    pub fn set_idle_limit(&self, limit: Duration) {
        let milliseconds = u64::try_from(limit.as_millis()).unwrap();
        self.shared.idle_milliseconds.store(milliseconds, SeqCst);
    }

    /// Ends the connections that wait for a request now; returns how many there were.
    pub fn close_idle(&self, how: Close) -> usize {
        self.shared.state.lock().unwrap().close(how, |link| link.is_idle.load(SeqCst))
    }

    /// Ends all connections, whatever they do; returns how many there were.
    pub fn close_all(&self, how: Close) -> usize {
        self.shared.state.lock().unwrap().close(how, |_| true)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        if let Some(listener) = self.listener.take() {
            listener.join().ok();
        }
    }
}

impl State {
    fn close(&mut self, how: Close, concerns: impl Fn(&Link) -> bool) -> usize {
        let links = self.links.values().filter(|link| concerns(link));
        links
            .map(|link| {
                if how == Close::Reset {
                    reset(&link.stream);
                }
                // The reader's end wakes the connection's thread, which closes; a FIN must not
                // come before a reset.
                let end = if how == Close::Reset { Shutdown::Read } else { Shutdown::Both };
                link.stream.shutdown(end).ok();
            })
            .count()
    }
}

impl Shared {
    fn listen(self: &Arc<Self>) {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        while !self.stop.load(SeqCst) {
            let Some((number, link)) = self.accept() else {
                std::thread::sleep(TICK);
                continue;
            };
            let shared = self.clone();
            threads.retain(|thread| !thread.is_finished());
            threads.push(std::thread::spawn(move || {
                shared.serve(number, &link);
                shared.state.lock().unwrap().links.remove(&number);
                // The last owner: here the socket closes.
                drop(link);
            }));
        }
        self.state.lock().unwrap().close(Close::Fin, |_| true);
        for thread in threads {
            thread.join().ok();
        }
    }

    fn accept(&self) -> Option<(usize, Arc<Link>)> {
        let mut state = self.state.lock().unwrap();
        if !state.is_open {
            return None;
        }
        let stream: TcpStream = state.listener.as_ref()?.accept().ok()?.0.into();
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        let number = state.accepted;
        state.accepted += 1;
        let (is_idle, swallows) = (AtomicBool::new(true), AtomicBool::new(false));
        let link = Arc::new(Link { stream, is_idle, swallows });
        state.links.insert(number, link.clone());
        Some((number, link))
    }

    fn serve(&self, number: usize, link: &Link) {
        let mut reader = BufReader::with_capacity(64 * 1024, &link.stream);
        let client = Client { link: &link.stream, stop: &self.stop };
        for on_connection in 0.. {
            let idle = Duration::from_millis(self.idle_milliseconds.load(SeqCst));
            link.stream.set_read_timeout(Some(idle)).ok();
            link.is_idle.store(true, SeqCst);
            let has_begun = matches!(reader.fill_buf(), Ok(bytes) if !bytes.is_empty());
            link.is_idle.store(false, SeqCst);
            if !has_begun {
                return;
            }
            link.stream.set_read_timeout(Some(REQUEST_TIMEOUT)).ok();
            let request = match read_request(&mut reader, number, on_connection) {
                Ok(request) => request,
                Err(None) => return,
                Err(Some(status)) => {
                    (&link.stream).write_all(&Reply::new(status, "text/plain", "").bytes()).ok();
                    return;
                }
            };
            if !client.wait(|| !self.is_frozen.load(SeqCst)) {
                return;
            }
            match (self.service)(&request, &client) {
                Answer::Reply(reply) => {
                    if (&link.stream).write_all(&reply.bytes()).is_err() {
                        return;
                    }
                }
                Answer::Cut(reply) => {
                    let bytes = reply.bytes();
                    let kept = bytes.len() - reply.body.len().div_ceil(2);
                    (&link.stream).write_all(&bytes[..kept]).ok();
                    return;
                }
                Answer::End(Close::Reset) => return reset(&link.stream),
                Answer::End(Close::Fin) => return,
            }
        }
    }
}

// An error is the status to refuse it with; none if the connection has ended.
fn read_request(
    reader: &mut BufReader<&TcpStream>,
    connection: usize,
    on_connection: usize,
) -> Result<Request, Option<u16>> {
    let (first, headers) = read_head(reader).ok_or(None)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(Some(400));
    };
    let named = |wanted| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    if named("transfer-encoding").is_some() {
        return Err(Some(411));
    }
    let length =
        named("content-length").map_or(Ok(0), |text| text.parse().map_err(|_| Some(400)))?;
    if length > MOST_BODY_BYTES {
        return Err(Some(413));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).map_err(|_| None)?;
    let arrived = Instant::now();
    Ok(Request { method, target, headers, body, connection, on_connection, arrived })
}

// The request line and the headers.
fn read_head(reader: &mut BufReader<&TcpStream>) -> Option<(String, Vec<(String, String)>)> {
    let mut lines = reader.by_ref().take(MOST_HEAD_BYTES).lines();
    let first = lines.next()?.ok()?;
    let mut headers = Vec::new();
    loop {
        let line = lines.next()?.ok()?;
        if line.is_empty() {
            return Some((first, headers));
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok();
}

// Whether the client has closed its end while it should wait for an answer.
fn has_left(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).ok();
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false).ok();
    match seen {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
