//! The end-to-end bench: a million lines that wait in a container's log, drained to a TCP syslog
//! receiver, by downspout and by the syslog daemons of Debian; and a live load, beside Docker's
//! own syslog driver. Reads what it costs from /proc. Never sends anything off this machine.
//!
//! `cargo bench --bench drain -- [--rounds 3] [--lines 1000000] [--only NAME]… [--part PART]…`,
//! where PART is backlog or live, with `AGENT_BINARY`, `BUSYBOX_IMAGE` and `RECEIVERS` set, as
//! `make bench` does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench fails by panicking, prints, and runs on plain threads and the real clock"
)]

mod containers;
mod process;
mod shippers;
mod sink;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use containers::{Container, JSON_FILE, Printing};
use process::Machine;
use shippers::{Order, Places, Running, Shipper};
use sink::Sink;
use table::{Figures, Report, Row};

/// Where the engine listens unless `DOCKER_HOST` says otherwise.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// Length of a line without its end.
const LINE_BYTES: usize = 120;
/// Nothing new for this long means that nothing more will come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time for acknowledgements, tidying up and late repetitions, before the clocks are read.
const SETTLE: Duration = Duration::from_millis(500);
/// The shippers of a live load: what Docker costs by itself, its own driver, and downspout.
const LIVE: [&str; 3] = ["json-file alone", "Docker's syslog driver", "downspout"];

/// What was asked for on the command line.
#[derive(Debug)]
struct Options {
    rounds: usize,
    lines: u64,
    only: Vec<String>,
    parts: Vec<String>,
}

impl Options {
    fn read() -> Option<Self> {
        let mut options = Self { rounds: 3, lines: 1_000_000, only: Vec::new(), parts: Vec::new() };
        let mut benching = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} of what?"));
            match argument.as_str() {
                // cargo says so when it benches, and not when it tests.
                "--bench" => benching = true,
                "--rounds" => options.rounds = value().parse().expect("--rounds 3"),
                "--lines" => options.lines = value().parse().expect("--lines 1000000"),
                "--only" => options.only.push(value()),
                "--part" => options.parts.push(value()),
                other => panic!("unknown option {other}: --rounds, --lines, --only, --part"),
            }
        }
        benching.then_some(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    fn includes(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
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
    if bench.dockerd.is_none() {
        eprintln!("!! no dockerd on this machine: what the engine spends is not known");
    }

    let report = Report {
        machine: Machine::look(containers::engine_version()),
        rounds: bench.options.rounds,
        lines: bench.options.lines,
        line_bytes: LINE_BYTES,
        backlog: if bench.options.includes("backlog") { bench.backlog() } else { Vec::new() },
        live: if bench.options.includes("live") { bench.live() } else { Vec::new() },
    };
    let text = report.text();
    fs::write(folder.join("drain.md"), &text).unwrap();
    fs::write(folder.join("drain.json"), report.json()).unwrap();
    println!("\n{text}\nwritten to {}", folder.join("drain.md").display());
    let lost = report.lost_by("downspout");
    assert_eq!(lost, 0, "downspout lost {lost} lines");
}

struct Bench {
    options: Options,
    places: Places,
    image: String,
    dockerd: Option<u32>,
}

impl Bench {
    fn printing<'a>(&'a self, driver: &'a [&'a str], stays: bool) -> Printing<'a> {
        let (image, lines) = (self.image.as_str(), self.options.lines);
        Printing { image, lines, line_bytes: LINE_BYTES, stays, driver }
    }

    /// Every shipper drains the same log, in turning order.
    fn backlog(&self) -> Vec<Row> {
        let shippers = [Shipper::Downspout, Shipper::Rsyslog, Shipper::SyslogNg];
        let mut wanted: Vec<Shipper> =
            shippers.into_iter().filter(|shipper| self.options.wants(shipper.name())).collect();
        eprintln!(">> printing {} lines into a container's log", self.options.lines);
        let container = Container::start(&self.printing(JSON_FILE, true));
        container.wait_until_printed(self.options.lines);
        let log = container.log_path();
        if fs::File::open(&log).is_err() {
            eprintln!(
                "!! {} cannot be read: only downspout is measured; run as root",
                log.display()
            );
            wanted.retain(|shipper| *shipper == Shipper::Downspout);
        }
        let mut rows: Vec<Row> = wanted
            .iter()
            .map(|shipper| Row::new(shipper.name(), shipper.way(), shipper.version(&self.places)))
            .collect();
        for round in 0..self.options.rounds {
            for index in table::order(round, wanted.len()) {
                let figures = self.drain(wanted[index], &log);
                eprintln!(">> backlog, round {}: {} {figures}", round + 1, wanted[index].name());
                rows[index].figures.push(figures);
            }
        }
        rows
    }

    fn drain(&self, shipper: Shipper, log: &Path) -> Figures {
        let sink = Sink::listen(self.options.lines);
        let engine = self.dockerd_seconds();
        let order = Order { log: Some(log), backlog: true, port: sink.port() };
        let running = shipper.start(&self.places, &order);
        self.finish(&sink, Some(&running), running.started, engine)
    }

    /// Containers print as fast as they can while each way of shipping is at work.
    fn live(&self) -> Vec<Row> {
        let wanted: Vec<&str> = LIVE.into_iter().filter(|name| self.options.wants(name)).collect();
        let way = |name| match name {
            "downspout" => "follows a json-file container",
            "json-file alone" => "nobody reads",
            _ => "the engine sends by itself, TCP with line feeds",
        };
        let mut rows: Vec<Row> =
            wanted.iter().map(|name| Row::new(name, way(*name), String::new())).collect();
        for round in 0..self.options.rounds {
            for index in table::order(round, wanted.len()) {
                let figures = self.load(wanted[index]);
                eprintln!(">> live, round {}: {} {figures}", round + 1, wanted[index]);
                rows[index].figures.push(figures);
            }
        }
        rows
    }

    fn load(&self, name: &str) -> Figures {
        let sink = Sink::listen(self.options.lines);
        let address = format!("--log-opt=syslog-address=tcp://127.0.0.1:{}", sink.port());
        let syslog = ["--log-driver=syslog", &address, "--log-opt=syslog-format=rfc5424micro"];
        let agent = (name == "downspout").then(|| {
            let order = Order { log: None, backlog: false, port: sink.port() };
            let running = Shipper::Downspout.start(&self.places, &order);
            running.wait_for("connected to Docker");
            std::thread::sleep(SETTLE);
            running
        });
        let driver = if name == LIVE[1] { &syslog } else { JSON_FILE };
        let (engine, started) = (self.dockerd_seconds(), Instant::now());
        let container = Container::start(&self.printing(driver, false));
        container.wait_until_ended();
        let container_s = started.elapsed().as_secs_f64();
        let mut figures = if name == LIVE[0] {
            let dockerd_s =
                self.dockerd_seconds().zip(engine).map(|(after, before)| after - before);
            Figures { wall_s: container_s, dockerd_s, ..Figures::default() }
        } else {
            self.finish(&sink, agent.as_ref(), started, engine)
        };
        figures.container_s = Some(container_s);
        figures
    }

    /// Waits for the last line, and reads the clocks.
    fn finish(
        &self,
        sink: &Sink,
        running: Option<&Running>,
        started: Instant,
        engine: Option<f64>,
    ) -> Figures {
        let wall = sink.wait(PATIENCE).last.map(|last| last - started);
        std::thread::sleep(SETTLE);
        let dockerd = self.dockerd_seconds().zip(engine).map(|(after, before)| after - before);
        let tally = sink.tally();
        let pid = running.map(Running::pid);
        let lost = self.options.lines - tally.distinct;
        if let Some(running) = running
            && lost + tally.repeated > 0
        {
            let repeated = tally.repeated;
            eprintln!("!! {lost} lines lost, {repeated} repeated; it said: {}", running.said());
        }
        if tally.foreign > self.options.lines / 100 {
            let foreign = tally.foreign;
            eprintln!("!! {foreign} lines of other containers were shipped too: stop those first");
        }
        Figures {
            wall_s: wall.map_or(0.0, |wall| wall.as_secs_f64()),
            cpu_s: pid.and_then(process::cpu_seconds),
            dockerd_s: dockerd,
            peak_mib: pid.and_then(process::peak_mib),
            code_mib: pid.and_then(process::code_mib),
            container_s: None,
            lost,
            repeated: tally.repeated,
            reordered: tally.reordered,
            foreign: tally.foreign + tally.garbled,
        }
    }

    fn dockerd_seconds(&self) -> Option<f64> {
        self.dockerd.and_then(process::cpu_seconds)
    }
}
