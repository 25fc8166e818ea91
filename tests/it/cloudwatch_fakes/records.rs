//! What the fake tells of the calls that it got.

use serde_json::json;

use super::service;
use crate::support::SOON;
use crate::support::check;
use crate::support::cloudwatch::client::{SignedClient, named, unsigned};
use crate::support::cloudwatch::script::Operation::{CreateLogStream, PutLogEvents};
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::cloudwatch::store::{Call, Contents, Event, Line};
use crate::support::cloudwatch::{FakeCloudWatch, REGION};
use crate::support::numbers::{Expected, Stream, text};

#[test]
fn every_call_is_written_down_with_what_became_of_it() {
    let (service, mut client) = service();
    client.put("g", "s", &[(1, "ab"), (0, "c")]).unwrap();
    client.put("g", "missing", &[(0, "d")]).unwrap_err();
    client.call(&CreateLogStream, &json!({ "logGroupName": "g", "logStreamName": "t" })).unwrap();
    service.script(Rule::put(Fault::ResetAfterCommit).times(1));
    let body = json!({ "logGroupName": "g", "logStreamName": "t",
        "logEvents": [{ "timestamp": client.clock.now(), "message": "e" }] });
    client.try_call(&PutLogEvents, &body).unwrap_err();
    let reply = client.try_call(&PutLogEvents, &body).unwrap();
    assert_eq!(named(&reply, "x-amzn-requestid"), Some("00000000-0000-4000-8000-000000000004"));
    let calls = service.wait("five calls", SOON, |contents| {
        check(contents.calls.iter().all(|call| call.outcome.is_some()), String::new)?;
        Ok(contents.calls.clone())
    });
    let first = &calls[0];
    assert_eq!((first.number, &first.operation), (0, &PutLogEvents));
    assert_eq!((first.group.as_deref(), first.stream.as_deref()), (Some("g"), Some("s")));
    assert_eq!((first.events, first.counted_bytes), (2, 3 + 52));
    assert_eq!((first.wire_bytes, &first.encoding), (first.json_bytes, &None));
    assert!(first.is_accepted() && first.finished.unwrap() >= first.arrived);
    assert_eq!(calls[1].code(), Some("ResourceNotFoundException"));
    assert_eq!(service.with(|all| all.calls_of(&CreateLogStream).len()), 1);
    assert_eq!(calls[3].digest, calls[4].digest, "the same bytes again");
    assert_ne!(calls[0].digest, calls[4].digest);
    service.with(|contents| {
        assert_eq!(contents.texts("g", "t"), ["e", "e"]);
        assert_eq!(contents.events("g", "t")[1].call, 4);
        assert_eq!(contents.duplicates(), 1);
        assert_eq!(contents.streams().collect::<Vec<_>>(), [("g", "s"), ("g", "t")]);
        assert_eq!(contents.all().count(), contents.count());
        let sums = contents.statistics();
        assert_eq!((sums.calls, sums.puts, sums.committed_puts, sums.events), (5, 4, 3, 4));
        assert_eq!((sums.counted_bytes, sums.unanswered), (55 + 27 + 27, 1));
        let wire: usize = [0, 1, 3, 4].map(|number: usize| calls[number].wire_bytes).iter().sum();
        assert_eq!(sums.wire_bytes, wire);
        assert!((sums.fill - 4.0 / 3.0 / 10_000.0).abs() < 1e-9, "{sums:?}");
    });
}

#[test]
fn calls_at_the_same_time_are_counted_also_by_stream() {
    let (service, mut client) = service();
    for stream in ["a", "b"] {
        service.create_stream("g", stream);
    }
    service.script(Rule::put(Fault::Hang(None)));
    std::thread::scope(|scope| {
        for stream in ["a", "a", "b"] {
            let service = &service;
            scope.spawn(move || SignedClient::of(service).put("g", stream, &[(0, "x")]).unwrap());
        }
        service.wait("three calls", SOON, |all| check(all.calls.len() == 3, String::new));
        service.behave();
    });
    let sums = service.with(Contents::statistics);
    assert_eq!((sums.most_in_flight, sums.most_in_flight_of_stream), (3, 2));
    let creation = json!({ "logGroupName": "g", "logStreamName": "c" });
    client.call(&CreateLogStream, &creation).unwrap();
    client.put("g", "a", &[(0, "x")]).unwrap();
    let counts = |call: &Call| (call.in_flight, call.in_flight_of_stream);
    assert_eq!(service.with(|all| counts(&all.calls[3])), (1, 0));
    assert_eq!(service.with(|all| counts(&all.calls[4])), (1, 1), "those before have ended");
}

#[test]
fn numbered_lines_are_counted_over_all_streams() {
    let (service, mut client) = service();
    let mut expected = Expected::new(20);
    expected.add("web", Stream::Out, 1..=3);
    expected.add("web", Stream::Err, 1..=2);
    let line = |_: &str, stream: &str, event: &Event| {
        let (container, text) = (stream.to_owned(), event.message.clone());
        Some(Line { container, stream: None, text })
    };
    service.create_stream("g", "web");
    let of = |stream, number| text(stream, number, 20);
    let (out, err) = (Stream::Out, Stream::Err);
    let lines = [of(out, 1), of(err, 1), of(out, 3), of(out, 2), of(out, 3)];
    let events: Vec<_> = lines.iter().map(|line| (0, line.as_str())).collect();
    client.put("g", "web", &events).unwrap();
    client.put("g", "s", &[(0, "passed over")]).unwrap();
    let tally = service.with(|contents| contents.tally(&expected, line));
    assert_eq!(tally.lost, ["web stderr 2"]);
    assert_eq!((tally.repeated, tally.reordered, tally.garbled.len()), (1, 1, 0));
    client.put("g", "web", &[(0, &of(err, 2))]).unwrap();
    let tally = service.wait_complete(&expected, SOON, line);
    assert_eq!((tally.repeated, tally.reordered), (1, 1));
}

#[test]
fn bad_requests_that_nobody_ordered_are_not_overlooked() {
    let (service, mut client) = service();
    service.script(Rule::put(Fault::refuse(400, "InvalidParameterException", "ordered")).times(1));
    client.put("g", "s", &[(0, "x")]).unwrap_err();
    client.put("g", "missing", &[(0, "x")]).unwrap_err();
    service.assert_no_bad_request();
    client.put("g", "s", &[(0, "")]).unwrap_err();
    let check = std::panic::AssertUnwindSafe(|| service.assert_no_bad_request());
    assert!(std::panic::catch_unwind(check).is_err());
}

#[test]
fn an_agent_is_told_where_the_service_is_and_how_to_sign() {
    let service = FakeCloudWatch::start();
    let variables = service.environment();
    let value = |name: &str| {
        variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(value("AWS_ENDPOINT_URL"), Some(service.endpoint().as_str()));
    assert_eq!(value("AWS_REGION"), Some(REGION));
    assert_eq!(value("AWS_ACCESS_KEY_ID"), Some(FakeCloudWatch::key().id.as_str()));
    assert_eq!(value("AWS_SECRET_ACCESS_KEY"), Some(FakeCloudWatch::key().secret.as_str()));
    assert_eq!(value("AWS_SESSION_TOKEN"), None);
    let address = service.endpoint().strip_prefix("http://").unwrap().to_owned();
    let request = unsigned(address.parse().unwrap(), &PutLogEvents, b"{}");
    let reply = SignedClient::of(&service).send(&request).unwrap();
    assert_eq!(reply.status, 400);
}
