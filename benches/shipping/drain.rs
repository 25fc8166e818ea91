//! One shipper drains what containers have printed or print: what that costs and brings.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::SupportedCipherSuite;

use super::Bench;
use super::calls::Calls;
use super::containers::{Container, JSON_FILE};
use super::process;
use super::shippers::{Order, Running, Shipper};
use super::sink::Sink;
use super::table::figure;
use super::tally::Tally;
use super::wire::Wire;

/// Length of a line without its end, where nothing else is said.
pub(crate) const LINE_BYTES: usize = 120;
/// Nothing new for this long means that nothing more will come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time for acknowledgements, tidying up and late repetitions, before the clocks are read.
const SETTLE: Duration = Duration::from_millis(500);

/// Lines that wait in the log of a container.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// Holds the log while it is there.
    _container: Container,
    logs: [PathBuf; 1],
    lines: u64,
}

/// What one run cost and brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// From the start to the last line.
    pub(crate) wall_s: Option<f64>,
    pub(crate) cpu_s: Option<f64>,
    pub(crate) dockerd_s: Option<f64>,
    pub(crate) peak_mib: Option<f64>,
    pub(crate) code_mib: Option<f64>,
    pub(crate) lost: f64,
    pub(crate) repeated: f64,
    /// Bytes that came.
    pub(crate) bytes: u64,
    /// The calls that put them, where calls do.
    pub(crate) calls: Option<Calls>,
    /// The cipher suite of TLS.
    pub(crate) suite: Option<SupportedCipherSuite>,
}

impl Backlog {
    /// What a container prints, once the last line is in its log.
    pub(crate) fn of(container: Container, lines: u64) -> Self {
        container.wait_until_printed(lines);
        let logs = [container.log_path()];
        Self { logs, lines, _container: container }
    }
}

impl Bench {
    /// A container with so many lines, all printed.
    pub(crate) fn backlog_of(&self, lines: u64, line_bytes: usize) -> Backlog {
        eprintln!(">> printing {lines} lines of {line_bytes} bytes into a container's log");
        Backlog::of(Container::print(&self.image, JSON_FILE, lines, line_bytes), lines)
    }

    /// A shipper that knows nothing yet ships all that waits.
    pub(crate) fn drain(&self, shipper: Shipper, wire: Wire, backlog: &Backlog) -> Figures {
        let Backlog { logs, lines, .. } = backlog;
        let sink = Sink::listen_on(wire, &self.places.folder, Tally::new(*lines, 1));
        let engine = self.dockerd_seconds();
        let order = Order { logs, backlog: true, outage: false, to: sink.address() };
        let running = shipper.start(&self.places, &order);
        self.finish(&sink, *lines, Some(&running), (running.started, engine))
    }

    /// Waits for the last of the `lines`, and reads the clocks; `before` is when it began, and what
    /// dockerd had spent then.
    pub(crate) fn finish(
        &self,
        sink: &Sink,
        lines: u64,
        running: Option<&Running>,
        before: (Instant, Option<f64>),
    ) -> Figures {
        let (started, engine) = before;
        let wall = sink.wait(lines, PATIENCE).last.map(|last| last - started);
        thread::sleep(SETTLE);
        let dockerd_s = self.dockerd_since(engine);
        let tally = sink.tally();
        let pid = running.map(Running::pid);
        let lost = lines - tally.distinct;
        if let Some(running) = running
            && lost + tally.repeated > 0
        {
            let repeated = tally.repeated;
            eprintln!("!! {lost} lines lost, {repeated} repeated; it said: {}", running.said());
        }
        if tally.foreign > lines / 100 {
            let foreign = tally.foreign;
            eprintln!("!! {foreign} lines of other containers were shipped too: stop those first");
        }
        Figures {
            wall_s: wall.map(|wall| wall.as_secs_f64()),
            cpu_s: pid.and_then(process::cpu_seconds),
            dockerd_s,
            peak_mib: pid.and_then(process::peak_mib),
            code_mib: pid.and_then(process::code_mib),
            lost: figure(lost),
            repeated: figure(tally.repeated),
            bytes: tally.bytes,
            calls: Calls::of(&sink.calls(), started),
            suite: sink.suite(),
        }
    }
}

/// Waits for the first lines, which show that all logs are followed; what does not come is counted
/// as lost at the end.
pub(crate) fn wait_followed(sink: &Sink, lines: u64, running: &Running) {
    let came = sink.wait(lines, PATIENCE).distinct;
    if came < lines {
        eprintln!("!! {came} of {lines} first lines came; it said: {}", running.said());
    }
}
