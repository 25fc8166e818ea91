//! What is scraped: the balance at every scrape under load, lateness while a destination is down,
//! certificates, and every series from the start. Oracles: the scripts of the receivers and what
//! openssl wrote into the certificates.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::agent::{Agent, Launch, Metrics};
use crate::support::certificates::Authority;
use crate::support::numbers::Expected;
use crate::support::receiver::{Framing, PlainReceiver, TcpReceiver};
use crate::support::syslogd::{Kind, Lock, Syslogd, Wire};
use crate::support::{SOON, check, until};

/// The value of a series as it is written.
#[track_caller]
fn written(agent: &Agent, series: &str) -> String {
    let text = agent.page("/metrics").1;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in {text}")).to_owned()
}

/// The value of a series that is no count.
#[track_caller]
fn number(agent: &Agent, series: &str) -> f64 {
    written(agent, series).parse().unwrap()
}

fn balance(metrics: &Metrics, destination: &str) -> (u64, u64) {
    let of = |family| metrics.of(family, destination);
    let out = of("lines_delivered_total") + of("lines_dropped_total") + of("lines_in_flight");
    (of("lines_read_total"), out)
}

#[test]
fn the_balance_of_every_destination_closes_at_every_scrape_under_load() {
    let good = TcpReceiver::start();
    let refusing = TcpReceiver::start();
    let (_sink, datagrams) = PlainReceiver::udp();
    let udp = format!("syslog+udp://{datagrams}");
    let expected = Expected::of_containers("web", 8, 4_000, 120);
    let mut agent = Launch::fed()
        .env("DOWNSPOUT_BACKOFF_MAX", "50ms")
        .arg(good.route())
        .arg(refusing.route())
        .arg(&udp)
        .ready();
    let destinations = [good.route(), refusing.route(), udp];
    refusing.refuse();
    let feeder = agent.feed_slowly(expected.replay());
    let (mut moved, mut datagrams_read) = (BTreeSet::new(), 0);
    while !feeder.is_finished() {
        let metrics = agent.metrics();
        for destination in &destinations {
            let (read, out) = balance(&metrics, destination);
            assert_eq!(read, out, "{destination}");
        }
        moved.insert(balance(&metrics, &destinations[0]).0);
        datagrams_read = metrics.of("lines_read_total", &destinations[2]);
        // One that breaks again and again gives lines back to their logs and sends them anew.
        refusing.accept_again();
        refusing.refuse();
    }
    feeder.join().unwrap();
    assert!(moved.len() > 20, "only {} scrapes saw it move", moved.len());
    refusing.accept_again();
    assert!(datagrams_read > 0, "the third destination took part");
    good.inbox.wait_complete(&expected, SOON);
    refusing.inbox.wait_complete(&expected, SOON);
    assert_eq!(agent.finish(SOON).code, Some(0));
}

#[test]
fn lateness_is_shown_while_a_destination_is_down_and_gone_when_it_has_caught_up() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let launch = Launch::fed().env("DOWNSPOUT_BACKOFF_MAX", "200ms");
    let mut agent = launch.arg(receiver.route()).start();
    agent.logged("the HTTP server is up", |line| line.contains("address="));
    let expected = Expected::of_containers("web", 2, 50, 100);
    agent.feed(&expected.replay());
    let series =
        |family: &str| format!("downspout_{family}{{destination=\"{}\"}}", receiver.route());
    let lag = series("delivery_lag_seconds");
    until("the lines are late, and the pause is shown", 2 * SOON, || {
        let (late, pause) =
            (number(&agent, &lag), number(&agent, &series("destination_backoff_seconds")));
        check(late > 1.0 && pause > 0.0, || format!("{late} s late, paused for {pause} s"))
    });
    assert_eq!(written(&agent, &series("delivery_seconds_count")), "0");
    assert!(number(&agent, &series("lane_bytes")) > 0.0);
    let refused = ("kind", "refused");
    assert!(agent.metrics().labelled("faults_total", &receiver.route(), refused) > 0);
    receiver.accept_again();
    receiver.inbox.wait_complete(&expected, SOON);
    agent.assert_balance(&receiver.route());
    assert_eq!(written(&agent, &lag), "0");
    assert_eq!(written(&agent, &series("destination_backoff_seconds")), "0");
    assert_eq!(written(&agent, &series("lane_bytes")), "0");
    // Each line is counted once, and each was delayed by the outage.
    let all = expected.count();
    assert_eq!(written(&agent, &series("delivery_seconds_count")), all.to_string());
    let bucket = series("delivery_seconds_bucket").replace('}', ",le=\"1\"}");
    assert_eq!(written(&agent, &bucket), "0", "none came within a second");
    let seconds = number(&agent, &series("delivery_seconds_sum"));
    assert!(seconds > f64::from(u32::try_from(all).unwrap()), "{seconds}");
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
}

#[test]
fn the_end_of_both_certificates_is_shown() {
    let authority = Authority::new("own");
    let clients = Some(authority.certificate());
    let lock = Lock { identity: authority.issue("logs.test"), clients };
    let receiver = Syslogd::start(Kind::Rsyslog, &[Wire::Tls(Framing::OctetCounting)], Some(&lock));
    let client = authority.issue("client.test");
    let options = format!(
        "tls_ca={}&tls_server_name=logs.test&{}",
        authority.certificate().display(),
        client.options()
    );
    let agent = Launch::fed().arg(receiver.route(0, &options)).ready();
    let expiry = |whose| {
        let label = ("whose", whose);
        let family = "certificate_expiry_timestamp_seconds";
        agent.metrics().labelled(family, &receiver.destination(0), label)
    };
    // 2049-01-01, as the test's authority signs.
    assert_eq!((expiry("peer"), expiry("own")), (2_493_072_000, 2_493_072_000));
    agent.terminate();
}

#[test]
fn every_series_is_there_from_the_start_and_at_zero() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let mut agent = Launch::fed().arg(receiver.route()).arg("stdout://").start();
    agent.logged("the HTTP server is up", |line| line.contains("address="));
    let before = agent.page("/metrics").1;
    let values = |text: &str| -> BTreeMap<String, String> {
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let parted = series.map(|line| line.rsplit_once(' ').unwrap());
        parted.map(|(series, value)| (series.to_owned(), value.to_owned())).collect()
    };
    for (series, value) in values(&before) {
        let counts = series.contains("_total") && !series.starts_with("process_");
        // The first attempt may be over, and this is the first page.
        let moves = ["faults_total", "task", "http_requests_total"];
        if counts && !moves.iter().any(|family| series.contains(family)) {
            assert_eq!(value, "0", "{series}");
        }
    }
    receiver.accept_again();
    let expected = Expected::of_containers("web", 2, 50, 100);
    agent.feed(&expected.replay());
    receiver.inbox.wait_complete(&expected, 2 * SOON);
    agent.assert_balance(&receiver.route());
    let after = agent.page("/metrics").1;
    let (before, after) = (values(&before), values(&after));
    let new: Vec<_> = after.keys().filter(|series| !before.contains_key(*series)).collect();
    assert!(new.is_empty(), "series that came later: {new:?}");
    for line in before.keys() {
        let family = line.split('{').next().unwrap();
        assert!(family.starts_with("downspout_") || family.starts_with("process_"), "{line}");
    }
    agent.end_of_input();
    agent.finish(SOON);
}

#[test]
fn the_plan_and_the_process_stand_beside_each_other() {
    let launch = Launch::fed().env("DOWNSPOUT_MEMORY_LIMIT", "32MiB");
    let agent = launch.arg("stdout://?required=false").ready();
    assert_eq!(written(&agent, "downspout_memory_limit_bytes"), (32 << 20).to_string());
    let resident: u64 = written(&agent, "process_resident_memory_bytes").parse().unwrap();
    assert!(resident > 1 << 20 && resident <= agent.peak_resident_bytes(), "{resident}");
    let metrics = agent.metrics();
    let part = |part| metrics.labelled("memory_plan_bytes", "stdout://", ("part", part));
    assert_eq!(part("lanes"), metrics.of("lane_limit_bytes", "stdout://"));
    assert_eq!(part("window"), metrics.of("window_limit_bytes", "stdout://"));
    assert!(part("replay") > 0 && part("batch") > 0);
    assert_eq!(metrics.of("destination_required", "stdout://"), 0);
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let page = agent.page("/metrics").1;
    let build = page.lines().find(|line| line.starts_with("downspout_build_info{")).unwrap();
    assert!(build.contains(&version) && build.ends_with(" 1"), "{build}");
    agent.terminate();
}
