//! The figures of backlog and live, as tables for people and for programs. Never measures.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use crate::table::{Section, median, shown};

/// The limits that downspout has for a million lines out of the engine's API: CPU seconds, MiB.
const LIMITS: (f64, f64) = (0.8, 32.0);
const MILLION: f64 = 1e6;

/// What one run cost and brought.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// From the start of the shipper (live: of the container) to the last line.
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: Option<f64>,
    pub(crate) dockerd_s: Option<f64>,
    pub(crate) peak_mib: Option<f64>,
    pub(crate) code_mib: Option<f64>,
    /// How long the container took to print, its start included.
    pub(crate) container_s: Option<f64>,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    pub(crate) foreign: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wall_s, lost, repeated, reordered, foreign, .. } = self;
        let (cpu, dockerd) = (shown(self.cpu_s, 2), shown(self.dockerd_s, 2));
        let peak = shown(self.peak_mib, 1);
        write!(f, "{wall_s:.2} s, CPU {cpu} + {dockerd} s, {peak} MiB; lost {lost}, ")?;
        write!(f, "repeated {repeated}, reordered {reordered}, foreign {foreign}")
    }
}

/// One way of shipping, with what it cost in each round.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    way: String,
    version: String,
    pub(crate) figures: Vec<Figures>,
}

impl Row {
    pub(crate) fn new(name: &str, way: &str, version: String) -> Self {
        Self { name: name.into(), way: way.into(), version, figures: Vec::new() }
    }

    fn median(&self, value: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        median(self.figures.iter().filter_map(value))
    }

    fn lost(&self) -> u64 {
        self.figures.iter().map(|figures| figures.lost).max().unwrap_or_default()
    }

    fn repeated(&self) -> u64 {
        self.figures.iter().map(|figures| figures.repeated).max().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let rounds: Vec<Value> = self.figures.iter().map(figures_json).collect();
        json!({ "name": self.name, "way": self.way, "version": self.version, "rounds": rounds })
    }
}

fn figures_json(figures: &Figures) -> Value {
    json!({
        "wall_s": figures.wall_s,
        "cpu_s": figures.cpu_s,
        "dockerd_s": figures.dockerd_s,
        "peak_mib": figures.peak_mib,
        "code_mib": figures.code_mib,
        "container_s": figures.container_s,
        "lost": figures.lost,
        "repeated": figures.repeated,
        "reordered": figures.reordered,
        "foreign": figures.foreign,
    })
}

/// What one of the two parts found out.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rounds: usize,
    pub(crate) lines: u64,
    pub(crate) line_bytes: usize,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    pub(crate) fn backlog(&self) -> Section {
        self.section(&self.backlog_text())
    }

    pub(crate) fn live(&self) -> Section {
        self.section(&self.live_text())
    }

    fn section(&self, tables: &str) -> Section {
        let Self { lines, line_bytes, rounds, rows } = self;
        let text = format!(
            "{lines} lines of {line_bytes} bytes to a TCP syslog receiver on the loopback, which \
             uses the same cores. Medians of {rounds} rounds in turning order; lost and repeated \
             are the worst round.\n{tables}"
        );
        let ours = rows.iter().filter(|row| row.name == "downspout");
        let data = rows.iter().map(Row::json).collect::<Vec<_>>();
        Section {
            text,
            data: json!({
                "rounds": rounds, "lines": lines, "line_bytes": line_bytes, "rows": data,
            }),
            lost: ours.map(Row::lost).max().unwrap_or_default(),
        }
    }

    fn backlog_text(&self) -> String {
        let mut text = "\n**Backlog: the lines wait in a json-file**\n\n\
            | shipper | drain s | CPU s | CPU × ours | dockerd CPU s | both × ours | peak MiB | \
            code on disk MiB | lost | repeated |\n|---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
        let ours = self.rows.iter().find(|row| row.name == "downspout");
        for row in &self.rows {
            let cpu = row.median(|figures| figures.cpu_s);
            let ratio = |value: fn(&Figures) -> Option<f64>| {
                let (theirs, ours) =
                    row.median(value).zip(ours.and_then(|row| row.median(value)))?;
                Some(theirs / ours)
            };
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.name,
                shown(row.median(|figures| Some(figures.wall_s)), 2),
                shown(cpu, 2),
                shown(ratio(|figures| figures.cpu_s), 1),
                shown(row.median(|figures| figures.dockerd_s), 2),
                shown(ratio(both), 1),
                shown(row.median(|figures| figures.peak_mib), 1),
                shown(row.median(|figures| figures.code_mib), 1),
                row.lost(),
                row.repeated(),
            )
            .unwrap();
        }
        text.push('\n');
        for row in &self.rows {
            writeln!(text, "- {}: {}; {}", row.name, row.way, row.version).unwrap();
        }
        ours.map_or(text.clone(), |row| text + &self.limits_text(row))
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of lines")]
    fn limits_text(&self, row: &Row) -> String {
        let millions = self.lines as f64 / MILLION;
        let verdict = |value: Option<f64>, limit: f64| match value {
            Some(value) if value <= limit => "met",
            Some(_) => "MISSED",
            None => "unknown",
        };
        let cpu = row.median(|figures| figures.cpu_s).map(|cpu| cpu / millions);
        let peak = row.median(|figures| figures.peak_mib);
        format!(
            "- limits of downspout: {} CPU s per million lines ({}: {}), {} MiB ({}: {})\n",
            LIMITS.0,
            shown(cpu, 2),
            verdict(cpu, LIMITS.0),
            LIMITS.1,
            shown(peak, 1),
            verdict(peak, LIMITS.1),
        )
    }

    fn live_text(&self) -> String {
        let mut text = "\n**Live: a container prints the lines as fast as it can**\n\n\
            | way | last line after s | container took s | CPU s | dockerd CPU s | peak MiB | \
            lost | repeated |\n|---|---|---|---|---|---|---|---|\n"
            .to_owned();
        for row in &self.rows {
            writeln!(
                text,
                "| {}: {} | {} | {} | {} | {} | {} | {} | {} |",
                row.name,
                row.way,
                shown(row.median(|figures| Some(figures.wall_s)), 2),
                shown(row.median(|figures| figures.container_s), 2),
                shown(row.median(|figures| figures.cpu_s), 2),
                shown(row.median(|figures| figures.dockerd_s), 2),
                shown(row.median(|figures| figures.peak_mib), 1),
                row.lost(),
                row.repeated(),
            )
            .unwrap();
        }
        text
    }
}

fn both(figures: &Figures) -> Option<f64> {
    // A shipper that reads files costs the engine nothing; what it did meanwhile is noise.
    Some(figures.cpu_s? + figures.dockerd_s.unwrap_or_default())
}
