//! How a route is written, what a check says of it, and what nobody says.

use super::{DESTINATION, Growing, aimed, check, line, numbered, route, wait_ready, with};
use crate::support::SOON;
use crate::support::agent::Launch;
use crate::support::aws_identity::container::FakeContainerEndpoint;
use crate::support::aws_identity::sts::{FakeSts, Trust};
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::cloudwatch::signature::AccessKey;
use crate::support::cloudwatch::{FakeCloudWatch, REGION};

/// A line of `web` comes to this group and stream.
#[track_caller]
fn assert_comes_to(service: &FakeCloudWatch, launch: Launch, group: &str, stream: &str) {
    let mut agent = launch.ready();
    agent.feed("web stdout hello\n");
    service.wait("the line where it belongs", SOON, |contents| {
        let streams: Vec<_> = contents.streams().collect();
        check(contents.texts(group, stream) == ["hello"], || format!("{streams:?}"))
    });
    service.assert_no_bad_request();
}

#[test]
fn variables_say_what_the_route_leaves_out() {
    for variables in [
        &[("DOWNSPOUT_CLOUDWATCH_GROUP", "/app"), ("DOWNSPOUT_CLOUDWATCH_STREAM", "{{.Name}}/x")],
        &[("LOGSPOUT_GROUP", "/app"), ("LOGSPOUT_STREAM", "{{.Name}}/x")],
    ] {
        let service = FakeCloudWatch::start();
        service.create_group("/app", None);
        let launch =
            with(Launch::fed(), service.environment()).arg(format!("{DESTINATION}?flush=50ms"));
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        assert_comes_to(&service, launch, "/app", "web/x");
    }
    let service = FakeCloudWatch::start();
    let launch = with(Launch::fed(), service.environment())
        .env("DOWNSPOUT_CLOUDWATCH_GROUP", "/other")
        .env("DOWNSPOUT_CLOUDWATCH_CREATE_GROUP", "true")
        .env("DOWNSPOUT_CLOUDWATCH_FLUSH", "50ms")
        .arg(format!("{DESTINATION}?group=/app"));
    assert_comes_to(&service, launch, "/app", "web");
}

#[test]
fn the_names_of_dockers_driver_and_of_logspouts_module_are_understood() {
    let docker = format!(
        "cloudwatch://auto?awslogs-region={REGION}&awslogs-group=g&awslogs-stream={{{{.Name}}}}-x\
         &awslogs-create-group=true&flush=50ms"
    );
    let service = FakeCloudWatch::start();
    let launch = with(Launch::fed(), service.environment()).arg(docker);
    assert_comes_to(&service, launch, "g", "web-x");
    let service = FakeCloudWatch::start();
    let launch = with(Launch::fed(), service.environment())
        .arg("cloudwatch://my-group?create_group=true&flush=50ms");
    assert_comes_to(&service, launch, "my-group", "web");
}

#[test]
fn streams_are_named_by_host_and_by_stream_of_the_line() {
    let service = FakeCloudWatch::start();
    let options = "&stream={{.LoggerHost}}/{{.Name}}/{{.Stream}}";
    let mut agent = aimed(Launch::fed(), &service, options).ready();
    agent.feed("web stdout a\nweb stderr b\nweb stdout c\n");
    service.wait("each line in its stream", SOON, |contents| {
        let out = contents.texts("g", "test-host/web/stdout");
        let err = contents.texts("g", "test-host/web/stderr");
        check(out == ["a", "c"] && err == ["b"], || format!("{out:?} {err:?}"))
    });
    agent.assert_balance(DESTINATION);
    service.assert_no_bad_request();
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let wrong = [
        "flush=1h",
        "in_flight=100",
        "retention_days=8",
        "role_arn=me",
        "gzip=perhaps",
        "endpoint=logs",
        "class=standard",
    ];
    let route = format!("{DESTINATION}?group=g&create_group=true&grup=x&{}", wrong.join("&"));
    let ended = Launch::new().arg(route).finish();
    assert_ne!(ended.code, Some(0));
    let said = ended.stdout + &ended.stderr;
    for wrong in wrong {
        assert!(said.contains(wrong), "{wrong} is not in:\n{said}");
    }
    assert!(said.contains("grup") && said.contains("group"), "{said}");
    let ended = Launch::new().arg(DESTINATION).finish();
    assert_ne!(ended.code, Some(0));
    assert!((ended.stdout + &ended.stderr).contains("DOWNSPOUT_CLOUDWATCH_GROUP"));
}

#[test]
fn a_check_says_what_can_be_reached_and_sends_nothing() {
    let service = FakeCloudWatch::start();
    let replay = numbered(["web"], 3).replay_file();
    let checking = |service: &FakeCloudWatch| {
        aimed(Launch::replaying(replay.path()), service, "").arg("--check")
    };
    let good = checking(&service).finish();
    assert_eq!(good.code, Some(0), "{} {}", good.stdout, good.stderr);
    let said = good.stdout + &good.stderr;
    assert!(said.contains(&service.endpoint()) && said.contains(DESTINATION), "{said}");
    service.server.refuse();
    let bad = checking(&service).finish();
    assert_ne!(bad.code, Some(0));
    let said = bad.stdout + &bad.stderr;
    assert!(said.contains("FAILED") && said.contains(&service.endpoint()), "{said}");
    let without = with(Launch::replaying(replay.path()), service.environment_without_key());
    let without = without.arg(route("")).arg("--check").finish();
    assert_ne!(without.code, Some(0));
    let said = without.stdout + &without.stderr;
    assert!(said.contains("credentials"), "{said}");
    let sent = super::calls(&service, |call| call.access_key.is_some());
    assert!(sent.is_empty(), "nothing but a request for nothing was sent: {sent:?}");
}

/// Neither of the secrets is in any of the texts.
#[track_caller]
fn assert_secret(secrets: &[&str], texts: &[(&str, String)]) {
    for (place, text) in texts {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {place}:\n{text}");
        }
    }
}

#[test]
fn secrets_are_in_no_log_no_metric_and_no_error() {
    let service = FakeCloudWatch::start();
    let key = AccessKey {
        token: Some("session-token-that-nobody-may-see".to_owned()),
        ..AccessKey::lasting("ASIASECRETKEEPER0001", "the+right/secret")
    };
    service.keys.add(&key);
    let wrong = AccessKey { secret: "the+wrong/secret".to_owned(), ..key.clone() };
    let secrets = [&*key.secret, &wrong.secret, "session-token-that-nobody-may-see"];
    let launch = |launch: Launch, key: &AccessKey| {
        let launch = with(launch, service.environment_without_key());
        let launch = with(launch, key.environment()).env("DOWNSPOUT_BACKOFF_MAX", "200ms");
        launch.env("DOWNSPOUT_LOG_LEVEL", "debug").arg(route("&create_group=true"))
    };
    // The service's answer to a wrong signature repeats the headers that were signed.
    for (key, faults) in [
        (&wrong, &[("InvalidSignatureException", None)][..]),
        (
            &key,
            &[
                ("ExpiredTokenException", Some(Fault::expired_token())),
                ("AccessDeniedException", Some(Fault::access_denied())),
                ("InternalFailure", Some(Fault::unavailable(500))),
            ],
        ),
    ] {
        let mut agent = launch(Launch::fed(), key).ready();
        let mut lines = Growing::new("web", 2);
        for (code, fault) in faults {
            service.behave();
            if let Some(fault) = fault {
                service.script(Rule::any(fault.clone()));
            }
            lines.feed(&mut agent);
            agent.logged(code, |line| line.contains(code));
        }
        wait_ready(&agent, false);
        let metrics = agent.page("/metrics").1;
        let ready = agent.page("/readyz").1;
        let log = agent.terminate().stderr;
        assert_secret(
            &secrets,
            &[("the log", log), ("the metrics", metrics), ("readiness", ready)],
        );
    }
    let replay = numbered(["web"], 1).replay_file();
    let checked = launch(Launch::replaying(replay.path()), &wrong).arg("--check").finish();
    assert_secret(&secrets, &[("a check", checked.stdout + &checked.stderr)]);
}

#[test]
fn external_ids_and_the_tokens_of_endpoints_are_in_no_log() {
    let service = FakeCloudWatch::start();
    let endpoint = FakeContainerEndpoint::start(&service);
    endpoint.require("Bearer right");
    let launch = with(Launch::fed(), service.environment_without_key())
        .env("DOWNSPOUT_BACKOFF_MAX", "200ms")
        .env("DOWNSPOUT_LOG_LEVEL", "debug");
    let unwelcome = with(launch, endpoint.environment())
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer wrong-and-secret")
        .arg(route(""));
    let mut agent = unwelcome.start();
    agent.logged("that there are none", |line| line.contains("destination is down"));
    let bad = "external-id-that-nobody-may-see";
    let trust = Trust { role: "other".to_owned(), ..Trust::default() };
    let sts = FakeSts::start(&service, trust);
    let role = |launch: Launch| {
        let launch = with(launch, service.environment_without_key());
        let launch = with(with(launch, sts.environment()), FakeSts::base_key().environment());
        launch.env("DOWNSPOUT_LOG_LEVEL", "debug").arg(route(&format!(
            "&role_arn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Flogs&external_id={bad}"
        )))
    };
    let mut assuming = role(Launch::fed()).start();
    assuming.logged("that it may not", |line| line.contains("not authorized"));
    let replay = numbered(["web"], 1).replay_file();
    let checked = role(Launch::replaying(replay.path())).arg("--check").finish();
    let refused = role(Launch::fed()).arg(format!("{DESTINATION}?external_id={bad}")).finish();
    assert_ne!(refused.code, Some(0));
    let base = FakeSts::base_key().secret;
    assert_secret(
        &["wrong-and-secret", bad, &base],
        &[
            ("the log", agent.log()),
            ("the log of one that assumes a role", assuming.log()),
            ("its metrics", assuming.page("/metrics").1),
            ("a check", checked.stdout + &checked.stderr),
            ("an error", refused.stdout + &refused.stderr),
        ],
    );
}

#[test]
fn a_replay_ends_once_all_is_delivered() {
    let service = FakeCloudWatch::start();
    let expected = numbered(["a", "b", "c"], 2000);
    let replay = expected.replay_file();
    let ended = aimed(Launch::replaying(replay.path()), &service, "&flush=5m").finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    service.with(|contents| contents.tally(&expected, line)).assert_complete();
    service.assert_no_bad_request();
}
