//! A host full of containers: when all are followed, what they cost while nobody prints, and while
//! few print little.

use std::thread;
use std::time::{Duration, Instant};

use crate::Bench;
use crate::arrivals::{self, delays, percentile};
use crate::containers::{Fleet, JSON_FILE};
use crate::feed::Feed;
use crate::process;
use crate::shippers::{Order, Running, Shipper};
use crate::sink::{DIGITS, MARKER, Sink};
use crate::table::{Column, Round, Table, figure};

/// One container of so many prints a line per second.
const OF: usize = 20;
/// Nothing new for this long means that nothing more will come.
const PATIENCE: Duration = Duration::from_secs(30);
/// From the first line of the last container until it counts.
const SETTLE: Duration = Duration::from_secs(5);
const SAMPLE: Duration = Duration::from_secs(1);

const START: &[Column] = &[
    Column::measure("followed", "containers followed", 0),
    Column::measure("ready_s", "all followed after s", 2).at_most(2.0),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
];

const IDLE: &[Column] = &[
    Column::measure("resident_mib", "resident MiB", 1).at_most(64.0),
    Column::measure("cpu_percent", "CPU % of a core", 3).at_most(0.1),
    Column::measure("dockerd_percent", "dockerd CPU %", 2),
    Column::measure("dockerd_alone_percent", "dockerd CPU % alone", 2),
];

const QUIET: &[Column] = &[
    Column::measure("resident_mib", "resident MiB", 1).at_most(64.0),
    Column::peak("peak_mib", "peak MiB", 1).at_most(64.0),
    Column::measure("cpu_percent", "CPU % of a core", 2).at_most(1.0),
    Column::measure("dockerd_percent", "dockerd CPU %", 2),
    Column::measure("dockerd_alone_percent", "dockerd CPU % alone", 2),
    Column::measure("p50_ms", "p50 ms", 0),
    Column::measure("p99_ms", "p99 ms", 0),
    Column::count("lost", "lost").at_most(0.0),
    Column::count("repeated", "repeated"),
];

/// The containers, which all shippers share.
struct Host {
    feed: Feed,
    fleet: Fleet,
    containers: usize,
    /// Of these, the ones that say nothing after their first line.
    silent: u64,
    /// What dockerd spends without a shipper, in percent of a core: while nobody prints, and while
    /// some do.
    dockerd_alone: [Option<f64>; 2],
}

impl Host {
    /// Containers that print a line per second.
    fn talkers(&self) -> u64 {
        self.containers as u64 - self.silent
    }
}

/// What was spent in a while.
struct Spent {
    resident_mib: Option<f64>,
    cpu_percent: Option<f64>,
    dockerd_percent: Option<f64>,
}

impl Bench {
    pub(crate) fn idle(&self) -> Vec<Table> {
        let mut host = self.fill();
        let (containers, time, talkers) = (host.containers, self.options.seconds, host.talkers());
        let tables = [
            Table::new(
                "Start: many containers",
                format!(
                    "{containers} containers run when the shipper starts, which ships the lines \
                     that they have printed: all are followed when of each its first line is \
                     there. CPU is from the start to then."
                ),
                START,
            ),
            Table::new(
                "Idle: many containers, no lines",
                format!(
                    "The {containers} containers print nothing for {time} s. Resident is the \
                     largest of one sample per second."
                ),
                IDLE,
            ),
            Table::new(
                "Quiet: many containers, few lines",
                format!(
                    "Of the {containers} containers {talkers} print a line of 120 to 200 bytes per \
                     second for {time} s. The peak is since the start; delays are from the write \
                     into the container's pipe to the arrival at a TCP syslog receiver on the \
                     loopback."
                ),
                QUIET,
            ),
        ];
        let tables = self
            .measure("idle", &self.shippers(), tables, |shipper| self.watch(*shipper, &mut host));
        tables.into()
    }

    /// Starts the containers, and looks what dockerd spends on them by itself.
    fn fill(&self) -> Host {
        let containers = self.options.containers;
        let talkers = containers.div_ceil(OF);
        let mut feed = Feed::new(&self.places.folder, talkers, containers);
        let mount = feed.mount();
        let talking = (0..talkers).map(Feed::script);
        let silent = (talkers..containers)
            .map(|index| format!("echo {MARKER}{index:0DIGITS$}; exec sleep 1000000"));
        let scripts: Vec<String> = talking.chain(silent).collect();
        eprintln!(">> idle: starting {containers} containers");
        let started = Instant::now();
        let fleet = Fleet::start(&self.image, &[JSON_FILE, &[&mount]].concat(), &scripts);
        eprintln!(">> idle: started in {:.0} s", started.elapsed().as_secs_f64());
        feed.greet();
        thread::sleep(SETTLE);
        let alone = |talk: &mut dyn FnMut()| {
            let engine = self.dockerd_seconds();
            talk();
            self.dockerd_since(engine).map(|spent| self.percent(spent))
        };
        let silence = alone(&mut || thread::sleep(self.idle_time()));
        let talk = alone(&mut || feed.run(talkers as u64, self.idle_time()));
        let silent = (containers - talkers) as u64;
        Host { feed, fleet, containers, silent, dockerd_alone: [silence, talk] }
    }

    fn watch(&self, shipper: Shipper, host: &mut Host) -> [Round; 3] {
        let (containers, talkers) = (host.containers, host.talkers());
        // Those that read files begin at the first line, and so does downspout.
        let turns = host.feed.printed() / talkers + self.options.seconds + 2;
        let sink = Sink::listen(turns * containers as u64, containers);
        let logs = host.fleet.log_paths();
        let order = Order { logs: &logs, backlog: true, outage: false, to: sink.address() };
        let engine = self.dockerd_seconds();
        let running = shipper.start(&self.places, &order);
        let before = host.feed.printed() + host.silent;
        let ready = sink.wait(before, PATIENCE);
        let start = vec![
            Some(figure(ready.greeted())),
            ready.last.map(|last| (last - running.started).as_secs_f64()),
            process::cpu_seconds(running.pid()),
            self.dockerd_since(engine),
        ];
        thread::sleep(SETTLE);

        let [alone, alone_quiet] = host.dockerd_alone;
        let time = self.idle_time();
        let idle = self.spent(&running, || thread::sleep(time));
        let from = arrivals::now();
        let quiet = self.spent(&running, || host.feed.run(talkers, time));
        let printed = host.feed.printed() + host.silent;
        let tally = sink.wait(printed, PATIENCE);
        let late = delays(&tally.arrivals, from, arrivals::now());
        let idle = vec![idle.resident_mib, idle.cpu_percent, idle.dockerd_percent, alone];
        let quiet = vec![
            quiet.resident_mib,
            process::peak_mib(running.pid()),
            quiet.cpu_percent,
            quiet.dockerd_percent,
            alone_quiet,
            percentile(&late, 50),
            percentile(&late, 99),
            Some(figure(printed - tally.distinct)),
            Some(figure(tally.repeated)),
        ];
        [start, idle, quiet]
    }

    /// What a shipper and the engine spend while something is done that takes the idle time.
    fn spent(&self, running: &Running, done: impl FnOnce() + Send) -> Spent {
        let (pid, engine) = (running.pid(), self.dockerd_seconds());
        let cpu = process::cpu_seconds(pid);
        let samples = thread::scope(|scope| {
            let doing = scope.spawn(done);
            let mut samples = Vec::new();
            while !doing.is_finished() {
                samples.extend(process::resident_mib(pid));
                thread::sleep(SAMPLE);
            }
            samples
        });
        Spent {
            resident_mib: samples.into_iter().max_by(f64::total_cmp),
            cpu_percent: process::cpu_since(pid, cpu).map(|spent| self.percent(spent)),
            dockerd_percent: self.dockerd_since(engine).map(|spent| self.percent(spent)),
        }
    }

    fn idle_time(&self) -> Duration {
        Duration::from_secs(self.options.seconds)
    }

    /// Of a core, while it was idle.
    fn percent(&self, seconds: f64) -> f64 {
        100.0 * seconds / self.idle_time().as_secs_f64()
    }
}
