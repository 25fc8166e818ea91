//! A million lines that wait in a container's log, drained by downspout and by the syslog daemons of
//! Debian; and a live load, beside Docker's own syslog driver.

mod figures;

use std::path::Path;
use std::time::{Duration, Instant};

use super::Bench;
use super::containers::{Container, JSON_FILE, Printing};
use super::process;
use super::shippers::{Order, Running, Shipper};
use super::sink::Sink;
use super::table::{self, Section};
use figures::{Figures, Report, Row};

/// Length of a line without its end.
const LINE_BYTES: usize = 120;
/// Nothing new for this long means that nothing more will come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time for acknowledgements, tidying up and late repetitions, before the clocks are read.
const SETTLE: Duration = Duration::from_millis(500);
/// The shippers of a live load: what Docker costs by itself, its own driver, and downspout.
const LIVE: [&str; 3] = ["json-file alone", "Docker's syslog driver", "downspout"];

impl Bench {
    /// Every shipper drains the same log, in turning order.
    pub(crate) fn backlog(&self) -> Section {
        eprintln!(">> printing {} lines into a container's log", self.options.lines);
        let container = Container::start(&self.printing(JSON_FILE, true));
        container.wait_until_printed(self.options.lines);
        let log = container.log_path();
        let wanted = self.shippers();
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
        self.report(rows).backlog()
    }

    /// Containers print as fast as they can while each way of shipping is at work.
    pub(crate) fn live(&self) -> Section {
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
        self.report(rows).live()
    }

    fn report(&self, rows: Vec<Row>) -> Report {
        let (rounds, lines) = (self.options.rounds, self.options.lines);
        Report { rounds, lines, line_bytes: LINE_BYTES, rows }
    }

    fn printing<'a>(&'a self, driver: &'a [&'a str], stays: bool) -> Printing<'a> {
        let (image, lines) = (self.image.as_str(), self.options.lines);
        Printing { image, lines, line_bytes: LINE_BYTES, stays, driver }
    }

    fn drain(&self, shipper: Shipper, log: &Path) -> Figures {
        let sink = Sink::listen(self.options.lines, 1);
        let engine = self.dockerd_seconds();
        let logs = [log.to_owned()];
        let order = Order { logs: &logs, backlog: true, outage: false, port: sink.port() };
        let running = shipper.start(&self.places, &order);
        self.finish(&sink, Some(&running), running.started, engine)
    }

    fn load(&self, name: &str) -> Figures {
        let sink = Sink::listen(self.options.lines, 1);
        let address = format!("--log-opt=syslog-address=tcp://127.0.0.1:{}", sink.port());
        let syslog = ["--log-driver=syslog", &address, "--log-opt=syslog-format=rfc5424micro"];
        let agent = (name == "downspout").then(|| {
            let order = Order { logs: &[], backlog: false, outage: false, port: sink.port() };
            Shipper::Downspout.start_following(&self.places, &order)
        });
        let driver = if name == LIVE[1] { &syslog } else { JSON_FILE };
        let (engine, started) = (self.dockerd_seconds(), Instant::now());
        let container = Container::start(&self.printing(driver, false));
        container.wait_until_ended();
        let container_s = started.elapsed().as_secs_f64();
        let mut figures = if name == LIVE[0] {
            let dockerd_s = self.dockerd_since(engine);
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
        let wall = sink.wait(self.options.lines, PATIENCE).last.map(|last| last - started);
        std::thread::sleep(SETTLE);
        let dockerd = self.dockerd_since(engine);
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
}
