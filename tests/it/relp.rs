//! RELP servers that fail, and a real one that is restarted. The ids are those of the fault matrix.

use std::io::Write;
use std::time::Duration;

use crate::support::agent::{Agent, Launch};
use crate::support::numbers::Expected;
use crate::support::relp_server::{Conduct, RelpServer};
use crate::support::syslogd::{Kind, Received, Syslogd, Wire};
use crate::support::{SOON, check, until};

/// Commands that may wait for an answer, and so be repeated after a break.
const WINDOW: u64 = 128;

fn quick(launch: Launch, server: &RelpServer) -> Launch {
    quick_with(launch, server, "")
}

/// Short delays between attempts, so that a test with many breaks is quick.
fn quick_with(launch: Launch, server: &RelpServer, options: &str) -> Launch {
    let launch = launch.env("DOWNSPOUT_BACKOFF_MAX", "200ms");
    launch.env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "60s").arg(format!("{}?{options}", server.route()))
}

fn load() -> Expected {
    Expected::of_containers("web", 20, 100, 200)
}

/// Ships `expected` past what the script does; each break repeats a window at most.
#[track_caller]
fn survives(script: &[Conduct], options: &str, breaks: usize) -> RelpServer {
    let server = RelpServer::start(script.iter().copied());
    let expected = load();
    let file = expected.replay_file();
    let ended = quick_with(Launch::replaying(file.path()), &server, options).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let tally = server.inbox.tally(&expected);
    tally.assert_at_most_repeated(breaks as u64 * WINDOW);
    server.inbox.assert_nothing_garbled();
    assert_eq!(server.connections(), breaks + 1, "{}", ended.stderr);
    assert_eq!(server.closes(), 1, "the last session ends by close:\n{}", ended.stderr);
    assert!(server.most_owed() as u64 <= WINDOW, "{} commands at once", server.most_owed());
    server
}

#[test]
fn every_message_arrives_once_and_in_order() {
    survives(&[], "", 0);
}

#[test]
fn f18_a_server_that_dies_between_receipt_and_answer_loses_nothing() {
    let script = [50, 1, 100].map(|unanswered| Conduct::Die { after: 700, unanswered });
    let server = survives(&script, "", script.len());
    // What was taken without an answer came again: nobody else could know that it was taken.
    assert!(server.inbox.tally(&load()).repeated >= 151);
}

#[test]
fn f18_answers_out_of_order_settle_every_message() {
    survives(&[Conduct::Backwards(50)], "", 0);
}

#[test]
fn f18_a_full_window_waits_for_answers() {
    let server = RelpServer::start([Conduct::Hold]);
    let expected = load();
    let file = expected.replay_file();
    let agent = quick(Launch::replaying(file.path()), &server).start();
    let full = usize::try_from(WINDOW).unwrap();
    server.inbox.wait("a window of messages", SOON, |frames| {
        check(frames.len() >= full, || format!("{} came", frames.len()))
    });
    assert_eq!(agent.metrics().of("lines_delivered_total", &server.route()), 0);
    server.release();
    server.inbox.wait_complete(&expected, SOON).assert_complete();
    assert_eq!(agent.finish(SOON).code, Some(0));
    assert_eq!(server.most_owed(), full, "never more, and as many as allowed");
}

#[test]
fn f18_a_server_that_announces_its_end_in_the_stream_loses_nothing() {
    survives(&[Conduct::Leave(700), Conduct::Leave(1)], "", 2);
}

#[test]
fn f18_a_server_that_leaves_while_idle_costs_no_line_and_repeats_none() {
    let server = RelpServer::start([]);
    let mut agent = quick(Launch::fed(), &server).ready();
    let mut expected = Expected::new(60);
    for number in 1..=5 {
        agent.ship_line(number, &mut expected, &server.inbox);
        agent.assert_balance(&server.route());
        server.leave();
        server.wait_connections(usize::try_from(number).unwrap() + 1);
    }
    agent.logged("the log says why", |line| line.contains("announced that it closes"));
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    server.inbox.tally(&expected).assert_complete();
}

#[test]
fn f18_what_is_not_relp_breaks_the_session_and_loses_nothing() {
    let script = [
        "HTTP/1.1 400 Bad Request\r\n",
        "\x00\u{1}\u{2}",
        "77777 rsp 6 200 OK\n",
        "2 rsp 6 200 OK\n",
        "0 rsp 6 200 OK\n",
        "300 rsp 9999999 ",
        "300 rsp 2 OK\n",
        "300 hello 0\n",
    ];
    survives(&script.map(|words| Conduct::Say(300, words)), "", script.len());
}

#[test]
fn f18_a_server_that_never_answers_is_left_and_nothing_is_lost() {
    let options = "answer_timeout=1500ms&connect_timeout=1500ms";
    survives(&[Conduct::Mute, Conduct::Deaf, Conduct::Mute], options, 3);
}

#[test]
fn f18_a_message_that_the_server_refuses_is_dropped_alone() {
    let server = RelpServer::start([]);
    server.refuse(Some("000050 e"));
    let expected = Expected::of_containers("web", 1, 100, 200);
    let mut agent = quick(Launch::fed(), &server).start();
    agent.feed(&expected.replay());
    let route = server.route();
    agent.wait_for("one line is dropped", SOON, |metrics| {
        metrics.of("lines_dropped_total", &route) == 1
    });
    agent.assert_balance(&route);
    assert_eq!(agent.metrics().of("lines_delivered_total", &route), expected.count() - 1);
    agent.end_of_input();
    let ended = agent.finish(SOON);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("500 not wanted"), "{}", ended.stderr);
    assert_eq!(server.inbox.tally(&expected).lost, ["web-1 stderr 50"]);
    assert!(server.connections() >= 4, "it was tried three times");
}

#[test]
fn f18_a_server_that_refuses_everything_costs_nothing_but_time() {
    let server = RelpServer::start([]);
    server.refuse(Some(""));
    let expected = load();
    let mut agent = quick(Launch::fed(), &server).start();
    agent.feed(&expected.replay());
    server.wait_connections(6);
    server.refuse(None);
    // The server may change its mind within a session: it then gets again what it took already.
    let tally = server.inbox.wait_complete(&expected, SOON);
    assert!(tally.garbled.is_empty() && tally.repeated <= WINDOW, "{tally}");
    agent.assert_balance(&server.route());
    assert_eq!(agent.metrics().of("lines_dropped_total", &server.route()), 0);
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
}

/// Gives the lines to the agent at about 4,000 a second.
fn feed_slowly(agent: &mut Agent, expected: &Expected) -> std::thread::JoinHandle<()> {
    let mut input = agent.take_input();
    let replay = expected.replay();
    std::thread::spawn(move || {
        let lines: Vec<&str> = replay.split_inclusive('\n').collect();
        for burst in lines.chunks(40) {
            input.write_all(burst.concat().as_bytes()).expect("the agent reads");
            std::thread::sleep(Duration::from_millis(10));
        }
    })
}

#[test]
fn f18_rsyslog_restarted_in_the_stream_loses_nothing() {
    let mut syslogd = Syslogd::start(Kind::Rsyslog, &[Wire::Relp], None);
    let expected = load();
    let launch = Launch::fed().env("DOWNSPOUT_BACKOFF_MAX", "200ms");
    let mut agent = launch.arg(syslogd.route(0, "")).ready();
    let feeder = feed_slowly(&mut agent, &expected);
    syslogd.wait_received(0, 500);
    syslogd.stop();

    syslogd.start_again();
    feeder.join().unwrap();
    assert_eq!(agent.finish(SOON).code, Some(0));
    let tally = until("every line is written down", SOON, || {
        let frames: Vec<_> = syslogd.received(0).iter().map(Received::frame).collect();
        let tally = expected.tally(&frames);
        tally.complete().map(|()| tally)
    });

    tally.assert_at_most_repeated(WINDOW);
}
