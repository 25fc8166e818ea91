//! Containers of the bench, started through the `docker` command. They are removed when their
//! value is dropped; all carry a label, by which a later run finds what an earlier one could not
//! remove.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::clean_up;

use super::sink::{DIGITS, MARKER};

const LABEL: &str = "downspout.bench";
/// How long a container may take to print everything.
const PRINTING_LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(200);
/// Commands beside each other when many containers are started or removed.
const AT_ONCE: usize = 4;
/// Containers that one command removes.
const BATCH: usize = 25;

/// json-file without rotation, whatever the engine's configuration says.
pub(crate) const JSON_FILE: &[&str] =
    &["--log-driver=json-file", "--log-opt=max-size=4g", "--log-opt=max-file=1"];

/// A container of this bench.
#[derive(Debug)]
pub(crate) struct Container {
    id: String,
}

impl Container {
    /// Starts one that runs a shell script; `options` come before the image.
    pub(crate) fn start(image: &str, options: &[&str], script: &str) -> Self {
        Self { id: run(image, options, script) }
    }

    /// Starts one that prints so many lines as fast as it can, and stays.
    pub(crate) fn print(image: &str, options: &[&str], lines: u64, line_bytes: usize) -> Self {
        let printing = printing("0", &lines.to_string(), 1, line_bytes);
        Self::start(image, options, &format!("{printing}; exec sleep 1000000"))
    }

    /// Waits until the last line is in the log.
    pub(crate) fn wait_until_printed(&self, lines: u64) {
        let last = format!("{MARKER}{:0DIGITS$} ", lines - 1);
        let started = Instant::now();
        while !docker(&["logs", "--tail=1", &self.id]).starts_with(&last) {
            assert!(started.elapsed() < PRINTING_LIMIT, "{} does not print {last}", self.id);
            thread::sleep(POLL);
        }
    }

    /// Waits until it has ended.
    pub(crate) fn wait_until_ended(&self) {
        docker(&["wait", &self.id]);
    }

    /// Where the engine writes its log.
    pub(crate) fn log_path(&self) -> PathBuf {
        docker(&["inspect", "--format={{.LogPath}}", &self.id]).trim().into()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(std::slice::from_ref(&self.id));
    }
}

/// Many containers.
#[derive(Debug)]
pub(crate) struct Fleet {
    ids: Vec<String>,
}

impl Fleet {
    /// Starts a container for each of the shell `scripts`, several at once. `options` come before
    /// the image.
    pub(crate) fn start(image: &str, options: &[&str], scripts: &[String]) -> Self {
        let ids: Vec<Mutex<String>> = scripts.iter().map(|_| Mutex::default()).collect();
        let next = AtomicUsize::new(0);
        // Removes what has started if one does not.
        let mut fleet = Self { ids: Vec::new() };
        let started = thread::scope(|scope| {
            let starting = || {
                let numbers = || next.fetch_add(1, Ordering::SeqCst);
                for index in std::iter::repeat_with(numbers).take_while(|n| *n < scripts.len()) {
                    *ids[index].lock().unwrap() = run(image, options, &scripts[index]);
                }
            };
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(starting)).collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Result<Vec<()>, _>>()
        });
        let ids = ids.into_iter().map(|id| id.into_inner().unwrap_or_default());
        fleet.ids.extend(ids.filter(|id| !id.is_empty()));
        assert!(
            started.is_ok(),
            "only {} of {} containers started",
            fleet.ids.len(),
            scripts.len()
        );
        fleet
    }

    /// Where the engine writes their logs, in the order of their scripts.
    pub(crate) fn log_paths(&self) -> Vec<PathBuf> {
        let mut arguments = vec!["inspect", "--format={{.LogPath}}"];
        arguments.extend(self.ids.iter().map(String::as_str));
        docker(&arguments).lines().map(PathBuf::from).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        remove(&self.ids);
    }
}

/// Removes what a run that was killed has left; says how many containers that were.
pub(crate) fn remove_left_overs() -> usize {
    let filter = format!("label={LABEL}");
    let ids = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    let ids: Vec<String> = ids.lines().map(str::to_owned).collect();
    remove(&ids);
    ids.len()
}

/// A shell command that prints the lines with each `step`th number from `first` to before `end` as
/// fast as it can; without their ends, they are so long.
pub(crate) fn printing(first: &str, end: &str, step: usize, line_bytes: usize) -> String {
    let padding = "x".repeat(line_bytes - MARKER.len() - DIGITS - 1);
    format!(
        "awk -v first={first} -v end={end} 'BEGIN {{ for (i = first + 0; i < end + 0; i += {step}) \
         printf \"{MARKER}%0{DIGITS}d {padding}\\n\", i }}'"
    )
}

/// Starts a container that runs a shell script; its id.
fn run(image: &str, options: &[&str], script: &str) -> String {
    clean_up::stop_here_if_ending();
    let label = format!("{LABEL}=1");
    let mut arguments = vec!["run", "--detach", "--label", &label, "--network=none"];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&[image, "sh", "-c", script]);
    docker(&arguments).trim().to_owned()
}

/// Removes containers, as far as they are there.
fn remove(ids: &[String]) {
    let batches: Vec<&[String]> = ids.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let removing = || {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::SeqCst)) {
            let mut command = Command::new("docker");
            drop(command.args(["rm", "--force", "--volumes"]).args(*batch).output());
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(removing);
        }
    });
}

/// Where the engine keeps the logs of its containers.
pub(crate) fn log_folder() -> PathBuf {
    PathBuf::from(docker(&["info", "--format={{.DockerRootDir}}"]).trim()).join("containers")
}

/// The engine's version.
pub(crate) fn engine_version() -> String {
    docker(&["version", "--format={{.Server.Version}}"]).trim().to_owned()
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker can be run");
    if !output.status.success() {
        clean_up::stop_here_if_ending();
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
