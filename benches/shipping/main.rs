//! The end-to-end benches against real containers and receivers of their own, with the syslog
//! daemons of Debian and Docker's own drivers beside downspout. The parts are listed in `parts`, and
//! each is described in its file. Reads what it costs from /proc. Never sends anything off this
//! machine.
//!
//! `cargo bench --bench shipping -- [--part PART]… [--only NAME]…` and the sizes in `options`,
//! with `AGENT_BINARY`, `BUSYBOX_IMAGE` and `RECEIVERS` set, as `make bench` does; or
//! `--plot FILE`, which draws the last backlog as `make plot` does.

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

mod access_log;
mod arrivals;
mod calls;
mod cipher;
mod clean_up;
mod containers;
mod drain;
mod feed;
mod limits;
mod machine;
mod options;
mod parts;
mod pipes;
mod plot;
mod process;
mod shippers;
mod sink;
mod summary;
mod table;
mod tally;
mod ways;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};

use machine::Machine;
use options::Options;
use parts::PARTS;
use shippers::{Places, Shipper};
use summary::Summary;
use ways::Way;

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
        let asked = Shipper::ALL.into_iter().filter(|shipper| self.options.wants(shipper.name()));
        let folder = containers::log_folder();
        if fs::read_dir(&folder).is_ok() {
            return asked.collect();
        }
        let folder = folder.display();
        eprintln!("!! {folder} cannot be read: only downspout is measured; run as root");
        asked.filter(|shipper| shipper.is_downspout()).collect()
    }

    /// The ways asked for.
    fn ways(&self) -> Vec<Way> {
        let engine = [Way::Nobody, Way::Driver].into_iter();
        let asked = engine.filter(|way| self.options.wants(way.name()));
        asked.chain(self.shippers().into_iter().map(Way::Shipper)).collect()
    }

    fn dockerd_seconds(&self) -> Option<f64> {
        self.dockerd.and_then(process::cpu_seconds)
    }

    /// CPU that dockerd has spent since it was at `before`.
    fn dockerd_since(&self, before: Option<f64>) -> Option<f64> {
        self.dockerd.and_then(|pid| process::cpu_since(pid, before))
    }
}

fn main() {
    let Some(options) = Options::read() else { return };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = top.join("target/bench");
    fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    if let Some(file) = &options.plot {
        plot::draw(&folder.join("backlog.json"), file);
        return;
    }
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
    containers::remove_left_overs();
    clean_up::on_signals();
    if bench.dockerd.is_none() {
        eprintln!("!! no dockerd on this machine: what the engine spends is not known");
    }
    let version = Shipper::Downspout.version(&bench.places);
    let machine = Machine::look(containers::engine_version(), version);
    let mut summary = Summary::new(folder, machine);
    for (part, run) in PARTS {
        if bench.options.includes(part) {
            summary.publish(part, run(&bench));
        }
    }
    summary.end();
    let lost = summary.lost();
    assert_eq!(lost, 0, "downspout lost {lost} lines");
}
