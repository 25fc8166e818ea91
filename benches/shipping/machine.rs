//! What a figure depends on: this machine, the engine, and what was measured when. Read from
//! /proc and by commands; never estimated.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// What a figure depends on.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    engine: String,
    agent: String,
    /// Of the repository, `-dirty` behind it if files differ.
    commit: String,
    /// In UTC.
    date: String,
}

impl Machine {
    pub(crate) fn look(engine: String, agent: String) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
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
            agent,
            commit: said("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
            date: said("date", &["-u", "+%Y-%m-%d %H:%M"]),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let Self { processor, cores, memory_gib, kernel, engine, agent, commit, date } = self;
        json!({
            "processor": processor, "cores": cores, "memory_gib": memory_gib, "kernel": kernel,
            "engine": engine, "agent": agent, "commit": commit, "date": date,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, memory_gib, kernel, engine, agent, commit, date } = self;
        write!(f, "{processor}, {cores} cores, {memory_gib:.0} GiB, Linux {kernel}, ")?;
        write!(f, "Docker Engine {engine}; {agent}, commit {commit}; {date} UTC.")
    }
}

/// What a command says; nothing if it cannot.
fn said(program: &str, arguments: &[&str]) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(program).args(arguments).current_dir(top).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
