//! What is measured: downspout, and beside it the receivers of the tests, set up to read the same
//! file and to send the same way. A shipper is stopped when its value is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::clean_up;

/// How long a shipper may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// From the agent's connection to Docker until it follows what is there.
const SETTLE: Duration = Duration::from_millis(500);

/// What rsyslog needs to live through an outage: without it, messages go after the first failure.
const RSYSLOG_QUEUE: &str = "\n  queue.type=\"LinkedList\" queue.size=\"200000\" \
    queue.filename=\"outage\" queue.maxDiskSpace=\"1g\" queue.saveOnShutdown=\"on\"\n  \
    action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\"";
/// Messages: the default queue of a destination of syslog-ng, and the default window of a source.
const SYSLOG_NG_ROOM: usize = 10_000;
const SYSLOG_NG_WINDOW: usize = 100;

/// A shipper that reads logs from outside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shipper {
    Downspout,
    Rsyslog,
    SyslogNg,
}

/// Where things are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) agent: PathBuf,
    /// The scripts that run rsyslog and syslog-ng: `SCRIPT CONFIGURATION STATE`.
    pub(crate) receivers: PathBuf,
    /// Configurations, states and the shippers' own logs.
    pub(crate) folder: PathBuf,
}

/// What a shipper is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// The files of the logs, for those that read files.
    pub(crate) logs: &'a [PathBuf],
    /// Ship what was printed before; those that read files always do.
    pub(crate) backlog: bool,
    /// The receiver will go away.
    pub(crate) outage: bool,
    pub(crate) port: u16,
}

impl Shipper {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Downspout => "downspout",
            Self::Rsyslog => "rsyslog",
            Self::SyslogNg => "syslog-ng",
        }
    }

    /// How it reads and writes.
    pub(crate) fn way(self) -> &'static str {
        match self {
            Self::Downspout => "Docker's API to octet-counted TCP",
            Self::Rsyslog => "imfile to omfwd, octet-counted TCP",
            Self::SyslogNg => "file source to network(), TCP with line feeds",
        }
    }

    /// The first line of what it says of its version.
    pub(crate) fn version(self, places: &Places) -> String {
        let output = Command::new(self.program(places)).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    }

    fn program(self, places: &Places) -> PathBuf {
        match self {
            Self::Downspout => places.agent.clone(),
            Self::Rsyslog | Self::SyslogNg => places.receivers.join(self.name()),
        }
    }

    /// Starts it with nothing remembered of earlier runs.
    pub(crate) fn start(self, places: &Places, order: &Order<'_>) -> Running {
        let folder = places.folder.join(self.name());
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        let said = folder.join("said.log");
        let log = File::create(&said).unwrap();
        let mut command = Command::new(self.program(places));
        match self {
            Self::Downspout => {
                command
                    .arg(format!("syslog+tcp://127.0.0.1:{}", order.port))
                    .env("DOWNSPOUT_STATE_DIR", folder.join("state"))
                    .env("DOWNSPOUT_BACKLOG", order.backlog.to_string())
                    .env("DOWNSPOUT_HTTP", "off");
            }
            Self::Rsyslog | Self::SyslogNg => {
                let configuration = folder.join("configuration");
                fs::write(&configuration, self.configuration(order, &folder)).unwrap();
                command.arg(configuration).arg(&folder);
            }
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
        if self == Self::Downspout {
            running.wait_for("connected to Docker");
            std::thread::sleep(SETTLE);
        }
        running
    }

    /// For an outage, both try again after a second and for ever, and have room for what comes
    /// meanwhile: rsyslog in a queue, syslog-ng in the files, which it stops reading.
    fn configuration(self, order: &Order<'_>, folder: &Path) -> String {
        let Order { logs, port, .. } = *order;
        let folder = folder.display();
        let each = |input: &dyn Fn(std::path::Display<'_>) -> String| -> String {
            logs.iter().map(|log| input(log.display())).collect()
        };
        if self == Self::Rsyslog {
            let inputs = each(&|log| {
                format!("input(type=\"imfile\" File=\"{log}\" Tag=\"bench:\" Severity=\"info\")\n")
            });
            return format!(
                "global(workDirectory=\"{folder}\")\n\
                 module(load=\"imfile\")\n{inputs}\
                 action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\"\n  \
                 TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\"{})\n",
                if order.outage { RSYSLOG_QUEUE } else { "" },
            );
        }
        let sources = each(&|log| format!("  file(\"{log}\" flags(no-parse));\n"));
        // It wants room for what each source may have under way.
        let room = SYSLOG_NG_ROOM.max(SYSLOG_NG_WINDOW * logs.len());
        format!(
            "@version: current\n\
             source bench {{\n{sources}}};\n\
             destination sink {{\n  \
             network(\"127.0.0.1\" port({port}) transport(\"tcp\") flags(syslog-protocol)\n  \
             log-fifo-size({room}){});\n}};\n\
             log {{ source(bench); destination(sink); flags(flow-control); }};\n",
            if order.outage { " time-reopen(1)" } else { "" },
        )
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
