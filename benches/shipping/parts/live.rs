//! Many containers that print steadily: what shipping them costs, and how late their lines come.

use std::thread;
use std::time::Duration;

use crate::Bench;
use crate::arrivals::{self, delays, percentile};
use crate::containers::Fleet;
use crate::drain::wait_followed;
use crate::feed::Feed;
use crate::limits::Limit;
use crate::process;
use crate::shippers::{Order, Running};
use crate::sink::Sink;
use crate::table::{Column, OURS, Round, Table, figure};
use crate::ways::Way;

const CONTAINERS: usize = 50;
/// Lines per second of each.
const RATE: u64 = 200;
/// From the first lines, which show that all are followed, until it counts.
const SETTLE: Duration = Duration::from_secs(2);
/// Nobody prints for so long before the lines that come out of idleness.
const IDLENESS: Duration = Duration::from_secs(3);
/// Of those, each container prints one, one after the other: lines per second of all.
const IDLE_RATE: u64 = 20;
const IDLE_TIME: Duration = Duration::from_millis(CONTAINERS as u64 * 1_000 / IDLE_RATE);
/// Nothing new for this long means that nothing more will come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of the best peer's CPU downspout may take.
const OF_BEST_PEER: f64 = 0.25;

const COLUMNS: &[Column] = &[
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::measure("p50_ms", "p50 ms", 1),
    Column::measure("p99_ms", "p99 ms", 1).at_most(50.0),
    Column::measure("max_ms", "max ms", 0),
    Column::measure("idle_p50_ms", "first line after idleness p50 ms", 2),
    Column::measure("idle_max_ms", "first line after idleness max ms", 2).at_most(5.0),
    Column::peak("peak_mib", "peak MiB", 1),
    Column::count("lost", "lost").at_most(0.0),
    Column::count("repeated", "repeated"),
];

impl Bench {
    pub(crate) fn live(&self) -> Vec<Table> {
        let setting = format!(
            "{CONTAINERS} containers print {RATE} lines per second each of 120 to 200 bytes for \
             {} s; then none prints for {} s, and then each a single line. CPU is from the first \
             to the arrival of the last of those {} s. Delays are from the write into the container's pipe to the arrival at a TCP syslog \
             receiver on the loopback, which uses the same cores.",
            self.options.live_s,
            IDLENESS.as_secs(),
            self.options.live_s,
        );
        let table = Table::new("Live: many containers print steadily", setting, COLUMNS);
        let ways = self.ways();
        let [mut table] = self.measure("live", &ways, [table], |way| [self.live_by(*way)]);
        if table.has(OURS) {
            let best = best_peer(&table, &ways);
            table.limits.push(Limit {
                what: format!("{OURS}: CPU s, a quarter of the best peer's that loses nothing"),
                value: table.figure(OURS, "cpu_s"),
                most: best.map(|cpu| cpu * OF_BEST_PEER),
                digits: 2,
            });
        }
        vec![table]
    }

    fn live_by(&self, way: Way) -> Round {
        let time = Duration::from_secs(self.options.live_s);
        let mut feed = Feed::new(&self.places.folder, CONTAINERS, CONTAINERS);
        let most = CONTAINERS as u64 * (RATE * (self.options.live_s + 1) + 2);
        let sink = Sink::listen(most, CONTAINERS);
        let options = [way.driver(sink.address()), vec![feed.mount()]].concat();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let scripts: Vec<String> = (0..CONTAINERS).map(Feed::script).collect();
        let fleet = Fleet::start(&self.image, &options, &scripts);
        let running = way.shipper().map(|shipper| {
            let logs = fleet.log_paths();
            let order = Order { logs: &logs, backlog: false, outage: false, to: sink.address() };
            shipper.start_following(&self.places, &order)
        });
        feed.greet();
        if let Some(running) = &running {
            wait_followed(&sink, feed.printed(), running);
        }
        thread::sleep(SETTLE);

        let pid = running.as_ref().map(Running::pid);
        let (engine, cpu) = (self.dockerd_seconds(), pid.and_then(process::cpu_seconds));
        let from = arrivals::now();
        feed.run(CONTAINERS as u64 * RATE, time);
        let to = arrivals::now();
        if way == Way::Nobody {
            let dockerd = self.dockerd_since(engine);
            return [vec![None, dockerd], vec![None; COLUMNS.len() - 2]].concat();
        }
        sink.wait(feed.printed(), PATIENCE);
        let dockerd = self.dockerd_since(engine);
        let spent = pid.and_then(|pid| process::cpu_since(pid, cpu));
        thread::sleep(IDLENESS);
        let idle = arrivals::now();
        feed.run(IDLE_RATE, IDLE_TIME);
        let tally = sink.wait(feed.printed(), PATIENCE);
        let late = delays(&tally.arrivals, from, to);
        let first = delays(&tally.arrivals, idle, arrivals::now());
        vec![
            spent,
            dockerd,
            percentile(&late, 50),
            percentile(&late, 99),
            late.last().copied(),
            percentile(&first, 50),
            first.last().copied(),
            pid.and_then(process::peak_mib),
            Some(figure(feed.printed() - tally.distinct)),
            Some(figure(tally.repeated)),
        ]
    }
}

/// The least CPU of a peer that has lost nothing; what the engine spends is in no process of its
/// own, so its driver is none.
fn best_peer(table: &Table, ways: &[Way]) -> Option<f64> {
    let peers = ways.iter().filter(|way| way.shipper().is_some_and(|peer| !peer.is_downspout()));
    let whole = peers.filter(|peer| table.figure(peer.name(), "lost") == Some(0.0));
    whole.filter_map(|peer| table.figure(peer.name(), "cpu_s")).min_by(f64::total_cmp)
}
