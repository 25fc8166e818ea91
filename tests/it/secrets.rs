//! Secrets that are given to the agent in every way it takes them are shown nowhere: not in its
//! log at its most talkative, not on its pages, not in help, reports, errors or positions.

use crate::support::agent::{Agent, Finished, Launch};
use crate::support::certificates::Authority;
use crate::support::{SOON, check, until};

/// What no output may hold: a different word for each place, so that a failure tells which.
const PLANTED: [(&str, &str); 9] = [
    ("user of a route", "plantedUser"),
    ("password of a route", "plantedPassword"),
    ("option of a route", "plantedOption"),
    ("token", "plantedToken"),
    ("token of the API", "plantedApi"),
    ("access key", "PLANTEDACCESSKEY"),
    ("secret key", "plantedSecretKey"),
    ("session token", "plantedSession"),
    ("external id", "plantedExternal"),
];

#[track_caller]
fn assert_nothing_in(what: &str, text: &str) {
    for (place, secret) in PLANTED {
        assert!(!text.contains(secret), "{what} shows the {place}: {text}");
    }
}

fn planted(launch: Launch) -> Launch {
    launch
        .env("DOWNSPOUT_LOG_LEVEL", "trace")
        .env("DOWNSPOUT_METRICS_TOKEN", "plantedToken")
        .env("DOWNSPOUT_LIVE_TAILS", "true")
        .env("DOWNSPOUT_API_TOKEN", "plantedApi")
        .env("AWS_ACCESS_KEY_ID", "PLANTEDACCESSKEY")
        .env("AWS_SECRET_ACCESS_KEY", "plantedSecretKey")
        .env("AWS_SESSION_TOKEN", "plantedSession")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("DOWNSPOUT_CLOUDWATCH_EXTERNAL_ID", "plantedExternal")
        .env("DOWNSPOUT_BACKOFF_MAX", "50ms")
}

#[test]
fn planted_secrets_are_shown_nowhere() {
    let state = tempfile::tempdir().unwrap();
    // Nobody listens on port 1; the role makes the external id be used.
    let cloud = "cloudwatch://eu-west-1?group=g&endpoint=http://127.0.0.1:1\
                 &role_arn=arn:aws:iam::123456789012:role/r";
    let mut agent = planted(Launch::new())
        .env("DOWNSPOUT_SOURCE", "docker")
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .env("DOWNSPOUT_STATE_DIR", state.path())
        .arg("syslog+tcp://127.0.0.1:1")
        .arg(cloud)
        .start();
    agent.logged("an attempt", |line| line.contains("destination is down"));
    let pages = |agent: &Agent| {
        ["/metrics", "/readyz", "/livez", "/health", "/logs", "/routes", "/nothing"]
            .map(|path| agent.page(path).1)
            .concat()
    };
    until("both have failed", SOON, || {
        let log = agent.log();
        check(log.matches("is down").count() >= 2 || log.len() > 100_000, || log.clone())
    });
    assert_nothing_in("a page", &pages(&agent));
    let Finished { stdout, stderr, .. } = agent.terminate();
    assert!(stderr.contains("TRACE") || stderr.contains("DEBUG"), "not talkative enough");
    assert_nothing_in("the log", &stderr);
    assert_nothing_in("the output", &stdout);
    for entry in std::fs::read_dir(state.path()).unwrap() {
        let kept = std::fs::read(entry.unwrap().path()).unwrap();
        assert_nothing_in("the checkpoint", &String::from_utf8_lossy(&kept));
    }
    for arguments in [&["--help"][..], &["reference"], &["--check", "stdout://", cloud]] {
        let launch = planted(Launch::new()).env("DOWNSPOUT_SOURCE", "replay:-");
        let launch = arguments.iter().fold(launch, Launch::arg);
        let Finished { stdout, stderr, .. } = launch.finish();
        assert!(!(stdout.is_empty() && stderr.is_empty()));
        assert_nothing_in(&format!("{arguments:?}"), &(stdout + &stderr));
    }
}

#[test]
fn errors_about_routes_show_no_password_and_no_option_that_may_be_one() {
    for route in [
        "syslog+tcp://plantedUser:plantedPassword@host:514",
        "syslog+tcp://plantedUser:plantedPassword@host:99999",
        "nonsense://plantedUser:plantedPassword@host:1",
        "syslog+tcp://plantedUser:plantedPassword@host:514?framing=wrong",
        "syslog+udp://plantedUser:plantedPassword@[::1?x",
    ] {
        let refused = Launch::fed().arg(route).finish();
        assert_eq!(refused.code, Some(2), "{route}: {}", refused.stderr);
        assert_nothing_in(route, &refused.stderr);
    }
}

#[test]
fn a_private_key_is_never_repeated_whatever_is_wrong_with_it() {
    let authority = Authority::new("own");
    let identity = authority.issue("client.test");
    let key = std::fs::read_to_string(&identity.key).unwrap();
    let secret = key.lines().nth(1).unwrap().to_owned();
    // The key as certificate, as a list of routes, and as token: mistakes that happen.
    let path = identity.key.display();
    for launch in [
        Launch::fed().arg(format!("syslog+tls://127.0.0.1:1?tls_cert={path}&tls_key={path}")),
        Launch::fed().env("DOWNSPOUT_ROUTES_FILE", &identity.key),
        Launch::fed().env("DOWNSPOUT_METRICS_TOKEN_FILE", &identity.key),
    ] {
        let refused = launch.finish();
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(!refused.stderr.contains(&secret), "{}", refused.stderr);
    }
}
