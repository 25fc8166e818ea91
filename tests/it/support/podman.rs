//! Podman's service with Docker's API, from Debian's package: in a folder of its own with its own
//! store, so that it shares nothing with a Podman of the machine.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::engine::{Engine, IMAGE};
use super::{SOON, until};

/// A running service. Dropping it removes its containers and ends it.
pub struct Podman {
    child: Option<Child>,
    directory: tempfile::TempDir,
}

impl Podman {
    /// Starts it, with the image of the sample containers in its store. Needs root.
    #[track_caller]
    pub fn start() -> Self {
        let mut podman = Self { child: None, directory: tempfile::tempdir().unwrap() };
        podman.configure();
        let archive = podman.path("image.tar");
        Engine::docker(&["save", "--output", &archive, IMAGE]);
        let policy = installed("etc/containers/policy.json").display().to_string();
        podman.run(&["load", "--quiet", "--signature-policy", &policy, "--input", &archive]);
        let log = File::create(podman.path("service.log")).unwrap();
        let service = ["system", "service", "--time=0", &podman.docker_host()];
        let mut command = podman.command(&service);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        podman.child = Some(command.spawn().unwrap());
        until("Podman answers", SOON, || {
            let ended = podman.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended, {ended:?}: {}", podman.log());
            UnixStream::connect(podman.path("podman.sock")).map(drop).map_err(|e| e.to_string())
        });
        podman
    }

    /// The value for `DOCKER_HOST`.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.path("podman.sock"))
    }

    /// Starts a container in the background with a shell script.
    #[track_caller]
    pub fn container(&self, name: &str, driver: &str, script: &str) {
        let driver = format!("--log-driver={driver}");
        let image = format!("localhost/{IMAGE}");
        let options = ["run", "--detach", "--name", name, "--network=none", &driver];
        self.run(&[&options[..], &[&image, "sh", "-c", script]].concat());
    }

    /// Runs a command that must succeed; returns what it printed, on either stream.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {arguments:?}: {error}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    }

    // Into files: what monitors a container keeps the command's pipes open.
    fn output(&self, arguments: &[&str]) -> Output {
        let [out, err] = ["out", "err"].map(|name| self.path(name));
        let mut command = self.command(arguments);
        command.stdin(Stdio::null());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let status = command.status().unwrap();
        let read = |path: &String| std::fs::read(path).unwrap();
        Output { status, stdout: read(&out), stderr: read(&err) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(installed("usr/bin/podman"));
        let libraries = installed("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
        command.env("LD_LIBRARY_PATH", libraries);
        command.env("CONTAINERS_CONF", self.path("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", self.path("storage.conf"));
        command.env("CONTAINERS_REGISTRIES_CONF", installed("etc/containers/registries.conf"));
        for (option, folder) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(format!("{option}={}", self.path(folder)));
        }
        command.args(arguments);
        command
    }

    // cgroupfs and a file of events, since there may be no systemd; limits that are not higher than
    // the test's own, which nobody may raise; vfs, which runs on every file system.
    fn configure(&self) {
        let place = |path: &str| installed(path).display().to_string();
        let settings = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
             conmon_path = [\"{}\"]\nruntime = \"runc\"\n\
             [engine.runtimes]\nrunc = [\"/usr/sbin/runc\", \"/usr/bin/runc\", \"{}\"]\n",
            place("usr/bin/conmon"),
            place("usr/sbin/runc"),
        );
        std::fs::write(self.path("containers.conf"), settings).unwrap();
        let [run, root] = ["run", "root"].map(|name| self.path(name));
        let storage =
            format!("[storage]\ndriver = \"vfs\"\nrunroot = \"{run}\"\ngraphroot = \"{root}\"\n");
        std::fs::write(self.path("storage.conf"), storage).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.path("service.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Podman's log ---\n{}--------------------", self.log());
        }
        let removed = self.output(&["rm", "--all", "--force", "--time=0"]);
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        let well = removed.status.success() || std::thread::panicking();
        assert!(well, "containers of Podman are left: {removed:?}");
    }
}

#[track_caller]
fn installed(path: &str) -> PathBuf {
    let ours = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/podman");
    let folder = std::env::var_os("PODMAN").map_or_else(ours, PathBuf::from);
    let path = folder.join(path);
    assert!(folder.exists(), "there is no {}: deploy/setup/podman.sh brings it", path.display());
    path
}
