//! Each fault that a test can order, and what it leaves behind.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::service;
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::client::{SignedClient, batch, exchange, read, unsigned};
use crate::support::cloudwatch::script::Operation::{CreateLogStream, PutLogEvents};
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::cloudwatch::store::Contents;
use crate::support::receiver::Close;
use crate::support::{SOON, check, until};

fn put(client: &mut SignedClient, text: &str) -> Result<(), String> {
    client.put("g", "s", &[(0, text)]).map(|_| ())
}

// What becomes of the connection, for a fault that leaves no whole reply.
fn broken(client: &mut SignedClient, text: &str) -> ErrorKind {
    let events = [(client.clock.now(), text)];
    let body = batch("g", "s", events.into_iter());
    client.try_call(&PutLogEvents, &body).unwrap_err().kind()
}

fn texts(service: &FakeCloudWatch) -> Vec<String> {
    service.with(|contents| contents.texts("g", "s"))
}

#[test]
fn refusals_carry_the_codes_of_the_service() {
    let (service, mut client) = service();
    for (fault, status, code) in [
        (Fault::throttle(), 400, "ThrottlingException"),
        (Fault::unavailable(500), 500, "InternalFailure"),
        (Fault::unavailable(503), 503, "ServiceUnavailableException"),
        (Fault::page(502), 502, "no code"),
        (Fault::missing_stream(), 400, "ResourceNotFoundException"),
        (Fault::missing_group(), 400, "ResourceNotFoundException"),
        (Fault::expired_token(), 400, "ExpiredTokenException"),
        (Fault::access_denied(), 400, "AccessDeniedException"),
        (Fault::operation_aborted(), 400, "OperationAbortedException"),
        (Fault::group_limit(), 400, "LimitExceededException"),
        (Fault::refuse(400, "ValidationException", "no"), 400, "ValidationException"),
    ] {
        let rule = service.script(Rule::any(fault).times(1));
        assert_eq!(put(&mut client, code), Err(code.to_owned()));
        assert_eq!(service.applied(rule), 1);
        let outcome = service.with(|contents| contents.calls.last().unwrap().outcome.clone());
        let outcome = outcome.unwrap();
        assert_eq!((outcome.status, outcome.is_committed), (Some(status), false), "{code}");
    }
    assert_eq!(put(&mut client, "a"), Ok(()), "every rule is used up");
    assert_eq!(texts(&service), ["a"]);
    service.assert_no_bad_request();
}

#[test]
fn rules_concern_the_calls_that_they_name() {
    let (service, mut client) = service();
    service.create_stream("g", "other");
    let throttled = Err("ThrottlingException".to_owned());
    let creation = json!({ "logGroupName": "g", "logStreamName": "new" });
    let rule = service.script(Rule::put(Fault::throttle()).of_stream("s").after(1).times(2));
    assert_eq!(put(&mut client, "a"), Ok(()), "passed over");
    assert_eq!(put(&mut client, "b"), throttled);
    assert!(client.put("g", "other", &[(0, "a")]).is_ok());
    client.call(&CreateLogStream, &creation).unwrap();
    assert_eq!(put(&mut client, "b"), throttled);
    assert_eq!(put(&mut client, "b"), Ok(()));
    assert_eq!(service.applied(rule), 2);
    let rule = service.script(Rule::on(CreateLogStream, Fault::throttle()));
    assert_eq!(client.call(&CreateLogStream, &creation).map(|_| ()), throttled);
    assert_eq!(put(&mut client, "c"), Ok(()));
    service.remove_rule(rule);
    let exists = Err("ResourceAlreadyExistsException".to_owned());
    assert_eq!(client.call(&CreateLogStream, &creation).map(|_| ()), exists);
    service.script(Rule::any(Fault::throttle()).when(|call| call.events > 1));
    assert_eq!(put(&mut client, "d"), Ok(()));
    assert!(client.put("g", "s", &[(0, "e"), (0, "f")]).is_err());
    service.behave();
    assert!(client.put("g", "s", &[(0, "e"), (0, "f")]).is_ok());
    assert_eq!(texts(&service).concat(), "abcdef");
}

#[test]
fn one_bad_message_refuses_its_whole_batch_without_a_reason_that_could_be_parsed() {
    let (service, mut client) = service();
    service.script(Rule::put(Fault::poison(|message| message == "bad")));
    let invalid = Err("InvalidParameterException".to_owned());
    assert_eq!(client.put("g", "s", &[(0, "a"), (0, "bad"), (0, "b")]).map(|_| ()), invalid);
    assert!(client.put("g", "s", &[(0, "a"), (0, "b")]).is_ok());
    assert_eq!(put(&mut client, "bad"), invalid);
    assert_eq!(texts(&service), ["a", "b"]);
}

#[test]
fn compressed_bodies_can_be_refused() {
    let (service, mut client) = service();
    for (status, code) in [(415, "UnsupportedMediaTypeException"), (400, "SerializationException")]
    {
        let rule = service.script(Rule::put(Fault::RefuseGzip(status)));
        let mut request = unsigned(service.server.address(), &PutLogEvents, b"compressed");
        request.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
        let reply = client.send(&client.signed(request)).unwrap();
        assert_eq!(reply.status, status);
        assert_eq!(read(&reply), Err(code.to_owned()));
        assert_eq!(put(&mut client, "plain"), Ok(()));
        service.remove_rule(rule);
    }
    service.assert_no_bad_request();
}

#[test]
fn connections_break_before_or_after_a_call_had_its_effect() {
    let (service, mut client) = service();
    let (reset, ended) = (ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof);
    for (fault, kind, is_committed) in [
        (Fault::ResetBeforeCommit, reset, false),
        (Fault::CloseBeforeCommit, ended, false),
        (Fault::ResetAfterCommit, reset, true),
        (Fault::CloseAfterCommit, ended, true),
        (Fault::CutReply, ended, true),
    ] {
        let before = service.with(Contents::count);
        service.script(Rule::put(fault).times(1));
        assert_eq!(broken(&mut client, "a"), kind);
        let outcome = service.wait("the call's end", SOON, |contents| {
            contents.calls.last().unwrap().outcome.clone().ok_or_else(String::new)
        });
        assert_eq!((outcome.status, outcome.is_committed), (None, is_committed));
        assert_eq!(service.with(Contents::count) - before, usize::from(is_committed));
        assert_eq!(put(&mut client, "b"), Ok(()), "on a new connection");
    }
    assert_eq!(service.with(Contents::statistics).unanswered, 5);
}

#[test]
fn a_call_hangs_until_it_is_released_or_its_client_has_gone() {
    let (service, mut client) = service();
    let rule = service.script(Rule::put(Fault::Hang(None)));
    let start = Instant::now();
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| put(&mut SignedClient::of(&service), "released"));
        service.wait("a call", SOON, |all| check(all.calls.len() == 1, String::new));
        assert!(start.elapsed() < SOON, "who waits is told of calls that come");
        assert_eq!(service.with(Contents::count), 0);
        assert!(!hanging.is_finished());
        service.release();
        assert_eq!(hanging.join().unwrap(), Ok(()));
        let hanging = scope.spawn(|| put(&mut SignedClient::of(&service), "unruled"));
        service.wait("another", SOON, |all| check(all.calls.len() == 2, String::new));
        assert!(!hanging.is_finished(), "the release was for those before");
        service.remove_rule(rule);
        assert_eq!(hanging.join().unwrap(), Ok(()));
    });
    let start = Instant::now();
    service.script(Rule::put(Fault::Hang(Some(Duration::from_millis(50)))).times(1));
    assert_eq!(put(&mut client, "later"), Ok(()));
    assert!(start.elapsed() >= Duration::from_millis(50));
    service.script(Rule::put(Fault::Hang(None)));
    let stream = TcpStream::connect(service.server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let body = batch("g", "s", [(client.clock.now(), "gone")].into_iter()).to_string();
    let request = unsigned(service.server.address(), &PutLogEvents, body.as_bytes());
    let reply = exchange(&stream, &client.signed(request));
    assert_eq!(reply.unwrap_err().kind(), ErrorKind::WouldBlock, "the client's patience ends");
    drop(stream);
    service.wait("the end", SOON, |all| {
        check(all.calls.len() == 4 && all.calls[3].outcome.is_some(), String::new)
    });
    service.behave();
    assert_eq!(texts(&service), ["released", "unruled", "later"]);
}

#[test]
fn replies_come_late_after_the_effect_or_all_of_them_late() {
    let (service, mut client) = service();
    let delay = Duration::from_millis(60);
    service.script(Rule::put(Fault::SlowReply(delay)).times(1));
    std::thread::scope(|scope| {
        let start = Instant::now();
        let slow = scope.spawn(|| put(&mut SignedClient::of(&service), "a"));
        service.wait("its effect", SOON, |all| check(all.count() == 1, String::new));
        assert_eq!(slow.join().unwrap(), Ok(()));
        assert!(start.elapsed() >= delay);
    });
    let start = Instant::now();
    service.set_latency(delay);
    assert_eq!(put(&mut client, "b"), Ok(()));
    assert!(start.elapsed() >= delay);
    let took = service.with(|all| all.calls[1].finished.unwrap() - all.calls[1].arrived);
    assert!(took >= delay);
}

#[test]
fn a_quota_throttles_what_goes_beyond_it() {
    let (service, mut client) = service();
    service.set_quota(PutLogEvents, 5.0);
    let start = Instant::now();
    let mut accepted = 0;
    while start.elapsed() < Duration::from_secs(1) {
        accepted += u32::from(put(&mut client, "a").is_ok());
    }
    let most = 5.0 + 5.0 * start.elapsed().as_secs_f64();
    assert!(accepted >= 8 && f64::from(accepted) <= most, "{accepted}");
    assert!(service.with(Contents::statistics).refused["ThrottlingException"] > 1);
    let creation = json!({ "logGroupName": "g", "logStreamName": "new" });
    client.call(&CreateLogStream, &creation).unwrap();
    service.behave();
    for _ in 0..20 {
        assert_eq!(put(&mut client, "b"), Ok(()));
    }
}

#[test]
fn bodies_have_a_length_that_is_told_and_bounded() {
    let (service, _client) = service();
    for (header, status) in [
        ("Transfer-Encoding: chunked", "411"),
        ("Content-Length: 99999999", "413"),
        ("Content-Length: some", "400"),
    ] {
        let mut stream = TcpStream::connect(service.server.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "POST / HTTP/1.1\r\n{header}\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    }
    assert_eq!(service.with(|all| all.calls.len()), 0);
}

#[test]
fn idle_connections_are_closed_in_time_or_on_command() {
    let (service, mut client) = service();
    assert_eq!(put(&mut client, "a"), Ok(()));
    assert_eq!(put(&mut client, "b"), Ok(()));
    assert_eq!(service.server.connections(), 1, "kept alive");
    until("idle", SOON, || {
        check(service.server.close_idle(Close::Fin) == 1, || "busy still".to_owned())
    });
    assert!(client.is_closed(SOON));
    service.server.set_idle_limit(Duration::from_millis(400));
    let start = Instant::now();
    assert_eq!(put(&mut client, "c"), Ok(()));
    assert!(client.is_closed(SOON));
    assert!(start.elapsed() >= Duration::from_millis(400));
    service.server.set_idle_limit(SOON);
    assert_eq!(put(&mut client, "d"), Ok(()));
    assert_eq!(service.server.close_all(Close::Reset), 1);
    assert!(!client.is_closed(SOON), "reset");
    let calls = service.with(|all| {
        all.calls.iter().map(|call| (call.connection, call.on_connection)).collect::<Vec<_>>()
    });
    assert_eq!(calls, [(0, 0), (0, 1), (1, 0), (2, 0)]);
}

#[test]
fn a_service_goes_away_and_comes_back_on_its_port() {
    let (service, mut client) = service();
    assert_eq!(put(&mut client, "a"), Ok(()));
    service.server.refuse();
    assert!(!client.is_closed(SOON), "reset");
    assert_eq!(broken(&mut client, "b"), ErrorKind::ConnectionRefused);
    service.server.refuse();
    service.server.accept_again();
    assert_eq!(put(&mut client, "c"), Ok(()));
    assert_eq!(texts(&service), ["a", "c"]);
}

#[test]
fn a_frozen_service_takes_connections_and_answers_once_it_thaws() {
    let (service, _client) = service();
    service.server.freeze();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| put(&mut SignedClient::of(&service), "a"));
        until("a connection", SOON, || check(service.server.connections() == 1, String::new));
        let stream = TcpStream::connect(service.server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert_eq!(stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(service.with(|all| all.calls.len()), 0);
        assert!(!waiting.is_finished());
        service.server.thaw();
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_black_hole_answers_nothing_until_it_is_healed() {
    let (service, mut client) = service();
    assert_eq!(put(&mut client, "a"), Ok(()));
    service.server.swallow();
    let address = service.server.address();
    let limit = Duration::from_millis(200);
    let error = TcpStream::connect_timeout(&address, limit).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    service.server.heal();
    assert_eq!(put(&mut client, "b"), Ok(()), "the connection that there was");
    TcpStream::connect_timeout(&address, SOON).unwrap();
}
