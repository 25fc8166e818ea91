//! Records of several lines: stack traces come whole, each stream by itself, in time, and also over
//! a kill. Which lines belong together is known from how they are printed.

use crate::support::agent::{Launch, Strategy};
use crate::support::engine::Engine;
use crate::support::numbers::Stream;
use crate::support::receiver::TcpReceiver;
use crate::support::site::Site;
use crate::support::{SOON, check, until};

/// Longer than any of these tests takes.
const NEVER: &str = "1h";

fn route(receiver: &TcpReceiver, flush: &str) -> String {
    let route = receiver.route();
    let sign = if route.contains('?') { '&' } else { '?' };
    format!("{route}{sign}multiline_pattern=^BEGIN&multiline_flush={flush}")
}

/// Waits for as many records of a container; they are these, stream by stream.
#[track_caller]
fn assert_records(receiver: &TcpReceiver, container: &str, out: &[String], err: &[String]) {
    let records = receiver.inbox.wait_lines(container, out.len() + err.len(), SOON);
    for (stream, wanted) in [(Stream::Out, out), (Stream::Err, err)] {
        let of = records.iter().filter(|(of, _)| *of == stream);
        let came: Vec<_> = of.map(|(_, text)| String::from_utf8_lossy(text)).collect();
        assert_eq!(came, wanted, "{}", stream.name());
    }
}

fn traces(word: &str, numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| format!("BEGIN {word}{number}\n at {word}{number}\n\n end")).collect()
}

fn stack_traces(strategy: Strategy) {
    let engine = Engine::new(&format!("traces-{}", strategy.name()));
    let [receiver, plain] = [TcpReceiver::start(), TcpReceiver::start()];
    let launch = Launch::new().strategy(strategy).arg(route(&receiver, NEVER));
    let agent = launch.arg(plain.route()).ready();
    // The streams take turns within each trace.
    let script = "i=1; while [ $i -le 40 ]; do for line in \"BEGIN #$i\" \" at #$i\" '' ' end'; do \
                  echo \"$line\" | tr '#' o; echo \"$line\" | tr '#' e >&2; done; i=$((i+1)); done";
    let name = engine.container("a").run(script);
    // The last ones are complete with the log.
    assert_records(&receiver, &name, &traces("o", 1..=40), &traces("e", 1..=40));
    assert_eq!(plain.inbox.wait_lines(&name, 320, SOON).len(), 320, "the other gets lines");
    agent.assert_read_by(strategy);
    agent.assert_balance(&receiver.route());
    assert_eq!(agent.terminate().code, Some(0));
    assert_eq!(receiver.inbox.lines_of(&name).len(), 80);
}

#[test]
fn interleaved_stack_traces_come_whole_by_file() {
    stack_traces(Strategy::File);
}

#[test]
fn interleaved_stack_traces_come_whole_by_api() {
    stack_traces(Strategy::Api);
}

fn silence(strategy: Strategy) {
    let engine = Engine::new(&format!("silence-{}", strategy.name()));
    let receiver = TcpReceiver::start();
    let launch = Launch::new().strategy(strategy).arg(route(&receiver, "300ms"));
    let agent = launch.ready();
    let start = engine.container("a");
    let name = start.run("echo BEGIN 1; echo ' at 1'; exec sleep 1000");
    let mut records = vec!["BEGIN 1\n at 1".to_owned()];
    assert_records(&receiver, &name, &records, &[]);
    for late in ["late", "BEGIN 2"] {
        Site::say(&name, late);
        records.push(late.to_owned());
        assert_records(&receiver, &name, &records, &[]);
    }
    agent.assert_read_by(strategy);
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn a_record_comes_when_no_line_follows_it_by_file() {
    silence(Strategy::File);
}

#[test]
fn a_record_comes_when_no_line_follows_it_by_api() {
    silence(Strategy::Api);
}

#[test]
fn a_record_comes_when_no_line_follows_it_by_attachment() {
    let engine = Engine::new("silence-attach");
    let receiver = TcpReceiver::start();
    let launch = Launch::new().env("DOWNSPOUT_ATTACH", "true").arg(route(&receiver, "300ms"));
    let agent = launch.ready();
    let name = engine.container("a").driver("none").run("exec sleep 1000");
    // Nothing tells when the attach is in place but a line that comes through.
    until("a record comes through", SOON, || {
        Site::say(&name, "BEGIN");
        check(!receiver.inbox.lines_of(&name).is_empty(), || "none did".to_owned())
    });
    Site::say(&name, "BEGIN last");
    until("the last one comes", SOON, || {
        let last = receiver.inbox.lines_of(&name).pop();
        check(last.is_some_and(|(_, text)| text == b"BEGIN last"), || "it did not".to_owned())
    });
    assert_eq!(agent.terminate().code, Some(0));
}

fn a_kill_in_an_open_record(strategy: Strategy) {
    let engine = Engine::new(&format!("open-{}", strategy.name()));
    let (receiver, state) = (TcpReceiver::start(), tempfile::tempdir().unwrap());
    let launch = || {
        let launch = Launch::new().strategy(strategy).env("DOWNSPOUT_STATE_DIR", state.path());
        launch.arg(route(&receiver, NEVER)).ready()
    };
    let agent = launch();
    let script = "echo BEGIN o1; echo ' o1'; echo BEGIN o2; echo ' o2'; echo BEGIN e1 >&2; \
                  echo ' e1' >&2; echo BEGIN e2 >&2; exec sleep 1000";
    let name = engine.container("a").run(script);
    let [mut out, mut err] = [vec!["BEGIN o1\n o1".to_owned()], vec!["BEGIN e1\n e1".to_owned()]];
    assert_records(&receiver, &name, &out, &err);
    let id = Engine::docker(&["inspect", "--format", "{{.Id}}", &name]);
    until("what came is in the checkpoint", SOON, || {
        let kept = std::fs::read_to_string(state.path().join("checkpoint")).unwrap_or_default();
        let line = kept.lines().find(|line| line.contains(&id)).unwrap_or_default().to_owned();
        let words = [" stdout=", " stderr=", " open="];
        check(words.iter().all(|word| line.contains(word)), || line)
    });
    agent.signal("KILL");
    assert_eq!(agent.finish(SOON).code, None);
    Site::say(&name, " o2, printed meanwhile");
    let agent = launch();
    Site::say(&name, "BEGIN o3");
    out.push("BEGIN o2\n o2\n o2, printed meanwhile".to_owned());
    assert_records(&receiver, &name, &out, &err);
    agent.assert_read_by(strategy);
    // An orderly end waits for nothing.
    let ended = agent.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    out.push("BEGIN o3".to_owned());
    err.push("BEGIN e2".to_owned());
    assert_records(&receiver, &name, &out, &err);
}

#[test]
fn a_record_that_was_open_at_a_kill_comes_whole_and_nothing_twice_by_file() {
    a_kill_in_an_open_record(Strategy::File);
}

#[test]
fn a_record_that_was_open_at_a_kill_comes_whole_and_nothing_twice_by_api() {
    a_kill_in_an_open_record(Strategy::Api);
}

#[test]
fn standard_input_is_joined_for_the_destination_that_asks_for_it() {
    let [joined, plain] = [TcpReceiver::start(), TcpReceiver::start()];
    let launch = Launch::fed().env("DOWNSPOUT_MAX_LINE_BYTES", "4096");
    let mut agent = launch.arg(route(&joined, "300ms")).arg(plain.route()).ready();
    agent.feed("web stdout BEGIN 1\nweb stderr BEGIN e\nweb stdout  at 1\nweb stdout half of");
    let [mut out, err] = [vec!["BEGIN 1\n at 1".to_owned()], vec!["BEGIN e".to_owned()]];
    assert_records(&joined, "web", &out, &err);
    agent.feed(" a line\n");
    out.push("half of a line".to_owned());
    assert_records(&joined, "web", &out, &err);
    // Two of these have no room in one record.
    let long = "x".repeat(4000);
    agent.feed(&format!("web stdout {long}\nweb stdout {long}\n"));
    agent.wait_for("a record is cut", SOON, |metrics| {
        metrics.value("multiline_records_cut_total") == 1
    });
    out.extend([long.clone(), long]);
    assert_records(&joined, "web", &out, &err);
    agent.assert_balance(&joined.route());
    assert_eq!(agent.metrics().of("lines_delivered_total", &joined.route()), 5);
    agent.feed("web stdout BEGIN 3\nweb stdout  at 3\n");
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    out.push("BEGIN 3\n at 3".to_owned());
    assert_records(&joined, "web", &out, &err);
    assert_eq!(plain.inbox.lines_of("web").len(), 8);
}

#[test]
fn an_orderly_end_gives_out_what_was_read_of_standard_input() {
    let receiver = TcpReceiver::start();
    let mut agent = Launch::fed().arg(route(&receiver, NEVER)).ready();
    agent.feed("web stdout BEGIN 1\nweb stdout BEGIN 2\nweb stdout  at 2\nweb stderr BEGIN e\nweb stderr BEGIN f\n");
    // What stands before it was read by then.
    receiver.inbox.wait_lines("web", 2, SOON);
    assert_eq!(agent.terminate().code, Some(0));
    let out = ["BEGIN 1", "BEGIN 2\n at 2"].map(str::to_owned);
    assert_records(&receiver, "web", &out, &["BEGIN e", "BEGIN f"].map(str::to_owned));
}

#[test]
fn each_way_to_match_groups_lines_as_logspouts_adapter_does() {
    // What logspout's own test of its adapter feeds, in other words: a pattern, which lines of a
    // record match it, what is printed, and the records. All but the last come at once.
    let cases: [(&str, &str, &[&str]); 5] = [
        (r"^\s", "nonfirst", &["order\n 17\n\tof 2", "next", "last\n one"]),
        (":$", "first", &["in front", "order:\n17\n", "next:", "last:\none"]),
        (r"\$$", "nonlast", &["SELECT $\n 1 $\n;", "alone", "last $\none", "open $"]),
        ("!$", "last", &["order\n17!", "!", "next\n\none!", "open"]),
        (
            r"^(DETAIL:|STATEMENT:|Traceback|\s)",
            "nonlast",
            &[
                "DETAIL: key 17\nSTATEMENT: INSERT\nERROR",
                "Traceback\n in main\nValueError",
                "DETAIL: open",
            ],
        ),
    ];
    for (pattern, matching, records) in cases {
        let receiver = TcpReceiver::start();
        let route = route(&receiver, NEVER);
        let route = route.replace("=^BEGIN", &format!("={pattern}&multiline_match={matching}"));
        let mut agent = Launch::fed().arg(route).ready();
        let lines = records.iter().flat_map(|record| record.split('\n'));
        agent.feed(&lines.map(|line| format!("web stdout {line}\n")).collect::<String>());
        let records: Vec<_> = records.iter().map(|record| (*record).to_owned()).collect();
        assert_records(&receiver, "web", &records[..records.len() - 1], &[]);
        agent.end_of_input();
        assert_eq!(agent.finish(SOON).code, Some(0));
        assert_records(&receiver, "web", &records, &[]);
    }
}

#[test]
fn a_preset_joins_a_trace_and_keeps_no_other_line_waiting() {
    let receiver = TcpReceiver::start();
    let route = route(&receiver, NEVER).replace("multiline_pattern=^BEGIN", "multiline=auto");
    let mut agent = Launch::fed().arg(format!("{route}&multiline_separator=%20/%20")).ready();
    agent.feed("web stdout ready\n");
    assert_records(&receiver, "web", &["ready".to_owned()], &[]);
    agent.feed(
        "web stdout ERROR no order\nweb stderr panic: 17\nweb stdout a.b.NoOrderException: 17\n\
         web stderr goroutine 1 [running]:\nweb stdout \tat a.b.C.d(C.java:1)\n\
         web stderr main.main()\nweb stderr \t/app/main.go:12 +0x1d\nweb stderr exit status 2\n\
         web stdout INFO ready\n",
    );
    let out = [
        "ready",
        "ERROR no order / a.b.NoOrderException: 17 / \tat a.b.C.d(C.java:1)",
        "INFO ready",
    ];
    let err = "panic: 17 / goroutine 1 [running]: / main.main() / \t/app/main.go:12 +0x1d / exit status 2";
    assert_records(&receiver, "web", &out.map(str::to_owned), &[err.to_owned()]);
    assert_eq!(agent.terminate().code, Some(0));
}
