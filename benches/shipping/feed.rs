//! What containers print at a pace that the bench sets: each copies a pipe of ours to its output,
//! and every line says when it was put in. Needs an engine on this machine.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::arrivals::{self, STAMP_DIGITS};
use super::pipes::Pipes;
use super::sink::{DIGITS, MARKER};

/// Lengths of lines without their ends, which turn.
const SHORTEST: usize = 120;
const LONGEST: usize = 200;
/// A step through the lengths that reaches all of them.
const STRIDE: usize = 37;
/// Lines that are due within this time are printed together.
const TICK: Duration = Duration::from_millis(2);
/// The file beside the pipes that starts a flood.
const GO: &str = "go";

/// The pipes and what has gone into them.
#[derive(Debug)]
pub(crate) struct Feed {
    pipes: Pipes,
    /// Lines that each container has printed.
    printed: Vec<u64>,
    /// Containers between which the numbers turn.
    containers: u64,
}

impl Feed {
    /// Makes pipes for the first `count` of `containers` containers.
    pub(crate) fn new(folder: &Path, count: usize, containers: usize) -> Self {
        let pipes = Pipes::new(folder, count);
        Self { pipes, printed: vec![0; count], containers: containers as u64 }
    }

    /// What `docker run` needs for the pipes to be there.
    pub(crate) fn mount(&self) -> String {
        self.pipes.mount()
    }

    /// What the shell of the container `index` runs.
    pub(crate) fn script(index: usize) -> String {
        format!("exec cat {}", Pipes::path(index))
    }

    /// What the shell of a container runs that prints as fast as it can from `let_go` on.
    pub(crate) fn flood_script() -> String {
        let (line, go) = ("y".repeat(SHORTEST), Pipes::beside(GO));
        format!("until [ -e {go} ]; do usleep 50000; done; exec yes {line}")
    }

    /// Starts what waits for it.
    pub(crate) fn let_go(&self) {
        self.pipes.create(GO);
    }

    /// Lines printed by all.
    pub(crate) fn printed(&self) -> u64 {
        self.printed.iter().sum()
    }

    /// Every container prints a line.
    pub(crate) fn greet(&mut self) {
        (0..self.pipes.count()).for_each(|index| self.print(index));
    }

    /// Prints `rate` lines per second for `time`, the containers in turn.
    pub(crate) fn run(&mut self, rate: u64, time: Duration) {
        let (started, count) = (Instant::now(), self.pipes.count());
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
        self.pipes.write(index, &line);
        self.printed[index] = turn + 1;
    }
}
