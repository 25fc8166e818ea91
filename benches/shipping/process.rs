//! What the kernel knows of processes, read from /proc. Never estimates.

use std::collections::BTreeSet;
use std::fs;

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

/// CPU that a process has spent since it was at `before`.
pub(crate) fn cpu_since(pid: u32, before: Option<f64>) -> Option<f64> {
    cpu_seconds(pid).zip(before).map(|(after, before)| after - before)
}

/// What this thread has run so far, in seconds.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of some minutes")]
pub(crate) fn own_thread_seconds() -> Option<f64> {
    let times = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos: u64 = times.split_ascii_whitespace().next()?.parse().ok()?;
    Some(nanos as f64 / 1e9)
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
