//! Lines that wait in a container's log, drained over plain TCP by each way of reading them.

use crate::Bench;
use crate::drain::{Figures, LINE_BYTES};
use crate::limits::Limit;
use crate::shippers::Shipper;
use crate::table::{Column, OURS, Round, Table, figure};
use crate::wire::Wire;

/// What a million lines may cost: CPU seconds and peak MiB out of the files, and out of the API.
const FILE_LIMITS: (f64, f64) = (0.28, 24.0);
const API_LIMITS: (f64, f64) = (0.8, 32.0);
/// How much of rsyslog's time it may take out of the files.
const OF_RSYSLOG: f64 = 0.25;
const MILLION: f64 = 1e6;

const COLUMNS: &[Column] = &[
    Column::measure("wall_s", "drain s", 2),
    Column::measure("lines_per_s", "lines/s", 0),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::peak("peak_mib", "peak MiB", 1),
    Column::measure("code_mib", "code on disk MiB", 1),
    Column::count("lost", "lost"),
    Column::count("repeated", "repeated"),
];

impl Bench {
    /// Every shipper drains the same log, in turning order.
    pub(crate) fn backlog(&self) -> Vec<Table> {
        let lines = self.options.lines;
        let backlog = self.backlog_of(lines, LINE_BYTES);
        let setting = format!(
            "{lines} lines of {LINE_BYTES} bytes wait in a json-file and go to a TCP syslog \
             receiver on the loopback, which uses the same cores."
        );
        let title = "Backlog: lines wait in a json-file";
        let table = Table::new(title, setting, COLUMNS);
        let [mut table] = self.measure("backlog", &self.shippers(), [table], |shipper| {
            [round(&self.drain(*shipper, Wire::Tcp, &backlog), lines)]
        });
        table.limits = limits(&table, lines);
        vec![table]
    }
}

fn round(figures: &Figures, lines: u64) -> Round {
    vec![
        figures.wall_s,
        figures.wall_s.map(|wall| (figure(lines) - figures.lost) / wall),
        figures.cpu_s,
        figures.dockerd_s,
        figures.peak_mib,
        figures.code_mib,
        Some(figures.lost),
        Some(figures.repeated),
    ]
}

fn limits(table: &Table, lines: u64) -> Vec<Limit> {
    let api = Shipper::DownspoutApi.name();
    let mut limits = Vec::new();
    for (name, (cpu, peak)) in [(OURS, FILE_LIMITS), (api, API_LIMITS)] {
        if !table.has(name) {
            continue;
        }
        let per_million = |cpu| cpu * MILLION / figure(lines);
        limits.push(Limit {
            what: format!("{name}: CPU s per million lines"),
            value: table.figure(name, "cpu_s").map(per_million),
            most: Some(cpu),
            digits: 2,
        });
        limits.push(Limit {
            what: format!("{name}: peak MiB"),
            value: table.figure(name, "peak_mib"),
            most: Some(peak),
            digits: 1,
        });
    }
    if table.has(OURS) {
        let rsyslog = table.figure(Shipper::Rsyslog.name(), "wall_s");
        limits.push(Limit {
            what: format!("{OURS}: drain s, a quarter of rsyslog's"),
            value: table.figure(OURS, "wall_s"),
            most: rsyslog.map(|wall| wall * OF_RSYSLOG),
            digits: 2,
        });
    }
    limits
}
