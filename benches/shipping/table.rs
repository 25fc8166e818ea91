//! Figures of rounds to a table for people and one for programs. Never measures.

use std::fmt::Write;

use serde_json::{Value, json};

/// What a part of the bench has to say.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) text: String,
    pub(crate) data: Value,
    /// The most lines that downspout has lost in one round.
    pub(crate) lost: u64,
}

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
    /// What it may be at most for downspout.
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

/// A shipper with its figures.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) way: &'static str,
    pub(crate) version: String,
    pub(crate) rounds: Vec<Round>,
}

/// A part of the bench.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// What was done, in sentences.
    pub(crate) setting: String,
    pub(crate) columns: &'static [Column],
    pub(crate) entries: Vec<Entry>,
}

impl Table {
    pub(crate) fn section(&self) -> Section {
        Section { text: self.text(), data: self.data(), lost: self.lost() }
    }

    fn text(&self) -> String {
        let Self { title, setting, columns, entries } = self;
        let rounds = entries.iter().map(|entry| entry.rounds.len()).max().unwrap_or_default();
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        let mut text = format!(
            "{setting} Medians of {rounds} rounds in turning order; counts and peaks are the \
             worst round.\n\n**{title}**\n\n| shipper | {} |\n|---|{}\n",
            titles.join(" | "),
            "---|".repeat(titles.len()),
        );
        for entry in entries {
            let cell = |(index, column): (usize, &Column)| {
                shown(column.fold(figures(entry, index)), column.digits)
            };
            let cells: Vec<String> = columns.iter().enumerate().map(cell).collect();
            writeln!(text, "| {} | {} |", entry.name, cells.join(" | ")).unwrap();
        }
        text.push('\n');
        for Entry { name, way, version, .. } in entries {
            writeln!(text, "- {name}: {way}; {version}").unwrap();
        }
        text.push_str(&self.limits_text());
        text
    }

    fn limits_text(&self) -> String {
        let Some(ours) = self.ours() else { return String::new() };
        let limits = self.columns.iter().enumerate().filter_map(|(index, column)| {
            let limit = column.limit?;
            let value = column.fold(figures(ours, index));
            let verdict = match value {
                Some(value) if value <= limit => "met",
                Some(_) => "MISSED",
                None => "unknown",
            };
            Some(format!("{} {limit} ({}: {verdict})", column.title, shown(value, column.digits)))
        });
        format!("- limits of downspout: {}\n", limits.collect::<Vec<_>>().join(", "))
    }

    fn data(&self) -> Value {
        let round = |round: &Round| -> Value {
            let pairs = self.columns.iter().zip(round);
            pairs.map(|(column, value)| (column.key.to_owned(), json!(value))).collect()
        };
        let row = |entry: &Entry| {
            let Entry { name, way, version, rounds } = entry;
            let rounds: Vec<Value> = rounds.iter().map(round).collect();
            json!({ "name": name, "way": way, "version": version, "rounds": rounds })
        };
        json!({
            "setting": self.setting, "rows": self.entries.iter().map(row).collect::<Vec<_>>(),
        })
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    fn lost(&self) -> u64 {
        let lost = self.columns.iter().position(|column| column.key == "lost");
        let most = self
            .ours()
            .zip(lost)
            .and_then(|(ours, index)| figures(ours, index).max_by(f64::total_cmp));
        most.unwrap_or_default() as u64
    }

    fn ours(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == "downspout")
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

pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
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
