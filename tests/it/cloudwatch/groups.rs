//! Groups and streams that are not there: made where that is allowed, waited for where it is not.

use std::collections::BTreeMap;

use super::{GROUP, Growing, aimed, assert_all_came, calls, fed, puts, route, wait_ready, with};
use crate::support::agent::{Agent, Launch};
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::script::Operation::{
    self, CreateLogGroup, CreateLogStream, PutRetentionPolicy, TagResource,
};
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::cloudwatch::store::Group;

const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/0f1e2d3c";

fn made_like() -> String {
    format!(
        "&retention_days=7&class=INFREQUENT_ACCESS&tags=team=web%2Cstage=test&kms_key={}",
        KEY.replace(':', "%3A").replace('/', "%2F")
    )
}

fn group(service: &FakeCloudWatch) -> Group {
    service.with(|contents| contents.groups[GROUP].clone())
}

fn count(service: &FakeCloudWatch, operation: &Operation) -> usize {
    calls(service, |call| call.operation == *operation).len()
}

#[test]
fn f23_a_group_that_is_missing_is_made_as_asked_and_made_again_when_it_is_deleted() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, &made_like());
    let mut lines = Growing::new("web", 5);
    lines.ship(&mut agent, &service);
    let tags = [("team", "web"), ("stage", "test")];
    let tags: BTreeMap<_, _> = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    for _ in 0..3 {
        let made = group(&service);
        assert_eq!((made.retention, made.class.as_str()), (Some(7), "INFREQUENT_ACCESS"));
        assert_eq!((made.key.as_deref(), &made.tags), (Some(KEY), &tags));
        assert_eq!(made.streams.len(), 5);
        service.delete_group(GROUP);
        lines.ship(&mut agent, &service);
    }
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_eq!(puts(&agent, "missing"), 0, "it is made at once");
}

#[test]
fn f23_a_stream_that_is_deleted_is_made_again() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 3);
    for _ in 0..4 {
        lines.ship(&mut agent, &service);
        service.delete_stream(GROUP, "web-2");
    }
    lines.ship(&mut agent, &service);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    let made = calls(&service, |call| call.operation == CreateLogGroup && call.is_accepted());
    assert_eq!(made.len(), 1);
    assert!(count(&service, &CreateLogStream) <= 3 + 3 + 4);
}

#[test]
fn f23_a_group_that_somebody_else_made_stays_as_it_is() {
    let service = FakeCloudWatch::start();
    service.create_group(GROUP, Some(30));
    let before = group(&service);
    let mut agent = fed(&service, &made_like());
    let mut lines = Growing::new("web", 3);
    lines.ship(&mut agent, &service);
    lines.ship(&mut agent, &service);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    let after = group(&service);
    assert_eq!(Group { streams: before.streams.clone(), ..after }, before);
    for operation in [CreateLogGroup, PutRetentionPolicy, TagResource] {
        assert_eq!(count(&service, &operation), 0, "{operation:?}");
    }
}

#[test]
fn f23_several_streams_at_once_make_their_group_once_and_set_its_retention_once() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "&retention_days=3");
    let mut lines = Growing::new("web", 8);
    lines.ship(&mut agent, &service);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert_eq!(count(&service, &PutRetentionPolicy), 1);
    let made = calls(&service, |call| call.operation == CreateLogGroup);
    assert!(made.len() <= 8, "{} calls", made.len());
    assert_eq!(made.iter().filter(|call| call.is_accepted()).count(), 1);
}

// An agent that is up while its lines wait for somebody.
#[track_caller]
fn assert_waits(agent: &mut Agent, lines: &mut Growing, reason: &[&str]) {
    lines.feed(agent);
    wait_ready(agent, false);
    agent.logged("why it is not ready", |line| reason.iter().all(|part| line.contains(part)));
    lines.feed(agent);
}

#[test]
fn f23_a_group_that_may_not_be_made_is_waited_for_and_the_log_says_so() {
    let service = FakeCloudWatch::start();
    let launch = with(Launch::fed(), service.environment()).env("DOWNSPOUT_BACKOFF_MAX", "500ms");
    let mut agent = launch.arg(route("")).ready();
    let mut lines = Growing::new("web", 2);
    assert_waits(&mut agent, &mut lines, &["log group g does not exist", "create_group=true"]);
    assert_eq!(count(&service, &CreateLogGroup), 0);
    service.create_group(GROUP, None);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    wait_ready(&agent, true);
}

#[test]
fn f23_a_stream_that_may_not_be_made_is_waited_for_and_the_log_says_so() {
    let service = FakeCloudWatch::start();
    service.create_group(GROUP, None);
    let mut agent = fed(&service, "&create_stream=false");
    let mut lines = Growing::new("web", 1);
    assert_waits(&mut agent, &mut lines, &["stream web-1 does not exist", "create_stream=true"]);
    assert_eq!(count(&service, &CreateLogStream), 0);
    service.create_stream(GROUP, "web-1");
    assert_all_came(&service, &agent, &lines.expected(), 0);
    wait_ready(&agent, true);
}

#[test]
fn f23_a_creation_that_is_denied_is_tried_slowly_and_succeeds_once_it_is_allowed() {
    for operation in [CreateLogGroup, CreateLogStream] {
        let service = FakeCloudWatch::start();
        let rule = service.script(Rule::on(operation.clone(), Fault::access_denied()));
        let mut agent = fed(&service, "");
        let mut lines = Growing::new("web", 2);
        assert_waits(&mut agent, &mut lines, &["cannot be made", "AccessDeniedException"]);
        service.remove_rule(rule);
        assert_all_came(&service, &agent, &lines.expected(), 0);
        wait_ready(&agent, true);
        // Two streams that try twice to four times a second.
        assert!(service.applied(rule) < 100, "{operation:?}: {}", service.applied(rule));
    }
}

#[test]
fn f23_puts_that_are_denied_wait_and_arrive_once_they_are_allowed() {
    let service = FakeCloudWatch::start();
    let rule = service.script(Rule::put(Fault::access_denied()));
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 2);
    assert_waits(&mut agent, &mut lines, &["AccessDeniedException", "group=g "]);
    service.remove_rule(rule);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    wait_ready(&agent, true);
}

#[test]
fn f23_creations_that_fail_for_a_while_are_tried_again() {
    let service = FakeCloudWatch::start();
    for operation in [CreateLogGroup, CreateLogStream, PutRetentionPolicy] {
        for fault in [Fault::operation_aborted(), Fault::throttle(), Fault::unavailable(500)] {
            service.script(Rule::on(operation.clone(), fault).times(1));
        }
    }
    let launch = aimed(Launch::fed(), &service, "&retention_days=5");
    let mut agent = launch.ready();
    let mut lines = Growing::new("web", 3);
    lines.feed(&mut agent);
    assert_all_came(&service, &agent, &lines.expected(), 0);
    super::until("its retention is set", super::SOON, || {
        let retention = group(&service).retention;
        super::check(retention == Some(5), || format!("{retention:?}"))
    });
}
