//! A host full of containers of which few print, and those little.

use std::thread;
use std::time::{Duration, Instant};

use super::Bench;
use super::arrivals::{self, delays, percentile};
use super::containers::{Fleet, JSON_FILE};
use super::feed::Feed;
use super::process;
use super::shippers::{Order, Shipper};
use super::sink::{DIGITS, MARKER, Sink};
use super::table::{Column, Round, Section, Table, figure};

/// One container of so many prints a line per second.
const OF: usize = 20;
/// Nothing new for this long means that nothing more will come.
const PATIENCE: Duration = Duration::from_secs(30);
/// From the first line of the last container until it counts.
const SETTLE: Duration = Duration::from_secs(5);
const SAMPLE: Duration = Duration::from_secs(1);

const COLUMNS: &[Column] = &[
    Column::measure("resident_mib", "resident MiB", 1).at_most(64.0),
    Column::peak("peak_mib", "peak MiB", 1).at_most(64.0),
    Column::measure("cpu_percent", "CPU % of a core", 2).at_most(1.0),
    Column::measure("dockerd_percent", "dockerd CPU %", 2),
    Column::measure("dockerd_alone_percent", "dockerd CPU % alone", 2),
    Column::measure("followed", "containers followed", 0),
    Column::measure("ready_s", "all followed after s", 1),
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
    /// What dockerd spends without a shipper, in percent of a core.
    dockerd_alone: Option<f64>,
}

impl Bench {
    pub(crate) fn idle(&self) -> Section {
        let mut host = self.fill();
        let entries = self.rounds("idle", |shipper| self.watch(shipper, &mut host));
        let talkers = host.containers - usize::try_from(host.silent).unwrap();
        let setting = format!(
            "{} containers, of which {talkers} print a line of 120 to 200 bytes per second and \
             the others nothing after their first, for {} s. Resident is the largest of one \
             sample per second, the peak is since the start; delays are from the write into the \
             container's pipe to the arrival at a TCP syslog receiver on the loopback.",
            host.containers, self.options.idle_s,
        );
        let title = "Idle: many containers, few lines";
        Table { title, setting, columns: COLUMNS, entries }.section()
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
        let engine = self.dockerd_seconds();
        feed.run(talkers as u64, self.idle_time());
        let dockerd_alone = self.dockerd_since(engine).map(|spent| self.percent(spent));
        let silent = (containers - talkers) as u64;
        Host { feed, fleet, containers, silent, dockerd_alone }
    }

    fn watch(&self, shipper: Shipper, host: &mut Host) -> Round {
        let Host { feed, fleet, containers, silent, dockerd_alone } = host;
        let talkers = *containers as u64 - *silent;
        let time = self.idle_time();
        // Those that read files begin at the first line, and so does downspout.
        let turns = feed.printed() / talkers + time.as_secs() + 2;
        let sink = Sink::listen(turns * *containers as u64, *containers);
        let logs = fleet.log_paths();
        let order = Order { logs: &logs, backlog: true, outage: false, port: sink.port() };
        let running = shipper.start_following(&self.places, &order);
        let ready = sink.wait(feed.printed() + *silent, PATIENCE);
        let ready_s = ready.last.map(|last| (last - running.started).as_secs_f64());
        thread::sleep(SETTLE);

        let (pid, engine) = (running.pid(), self.dockerd_seconds());
        let (cpu, from) = (process::cpu_seconds(pid), arrivals::now());
        let resident = thread::scope(|scope| {
            let talk = scope.spawn(|| feed.run(talkers, time));
            let mut samples = Vec::new();
            while !talk.is_finished() {
                samples.extend(process::resident_mib(pid));
                thread::sleep(SAMPLE);
            }
            samples.into_iter().max_by(f64::total_cmp)
        });
        let (spent, dockerd) = (process::cpu_seconds(pid), self.dockerd_since(engine));
        let printed = feed.printed() + *silent;
        let tally = sink.wait(printed, PATIENCE);
        let late = delays(&tally.arrivals, from, arrivals::now());
        vec![
            resident,
            process::peak_mib(pid),
            spent.zip(cpu).map(|(after, before)| self.percent(after - before)),
            dockerd.map(|spent| self.percent(spent)),
            *dockerd_alone,
            Some(figure(tally.greeted())),
            ready_s,
            percentile(&late, 50),
            percentile(&late, 99),
            Some(figure(printed - tally.distinct)),
            Some(figure(tally.repeated)),
        ]
    }

    fn idle_time(&self) -> Duration {
        Duration::from_secs(self.options.idle_s)
    }

    /// Of a core, while it was idle.
    fn percent(&self, seconds: f64) -> f64 {
        100.0 * seconds / self.idle_time().as_secs_f64()
    }
}
