//! The agent as a child process: started with exactly the settings given, watched through its
//! log, its metrics and `/proc`, and never left behind.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::numbers::{Expected, Stream, text};
use super::receiver::Inbox;
use super::{SOON, check, until};

/// The host name that the tests' agents put on the wire.
pub const HOST: &str = "test-host";

/// Where an agent is to read logs that it could read in both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// From the engine's files, as it does by default.
    File,
    /// From the engine's streams.
    Api,
}

impl Strategy {
    /// For the names of containers.
    pub fn name(self) -> &'static str {
        if self == Self::File { "file" } else { "api" }
    }
}

/// Settings of an agent that is yet to be started.
pub struct Launch {
    command: Command,
}

impl Launch {
    /// An empty environment, but for an HTTP port of its own, a known host name, and no positions
    /// from or for another run.
    pub fn new() -> Self {
        Self::of(env!("CARGO_BIN_EXE_downspout"))
    }

    /// The same with logspout's variables, as its users have them in their files.
    pub fn as_logspout() -> Self {
        let variables = [
            ("SYSLOG_FORMAT", "rfc5424"),
            ("SYSLOG_TCP_FRAMING", "traditional"),
            ("SYSLOG_HOSTNAME", "{{.Container.Config.Hostname}}"),
            ("SYSLOG_TAG", "{{.ContainerName}}"),
            ("RETRY_COUNT", "0"),
            ("INACTIVITY_TIMEOUT", "1m"),
        ];
        variables.iter().fold(Self::new(), |launch, (name, value)| launch.env(name, value))
    }

    /// The agent as it is released if `AGENT_BINARY` says where that is, as `make test` does: for
    /// tests of what it costs.
    pub fn optimised() -> Self {
        Self::of(released().as_deref().unwrap_or(env!("CARGO_BIN_EXE_downspout")))
    }

    /// Whether `optimised` knows the agent as it is released.
    pub fn is_optimised() -> bool {
        released().is_some()
    }

    /// An agent that may have so many files open unless it asks for more.
    pub fn with_open_files(soft: u32) -> Self {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={soft}:")).arg(env!("CARGO_BIN_EXE_downspout"));
        Self::by(command)
    }

    /// An agent that may open what its user may, also if that is root.
    pub fn without_override() -> Self {
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Self::new();
        }
        let mut command = Command::new("setpriv");
        command.arg("--bounding-set=-dac_override,-dac_read_search");
        command.arg(env!("CARGO_BIN_EXE_downspout"));
        Self::by(command)
    }

    /// An agent of nobody's with the group of Docker's socket and one capability.
    pub fn unprivileged(capability: &str) -> Self {
        let group = std::fs::metadata("/var/run/docker.sock").unwrap().gid();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--no-new-privs"]);
        command.arg(format!("--groups={group}"));
        for set in ["inh-caps", "ambient-caps", "bounding-set"] {
            command.arg(format!("--{set}=-all,+{capability}"));
        }
        command.arg(env!("CARGO_BIN_EXE_downspout"));
        Self::by(command)
    }

    fn of(binary: &str) -> Self {
        Self::by(Command::new(binary))
    }

    fn by(mut command: Command) -> Self {
        command.env_clear();
        Self { command }
            .env("DOWNSPOUT_HTTP", "127.0.0.1:0")
            .env("DOWNSPOUT_HOSTNAME", HOST)
            .env("DOWNSPOUT_STATE_DIR", "off")
    }

    /// An agent that sees `hosts` in the place of `/etc/hosts`, and what becomes of that file; it
    /// ships what `Agent::feed` gives it.
    pub fn fed_with_hosts(hosts: &Path) -> Self {
        Self::fed_with(hosts, "/etc/hosts")
    }

    /// An agent that sees this folder in the place of `/etc`; it ships what `Agent::feed` gives it.
    pub fn fed_with_etc(folder: &Path) -> Self {
        Self::fed_with(folder, "/etc")
    }

    fn fed_with(own: &Path, place: &str) -> Self {
        // Only its own mounts change; who is not root becomes so in a user namespace.
        let rootless = std::fs::metadata("/proc/self").unwrap().uid() != 0;
        let mut command = Command::new("unshare");
        command.args(if rootless { &["--map-root-user", "--mount"][..] } else { &["--mount"] });
        command.args(["sh", "-c", "mount --bind \"$0\" \"$1\" && shift && exec \"$@\""]);
        command.arg(own).arg(place).arg(env!("CARGO_BIN_EXE_downspout"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).stdin(Stdio::piped());
        Self { command }
            .env("DOWNSPOUT_HTTP", "127.0.0.1:0")
            .env("DOWNSPOUT_HOSTNAME", HOST)
            .env("DOWNSPOUT_SOURCE", "replay:-")
    }

    /// An agent that is `fed`, and told by `WATCHDOG_PID` that the watchdog is its own, as systemd
    /// does it.
    pub fn by_itself() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_downspout")]);
        let mut launch = Self::by(command).env("DOWNSPOUT_SOURCE", "replay:-");
        launch.command.stdin(Stdio::piped());
        launch
    }

    /// An agent that ships the numbered lines of a file and exits.
    pub fn replaying(path: &Path) -> Self {
        Self::new().env("DOWNSPOUT_SOURCE", format!("replay:{}", path.display()))
    }

    /// An agent that ships what `Agent::feed` gives it, until `Agent::end_of_input`.
    pub fn fed() -> Self {
        let mut launch = Self::new().env("DOWNSPOUT_SOURCE", "replay:-");
        launch.command.stdin(Stdio::piped());
        launch
    }

    /// Sets one variable.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Says where logs are to be read.
    pub fn strategy(self, strategy: Strategy) -> Self {
        self.env("DOWNSPOUT_STRATEGY", if strategy == Strategy::File { "auto" } else { "api" })
    }

    /// Appends an argument: a route, a flag or a sub-command.
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Starts the agent without waiting for anything.
    pub fn start(mut self) -> Agent {
        let command = self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the agent's binary starts");
        Agent {
            stdin: child.stdin.take(),
            stdout: Capture::of(child.stdout.take().expect("piped")),
            stderr: Capture::of(child.stderr.take().expect("piped")),
            child,
        }
    }

    /// Starts the agent and waits until its source and all its destinations are there.
    #[track_caller]
    pub fn ready(self) -> Agent {
        let mut agent = self.start();
        agent.wait_ready();
        agent
    }

    /// Runs the agent to its own end.
    #[track_caller]
    pub fn finish(self) -> Finished {
        self.start().finish(SOON)
    }
}

/// Status and body of a page of an agent that listens there.
pub fn page(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let whole = reply.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    whole.ok_or_else(|| std::io::Error::other(format!("not a whole reply: {reply:?}")))
}

fn released() -> Option<String> {
    std::env::var("AGENT_BINARY").ok().filter(|path| !path.is_empty())
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
    /// From the call to the end.
    pub took: Duration,
}

/// A running agent. Dropping it kills it and, in a test that failed, prints its log.
pub struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
}

impl Agent {
    /// All it has logged so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// All it has written to its standard output so far.
    pub fn output(&self) -> String {
        self.stdout.text()
    }

    /// Waits for a line of its log.
    #[track_caller]
    pub fn logged(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        until(what, SOON, || {
            let log = self.stderr.text();
            if let Some(line) = log.lines().find(|line| wanted(line)) {
                return Ok(line.to_owned());
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{what}: the agent ended with {ended:?}; its log:\n{log}");
            Err("no such line in its log".to_owned())
        })
    }

    /// Waits until its page says that its source and all its destinations are there.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        self.logged("the HTTP server is up", |line| line.contains("address="));
        until("the agent is ready", SOON, || {
            let (status, body) = self.page("/readyz");
            check(status == 200, || format!("{status} {body}"))
        });
    }

    /// Where its HTTP server listens.
    #[track_caller]
    pub fn http(&self) -> SocketAddr {
        until("the log names the HTTP address", SOON, || {
            let log = self.stderr.text();
            let word = log.split_whitespace().find_map(|word| word.strip_prefix("address="));
            let address = word.and_then(|word| word.trim_matches('"').parse().ok());
            address.ok_or_else(|| format!("no word address=IP:PORT in {log:?}"))
        })
    }

    /// Status and body of one of its pages.
    #[track_caller]
    pub fn page(&self, path: &str) -> (u16, String) {
        page(self.http(), path).expect("the HTTP server answers")
    }

    /// One scrape.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let (status, body) = self.page("/metrics");
        assert_eq!(status, 200, "{body}");
        Metrics::parse(&body)
    }

    /// It reads logs from where it should. Other tests' containers may have no files. Waits: one
    /// that was started after all has arrived may not have looked at a log yet.
    #[track_caller]
    pub fn assert_read_by(&self, strategy: Strategy) {
        until("it reads logs", SOON, || {
            let metrics = self.metrics();
            let [files, refused, streams] =
                ["log_files_opened_total", "log_files_refused_total", "log_streams_opened_total"]
                    .map(|family| metrics.value(family));
            let (wanted, unwanted) = match strategy {
                Strategy::File => (files, refused),
                Strategy::Api => (streams, files),
            };
            let found = format!(
                "{strategy:?}: {files} files and {streams} streams were opened, {refused} files \
                 refused (only root can read the engine's files)"
            );
            assert!(unwanted == 0, "{found}");
            check(wanted > 0, || found)
        });
    }

    /// Scrapes until `wanted` holds.
    #[track_caller]
    pub fn wait_for(&self, what: &str, bound: Duration, wanted: impl Fn(&Metrics) -> bool) {
        until(what, bound, || {
            let metrics = self.metrics();
            check(wanted(&metrics), || format!("{metrics:#?}"))
        });
    }

    /// Scrapes until every line that was read for `destination` is delivered or dropped, and the
    /// balance of the counters closes.
    #[track_caller]
    pub fn assert_balance(&self, destination: &str) {
        until("read = delivered + dropped, nothing in flight", SOON, || {
            let metrics = self.metrics();
            let [read, delivered, dropped, in_flight] = [
                "lines_read_total",
                "lines_delivered_total",
                "lines_dropped_total",
                "lines_in_flight",
            ]
            .map(|family| metrics.of(family, destination));
            check(in_flight == 0 && read == delivered + dropped && read > 0, || {
                format!("{read} = {delivered} + {dropped} + {in_flight} does not hold")
            })
        });
    }

    /// Gives lines to an agent that is `fed`.
    #[track_caller]
    pub fn feed(&mut self, lines: &str) {
        let stdin = self.stdin.as_mut().expect("an agent started with `fed`");
        stdin.write_all(lines.as_bytes()).expect("the agent reads its standard input");
    }

    /// Gives lines to an agent that is `fed`, about 10,000 a second, and ends its input.
    pub fn feed_slowly(&mut self, lines: String) -> std::thread::JoinHandle<()> {
        let mut input = self.take_input();
        std::thread::spawn(move || {
            let lines: Vec<&str> = lines.split_inclusive('\n').collect();
            for burst in lines.chunks(100) {
                input.write_all(burst.concat().as_bytes()).expect("the agent reads");
                std::thread::sleep(Duration::from_millis(10));
            }
        })
    }

    /// Gives line `number` of `web-1` to an agent that is `fed`, and waits until it has come, as
    /// all before it.
    #[track_caller]
    pub fn ship_line(&mut self, number: u64, expected: &mut Expected, inbox: &Inbox) {
        self.feed(&format!("web-1 stdout {}\n", text(Stream::Out, number, 60)));
        expected.add("web-1", Stream::Out, 1..=number);
        inbox.wait_complete(expected, SOON);
    }

    /// Takes the agent's standard input away, to feed it from another thread.
    pub fn take_input(&mut self) -> ChildStdin {
        self.stdin.take().expect("an agent started with `fed`")
    }

    /// Ends the input of an agent that is `fed`.
    pub fn end_of_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill exists").success(), "the agent has ended already");
    }

    /// Does something while the agent stands still.
    #[track_caller]
    pub fn frozen(&self, change: impl FnOnce()) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        until("all threads stand still", SOON, || {
            let states = std::fs::read_dir(&tasks).unwrap().map(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
                stat.rsplit_once(") ").unwrap().1.chars().next()
            });
            let states: Vec<_> = states.collect();
            check(states.iter().all(|state| *state == Some('T')), || format!("{states:?}"))
        });
        change();
        self.signal("CONT");
    }

    /// Sends SIGTERM and waits for the end, which must come as the shutdown time-out says.
    #[track_caller]
    pub fn terminate(self) -> Finished {
        self.signal("TERM");
        self.finish(SOON)
    }

    /// Waits for the end.
    #[track_caller]
    pub fn finish(mut self, bound: Duration) -> Finished {
        let start = Instant::now();
        let status: ExitStatus = until("the agent ends", bound, || {
            self.child.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
        });
        Finished {
            code: status.code(),
            took: start.elapsed(),
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
        }
    }

    /// True until it has ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its peak resident memory in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }

    /// Address space that it reserved and cannot touch: 64 MiB less what is used for each arena of
    /// glibc's but the first, and some KiB for each stack.
    pub fn reserved_bytes(&self) -> u64 {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap();
        let reserved = maps.lines().filter(|line| line.split(' ').nth(1) == Some("---p"));
        let bytes = |line: &str| {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            u64::from_str_radix(to, 16).unwrap() - u64::from_str_radix(from, 16).unwrap()
        };
        reserved.map(bytes).sum()
    }

    /// Its CPU time so far.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: Vec<u64> =
            fields.split_whitespace().skip(11).take(2).map(|f| f.parse().unwrap()).collect();
        Duration::from_millis(ticks.iter().sum::<u64>() * 10)
    }

    /// How many descriptors it has open.
    pub fn open_descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- the agent's log ---\n{}-----------------------", self.stderr.whole());
        }
    }
}

/// What a child writes, collected by a thread.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Capture {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = bytes.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, thread: Some(thread) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    // All of it, once the child has ended.
    fn whole(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        self.text()
    }
}

/// One scrape: every series with its labels and value.
#[derive(Debug)]
pub struct Metrics(Vec<Series>);

#[derive(Debug)]
struct Series {
    family: String,
    labels: BTreeMap<String, String>,
    value: u64,
}

impl Metrics {
    /// The sum of a family (without the prefix `downspout_`) over the series of one destination.
    #[track_caller]
    pub fn of(&self, family: &str, destination: &str) -> u64 {
        self.sum(family, |labels| labels.get("destination").is_some_and(|d| d == destination))
    }

    /// The sum of a family over the series of one destination whose label has this value; 0 if
    /// there are none.
    pub fn labelled(&self, family: &str, destination: &str, label: (&str, &str)) -> u64 {
        let has = |series: &&Series, (name, value): (&str, &str)| {
            series.labels.get(name).is_some_and(|own| own == value)
        };
        let own = self.0.iter().filter(|series| series.family == family);
        let own = own.filter(|series| has(series, ("destination", destination)));
        own.filter(|series| has(series, label)).map(|series| series.value).sum()
    }

    /// The series of a family with exactly these labels; `None` if there is none.
    pub fn series(&self, family: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let labels: BTreeMap<String, String> = labels.collect();
        let own = |series: &&Series| series.family == family && series.labels == labels;
        self.0.iter().find(own).map(|series| series.value)
    }

    /// The only series of a family without labels.
    #[track_caller]
    pub fn value(&self, family: &str) -> u64 {
        self.sum(family, BTreeMap::is_empty)
    }

    #[track_caller]
    fn sum(&self, family: &str, wanted: impl Fn(&BTreeMap<String, String>) -> bool) -> u64 {
        let wanted = |series: &&Series| series.family == family && wanted(&series.labels);
        let values: Vec<u64> = self.0.iter().filter(wanted).map(|series| series.value).collect();
        assert!(!values.is_empty(), "no series of downspout_{family} fits in {self:#?}");
        values.iter().sum()
    }

    /// What a page `/metrics` holds.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| line.starts_with("downspout_"));
        Self(
            lines
                .map(|line| series(line).unwrap_or_else(|| panic!("not a series: {line}")))
                .collect(),
        )
    }
}

fn series(line: &str) -> Option<Series> {
    let (head, value) = line.rsplit_once(' ')?;
    let (family, labels) = match head.split_once('{') {
        Some((family, labels)) => (family, labels.strip_suffix('}')?),
        None => (head, ""),
    };
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once("=\"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    };
    let value: f64 = value.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of lines")]
    let value = value as u64;
    Some(Series {
        family: family.strip_prefix("downspout_")?.to_owned(),
        labels: pairs.map(pair).collect::<Option<_>>()?,
        value,
    })
}
