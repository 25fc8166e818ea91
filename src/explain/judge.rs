//! What each route makes of the container: pure functions over what was found. Never asks anybody.

use std::collections::BTreeSet;

use super::Given;
use super::joined;
use super::look::{Facts, Reading};
use super::position::{Positions, position};
use super::report::{Check, Example, Report, RouteView, Row};
use super::rows::{Pair, place_of};
use crate::config::{Plan, Share};
use crate::encode::Cache;
use crate::record::{ChunkBuilder, Mark, Place, Span, Stream, Timestamp};
use crate::route::Route;
use crate::select::{Origin, Outcome, Rules, Settings, Step, Streams, Verdict};
use crate::source::docker;

/// The text of the line that is shown as it would be sent.
const EXAMPLE: &[u8] = b"example";

/// What is known of everything but the routes.
pub(super) struct Around<'a> {
    pub(super) facts: &'a Facts,
    pub(super) rules: &'a Rules,
    pub(super) settings: &'a docker::Settings,
    pub(super) given: &'a Given,
    pub(super) positions: &'a Positions,
    pub(super) plan: &'a Plan,
    /// The stamp of the example.
    pub(super) now: Timestamp,
}

impl Around<'_> {
    /// What becomes of the container on each route.
    pub(super) fn report(&self, routes: &mut [Route]) -> Report {
        let asked = Settings::of(&self.facts.container, &self.rules.allowed);
        let mut problems: BTreeSet<String> = asked.problems.iter().cloned().collect();
        let names: Vec<&str> = routes.iter().map(|route| route.selection.name()).collect();
        problems.extend(asked.unknown_routes(&names));
        let mut views = Vec::new();
        let shares = self.plan.destinations.iter().map(Some).chain(std::iter::repeat(None));
        for (route, share) in routes.iter_mut().zip(shares) {
            let (view, problem) = self.route(route, share, &asked);
            problems.extend(problem);
            views.push(view);
        }
        Report {
            container: self.facts.container.clone(),
            state: self.facts.state.clone(),
            is_own: self.facts.is_own,
            reading: self.facts.reading.clone(),
            keeps_carriage_returns: self.settings.keep_carriage_returns,
            problems: problems.into_iter().collect(),
            routes: views,
        }
    }

    fn route(
        &self,
        route: &mut Route,
        share: Option<&Share>,
        asked: &Settings,
    ) -> (RouteView, Option<String>) {
        let (container, called) = (&self.facts.container, route.selection.name().to_owned());
        let verdict = route.selection.verdict(&called, container, self.rules);
        let steps = route.selection.explain(&called, container, self.rules);
        let checks: Vec<Check> = steps.into_iter().map(|step| self.check(step)).collect();
        let streams = match verdict {
            Verdict::Ship(streams) => Some(streams),
            // After an inspection everything is known.
            Verdict::Skip(_) | Verdict::Unknown => None,
        };
        let unreadable = self.unreadable();
        let failed = checks.iter().find(|check| check.outcome == "failed").cloned();
        let reason = unreadable.filter(|_| self.facts.is_own || failed.is_none()).or(failed);
        let pair = Pair { route, around: self, asked };
        let mut settings: Vec<Row> = pair.rows(share);
        let label = asked.multiline.as_deref();
        let (row, problem) = joined::row(route, container, label, self.given);
        settings.push(row);
        let view = RouteView {
            destination: route.name.clone(),
            name: Some(called).filter(|name| !name.is_empty()),
            streams: streams.filter(|_| reason.is_none()),
            reason,
            checks,
            settings,
            position: self.position(&route.name),
            examples: self.examples(route, streams.unwrap_or_default()),
        };
        (view, problem)
    }

    // What keeps every route from it, whatever its settings are.
    fn unreadable(&self) -> Option<Check> {
        let (setting, why) = match &self.facts.reading {
            _ if self.facts.is_own => (
                "own container",
                "it is downspout's own container, which is never shipped: its lines would go in a \
                 circle",
            ),
            Reading::Nothing => (
                "DOWNSPOUT_ATTACH",
                "its log driver keeps nothing that could be read; give it --log-driver json-file, or \
                 set DOWNSPOUT_ATTACH=true to attach to it",
            ),
            _ => return None,
        };
        let is_variable = setting.starts_with("DOWNSPOUT");
        Some(Check {
            setting,
            value: is_variable.then(|| "false".to_owned()),
            origin: place_of(self.given, &[setting]),
            outcome: "failed",
            why: Some(why.to_owned()),
        })
    }

    fn check(&self, step: Step) -> Check {
        let Step { setting, value, origin, outcome } = step;
        let origin = match (origin, setting) {
            (Origin::Route, _) => format!("route option {setting}"),
            (Origin::Operator, "opt_in") => place_of(self.given, &["DOWNSPOUT_OPT_IN"]),
            (Origin::Operator, "ALLOW_TTY") => {
                place_of(self.given, &["ALLOW_TTY", "DOWNSPOUT_TTY"])
            }
            (Origin::Operator, _) => place_of(self.given, &[setting]),
            (Origin::Container, "LOGSPOUT") => "variable LOGSPOUT of the container".into(),
            (Origin::Container, _) => format!("label {setting}"),
        };
        let (outcome, why) = match outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(reason) => ("failed", Some(reason.to_string())),
            Outcome::Unknown => ("unknown", None),
        };
        Check { setting, value, origin, outcome, why }
    }

    fn position(&self, destination: &str) -> String {
        if self.facts.reading == Reading::Attach {
            return "begins with what it prints while it is attached to: there is no log".into();
        }
        let (id, runs) = (&self.facts.container.id, docker::is_running(&self.facts.state));
        position(self.positions, destination, (id, runs), self.settings)
    }

    // What goes over the wire for a line of each stream that is shipped.
    fn examples(&self, route: &mut Route, streams: Streams) -> Vec<Example> {
        let details = self.facts.container.details.as_ref();
        let has_terminal = details.is_some_and(|details| details.tty);
        let all = [Stream::Stdout, Stream::Stderr].into_iter();
        let wanted = all
            .filter(|stream| streams.has(*stream) && !(has_terminal && *stream == Stream::Stderr));
        let mut cache = Cache::default();
        let mut examples = Vec::new();
        for stream in wanted {
            let mark = Mark { time: self.now, pieces: 1 };
            let place = Place { time: self.now, stream, mark, span: Span::default() };
            let mut builder = ChunkBuilder::default();
            builder.push(EXAMPLE, b"", place);
            let Some(chunk) = builder.take(&self.facts.container) else { continue };
            let mut bytes = Vec::new();
            route.encoder.encode(&chunk, &mut cache, &mut bytes, &mut Vec::new());
            let bytes = String::from_utf8_lossy(&bytes).into_owned();
            examples.push(Example { stream, bytes });
        }
        examples
    }
}
