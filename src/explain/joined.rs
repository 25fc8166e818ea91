//! How a container's lines are joined on a route, in words. Never joins a line.

use super::Given;
use super::report::Row;
use crate::record::Container;
use crate::route::Route;

/// By this variable of its environment a container says whether its lines are joined.
const VARIABLE: &str = "LOGSPOUT_MULTILINE";
/// logspout's defaults where its variables say nothing.
const PATTERN: &str = r"^\s";
const MATCH: &str = "nonfirst";

/// The row of the settings, and what is wrong with what the container asks for.
pub(super) fn row(
    route: &Route,
    container: &Container,
    label: Option<&str>,
    given: &Given,
) -> (Row, Option<String>) {
    let variable = container.variables.get(VARIABLE).filter(|_| route.heeds_variable);
    let variable = variable.map(String::as_str);
    let (form, origin) = of_route(route, given);
    let by_default =
        || if route.joining.by_default().is_some() { form.clone() } else { "off".into() };
    let (value, problem) = match route.joining.for_container(label, variable) {
        Err(why) => (by_default(), Some(format!("label downspout.multiline: {why}"))),
        Ok(None) => ("off".into(), None),
        Ok(Some(_)) => (asked(label).unwrap_or(form.clone()), None),
    };
    let is_said =
        |text: &&str| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    let origin = match (label, variable.filter(is_said)) {
        (Some(_), _) if problem.is_none() => "label downspout.multiline".into(),
        (None, Some(_)) => format!("variable {VARIABLE} of the container"),
        _ => origin,
    };
    (Row { name: "multiline", value, origin }, problem)
}

// A preset by its name; `None` if the route's own way is asked for.
fn asked(label: Option<&str>) -> Option<String> {
    let name = label?.trim().to_ascii_lowercase();
    (!["on", "true"].contains(&name.as_str())).then_some(name)
}

// How the route joins lines where they are joined, and who says so.
fn of_route(route: &Route, given: &Given) -> (String, String) {
    let written = |name: &str| route.written.get(name);
    for option in ["multiline_pattern", "awslogs-multiline-pattern"] {
        if let Some(pattern) = written(option) {
            let matching = written("multiline_match").map_or("first", String::as_str);
            return (pattern_words(pattern, matching), format!("route option {option}"));
        }
    }
    let option = written("multiline");
    if let Some(preset) = option.filter(|kind| *kind != "off") {
        return (preset.clone(), "route option multiline".into());
    }
    let by_scheme = route.name.starts_with("multiline+");
    let origin = match option {
        Some(_) => "route option multiline".to_owned(),
        None if by_scheme => of_logspout(given),
        None => "default".to_owned(),
    };
    if !by_scheme {
        // What a container gets that asks for it.
        return ("auto".into(), origin);
    }
    let variable = |name, default| given.get(name).map_or(default, |stated| stated.value.as_str());
    let matching = variable("MULTILINE_MATCH", MATCH).to_ascii_lowercase();
    (pattern_words(variable("MULTILINE_PATTERN", PATTERN), &matching), origin)
}

fn of_logspout(given: &Given) -> String {
    let names = ["MULTILINE_PATTERN", "MULTILINE_MATCH", "MULTILINE_ENABLE_DEFAULT"];
    let places: Vec<&str> =
        names.iter().filter_map(|name| given.get(name)).map(|one| one.place.as_str()).collect();
    if places.is_empty() { "scheme multiline+".into() } else { places.join(", ") }
}

fn pattern_words(pattern: &str, matching: &str) -> String {
    let lines = match matching {
        "nonfirst" => "all lines of a record but the first match",
        "last" => "the last line of a record matches",
        "nonlast" => "all lines of a record but the last match",
        _ => "the first line of a record matches",
    };
    format!("pattern {pattern}, which {lines}")
}
