//! Which region, and which endpoint: said, or found out.

use std::time::{Duration, Instant};

use super::{Growing, assert_all_came, line, with};
use crate::support::SOON;
use crate::support::agent::Launch;
use crate::support::aws_identity::metadata::{FakeMetadata, INSTANCE, Setup};
use crate::support::cloudwatch::{FakeCloudWatch, REGION};

/// The agent's name for a route without region.
const AUTO: &str = "cloudwatch://auto";

/// The variables that lead to the service, but for the region.
fn without_region(service: &FakeCloudWatch) -> Vec<(&'static str, String)> {
    let mut variables = service.environment();
    variables.retain(|(name, _)| *name != "AWS_REGION");
    variables
}

fn auto(launch: Launch, options: &str) -> Launch {
    let route = format!("{AUTO}?group=g&flush=50ms&create_group=true{options}");
    launch.env("DOWNSPOUT_BACKOFF_MAX", "500ms").arg(route)
}

/// It signs for the right region: the service checks that.
#[track_caller]
fn assert_delivers(service: &FakeCloudWatch, launch: Launch) {
    let mut agent = launch.ready();
    let mut lines = Growing::new("web", 1);
    lines.ship(&mut agent, service);
    agent.assert_balance(AUTO);
    super::tally(service, &lines.expected()).assert_complete();
    service.assert_no_bad_request();
}

#[test]
fn the_region_is_that_of_the_environment() {
    for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        let service = FakeCloudWatch::start();
        let launch = with(Launch::fed(), without_region(&service)).env(variable, REGION);
        assert_delivers(&service, auto(launch, ""));
    }
}

#[test]
fn the_region_is_that_of_the_profile() {
    let service = FakeCloudWatch::start();
    let config = tempfile::NamedTempFile::new().unwrap();
    let profiles = format!("[default]\nregion = us-east-1\n[profile web]\nregion = {REGION}\n");
    std::fs::write(config.path(), profiles).unwrap();
    let launch = with(Launch::fed(), without_region(&service))
        .env("AWS_CONFIG_FILE", config.path())
        .env("AWS_PROFILE", "web");
    assert_delivers(&service, auto(launch, ""));
}

#[test]
fn the_region_and_the_instance_are_those_of_the_metadata_service() {
    let service = FakeCloudWatch::start();
    let metadata = FakeMetadata::start(&service);
    let launch = with(Launch::fed(), without_region(&service));
    let launch = with(launch, metadata.environment());
    let mut agent = auto(launch, "&stream={{.Region}}/{{.InstanceID}}/{{.Name}}").ready();
    agent.feed("web stdout hello\n");
    let stream = format!("{REGION}/{INSTANCE}/web");
    service.wait("the line", SOON, |contents| {
        let texts = contents.texts("g", &stream);
        super::check(texts == ["hello"], || format!("{:?}", contents.streams().collect::<Vec<_>>()))
    });
    agent.assert_balance(AUTO);
    service.assert_no_bad_request();
    assert_eq!(metadata.visits.count("GET /latest/meta-data/placement/region"), 1);
}

#[test]
fn without_any_region_the_log_says_what_to_set_and_nothing_is_ready() {
    let service = FakeCloudWatch::start();
    let mut agent = auto(with(Launch::fed(), without_region(&service)), "").start();
    agent.logged("which variable is missing", |line| {
        line.contains("destination is down") && line.contains("AWS_REGION")
    });
    super::wait_ready(&agent, false);
}

fn one_hop_too_far_away(launch: Launch, named: &str) {
    let service = FakeCloudWatch::start();
    let metadata = FakeMetadata::start(&service);
    metadata.set_up(Setup::HopLimit);
    let variables = service.environment_without_key().into_iter();
    let variables = variables.filter(|(name, _)| *name != "AWS_REGION").collect();
    let launch = with(with(launch, variables), metadata.environment());
    let start = Instant::now();
    let mut agent = auto(launch, "").start();
    agent.logged("what to do", |line| {
        line.contains("HttpPutResponseHopLimit") && line.contains(named)
    });
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    super::wait_ready(&agent, false);
    agent.feed(&super::numbered(["web"], 3).replay());
    // As soon as the operator has done it.
    metadata.set_up(Setup::TokensRequired);
    service.wait_complete(&super::numbered(["web"], 3), SOON, line);
    let told = agent.log().matches("HttpPutResponseHopLimit").count();
    assert_eq!(told, 1, "said once:\n{}", agent.log());
}

#[test]
fn f22_a_metadata_service_one_hop_too_far_away_for_the_region_is_named_with_what_to_do() {
    one_hop_too_far_away(Launch::fed(), "the region");
}

#[test]
fn f22_a_metadata_service_one_hop_too_far_away_for_credentials_is_named_with_what_to_do() {
    one_hop_too_far_away(Launch::fed().env("AWS_REGION", REGION), "credentials");
}

#[test]
fn the_endpoint_of_the_route_comes_before_that_of_the_environment() {
    let (service, other) = (FakeCloudWatch::start(), FakeCloudWatch::start());
    let launch = with(Launch::fed(), other.environment())
        .arg(super::route(&format!("&create_group=true&endpoint={}", service.endpoint())));
    let mut agent = launch.ready();
    let mut lines = Growing::new("web", 1);
    lines.ship(&mut agent, &service);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert!(other.with(|contents| contents.calls.is_empty()));
}

#[test]
fn the_endpoint_is_that_of_the_environment() {
    for variable in ["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL"] {
        let service = FakeCloudWatch::start();
        let mut variables = service.environment();
        variables.retain(|(name, _)| !name.starts_with("AWS_ENDPOINT_URL"));
        let launch = with(Launch::fed(), variables).env(variable, service.endpoint());
        let mut agent = launch.arg(super::route("&create_group=true")).start();
        let mut lines = Growing::new("web", 1);
        lines.feed(&mut agent);
        assert_all_came(&service, &agent, &lines.expected(), 0);
    }
}
