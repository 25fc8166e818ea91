//! The command that starts the agent with settings of our own, instead of logspout's. Never shows a
//! value that may hold a secret: an ellipsis stands for it.

use super::routes::RouteWords;
use super::table::{Given, Ours, ROWS, Row, Verdict};

/// Variables that have no other name here.
const KEPT: [&str; 9] = [
    "ROUTESPATH",
    "EXCLUDE_LABELS",
    "EXCLUDE_LABEL",
    "TAIL",
    "TZ",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_API_VERSION",
];
/// The variable of the routes, which the command has as arguments.
const APART: &str = "ROUTE_URIS";

const FIRST: [&str; 5] = [
    "docker run -d --name downspout --restart always",
    "-v /var/run/docker.sock:/var/run/docker.sock:ro",
    "-v downspout:/var/lib/downspout",
    "-v /var/lib/docker/containers:/var/lib/docker/containers:ro",
    "-p 127.0.0.1:9514:9514",
];

/// For a shell, over several lines; with the routes that can be used.
pub(super) fn command(routes: &[RouteWords], given: &Given) -> String {
    let mut words: Vec<String> = FIRST.map(str::to_owned).to_vec();
    let variables = ROWS.iter().filter_map(|row| variable(row, given.get(row.name)?));
    words.extend(variables.map(|variable| format!("-e {}", quoted(&variable))));
    words.push("downspout:dev".into());
    let usable = routes.iter().filter_map(|route| route.ours.as_deref());
    words.extend(usable.map(quoted));
    words.join(" \\\n  ")
}

/// The variables that are given and that the command has nothing for.
pub(super) fn left_out(given: &Given) -> Vec<&'static str> {
    let is_left_out = |row: &&Row| {
        let Some(value) = given.get(row.name) else { return false };
        row.verdict != Verdict::Unneeded && !KEPT.contains(&row.name) && row.says(value)
    };
    ROWS.iter().filter(is_left_out).map(|row| row.name).collect()
}

fn variable(row: &Row, value: &str) -> Option<String> {
    match (row.ours)(value) {
        Ours::Variable(name, value) if row.name != APART => Some(format!("{name}={value}")),
        Ours::None if row.name == "DOCKER_HOST" => Some("DOCKER_HOST=…".into()),
        Ours::None if KEPT.contains(&row.name) => Some(format!("{}={value}", row.name)),
        // Of `Http`, the command has a port of its own.
        Ours::Http | Ours::None | Ours::Variable(..) | Ours::Option(..) | Ours::Default => None,
    }
}

fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=+@,%".contains(c);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
