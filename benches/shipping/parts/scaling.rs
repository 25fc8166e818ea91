//! What must not grow: the cost of a line with the number of busy containers, that of a byte with
//! the length of the lines, memory with the backlog.

use std::thread;
use std::time::{Duration, Instant};

use super::Row;
use crate::Bench;
use crate::containers::{Fleet, JSON_FILE};
use crate::drain::{Figures, LINE_BYTES, wait_followed};
use crate::limits::Limit;
use crate::pipes::Pipes;
use crate::process;
use crate::shippers::{Order, Places, Shipper};
use crate::sink::Sink;
use crate::table::{Column, Entry, OURS, Round, Table, figure};
use crate::wire::Wire;

/// Containers that print at once; the last is as `--busy` says.
const BUSY: [usize; 2] = [1, 50];
/// Lengths of lines in bytes; the engine cuts longer ones than 16 KiB.
const LENGTHS: [usize; 2] = [80, 8 * 1024];
/// What is flat may vary by so much.
const FLAT: f64 = 1.2;
/// From the first line of every container until it counts.
const SETTLE: Duration = Duration::from_secs(1);

const COLUMNS: &[Column] = &[
    Column::measure("wall_s", "last line after s", 2),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("us_per_line", "CPU µs per line", 3),
    Column::measure("ns_per_byte", "CPU ns per byte", 3),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::peak("peak_mib", "peak MiB", 1),
    Column::count("lost", "lost"),
    Column::count("repeated", "repeated"),
];

/// A shipper and what it has to cope with.
struct Scaled {
    shipper: Shipper,
    size: String,
}

impl Row for Scaled {
    fn entry(&self, places: &Places) -> Entry {
        let entry = self.shipper.entry(places);
        Entry { name: name(self.shipper.name(), &self.size), ..entry }
    }
}

/// Containers that print when they are told to.
struct Crew {
    pipes: Pipes,
    /// Holds the containers while it is there.
    _fleet: Fleet,
}

impl Bench {
    pub(crate) fn scaling(&self) -> Vec<Table> {
        vec![self.by_containers(), self.by_length(), self.by_backlog()]
    }

    /// The syslog daemons would begin with all that was printed in earlier rounds.
    fn by_containers(&self) -> Table {
        let setting = format!(
            "Containers print {} lines of {LINE_BYTES} bytes in all, as fast as they can at the \
             same time, to a TCP syslog receiver on the loopback, which uses the same cores. It \
             counts from when all are followed. Only downspout: it alone can begin where the log \
             ends.",
            self.options.lines,
        );
        let mut table = Table::new("Scaling: busy containers", setting, COLUMNS);
        let shippers = self.shippers().into_iter().filter(|shipper| shipper.is_downspout());
        let shippers: Vec<Shipper> = shippers.collect();
        let counts = [BUSY[0], BUSY[1], self.options.busy];
        let size = |count| match count {
            1 => "a busy container".to_owned(),
            _ => format!("{count} busy containers"),
        };
        for count in counts {
            let mut crew = self.crew(count);
            let rows = scaled(&shippers, &size(count));
            [table] = self
                .measure("scaling", &rows, [table], |row| [self.ship_busy(row.shipper, &mut crew)]);
        }
        table.limits = flat(&table, "us_per_line", "CPU per line", &counts.map(size));
        table
    }

    fn crew(&self, count: usize) -> Crew {
        let pipes = Pipes::new(&self.places.folder, count);
        let printer = |index| Pipes::printer(index, count, LINE_BYTES, false);
        let scripts: Vec<String> = (0..count).map(printer).collect();
        eprintln!(">> scaling: starting {count} containers");
        let mount = pipes.mount();
        let options = [JSON_FILE, &[&mount]].concat();
        let fleet = Fleet::start(&self.image, &options, &scripts);
        Crew { pipes, _fleet: fleet }
    }

    fn ship_busy(&self, shipper: Shipper, crew: &mut Crew) -> Round {
        let count = crew.pipes.count();
        let (lines, first) = (self.options.lines, count as u64);
        let sink = Sink::listen(lines, count);
        let order = Order { logs: &[], backlog: false, outage: false, to: sink.address() };
        let running = shipper.start_following(&self.places, &order);
        (0..count).for_each(|index| crew.pipes.tell(index, index as u64..first));
        wait_followed(&sink, first, &running);
        thread::sleep(SETTLE);
        let cpu = process::cpu_seconds(running.pid());
        let before = (Instant::now(), self.dockerd_seconds());
        (0..count).for_each(|index| crew.pipes.tell(index, first + index as u64..lines));
        let figures = self.finish(&sink, lines, Some(&running), before);
        let cpu_s = process::cpu_since(running.pid(), cpu);
        round(&Figures { cpu_s, ..figures }, lines - first, LINE_BYTES)
    }

    fn by_length(&self) -> Table {
        let bytes = self.options.lines * LINE_BYTES as u64;
        let setting = format!(
            "About {bytes} bytes wait in a json-file as lines of one length, and go to a TCP \
             syslog receiver on the loopback, which uses the same cores."
        );
        let mut table = Table::new("Scaling: length of lines", setting, COLUMNS);
        let size = |length| format!("lines of {length} bytes");
        for length in LENGTHS {
            let lines = bytes / length as u64;
            table = self.drain_scaled(table, lines, length, &size(length));
        }
        table.limits = flat(&table, "ns_per_byte", "CPU per byte", &LENGTHS.map(size));
        table
    }

    fn by_backlog(&self) -> Table {
        let setting = format!(
            "Lines of {LINE_BYTES} bytes wait in a json-file, and go to a TCP syslog receiver on \
             the loopback, which uses the same cores."
        );
        let mut table = Table::new("Scaling: length of the backlog", setting, COLUMNS);
        let backlogs = [self.options.lines / 4, self.options.lines * 2];
        let size = |lines| format!("{lines} lines");
        for lines in backlogs {
            table = self.drain_scaled(table, lines, LINE_BYTES, &size(lines));
        }
        table.limits = flat(&table, "peak_mib", "peak MiB", &backlogs.map(size));
        table
    }

    /// Every shipper drains a backlog of its own size.
    fn drain_scaled(&self, table: Table, lines: u64, line_bytes: usize, size: &str) -> Table {
        let backlog = self.backlog_of(lines, line_bytes);
        let rows = scaled(&self.shippers(), size);
        let [table] = self.measure("scaling", &rows, [table], |row| {
            [round(&self.drain(row.shipper, Wire::Tcp, &backlog), lines, line_bytes)]
        });
        table
    }
}

fn name(shipper: &str, size: &str) -> String {
    format!("{shipper}, {size}")
}

fn scaled(shippers: &[Shipper], size: &str) -> Vec<Scaled> {
    let scaled = |shipper: &Shipper| Scaled { shipper: *shipper, size: size.to_owned() };
    shippers.iter().map(scaled).collect()
}

fn round(figures: &Figures, lines: u64, line_bytes: usize) -> Round {
    let came = figure(lines) - figures.lost;
    let per_line = |unit: f64| figures.cpu_s.map(|cpu| cpu / unit / came);
    vec![
        figures.wall_s,
        figures.cpu_s,
        per_line(1e-6),
        per_line(1e-9 * figure(line_bytes as u64)),
        figures.dockerd_s,
        figures.peak_mib,
        Some(figures.lost),
        Some(figures.repeated),
    ]
}

/// A figure of downspout is at every size about what it is at the first, or less.
fn flat(table: &Table, key: &str, what: &str, sizes: &[String]) -> Vec<Limit> {
    let at = |size: &String| table.figure(&name(OURS, size), key);
    let Some((first, rest)) = sizes.split_first() else { return Vec::new() };
    let measured = rest.iter().filter(|size| table.has(&name(OURS, size)));
    let limit = |size: &String| Limit {
        what: format!("{}: {what}, times that with {first}", name(OURS, size)),
        value: at(size).zip(at(first)).map(|(size, first)| size / first),
        most: Some(FLAT),
        digits: 2,
    };
    measured.map(limit).collect()
}
