//! Calls that fail at the service, or of which nobody knows whether they did.

use std::time::{Duration, Instant};

use super::{DESTINATION, Growing, assert_all_came, calls, fed, puts};
use crate::support::agent::Agent;
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::script::Operation::PutLogEvents;
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::cloudwatch::store::Call;
use crate::support::{SOON, check, until};

fn doubtful(agent: &Agent) -> u64 {
    agent.metrics().of("cloudwatch_lines_doubtful_total", DESTINATION)
}

/// Every put that was not answered with success comes again with the same bytes, and then is.
#[track_caller]
fn assert_same_bytes_again(service: &FakeCloudWatch) {
    let all = calls(service, |call| call.operation == PutLogEvents && call.outcome.is_some());
    for failed in all.iter().filter(|call| !call.is_accepted()) {
        let again = |call: &&Call| call.number > failed.number && call.digest == failed.digest;
        let again: Vec<_> = all.iter().filter(again).collect();
        assert!(again.iter().any(|call| call.is_accepted()), "never came again: {failed:?}");
    }
}

#[test]
fn f20_errors_of_the_service_cost_no_line_and_repeat_none() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 4);
    lines.ship(&mut agent, &service);
    let faults = [Fault::unavailable(500), Fault::unavailable(503), Fault::page(502)];
    for fault in faults {
        let rule = service.script(Rule::put(fault).times(4));
        for _ in 0..20 {
            lines.feed(&mut agent);
        }
        service.wait_complete(&lines.expected(), super::PATIENCE, super::line);
        assert!(service.applied(rule) > 0);
        service.behave();
    }
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_same_bytes_again(&service);
    assert!(puts(&agent, "unavailable") > 0);
}

#[test]
fn f20_answers_that_get_lost_repeat_one_batch_each_and_are_counted_as_doubtful() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 3);
    lines.ship(&mut agent, &service);
    for fault in [Fault::ResetAfterCommit, Fault::CloseAfterCommit, Fault::CutReply] {
        let rule = service.script(Rule::put(fault).times(3));
        for _ in 0..20 {
            lines.feed(&mut agent);
        }
        service.wait_complete(&lines.expected(), super::PATIENCE, super::line);
        agent.assert_balance(DESTINATION);
        assert!(service.applied(rule) > 0);
        service.behave();
    }
    let lost = calls(&service, |call| {
        call.outcome.as_ref().is_some_and(|outcome| {
            outcome.is_committed && outcome.is_scripted && call.operation == PutLogEvents
        })
    });
    let events = lost.iter().map(|call| call.events as u64).sum();
    assert_all_came(&service, &agent, &lines.expected(), events);
    assert_same_bytes_again(&service);
    let repeated = super::tally(&service, &lines.expected()).repeated;
    assert_eq!((repeated, doubtful(&agent)), (events, events), "each lost answer is one batch");
}

#[test]
fn f20_calls_that_never_got_there_are_made_again_and_repeat_nothing() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 3);
    lines.ship(&mut agent, &service);
    for fault in [Fault::ResetBeforeCommit, Fault::CloseBeforeCommit] {
        service.script(Rule::put(fault).times(3));
        for _ in 0..20 {
            lines.feed(&mut agent);
        }
        service.wait_complete(&lines.expected(), super::PATIENCE, super::line);
        service.behave();
    }
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_same_bytes_again(&service);
}

#[test]
fn f20_a_call_without_answer_is_made_again_after_its_time_and_holds_nobody_up() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 5);
    lines.ship(&mut agent, &service);
    let rule = service.script(Rule::put(Fault::Hang(None)).of_stream("web-1").times(1));
    let start = Instant::now();
    lines.feed(&mut agent);
    let others = super::numbered(["web-2", "web-3", "web-4", "web-5"], 2);
    service.wait_complete(&others, SOON, super::line);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    until("the call hangs", SOON, || {
        check(service.applied(rule) == 1, || "it has not come".to_owned())
    });
    assert_all_came(&service, &agent, &lines.expected(), 0);
    let took = start.elapsed();
    assert!(took > Duration::from_secs(20) && took < Duration::from_mins(1), "{took:?}");
    assert_eq!((puts(&agent, "unanswered"), doubtful(&agent)), (1, 1));
    assert_same_bytes_again(&service);
}

#[test]
fn f20_answers_that_are_slow_are_waited_for_and_repeat_nothing() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 2);
    lines.ship(&mut agent, &service);
    service.script(Rule::put(Fault::SlowReply(Duration::from_secs(6))).times(2));
    lines.feed(&mut agent);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_eq!((puts(&agent, "unanswered"), doubtful(&agent)), (0, 0));
}
