//! Figures of rounds to a table for people and one for programs. Never measures.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::limits::Limit;

/// The row to which the limits of columns apply: the agent with its defaults.
pub(crate) const OURS: &str = "downspout";

/// How the rounds of a row become one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Median,
    Worst,
}

/// A figure that is taken in every round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its name for programs.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// Digits behind the point.
    pub(crate) digits: usize,
    pub(crate) fold: Fold,
    /// What it may be at most in the row `OURS`.
    pub(crate) limit: Option<f64>,
}

impl Column {
    /// A count, of which the worst round stands.
    pub(crate) const fn count(key: &'static str, title: &'static str) -> Self {
        Self { key, title, digits: 0, fold: Fold::Worst, limit: None }
    }

    /// A measure, of which the median stands.
    pub(crate) const fn measure(key: &'static str, title: &'static str, digits: usize) -> Self {
        Self { key, title, digits, fold: Fold::Median, limit: None }
    }

    /// A measure, of which the worst round stands.
    pub(crate) const fn peak(key: &'static str, title: &'static str, digits: usize) -> Self {
        Self { key, title, digits, fold: Fold::Worst, limit: None }
    }

    pub(crate) const fn at_most(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    fn fold(&self, values: impl Iterator<Item = f64>) -> Option<f64> {
        match self.fold {
            Fold::Median => median(values),
            Fold::Worst => values.max_by(f64::total_cmp),
        }
    }
}

/// The figures of a round in the order of the columns; `None` for what is not known.
pub(crate) type Round = Vec<Option<f64>>;

/// A row: who ships and how, with its figures.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Those of the agent begin with `OURS`.
    pub(crate) name: String,
    /// Whose way it is: one for all rows of a shipper that differ only in what it is given.
    pub(crate) shipper: String,
    pub(crate) way: String,
    pub(crate) version: String,
    pub(crate) rounds: Vec<Round>,
}

/// What is measured under one heading.
#[derive(Debug)]
pub(crate) struct Table {
    /// A topic, a colon, and what it is about.
    pub(crate) title: &'static str,
    /// What was done, in sentences.
    pub(crate) setting: String,
    pub(crate) columns: &'static [Column],
    pub(crate) entries: Vec<Entry>,
    /// Beside those of the columns.
    pub(crate) limits: Vec<Limit>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(title: &'static str, setting: String, columns: &'static [Column]) -> Self {
        Self { title, setting, columns, entries: Vec::new(), limits: Vec::new() }
    }

    /// Whether it has that row.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// A figure of all rounds of a row.
    pub(crate) fn figure(&self, name: &str, key: &str) -> Option<f64> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        let index = self.columns.iter().position(|column| column.key == key)?;
        self.columns[index].fold(figures(entry, index))
    }

    /// Every limit, those of the columns first.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let limited = self.columns.iter().filter(|_| self.has(OURS));
        let of_columns = limited.filter_map(|column| {
            let (what, digits) = (format!("{OURS}: {}", column.title), column.digits);
            let value = self.figure(OURS, column.key);
            Some(Limit { what, value, most: Some(column.limit?), digits })
        });
        of_columns.chain(self.limits.iter().cloned()).collect()
    }

    pub(crate) fn text(&self) -> String {
        let Self { title, setting, columns, entries, .. } = self;
        let rounds = entries.iter().map(|entry| entry.rounds.len()).max().unwrap_or_default();
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        let mut text = format!(
            "**{title}**\n\n{setting} Medians of {rounds} rounds in turning order; counts and \
             peaks are the worst round.\n\n| shipper | {} |\n|---|{}\n",
            titles.join(" | "),
            "---|".repeat(titles.len()),
        );
        for entry in entries {
            let cell = |column: &Column| shown(self.figure(&entry.name, column.key), column.digits);
            let cells: Vec<String> = columns.iter().map(cell).collect();
            writeln!(text, "| {} | {} |", entry.name, cells.join(" | ")).unwrap();
        }
        text.push('\n');
        let mut told = BTreeSet::new();
        for entry in entries.iter().filter(|entry| told.insert(entry.shipper.as_str())) {
            let Entry { shipper, way, version, .. } = entry;
            let gap = if version.is_empty() { "" } else { "; " };
            writeln!(text, "- {shipper}: {way}{gap}{version}").unwrap();
        }
        for limit in self.limits() {
            writeln!(text, "- limit: {limit}").unwrap();
        }
        text
    }

    pub(crate) fn data(&self) -> Value {
        let round = |round: &Round| -> Value {
            let pairs = self.columns.iter().zip(round);
            pairs.map(|(column, value)| (column.key.to_owned(), json!(value))).collect()
        };
        let row = |entry: &Entry| {
            let Entry { name, way, version, rounds, .. } = entry;
            let figure = |column: &Column| self.figure(name, column.key);
            let figures: Round = self.columns.iter().map(figure).collect();
            json!({
                "name": name, "way": way, "version": version, "figures": round(&figures),
                "rounds": rounds.iter().map(round).collect::<Vec<_>>(),
            })
        };
        json!({
            "title": self.title, "setting": self.setting,
            "rows": self.entries.iter().map(row).collect::<Vec<_>>(),
        })
    }

    /// The first word of the title.
    pub(crate) fn topic(&self) -> &'static str {
        self.title.split(':').next().unwrap_or_default()
    }

    /// The most lines that the agent has lost in one round.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    pub(crate) fn lost(&self) -> u64 {
        let ours = self.entries.iter().filter(|entry| entry.name.starts_with(OURS));
        let lost = ours.filter_map(|entry| self.figure(&entry.name, "lost"));
        lost.max_by(f64::total_cmp).unwrap_or_default() as u64
    }
}

/// What is known of a column.
fn figures(entry: &Entry, column: usize) -> impl Iterator<Item = f64> {
    entry.rounds.iter().filter_map(move |round| round[column])
}

/// Who is measured when: forwards in one round, backwards in the next.
pub(crate) fn order(round: usize, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some(f64::midpoint(values[middle], values[values.len() / 2]))
}

/// A figure with so many digits behind the point, and a dash for none.
pub(crate) fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts of some millions")]
pub(crate) fn figure(count: u64) -> f64 {
    count as f64
}
