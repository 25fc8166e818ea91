//! One stream that does not get on, and others that do.

use std::time::{Duration, Instant};

use super::{Growing, PATIENCE, assert_all_came, fed, line, numbered, text, wait_ready};
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::script::{Fault, Rule};
use crate::support::numbers::Stream;

fn one_of_twenty_one(fault: Fault, bound: Duration) {
    const ROUNDS: u64 = 50;
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 20);
    lines.ship(&mut agent, &service);
    agent.feed(&format!("bad stdout {}\n", text(Stream::Out, 1, super::WIDTH)));
    service.wait_complete(&numbered(["bad"], 1), PATIENCE, line);
    let rule = service.script(Rule::put(fault).of_stream("bad"));
    let start = Instant::now();
    for round in 2..=ROUNDS {
        agent.feed(&format!("bad stdout {}\n", text(Stream::Out, round, super::WIDTH)));
        lines.feed(&mut agent);
        std::thread::sleep(Duration::from_millis(20));
    }
    service.wait_complete(&lines.expected(), PATIENCE, line);
    let took = start.elapsed();
    assert!(service.applied(rule) > 0, "the bad stream was tried");
    assert!(took < bound, "the others took {took:?}");
    service.behave();
    let mut expected = lines.expected();
    expected.add("bad", Stream::Out, 1..=ROUNDS);
    assert_all_came(&service, &agent, &expected, 0);
    wait_ready(&agent, true);
}

#[test]
fn a_stream_that_is_denied_does_not_hold_up_the_others() {
    one_of_twenty_one(Fault::access_denied(), Duration::from_secs(6));
}

#[test]
fn a_stream_that_is_missing_and_cannot_be_made_does_not_hold_up_the_others() {
    one_of_twenty_one(Fault::missing_stream(), Duration::from_secs(6));
}

#[test]
fn a_stream_that_fails_does_not_hold_up_the_others() {
    one_of_twenty_one(Fault::unavailable(500), Duration::from_secs(6));
}

#[test]
fn a_stream_that_is_always_throttled_does_not_hold_up_the_others() {
    one_of_twenty_one(Fault::throttle(), Duration::from_secs(15));
}
