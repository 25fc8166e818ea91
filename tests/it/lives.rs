//! Containers that come, go, crash, change their names and come back.

use crate::support::agent::{Launch, Strategy};
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::receiver::{Frame, TcpReceiver};
use crate::support::site::{Site, burst, wait_printed};
use crate::support::{SOON, check, until};

/// Prints the number of the run, then does what follows.
const COUNT_RUNS: &str =
    "n=$(($(cat /n 2>/dev/null || echo 0) + 1)); echo $n >/n; printf '%06d o\\n' $n; ";

/// Twenty containers, one after the other, each gone once it has printed its line.
#[track_caller]
pub fn twenty_remove_themselves(site: Site) {
    let mut expected = Expected::new(8);
    for run in 1..=20 {
        let start = site.engine.container(&format!("run-{run}")).option("--rm");
        expected.add(&start.name, Stream::Out, 1..=1);
        start.run_in_foreground("echo 000001 o");
    }
    site.assert_all_arrive(&expected);
}

#[test]
fn nothing_is_lost_of_containers_that_remove_themselves() {
    twenty_remove_themselves(Site::on(Engine::alone("rm"), |launch| launch));
}

fn sixty_containers_that_remove_themselves(strategy: Strategy) {
    let mut site = Site::by_on(strategy, Engine::alone(&format!("burst-{}", strategy.name())));
    burst(&site, 60, 4);
    assert!(site.agent.is_running());
    assert_eq!(site.agent.terminate().code, Some(0));
}

#[test]
fn f30_of_sixty_containers_that_remove_themselves_four_at_a_time_next_to_nothing_is_lost_by_file() {
    sixty_containers_that_remove_themselves(Strategy::File);
}

#[test]
fn f30_of_sixty_containers_that_remove_themselves_four_at_a_time_next_to_nothing_is_lost_by_api() {
    sixty_containers_that_remove_themselves(Strategy::Api);
}

/// Sixty containers, started six at a time, that print ten lines to each stream.
#[track_caller]
pub fn sixty_are_started_six_at_a_time(site: Site) {
    let mut expected = Expected::new(40);
    let print = |stream| printing(stream, &(1..=10), 40);
    let script = format!("{}; {}", print(Stream::Out), print(Stream::Err));
    for number in 1..=60 {
        let name = site.engine.name(&number.to_string());
        expected.add(&name, Stream::Out, 1..=10);
        expected.add(&name, Stream::Err, 1..=10);
    }
    std::thread::scope(|scope| {
        for lane in 0..6 {
            let (site, script) = (&site, &script);
            scope.spawn(move || {
                for number in (1..=60).filter(|number| number % 6 == lane) {
                    site.engine.container(&number.to_string()).run(script);
                }
            });
        }
    });
    site.assert_all_arrive(&expected);
}

#[test]
fn none_of_sixty_containers_started_six_at_a_time_is_missed() {
    sixty_are_started_six_at_a_time(Site::new("sixty"));
}

/// A container that prints one line a run, and crashes seven times.
#[track_caller]
pub fn a_crash_loop(site: Site) {
    let start = site.engine.container("a").option("--restart=on-failure:6");
    let name = start.run(&format!("{COUNT_RUNS} exit 1"));
    let mut expected = Expected::new(8);
    expected.add(&name, Stream::Out, 1..=7);
    site.receiver.inbox.wait_complete(&expected, 2 * SOON);
    until("the engine gives up", SOON, || {
        let state = Engine::docker(&["inspect", "--format", "{{.State.Status}}", &name]);
        check(state == "exited", || state)
    });
    site.pass_a_marker();
    site.assert_all_arrive(&expected);
}

#[test]
fn a_crash_loop_prints_seven_lines_and_seven_arrive_by_file() {
    a_crash_loop(Site::by(Strategy::File, "crash"));
}

#[test]
fn a_crash_loop_prints_seven_lines_and_seven_arrive_by_api() {
    a_crash_loop(Site::by(Strategy::Api, "crash"));
}

fn a_new_name(strategy: Strategy) {
    let site = Site::by(strategy, "rename");
    let old = site.engine.container("old").run("exec sleep 1000");
    let new = site.engine.name("new");
    Site::say(&old, "000001");
    site.receiver.inbox.wait_lines(&old, 1, SOON);
    Engine::docker(&["rename", &old, &new]);
    let mut last = 1;
    until("a line under the new name", SOON, || {
        last += 1;
        Site::say(&new, &format!("{last:06}"));
        check(!site.receiver.inbox.lines_of(&new).is_empty(), || "none came".to_owned())
    });
    last += 1;
    Site::say(&new, &format!("{last:06}"));
    let lines = site.receiver.inbox.wait("the last line", SOON, |frames| {
        let records = frames.iter().filter_map(Frame::rfc5424);
        let own = records.filter(|record| record.container == old || record.container == new);
        let lines: Vec<_> = own
            .map(|record| {
                (record.container == new, String::from_utf8_lossy(record.text).into_owned())
            })
            .collect();
        let end = format!("{last:06}");
        check(lines.last().is_some_and(|(_, text)| *text == end), || format!("{lines:?}"))?;
        Ok(lines)
    });
    let numbers: Vec<String> = lines.iter().map(|(_, text)| text.clone()).collect();
    let wanted: Vec<String> = (1..=last).map(|number| format!("{number:06}")).collect();
    assert_eq!(numbers, wanted);
    assert!(lines.is_sorted_by_key(|(is_new, _)| *is_new), "the old name came back: {lines:?}");
}

#[test]
fn f33_a_new_name_is_on_the_wire_from_the_rename_on_by_file() {
    a_new_name(Strategy::File);
}

#[test]
fn f33_a_new_name_is_on_the_wire_from_the_rename_on_by_api() {
    a_new_name(Strategy::Api);
}

fn a_new_name_that_is_not_wanted(strategy: Strategy) {
    let engine = Engine::new(&format!("renamed-away-{}", strategy.name()));
    let receiver = TcpReceiver::start();
    let (old, new) = (engine.name("old"), engine.name("new"));
    let route = format!(
        "{}?select.name={old}&multiline_pattern=^BEGIN&multiline_flush=1h",
        receiver.route()
    );
    let agent = Launch::new().strategy(strategy).arg(&route).ready();
    engine.container("old").run("echo BEGIN 1; echo BEGIN 2; exec sleep 1000");
    // What completes the first is held.
    receiver.inbox.wait_lines(&old, 1, SOON);
    Engine::docker(&["rename", &old, &new]);
    until("what was held comes", SOON, || {
        Site::say(&new, "not for it");
        check(receiver.inbox.lines_of(&old).len() > 1, || "it does not".to_owned())
    });
    agent.assert_balance(&receiver.route());
    agent.assert_read_by(strategy);
    assert_eq!(agent.terminate().code, Some(0));
    let came = receiver.inbox.with(|frames| {
        let records = frames.iter().filter_map(Frame::rfc5424);
        records.map(|r| (r.container == old, r.text.to_vec())).collect::<Vec<_>>()
    });
    assert_eq!(came, [b"BEGIN 1", b"BEGIN 2"].map(|text| (true, text.to_vec())));
}

#[test]
fn a_record_that_is_open_at_a_rename_comes_under_the_old_name_by_file() {
    a_new_name_that_is_not_wanted(Strategy::File);
}

#[test]
fn a_record_that_is_open_at_a_rename_comes_under_the_old_name_by_api() {
    a_new_name_that_is_not_wanted(Strategy::Api);
}

fn restarts(strategy: Strategy) {
    let site = Site::by(strategy, "restart");
    let name = site.engine.container("a").run(&format!("{COUNT_RUNS} exec sleep 1000"));
    site.receiver.inbox.wait_lines(&name, 1, SOON);
    for _ in 0..3 {
        Engine::docker(&["restart", "-t", "0", &name]);
    }
    Engine::docker(&["stop", "-t", "0", &name]);
    Engine::docker(&["start", &name]);
    wait_printed(&name, 5, SOON);
    let mut expected = Expected::new(8);
    expected.add(&name, Stream::Out, 1..=5);
    site.assert_all_arrive(&expected);
}

#[test]
fn f33_restarts_repeat_and_lose_nothing_by_file() {
    restarts(Strategy::File);
}

#[test]
fn f33_restarts_repeat_and_lose_nothing_by_api() {
    restarts(Strategy::Api);
}

fn a_pause(strategy: Strategy) {
    let site = Site::by(strategy, "pause");
    let script =
        "i=1; while [ $i -le 60 ]; do printf '%06d o\\n' $i; i=$((i+1)); usleep 50000; done";
    let name = site.engine.container("a").run(script);
    for lines in [5, 20] {
        site.receiver.inbox.wait_lines(&name, lines, SOON);
        Engine::docker(&["pause", &name]);
        site.engine.container(&format!("during-{lines}")).run("echo paused");
        site.receiver.inbox.wait_lines(&site.engine.name(&format!("during-{lines}")), 1, SOON);
        Engine::docker(&["unpause", &name]);
    }
    let mut expected = Expected::new(8);
    expected.add(&name, Stream::Out, 1..=60);
    site.assert_all_arrive(&expected);
}

#[test]
fn f33_a_pause_repeats_and_loses_nothing_by_file() {
    a_pause(Strategy::File);
}

#[test]
fn f33_a_pause_repeats_and_loses_nothing_by_api() {
    a_pause(Strategy::Api);
}

fn a_namesake(strategy: Strategy) {
    let site = Site::by(strategy, "again");
    let first = site.engine.container("a").run(&printing(Stream::Out, &(1..=5), 8));
    site.receiver.inbox.wait_lines(&first, 5, SOON);
    Engine::docker(&["rm", "-f", &first]);
    let second = site.engine.container("a").run(&printing(Stream::Out, &(6..=10), 8));
    assert_eq!(first, second);
    site.receiver.inbox.wait_lines(&first, 10, SOON);
    let ids = site.receiver.inbox.with(|frames| {
        let own = frames.iter().filter_map(Frame::rfc5424).filter(|r| r.container == first);
        own.map(|record| record.id.to_owned()).collect::<Vec<_>>()
    });
    assert!(ids[..5].iter().all(|id| *id == ids[0]) && ids[5..].iter().all(|id| *id == ids[5]));
    assert!(ids[0] != ids[5] && ids[0].len() == 12, "{ids:?}");
    let mut expected = Expected::new(8);
    expected.add(&first, Stream::Out, 1..=10);
    site.assert_all_arrive(&expected);
}

#[test]
fn f33_a_namesake_of_a_removed_container_is_another_container_by_file() {
    a_namesake(Strategy::File);
}

#[test]
fn f33_a_namesake_of_a_removed_container_is_another_container_by_api() {
    a_namesake(Strategy::Api);
}

#[test]
fn what_was_printed_before_the_agent_is_shipped_only_when_asked_for() {
    let engine = Engine::new("backlog");
    let print = printing(Stream::Out, &(1..=5), 8);
    let name = engine.container("a").run(&format!("{print}; exec sleep 1000"));
    wait_printed(&name, 5, SOON);
    let [all, new] = [TcpReceiver::start(), TcpReceiver::start()];
    let agent = |receiver: &TcpReceiver, backlog: &str| {
        Launch::new().env("DOWNSPOUT_BACKLOG", backlog).arg(receiver.route()).ready()
    };
    let agents = [agent(&all, "true"), agent(&new, "false")];
    Site::say(&name, "000006 o");
    for (receiver, first, agent) in
        [&all, &new].into_iter().zip([1, 6]).zip(agents).map(|((r, f), a)| (r, f, a))
    {
        let mut expected = Expected::new(8);
        expected.add(&name, Stream::Out, first..=6);
        receiver.inbox.wait_complete(&expected, SOON);
        assert_eq!(agent.terminate().code, Some(0));
        receiver.inbox.tally(&expected).assert_complete();
    }
}
