//! What containers print at a pace that the bench sets: each copies a pipe of ours to its output,
//! and every line says when it was put in. Needs an engine on this machine.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::arrivals::{self, STAMP_DIGITS};
use super::sink::{DIGITS, MARKER};

/// Lengths of lines without their ends, which turn.
const SHORTEST: usize = 120;
const LONGEST: usize = 200;
/// A step through the lengths that reaches all of them.
const STRIDE: usize = 37;
/// Lines that are due within this time are printed together.
const TICK: Duration = Duration::from_millis(2);
/// Where containers see the pipes.
const MOUNT: &str = "/bench";
/// The file there that starts a flood.
const GO: &str = "go";

/// The pipes, which containers read as `/bench/0`, `/bench/1` and so on.
#[derive(Debug)]
pub(crate) struct Feed {
    folder: PathBuf,
    pipes: Vec<File>,
    /// Lines that each container has printed.
    printed: Vec<u64>,
    /// Containers between which the numbers turn.
    containers: u64,
}

impl Feed {
    /// Makes pipes for the first `count` of `containers` containers.
    pub(crate) fn new(folder: &Path, count: usize, containers: usize) -> Self {
        let folder = folder.join("pipes");
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        let paths: Vec<PathBuf> = (0..count).map(|index| folder.join(index.to_string())).collect();
        let made = Command::new("mkfifo").args(&paths).status().unwrap();
        assert!(made.success(), "mkfifo in {}", folder.display());
        // Open for both, lest opening waits for the container, which waits for us.
        let open = |path| OpenOptions::new().read(true).write(true).open(path).unwrap();
        let pipes = paths.iter().map(open).collect();
        Self { folder, pipes, printed: vec![0; count], containers: containers as u64 }
    }

    /// What `docker run` needs for the pipes to be there.
    pub(crate) fn mount(&self) -> String {
        format!("--volume={}:{MOUNT}:ro", self.folder.display())
    }

    /// What the shell of the container `index` runs.
    pub(crate) fn script(index: usize) -> String {
        format!("exec cat {MOUNT}/{index}")
    }

    /// What the shell of a container runs that prints as fast as it can from `let_go` on.
    pub(crate) fn flood_script() -> String {
        let line = "y".repeat(SHORTEST);
        format!("until [ -e {MOUNT}/{GO} ]; do usleep 50000; done; exec yes {line}")
    }

    /// Starts what waits for it.
    pub(crate) fn let_go(&self) {
        File::create(self.folder.join(GO)).unwrap();
    }

    /// Lines printed by all.
    pub(crate) fn printed(&self) -> u64 {
        self.printed.iter().sum()
    }

    /// Every container prints a line.
    pub(crate) fn greet(&mut self) {
        (0..self.pipes.len()).for_each(|index| self.print(index));
    }

    /// Prints `rate` lines per second for `time`, the containers in turn.
    pub(crate) fn run(&mut self, rate: u64, time: Duration) {
        let (started, count) = (Instant::now(), self.pipes.len());
        let due = |line: u64| Duration::from_nanos(line * 1_000_000_000 / rate);
        for line in (0..).take_while(|line| due(*line) < time) {
            let early = due(line).saturating_sub(started.elapsed());
            if !early.is_zero() {
                thread::sleep(early.max(TICK));
            }
            self.print(usize::try_from(line % count as u64).unwrap());
        }
        thread::sleep(time.saturating_sub(started.elapsed()));
    }

    fn print(&mut self, index: usize) {
        let turn = self.printed[index];
        let number = turn * self.containers + index as u64;
        let step = usize::try_from(number % 1_000).unwrap() * STRIDE;
        let length = SHORTEST + step % (LONGEST - SHORTEST + 1);
        let padding = length - MARKER.len() - DIGITS - STAMP_DIGITS - 2;
        let stamp = arrivals::now();
        let line = format!("{MARKER}{number:0DIGITS$} {stamp:0STAMP_DIGITS$} {:x<padding$}\n", "");
        self.pipes[index].write_all(line.as_bytes()).unwrap();
        self.printed[index] = turn + 1;
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}
