//! A service that throttles, and one that is away.

use std::time::{Duration, Instant};

use super::{DESTINATION, Growing, PATIENCE, assert_all_came, calls, fed, puts, wait_ready};
use crate::support::SOON;
use crate::support::agent::Agent;
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::script::Operation::PutLogEvents;
use crate::support::cloudwatch::script::{Fault, Rule};

/// Feeds a line of each container every 100 ms for so long, as containers print.
fn go_on(agent: &mut Agent, lines: &mut Growing, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        lines.feed(agent);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn f19_a_service_that_throttles_for_a_while_is_asked_ever_less_and_nothing_is_lost() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 3);
    lines.ship(&mut agent, &service);
    go_on(&mut agent, &mut lines, Duration::from_secs(1));
    let start = Instant::now();
    service.script(Rule::put(Fault::throttle()));
    let mut asked = Vec::new();
    for _ in 0..3 {
        let before = calls(&service, |call| call.operation == PutLogEvents).len();
        go_on(&mut agent, &mut lines, Duration::from_secs(6));
        let now = calls(&service, |call| call.operation == PutLogEvents).len();
        asked.push(now - before);
        assert_eq!(agent.page("/readyz").0, 200, "throttled is not down");
    }
    let took = start.elapsed();
    assert!(asked[2] <= asked[0], "{asked:?} calls in thirds of {took:?}");
    assert!(asked[2] <= 8 && asked[0] <= 40, "{asked:?} calls in thirds of {took:?}");
    assert!(asked.iter().sum::<usize>() >= 3, "it is still asked: {asked:?}");
    assert!(puts(&agent, "throttled") > 0);
    service.behave();
    assert_all_came(&service, &agent, &lines.expected(), 0);
}

#[test]
fn throttled_calls_are_few_where_a_hundred_streams_share_five_calls_a_second() {
    let service = FakeCloudWatch::start();
    for number in 1..=100 {
        service.create_stream("g", &format!("web-{number}"));
    }
    let mut agent = fed(&service, "&flush=1s");
    let mut lines = Growing::new("web", 100);
    service.set_quota(PutLogEvents, 5.0);
    let mut after = 0;
    for second in 0..60 {
        if second == 30 {
            after = service.with(|contents| contents.calls.len());
        }
        go_on(&mut agent, &mut lines, Duration::from_millis(950));
    }
    let late = calls(&service, |call| call.number >= after);
    let refused = late.iter().filter(|call| call.code() == Some("ThrottlingException")).count();
    assert!(refused * 20 < late.len(), "{refused} of {} calls were throttled", late.len());
    assert!(late.len() > 30 * 5 / 3, "only {} of 150 calls were made", late.len());
    service.behave();
    assert_all_came(&service, &agent, &lines.expected(), 0);
}

#[test]
fn a_service_that_is_away_is_tried_rarely_and_gets_all_when_it_is_back() {
    let service = FakeCloudWatch::start();
    let mut agent = fed(&service, "");
    let mut lines = Growing::new("web", 20);
    lines.ship(&mut agent, &service);
    service.server.refuse();
    let start = Instant::now();
    go_on(&mut agent, &mut lines, Duration::from_secs(6));
    agent.wait_for("it is down", SOON, |metrics| metrics.of("destination_up", DESTINATION) == 0);
    wait_ready(&agent, false);
    let (tried, seconds) = (puts(&agent, "unreachable") + puts(&agent, "stale"), start.elapsed());
    // Twenty streams that try twice a second each would be 240; the budget begins with ten.
    let most = 10 + 8 + 2 * seconds.as_secs();
    assert!((3..=most).contains(&tried), "{tried} calls within {seconds:?}");
    service.server.accept_again();
    assert_all_came(&service, &agent, &lines.expected(), 0);
    agent.wait_for("it is up", SOON, |metrics| metrics.of("destination_up", DESTINATION) == 1);
    wait_ready(&agent, true);
    assert!(start.elapsed() < seconds + PATIENCE);
}
