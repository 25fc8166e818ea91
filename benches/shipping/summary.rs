//! The tables of all parts, each in two files as soon as it is done, and together with their limits
//! in summary.md and summary.json. Never measures.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::machine::Machine;
use super::table::Table;

/// What is left of a run.
#[derive(Debug)]
pub(crate) struct Summary {
    folder: PathBuf,
    machine: Machine,
    parts: Vec<(&'static str, Vec<Table>)>,
}

impl Summary {
    /// Writes into a folder that exists.
    pub(crate) fn new(folder: PathBuf, machine: Machine) -> Self {
        Self { folder, machine, parts: Vec::new() }
    }

    /// Prints a part and writes it, and the summary anew: what is measured stays if a later part
    /// fails.
    pub(crate) fn publish(&mut self, part: &'static str, tables: Vec<Table>) {
        let text = format!("{}\n\n{}", self.machine, text(&tables));
        self.write(&format!("{part}.md"), &text);
        let data = json!({ "machine": self.machine.json(), "tables": data(&tables) });
        self.write(&format!("{part}.json"), &format!("{data:#}\n"));
        println!("\n{text}\nwritten to {}", self.folder.join(format!("{part}.md")).display());
        self.parts.push((part, tables));
        self.write("summary.md", &self.text());
        self.write("summary.json", &format!("{:#}\n", self.data()));
    }

    /// Prints what became of the limits.
    pub(crate) fn end(&self) {
        println!("\n{}", self.limits_text());
        println!("the whole is in {}", self.folder.join("summary.md").display());
    }

    /// The most lines that the agent has lost in one round of one row.
    pub(crate) fn lost(&self) -> u64 {
        self.tables().map(Table::lost).max().unwrap_or_default()
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.parts.iter().flat_map(|(_, tables)| tables)
    }

    fn text(&self) -> String {
        let mut whole =
            format!("# What downspout costs\n\n{}\n\n{}", self.machine, self.limits_text());
        for (part, tables) in &self.parts {
            write!(whole, "\n## {part}\n\n{}", text(tables)).unwrap();
        }
        whole
    }

    fn limits_text(&self) -> String {
        let mut text =
            "| table | limit | at most | measured | |\n|---|---|---|---|---|\n".to_owned();
        for table in self.tables() {
            for limit in table.limits() {
                let ([most, value], verdict) = (limit.figures(), limit.verdict());
                let (topic, what) = (table.topic(), &limit.what);
                writeln!(text, "| {topic} | {what} | {most} | {value} | {verdict} |").unwrap();
            }
        }
        text
    }

    fn data(&self) -> Value {
        let parts: Map<String, Value> =
            self.parts.iter().map(|(part, tables)| ((*part).to_owned(), data(tables))).collect();
        let limits = self.tables().flat_map(|table| {
            table.limits().into_iter().map(|limit| {
                let mut limit = limit.json();
                limit["table"] = json!(table.topic());
                limit
            })
        });
        let limits: Vec<Value> = limits.collect();
        json!({ "machine": self.machine.json(), "limits": limits, "parts": parts })
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }
}

fn text(tables: &[Table]) -> String {
    tables.iter().map(Table::text).collect::<Vec<_>>().join("\n")
}

fn data(tables: &[Table]) -> Value {
    tables.iter().map(Table::data).collect()
}
