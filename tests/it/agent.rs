//! The process: settings, signals, exit codes, pages.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::SOON;
use crate::support::agent::Launch;
use crate::support::numbers::{Expected, Stream};
use crate::support::receiver::{Frame, TcpReceiver};

#[test]
fn sigterm_drains_what_was_read_and_exits_0() {
    let receiver = TcpReceiver::start();
    let expected = Expected::of_containers("web", 20, 500, 200);
    let mut agent = Launch::fed().arg(receiver.route()).ready();
    agent.feed(&expected.replay());
    let ended = agent.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.took < Duration::from_secs(8), "{:?}", ended.took);
    // What was not read yet may be missing, but only at the end of each stream.
    let mut last: BTreeMap<(String, Stream), u64> = BTreeMap::new();
    receiver.inbox.with(|frames| {
        for record in frames.iter().filter_map(Frame::rfc5424) {
            let number = std::str::from_utf8(&record.text[..6]).unwrap().parse::<u64>().unwrap();
            let last = last.entry((record.container.to_owned(), record.stream)).or_default();
            assert_eq!(number, *last + 1, "{}", record.container);
            *last = number;
        }
    });
    receiver.inbox.assert_nothing_garbled();
}

#[test]
fn sigterm_gives_up_on_a_dead_destination_after_the_shutdown_time() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let launch = Launch::fed().env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "1s");
    let mut agent = launch.arg(receiver.route()).start();
    agent.feed("web-1 stdout 000001 hello\n");
    agent.wait_for("the line is read", SOON, |metrics| {
        metrics.of("lines_read_total", &receiver.route()) == 1
    });
    let ended = agent.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.took > Duration::from_millis(500), "it gave up early: {:?}", ended.took);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

#[test]
fn a_second_signal_exits_at_once() {
    for [first, second] in [["TERM", "TERM"], ["INT", "INT"]] {
        let receiver = TcpReceiver::start();
        receiver.refuse();
        let launch = Launch::fed().env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "300s");
        let mut agent = launch.arg(receiver.route()).start();
        agent.feed("web-1 stdout 000001 hello\n");
        agent.wait_for("the line is read", SOON, |metrics| {
            metrics.of("lines_read_total", &receiver.route()) == 1
        });
        let before = agent.log().len();
        agent.signal(first);
        let told = |log: &str| log.len() > before;
        crate::support::until("the log says that it drains", SOON, || {
            crate::support::check(told(&agent.log()), || agent.log())
        });
        assert!(agent.is_running(), "it did not wait for the destination");
        agent.signal(second);
        agent.finish(Duration::from_secs(5));
    }
}

#[test]
fn every_problem_of_the_settings_is_named_at_once() {
    let ended = Launch::new()
        .env("DOWNSPOUT_MEMORY_LIMT", "64MiB")
        .env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "soon")
        .arg("syslog+tpc://127.0.0.1:514")
        .arg("syslog+tcp://127.0.0.1:514?framming=lf")
        .finish();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for named in [
        "DOWNSPOUT_MEMORY_LIMT",
        "DOWNSPOUT_MEMORY_LIMIT",
        "DOWNSPOUT_SHUTDOWN_TIMEOUT",
        "soon",
        "syslog+tpc",
        "syslog+tcp",
        "framming",
        "framing",
    ] {
        assert!(ended.stderr.contains(named), "{named} is not named in\n{}", ended.stderr);
    }
}

#[test]
fn check_says_per_route_what_it_found_and_sends_nothing() {
    let [sound, refusing] = [TcpReceiver::start(), TcpReceiver::start()];
    refusing.refuse();
    let good = Launch::fed().arg("--check").arg(sound.route()).finish();
    assert_eq!(good.code, Some(0), "{}{}", good.stdout, good.stderr);
    assert!((good.stdout + &good.stderr).contains(&sound.route()));
    let bad = Launch::fed().arg("--check").arg(sound.route()).arg(refusing.route()).finish();
    assert!(bad.code.is_some_and(|code| code != 0), "{:?}", bad.code);
    let said = bad.stdout + &bad.stderr;
    assert!(said.contains(&sound.route()) && said.contains(&refusing.route()), "{said}");
    assert!(said.contains("refused"), "{said}");
    assert!(sound.connections() >= 2, "it must connect to know");
    assert_eq!(sound.inbox.count(), 0);
}

#[test]
fn the_health_check_asks_the_agent_that_runs() {
    let receiver = TcpReceiver::start();
    let agent = Launch::fed().arg(receiver.route()).ready();
    let address = agent.http().to_string();
    let ask = || Launch::new().env("DOWNSPOUT_HTTP", &address).arg("healthcheck").finish();
    assert_eq!(ask().code, Some(0), "{}", ask().stderr);
    assert_eq!(agent.terminate().code, Some(0));
    let ended = ask();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
}

#[test]
fn the_pages_tell_life_from_readiness() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let launch = Launch::fed().env("DOWNSPOUT_BACKOFF_MAX", "200ms");
    let agent = launch.arg(receiver.route()).start();
    assert_eq!(agent.page("/livez").0, 200);
    assert_ne!(agent.page("/readyz").0, 200, "the destination refuses");
    receiver.accept_again();
    crate::support::until("ready once connected", SOON, || {
        let (status, body) = agent.page("/readyz");
        crate::support::check(status == 200, || format!("{status} {body}"))
    });
    assert_eq!(agent.page("/nothing-here").0, 404);
}

#[test]
fn a_variable_of_logspouts_that_does_nothing_is_named_at_the_start_and_stops_nobody() {
    let replay = Expected::of_containers("web", 1, 1, 60).replay_file();
    let launch = Launch::replaying(replay.path()).env("RETRY_COUNT", "3").env("TAIL", "100");
    let ended = launch.arg("stdout://").finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said: Vec<_> = ended.stderr.lines().filter(|line| line.contains(" WARN ")).collect();
    let [one] = said[..] else { panic!("{said:?}") };
    assert!(one.contains("TAIL does nothing without BACKLOG=true"), "{one}");
}

#[test]
fn help_names_every_variable_and_version_the_version() {
    let help = Launch::new().arg("--help").finish();
    assert_eq!(help.code, Some(0));
    for variable in [
        "ROUTE_URIS",
        "DOWNSPOUT_SOURCE",
        "DOCKER_HOST",
        "DOWNSPOUT_HOSTNAME",
        "DOWNSPOUT_BACKLOG",
        "DOWNSPOUT_ATTACH",
        "DOWNSPOUT_SHIPPED_DRIVERS",
        "DOWNSPOUT_MEMORY_LIMIT",
        "DOWNSPOUT_MAX_LINE_BYTES",
        "DOWNSPOUT_SHUTDOWN_TIMEOUT",
        "DOWNSPOUT_BACKOFF_MAX",
        "DOWNSPOUT_HTTP",
        "DOWNSPOUT_STATE_DIR",
        "DOWNSPOUT_LOG_LEVEL",
    ] {
        assert!(help.stdout.contains(variable), "{variable} is not in\n{}", help.stdout);
    }
    let version = Launch::new().arg("--version").finish();
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", version.stdout);
}

#[test]
fn routes_come_from_the_environment_unless_arguments_replace_them() {
    let [first, second, third] = [(); 3].map(|()| TcpReceiver::start());
    let expected = Expected::of_containers("web", 2, 20, 60);
    let file = expected.replay_file();
    let launch = || {
        let source = format!("--source=replay:{}", file.path().display());
        let launch = Launch::new().env("DOWNSPOUT_ROUTES", first.route()).arg(source);
        launch.env("ROUTE_URIS", format!("{},{}", first.route(), second.route()))
    };
    let ended = launch().finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    first.inbox.wait_complete(&expected, SOON);
    second.inbox.wait_complete(&expected, SOON).assert_complete();
    assert_eq!(launch().arg(third.route()).finish().code, Some(0));
    third.inbox.wait_complete(&expected, SOON).assert_complete();
    second.inbox.tally(&expected).assert_complete();
}
