//! The end-to-end benches against real containers and a TCP syslog receiver, with the syslog
//! daemons of Debian beside downspout: a backlog and a live load (`drain`), a receiver that goes
//! away (`outage`), a host full of idle containers (`idle`), and a loud container beside quiet
//! ones (`flood`). Reads what it costs from /proc. Never sends anything off this machine.
//!
//! `cargo bench --bench shipping -- [--part PART]… [--only NAME]…` and the sizes in `options`,
//! with `AGENT_BINARY`, `BUSYBOX_IMAGE` and `RECEIVERS` set, as `make bench` does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::exit,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench fails by panicking, prints, and runs on plain threads and the real clock"
)]

mod arrivals;
mod clean_up;
mod containers;
mod drain;
mod feed;
mod flood;
mod idle;
mod options;
mod outage;
mod process;
mod shippers;
mod sink;
mod table;
mod tally;

use std::fs;
use std::path::{Path, PathBuf};

use options::Options;
use process::Machine;
use serde_json::{Value, json};
use shippers::{Places, Shipper};
use table::{Entry, Round, Section};

/// Where the engine listens unless `DOCKER_HOST` says otherwise.
const SOCKET: &str = "unix:///var/run/docker.sock";

/// What every part of the bench needs.
struct Bench {
    options: Options,
    places: Places,
    image: String,
    dockerd: Option<u32>,
}

impl Bench {
    /// The shippers asked for; without root only downspout, for the others read the files.
    fn shippers(&self) -> Vec<Shipper> {
        let all = [Shipper::Downspout, Shipper::Rsyslog, Shipper::SyslogNg];
        let asked = all.into_iter().filter(|shipper| self.options.wants(shipper.name()));
        let folder = containers::log_folder();
        if fs::read_dir(&folder).is_ok() {
            return asked.collect();
        }
        let folder = folder.display();
        eprintln!("!! {folder} cannot be read: only downspout is measured; run as root");
        asked.filter(|shipper| *shipper == Shipper::Downspout).collect()
    }

    /// Every shipper in every round, in turning order.
    fn rounds(&self, part: &str, mut measure: impl FnMut(Shipper) -> Round) -> Vec<Entry> {
        let shippers = self.shippers();
        let mut entries: Vec<Entry> = shippers
            .iter()
            .map(|shipper| Entry {
                name: shipper.name(),
                way: shipper.way(),
                version: shipper.version(&self.places),
                rounds: Vec::new(),
            })
            .collect();
        for round in 0..self.options.rounds {
            for index in table::order(round, shippers.len()) {
                eprintln!(">> {part}, round {}: {}", round + 1, shippers[index].name());
                entries[index].rounds.push(measure(shippers[index]));
            }
        }
        entries
    }

    fn dockerd_seconds(&self) -> Option<f64> {
        self.dockerd.and_then(process::cpu_seconds)
    }

    /// CPU that dockerd has spent since it was at `before`.
    fn dockerd_since(&self, before: Option<f64>) -> Option<f64> {
        self.dockerd_seconds().zip(before).map(|(after, before)| after - before)
    }
}

fn main() {
    let Some(options) = Options::read() else { return };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = top.join("target/bench");
    // Not the binary that cargo builds beside a bench: its libraries have features for tests.
    let agent = variable("AGENT_BINARY")
        .expect("AGENT_BINARY says which binary to measure: run 'make bench', or deploy/build.sh");
    let bench = Bench {
        places: Places {
            agent: PathBuf::from(agent),
            receivers: top.join("tests/receivers"),
            folder: folder.clone(),
        },
        image: variable("BUSYBOX_IMAGE").unwrap_or_else(|| "downspout/busybox:test".into()),
        dockerd: process::dockerd(&variable("DOCKER_HOST").unwrap_or_else(|| SOCKET.into())),
        options,
    };
    fs::create_dir_all(&folder).unwrap();
    containers::remove_left_overs();
    clean_up::on_signals();
    if bench.dockerd.is_none() {
        eprintln!("!! no dockerd on this machine: what the engine spends is not known");
    }
    let machine = Machine::look(containers::engine_version());
    let lost: u64 = PARTS
        .iter()
        .filter(|(name, _)| bench.options.includes(name))
        .map(|(name, run)| {
            let section = run(&bench);
            publish(&folder, name, &machine, &section);
            section.lost
        })
        .sum();
    assert_eq!(lost, 0, "downspout lost {lost} lines");
}

type Run = fn(&Bench) -> Section;

/// What `--part` chooses from.
const PARTS: [(&str, Run); 5] = [
    ("backlog", Bench::backlog),
    ("live", Bench::live),
    ("outage", Bench::outage),
    ("idle", Bench::idle),
    ("flood", Bench::flood),
];

/// Prints a part as soon as it is done, and leaves it in two files.
fn publish(folder: &Path, name: &str, machine: &Machine, section: &Section) {
    let text = format!("{machine}\n{}", section.text);
    fs::write(folder.join(format!("{name}.md")), &text).unwrap();
    let data: Value = json!({ "machine": machine.json(), name: section.data });
    fs::write(folder.join(format!("{name}.json")), format!("{data:#}\n")).unwrap();
    println!("\n{text}\nwritten to {}", folder.join(format!("{name}.md")).display());
}
