//! `downspout migrate`: what logspout's settings, as they are given, become here and what differs.
//! Reads the environment and the arguments as a run does; never connects, never changes anything.
//!
//! With `--json` it prints one object:
//!
//! ```json
//! {
//!   "schema": 1,                 // rises when a field changes its meaning or goes
//!   "version": "0.1.0",          // of downspout
//!   "settings": [{               // those of logspout's that are set
//!     "name": "SYSLOG_FORMAT", "value": "rfc3164",   // null if it may hold a secret
//!     "verdict": "same",         // same | better | differs | unneeded
//!     "words": "…", "ours": "format=rfc3164"         // or null
//!   }],
//!   "routes": [{"uri": "syslog+tcp://logs:514", "ours": "…",
//!     "notes": [{"verdict": "…", "words": "…"}]}],   // "ours" is null if it cannot be used
//!   "unknown": [{"name": "KAFKA_TEMPLATE", "words": "…"}],
//!   "notes": ["…"],              // what would be said of the settings at the start
//!   "changes": ["…"],            // what changes without any setting
//!   "command": "docker run …",   // for our own defaults, with the routes that can be used
//!   "left_out": ["SYSLOG_PID"],  // variables that have no counterpart in it
//!   "problems": ["…"]            // why it would not start
//! }
//! ```

mod changes;
mod report;
mod routes;
mod start;
mod table;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::BTreeMap;

use super::arguments::Arguments;
use super::draft::Draft;
use super::env::Env;
use super::gather::Stated;
use super::{Command, api, complete, expand};
use crate::options::Problem;
use crate::route::Route;
use changes::PORTS;
use report::{Report, Setting};
use table::{Given, ROWS};

/// What is printed, and why the agent would not start with these settings.
pub(super) fn command(
    mut draft: Draft,
    env: &dyn Env,
    (stated, arguments): (BTreeMap<&'static str, Stated>, Arguments),
    mut problems: Vec<Problem>,
) -> Command {
    let stored = api::Stored::read(&draft);
    api::fall_back(&mut draft, &stored);
    let mut uris = draft.routes.clone();
    let alone = |uri: &String| Draft { routes: vec![uri.clone()], ..draft.clone() };
    // Each by itself: what is wrong with one says nothing of the others.
    let opened = |uri| complete(alone(uri), env, &mut Vec::new())?.routes.pop();
    let opened: Vec<Option<Route>> = uris.iter().map(opened).collect();
    let http = draft.http;
    let notes = complete(draft, env, &mut problems).map(|config| config.notes).unwrap_or_default();
    expand::routes(&mut uris, |name| env.get(name));
    let given = given(env, &stated);
    let rows = || ROWS.iter().filter_map(|row| Some((row, given.get(row.name)?)));
    let routes: Vec<_> = uris
        .iter()
        .zip(&opened)
        .map(|(uri, route)| routes::read(uri, route.as_ref(), &given))
        .collect();
    let report = Report {
        settings: rows().map(|(row, value)| Setting::of(row, value, http)).collect(),
        unknown: unknown::of(env),
        notes,
        changes: changes::of(&given, &arguments),
        command: start::command(&routes, &given),
        left_out: start::left_out(&given),
        routes,
        problems: problems.iter().map(ToString::to_string).collect(),
    };
    let text = if arguments.json { report.json() } else { report.text() };
    Command::Migrate { text, problems }
}

// logspout takes what is empty for unset, too. What Kubernetes sets for a service is none of its.
fn given(env: &dyn Env, stated: &BTreeMap<&'static str, Stated>) -> Given {
    let value = |name: &'static str| match stated.get(name) {
        Some(stated) => Some(stated.value.clone()),
        None => env.get(name).filter(|value| !value.is_empty()),
    };
    let is_linked = |name: &str, value: &str| PORTS.contains(&name) && api::is_linked(value);
    let rows = ROWS.iter().filter_map(|row| Some((row.name, value(row.name)?)));
    rows.filter(|(name, value)| !is_linked(name, value)).collect()
}
