//! The dashboard and the rules of deploy/ in a real Prometheus that scrapes a real agent: every
//! query finds series under the names and labels that the agent has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex_lite::Regex;
use serde_json::Value;

use crate::support::agent::Launch;
use crate::support::certificates::Authority;
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::engine::Engine;
use crate::support::prometheus::{Program, Prometheus, installed};
use crate::support::tls_server::TlsServer;
use crate::support::{SOON, check, until};

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn read(name: &str) -> String {
    let path = deployed(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn alerts() -> Vec<String> {
    let rules = read("prometheus/downspout.rules.yml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

/// Panels of the dashboard with their queries.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("grafana/downspout.json")).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert!(panel["type"] == "row" || !targets.is_empty(), "{title:?} shows nothing");
        let of = |target: &Value| (title.to_owned(), target["expr"].as_str().unwrap().to_owned());
        queries.extend(targets.iter().map(of));
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            let query = variable["query"]["query"].as_str().unwrap();
            let (selector, _) =
                query.strip_prefix("label_values(").and_then(|q| q.rsplit_once(", ")).unwrap();
            let name = variable["name"].as_str().unwrap();
            queries.push((format!("variable {name}"), selector.to_owned()));
        }
    }
    queries
}

/// As Grafana asks with everything chosen, and a scrape each 200 ms.
fn filled_in(query: &str) -> String {
    let values = [
        ("$__rate_interval", "10s"),
        ("$__range", "1m"),
        ("$instance", ".*"),
        ("$destination", ".*"),
    ];
    values.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

/// The selectors in an expression, `name{…}`, of all metrics that an agent has. No label of ours
/// holds a brace.
fn selectors(expression: &str) -> BTreeSet<String> {
    let own = Regex::new(r"\b(downspout_\w+|process_\w+|up)\b(\{[^}]*\})?").unwrap();
    own.find_iter(expression).map(|found| found.as_str().to_owned()).collect()
}

// Oracle: promtool.
#[test]
fn rules_and_configuration_are_sound_and_every_alert_fires_when_it_should() {
    let rules = deployed("prometheus/downspout.rules.yml");
    for (what, file) in [
        (["check", "rules"], rules),
        (["check", "config"], deployed("prometheus/prometheus.yml")),
        (["test", "rules"], deployed("prometheus/downspout.rules.test.yml")),
    ] {
        let output = Command::new(installed(Program::Promtool)).args(what).arg(&file).output();
        let output = output.unwrap();
        assert!(output.status.success(), "promtool {what:?}: {output:?}");
    }
}

// Oracle: the names in both files. A test that expects nothing does not show that an alert fires.
#[test]
fn every_alert_has_a_test_in_which_it_fires_and_says_what_to_do() {
    let tests = read("prometheus/downspout.rules.test.yml");
    let rules = read("prometheus/downspout.rules.yml");
    let alerts = alerts();
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in &alerts {
        let firing = format!("'ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"");
        assert!(tests.contains(&firing), "{alert} fires in no test");
    }
    for rule in rules.split("- alert: ").skip(1) {
        for part in ["expr: ", "for: ", "labels: {severity: ", "summary: ", "description: "] {
            assert!(rule.contains(part), "no {part:?} in {rule}");
        }
    }
}

// Oracle: Prometheus. Names, labels and their values are those of the agent, or nothing is found.
#[test]
fn every_query_of_the_dashboard_and_the_rules_finds_series() {
    let engine = Engine::new("prometheus");
    let authority = Authority::new("own");
    let receiver = TlsServer::start(&authority.issue("logs.test"), &[]);
    let ca = format!("tls_ca={}", authority.certificate().display());
    let aws = FakeCloudWatch::start();
    aws.create_group("all", None);
    let state = tempfile::tempdir().unwrap();
    let launch = aws
        .environment()
        .into_iter()
        .fold(Launch::new(), |launch, (name, value)| launch.env(name, value));
    let agent = launch
        .env("DOWNSPOUT_STATE_DIR", state.path())
        .env("DOWNSPOUT_CONTAINER_SERIES", "50")
        .arg(receiver.route(&format!("{ca}&tls_server_name=logs.test")))
        .arg("cloudwatch://auto?group=all&flush=100ms")
        .ready();
    let prometheus = Prometheus::start(agent.http(), &deployed("prometheus/downspout.rules.yml"));
    engine.container("talks").run("while :; do echo a line; sleep 0.1; done");

    let rules = read("prometheus/downspout.rules.yml");
    let expected: Vec<String> = panels().iter().map(|(_, query)| filled_in(query)).collect();
    let used = expected.iter().flat_map(|query| selectors(query)).chain(selectors(&rules));
    let names: BTreeSet<String> =
        used.map(|selector| selector.split('{').next().unwrap().to_owned()).collect();
    assert!(names.len() > 60, "{names:?}");
    // Those of single containers are there once these have been looked at.
    until("the agent has all that is used", SOON, || {
        let (_, page) = agent.page("/metrics");
        let has: BTreeSet<&str> =
            page.lines().filter_map(|line| line.split(['{', ' ']).next()).chain(["up"]).collect();
        let unknown: Vec<_> = names.iter().filter(|name| !has.contains(name.as_str())).collect();
        check(unknown.is_empty(), || format!("the agent has no series of {unknown:#?}"))
    });

    prometheus.wait_scraped();
    until("no query comes back empty", SOON, || {
        let mut empty = Vec::new();
        for (title, query) in panels() {
            let query = filled_in(&query);
            let series =
                prometheus.query(&query).unwrap_or_else(|e| panic!("{title}: {query}: {e}"));
            if series.is_empty() {
                empty.push(format!("{title}: {query}"));
            }
        }
        check(empty.is_empty(), || empty.join("\n"))
    });
    until("all rules are evaluated", SOON, || {
        let evaluated = prometheus.rules();
        let odd: Vec<_> = evaluated.iter().filter(|rule| rule["health"] != "ok").collect();
        check(odd.is_empty() && evaluated.len() == alerts().len(), || format!("{odd:#?}"))
    });
    // What they compare with is there; most of them find nothing while all is well.
    for rule in prometheus.rules() {
        for selector in selectors(rule["query"].as_str().unwrap()) {
            let series = prometheus.query(&selector).unwrap();
            assert!(!series.is_empty(), "{}: there is no {selector}", rule["name"]);
        }
    }
}
