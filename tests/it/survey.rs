//! What the agent knows of the host's containers beside their lines: how each is read, how its log
//! is rotated, and what it takes of the disk. The oracle is the engine that the test writes, and
//! what the file system says to others.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::agent::{Agent, Launch, Metrics};
use super::support::engine::Engine;
use super::support::fake_engine::{FakeEngine, Release};
use super::support::numbers::{Expected, Stream};
use super::support::receiver::TcpReceiver;
use super::support::{SOON, check, until};

const BOUNDED: &str = r#"{"max-size":"10m","max-file":"3"}"#;

fn launch(engine: &FakeEngine) -> Launch {
    Launch::new().env("DOCKER_HOST", engine.docker_host()).env("DOWNSPOUT_BACKLOG", "true")
}

fn count(metrics: &Metrics, state: &str, strategy: &str) -> u64 {
    let labels = [("state", state), ("strategy", strategy)];
    metrics.series("containers", &labels).expect("all series are there from the start")
}

fn of_rotation(metrics: &Metrics, family: &str, rotation: &str) -> u64 {
    metrics.series(family, &[("rotation", rotation)]).expect("a series from the start")
}

/// Waits until there are so many running and stopped containers, all read in this way, and no
/// others.
#[track_caller]
fn wait_for_containers(agent: &Agent, strategy: &str, running: u64, stopped: u64) {
    agent.wait_for("containers by state and strategy", SOON, |metrics| {
        let mut others = 0;
        for state in ["running", "stopped"] {
            for other in ["file", "api", "attach", "skipped", "pending"] {
                others += count(metrics, state, other);
            }
        }
        let found = ["running", "stopped"].map(|state| count(metrics, state, strategy));
        found == [running, stopped] && others == running + stopped
    });
}

/// What a tool of the system says that files take, in bytes.
fn disk_usage(files: &[&Path]) -> u64 {
    let output = Command::new("du").args(["-B1", "-c"]).args(files).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().last().unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn containers_are_counted_as_they_start_stop_and_go_once_for_all_destinations() {
    let engine = FakeEngine::with_files(Release::V24);
    let receivers = [TcpReceiver::start(), TcpReceiver::start()];
    let [web, api, _db] = ["web", "api", "db"].map(|name| engine.container(name));
    let routes = receivers.iter().map(TcpReceiver::route);
    let agent = routes.fold(launch(&engine), Launch::arg).ready();
    wait_for_containers(&agent, "file", 3, 0);
    engine.end(&api);
    wait_for_containers(&agent, "file", 2, 1);
    engine.start_again(&api);
    wait_for_containers(&agent, "file", 3, 0);
    engine.remove(&web);
    wait_for_containers(&agent, "file", 2, 0);
    engine.container("late");
    wait_for_containers(&agent, "file", 3, 0);
}

#[test]
fn a_list_that_is_older_than_an_event_undoes_nothing() {
    let engine = FakeEngine::with_files(Release::V24);
    let receiver = TcpReceiver::start();
    let old = engine.container("old");
    engine.hold_lists(true);
    let agent = launch(&engine).arg(receiver.route()).start();
    until("the list is made", SOON, || {
        let requests = engine.requests();
        let asked = requests.iter().any(|line| line.contains("/containers/json?"));
        check(asked, || "it was not asked for".to_owned())
    });
    let late = engine.container("late");
    engine.remove(&old);
    // Both were told; the list knows nothing of it.
    late.print_numbers(Stream::Out, 1..=1, 80);
    let mut expected = Expected::new(80);
    expected.add("late", Stream::Out, 1..=1);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    engine.hold_lists(false);
    wait_for_containers(&agent, "file", 1, 0);
    // The disk is looked at with every list.
    agent.wait_for("the list has come", SOON, |metrics| {
        metrics.value("json_file_disk_size_bytes") > 0
    });
    late.print_numbers(Stream::Out, 2..=2, 80);
    expected.add("late", Stream::Out, 1..=2);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    wait_for_containers(&agent, "file", 1, 0);
}

#[test]
fn the_way_is_that_of_the_readers_and_a_driver_that_ships_is_skipped() {
    let engine = FakeEngine::start(Release::V24);
    engine.container("web");
    let agent = launch(&engine).ready();
    wait_for_containers(&agent, "api", 1, 0);
    engine.container_with("shipping", "syslog", "{}");
    agent.wait_for("one is skipped", SOON, |metrics| {
        count(metrics, "running", "skipped") == 1 && count(metrics, "running", "api") == 1
    });
}

#[test]
fn an_attached_container_is_counted_as_attached() {
    let engine = Engine::new("survey-attach");
    let name = engine.container("none").driver("none").run("sleep 300");
    // Others of this host come and go: this one has to be among them.
    let agent = Launch::new().env("DOWNSPOUT_ATTACH", "true").ready();
    agent.wait_for("it is attached to", SOON, |metrics| count(metrics, "running", "attach") > 0);
    Engine::docker(&["kill", &name]);
}

#[test]
fn logs_are_measured_with_all_their_files_and_their_file_system() {
    let engine = FakeEngine::with_files(Release::V24);
    let large = engine.container("large");
    let small = engine.container_with("small", "json-file", BOUNDED);
    for round in 0..3 {
        large.print_numbers(Stream::Out, 1..=2000, 80);
        if round < 2 {
            large.files().rotate(3);
        }
    }
    large.files().compress(2);
    small.print_numbers(Stream::Out, 1..=10, 80);
    let (written, rotated, compressed, little) = {
        let (files, small) = (large.files(), small.files());
        (files.name(0), files.name(1), files.compressed_name(2), small.name(0))
    };
    let of_large = disk_usage(&[&written, &rotated, &compressed]);
    let of_small = disk_usage(&[&little]);
    assert!(of_large > disk_usage(&[&written]) && of_small > 0);
    let agent = launch(&engine).ready();
    agent.wait_for("the logs' sizes", SOON, |metrics| {
        of_rotation(metrics, "json_file_bytes", "unbounded") == of_large
            && of_rotation(metrics, "json_file_bytes", "bounded") == of_small
            && metrics.value("json_file_largest_bytes") == of_large
    });
    let metrics = agent.metrics();
    let files = ["bounded", "unbounded", "unknown"]
        .map(|rotation| of_rotation(&metrics, "json_files", rotation));
    assert_eq!(files, [1, 1, 0]);
    let mut df = Command::new("df");
    let df = df.args(["-B1", "--output=size,avail"]).arg(&written).output().unwrap();
    let df = String::from_utf8(df.stdout).unwrap();
    let numbers: Vec<u64> =
        df.lines().nth(1).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_eq!(metrics.value("json_file_disk_size_bytes"), numbers[0]);
    let free = metrics.value("json_file_disk_free_bytes");
    // Others write to the disk meanwhile.
    assert!(free.abs_diff(numbers[1]) < numbers[0] / 10, "{free} and {numbers:?}");
}

#[test]
fn the_engines_own_options_and_files_are_understood() {
    let engine = Engine::new("survey-files");
    let bounded = engine.container("bounded").option("--log-opt=max-size=2k");
    let bounded = bounded.option("--log-opt=max-file=3").run("seq 1 500");
    let default = engine.container("default").run("seq 1 500");
    for name in [&bounded, &default] {
        Engine::wait(name);
    }
    // Whatever the daemon's own options are, this one has no limit; it cannot be started.
    engine.container("unbounded").option("--log-opt=max-size=-1").create("true");
    let agent = Launch::new().env("DOWNSPOUT_CONTAINER_SERIES", "10000").ready();
    agent.wait_for("a log without limit", SOON, |metrics| {
        let name = engine.name("unbounded");
        metrics.series("container_log_file_bounded", &[("container", &name)]) == Some(0)
    });
    let options = "{{json .HostConfig.LogConfig.Config}}";
    let is_default_bounded =
        Engine::docker(&["inspect", "--format", options, &default]).contains("max-size");
    for (name, is_bounded) in [(&bounded, 1), (&default, u64::from(is_default_bounded))] {
        let path = Engine::docker(&["inspect", "--format", "{{.LogPath}}", name]);
        let rotated = [1, 2].map(|number| format!("{path}.{number}"));
        let files = std::iter::once(&path).chain(&rotated).map(Path::new);
        let files: Vec<&Path> = files.filter(|path| path.exists()).collect();
        assert_eq!(files.len(), if name == &bounded { 3 } else { 1 }, "{path} (needs root)");
        let wanted = disk_usage(&files);
        agent.wait_for("size and rotation", SOON, |metrics| {
            let series = |family| metrics.series(family, &[("container", name.as_str())]);
            series("container_log_file_bytes") == Some(wanted)
                && series("container_log_file_bounded") == Some(is_bounded)
        });
    }
}

#[test]
fn each_container_is_inspected_once_and_five_a_second_at_most() {
    let engine = FakeEngine::with_files(Release::V24);
    let containers: Vec<_> = (0..25).map(|n| engine.container(&format!("c-{n}"))).collect();
    let inspections = || {
        let requests = engine.requests();
        let paths = requests.iter().filter(|line| line.ends_with("/json"));
        paths.map(|line| line.rsplit('/').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let start = Instant::now();
    let agent = launch(&engine).ready();
    until("all are inspected", SOON, || {
        let metrics = agent.metrics();
        let known = of_rotation(&metrics, "json_files", "unbounded");
        check(known == 25, || format!("{known} are"))
    });
    assert!(start.elapsed() >= Duration::from_millis(24 * 200), "{:?}", start.elapsed());
    let mut inspected = inspections();
    inspected.sort();
    let mut ids: Vec<_> = containers.iter().map(|container| container.id.clone()).collect();
    ids.sort();
    assert_eq!(inspected, ids);
}

#[test]
fn containers_have_series_up_to_the_cap_and_the_rest_share_one() {
    let engine = FakeEngine::with_files(Release::V24);
    let receiver = TcpReceiver::start();
    let agent =
        launch(&engine).env("DOWNSPOUT_CONTAINER_SERIES", "2").arg(receiver.route()).ready();
    let lines = |metrics: &Metrics, name: &str| {
        metrics.series("container_lines_total", &[("container", name)])
    };
    assert_eq!(lines(&agent.metrics(), "_other"), Some(0));
    let mut containers = Vec::new();
    for (number, name) in ["first", "second", "third", "fourth"].into_iter().enumerate() {
        let container = engine.container(name);
        container.print_numbers(Stream::Out, 1..=1 + number as u64, 80);
        containers.push(container);
    }
    agent.wait_for("lines by container", SOON, |metrics| {
        let series = ["first", "second", "_other", "third", "fourth"];
        series.map(|name| lines(metrics, name)) == [Some(1), Some(2), Some(7), None, None]
    });
    let metrics = agent.metrics();
    assert_eq!(metrics.of("lines_read_total", &receiver.route()), 10, "the same lines");
    let bytes = ["first", "second", "_other"].map(|name| {
        metrics.series("container_bytes_total", &[("container", name)]).expect("a series")
    });
    assert_eq!(bytes.iter().sum::<u64>(), metrics.of("bytes_read_total", &receiver.route()));
    engine.remove(&containers[0]);
    engine.remove(&containers[3]);
    agent.wait_for("one is gone, and nothing is forgotten", SOON, |metrics| {
        lines(metrics, "first").is_none() && lines(metrics, "_other") == Some(7)
    });
}

#[test]
fn without_the_setting_no_container_has_a_series() {
    let engine = FakeEngine::with_files(Release::V24);
    let receiver = TcpReceiver::start();
    let container = engine.container("web");
    container.print_numbers(Stream::Out, 1..=1, 80);
    let agent = launch(&engine).arg(receiver.route()).ready();
    agent.wait_for("the line", SOON, |metrics| {
        metrics.of("lines_delivered_total", &receiver.route()) == 1
    });
    let (_, page) = agent.page("/metrics");
    assert!(!page.contains("downspout_container_"), "{page}");
    assert!(!page.contains("web"), "{page}");
}
