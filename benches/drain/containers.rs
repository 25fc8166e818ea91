//! Containers that print numbered lines, started through the `docker` command. Each is removed
//! when its value is dropped; all carry a label, by which a later run finds what an earlier one
//! could not remove.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::sink::{DIGITS, MARKER};

const LABEL: &str = "downspout.bench";
/// How long a container may take to print everything.
const PRINTING_LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(200);

/// What a container does with its lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printing<'a> {
    pub(crate) image: &'a str,
    pub(crate) lines: u64,
    pub(crate) line_bytes: usize,
    /// Goes on sleeping when all is printed.
    pub(crate) stays: bool,
    pub(crate) driver: &'a [&'a str],
}

/// json-file without rotation, whatever the engine's configuration says.
pub(crate) const JSON_FILE: &[&str] =
    &["--log-driver=json-file", "--log-opt=max-size=4g", "--log-opt=max-file=1"];

/// A container of this bench.
#[derive(Debug)]
pub(crate) struct Container {
    id: String,
}

impl Container {
    /// Starts it; it prints as fast as it can.
    pub(crate) fn start(printing: &Printing<'_>) -> Self {
        let Printing { image, lines, line_bytes, stays, driver } = *printing;
        let padding = "x".repeat(line_bytes - MARKER.len() - DIGITS - 1);
        let program = format!(
            "BEGIN {{ for (i = 0; i < {lines}; i++) printf \"{MARKER}%0{DIGITS}d {padding}\\n\", i }}"
        );
        let after = if stays { "exec sleep 100000" } else { "true" };
        let script = format!("awk '{program}'; {after}");
        let label = format!("{LABEL}=1");
        let mut arguments = vec!["run", "--detach", "--label", &label, "--network=none"];
        arguments.extend_from_slice(driver);
        arguments.extend_from_slice(&[image, "sh", "-c", &script]);
        Self { id: docker(&arguments).trim().to_owned() }
    }

    /// Waits until the last line is in the log.
    pub(crate) fn wait_until_printed(&self, lines: u64) {
        let last = format!("{MARKER}{:0DIGITS$} ", lines - 1);
        let started = Instant::now();
        while !docker(&["logs", "--tail=1", &self.id]).starts_with(&last) {
            assert!(started.elapsed() < PRINTING_LIMIT, "{} does not print {last}", self.id);
            std::thread::sleep(POLL);
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
        let removed =
            Command::new("docker").args(["rm", "--force", "--volumes", &self.id]).output();
        drop(removed);
    }
}

/// Removes what a run that was killed has left.
pub(crate) fn remove_left_overs() {
    let filter = format!("label={LABEL}");
    for id in docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]).lines() {
        drop(Container { id: id.to_owned() });
    }
}

/// The engine's version.
pub(crate) fn engine_version() -> String {
    docker(&["version", "--format={{.Server.Version}}"]).trim().to_owned()
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
