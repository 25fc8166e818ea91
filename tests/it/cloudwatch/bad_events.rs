//! Events that the service does not take: exactly these are dropped, and counted by their reason.

use crate::support::agent::{Agent, Launch};
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::contract::MOST_AGE;
use crate::support::cloudwatch::script::Operation::PutLogEvents;
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::fake_engine::{FakeEngine, Release, now};
use crate::support::numbers::{Expected, Stream, text};
use crate::support::{SOON, check};

use super::{
    DESTINATION, GROUP, WIDTH, aimed, assert_all_came, calls, dropped, fed, line, numbered,
};

const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// An agent that ships lines 1 to 50 with one stamp and 51 to 100 with another, all of them of a
/// log that was there before.
fn shipped(service: &FakeCloudWatch, first: i64, second: i64) -> (FakeEngine, Agent) {
    let engine = FakeEngine::start(Release::V24);
    let container = engine.container("web");
    for number in 1..=100_u64 {
        let nanos = now() + if number <= 50 { first } else { second } + number.cast_signed();
        container.print(Stream::Out, nanos, &text(Stream::Out, number, WIDTH));
    }
    let agent = aimed(Launch::new(), service, "&flush=1s")
        .env("DOCKER_HOST", engine.docker_host())
        .env("DOWNSPOUT_STRATEGY", "api")
        .env("DOWNSPOUT_BACKLOG", "true")
        .ready();
    (engine, agent)
}

/// Lines `first` to `last` come, the others are dropped for this reason.
#[track_caller]
fn assert_rejected(service: &FakeCloudWatch, agent: &Agent, kept: (u64, u64), reason: &str) {
    let mut expected = Expected::new(WIDTH);
    expected.add("web", Stream::Out, kept.0..=kept.1);
    assert_all_came(service, agent, &expected, 0);
    let metrics = agent.metrics();
    assert_eq!(metrics.of("lines_delivered_total", DESTINATION), 50);
    assert_eq!(metrics.of("lines_dropped_total", DESTINATION), 50);
    assert_eq!(dropped(agent, reason), 50);
    let accepted = calls(service, |call| call.operation == PutLogEvents && call.is_accepted());
    assert_eq!(accepted.len(), 1, "the service took and rejected parts of one batch");
}

#[test]
fn f21_events_that_are_too_old_for_the_service_are_counted_and_the_rest_is_delivered() {
    let service = FakeCloudWatch::start();
    // What the agent takes to be young enough is not, until it knows the service's clock.
    service.clock.set_ahead(10 * MINUTE / 1_000_000);
    let limit = -MOST_AGE * 1_000_000;
    let (_engine, agent) = shipped(&service, limit + 6 * MINUTE, limit + 30 * MINUTE);
    assert_rejected(&service, &agent, (51, 100), "too_old");
    assert_eq!(service.with(|contents| contents.statistics().rejection.too_old), 50);
}

#[test]
fn f21_events_that_are_too_new_for_the_service_are_counted_and_the_rest_is_delivered() {
    let service = FakeCloudWatch::start();
    service.clock.set_ahead(-10 * MINUTE / 1_000_000);
    let (_engine, agent) = shipped(&service, 0, 2 * HOUR - 5 * MINUTE);
    assert_rejected(&service, &agent, (1, 50), "too_new");
    assert_eq!(service.with(|contents| contents.statistics().rejection.too_new), 50);
}

#[test]
fn f21_events_that_the_groups_retention_has_expired_are_counted_and_the_rest_is_delivered() {
    let service = FakeCloudWatch::start();
    service.create_group(GROUP, Some(1));
    let (_engine, agent) = shipped(&service, -DAY - HOUR, -DAY + HOUR);
    assert_rejected(&service, &agent, (51, 100), "expired");
    assert_eq!(service.with(|contents| contents.statistics().rejection.expired), 50);
}

#[test]
fn f21_events_far_beyond_the_limits_are_not_even_sent() {
    let service = FakeCloudWatch::start();
    let (_engine, agent) = shipped(&service, -15 * DAY, 0);
    assert_rejected(&service, &agent, (51, 100), "too_old");
    assert_eq!(service.with(|contents| contents.statistics().rejection.too_old), 0);
    let service = FakeCloudWatch::start();
    let (_engine, agent) = shipped(&service, 0, 3 * HOUR);
    assert_rejected(&service, &agent, (1, 50), "too_new");
    assert_eq!(service.with(|contents| contents.statistics().rejection.too_new), 0);
}

#[test]
fn one_bad_event_of_two_thousand_is_found_dropped_and_counted_and_the_others_come_in_order() {
    for bad in [1, 777, 2000] {
        let service = FakeCloudWatch::start();
        let poison = text(Stream::Out, bad, WIDTH);
        let is_bad = poison.clone();
        service.script(Rule::put(Fault::poison(move |message| message == is_bad)));
        let mut agent = fed(&service, "&flush=2s");
        agent.feed(&numbered(["web"], 2000).replay());
        let texts = service.wait("all others come", SOON, |contents| {
            let texts = contents.texts(GROUP, "web");
            check(texts.len() >= 1999, || texts.len().to_string())?;
            Ok(texts)
        });
        let wanted: Vec<_> = (1..=2000).map(|number| text(Stream::Out, number, WIDTH)).collect();
        assert!(texts.iter().eq(wanted.iter().filter(|text| **text != poison)), "in order");
        agent.assert_balance(DESTINATION);
        assert_eq!(dropped(&agent, "rejected"), 1);
        let puts = calls(&service, |call| call.operation == PutLogEvents);
        // The first put made the stream.
        let searching = puts.iter().filter(|call| call.code() != Some("ResourceNotFoundException"));
        let whole = puts.iter().map(|call| call.events).max().unwrap();
        assert_eq!(whole, 2000, "one batch, or the count of calls says nothing");
        assert!(searching.count() <= 1 + 28, "{} calls", puts.len());
        // Other lines of the stream go on.
        agent.feed(&format!("web stdout {}\n", text(Stream::Out, 2001, WIDTH)));
        let mut expected = Expected::new(WIDTH);
        expected.add("web", Stream::Out, 2001..=2001);
        service.wait_complete(&expected, SOON, |group, stream, event| {
            let number: u64 = event.message.get(..6)?.parse().ok()?;
            (number > 2000).then(|| line(group, stream, event))?
        });
    }
}

#[test]
fn a_rejected_event_is_logged_with_its_stream_and_the_reason() {
    for bad in [1, 10] {
        let service = FakeCloudWatch::start();
        let poison = text(Stream::Out, bad, WIDTH);
        service.script(Rule::put(Fault::poison(move |message| message == poison)));
        let mut agent = fed(&service, "&flush=1s");
        agent.feed(&numbered(["web"], 10).replay());
        agent.logged("the event's stream and the reason", |line| {
            let reason = "InvalidParameterException";
            line.contains("rejected for good") && line.contains("web") && line.contains(reason)
        });
    }
}
