//! The HTTP server against those who do not keep to HTTP, and what its pages tell. It listens where
//! everybody may be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::agent::{Agent, Launch};
use crate::support::receiver::TcpReceiver;
use crate::support::{SOON, check, until};

fn cut(agent: &Agent, reason: &str) -> u64 {
    let page = agent.page("/metrics").1;
    let series = format!("downspout_http_connections_cut_total{{reason=\"{reason}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap().parse().unwrap()
}

fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// What the server answers until it ends the connection; a reset ends it as well.
fn answer(mut stream: TcpStream, request: &[u8]) -> String {
    stream.write_all(request).ok();
    let (mut reply, mut space) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut space) {
        reply.extend_from_slice(&space[..count]);
    }
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn who_hangs_or_sends_rubbish_is_cut_off_and_counted() {
    let agent = Launch::fed().arg("stdout://").ready();
    // One says nothing, one never ends its request, one never takes the reply.
    let mut hanging: Vec<TcpStream> = (0..2).map(|_| connected(agent.http())).collect();
    hanging[1].write_all(b"GET /metrics HTTP/1.1\r\nHost: ").unwrap();
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\0\0\0\0\r\n\r\n"[..],
        b"\r\n\0\0\0\r\n\r\n",
    ] {
        let reply = answer(connected(agent.http()), rubbish);
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 400"), "{reply:?}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let reply = answer(connected(agent.http()), long.as_bytes());
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431"), "{reply:?}");
    until("all three are counted", SOON, || {
        let malformed = cut(&agent, "malformed");
        check(malformed == 3, || format!("{malformed}"))
    });
    for stream in &mut hanging {
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok();
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 408"), "{reply:?}");
    }
    until("both are counted", SOON, || {
        let timeouts = cut(&agent, "timeout");
        check(timeouts == 2, || format!("{timeouts}"))
    });
    assert_eq!(agent.page("/livez").0, 200);
    agent.terminate();
}

#[test]
fn a_crowd_does_not_fail_the_health_check_and_costs_nobody_memory() {
    let agent = Launch::fed().arg("stdout://").ready();
    let crowd: Vec<TcpStream> = (0..32).map(|_| connected(agent.http())).collect();
    // They are all served once the last one is: connections are accepted in their order.
    assert_eq!(agent.page("/livez").0, 200, "four more are kept for this host");
    let more: Vec<TcpStream> = (0..4).map(|_| connected(agent.http())).collect();
    let mut refused = connected(agent.http());
    let mut space = [0; 1];
    assert!(matches!(refused.read(&mut space), Ok(0) | Err(_)), "one too many is closed at once");
    drop((crowd, more));
    until("there is room again, and it is counted", SOON, || {
        let page = answer(connected(agent.http()), b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let busy = page.lines().find(|line| line.contains("reason=\"busy\"")).map(str::to_owned);
        check(busy.is_some_and(|busy| !busy.ends_with(" 0")), || page)
    });
    agent.terminate();
}

#[test]
fn requests_are_counted_by_page_and_code_whatever_was_asked_for() {
    let agent = Launch::fed().arg("stdout://").ready();
    for path in ["/", "/../etc/passwd", "/metrics?x=1", "/%00", "/{destination=\"x\"}"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        answer(connected(agent.http()), request.as_bytes());
    }
    let reply = answer(
        connected(agent.http()),
        b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert!(reply.starts_with("HTTP/1.1 405"), "{reply}");
    let page = agent.page("/metrics").1;
    let count = |path: &str, code: u16| -> u64 {
        let series = format!("downspout_http_requests_total{{code=\"{code}\",path=\"{path}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    };
    assert_eq!((count("other", 404), count("/metrics", 405)), (4, 1));
    assert!(count("/metrics", 200) >= 1 && count("/readyz", 200) >= 1);
    agent.terminate();
}

#[test]
fn readiness_gives_the_reasons_and_asks_only_for_what_is_required() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let launch = |options: &str| {
        let launch = Launch::fed().env("DOWNSPOUT_BACKOFF_MAX", "100ms");
        let mut agent =
            launch.arg(format!("{}{options}", receiver.route())).arg("stdout://").start();
        agent.logged("the HTTP server is up", |line| line.contains("address="));
        agent
    };
    let agent = launch("");
    until("not ready, with the reason", SOON, || {
        let (status, body) = agent.page("/readyz");
        let page: serde_json::Value = serde_json::from_str(&body).unwrap();
        let reason = page["reasons"][0].as_str().unwrap_or_default().to_owned();
        let says = reason.starts_with(&format!("{}: not connected", receiver.route()));
        let named = page["destinations"].as_array().unwrap().len() == 2;
        check(status == 503 && says && named && page["ready"] == false, || body)
    });
    assert_eq!(agent.page("/livez").0, 200, "what is down outside is no reason to start anew");
    agent.terminate();
    let agent = launch("?required=false");
    until("ready without it", SOON, || {
        let (status, body) = agent.page("/readyz");
        check(status == 200 && body.contains("\"up\":false"), || format!("{status} {body}"))
    });
    agent.terminate();
}

#[test]
fn the_numbers_can_be_kept_behind_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let launch = || Launch::fed().env("DOWNSPOUT_METRICS_TOKEN_FILE", &file).arg("stdout://");
    let refused = launch().finish();
    assert_eq!(refused.code, Some(2));
    let names = ["DOWNSPOUT_METRICS_TOKEN_FILE=", "cannot be read", "mount it or correct the path"];
    assert!(names.iter().all(|name| refused.stderr.contains(name)), "{}", refused.stderr);
    std::fs::write(&file, "t0ken-of-the-scraper\n").unwrap();
    let agent = launch().ready();
    assert_eq!(agent.page("/metrics").0, 401);
    let request =
        "GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t0ken-of-the-scraper\r\n\r\n";
    let reply = answer(connected(agent.http()), request.as_bytes());
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("downspout_build_info"), "{reply}");
    let ended = agent.terminate();
    assert!(!ended.stderr.contains("t0ken"), "{}", ended.stderr);
}
