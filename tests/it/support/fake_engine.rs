//! A Docker engine on a unix socket whose logs the test writes, with stamps of its choice: for
//! clocks that jump, rotations at a chosen record, stalls, and a thousand containers.
//!
//! Knows the calls that the agent makes, one thread per connection. Log streams look as the
//! engine's: one chunk per record, each a header of eight bytes, a stamp, a space and the text,
//! cut after 16 KiB. Where it is asked to, it keeps the same records in files as well.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::log_files::LogFiles;
use super::numbers::{self, Stream};

/// Where the engine cuts a line.
const PIECE_BYTES: usize = 16 * 1024;
/// Records are written to a reader in steps of about this size.
const WRITE_BYTES: usize = 64 * 1024;
/// How often a thread that waits looks whether its reader is still there.
const TICK: Duration = Duration::from_secs(2);
/// Enough for what a connection's thread does; there may be thousands.
const STACK_BYTES: usize = 256 * 1024;

/// Which engine it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 20.10, which the agent does not ask for `since`.
    V20,
    /// 24.0.
    V24,
}

impl Release {
    fn version(self) -> (&'static str, &'static str) {
        match self {
            Self::V20 => ("20.10.24", "1.41"),
            Self::V24 => ("24.0.9", "1.43"),
        }
    }
}

/// Nanoseconds since 1970 by this host's clock.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// As Docker writes a stamp: RFC 3339 in UTC with nine digits.
pub fn stamp(nanos: i64) -> String {
    let (days, second) = (nanos.div_euclid(86_400_000_000_000), nanos.div_euclid(1_000_000_000));
    // Howard Hinnant's civil_from_days, for years from 1970 on.
    let day = days + 719_468;
    let of_era = day % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = day / 146_097 * 400 + year_of_era + i64::from(month <= 2);
    let (date, time) = (of_year - (153 * shifted + 2) / 5 + 1, second.rem_euclid(86_400));
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{:09}Z",
        time / 3600,
        time / 60 % 60,
        time % 60,
        nanos.rem_euclid(1_000_000_000)
    )
}

#[test]
fn stamps_are_written_as_docker_writes_them() {
    for (nanos, text) in [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
        (1_795_387_206_063_720_431, "2026-11-22T22:40:06.063720431Z"),
    ] {
        assert_eq!(stamp(nanos), text);
    }
}

/// A running engine. Its socket goes with it.
pub struct FakeEngine {
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    release: Release,
    root: PathBuf,
    has_files: bool,
    /// By how many nanoseconds its clock is ahead; it tells no time as long as nobody set it.
    ahead: Mutex<Option<i64>>,
    /// Containers so far.
    made: AtomicUsize,
    stop: AtomicBool,
    containers: Mutex<BTreeMap<String, Arc<Container>>>,
    requests: Mutex<Vec<String>>,
    events: Mutex<Vec<(i64, String)>>,
    told: Condvar,
    /// Lists are made, and not sent.
    held: Mutex<bool>,
    freed: Condvar,
    links: Mutex<BTreeMap<usize, UnixStream>>,
}

impl FakeEngine {
    /// Without containers; logs are to be had through it only.
    pub fn start(release: Release) -> Self {
        Self::of(release, false)
    }

    /// The same; logs are in files as well.
    pub fn with_files(release: Release) -> Self {
        Self::of(release, true)
    }

    fn of(release: Release, has_files: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
        let shared = Arc::new(Shared {
            release,
            root: directory.path().into(),
            has_files,
            ahead: Mutex::default(),
            made: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            containers: Mutex::default(),
            requests: Mutex::default(),
            events: Mutex::default(),
            told: Condvar::new(),
            held: Mutex::default(),
            freed: Condvar::new(),
            links: Mutex::default(),
        });
        let listening = shared.clone();
        let listener = std::thread::spawn(move || listening.listen(&listener));
        Self { directory, shared, listener: Some(listener) }
    }

    /// The value for `DOCKER_HOST`.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.path().display())
    }

    /// A container that was created and started just now, and whose log is empty.
    pub fn container(&self, name: &str) -> Arc<Container> {
        self.container_with(name, "json-file", "{}")
    }

    /// The same with a log driver and its options in JSON.
    pub fn container_with(&self, name: &str, driver: &str, options: &str) -> Arc<Container> {
        let mut containers = self.shared.containers.lock().unwrap();
        let number = self.shared.made.fetch_add(1, SeqCst) + 1;
        // The first twelve digits are the short id.
        let id = format!("{number:012x}{number:052x}");
        let folder = self.shared.root.join("containers");
        let container = Arc::new(Container {
            files: self.shared.has_files.then(|| Mutex::new(LogFiles::create(&folder, &id))),
            id,
            name: name.to_owned(),
            log_config: format!(r#"{{"Type":"{driver}","Config":{options}}}"#),
            created: now(),
            log: Mutex::new(Log { is_running: true, ..Log::default() }),
            grown: Condvar::new(),
        });
        containers.insert(container.id.clone(), container.clone());
        drop(containers);
        for action in ["create", "start"] {
            self.shared.tell(action, &container);
        }
        container
    }

    /// A container ends.
    pub fn end(&self, container: &Container) {
        container.exit();
        self.shared.tell("die", container);
    }

    /// A container that has ended starts again.
    pub fn start_again(&self, container: &Container) {
        container.log.lock().unwrap().is_running = true;
        self.shared.tell("start", container);
    }

    /// A container ends, and goes with its log.
    pub fn remove(&self, container: &Container) {
        self.end(container);
        self.shared.containers.lock().unwrap().remove(&container.id);
        if container.files.is_some() {
            container.files().remove();
        }
        self.shared.tell("destroy", container);
    }

    /// Makes lists when they are asked for and keeps them until this is called with false.
    pub fn hold_lists(&self, held: bool) {
        *self.shared.held.lock().unwrap() = held;
        self.shared.freed.notify_all();
    }

    /// Sets its clock by that of this host.
    pub fn set_clock(&self, ahead: i64) {
        *self.shared.ahead.lock().unwrap() = Some(ahead);
    }

    /// Every request so far: method and path with query.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.hold_lists(false);
        // Wakes the listener.
        UnixStream::connect(self.path()).ok();
        if let Some(listener) = self.listener.take() {
            listener.join().ok();
        }
        for link in self.shared.links.lock().unwrap().values() {
            link.shutdown(Shutdown::Both).ok();
        }
        self.shared.told.notify_all();
        for container in self.shared.containers.lock().unwrap().values() {
            container.grown.notify_all();
        }
    }
}

/// A container of the engine, and its log.
pub struct Container {
    /// 64 digits.
    pub id: String,
    /// Without slash.
    pub name: String,
    log_config: String,
    created: i64,
    log: Mutex<Log>,
    files: Option<Mutex<LogFiles>>,
    grown: Condvar,
}

#[derive(Default)]
struct Log {
    is_running: bool,
    /// Records that rotation took.
    rotated: usize,
    records: VecDeque<Entry>,
    /// Streams that follow, and those of them that stall.
    streams: Vec<Following>,
    opened: usize,
    last: i64,
}

struct Following {
    number: usize,
    link: UnixStream,
    is_stalled: bool,
}

#[derive(Clone)]
struct Entry {
    stream: Stream,
    nanos: i64,
    text: Arc<[u8]>,
}

impl Container {
    /// Prints a line at this stamp. What is longer than 16 KiB becomes several records.
    pub fn print(&self, stream: Stream, nanos: i64, line: &str) {
        let line = format!("{line}\n");
        self.append(line.as_bytes().chunks(PIECE_BYTES).map(|piece| (stream, nanos, piece.into())));
    }

    /// Prints numbered lines, each a little later than the last thing that was printed, and not
    /// before now; returns when the last of them was.
    pub fn print_numbers(
        &self,
        stream: Stream,
        lines: impl IntoIterator<Item = u64>,
        width: usize,
    ) -> i64 {
        let mut nanos = self.log.lock().unwrap().last.max(now());
        let entries = lines.into_iter().map(|number| {
            nanos += 1000;
            (stream, nanos, format!("{}\n", numbers::text(stream, number, width)).into_bytes())
        });
        self.append(entries.map(|(stream, nanos, text)| (stream, nanos, text.into())));
        nanos
    }

    /// Appends records as they are, each with stream, stamp and text.
    pub fn append(&self, records: impl Iterator<Item = (Stream, i64, Arc<[u8]>)>) {
        let mut log = self.log.lock().unwrap();
        let mut files = self.files.as_ref().map(|files| files.lock().unwrap());
        for (stream, nanos, text) in records {
            if let Some(files) = &mut files {
                files.print(stream, nanos, &text);
            }
            log.last = nanos;
            log.records.push_back(Entry { stream, nanos, text });
        }
        self.grown.notify_all();
    }

    /// Its log's files, to do with them what the engine would not, or what the engine's streams do
    /// not show. Nothing is printed meanwhile.
    pub fn files(&self) -> MutexGuard<'_, LogFiles> {
        self.files.as_ref().expect("an engine with files").lock().unwrap()
    }

    /// Ends the streams that follow it now, as a proxy would: without a last chunk. Returns how
    /// many there were.
    pub fn cut(&self) -> usize {
        let mut log = self.log.lock().unwrap();
        for stream in &log.streams {
            stream.link.shutdown(Shutdown::Both).ok();
        }
        self.grown.notify_all();
        log.streams.drain(..).count()
    }

    /// The streams that follow it now bring nothing any more, and do not end.
    pub fn stall(&self) {
        for stream in &mut self.log.lock().unwrap().streams {
            stream.is_stalled = true;
        }
    }

    /// Rotation takes all records but the last `kept`.
    pub fn rotate(&self, kept: usize) {
        let mut log = self.log.lock().unwrap();
        let taken = log.records.len().saturating_sub(kept);
        log.records.drain(..taken);
        log.rotated += taken;
        if let Some(files) = &self.files {
            files.lock().unwrap().keep_last(kept);
        }
    }

    /// The container ends, and with it the streams, once they brought everything.
    pub fn exit(&self) {
        self.log.lock().unwrap().is_running = false;
        self.grown.notify_all();
    }

    /// How many streams follow it, and how many were opened to follow it.
    pub fn streams(&self) -> (usize, usize) {
        let log = self.log.lock().unwrap();
        (log.streams.len(), log.opened)
    }

    fn state(&self) -> (&'static str, bool) {
        if self.log.lock().unwrap().is_running { ("running", true) } else { ("exited", false) }
    }
}

/// Which part of a log is asked for.
struct Query {
    follow: bool,
    since: Option<i64>,
    tail: Option<usize>,
}

impl Query {
    fn parse(path: &str) -> Self {
        let value = |key: &str| {
            let query = path.split_once('?').map_or("", |(_, query)| query);
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
        };
        let since = value("since").map(|text| {
            let (seconds, nanos) = text.split_once('.').unwrap_or((&text, "0"));
            let (seconds, nanos): (i64, i64) = (seconds.parse().unwrap(), nanos.parse().unwrap());
            seconds * 1_000_000_000 + nanos
        });
        let follow = value("follow").is_some_and(|value| value == "1");
        let tail = value("tail").and_then(|value| value.parse().ok());
        Self { follow, since, tail }
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &UnixListener) {
        for (number, client) in listener.incoming().enumerate() {
            if self.stop.load(SeqCst) {
                return;
            }
            let client = client.unwrap();
            self.links.lock().unwrap().insert(number, client.try_clone().unwrap());
            let shared = self.clone();
            let serve = move || {
                shared.serve(&client);
                shared.links.lock().unwrap().remove(&number);
            };
            std::thread::Builder::new().stack_size(STACK_BYTES).spawn(serve).unwrap();
        }
    }

    fn serve(&self, client: &UnixStream) {
        let mut requests = BufReader::with_capacity(1024, client);
        while let Some(line) = request(&mut requests) {
            self.requests.lock().unwrap().push(line.clone());
            let path = line.strip_prefix("GET ").unwrap_or_else(|| panic!("not a GET: {line}"));
            if self.answer(client, path).is_err() {
                break;
            }
        }
        client.shutdown(Shutdown::Both).ok();
    }

    fn answer(&self, client: &UnixStream, path: &str) -> std::io::Result<()> {
        let call = path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = call.split('/').skip(1).collect();
        let parts = match parts.as_slice() {
            [version, rest @ ..] if version.starts_with("v1.") => rest,
            all => all,
        };
        let (version, api) = self.release.version();
        match parts {
            ["_ping"] => json(client, 200, "OK"),
            ["version"] => json(
                client,
                200,
                &format!(
                    r#"{{"Version":"{version}","ApiVersion":"{api}","MinAPIVersion":"1.12"}}"#
                ),
            ),
            ["info"] => {
                let root = self.root.display();
                let time = self.ahead.lock().unwrap().map(|ahead| stamp(now() + ahead));
                let time = time.map(|time| format!(r#","SystemTime":"{time}""#));
                let time = time.unwrap_or_default();
                json(
                    client,
                    200,
                    &format!(
                        r#"{{"Name":"fake","LoggingDriver":"json-file","DockerRootDir":"{root}"{time}}}"#
                    ),
                )
            }
            ["events"] => self.events(client, path),
            ["containers", "json"] => {
                let list = self.list();
                drop(self.freed.wait_while(self.held.lock().unwrap(), |held| *held));
                json(client, 200, &list)
            }
            ["containers", id, what] => {
                let Some(container) = self.containers.lock().unwrap().get(*id).cloned() else {
                    return json(client, 404, r#"{"message":"No such container"}"#);
                };
                match *what {
                    "json" => json(client, 200, &inspection(&container)),
                    "logs" => self.logs(client, &container, &Query::parse(path)),
                    other => panic!("no such call: {other}"),
                }
            }
            other => panic!("no such call: {other:?}"),
        }
    }

    fn list(&self) -> String {
        let containers = self.containers.lock().unwrap();
        let entries = containers.values().map(|container| {
            let Container { id, name, created, .. } = &**container;
            let (created, (state, _)) = (created / 1_000_000_000, container.state());
            format!(
                r#"{{"Id":"{id}","Names":["/{name}"],"Image":"fake","Labels":{{}},"State":"{state}","Created":{created}}}"#
            )
        });
        format!("[{}]", entries.collect::<Vec<_>>().join(","))
    }

    fn tell(&self, action: &str, container: &Container) {
        let (nanos, Container { id, name, .. }) = (now(), container);
        let event = format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"name":"{name}","image":"fake"}}}},"time":{},"timeNano":{nanos}}}"#,
            nanos / 1_000_000_000
        );
        self.events.lock().unwrap().push((nanos, event + "\n"));
        self.told.notify_all();
    }

    fn events(&self, client: &UnixStream, path: &str) -> std::io::Result<()> {
        head(client)?;
        let since = Query::parse(path).since.unwrap_or_default();
        let mut next = 0;
        loop {
            let mut body = Vec::new();
            {
                let mut events = self.events.lock().unwrap();
                if events.len() == next {
                    events = self.told.wait_timeout(events, TICK).unwrap().0;
                }
                for (_, event) in events[next..].iter().filter(|(nanos, _)| *nanos >= since) {
                    chunk(&mut body, event.as_bytes());
                }
                next = events.len();
            }
            if self.stop.load(SeqCst) || body.is_empty() && has_left(client) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            (&mut &*client).write_all(&body)?;
        }
    }

    fn logs(
        &self,
        client: &UnixStream,
        container: &Container,
        query: &Query,
    ) -> std::io::Result<()> {
        head(client)?;
        let number = container.enlist(client, query.follow);
        let sent = self.stream(client, container, query, number);
        if let Some(number) = number {
            container.log.lock().unwrap().streams.retain(|stream| stream.number != number);
        }
        sent?;
        (&mut &*client).write_all(b"0\r\n\r\n")
    }

    fn stream(
        &self,
        client: &UnixStream,
        container: &Container,
        query: &Query,
        number: Option<usize>,
    ) -> std::io::Result<()> {
        let mut since = query.since;
        let mut next = {
            let log = container.log.lock().unwrap();
            let end = log.rotated + log.records.len();
            query.tail.map_or(0, |tail| end.saturating_sub(tail))
        };
        loop {
            let mut body = Vec::new();
            {
                let mut log = container.log.lock().unwrap();
                let stalls = |log: &Log| {
                    log.streams.iter().any(|s| Some(s.number) == number && s.is_stalled)
                };
                if log.end() <= next || stalls(&log) {
                    if !stalls(&log) && (!query.follow || !log.is_running) {
                        return Ok(());
                    }
                    log = container.grown.wait_timeout(log, TICK).unwrap().0;
                }
                if !stalls(&log) {
                    next = log.take(next, &mut since, self.release, &mut body);
                }
            }
            if self.stop.load(SeqCst) || body.is_empty() && has_left(client) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            (&mut &*client).write_all(&body)?;
        }
    }
}

impl Container {
    fn enlist(&self, client: &UnixStream, follow: bool) -> Option<usize> {
        if !follow {
            return None;
        }
        let mut log = self.log.lock().unwrap();
        let number = log.opened;
        log.opened += 1;
        log.streams.push(Following {
            number,
            link: client.try_clone().unwrap(),
            is_stalled: false,
        });
        Some(number)
    }
}

impl Log {
    fn end(&self) -> usize {
        self.rotated + self.records.len()
    }

    // Writes records from number `next` on; returns the number behind them.
    fn take(
        &self,
        next: usize,
        since: &mut Option<i64>,
        release: Release,
        body: &mut Vec<u8>,
    ) -> usize {
        let mut next = next.max(self.rotated);
        for entry in self.records.range((next - self.rotated).min(self.records.len())..) {
            if body.len() >= WRITE_BYTES {
                break;
            }
            next += 1;
            if since.is_some_and(|since| entry.nanos < since) {
                continue;
            }
            // From 24.0 on the first that is late enough ends the filter (moby #43219).
            if release == Release::V24 {
                *since = None;
            }
            entry.write(body);
        }
        next
    }
}

impl Entry {
    fn write(&self, body: &mut Vec<u8>) {
        let stamp = stamp(self.nanos);
        let length = u32::try_from(stamp.len() + 1 + self.text.len()).unwrap();
        let stream = if self.stream == Stream::Out { 1 } else { 2 };
        body.extend_from_slice(format!("{:x}\r\n", length + 8).as_bytes());
        body.extend_from_slice(&[stream, 0, 0, 0]);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(stamp.as_bytes());
        body.push(b' ');
        body.extend_from_slice(&self.text);
        body.extend_from_slice(b"\r\n");
    }
}

// The request line without the protocol's version.
fn request(from: &mut impl BufRead) -> Option<String> {
    let mut lines = from.lines();
    let first = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    Some(first.rsplit_once(' ')?.0.to_owned())
}

fn json(mut client: &UnixStream, status: u16, body: &str) -> std::io::Result<()> {
    let mut reply = String::new();
    let length = body.len();
    write!(reply, "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n").unwrap();
    write!(reply, "Content-Length: {length}\r\n\r\n{body}").unwrap();
    client.write_all(reply.as_bytes())
}

fn head(mut client: &UnixStream) -> std::io::Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn chunk(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n");
}

fn inspection(container: &Container) -> String {
    let Container { id, name, log_config, .. } = container;
    let (state, running) = container.state();
    format!(
        r#"{{"Id":"{id}","Name":"/{name}","Config":{{"Image":"fake","Labels":{{}},"Tty":false}},"HostConfig":{{"LogConfig":{log_config}}},"State":{{"Status":"{state}","Running":{running},"Restarting":false}}}}"#
    )
}

// Whether the reader has closed its end: nothing else comes from it while it reads.
fn has_left(mut client: &UnixStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let read = client.read(&mut [0]);
    client.set_nonblocking(false).unwrap();
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
