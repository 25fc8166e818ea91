//! What is measured: downspout, and beside it the receivers of the tests, set up to read the same
//! files and to send the same way. A shipper is stopped when its value is dropped.

mod configuration;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::clean_up;
use super::wire::{Address, Wire};

/// How long a shipper may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// From the agent's connection to Docker until it follows what is there.
const SETTLE: Duration = Duration::from_millis(500);

/// How downspout reads; it takes the best way if nothing is said.
const STRATEGY: &str = "DOWNSPOUT_STRATEGY";

/// A shipper that reads logs from outside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shipper {
    Downspout,
    /// Held to the engine's API.
    DownspoutApi,
    Rsyslog,
    SyslogNg,
}

/// Where things are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) agent: PathBuf,
    /// The scripts that run rsyslog and syslog-ng: `SCRIPT CONFIGURATION STATE`.
    pub(crate) receivers: PathBuf,
    /// Configurations, states and the shippers' own logs; an absolute path.
    pub(crate) folder: PathBuf,
}

/// What a shipper is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// The files of the logs, for those that read files.
    pub(crate) logs: &'a [PathBuf],
    /// Ship what was printed before; rsyslog and syslog-ng always do.
    pub(crate) backlog: bool,
    /// The receiver will go away.
    pub(crate) outage: bool,
    pub(crate) to: &'a Address,
}

impl Shipper {
    pub(crate) const ALL: [Self; 4] =
        [Self::Downspout, Self::DownspoutApi, Self::Rsyslog, Self::SyslogNg];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Downspout => "downspout",
            Self::DownspoutApi => "downspout, api",
            Self::Rsyslog => "rsyslog",
            Self::SyslogNg => "syslog-ng",
        }
    }

    /// How it reads and writes.
    pub(crate) fn way(self, wire: Wire) -> String {
        let reads = match self {
            Self::Downspout => "the files where they can be read, else the engine's API",
            Self::DownspoutApi => "the engine's API",
            Self::Rsyslog => "imfile",
            Self::SyslogNg => "file source",
        };
        let writes = match (self, wire) {
            (Self::Downspout | Self::DownspoutApi, Wire::Tcp) => "TCP, octet-counted",
            (Self::Downspout | Self::DownspoutApi, Wire::Tls) => "TLS, octet-counted",
            (Self::Downspout | Self::DownspoutApi, Wire::Relp) => "RELP",
            (Self::Downspout | Self::DownspoutApi, Wire::UnixStream) => "a unix stream",
            (Self::Rsyslog, Wire::Tcp) => "omfwd, octet-counted TCP",
            (Self::Rsyslog, Wire::Tls) => "omfwd, octet-counted TLS by OpenSSL",
            (Self::Rsyslog, Wire::Relp) => "omrelp",
            (Self::SyslogNg, Wire::Tcp) => "network(), TCP with line feeds",
            (Self::SyslogNg, Wire::Tls) => "network(), TLS with line feeds",
            (Self::SyslogNg, Wire::UnixStream) => "unix-stream(), with line feeds",
            (Self::Downspout | Self::DownspoutApi, Wire::CloudWatch { gzip: true }) => {
                "PutLogEvents, compressed"
            }
            (Self::Downspout | Self::DownspoutApi, Wire::CloudWatch { gzip: false }) => {
                "PutLogEvents, not compressed"
            }
            (Self::Rsyslog, Wire::UnixStream | Wire::CloudWatch { .. })
            | (Self::SyslogNg, Wire::Relp | Wire::CloudWatch { .. }) => "cannot",
        };
        format!("{reads} to {writes}")
    }

    pub(crate) fn is_downspout(self) -> bool {
        matches!(self, Self::Downspout | Self::DownspoutApi)
    }

    /// The first line of what it says of its version.
    pub(crate) fn version(self, places: &Places) -> String {
        let output = Command::new(self.program(places)).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = text.unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        line.trim_end_matches(" compiled with:").to_owned()
    }

    fn program(self, places: &Places) -> PathBuf {
        match self {
            Self::Downspout | Self::DownspoutApi => places.agent.clone(),
            Self::Rsyslog | Self::SyslogNg => places.receivers.join(self.name()),
        }
    }

    /// Starts it with nothing remembered of earlier runs.
    pub(crate) fn start(self, places: &Places, order: &Order<'_>) -> Running {
        let folder = places.folder.join(self.name());
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let said = folder.join("said.log");
        let log = File::create(&said).unwrap();
        let mut command = Command::new(self.program(places));
        if self.is_downspout() {
            command
                .arg(order.to.route())
                .envs(order.to.environment().iter().copied())
                .env("DOWNSPOUT_STATE_DIR", folder.join("state"))
                .env("DOWNSPOUT_BACKLOG", order.backlog.to_string())
                .env("DOWNSPOUT_HTTP", "off")
                .env_remove(STRATEGY);
        } else {
            let configuration = folder.join("configuration");
            fs::write(&configuration, self.configuration(order, &folder)).unwrap();
            command.arg(configuration).arg(&folder);
        }
        if self == Self::DownspoutApi {
            command.env(STRATEGY, "api");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let started = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        clean_up::remember(child.id());
        Running { child, said, started }
    }

    /// Starts it, and waits until it can see containers.
    pub(crate) fn start_following(self, places: &Places, order: &Order<'_>) -> Running {
        let running = self.start(places, order);
        if self.is_downspout() {
            running.wait_for("connected to Docker");
            std::thread::sleep(SETTLE);
        }
        running
    }
}

/// A shipper that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    said: PathBuf,
    pub(crate) started: Instant,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard output and error.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Waits until it has said `word`.
    pub(crate) fn wait_for(&self, word: &str) {
        let started = Instant::now();
        while !self.said().contains(word) {
            assert!(started.elapsed() < STOP_LIMIT, "never said '{word}': {}", self.said());
            std::thread::sleep(POLL);
        }
    }

    fn stop(&mut self) -> std::io::Result<()> {
        Command::new("kill").arg(self.pid().to_string()).output()?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_LIMIT {
                self.child.kill()?;
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop());
        clean_up::forget(self.pid());
    }
}
