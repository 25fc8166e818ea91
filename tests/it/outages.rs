//! Destinations that are away for longer than anybody's patience, and what is said of lines that
//! could not be kept. The ids are those of the fault matrix.

use crate::support::agent::{Agent, Launch, Metrics, Strategy};
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::receiver::{Conduct, Frame, Framing, TcpReceiver};
use crate::support::{SOON, check, until};

const LIMIT_BYTES: u64 = 64 << 20;

/// The records in which the agent itself speaks.
fn notices(receiver: &TcpReceiver) -> Vec<String> {
    receiver.inbox.with(|frames| {
        let records = frames.iter().filter_map(Frame::rfc5424);
        let own = records.filter(|record| record.container == "downspout");
        own.map(|record| String::from_utf8_lossy(record.text).into_owned()).collect()
    })
}

fn a_long_outage(strategy: Strategy) {
    let (dead, sound) = (TcpReceiver::start(), TcpReceiver::start());
    dead.refuse();
    let engine = Engine::new(&format!("outage-{}", strategy.name()));
    let launch = Launch::new().strategy(strategy).env("DOWNSPOUT_BACKOFF_MAX", "200ms");
    let own = |receiver: &TcpReceiver| engine.only(&receiver.route());
    let agent = launch.arg(own(&dead)).arg(own(&sound)).start();
    agent.wait_for("the sound one is there", SOON, |metrics| {
        metrics.of("destination_up", &sound.route()) == 1 && metrics.value("source_up") == 1
    });
    let mut expected = Expected::new(200);
    let mut names = Vec::new();
    // More than the lanes of the dead destination hold, so that its streams are closed.
    for name in ["a", "b", "c", "d"] {
        let start = engine.container(name).option("--log-opt=max-size=100m");
        let name = start.run(&printing(Stream::Out, &(1..=20_000), 200));
        expected.add(&name, Stream::Out, 1..=20_000);
        names.push(name);
    }
    for name in &names {
        assert_eq!(Engine::wait(name), "0", "nobody waits for the dead destination");
    }
    sound.inbox.wait_complete(&expected, 2 * SOON).assert_complete();
    let metrics = agent.metrics();
    assert_eq!(metrics.of("lines_delivered_total", &dead.route()), 0);
    assert_eq!(metrics.of("lines_dropped_total", &dead.route()), 0);
    until("the streams of the dead one are closed", SOON, || {
        let streams =
            Engine::docker(&["ps", "-q", "--filter", &format!("label={}", engine.label())]);
        check(streams.is_empty(), || streams)
    });
    dead.accept_again();
    dead.inbox.wait_complete(&expected, 2 * SOON).assert_complete();
    agent.assert_balance(&dead.route());
    let peak = agent.peak_resident_bytes();
    assert!(peak <= LIMIT_BYTES, "{peak} bytes resident");
    agent.assert_read_by(strategy);
    assert_eq!(agent.terminate().code, Some(0));
    dead.inbox.tally(&expected).assert_complete();
}

#[test]
fn f05_f40_a_long_outage_of_one_destination_costs_no_line_and_no_neighbour_by_file() {
    a_long_outage(Strategy::File);
}

#[test]
fn f05_f40_a_long_outage_of_one_destination_costs_no_line_and_no_neighbour_by_api() {
    a_long_outage(Strategy::Api);
}

fn rotation_removes(strategy: Strategy) {
    let receiver = TcpReceiver::start();
    let engine = Engine::new(&format!("rotated-{}", strategy.name()));
    let state = tempfile::tempdir().unwrap();
    let launch = || {
        let launch = Launch::new().strategy(strategy).env("DOWNSPOUT_STATE_DIR", state.path());
        launch.arg(receiver.route()).ready()
    };
    let agent = launch();
    let wait = "until [ -e /tmp/go ]; do usleep 20000; done";
    let script = format!(
        "{}; {wait}; {}; exec sleep 1000",
        printing(Stream::Out, &(1..=100), 100),
        printing(Stream::Out, &(101..=20_000), 100),
    );
    let start = engine.container("a").option("--log-opt=max-size=200k");
    let name = start.option("--log-opt=max-file=2").run(&script);
    receiver.inbox.wait_lines(&name, 100, SOON);
    assert_eq!(agent.terminate().code, Some(0));
    Engine::docker(&["exec", &name, "touch", "/tmp/go"]);
    // Lines go into two files by turns; the last ones are there once all were printed.
    let kept = until("all is printed", SOON, || {
        let kept = Engine::docker(&["logs", &name]);
        check(kept.lines().last().is_some_and(|line| line.starts_with("020000")), String::new)?;
        Ok(kept)
    });
    let first: u64 = kept.lines().next().unwrap().get(..6).unwrap().parse().unwrap();
    assert!(first > 101, "the test has to lose something");
    let agent = launch();
    let mut expected = Expected::new(100);
    expected.add(&name, Stream::Out, first..=20_000);
    receiver.inbox.wait_complete(&expected, SOON);
    agent.assert_balance(&receiver.route());
    // Other tests' containers may have lost something as well.
    let log = agent.log();
    let own = log.lines().filter(|line| line.contains("lost between") && line.contains(&name));
    assert_eq!(own.count(), 1);
    assert!(agent.metrics().of("gaps_total", &receiver.route()) > 0);
    agent.assert_read_by(strategy);
    assert_eq!(agent.terminate().code, Some(0));
    let lines = receiver.inbox.lines_of(&name);
    assert_eq!(lines.len() as u64, 100 + 20_001 - first, "lost is what was rotated away, only");
    let mut notices = notices(&receiver);
    notices.retain(|notice| notice.contains(&name));
    let [notice] = &notices[..] else { panic!("{notices:?}") };
    let short = Engine::docker(&["inspect", "--format", "{{printf \"%.12s\" .Id}}", &name]);
    let said = format!("an unknown number of lines of {name} ({short}) lost between ");
    assert!(
        notice.starts_with(&said) && notice.ends_with("rotated before they could be read"),
        "{notice}"
    );
    // It stands where the lines are missing.
    receiver.inbox.with(|frames| {
        // Not what the agent says of other tests' containers.
        let mine = |frame: &&Frame| frame.rfc5424().is_some() && frame.lossy().contains(&name);
        let order: Vec<_> = frames.iter().filter(mine).collect();
        let at = order.iter().position(|f| f.rfc5424().unwrap().container == "downspout");
        assert_eq!(at, Some(100));
    });
}

#[test]
fn f06_what_rotation_removed_while_nobody_read_is_announced_once_by_file() {
    rotation_removes(Strategy::File);
}

#[test]
fn f06_what_rotation_removed_while_nobody_read_is_announced_once_by_api() {
    rotation_removes(Strategy::Api);
}

/// A container without a log prints more than there is room for while its receiver stalls.
fn overflows(overflow: &str) -> (Agent, TcpReceiver, String, Engine) {
    let receiver = TcpReceiver::scripted(Framing::OctetCounting, [Conduct::Stall]);
    // Lines of others would be the ones that come before the stall.
    let engine = Engine::alone(overflow);
    let launch = Launch::new().env("DOWNSPOUT_ATTACH", "true").env("DOWNSPOUT_OVERFLOW", overflow);
    let launch = launch.env("DOWNSPOUT_MEMORY_LIMIT", "16MiB");
    let launch = launch.env("DOWNSPOUT_LOG_LEVEL", "debug");
    let mut agent = launch.env("DOWNSPOUT_MAX_LINE_BYTES", "64KiB").arg(receiver.route()).ready();
    let wait = "until [ -e /tmp/go ]; do usleep 20000; done";
    let script = format!(
        "{wait}; {}; until [ -e /tmp/on ]; do usleep 20000; done; echo 999999 o; exec sleep 1000",
        printing(Stream::Out, &(1..=100_000), 200)
    );
    let name = engine.container("a").driver("none").run(&script);
    let id = Engine::docker(&["inspect", "--format", "{{.Id}}", &name]);
    agent.logged("it is attached to", |line| line.contains("attached") && line.contains(&id));
    Engine::docker(&["exec", &name, "touch", "/tmp/go"]);
    let dropped = |metrics: &Metrics| metrics.of("lines_dropped_total", &receiver.route());
    let mut last = 0;
    until("it is given up, and all is printed", 2 * SOON, || {
        let metrics = agent.metrics();
        let read = metrics.of("lines_read_total", &receiver.route());
        let settled = read >= 100_000 && read == last;
        last = read;
        check(dropped(&metrics) > 0 && settled, || format!("{read} read"))
    });
    receiver.behave();
    agent.wait_for("all of it is delivered", SOON, |metrics| {
        metrics.of("lines_in_flight", &receiver.route()) == 0
    });
    Engine::docker(&["exec", &name, "touch", "/tmp/on"]);
    receiver.inbox.wait("the line after", SOON, |frames| {
        let last = frames.last().is_some_and(|frame| frame.bytes.ends_with(b"999999 o"));
        check(last, || frames.len().to_string())
    });
    (agent, receiver, name, engine)
}

fn announced(receiver: &TcpReceiver, name: &str) -> u64 {
    let lost = |notice: &String| -> u64 {
        assert!(notice.contains(&format!("of {name} (")), "{notice}");
        assert!(notice.ends_with("log driver keeps no log"), "{notice}");
        notice.split(' ').next().unwrap().parse().unwrap()
    };
    notices(receiver).iter().map(lost).sum()
}

#[test]
fn what_overflows_is_counted_and_announced_the_oldest_first() {
    let (agent, receiver, name, _engine) = overflows("drop-oldest");
    let dropped = agent.metrics().of("lines_dropped_total", &receiver.route());
    assert_eq!(announced(&receiver, &name), dropped);
    agent.assert_balance(&receiver.route());
    let numbered = |(_, line): &(Stream, Vec<u8>)| line.len() == 200;
    let lines = receiver.inbox.lines_of(&name);
    let came = lines.iter().filter(|line| numbered(line)).count() as u64;
    assert_eq!(came + dropped, 100_000);
    assert!(lines.iter().any(|(_, line)| line.starts_with(b"100000 ")), "the newest are kept");
}

#[test]
fn what_overflows_is_counted_and_announced_the_newest_first_where_asked_for() {
    let (agent, receiver, name, _engine) = overflows("drop-newest");
    let dropped = agent.metrics().of("lines_dropped_total", &receiver.route());
    assert_eq!(announced(&receiver, &name), dropped);
    agent.assert_balance(&receiver.route());
    let lines = receiver.inbox.lines_of(&name);
    let came = lines.iter().filter(|(_, line)| line.len() == 200).count() as u64;
    assert_eq!(came + dropped, 100_000);
    assert!(!lines.iter().any(|(_, line)| line.starts_with(b"100000 ")), "the oldest are kept");
}

#[test]
fn what_is_in_no_log_when_the_time_is_over_is_counted_as_lost() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let launch = Launch::fed().env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "200ms").arg(receiver.route());
    let mut agent = launch.start();
    agent.feed("web stdout 000001 o\nweb stdout 000002 o\n");
    agent.wait_for("two lines wait", SOON, |metrics| {
        metrics.of("lines_in_flight", &receiver.route()) == 2
    });
    let ended = agent.terminate();
    let said = "lines=2 ";
    let line = ended.stderr.lines().find(|line| line.contains("are in no log and are lost"));
    let line = line.unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(format!("{line} ").contains(said), "{line}");
}
