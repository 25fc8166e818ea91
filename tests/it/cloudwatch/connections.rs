//! What happens to connections, and what an endpoint does not understand.

use std::time::Duration;

use super::{DESTINATION, Growing, assert_all_came, calls, fed, puts};
use crate::support::SOON;
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::script::Operation::PutLogEvents;
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::receiver::Close;

#[test]
fn an_endpoint_that_refuses_gzip_gets_plain_bodies_from_then_on() {
    for status in [415, 400] {
        let service = FakeCloudWatch::start();
        let mut agent = fed(&service, "");
        let mut lines = Growing::new("web", 3);
        let rule = service.script(Rule::any(Fault::RefuseGzip(status)));
        for _ in 0..5 {
            lines.ship(&mut agent, &service);
        }
        assert_all_came(&service, &agent, &lines.expected(), 0);
        agent.logged("that it goes without", |line| line.contains("refuses gzip"));
        assert!((1..=3).contains(&service.applied(rule)), "once for each call on its way");
        let puts = calls(&service, |call| call.operation == PutLogEvents);
        let last = puts.iter().rposition(|call| call.encoding.is_some()).unwrap();
        assert!(puts.len() > last + 5 && last < 8, "the last compressed call was number {last}");
    }
}

#[test]
fn bodies_are_compressed_unless_that_is_unwanted() {
    for (options, encoding) in [("", Some("gzip")), ("&gzip=false", None)] {
        let service = FakeCloudWatch::start();
        let mut agent = fed(&service, options);
        let mut lines = Growing::new("web", 1);
        lines.ship(&mut agent, &service);
        assert_all_came(&service, &agent, &lines.expected(), 0);
        let puts = calls(&service, |call| call.operation == PutLogEvents);
        assert!(puts.iter().all(|call| call.encoding.as_deref() == encoding), "{puts:?}");
    }
}

#[test]
fn connections_that_the_service_closes_while_they_are_idle_cost_nothing() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 4);
    lines.ship(&mut agent, &service);
    let before = service.server.connections();
    for round in 0..20 {
        let how = if round % 2 == 0 { Close::Fin } else { Close::Reset };
        service.server.close_idle(how);
        lines.ship(&mut agent, &service);
    }
    service.server.set_idle_limit(Duration::from_millis(20));
    for _ in 0..10 {
        lines.ship(&mut agent, &service);
        // About as long as the service keeps a connection: some are closed as a call comes.
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert!(service.server.connections() > before, "connections were closed");
    for outcome in ["unavailable", "unanswered", "unreachable"] {
        assert_eq!(puts(&agent, outcome), 0, "{outcome}");
    }
    assert_eq!(agent.metrics().of("destination_up", DESTINATION), 1);
}

#[test]
fn connections_are_used_again_and_not_after_four_idle_seconds() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 1);
    for _ in 0..10 {
        lines.ship(&mut agent, &service);
    }
    let connection = |at: usize| service.with(|contents| contents.calls[at].connection);
    let last = service.with(|contents| contents.calls.len()) - 1;
    assert_eq!(connection(last), connection(last - 5), "one connection for calls in a row");
    // What is measured is a pause: below the service's 6 s, beyond the agent's 4 s.
    std::thread::sleep(Duration::from_millis(5200));
    lines.ship(&mut agent, &service);
    assert_ne!(connection(last + 1), connection(last));
    assert_all_came(&service, &agent, &lines.expected(), 0);
}

#[test]
fn a_silent_endpoint_is_waited_for_and_loses_nothing() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 12);
    lines.ship(&mut agent, &service);
    service.server.freeze();
    for _ in 0..10 {
        lines.feed(&mut agent);
    }
    agent.wait_for("as many calls wait as may", SOON, |metrics| {
        metrics.of("cloudwatch_puts_in_flight", DESTINATION) == 8
    });
    service.server.thaw();
    assert_all_came(&service, &agent, &lines.expected(), 0);
    assert!(service.with(|contents| contents.statistics().most_in_flight_of_stream) == 1);
}

#[test]
fn an_endpoint_that_swallows_packets_makes_the_agent_not_ready_and_gets_all_later() {
    let service = FakeCloudWatch::start();
    service.server.swallow();
    let launch = super::aimed(crate::support::agent::Launch::fed(), &service, "");
    let mut agent = launch.start();
    let mut lines = Growing::new("web", 3);
    lines.feed(&mut agent);
    agent.logged("that there is no connection", |line| {
        line.contains("destination is down") && line.contains("127.0.0.1")
    });
    super::wait_ready(&agent, false);
    service.server.heal();
    assert_all_came(&service, &agent, &lines.expected(), 0);
    super::wait_ready(&agent, true);
}
