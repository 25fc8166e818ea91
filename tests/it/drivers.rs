//! What containers print, through every log driver that can be read here.

use crate::support::SOON;
use crate::support::agent::{HOST, Launch};
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::receiver::{Frame, Framing, PlainReceiver, TcpReceiver};
use crate::support::site::Site;
use crate::support::{check, until};

fn ships_both_streams(driver: &str) {
    let site = Site::new(driver);
    if let Err(why) = site.engine.can_read(driver) {
        eprintln!("passed over: {driver} does not work here: {why}");
        return;
    }
    let mut expected = Expected::new(120);
    for name in ["a", "b"] {
        let print = |stream| printing(stream, &(1..=1000), 120);
        let script = format!("{} & {}; wait", print(Stream::Out), print(Stream::Err));
        let name = site.engine.container(name).driver(driver).run(&script);
        expected.add(&name, Stream::Out, 1..=1000);
        expected.add(&name, Stream::Err, 1..=1000);
    }
    site.assert_all_arrive(&expected);
}

#[test]
fn json_file_ships_both_streams() {
    ships_both_streams("json-file");
}

#[test]
fn local_ships_both_streams() {
    ships_both_streams("local");
}

#[test]
fn the_stamp_on_the_wire_is_the_one_that_docker_made() {
    let site = Site::new("stamp");
    let name = site.engine.container("a").run("echo one; usleep 300000; echo two");
    site.receiver.inbox.wait_lines(&name, 2, SOON);
    // Docker's has nanoseconds, RFC 5424 takes microseconds.
    let printed = Engine::docker(&["logs", "-t", &name]);
    let wanted: Vec<String> =
        printed.lines().map(|line| format!("{}Z", line.get(..26).unwrap())).collect();
    site.receiver.inbox.with(|frames| {
        let records = frames.iter().filter_map(Frame::rfc5424);
        let own: Vec<_> = records.filter(|record| record.container == name).collect();
        assert_eq!(own.iter().map(|record| record.time).collect::<Vec<_>>(), wanted);
        assert!(own.iter().all(|record| record.host == HOST), "{}", own[0].host);
    });
}

#[test]
fn journald_ships_both_streams_where_it_runs() {
    ships_both_streams("journald");
}

#[test]
fn a_container_without_a_log_is_attached_to_where_that_is_allowed() {
    let site = Site::with("attach", |launch| launch.env("DOWNSPOUT_ATTACH", "true"));
    let wait = "until [ -e /tmp/go ]; do usleep 20000; done";
    let print = printing(Stream::Out, &(1..=20_000), 100);
    let print_error = printing(Stream::Err, &(1..=100), 100);
    let script = format!("{wait}; {print}; {print_error}; exec sleep 1000");
    let name = site.engine.container("a").driver("none").run(&script);
    // Nothing tells when the attach is in place but a line that comes through.
    until("a line comes through", SOON, || {
        Site::say(&name, "are you there");
        let lines = site.receiver.inbox.lines_of(&name);
        check(!lines.is_empty(), || "none did".to_owned())
    });
    Engine::docker(&["exec", &name, "touch", "/tmp/go"]);
    let mut expected = Expected::new(100);
    expected.add(&name, Stream::Out, 1..=20_000);
    expected.add(&name, Stream::Err, 1..=100);
    let tally = site.receiver.inbox.wait_complete(&expected, SOON);
    assert_eq!((tally.repeated, tally.reordered), (0, 0), "{tally}");
    let asked = b"are you there";
    let damaged = tally.garbled.iter().find(|frame| !frame.as_bytes().ends_with(asked));
    assert_eq!(damaged, None);
}

#[test]
fn a_line_of_an_attached_container_is_stamped_when_it_comes() {
    let site = Site::with("attach-stamp", |launch| launch.env("DOWNSPOUT_ATTACH", "true"));
    let name = site.engine.container("a").driver("none").run("exec sleep 1000");
    until("a line comes through", SOON, || {
        Site::say(&name, "are you there");
        check(!site.receiver.inbox.lines_of(&name).is_empty(), || "none did".to_owned())
    });
    let quiet = std::time::Instant::now();
    // The longer nothing comes, the older a stamp from before the wait would be.
    until("some time has passed", SOON, || check(quiet.elapsed().as_secs() >= 2, String::new));
    Site::say(&name, "here");
    let (stamp, arrived) = site.receiver.inbox.wait("the line", SOON, |frames| {
        let mut own = frames.iter().filter_map(|frame| Some((frame.rfc5424()?, frame.arrived)));
        let found = own.find(|(record, _)| record.container == name && record.text == b"here");
        found.map(|(record, at)| (record.time.to_owned(), at)).ok_or_else(String::new)
    });
    let now = Engine::docker(&["info", "--format", "{{.SystemTime}}"]);
    let seconds = |text: &str| text.get(17..19).and_then(|s| s.parse::<i64>().ok()).unwrap();
    let age = (seconds(&now) - seconds(&stamp)).rem_euclid(60);
    let since = i64::try_from(arrived.elapsed().as_secs()).unwrap();
    assert!(age <= since + 1, "stamped {stamp}, {age} s before {now}");
}

#[test]
fn a_container_without_a_log_is_passed_over_with_one_word_of_the_cure() {
    let mut site = Site::new("none");
    let name = site.engine.container("a").driver("none").run("echo lost; exec sleep 1000");
    let cure = |line: &str| line.contains(&name) && line.contains("DOWNSPOUT_ATTACH");
    site.agent.logged("the log names the cure", cure);
    Engine::docker(&["restart", "-t", "0", &name]);
    site.pass_a_marker();
    assert_eq!(site.agent.log().lines().filter(|line| cure(line)).count(), 1);
    assert!(site.receiver.inbox.lines_of(&name).is_empty());
}

#[test]
fn a_log_that_its_driver_ships_is_followed_only_when_asked_for() {
    let (server, address) = PlainReceiver::udp();
    let option = format!("--log-opt=syslog-address=udp://{address}");
    let mut site = Site::new("shipped");
    let receiver = TcpReceiver::start();
    let launch = Launch::new().env("DOWNSPOUT_SHIPPED_DRIVERS", "follow");
    let _following = launch.arg(receiver.route()).ready();
    let start = site.engine.container("a").driver("syslog").option(&option);
    let name = start.run("echo 000001 o; sleep 1000");
    let why = |line: &str| line.contains(&name) && line.contains("syslog");
    site.agent.logged("the log says why", why);
    let lines = receiver.inbox.wait_lines(&name, 1, SOON);
    assert_eq!(lines, [(Stream::Out, b"000001 o".to_vec())]);
    site.pass_a_marker();
    assert!(site.receiver.inbox.lines_of(&name).is_empty());
    server.inbox.wait("the driver ships too", SOON, |all| check(!all.is_empty(), String::new));
}

fn many(byte: u8, count: usize) -> String {
    format!("head -c {count} /dev/zero | tr '\\000' {}; echo", char::from(byte))
}

const LENGTHS: [usize; 9] = [1, 16_382, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 102_400];

fn joins_pieces(driver: &str) {
    let site = Site::new("long");
    let mut script = String::new();
    for length in LENGTHS {
        script += &format!("{}; echo between; ", many(b'a', length));
    }
    let name = site.engine.container(driver).driver(driver).run(&script);
    let lines = LENGTHS.map(|length| vec![b'a'; length]);
    let wanted: Vec<&[u8]> = lines.iter().flat_map(|line| [&line[..], b"between"]).collect();
    site.assert_lines(&name, &wanted);
}

#[test]
fn long_lines_arrive_whole_from_json_file() {
    joins_pieces("json-file");
}

#[test]
fn long_lines_arrive_whole_from_local() {
    joins_pieces("local");
}

#[test]
fn long_lines_of_both_streams_are_not_mixed() {
    let site = Site::new("mixed");
    let twice = |byte| format!("{0}; {0}", many(byte, 100_000));
    let script = format!("({}) & ({}) >&2; wait", twice(b'a'), twice(b'b'));
    let name = site.engine.container("a").run(&script);
    let lines = site.receiver.inbox.wait_lines(&name, 4, SOON);
    for (stream, line) in lines {
        let byte = if stream == Stream::Out { b'a' } else { b'b' };
        assert!(line == vec![byte; 100_000], "{stream:?}, {} bytes", line.len());
    }
}

#[test]
fn a_terminal_gives_lines_without_carriage_returns() {
    let site = Site::new("tty");
    let mut script = "echo one; echo two >&2; echo; ".to_owned();
    for length in LENGTHS {
        script += &format!("{}; ", many(b'z', length));
    }
    script += "printf last";
    let name = site.engine.container("a").option("-t").run(&script);
    let long = LENGTHS.map(|length| vec![b'z'; length]);
    let mut wanted: Vec<&[u8]> = vec![b"one", b"two", b""];
    wanted.extend(long.iter().map(Vec::as_slice));
    wanted.push(b"last");
    site.assert_lines(&name, &wanted);
}

#[test]
fn empty_lines_and_an_unfinished_last_line_arrive() {
    let site = Site::new("empty");
    for driver in ["json-file", "local"] {
        let start = site.engine.container(driver).driver(driver);
        let name = start.run("printf 'a\\n\\nb\\n\\n\\nlast'");
        site.assert_lines(&name, &[b"a", b"", b"b", b"", b"", b"last"]);
    }
}

#[test]
fn bytes_that_are_not_utf_8_arrive_as_the_driver_keeps_them() {
    let site = Site::new("utf8");
    let script = "printf 'x\\377\\376y\\n'; printf '\\303\\251\\n'";
    let replaced = site.engine.container("json").driver("json-file").run(script);
    site.assert_lines(&replaced, &["x\u{fffd}\u{fffd}y".as_bytes(), "é".as_bytes()]);
    let kept = site.engine.container("local").driver("local").run(script);
    site.assert_lines(&kept, &[b"x\xff\xfey", "é".as_bytes()]);
}

#[test]
fn line_feed_framing_carries_the_same_lines() {
    let engine = Engine::new("lf");
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    let route = format!("{}?framing=lf", receiver.route());
    let agent = Launch::new().arg(route).ready();
    let name = engine.container("a").run(&printing(Stream::Out, &(1..=100), 60));
    let mut expected = Expected::new(60);
    expected.add(&name, Stream::Out, 1..=100);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    drop(agent);
}

#[test]
fn a_line_beyond_the_limit_arrives_in_parts_and_hurts_nobody() {
    let site = Site::with("limit", |launch| launch.env("DOWNSPOUT_MAX_LINE_BYTES", "20KiB"));
    let script = format!("echo before; {}; echo after", many(b'y', 100_000));
    let name = site.engine.container("a").run(&script);
    site.pass_a_marker();
    let lines = until("the last line", SOON, || {
        let lines = site.receiver.inbox.lines_of(&name);
        let last = lines.last().is_some_and(|(_, line)| line == b"after");
        if last { Ok(lines) } else { Err(format!("{} lines", lines.len())) }
    });
    let parts = &lines[1..lines.len() - 1];
    let whole: Vec<u8> = parts.iter().flat_map(|(_, part)| part.iter().copied()).collect();
    assert_eq!(lines[0].1, b"before");
    assert!(whole == vec![b'y'; 100_000], "{} bytes in {} parts", whole.len(), parts.len());
    assert!(parts.len() == 5 && parts.iter().all(|(_, part)| part.len() <= 20 * 1024));
    assert!(site.agent.metrics().value("lines_split_total") > 0);
}
