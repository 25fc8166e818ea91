//! `downspout explain CONTAINER`: asks the engine about one container and says what the present
//! settings make of it. Only reads: asks the engine with GET, looks whether the log's file can be
//! opened and at the kept positions. Never connects to a destination, and may run beside an agent.
//!
//! With `--json` it prints one object:
//!
//! ```json
//! {
//!   "schema": 1,                     // rises when a field changes its meaning or goes
//!   "version": "0.1.0",              // of downspout
//!   "container": {"name": "web", "id": "…", "image": "…", "driver": "json-file", "tty": false,
//!     "state": "running", "project": null, "service": null, "own": false},
//!   "reading": {"by": "file", "what": "…"},        // file | api | attach | nothing | unknown
//!   "shipped": true,                 // by one route at least
//!   "problems": ["…"],               // labels that do nothing, stored routes that are unusable
//!   "routes": [{                     // in the order of the configuration, stored ones last
//!     "destination": "syslog+tcp://logs:514", "name": null, "shipped": true,
//!     "streams": "stdout,stderr",    // or null
//!     "reason": null,                // or {"setting": "…", "origin": "…", "why": "…"}
//!     "checks": [{"setting": "…", "value": null, "origin": "…", "outcome": "passed", "why": null}],
//!     "settings": [{"name": "…", "value": "…", "origin": "…"}],
//!     "examples": [{"stream": "stdout", "bytes": "…"}],  // what goes over the wire
//!     "position": "…"                // words for people, as are "what", "why" and "origin"
//!   }]
//! }
//! ```

mod find;
mod joined;
mod judge;
mod look;
mod position;
mod report;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::checkpoint;
use crate::config::{Api, Config, SourceChoice, Stated, Stored};
use crate::metrics::Metrics;
use crate::options::Problem;
use crate::output::BoxFuture;
use crate::record::Timestamp;
use crate::route::Route;
use crate::shutdown;
use judge::Around;
use position::Positions;
use report::Report;

/// What was found out.
#[derive(Debug)]
pub struct Explained {
    /// The whole text, or the JSON.
    pub text: String,
    /// What the outcome is for scripts.
    pub outcome: Outcome,
}

/// What the outcome is for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// One route at least ships the container.
    Shipped,
    /// None does.
    Nowhere,
}

impl Outcome {
    /// The exit code, as `--help` has it.
    pub fn code(self) -> u8 {
        match self {
            Self::Shipped => 0,
            Self::Nowhere => 3,
        }
    }
}

/// What was given of the settings, by variable.
type Given = BTreeMap<&'static str, Stated>;

/// Looks at the container that `wanted` names, by its name or the beginning of its id, as a run with
/// `config` would. Fails if the engine cannot be asked, or has no such container.
///
/// A boxed future, made here: else all that it calls of bollard is compiled once more into the
/// program beside the library.
pub fn explain(
    config: Config,
    given: BTreeMap<&'static str, Stated>,
    wanted: String,
    as_json: bool,
) -> BoxFuture<'static, Result<Explained, Problem>> {
    Box::pin(async move {
        let report = Box::pin(examine(config, &given, &wanted)).await?;
        let outcome = if report.is_shipped() { Outcome::Shipped } else { Outcome::Nowhere };
        let text = if as_json { report.json() } else { report.text() };
        Ok(Explained { text, outcome })
    })
}

async fn examine(config: Config, given: &Given, wanted: &str) -> Result<Report, Problem> {
    let Config { mut routes, source, state_dir, plan, rules, api, metrics, .. } = config;
    let SourceChoice::Docker(settings) = source else {
        return Err(Problem::new("explain: a replay has no containers"));
    };
    let facts = Box::pin(look::look(&settings, wanted)).await.map_err(Problem::new)?;
    let positions = match state_dir {
        None => Positions::Off,
        Some(folder) => match shutdown::blocking(move || checkpoint::look(&folder)).await {
            Ok(snapshot) => Positions::Kept(snapshot.unwrap_or_default()),
            Err(problem) => Positions::Unreadable(problem.to_string()),
        },
    };
    let problems = add_stored(&mut routes, api, &metrics);
    let around = Around {
        facts: &facts,
        rules: &rules,
        settings: &settings,
        given,
        positions: &positions,
        plan: &plan,
        now: Timestamp::now(),
    };
    let mut report = around.report(&mut routes);
    report.problems.extend(problems);
    Ok(report)
}

/// Opens the routes that were made over HTTP and stored, as the agent does at its start. Returns what
/// is wrong with others.
fn add_stored(routes: &mut Vec<Route>, api: Api, metrics: &Metrics) -> Vec<String> {
    let Api { stored: Stored { objects, mut problems, .. }, openings, .. } = api;
    for object in objects {
        let uri = object.uri().map_err(|problem| vec![problem]);
        match uri.and_then(|uri| openings.open(&uri, &object.id, metrics)) {
            Ok(route) => routes.push(route),
            Err(more) => problems.extend(more),
        }
    }
    problems.iter().map(ToString::to_string).collect()
}
