//! What was found, as text for people and as JSON for tools. Never looks at anything itself.

use serde_json::{Map, Value, json};

use super::words::plural;
use crate::terminal::{self, clean};

/// Containers that the text names for one kind of finding; JSON has all.
const MOST_NAMED: usize = 10;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Will hurt one day.
    Warning,
    /// Hurts, or will soon.
    Problem,
}

/// One thing that was found.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    severity: Severity,
    id: &'static str,
    subject: String,
    what: String,
    cure: String,
    numbers: Map<String, Value>,
    /// Larger ones come first among those of one kind.
    weight: u64,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The engine's release, API version and endpoint; `None` if it was not reached or not asked.
    pub(super) engine: Option<(String, String, String)>,
    pub(super) containers: usize,
    pub(super) destinations: usize,
    pub(super) outage_seconds: u64,
    findings: Vec<Finding>,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl Finding {
    /// `id` is stable. `what` and `cure` are words without a full stop at the end.
    pub(super) fn new(
        severity: Severity,
        id: &'static str,
        subject: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        let (subject, what, cure) = (subject.into(), what.into(), cure.into());
        Self { severity, id, subject, what, cure, numbers: Map::new(), weight: 0 }
    }

    /// Adds a number, or whatever else tools want to know.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.numbers.insert(name.to_owned(), value.into());
        self
    }

    /// Sorts it among those of its kind.
    pub(super) fn weighing(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "severity": self.severity.name(),
            "subject": self.subject,
            "what": self.what,
            "cure": self.cure,
            "numbers": self.numbers,
        })
    }
}

impl Report {
    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Worst first, then by kind, then by weight.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.severity, finding.weight);
            let kind = b.severity.cmp(&a.severity).then(a.id.cmp(b.id));
            kind.then(key(b).cmp(&key(a))).then_with(|| a.subject.cmp(&b.subject))
        });
    }

    /// The worst that was found.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// One JSON object and a line feed.
    pub(super) fn json(&self) -> String {
        let engine = self.engine.as_ref().map(|(version, api, endpoint)| {
            json!({ "version": version, "api": api, "endpoint": endpoint })
        });
        let object = json!({
            "schema": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "engine": engine,
            "containers": self.containers,
            "destinations": self.destinations,
            "outage_seconds": self.outage_seconds,
            "problems": self.count(Severity::Problem),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "findings": self.findings.iter().map(Finding::json).collect::<Vec<_>>(),
        });
        terminal::json(&object)
    }

    /// Text for people: what is alike stands together, with its cure below it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if let Some((version, api, endpoint)) = &self.engine {
            let endpoint = clean(endpoint);
            push(&mut text, &format!("Engine {}, API {api}, at {endpoint}; ", clean(version)));
        }
        let (containers, destinations) = (self.containers, self.destinations);
        let counted = [(containers, "container"), (destinations, "destination")];
        let counted = counted.map(|(count, word)| plural(count, word));
        push(&mut text, &format!("{}.\n", counted.join(", ")));
        for alike in self.findings.chunk_by(|a, b| a.severity == b.severity && a.id == b.id) {
            kind(&mut text, alike);
        }
        let [problems, warnings, notes] = [Severity::Problem, Severity::Warning, Severity::Note]
            .map(|severity| plural(self.count(severity), severity.name()));
        push(&mut text, &format!("\n{problems}, {warnings}, {notes}.\n"));
        text
    }
}

fn kind(text: &mut String, alike: &[Finding]) {
    let Some(first) = alike.first() else { return };
    let word = first.severity.name().to_uppercase();
    let count = if alike.len() > 1 { format!(" ({})", alike.len()) } else { String::new() };
    push(text, &format!("\n{word} {}{count}\n", first.id));
    let mut named = alike.iter().take(MOST_NAMED).peekable();
    while let Some(finding) = named.next() {
        push(text, &format!("  {}: {}.\n", clean(&finding.subject), clean(&finding.what)));
        if named.peek().is_none_or(|next| next.cure != finding.cure) && !finding.cure.is_empty() {
            push(text, &format!("    Cure: {}.\n", clean(&finding.cure)));
        }
    }
    let more = alike.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        push(text, &format!("  … and {more} more; --json names them all.\n"));
    }
}

fn push(text: &mut String, more: &str) {
    text.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, id: &'static str, subject: &str) -> Finding {
        Finding::new(severity, id, subject, "grows", "bound it").with("bytes", 7)
    }

    fn report(findings: impl IntoIterator<Item = Finding>) -> Report {
        let mut report = Report { containers: 2, destinations: 1, ..Report::default() };
        report.add(findings);
        report.sort();
        report
    }

    #[test]
    fn the_worst_and_the_heaviest_come_first_and_what_is_alike_has_one_cure() {
        let report = report([
            finding(Severity::Note, "tty", "c"),
            finding(Severity::Problem, "log", "a"),
            finding(Severity::Problem, "log", "b").weighing(1),
        ]);
        assert_eq!(
            report.text(),
            "2 containers, 1 destination.\n\nPROBLEM log (2)\n  b: grows.\n  a: grows.\n    Cure: \
             bound it.\n\nNOTE tty\n  c: grows.\n    Cure: bound it.\n\n2 problems, 0 warnings, 1 \
             note.\n"
        );
        assert_eq!(report.worst(), Some(Severity::Problem));
    }

    #[test]
    fn a_thousand_alike_are_ten_lines_of_text_and_all_of_the_json() {
        let report = report((0..1000).map(|n| finding(Severity::Warning, "log", &n.to_string())));
        assert!(report.text().contains("… and 990 more"), "{}", report.text());
        assert_eq!(report.text().lines().count(), 17, "{}", report.text());
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["findings"].as_array().unwrap().len(), 1000);
        assert_eq!((&json["warnings"], &json["schema"]), (&json!(1000), &json!(1)));
        assert_eq!(json["findings"][0]["numbers"]["bytes"], 7);
        assert_eq!(json["engine"], Value::Null);
    }

    #[test]
    fn hostile_names_break_neither_a_terminal_nor_the_json() {
        let hostile = "a\u{1b}[2Jb\nPROBLEM\r\u{9b}c\"\\\u{202e}\u{7f}";
        let report = report([finding(Severity::Note, "tty", hostile)]);
        let text = report.text();
        let is_obeyed = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!text.contains(is_obeyed), "{text:?}");
        assert_eq!(text.lines().count(), 7, "{text}");
        let printed = report.json();
        assert!(!printed.contains(|c: char| c != '\n' && c.is_control()), "{printed:?}");
        let json: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(json["findings"][0]["subject"], hostile);
    }
}
