//! Containers on the real engine, through its command line. Everything that a test makes carries
//! the test's label and is removed when the test ends, also when it fails.

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Debian's static busybox as an image: nothing is pulled.
pub const IMAGE: &str = "downspout/busybox:test";

/// No docker command of a test may take longer.
const COMMAND_SECONDS: &str = "60";

/// Tests that use the engine share it, but for those that need it for themselves.
static TURN: RwLock<()> = RwLock::new(());

/// The containers of one test.
pub struct Engine {
    prefix: String,
    _turn: Turn,
}

#[expect(dead_code, reason = "held, not read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Engine {
    /// `name` becomes part of the containers' names. Makes the image if it is missing.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Self::at_turn(name, Turn::Shared(TURN.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// While no other test uses the engine: for containers that live for some milliseconds, whose
    /// logs go with them.
    #[track_caller]
    pub fn alone(name: &str) -> Self {
        Self::at_turn(name, Turn::Alone(TURN.write().unwrap_or_else(PoisonError::into_inner)))
    }

    #[track_caller]
    fn at_turn(name: &str, turn: Turn) -> Self {
        static IMAGE_MADE: OnceLock<()> = OnceLock::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        IMAGE_MADE.get_or_init(make_image);
        let count = COUNT.fetch_add(1, SeqCst);
        Self { prefix: format!("it-{name}-{}-{count}", std::process::id()), _turn: turn }
    }

    /// The full name of one of the test's containers.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// A route that takes this test's containers only. What it counts and loses is then the test's:
    /// containers of others rotate their logs, and have labels that bound their rate.
    pub fn only(&self, route: &str) -> String {
        let mark = if route.contains('?') { '&' } else { '?' };
        format!("{route}{mark}select.name={}", self.name("*"))
    }

    /// What marks the test's containers, so that they go when the test ends.
    pub fn label(&self) -> String {
        format!("downspout-test={}", self.prefix)
    }

    /// A container that is yet to be started.
    pub fn container(&self, name: &str) -> Start {
        let name = self.name(name);
        let label = self.label();
        let options = ["--name", &name, "--label", &label, "--network", "none"];
        Start { options: options.map(str::to_owned).to_vec(), name }
    }

    /// Runs a docker command that must succeed; returns what it printed.
    #[track_caller]
    pub fn docker(arguments: &[&str]) -> String {
        let output = docker(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let error = text(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {}: {error}", output.status);
        text(&output.stdout)
    }

    /// Waits until a container has ended; returns its exit code.
    #[track_caller]
    pub fn wait(name: &str) -> String {
        Self::docker(&["wait", name])
    }

    /// `Err` with the reason if containers with this log driver cannot run here or not be read.
    pub fn can_read(&self, driver: &str) -> Result<(), String> {
        static KNOWN: Mutex<Option<HashMap<String, Result<(), String>>>> = Mutex::new(None);
        let mut known = KNOWN.lock().unwrap();
        let known = known.get_or_insert_default();
        known.entry(driver.to_owned()).or_insert_with(|| self.try_driver(driver)).clone()
    }

    fn try_driver(&self, driver: &str) -> Result<(), String> {
        let plugins = Self::docker(&["info", "--format", "{{join .Plugins.Log \" \"}}"]);
        if !plugins.split(' ').any(|plugin| plugin == driver) {
            return Err(format!("the engine offers only {plugins}"));
        }
        let probe = self.container(&format!("probe-{driver}")).driver(driver);
        let run = docker(&probe.arguments(&["-d"], &["echo", "here"]));
        if !run.status.success() {
            return Err(String::from_utf8_lossy(&run.stderr).into_owned());
        }
        Self::wait(&probe.name);
        let logs = docker(&["logs", &probe.name]);
        super::check(logs.stdout == b"here\n", || String::from_utf8_lossy(&logs.stderr).into())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let filter = format!("label={}", self.label());
        let list = docker(&["ps", "-aq", "--filter", &filter]);
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        let ids: Vec<&str> = list.split_whitespace().collect();
        if !ids.is_empty() {
            docker(&[&["rm", "-f"], &ids[..]].concat());
        }
    }
}

/// A container that is yet to be started.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its full name.
    pub name: String,
    options: Vec<String>,
}

impl Start {
    /// Adds an option of `docker run`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Chooses the log driver.
    pub fn driver(self, driver: &str) -> Self {
        self.option(&format!("--log-driver={driver}"))
    }

    /// Starts it in the background with a shell script; returns its name.
    #[track_caller]
    pub fn run(self, script: &str) -> String {
        let output = docker(&self.arguments(&["-d"], &["sh", "-c", script]));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} does not start: {error}", self.name);
        self.name
    }

    /// Creates it with a shell script without starting it; returns its id, which is its name too.
    #[track_caller]
    pub fn create(self, script: &str) -> String {
        let mut arguments = vec!["create"];
        arguments.extend(self.options.iter().map(String::as_str));
        arguments.extend([IMAGE, "sh", "-c", script]);
        Engine::docker(&arguments)
    }

    /// Runs a shell script to its end and returns what the command line printed.
    #[track_caller]
    pub fn run_in_foreground(self, script: &str) -> Output {
        let output = docker(&self.arguments(&[], &["sh", "-c", script]));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", self.name);
        output
    }

    fn arguments<'a>(&'a self, more: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["run"];
        arguments.extend(more);
        arguments.extend(self.options.iter().map(String::as_str));
        arguments.push(IMAGE);
        arguments.extend(command);
        arguments
    }
}

/// Runs a docker command within a bounded time.
pub fn docker<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    let mut command = Command::new("timeout");
    command.args([COMMAND_SECONDS, "docker"]).args(arguments).stdin(Stdio::null());
    command.output().expect("coreutils and the docker command line are installed (make setup)")
}

fn make_image() {
    let ping = docker(&["version", "--format", "{{.Server.Version}}"]);
    let error = String::from_utf8_lossy(&ping.stderr).into_owned();
    assert!(ping.status.success(), "these tests need a Docker engine (start dockerd): {error}");
    if docker(&["image", "inspect", IMAGE]).status.success() {
        return;
    }
    let busybox = "/bin/busybox";
    let list = Command::new(busybox).arg("--list").output();
    let list = list.expect("these tests need busybox: apt-get install busybox-static");
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("bin")).unwrap();
    std::fs::create_dir(root.path().join("tmp")).unwrap();
    std::fs::copy(busybox, root.path().join("bin/busybox")).unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines().filter(|name| *name != "busybox")
    {
        symlink("busybox", root.path().join("bin").join(applet)).unwrap();
    }
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(root.path()).args(["-c", "."]);
    let mut tar = tar.stdout(Stdio::piped()).spawn().unwrap();
    let archive = tar.stdout.take().unwrap();
    let import = Command::new("docker").args(["import", "-", IMAGE]).stdin(archive).output();
    let import = import.unwrap();
    assert!(tar.wait().unwrap().success() && import.status.success(), "{import:?}");
}
