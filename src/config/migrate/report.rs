//! The report as text for people and as JSON for tools. Never shows a value that may hold a secret.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::routes::RouteWords;
use super::table::{Ours, Row};
use crate::config::help::wrap;
use crate::terminal::{self, clean};

/// Characters of a value that the text shows.
const MOST_SHOWN: usize = 200;

/// Everything that is said.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) settings: Vec<Setting>,
    pub(super) routes: Vec<RouteWords>,
    /// Names, and what is to be said of each.
    pub(super) unknown: Vec<(String, String)>,
    /// What the agent would say of the settings at its start.
    pub(super) notes: Vec<String>,
    pub(super) changes: Vec<String>,
    pub(super) command: String,
    /// Variables that the command has nothing for.
    pub(super) left_out: Vec<&'static str>,
    pub(super) problems: Vec<String>,
}

/// One of logspout's settings that is set.
#[derive(Debug)]
pub(super) struct Setting {
    row: &'static Row,
    /// `None` if it may hold a secret.
    value: Option<String>,
    ours: Option<String>,
}

impl Setting {
    /// What a row says of this value. `http`: where pages are served.
    pub(super) fn of(row: &'static Row, value: &str, http: Option<SocketAddr>) -> Self {
        let shown = |value: String| if row.hides { "…".to_owned() } else { value };
        let ours = match (row.ours)(value) {
            Ours::None | Ours::Default => None,
            Ours::Http => http.map(|address| format!("DOWNSPOUT_HTTP={address}")),
            Ours::Variable(name, value) => Some(format!("{name}={}", shown(value))),
            Ours::Option(_, name, value) => Some(format!("?{name}={}", shown(value))),
        };
        Self { row, value: (!row.hides).then(|| value.to_owned()), ours }
    }

    fn json(&self) -> Value {
        json!({
            "name": self.row.name,
            "value": self.value,
            "verdict": self.row.verdict.name(),
            "words": self.row.words,
            "ours": self.ours,
        })
    }
}

impl Report {
    /// One JSON object and a line feed.
    pub(super) fn json(&self) -> String {
        let routes = self.routes.iter().map(|route| {
            let notes = route
                .notes
                .iter()
                .map(|(verdict, words)| json!({ "verdict": verdict.name(), "words": words }));
            json!({ "uri": route.uri, "ours": route.ours, "notes": notes.collect::<Vec<_>>() })
        });
        let unknown =
            self.unknown.iter().map(|(name, words)| json!({ "name": name, "words": words }));
        terminal::json(&json!({
            "schema": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "settings": self.settings.iter().map(Setting::json).collect::<Vec<_>>(),
            "routes": routes.collect::<Vec<_>>(),
            "unknown": unknown.collect::<Vec<_>>(),
            "notes": self.notes,
            "changes": self.changes,
            "command": self.command,
            "left_out": self.left_out,
            "problems": self.problems,
        }))
    }

    /// Text for people, never wider than 100 columns but for words and commands that are.
    pub(super) fn text(&self) -> String {
        let mut page = Page(String::new());
        page.heading("Variables of logspout's");
        for Setting { row, value, ours } in &self.settings {
            let value = value.as_deref().map_or_else(|| "(not shown)".into(), shown);
            page.plain(0, &format!("{}={value}", row.name));
            page.words(1, &format!("{}: {}", row.verdict.words(), row.words));
            if let Some(ours) = ours {
                page.plain(1, &format!("In our own words: {}", shown(ours)));
            }
        }
        if self.settings.is_empty() {
            page.plain(0, "None is set.");
        }
        if !self.unknown.is_empty() {
            page.heading("Variables that are not read");
            for (name, words) in &self.unknown {
                let end = if words.ends_with('?') { "" } else { "." };
                page.words(0, &format!("{} {words}{end}", shown(name)));
            }
        }
        self.put_routes(&mut page);
        if !self.notes.is_empty() {
            page.heading("What is to be said of these settings");
            for note in &self.notes {
                page.words(0, &format!("- {}.", clean(note)));
            }
        }
        page.heading("What changes without a setting");
        for change in &self.changes {
            page.words(0, &format!("- {change}"));
        }
        page.heading("A start with our own defaults, instead of logspout's variables");
        for line in self.command.lines() {
            page.plain(0, &clean(line));
        }
        if self.command.contains('…') {
            page.words(0, "For … put in what is not shown here, since it may be a secret.");
        }
        if self.routes.iter().any(|route| route.ours.is_none()) {
            page.words(0, "Routes that cannot be used are not in it.");
        }
        if !self.left_out.is_empty() {
            let names = self.left_out.join(", ");
            page.words(
                0,
                &format!(
                    "Our own formats have nothing for {names}; keep them, and format=logspout."
                ),
            );
        }
        page.0
    }

    fn put_routes(&self, page: &mut Page) {
        page.heading("Routes");
        if self.routes.is_empty() {
            page.plain(0, "None is given.");
        }
        for route in &self.routes {
            page.plain(0, &shown(&route.uri));
            for (verdict, words) in &route.notes {
                page.words(1, &format!("{}: {words}.", verdict.words()));
            }
            if let Some(ours) = &route.ours {
                page.plain(1, &format!("In our own words: {}", clean(ours)));
            }
        }
    }
}

fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let head: String = characters.by_ref().take(MOST_SHOWN).collect();
    let more = if characters.next().is_some() { "…" } else { "" };
    format!("{}{more}", clean(&head))
}

struct Page(String);

impl Page {
    fn heading(&mut self, heading: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.0.extend([gap, "== ", heading, " ==\n"]);
    }

    fn plain(&mut self, depth: usize, line: &str) {
        self.0.extend(["  ".repeat(depth).as_str(), line, "\n"]);
    }

    fn words(&mut self, depth: usize, text: &str) {
        wrap(&mut self.0, &"  ".repeat(depth), text);
    }
}
