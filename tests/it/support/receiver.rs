//! Receivers that count frames, and misbehave by script.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::numbers::{Expected, Stream, Tally};
use super::{blackhole, until};

/// How often a receiver's thread looks for commands while nothing arrives.
const TICK: Duration = Duration::from_millis(5);

/// One frame as it arrived.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The frame without its framing.
    pub bytes: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// When it was whole.
    pub arrived: Instant,
}

/// The parts of `<PRI>1 TIME HOST NAME SHORTID - - MSG`.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// From the severity: 3 is standard error.
    pub stream: Stream,
    /// RFC 3339.
    pub time: &'a str,
    /// The host name.
    pub host: &'a str,
    /// The container's name.
    pub container: &'a str,
    /// The container's short id.
    pub id: &'a str,
    /// The line.
    pub text: &'a [u8],
}

impl Frame {
    /// A frame that arrived just now.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, connection: 0, arrived: Instant::now() }
    }

    /// The frame's fields, if it is the RFC 5424 that the agent sends by default.
    pub fn rfc5424(&self) -> Option<Record<'_>> {
        let mut parts = self.bytes.splitn(8, |byte| *byte == b' ');
        let mut field = || std::str::from_utf8(parts.next()?).ok();
        let stream = match field()?.strip_prefix('<')?.split_once(">1")?.0.parse::<u32>().ok()? % 8
        {
            3 => Stream::Err,
            6 => Stream::Out,
            _ => return None,
        };
        let (time, host, container, id) = (field()?, field()?, field()?, field()?);
        let (message_id, data) = (field()?, field()?);
        let text = parts.next()?;
        (message_id == "-" && data == "-").then_some(Record {
            stream,
            time,
            host,
            container,
            id,
            text,
        })
    }

    /// The frame for a message of a test.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(200)]).into_owned()
    }
}

/// All that a receiver saw.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    frames: Vec<Frame>,
    garbled: Vec<String>,
}

impl Inbox {
    /// Looks at the frames that have come so far.
    pub fn with<T>(&self, look: impl FnOnce(&[Frame]) -> T) -> T {
        look(&self.0.lock().unwrap().frames)
    }

    /// How many frames have come so far, of all containers.
    pub fn count(&self) -> usize {
        self.with(<[Frame]>::len)
    }

    /// The lines of one container in the order of arrival.
    pub fn lines_of(&self, container: &str) -> Vec<(Stream, Vec<u8>)> {
        self.with(|frames| {
            let records = frames.iter().filter_map(Frame::rfc5424);
            let own = records.filter(|record| record.container == container);
            own.map(|record| (record.stream, record.text.to_vec())).collect()
        })
    }

    /// Waits until `look` is content with the frames.
    #[track_caller]
    pub fn wait<T>(
        &self,
        what: &str,
        bound: Duration,
        mut look: impl FnMut(&[Frame]) -> Result<T, String>,
    ) -> T {
        until(what, bound, || self.with(&mut look))
    }

    /// Waits until a container's lines are as many as expected, and returns them.
    #[track_caller]
    pub fn wait_lines(
        &self,
        container: &str,
        count: usize,
        bound: Duration,
    ) -> Vec<(Stream, Vec<u8>)> {
        until(&format!("{count} lines of {container}"), bound, || {
            let lines = self.lines_of(container);
            if lines.len() >= count { Ok(lines) } else { Err(format!("{} came", lines.len())) }
        })
    }

    /// Waits until no expected line is missing, and counts.
    #[track_caller]
    pub fn wait_complete(&self, expected: &Expected, bound: Duration) -> Tally {
        let wanted = usize::try_from(expected.count()).unwrap();
        until("every numbered line arrives", bound, || {
            // Counting is cheap until all could be here.
            if self.count() < wanted {
                let tally = || expected.tally(&self.0.lock().unwrap().frames);
                return Err(format!("{} frames came", self.count())
                    + &(if wanted < 1000 { format!(": {}", tally()) } else { String::new() }));
            }
            let tally = self.with(|frames| expected.tally(frames));
            tally.complete().map(|()| tally)
        })
    }

    /// Counts what has come by now.
    pub fn tally(&self, expected: &Expected) -> Tally {
        self.with(|frames| expected.tally(frames))
    }

    /// No byte came that does not belong to a frame.
    #[track_caller]
    pub fn assert_nothing_garbled(&self) {
        let garbled = &self.0.lock().unwrap().garbled;
        assert!(garbled.is_empty(), "{garbled:?}");
    }

    /// Notes bytes that belong to no frame.
    pub fn complain(&self, complaint: String) {
        self.0.lock().unwrap().garbled.push(complaint);
    }

    /// Notes a frame that arrived just now.
    pub fn take(&self, bytes: Vec<u8>, connection: usize) {
        let frame = Frame { bytes, connection, arrived: Instant::now() };
        self.0.lock().unwrap().frames.push(frame);
    }
}

/// How frames are told apart on a byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `LENGTH SP FRAME`.
    OctetCounting,
    /// `FRAME LF`.
    Lf,
}

impl Framing {
    /// The value of the route's option.
    pub fn option(self) -> &'static str {
        match self {
            Self::OctetCounting => "octet-counting",
            Self::Lf => "lf",
        }
    }
}

/// How far a connection behaves well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// That many whole frames.
    Frames(u64),
    /// That many bytes, framing included.
    Bytes(u64),
}

/// What a receiver does with one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Reads until the peer closes.
    Read,
    /// Reads, then ends its own half in order and reads on until the peer closes.
    Fin(After),
    /// Reads, then resets with whatever lies unread.
    Reset(After),
    /// Reads, and resets at the next moment at which nothing lies unread: a fast reader.
    ResetDrained(After),
    /// Resets without a look.
    ResetAtOnce,
    /// Accepts and never reads, until `TcpReceiver::behave`.
    Stall,
    /// Reads, then reads no more, until `TcpReceiver::behave`.
    StallAfter(After),
    /// Reads a byte per 100 ms, until `TcpReceiver::behave`.
    Drip,
}

/// How `TcpReceiver::close_all` ends connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// In order: FIN.
    Fin,
    /// At once: RST.
    Reset,
}

/// A syslog receiver on a loopback port of its own.
pub struct TcpReceiver {
    /// What it saw.
    pub inbox: Arc<Inbox>,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    framing: Framing,
    inbox: Arc<Inbox>,
    state: Mutex<State>,
    stop: AtomicBool,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "two orders, and whether they are followed")]
struct State {
    script: VecDeque<Conduct>,
    refusing: bool,
    port_held: bool,
    swallowing: bool,
    swallows: bool,
    links: Vec<Arc<Link>>,
}

/// What is known of one connection, and what it was told to do.
#[derive(Default)]
struct Link {
    orders: Mutex<Orders>,
    swallows: AtomicBool,
    ended: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Orders {
    close: Option<Close>,
    behave: bool,
    swallow: bool,
}

impl TcpReceiver {
    /// Reads octet-counted frames.
    pub fn start() -> Self {
        Self::scripted(Framing::OctetCounting, [])
    }

    /// Treats the first connections as the script says, and reads all later ones.
    pub fn scripted(framing: Framing, script: impl IntoIterator<Item = Conduct>) -> Self {
        Self::listening(bound(SocketAddr::from(([127, 0, 0, 1], 0))), framing, script)
    }

    /// Reads octet-counted frames on an address of this machine that containers can reach.
    pub fn at(address: std::net::IpAddr) -> Self {
        Self::listening(bound(SocketAddr::from((address, 0))), Framing::OctetCounting, [])
    }

    /// Listens on another loopback address, with the port of `other`.
    pub fn beside(other: &Self, address: [u8; 4]) -> Self {
        let address = SocketAddr::from((address, other.address.port()));
        Self::listening(bound(address), Framing::OctetCounting, [])
    }

    fn listening(
        socket: socket2::Socket,
        framing: Framing,
        script: impl IntoIterator<Item = Conduct>,
    ) -> Self {
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let inbox = Arc::new(Inbox::default());
        let state = State { script: script.into_iter().collect(), ..State::default() };
        let shared = Arc::new(Shared {
            framing,
            inbox: inbox.clone(),
            state: Mutex::new(state),
            stop: AtomicBool::new(false),
        });
        socket.listen(128).unwrap();
        let listening = shared.clone();
        let thread = std::thread::spawn(move || listening.accept(socket, address));
        Self { inbox, address, shared, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A route to it, without options, which is also its name in the metrics.
    pub fn route(&self) -> String {
        format!("syslog+tcp://{}", self.address)
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().links.len()
    }

    /// Waits until it has accepted that many connections.
    #[track_caller]
    pub fn wait_connections(&self, count: usize, bound: Duration) {
        until(&format!("connection {count}"), bound, || {
            let now = self.connections();
            super::check(now >= count, || format!("{now} were made"))
        });
    }

    /// Ends all connections.
    pub fn close_all(&self, how: Close) {
        for link in &self.shared.state.lock().unwrap().links {
            link.orders.lock().unwrap().close = Some(how);
        }
    }

    /// Treats the next connection that is not scripted yet like this.
    #[allow(dead_code, reason = "the soak decides as it goes")]
    pub fn script(&self, conduct: Conduct) {
        self.shared.state.lock().unwrap().script.push_back(conduct);
    }

    /// Makes stalled and dripping connections read as they should.
    pub fn behave(&self) {
        for link in &self.shared.state.lock().unwrap().links {
            link.orders.lock().unwrap().behave = true;
        }
    }

    /// When the connection ended: by the peer, or by a reset from here.
    pub fn ended(&self, connection: usize) -> Option<Instant> {
        *self.shared.state.lock().unwrap().links[connection].ended.lock().unwrap()
    }

    /// Refuses connections from now on; nobody else can get the port meanwhile.
    pub fn refuse(&self) {
        self.set_refusing(true);
    }

    /// Accepts connections again, on the same port.
    pub fn accept_again(&self) {
        self.set_refusing(false);
    }

    /// Makes a black hole of the connections that were accepted; new ones are as well. Wait for them
    /// first: a peer may believe itself connected before.
    pub fn swallow_connections(&self) {
        self.set_swallowing(true, false);
    }

    /// Makes a black hole of everything, connections to come included.
    pub fn swallow_everything(&self) {
        self.set_swallowing(true, true);
    }

    /// Ends all black holes.
    pub fn heal(&self) {
        self.set_swallowing(false, false);
    }

    fn set_swallowing(&self, connections: bool, listener: bool) {
        self.shared.state.lock().unwrap().swallowing = listener;
        until("the listener does as told", super::SOON, || {
            let done = self.shared.state.lock().unwrap().swallows == listener;
            super::check(done, || "not yet".to_owned())
        });
        // If the listener has changed, whatever was accepted before is in the list by now.
        let links = self.shared.state.lock().unwrap().links.clone();
        for link in &links {
            link.orders.lock().unwrap().swallow = connections;
        }
        until("the connections do as told", super::SOON, || {
            let done = links.iter().all(|link| {
                link.ended.lock().unwrap().is_some() || link.swallows.load(SeqCst) == connections
            });
            super::check(done, || "not yet".to_owned())
        });
    }

    fn set_refusing(&self, refusing: bool) {
        self.shared.state.lock().unwrap().refusing = refusing;
        until("the listener does as told", super::SOON, || {
            let done = self.shared.state.lock().unwrap().port_held == refusing;
            super::check(done, || "not yet".to_owned())
        });
    }
}

impl Drop for TcpReceiver {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A port without a listener: holds the place, and connections to it are refused.
pub fn bound(address: SocketAddr) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    until("the port is free", super::SOON, || {
        socket.bind(&address.into()).map_err(|error| error.to_string())
    });
    socket.set_nonblocking(true).unwrap();
    socket
}

impl Shared {
    fn accept(self: Arc<Self>, mut socket: socket2::Socket, address: SocketAddr) {
        let mut threads = Vec::new();
        while !self.stop.load(SeqCst) {
            let (refusing, held) = {
                let state = self.state.lock().unwrap();
                (state.refusing, state.port_held)
            };
            self.follow_swallowing(&socket);
            if refusing && !held {
                drop(socket);
                socket = bound(address);
            } else if held && !refusing {
                socket.listen(128).unwrap();
            }
            self.state.lock().unwrap().port_held = refusing;
            match if refusing { Err(ErrorKind::WouldBlock.into()) } else { socket.accept() } {
                Ok((stream, _)) => {
                    let shared = self.clone();
                    let link = Arc::new(Link::default());
                    let (number, conduct) = self.enlist(&link);
                    threads.push(std::thread::spawn(move || {
                        shared.serve(&stream.into(), &link, number, conduct);
                        *link.ended.lock().unwrap() = Some(Instant::now());
                    }));
                }
                Err(_) => std::thread::sleep(TICK),
            }
        }
        for thread in threads {
            thread.join().ok();
        }
    }

    fn follow_swallowing(&self, listener: &socket2::Socket) {
        let mut state = self.state.lock().unwrap();
        if state.swallowing != state.swallows {
            state.swallows = state.swallowing;
            if state.swallows { blackhole::swallow(listener) } else { blackhole::heal(listener) }
        }
    }

    fn enlist(&self, link: &Arc<Link>) -> (usize, Conduct) {
        let mut state = self.state.lock().unwrap();
        state.links.push(link.clone());
        let conduct = state.script.pop_front().unwrap_or(Conduct::Read);
        (state.links.len() - 1, conduct)
    }

    fn serve(&self, stream: &TcpStream, link: &Link, number: usize, mut conduct: Conduct) {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(TICK)).unwrap();
        let mut parser = Parser::new(self.framing, self.inbox.clone(), number);
        let mut closing = false;
        loop {
            let (close, behave, swallow) = {
                let orders = link.orders.lock().unwrap();
                (orders.close, orders.behave, orders.swallow)
            };
            if swallow != link.swallows.load(SeqCst) {
                if swallow {
                    blackhole::swallow(stream);
                } else {
                    blackhole::heal(stream);
                }
                link.swallows.store(swallow, SeqCst);
            }
            if behave && matches!(conduct, Conduct::Stall | Conduct::Drip) {
                conduct = Conduct::Read;
            }
            let due = match (conduct, close) {
                (Conduct::ResetAtOnce, _) | (_, Some(Close::Reset)) => Some(Close::Reset),
                (Conduct::Reset(after), _) if parser.reached(after) => Some(Close::Reset),
                (Conduct::Fin(after), _) if parser.reached(after) => Some(Close::Fin),
                (Conduct::StallAfter(after), close) if parser.reached(after) => {
                    conduct = Conduct::Stall;
                    close
                }
                (_, close) => close,
            };
            match due {
                Some(Close::Reset) => return reset(stream),
                Some(Close::Fin) if !closing => {
                    closing = true;
                    stream.shutdown(Shutdown::Write).ok();
                }
                _ => {}
            }
            if self.stop.load(SeqCst) {
                return;
            }
            match read_some(stream, conduct, &parser) {
                Reading::Some(bytes) => parser.take(&bytes),
                Reading::Nothing => {
                    if matches!(conduct, Conduct::ResetDrained(after) if parser.reached(after)) {
                        return reset(stream);
                    }
                }
                Reading::End => return,
            }
        }
    }
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

enum Reading {
    Some(Vec<u8>),
    Nothing,
    End,
}

fn read_some(mut stream: &TcpStream, conduct: Conduct, parser: &Parser) -> Reading {
    let mut buffer = vec![0; 64 * 1024];
    let most = match conduct {
        Conduct::Stall => {
            std::thread::sleep(TICK);
            return Reading::Nothing;
        }
        Conduct::Drip => {
            std::thread::sleep(Duration::from_millis(100));
            1
        }
        // Small steps, so that it stops soon after the frame it should stop at.
        Conduct::Fin(After::Frames(_)) | Conduct::Reset(After::Frames(_)) => 1024,
        Conduct::Fin(After::Bytes(limit)) | Conduct::Reset(After::Bytes(limit)) => {
            usize::try_from(limit.saturating_sub(parser.bytes)).unwrap()
        }
        Conduct::Read
        | Conduct::ResetAtOnce
        | Conduct::ResetDrained(_)
        | Conduct::StallAfter(_) => buffer.len(),
    };
    // After its limit a connection that ended its half reads on to the peer's end.
    let most = if most == 0 { buffer.len() } else { most.min(buffer.len()) };
    match stream.read(&mut buffer[..most]) {
        Ok(0) => Reading::End,
        Ok(count) => {
            buffer.truncate(count);
            Reading::Some(buffer)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Reading::Nothing
        }
        Err(_) => Reading::End,
    }
}

/// Cuts a byte stream into frames. What is left when the stream ends is part of no frame.
pub struct Parser {
    framing: Framing,
    inbox: Arc<Inbox>,
    connection: usize,
    pending: Vec<u8>,
    bytes: u64,
    frames: u64,
    lost: bool,
}

impl Parser {
    /// Frames go to the inbox.
    pub fn new(framing: Framing, inbox: Arc<Inbox>, connection: usize) -> Self {
        Self { framing, inbox, connection, pending: Vec::new(), bytes: 0, frames: 0, lost: false }
    }

    /// Takes the next bytes of the stream.
    pub fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.lost {
            return;
        }
        self.pending.extend_from_slice(bytes);
        let mut start = 0;
        while let Some((body, next)) = self.frame_at(start) {
            self.inbox.take(self.pending[body].to_vec(), self.connection);
            self.frames += 1;
            start = next;
        }
        self.pending.drain(..start);
    }

    fn reached(&self, after: After) -> bool {
        match after {
            After::Frames(frames) => self.frames >= frames,
            After::Bytes(bytes) => self.bytes >= bytes,
        }
    }

    fn frame_at(&mut self, start: usize) -> Option<(std::ops::Range<usize>, usize)> {
        let rest = &self.pending[start..];
        if self.framing == Framing::Lf {
            let end = start + rest.iter().position(|byte| *byte == b'\n')?;
            return Some((start..end, end + 1));
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == rest.len() && digits < 10 {
            return None;
        }
        let length = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse().ok());
        let Some(length) = length.filter(|_: &usize| rest[digits] == b' ') else {
            let shown = String::from_utf8_lossy(&rest[..rest.len().min(80)]);
            let complaint = format!("connection {}: no count at {shown:?}", self.connection);
            self.inbox.complain(complaint);
            self.lost = true;
            return None;
        };
        let body = start + digits + 1;
        (self.pending.len() >= body + length).then_some((body..body + length, body + length))
    }
}

/// A receiver on any socket without script: one frame per datagram, or a framed byte stream.
pub struct PlainReceiver {
    /// What it saw.
    pub inbox: Arc<Inbox>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PlainReceiver {
    /// On a loopback UDP port; also returns where.
    pub fn udp() -> (Self, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (Self::of_datagrams(socket), address)
    }

    /// On this UDP port, where nobody listened.
    pub fn udp_at(address: SocketAddr) -> Self {
        Self::of_datagrams(UdpSocket::bind(address).unwrap())
    }

    fn of_datagrams(socket: UdpSocket) -> Self {
        // The largest that is allowed; a burst must not be lost here.
        socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20).unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        let receive = move |inbox: &Arc<Inbox>| {
            let mut buffer = vec![0; 65_536];
            if let Ok(count) = socket.recv(&mut buffer) {
                inbox.take(buffer[..count].to_vec(), 0);
            }
        };
        Self::run(receive)
    }

    /// On a unix datagram socket.
    pub fn unix_datagram(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        Self::run(move |inbox| {
            let mut buffer = vec![0; 1 << 20];
            if let Ok(count) = socket.recv(&mut buffer) {
                inbox.take(buffer[..count].to_vec(), 0);
            }
        })
    }

    /// On a unix stream socket; one connection at a time.
    pub fn unix_stream(path: &Path, framing: Framing) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut link = None;
        Self::run(move |inbox| {
            // The parser keeps its own handle, made on the first connection.
            let Some((stream, parser)) = &mut link else {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).unwrap();
                        stream.set_read_timeout(Some(TICK)).unwrap();
                        link = Some((stream, Parser::new(framing, inbox.clone(), 0)));
                    }
                    Err(_) => std::thread::sleep(TICK),
                }
                return;
            };
            let mut buffer = vec![0; 65_536];
            match stream.read(&mut buffer) {
                Ok(0) => link = None,
                Ok(count) => parser.take(&buffer[..count]),
                Err(_) => {}
            }
        })
    }

    fn run(mut receive: impl FnMut(&Arc<Inbox>) + Send + 'static) -> Self {
        let inbox = Arc::new(Inbox::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (sink, told) = (inbox.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(SeqCst) {
                receive(&sink);
            }
        });
        Self { inbox, stop, thread: Some(thread) }
    }
}

impl Drop for PlainReceiver {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
