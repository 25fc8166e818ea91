//! A live load while the receiver goes away for some seconds and comes back.

use std::thread;
use std::time::Duration;

use crate::Bench;
use crate::arrivals;
use crate::containers::{Fleet, JSON_FILE};
use crate::drain::wait_followed;
use crate::feed::Feed;
use crate::process;
use crate::shippers::{Order, Shipper};
use crate::sink::Sink;
use crate::table::{Column, Round, Table, figure};

/// Containers between which the load is shared.
const CONTAINERS: usize = 5;
/// Load before the receiver goes.
const BEFORE: Duration = Duration::from_secs(5);
/// Nothing new for this long means that nothing more will come: the shippers' own pauses between
/// two attempts are shorter.
const PATIENCE: Duration = Duration::from_secs(20);
/// A line that is younger is not of a backlog.
const FRESH: Duration = Duration::from_millis(100);
/// Time for late repetitions.
const SETTLE: Duration = Duration::from_millis(500);

const COLUMNS: &[Column] = &[
    Column::count("lost", "lost").at_most(0.0),
    Column::count("repeated", "repeated").at_most(0.0),
    Column::count("reordered", "out of order"),
    Column::measure("first_s", "first line after s", 2),
    Column::measure("caught_up_s", "caught up after s", 2),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::peak("peak_mib", "peak MiB", 1),
];

impl Bench {
    pub(crate) fn outage(&self) -> Vec<Table> {
        let (rate, away, after) = (self.options.rate, self.options.away_s, self.options.after_s);
        let end = if self.options.reset { "resets" } else { "ends" };
        let setting = format!(
            "{CONTAINERS} containers print {rate} lines per second of 120 to 200 bytes for {} s. \
             After {} s the TCP syslog receiver on the loopback {end} its connections, refuses \
             new ones for {away} s, and is back for the last {after} s. Caught up: of each \
             container a line has come within 100 ms of being printed, counted from the \
             receiver's return. rsyslog has a queue of 200,000 messages with a disk behind it, \
             syslog-ng flow control; both try again each second, without end. downspout has its \
             defaults.",
            self.load_time().as_secs(),
            BEFORE.as_secs(),
        );
        let title = "Outage: the receiver goes away and comes back";
        let table = Table::new(title, setting, COLUMNS);
        self.measure("outage", &self.shippers(), [table], |shipper| [self.outlive(*shipper)]).into()
    }

    fn load_time(&self) -> Duration {
        BEFORE + Duration::from_secs(self.options.away_s + self.options.after_s)
    }

    fn outlive(&self, shipper: Shipper) -> Round {
        let mut feed = Feed::new(&self.places.folder, CONTAINERS, CONTAINERS);
        let mount = feed.mount();
        let scripts: Vec<String> = (0..CONTAINERS).map(Feed::script).collect();
        let fleet = Fleet::start(&self.image, &[JSON_FILE, &[&mount]].concat(), &scripts);
        let time = self.load_time();
        let most = self.options.rate * (time.as_secs() + 1);
        let mut sink = Sink::listen(most, CONTAINERS);
        let logs = fleet.log_paths();
        let order = Order { logs: &logs, backlog: false, outage: true, to: sink.address() };
        let running = shipper.start_following(&self.places, &order);
        feed.greet();
        wait_followed(&sink, feed.printed(), &running);

        let (pid, engine) = (running.pid(), self.dockerd_seconds());
        let cpu = process::cpu_seconds(pid);
        let rate = self.options.rate;
        let returned = thread::scope(|scope| {
            scope.spawn(|| feed.run(rate, time));
            thread::sleep(BEFORE);
            sink.go_away(self.options.reset);
            thread::sleep(Duration::from_secs(self.options.away_s));
            sink.come_back();
            arrivals::now()
        });
        sink.wait(feed.printed(), PATIENCE);
        thread::sleep(SETTLE);
        let (tally, dockerd) = (sink.tally(), self.dockerd_since(engine));
        let lost = feed.printed() - tally.distinct;
        if lost + tally.repeated > 0 {
            let repeated = tally.repeated;
            eprintln!("!! {lost} lines lost, {repeated} repeated; it said: {}", running.said());
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
