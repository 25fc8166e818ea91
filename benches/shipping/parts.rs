//! The parts of the bench, and the rounds of their rows. A new part is a file in `parts/` and a row
//! in `PARTS`; a new row of a part stands in that part's file.

mod backlog;
mod burst;
mod cloudwatch;
mod flood;
mod idle;
mod live;
mod outage;
mod scaling;
mod transports;

use super::Bench;
use super::shippers::{Places, Shipper};
use super::table::{self, Column, Entry, Round, Table, shown};
use super::wire::Wire;

/// Measures everything of a part.
pub(crate) type Run = fn(&Bench) -> Vec<Table>;

/// What `--part` chooses from, in the order in which they run.
pub(crate) const PARTS: [(&str, Run); 9] = [
    ("backlog", Bench::backlog),
    ("transports", Bench::transports),
    ("live", Bench::live),
    ("burst", Bench::burst),
    ("outage", Bench::outage),
    ("scaling", Bench::scaling),
    ("idle", Bench::idle),
    ("flood", Bench::flood),
    ("cloudwatch", Bench::cloudwatch),
];

/// What is measured in a row.
pub(crate) trait Row {
    /// It as a row of a table, without figures.
    fn entry(&self, places: &Places) -> Entry;
}

impl Row for Shipper {
    fn entry(&self, places: &Places) -> Entry {
        Entry {
            name: self.name().to_owned(),
            shipper: self.name().to_owned(),
            way: self.way(Wire::Tcp),
            version: self.version(places),
            rounds: Vec::new(),
        }
    }
}

impl Bench {
    /// Runs every row in every round, in turning order; a run brings a round for each table.
    pub(crate) fn measure<T: Row, const TABLES: usize>(
        &self,
        part: &str,
        rows: &[T],
        mut tables: [Table; TABLES],
        mut run: impl FnMut(&T) -> [Round; TABLES],
    ) -> [Table; TABLES] {
        let first = tables.each_ref().map(|table| table.entries.len());
        for table in &mut tables {
            table.entries.extend(rows.iter().map(|row| row.entry(&self.places)));
        }
        for round in 0..self.options.rounds {
            for index in table::order(round, rows.len()) {
                let name = &rows[index].entry(&self.places).name;
                eprintln!(">> {part}, round {}: {name}", round + 1);
                for ((table, first), figures) in tables.iter_mut().zip(first).zip(run(&rows[index]))
                {
                    eprintln!("   {}", said(table.columns, &figures));
                    table.entries[first + index].rounds.push(figures);
                }
            }
        }
        tables
    }
}

/// What the rounds of a row say while they run.
fn said(columns: &[Column], round: &Round) -> String {
    let figures = columns.iter().zip(round);
    let figures =
        figures.map(|(column, value)| format!("{} {}", column.title, shown(*value, column.digits)));
    figures.collect::<Vec<_>>().join(", ")
}
