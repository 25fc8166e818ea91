//! CloudWatch Logs: lines that wait are put to a service on the loopback, by downspout and by
//! Docker's awslogs driver; and the service is not there for a while.

use std::thread;
use std::time::{Duration, Instant};

use super::Row;
use crate::Bench;
use crate::access_log::AccessLog;
use crate::arrivals;
use crate::containers::{Container, Fleet, JSON_FILE};
use crate::drain::{Backlog, Figures, LINE_BYTES, wait_followed};
use crate::feed::Feed;
use crate::limits::Limit;
use crate::pipes::Pipes;
use crate::process;
use crate::shippers::{Order, Places, Shipper};
use crate::sink::Sink;
use crate::table::{Column, Entry, OURS, Round, Table, figure};
use crate::tally::Tally;
use crate::wire::Wire;

/// What a million lines of 120 bytes may cost, compressed and signed.
const MAX_CPU_S: f64 = 1.2;
/// Calls for each megabyte of lines: 1.16 at least, for 26 bytes are counted with each line.
const MAX_CALLS_PER_MB: f64 = 1.25;
/// How much of a call may be left empty while lines wait, in percent.
const MAX_UNFILLED: f64 = 5.0;
/// The agent's default limit.
const MAX_PEAK_MIB: f64 = 64.0;
const MILLION: f64 = 1e6;

/// Containers between which the live load is shared, and lines per second of all.
const CONTAINERS: usize = 5;
const RATE: u64 = 10_000;
/// Load before the service goes and after its return.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(30);
/// A full batch holds what a container prints in some seconds; its last line is younger.
const FRESH: Duration = Duration::from_secs(1);
/// Nothing new for this long means that nothing more will come: longer than the agent's longest
/// pause between two attempts.
const PATIENCE: Duration = Duration::from_secs(40);
/// Time for late repetitions.
const SETTLE: Duration = Duration::from_millis(500);

const BACKLOG: &[Column] = &[
    Column::measure("full_s", "last full call after s", 2),
    Column::measure("wall_s", "last line after s", 2),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::peak("peak_mib", "peak MiB", 1),
    Column::measure("calls", "calls", 0),
    Column::measure("calls_per_mb", "calls per MB", 2),
    Column::measure("fill", "filled %", 1),
    Column::measure("wire_mib", "on the wire MiB", 1),
    Column::count("lost", "lost"),
    Column::count("repeated", "repeated"),
];

const DEAD: &[Column] = &[
    Column::count("lost", "lost").at_most(0.0),
    Column::count("repeated", "repeated"),
    Column::count("reordered", "out of order"),
    Column::measure("first_s", "first line after s", 2),
    Column::measure("caught_up_s", "caught up after s", 2),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::peak("peak_mib", "peak MiB", 1).at_most(MAX_PEAK_MIB),
];

/// Who puts lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Agent {
        gzip: bool,
    },
    Driver,
    /// What the engine spends to write the log that downspout drains.
    Nobody,
}

const SENDERS: [Sender; 4] =
    [Sender::Agent { gzip: true }, Sender::Agent { gzip: false }, Sender::Driver, Sender::Nobody];

impl Sender {
    fn name(self) -> &'static str {
        match self {
            Self::Agent { gzip: true } => OURS,
            Self::Agent { gzip: false } => "downspout, gzip=false",
            Self::Driver => "Docker's awslogs driver",
            Self::Nobody => "nobody reads",
        }
    }
}

impl Row for Sender {
    fn entry(&self, places: &Places) -> Entry {
        let way = match self {
            Self::Agent { gzip } => {
                let way = Shipper::Downspout.way(Wire::CloudWatch { gzip: *gzip });
                let name = self.name().to_owned();
                let ours = Shipper::Downspout.entry(places);
                return Entry { shipper: name.clone(), name, way, ..ours };
            }
            Self::Driver => "the engine puts by itself, without a file",
            Self::Nobody => "the engine writes json-files",
        };
        let (name, version) = (self.name().to_owned(), String::new());
        let shipper = name.clone();
        Entry { name, shipper, way: way.to_owned(), version, rounds: Vec::new() }
    }
}

impl Bench {
    pub(crate) fn cloudwatch(&self) -> Vec<Table> {
        let mut tables = vec![self.put_backlog()];
        if self.options.wants(OURS) {
            tables.push(self.endpoint_dead());
        }
        tables
    }

    fn put_backlog(&self) -> Table {
        let lines = self.options.lines;
        let setting = format!(
            "{lines} lines of {LINE_BYTES} bytes, like those of a web server, go to a service that \
             takes PutLogEvents over plain HTTP on the loopback, and uses the same cores. For \
             downspout they wait in a json-file; for the others a container prints them as fast as \
             it can, and the clock starts with the first. Full are all calls but the last, which \
             has what is left: downspout waits 5 s for more, the driver puts it when the container \
             ends. A MB is 1,000,000 bytes of lines without their ends."
        );
        let title = "CloudWatch backlog: lines are put as fast as they can be";
        let mut table = Table::new(title, setting, BACKLOG);
        let wanted = SENDERS.into_iter().filter(|sender| self.options.wants(sender.name()));
        let rows: Vec<Sender> = wanted.collect();
        if rows.is_empty() {
            return table;
        }
        eprintln!(">> printing {lines} lines of {LINE_BYTES} bytes into a container's log");
        let text = AccessLog::write(&self.places.folder, lines, LINE_BYTES);
        let script = format!("{}; exec sleep 1000000", AccessLog::printing());
        let mount = text.mount();
        let options = [JSON_FILE, &[&mount]].concat();
        let backlog = Backlog::of(Container::start(&self.image, &options, &script), lines);
        [table] = self.measure("cloudwatch", &rows, [table], |sender| match sender {
            Sender::Agent { gzip } => [self.put(*gzip, &backlog)],
            Sender::Driver | Sender::Nobody => [self.print(*sender, &text)],
        });
        table.limits = limits(&table, lines);
        table
    }

    fn put(&self, gzip: bool, backlog: &Backlog) -> Round {
        round(&self.drain(Shipper::Downspout, Wire::CloudWatch { gzip }, backlog))
    }

    /// A container prints, and the engine alone sees to its lines.
    fn print(&self, sender: Sender, text: &AccessLog) -> Round {
        let lines = self.options.lines;
        let wire = Wire::CloudWatch { gzip: false };
        let sink = Sink::listen_on(wire, &self.places.folder, Tally::new(lines, 1));
        let mut pipes = Pipes::new(&self.places.folder, 1);
        let mut options = vec![pipes.mount(), text.mount()];
        if sender == Sender::Driver {
            options.extend(sink.address().awslogs());
        } else {
            options.extend(JSON_FILE.iter().map(|option| (*option).to_owned()));
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let script = format!("read go <{} && {}", Pipes::path(0), AccessLog::printing());
        let container = Container::start(&self.image, &options, &script);
        let before = (Instant::now(), self.dockerd_seconds());
        pipes.tell(0, 0..lines);
        container.wait_until_ended();
        if sender == Sender::Nobody {
            let mut round = vec![None; BACKLOG.len()];
            round[1] = Some(before.0.elapsed().as_secs_f64());
            round[3] = self.dockerd_since(before.1);
            return round;
        }
        round(&self.finish(&sink, lines, None, before))
    }

    fn endpoint_dead(&self) -> Table {
        let away = self.options.seconds;
        let setting = format!(
            "{CONTAINERS} containers print {RATE} lines per second of 120 to 200 bytes for {} s. \
             After {} s the service ends its connections, refuses new ones for {away} s, and is back \
             for the last {} s. Caught up: of each container a line has come within {} s of being \
             printed, counted from the service's return. downspout has its defaults.",
            self.dead_load().as_secs(),
            BEFORE.as_secs(),
            AFTER.as_secs(),
            FRESH.as_secs(),
        );
        let title = "CloudWatch outage: nothing listens at the endpoint";
        let table = Table::new(title, setting, DEAD);
        let rows = [Sender::Agent { gzip: true }];
        let [table] = self.measure("cloudwatch outage", &rows, [table], |_| [self.be_dead()]);
        table
    }

    fn dead_load(&self) -> Duration {
        BEFORE + Duration::from_secs(self.options.seconds) + AFTER
    }

    fn be_dead(&self) -> Round {
        let mut feed = Feed::new(&self.places.folder, CONTAINERS, CONTAINERS);
        let mount = feed.mount();
        let scripts: Vec<String> = (0..CONTAINERS).map(Feed::script).collect();
        let fleet = Fleet::start(&self.image, &[JSON_FILE, &[&mount]].concat(), &scripts);
        let time = self.dead_load();
        let most = RATE * (time.as_secs() + 1);
        let wire = Wire::CloudWatch { gzip: true };
        let tally = Tally::new(most, CONTAINERS);
        let mut sink = Sink::listen_on(wire, &self.places.folder, tally);
        let logs = fleet.log_paths();
        let order = Order { logs: &logs, backlog: false, outage: true, to: sink.address() };
        let running = Shipper::Downspout.start_following(&self.places, &order);
        feed.greet();
        wait_followed(&sink, feed.printed(), &running);

        let (pid, engine) = (running.pid(), self.dockerd_seconds());
        let cpu = process::cpu_seconds(pid);
        let returned = thread::scope(|scope| {
            scope.spawn(|| feed.run(RATE, time));
            thread::sleep(BEFORE);
            sink.go_away(false);
            thread::sleep(Duration::from_secs(self.options.seconds));
            sink.come_back();
            arrivals::now()
        });
        sink.wait(feed.printed(), PATIENCE);
        thread::sleep(SETTLE);
        let (tally, dockerd) = (sink.tally(), self.dockerd_since(engine));
        let lost = feed.printed() - tally.distinct;
        if lost > 0 {
            eprintln!("!! {lost} lines lost; it said: {}", running.said());
        }
        vec![
            Some(figure(lost)),
            Some(figure(tally.repeated)),
            Some(figure(tally.reordered)),
            arrivals::first_after(&tally.arrivals, returned),
            arrivals::caught_up(&tally.arrivals, CONTAINERS, returned, FRESH),
            process::cpu_since(pid, cpu),
            dockerd,
            process::peak_mib(pid),
        ]
    }
}

fn round(figures: &Figures) -> Round {
    let calls = figures.calls;
    vec![
        calls.and_then(|calls| calls.full_s),
        figures.wall_s,
        figures.cpu_s,
        figures.dockerd_s,
        figures.peak_mib,
        calls.map(|calls| calls.count),
        calls.map(|calls| calls.per_megabyte),
        calls.and_then(|calls| calls.fill),
        calls.map(|calls| calls.wire_mib),
        Some(figures.lost),
        Some(figures.repeated),
    ]
}

fn limits(table: &Table, lines: u64) -> Vec<Limit> {
    if !table.has(OURS) {
        return Vec::new();
    }
    let limit = |what: &str, value, most, digits| Limit {
        what: format!("{OURS}: {what}"),
        value,
        most: Some(most),
        digits,
    };
    let ours = |key| table.figure(OURS, key);
    let cpu = ours("cpu_s").map(|cpu| cpu * MILLION / figure(lines));
    let unfilled = ours("fill").map(|fill| 100.0 - fill);
    vec![
        limit("CPU s per million lines, gzip and signature included", cpu, MAX_CPU_S, 2),
        limit("calls per MB of lines", ours("calls_per_mb"), MAX_CALLS_PER_MB, 2),
        limit("% of a call left empty while lines wait", unfilled, MAX_UNFILLED, 1),
        limit("peak MiB", ours("peak_mib"), MAX_PEAK_MIB, 1),
    ]
}
