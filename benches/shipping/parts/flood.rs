//! Quiet containers beside one that prints as fast as it can: how late their lines come.

use std::time::Duration;

use crate::Bench;
use crate::arrivals::{self, delays, percentile};
use crate::containers::{Fleet, JSON_FILE};
use crate::drain::wait_followed;
use crate::feed::Feed;
use crate::process;
use crate::shippers::{Order, Shipper};
use crate::sink::Sink;
use crate::table::{Column, Round, Table, figure};

/// Quiet containers.
const QUIET: usize = 50;
/// Their lines per second together: one each 200 ms of each.
const RATE: u64 = 250;
/// For comparison, the quiet ones alone.
const ALONE: Duration = Duration::from_secs(5);
/// From the start of the flood until it counts.
const SWELLING: Duration = Duration::from_secs(2);
/// Nothing new for this long means that nothing more will come.
const PATIENCE: Duration = Duration::from_secs(20);

const COLUMNS: &[Column] = &[
    Column::measure("p50_ms", "p50 ms", 0),
    Column::measure("p99_ms", "p99 ms", 0).at_most(250.0),
    Column::measure("max_ms", "max ms", 0),
    Column::measure("alone_p99_ms", "p99 ms without flood", 0),
    Column::count("lost", "lost").at_most(0.0),
    Column::count("repeated", "repeated"),
    Column::measure("flood_per_s", "flood lines/s shipped", 0),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::peak("peak_mib", "peak MiB", 1),
];

impl Bench {
    pub(crate) fn flood(&self) -> Vec<Table> {
        let setting = format!(
            "{QUIET} containers print a line of 120 to 200 bytes each 200 ms, for {} s beside one \
             that prints lines of 120 bytes as fast as it can. Delays of their lines are from the \
             write into the container's pipe to the arrival at a TCP syslog receiver on the \
             loopback; lost and repeated are lines of theirs.",
            self.options.flood_s,
        );
        let title = "Flood: quiet containers beside a loud one";
        let table = Table::new(title, setting, COLUMNS);
        self.measure("flood", &self.shippers(), [table], |shipper| [self.swim(*shipper)]).into()
    }

    fn swim(&self, shipper: Shipper) -> Round {
        let mut feed = Feed::new(&self.places.folder, QUIET, QUIET);
        let mount = feed.mount();
        let options = [JSON_FILE, &[&mount]].concat();
        let scripts: Vec<String> = (0..QUIET).map(Feed::script).collect();
        let quiet = Fleet::start(&self.image, &options, &scripts);
        let loud = Fleet::start(&self.image, &options, &[Feed::flood_script()]);
        let time = Duration::from_secs(self.options.flood_s);
        let most = RATE * ((ALONE + SWELLING + time).as_secs() + 2);
        let sink = Sink::listen(most, QUIET);
        let logs = [quiet.log_paths(), loud.log_paths()].concat();
        let order = Order { logs: &logs, backlog: false, outage: false, to: sink.address() };
        let running = shipper.start_following(&self.places, &order);
        feed.greet();
        wait_followed(&sink, feed.printed(), &running);

        let alone = arrivals::now();
        feed.run(RATE, ALONE);
        feed.let_go();
        let swelling = arrivals::now();
        feed.run(RATE, SWELLING);
        let (pid, engine, loud_before) = (running.pid(), self.dockerd_seconds(), sink.tally());
        let (cpu, from) = (process::cpu_seconds(pid), arrivals::now());
        feed.run(RATE, time);
        let (to, loud_after) = (arrivals::now(), sink.tally());
        let (spent, dockerd) = (process::cpu_since(pid, cpu), self.dockerd_since(engine));
        drop(loud);
        let tally = sink.wait(feed.printed(), PATIENCE);
        let late = delays(&tally.arrivals, from, to);
        let before = delays(&tally.arrivals, alone, swelling);
        vec![
            percentile(&late, 50),
            percentile(&late, 99),
            late.last().copied(),
            percentile(&before, 99),
            Some(figure(feed.printed() - tally.distinct)),
            Some(figure(tally.repeated)),
            Some(figure((loud_after.foreign - loud_before.foreign) / self.options.flood_s)),
            spent,
            dockerd,
            process::peak_mib(pid),
        ]
    }
}
