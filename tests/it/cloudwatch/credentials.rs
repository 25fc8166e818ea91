//! Credentials that end, change, or cannot be had; and clocks that are wrong.

use std::time::{Duration, Instant};

use super::{DESTINATION, Growing, assert_all_came, calls, fed, puts, route, wait_ready, with};
use crate::support::agent::{Agent, Launch};
use crate::support::aws_identity::Issuer;
use crate::support::aws_identity::container::FakeContainerEndpoint;
use crate::support::aws_identity::metadata::FakeMetadata;
use crate::support::aws_identity::sts::{FakeSts, Trust};
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::{SOON, check, until};

const ROLE: &str = "arn:aws:iam::123456789012:role/logs";
/// Of credentials that are to end within a test.
const BRIEF: Duration = Duration::from_secs(4);

/// An agent with credentials from elsewhere.
fn launch(service: &FakeCloudWatch, more: Vec<(&'static str, String)>, options: &str) -> Launch {
    with(with(Launch::fed(), service.environment_without_key()), more)
        .env("DOWNSPOUT_BACKOFF_MAX", "500ms")
        .arg(route(&format!("&create_group=true{options}")))
}

/// Ships lines until so many credentials were issued.
#[track_caller]
fn ship_while(
    agent: &mut Agent,
    service: &FakeCloudWatch,
    lines: &mut Growing,
    (source, wanted): (&Issuer, usize),
) {
    until("credentials are renewed", SOON, || {
        lines.ship(agent, service);
        let issued = source.issued().len();
        check(issued >= wanted, || format!("{issued} were issued"))
    });
}

fn refused(service: &FakeCloudWatch, code: &str) -> usize {
    calls(service, |call| call.code() == Some(code)).len()
}

#[test]
fn f22_credentials_of_the_container_endpoint_are_renewed_before_they_end() {
    let service = FakeCloudWatch::start();
    let endpoint = FakeContainerEndpoint::start(&service);
    endpoint.require("task-token");
    endpoint.issuer.set_lifetime(BRIEF);
    let launch = launch(&service, endpoint.environment(), "");
    let mut agent = launch.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "task-token").ready();
    let mut lines = Growing::new("web", 2);
    ship_while(&mut agent, &service, &mut lines, (&endpoint.issuer, 4));
    lines.ship(&mut agent, &service);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_eq!(refused(&service, "ExpiredTokenException"), 0, "renewed before the end");
    assert!(endpoint.issuer.issued().len() < 40, "not at every call");
    let ids = service.with(|contents| {
        let ids = contents.calls.iter().filter_map(|call| call.access_key.clone());
        ids.collect::<std::collections::BTreeSet<_>>()
    });
    assert!(ids.len() >= 3, "{ids:?}");
}

#[test]
fn f22_credentials_of_the_metadata_service_are_renewed_before_they_end() {
    let service = FakeCloudWatch::start();
    let metadata = FakeMetadata::start(&service);
    metadata.issuer.set_lifetime(BRIEF);
    let mut agent = launch(&service, metadata.environment(), "").ready();
    let mut lines = Growing::new("web", 2);
    ship_while(&mut agent, &service, &mut lines, (&metadata.issuer, 4));
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_eq!(refused(&service, "ExpiredTokenException"), 0, "renewed before the end");
}

#[test]
fn f22_a_metadata_service_that_is_away_and_comes_back_costs_no_line() {
    let service = FakeCloudWatch::start();
    let metadata = FakeMetadata::start(&service);
    metadata.issuer.set_lifetime(BRIEF);
    let mut agent = launch(&service, metadata.environment(), "").ready();
    let mut lines = Growing::new("web", 2);
    lines.ship(&mut agent, &service);
    metadata.server.refuse();
    // The present credentials hold for a while.
    lines.ship(&mut agent, &service);
    until("they have ended", SOON, || {
        lines.feed(&mut agent);
        std::thread::sleep(Duration::from_millis(100));
        check(puts(&agent, "credentials") > 0, || "not yet".to_owned())
    });
    wait_ready(&agent, false);
    metadata.server.accept_again();
    assert_all_came(&service, &agent, &lines.expected(), 0);
    wait_ready(&agent, true);
}

#[test]
fn f22_a_web_identity_file_is_read_again_when_its_token_was_replaced() {
    let service = FakeCloudWatch::start();
    let trust = |token: &str| Trust {
        role: ROLE.to_owned(),
        web_token: Some(token.to_owned()),
        ..Trust::default()
    };
    let sts = FakeSts::start(&service, trust("first.web.token"));
    sts.issuer.set_lifetime(BRIEF);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first.web.token").unwrap();
    let launch = launch(&service, sts.environment(), "")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", file.path())
        .env("AWS_ROLE_ARN", ROLE);
    let mut agent = launch.ready();
    let mut lines = Growing::new("web", 1);
    lines.ship(&mut agent, &service);
    std::fs::write(file.path(), "second.web.token").unwrap();
    sts.set_trust(trust("second.web.token"));
    ship_while(&mut agent, &service, &mut lines, (&sts.issuer, 3));
    assert_all_came(&service, &agent, &lines.expected(), 0);
    let requests = sts.requests.lock().unwrap();
    let last = requests.last().unwrap();
    assert_eq!(last["Action"], "AssumeRoleWithWebIdentity");
    assert_eq!(last["WebIdentityToken"], "second.web.token");
}

#[test]
fn f22_a_role_is_assumed_with_its_external_id_and_again_before_its_session_ends() {
    let service = FakeCloudWatch::start();
    let trust = Trust {
        role: ROLE.to_owned(),
        external_id: Some("tenant-4711".to_owned()),
        ..Trust::default()
    };
    let sts = FakeSts::start(&service, trust);
    sts.issuer.set_lifetime(BRIEF);
    let mut variables = sts.environment();
    variables.extend(FakeSts::base_key().environment());
    let role = ROLE.replace(':', "%3A").replace('/', "%2F");
    let options = format!("&role_arn={role}&external_id=tenant-4711");
    let mut agent = launch(&service, variables, &options).ready();
    let mut lines = Growing::new("web", 2);
    ship_while(&mut agent, &service, &mut lines, (&sts.issuer, 3));
    assert_all_came(&service, &agent, &lines.expected(), 0);
    let own = calls(&service, |call| {
        call.access_key.as_deref().is_some_and(|key| !key.starts_with("ASIAROLE"))
    });
    assert!(own.is_empty(), "signed as somebody else: {own:?}");
    assert_eq!(sts.requests.lock().unwrap()[0]["ExternalId"], "tenant-4711");
}

#[test]
fn f22_a_role_that_is_not_trusted_is_said_and_used_once_it_is() {
    let service = FakeCloudWatch::start();
    let trust = |id: &str| Trust {
        role: ROLE.to_owned(),
        external_id: Some(id.to_owned()),
        ..Trust::default()
    };
    let sts = FakeSts::start(&service, trust("another"));
    let mut variables = sts.environment();
    variables.extend(FakeSts::base_key().environment());
    let role = ROLE.replace(':', "%3A").replace('/', "%2F");
    let options = format!("&role_arn={role}&external_id=tenant-4711");
    let mut agent = launch(&service, variables, &options).start();
    let mut lines = Growing::new("web", 1);
    lines.feed(&mut agent);
    agent.logged("why", |line| line.contains("not authorized to assume the role"));
    wait_ready(&agent, false);
    sts.set_trust(trust("tenant-4711"));
    assert_all_came(&service, &agent, &lines.expected(), 0);
}

#[test]
fn f22_a_token_that_the_service_calls_expired_is_renewed_once_and_at_once() {
    let service = FakeCloudWatch::start();
    let endpoint = FakeContainerEndpoint::start(&service);
    let mut agent = launch(&service, endpoint.environment(), "").ready();
    let mut lines = Growing::new("web", 1);
    lines.ship(&mut agent, &service);
    let issued = endpoint.issuer.issued();
    assert_eq!(issued.len(), 1, "an hour is long");
    service.keys.expire(&issued[0].id, service.clock.now());
    lines.ship(&mut agent, &service);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_eq!(endpoint.issuer.issued().len(), 2);
    assert_eq!(refused(&service, "ExpiredTokenException"), 1);
    assert_eq!(puts(&agent, "credentials"), 0, "within the same put");
    assert_eq!(agent.metrics().of("destination_up", DESTINATION), 1);
}

#[test]
fn f22_credentials_that_end_and_cannot_be_renewed_are_waited_for() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 3);
    lines.ship(&mut agent, &service);
    let rule = service.script(Rule::any(Fault::expired_token()));
    let start = Instant::now();
    for _ in 0..10 {
        lines.feed(&mut agent);
        std::thread::sleep(Duration::from_millis(100));
    }
    wait_ready(&agent, false);
    agent.logged("why", |line| line.contains("ExpiredTokenException"));
    let (tried, most) = (service.applied(rule), 20 + 30 * start.elapsed().as_secs());
    assert!(tried as u64 <= most, "{tried} calls within {:?}", start.elapsed());
    service.behave();
    assert_all_came(&service, &agent, &lines.expected(), 0);
    wait_ready(&agent, true);
}

#[test]
fn f22_a_clock_that_is_wrong_is_corrected_by_what_the_service_says() {
    for minutes in [20, -20] {
        let service = FakeCloudWatch::start();
        service.clock.set_ahead(minutes * 60_000);
        let mut agent = fed(&service, "");
        let mut lines = Growing::new("web", 3);
        lines.ship(&mut agent, &service);
        lines.ship(&mut agent, &service);
        // The service's clock, or ours, is put right.
        service.clock.set_ahead(0);
        lines.ship(&mut agent, &service);
        lines.ship(&mut agent, &service);
        assert_all_came(&service, &agent, &lines.expected(), 0);
        let skewed = refused(&service, "InvalidSignatureException");
        assert!((2..=12).contains(&skewed), "{skewed} calls with the wrong time");
        agent.logged("that the clocks differ", |line| line.contains("clock is ahead"));
        wait_ready(&agent, true);
    }
}

#[test]
fn f22_a_clock_that_is_wrong_is_corrected_for_credentials_that_end_as_well() {
    for minutes in [20, -20] {
        let service = FakeCloudWatch::start();
        service.clock.set_ahead(minutes * 60_000);
        let endpoint = FakeContainerEndpoint::start(&service);
        endpoint.issuer.set_lifetime(Duration::from_mins(15));
        let mut agent = launch(&service, endpoint.environment(), "").start();
        let mut lines = Growing::new("web", 2);
        lines.feed(&mut agent);
        assert_all_came(&service, &agent, &lines.expected(), 0);
        lines.ship(&mut agent, &service);
        assert_all_came(&service, &agent, &lines.expected(), 0);
        wait_ready(&agent, true);
    }
}

#[test]
fn f22_profiles_are_read_from_their_files() {
    let service = FakeCloudWatch::start();
    let key = FakeCloudWatch::key();
    let file = tempfile::NamedTempFile::new().unwrap();
    let profile = format!(
        "[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = wrong\n\
         [web]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.id, key.secret
    );
    std::fs::write(file.path(), profile).unwrap();
    let launch = launch(&service, Vec::new(), "")
        .env("AWS_SHARED_CREDENTIALS_FILE", file.path())
        .env("AWS_PROFILE", "web");
    let mut agent = launch.ready();
    let mut lines = Growing::new("web", 1);
    lines.ship(&mut agent, &service);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_eq!(refused(&service, "UnrecognizedClientException"), 0);
}

#[test]
fn f22_without_any_credentials_the_log_says_so_and_nothing_is_ready() {
    let service = FakeCloudWatch::start();
    let mut agent = launch(&service, Vec::new(), "").start();
    agent.logged("that there are none", |line| {
        line.contains("destination is down") && line.contains("credentials")
    });
    wait_ready(&agent, false);
    assert!(service.with(|contents| contents.calls.is_empty()));
}
