//! What was found, as text for people and as JSON for tools. Never decides anything. Names, labels
//! and lines of containers are disarmed in both.

use std::sync::Arc;

use serde_json::{Value, json};

use super::look::Reading;
use crate::record::{Container, Stream};
use crate::select::{PROJECTS, SERVICES, Streams};
use crate::terminal::{self, clean};

/// Characters of a value that the text shows; JSON has all.
const MOST_SHOWN: usize = 400;

/// Everything that is said of one container.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) container: Arc<Container>,
    /// As the engine calls it.
    pub(super) state: String,
    /// It is the one that this process runs in.
    pub(super) is_own: bool,
    pub(super) reading: Reading,
    pub(super) keeps_carriage_returns: bool,
    /// What is wrong with its labels.
    pub(super) problems: Vec<String>,
    pub(super) routes: Vec<RouteView>,
}

/// What one route makes of it.
#[derive(Debug)]
pub(super) struct RouteView {
    pub(super) destination: String,
    /// By which labels name the route.
    pub(super) name: Option<String>,
    /// Those that are shipped; `None` if none is.
    pub(super) streams: Option<Streams>,
    /// The check that keeps the container out.
    pub(super) reason: Option<Check>,
    pub(super) checks: Vec<Check>,
    pub(super) settings: Vec<Row>,
    pub(super) position: String,
    pub(super) examples: Vec<Example>,
}

/// One check, in the order in which they are made.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) setting: &'static str,
    /// `None` if it is not set.
    pub(super) value: Option<String>,
    pub(super) origin: String,
    /// `passed`, `failed` or `unknown`.
    pub(super) outcome: &'static str,
    pub(super) why: Option<String>,
}

/// One setting.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) origin: String,
}

impl Row {
    pub(super) fn new(name: &'static str, value: &str, origin: impl Into<String>) -> Self {
        Self { name, value: value.to_owned(), origin: origin.into() }
    }
}

/// What goes over the wire for one line.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) stream: Stream,
    pub(super) bytes: String,
}

impl Report {
    /// Whether one route at least ships it.
    pub(super) fn is_shipped(&self) -> bool {
        self.routes.iter().any(|route| route.streams.is_some())
    }

    fn first_label(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.container.labels.get(*name)).map(String::as_str)
    }

    fn driver(&self) -> &str {
        self.container.details.as_ref().map_or("", |details| details.driver.as_str())
    }

    fn has_terminal(&self) -> bool {
        self.container.details.as_ref().is_some_and(|details| details.tty)
    }

    fn reading(&self) -> (&'static str, String) {
        match &self.reading {
            Reading::File(path) => ("file", format!("from its file {}", path.display())),
            Reading::Api(why) => ("api", format!("through Docker's API ({why})")),
            Reading::Attach => (
                "attach",
                "not at all: there is none. The container is attached to, and what it prints while no \
                 agent runs or a destination is down is lost"
                    .into(),
            ),
            Reading::Nothing => ("nothing", "not at all: its log driver keeps none".into()),
            Reading::Unknown(why) => ("unknown", format!("in a way that is not known: {why}")),
        }
    }

    /// One JSON object and a line feed.
    pub(super) fn json(&self) -> String {
        let Container { name, id, image, .. } = &*self.container;
        let (by, what) = self.reading();
        terminal::json(&json!({
            "schema": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "container": {
                "name": name,
                "id": id,
                "image": image,
                "driver": self.driver(),
                "tty": self.has_terminal(),
                "state": self.state,
                "project": self.first_label(&PROJECTS),
                "service": self.first_label(&SERVICES),
                "own": self.is_own,
            },
            "reading": { "by": by, "what": what },
            "shipped": self.is_shipped(),
            "problems": self.problems,
            "routes": self.routes.iter().map(RouteView::json).collect::<Vec<_>>(),
        }))
    }

    /// Text for people.
    pub(super) fn text(&self) -> String {
        let mut text = Text(String::new());
        let container = &self.container;
        text.line(0, &format!("{}, {}", shown(&container.name), container.short_id()));
        let mut facts = vec![
            ("State", self.state.clone()),
            ("Image", container.image.clone()),
            ("Log driver", self.driver().to_owned()),
            ("Terminal", self.terminal().to_owned()),
        ];
        let places =
            [("Project", self.first_label(&PROJECTS)), ("Service", self.first_label(&SERVICES))];
        facts.extend(places.into_iter().filter_map(|(name, of)| Some((name, of?.to_owned()))));
        for (name, value) in facts {
            text.line(1, &format!("{name}: {}", shown(&value)));
        }
        text.line(1, &format!("Its log is read {}.", shown(&self.reading().1)));
        for problem in &self.problems {
            text.line(1, &format!("PROBLEM: {}.", shown(problem)));
        }
        for route in &self.routes {
            route.text(&mut text);
        }
        let shipped = self.routes.iter().filter(|route| route.streams.is_some()).count();
        let all = self.routes.len();
        let s = if all == 1 { "" } else { "s" };
        text.line(0, "");
        text.line(0, &format!("Shipped by {shipped} of {all} route{s}."));
        text.0
    }

    fn terminal(&self) -> &'static str {
        match (self.has_terminal(), self.keeps_carriage_returns) {
            (false, _) => "no",
            (true, false) => {
                "yes; all lines are standard output, without carriage returns at their ends"
            }
            (true, true) => {
                "yes; all lines are standard output, with carriage returns at their ends"
            }
        }
    }
}

impl RouteView {
    fn json(&self) -> Value {
        let reason = self.reason.as_ref().map(|reason| {
            json!({ "setting": reason.setting, "origin": reason.origin, "why": reason.why })
        });
        let settings = self.settings.iter().map(
            |Row { name, value, origin }| json!({ "name": name, "value": value, "origin": origin }),
        );
        let examples = self
            .examples
            .iter()
            .map(|Example { stream, bytes }| json!({ "stream": stream.name(), "bytes": bytes }));
        json!({
            "destination": self.destination,
            "name": self.name,
            "shipped": self.streams.is_some(),
            "streams": self.streams.map(|streams| streams.to_string()),
            "reason": reason,
            "checks": self.checks.iter().map(Check::json).collect::<Vec<_>>(),
            "settings": settings.collect::<Vec<_>>(),
            "examples": examples.collect::<Vec<_>>(),
            "position": self.position,
        })
    }

    fn text(&self, text: &mut Text) {
        let destination = shown(&self.destination);
        text.line(0, "");
        match (&self.streams, &self.reason) {
            (Some(streams), _) => text.line(0, &format!("{destination}: shipped, {streams}")),
            (None, reason) => {
                text.line(0, &format!("{destination}: NOT SHIPPED"));
                if let Some(Check { setting, origin, why, .. }) = reason {
                    let why = why.as_deref().unwrap_or_default();
                    text.line(1, &format!("Why: {}.", shown(why)));
                    text.line(1, &format!("By: {setting} ({}).", shown(origin)));
                }
            }
        }
        if self.streams.is_some() {
            text.line(1, &format!("Position: {}.", shown(&self.position)));
        }
        text.line(1, "Checks, in their order:");
        for check in &self.checks {
            let word = if check.outcome == "passed" { "ok" } else { check.outcome };
            let value = check.value.as_deref().map_or_else(|| "not set".into(), shown);
            let origin = match check.value {
                Some(_) => format!(" ({})", shown(&check.origin)),
                None => String::new(),
            };
            text.line(2, &format!("{word:<8}{}: {value}{origin}", check.setting));
        }
        text.line(1, if self.streams.is_some() { "Settings:" } else { "Settings, if it were:" });
        for Row { name, value, origin } in &self.settings {
            text.line(2, &format!("{name:<16} {} ({})", shown(value), shown(origin)));
        }
        for Example { stream, bytes } in &self.examples {
            text.line(1, &format!("A line of {}: {}", stream.name(), shown(bytes)));
        }
    }
}

impl Check {
    fn json(&self) -> Value {
        let Self { setting, value, origin, outcome, why } = self;
        json!({
            "setting": setting,
            "value": value,
            "origin": origin,
            "outcome": outcome,
            "why": why,
        })
    }
}

struct Text(String);

impl Text {
    fn line(&mut self, depth: usize, line: &str) {
        if !line.is_empty() {
            self.0.push_str(&"  ".repeat(depth));
        }
        self.0.push_str(line);
        self.0.push('\n');
    }
}

fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let head: String = characters.by_ref().take(MOST_SHOWN).collect();
    let more = if characters.next().is_some() { "…" } else { "" };
    format!("{}{more}", clean(&head))
}
