//! What the kernel knows of processes and of this machine, read from /proc. Never estimates.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

/// `USER_HZ`, in which /proc counts CPU time on every architecture of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process with all its threads, in seconds.
#[expect(clippy::cast_precision_loss, reason = "ticks of some hours")]
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; utime and stime are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}

/// The largest resident size that a process had, in MiB.
pub(crate) fn peak_mib(pid: u32) -> Option<f64> {
    memory_mib(pid, "VmHWM:")
}

/// The resident size of a process now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Option<f64> {
    memory_mib(pid, "VmRSS:")
}

fn memory_mib(pid: u32, key: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The files of which a process runs code, libraries included, in MiB on disk.
#[expect(clippy::cast_precision_loss, reason = "bytes of some files")]
pub(crate) fn code_mib(pid: u32) -> Option<f64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let files: BTreeSet<&str> = maps
        .lines()
        .filter(|line| line.split_ascii_whitespace().nth(1).is_some_and(|mode| mode.contains('x')))
        .filter_map(|line| Some(&line[line.find('/')?..]))
        .collect();
    let bytes: u64 = files.iter().filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum();
    Some(bytes as f64 / f64::from(1 << 20))
}

/// The engine's process, if it runs on this machine: of several, the one that was told to listen
/// on `socket`, else one that was told nothing.
pub(crate) fn dockerd(socket: &str) -> Option<u32> {
    let command = |pid: u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        (name.trim() == "dockerd").then_some((pid, arguments))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let engines: Vec<(u32, String)> = pids.filter_map(command).collect();
    let told = engines.iter().find(|(_, arguments)| arguments.contains(socket));
    let other = || engines.iter().find(|(_, arguments)| !arguments.contains("unix://"));
    told.or_else(other).map(|(pid, _)| *pid)
}

/// What a figure depends on.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) engine: String,
}

impl Machine {
    pub(crate) fn look(engine: String) -> Self {
        let read = |path: &str| fs::read_to_string(PathBuf::from(path)).unwrap_or_default();
        let value = |text: &str, key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.map(|line| line.trim_matches([' ', '\t', ':']).to_owned()).unwrap_or_default()
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib / f64::from(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            engine,
        }
    }
}

impl Machine {
    pub(crate) fn json(&self) -> Value {
        let Self { processor, cores, memory_gib, kernel, engine } = self;
        json!({
            "processor": processor, "cores": cores, "memory_gib": memory_gib,
            "kernel": kernel, "engine": engine,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, memory_gib, kernel, engine } = self;
        write!(f, "{processor}, {cores} cores, {memory_gib:.0} GiB, Linux {kernel}, ")?;
        write!(f, "Docker Engine {engine}.")
    }
}
