//! `downspout doctor` as an operator and a script run it: on the real engine with containers that
//! are set up badly, and on one that the test writes where the numbers must be known. The oracle is
//! what the test set up; containers of other tests are not looked at.

use std::fs::{self, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::support::agent::{Finished, Launch};
use super::support::engine::Engine;
use super::support::fake_engine::{Container, FakeEngine, Release, now};
use super::support::numbers::Stream;
use super::support::receiver::TcpReceiver;

const BOUNDED: &str = r#"{"max-size":"10m","max-file":"3"}"#;
const SECOND: i64 = 1_000_000_000;

/// What the doctor printed for tools.
struct Report {
    ended: Finished,
    json: Value,
}

impl Report {
    #[track_caller]
    fn of(launch: Launch) -> Self {
        let ended = launch.arg("doctor").arg("--json").finish();
        assert_eq!(ended.stderr, "", "{}", ended.stdout);
        let json = serde_json::from_str(&ended.stdout);
        Self { json: json.unwrap_or_else(|error| panic!("{error}: {}", ended.stdout)), ended }
    }

    fn findings(&self) -> &[Value] {
        self.json["findings"].as_array().expect("a list")
    }

    /// The finding of this kind about this subject.
    fn find(&self, id: &str, subject: &str) -> Option<&Value> {
        self.findings().iter().find(|f| f["id"] == id && f["subject"] == subject)
    }

    #[track_caller]
    fn has(&self, severity: &str, id: &str, subject: &str) -> &Value {
        let found = self.find(id, subject);
        let found = found.unwrap_or_else(|| panic!("no {id} of {subject} in {:#}", self.json));
        assert_eq!(found["severity"], severity, "{found:#}");
        for words in ["what", "cure"] {
            assert!(found[words].as_str().is_some_and(|text| !text.is_empty()), "{found:#}");
        }
        found
    }

    #[track_caller]
    fn has_not(&self, id: &str, subject: &str) {
        let found = self.find(id, subject);
        assert!(found.is_none(), "{found:#?}");
    }

    fn ids(&self) -> Vec<&str> {
        self.findings().iter().map(|finding| finding["id"].as_str().unwrap()).collect()
    }
}

/// Positions that outlive a container, wherever the tests run.
fn volume() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// A configuration in which nothing is wrong: a destination that answers, and a state folder.
fn sound(engine: &FakeEngine, receiver: &TcpReceiver, state: &tempfile::TempDir) -> Launch {
    Launch::new()
        .env("DOCKER_HOST", engine.docker_host())
        .env("DOWNSPOUT_STATE_DIR", state.path())
        .arg(receiver.route())
}

/// A line of 80 bytes every second for so long, up to now.
fn print_for(container: &Container, seconds: i64) {
    let (end, text): (i64, Arc<[u8]>) =
        (now(), format!("{}\n", "x".repeat(80)).into_bytes().into());
    let stamps = (0..seconds).rev().map(|ago| end - ago * SECOND);
    container.append(stamps.map(|nanos| (Stream::Out, nanos, text.clone())));
}

#[test]
fn badly_set_up_containers_of_the_real_engine_are_named_with_their_cure() {
    let engine = Engine::new("doctor");
    let syslog = UdpSocket::bind("127.0.0.1:0").unwrap();
    let syslog = format!("--log-opt=syslog-address=udp://{}", syslog.local_addr().unwrap());
    let endless = "seq 1 2000; sleep 600";
    let start = |name: &str, options: &[&str], script: &str| {
        let container = engine.container(name);
        options.iter().fold(container, |container, option| container.option(option)).run(script)
    };
    let large = start("large", &["--log-opt=max-size=1000t"], endless);
    let small = start("small", &["--log-opt=max-size=2k", "--log-opt=max-file=2"], endless);
    let good = start("good", &["--log-opt=max-size=1g", "--log-opt=max-file=3"], "sleep 600");
    let terminal = start("terminal", &["-t", "--log-opt=max-size=1g"], "sleep 600");
    let shipped = start("shipped", &["--log-driver=syslog", &syslog], "sleep 600");
    let none = start("none", &["--log-driver=none"], "sleep 600");
    let unbounded = engine.name("unbounded");
    engine.container("unbounded").option("--log-opt=max-size=-1").create("true");
    let report = Report::of(Launch::new());

    let path = Engine::docker(&["inspect", "--format", "{{.LogPath}}", &large]);
    let found = &report.find("json-file-unbounded", &large).expect("a finding")["numbers"];
    assert_eq!(found["bytes"], fs::metadata(path).unwrap().blocks() * 512);
    assert!(found["bytes_per_second"].as_f64().unwrap() > 0.0, "{found}");
    assert!(found["full_in_seconds"].as_f64().unwrap() > 0.0, "{found}");
    let found = report.has("warning", "json-file-unbounded", &unbounded);
    assert!(found["cure"].as_str().unwrap().contains("--log-opt max-size="), "{found}");
    let found = &report.has("warning", "rotation-too-small", &small)["numbers"];
    assert_eq!((&found["kept_bytes"], &found["outage_seconds"]), (&2000.into(), &1800.0.into()));
    assert!(found["kept_seconds"].as_f64().unwrap() < 1800.0, "{found}");
    report.has("note", "tty", &terminal);
    assert_eq!(report.has("warning", "driver-ships", &shipped)["numbers"]["driver"], "syslog");
    report.has("warning", "driver-none", &none);
    for finding in report.findings() {
        assert_ne!(finding["subject"], good.as_str(), "{finding:#}");
    }
    report.has_not("rotation-too-small", &large);
    report.has_not("json-file-unbounded", &small);
    assert_eq!(report.json["engine"]["endpoint"], "unix:///var/run/docker.sock");
    assert!(report.json["containers"].as_u64().unwrap() >= 7);
    report.has("warning", "state-off", "DOWNSPOUT_STATE_DIR");
    assert!(matches!(report.ended.code, Some(3 | 4)), "{:?}", report.ended);

    let followed = Launch::new().env("DOWNSPOUT_SHIPPED_DRIVERS", "follow");
    let followed = Report::of(followed.env("DOWNSPOUT_ATTACH", "true").arg("--outage=1s"));
    followed.has("note", "driver-ships", &shipped);
    followed.has("note", "driver-none", &none);
    assert_eq!(followed.json["outage_seconds"], 1);
}

#[test]
fn a_folder_of_containers_that_is_not_there_empty_or_closed_is_told_with_the_mount() {
    let engine = Engine::new("doctor-folder");
    engine.container("web").driver("json-file").run("echo line; sleep 600");
    let folder = tempfile::tempdir().unwrap();
    let report =
        |launch: Launch, folder: &Path| Report::of(launch.env("DOWNSPOUT_CONTAINERS_DIR", folder));
    let missing = folder.path().join("missing");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let root = Engine::docker(&["info", "--format", "{{.DockerRootDir}}"]);
    for (id, folder, launch) in [
        ("containers-dir-wrong", folder.path(), Launch::new()),
        ("containers-dir-missing", &missing, Launch::new()),
        ("containers-dir-unreadable", &closed, Launch::without_override()),
    ] {
        let report = report(launch, folder);
        let found = report.has("warning", id, folder.to_str().unwrap());
        let mount = format!("-v {root}/containers:{}:ro", folder.display());
        assert!(found["cure"].as_str().unwrap().contains(&mount), "{found}");
        assert_eq!(report.ids().iter().filter(|id| id.starts_with("containers-dir")).count(), 1);
    }
    let asked = Launch::new().env("DOWNSPOUT_STRATEGY", "api");
    report(asked, &missing).has("note", "containers-dir-missing", missing.to_str().unwrap());
    let found = Report::of(Launch::new());
    let folders = found.ids().iter().any(|id| id.starts_with("containers-dir"));
    assert!(!folders, "the engine's own folder is right (needs root): {:#}", found.json);
}

#[test]
fn scripts_tell_the_outcome_from_the_exit_code() {
    let engine = FakeEngine::with_files(Release::V24);
    let (receiver, state) = (TcpReceiver::start(), volume());
    print_for(&engine.container_with("bounded", "json-file", BOUNDED), 60);
    let report = Report::of(sound(&engine, &receiver, &state));
    assert_eq!(report.findings(), &[] as &[Value]);
    assert_eq!(report.ended.code, Some(0));
    let counts = ["problems", "warnings", "notes", "containers", "destinations"];
    assert_eq!(counts.map(|key| report.json[key].as_u64()), [0, 0, 0, 1, 1].map(Some));

    engine.container("unbounded");
    let report = Report::of(sound(&engine, &receiver, &state));
    report.has("warning", "json-file-unbounded", "unbounded");
    assert_eq!((report.ids().len(), report.ended.code), (1, Some(3)));

    receiver.refuse();
    let report = Report::of(sound(&engine, &receiver, &state));
    report.has("problem", "destination-unreachable", &receiver.route());
    assert_eq!((report.ids().len(), report.ended.code), (2, Some(4)));

    let nowhere = state.path().join("docker.sock");
    let nowhere = format!("unix://{}", nowhere.display());
    let report = Report::of(sound(&engine, &receiver, &state).env("DOCKER_HOST", nowhere));
    report.has("problem", "docker-unreachable", "Docker");
    report.has("problem", "destination-unreachable", &receiver.route());
    assert_eq!((&report.json["engine"], report.ended.code), (&Value::Null, Some(1)));

    for wrong in [&["doctor", "syslog+tcp://"][..], &["doctor", "--outage=never"], &["--json"]] {
        let launch = wrong.iter().fold(Launch::new(), Launch::arg);
        let ended = launch.env("DOCKER_HOST", engine.docker_host()).finish();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{wrong:?}");
    }
    let requests = engine.requests();
    let harmless = ["/version", "/info", "/containers/json", "/json"];
    for request in &requests {
        let path = request.strip_prefix("GET ").expect("nothing is changed");
        let path = path.split('?').next().unwrap();
        assert!(harmless.iter().any(|end| path.ends_with(end)), "{request}");
    }
}

#[test]
fn growth_is_told_from_the_stamps_and_the_disk_is_full_when_it_says() {
    let engine = FakeEngine::with_files(Release::V24);
    let (receiver, state) = (TcpReceiver::start(), volume());
    let containers = ["first", "second"].map(|name| engine.container(name));
    for container in &containers {
        print_for(container, 3600);
    }
    let stopped = engine.container("stopped");
    print_for(&stopped, 3600);
    engine.end(&stopped);
    #[expect(clippy::cast_precision_loss, reason = "an estimate is compared")]
    let each = containers[0].files().length() as f64 / 3600.0;
    let near = |found: &Value, wanted: f64| {
        let found = found.as_f64().unwrap();
        assert!((found - wanted).abs() < wanted * 0.1, "{found}, not {wanted}");
    };
    let report = Report::of(sound(&engine, &receiver, &state));
    for name in ["first", "second"] {
        let found = report.find("json-file-unbounded", name).expect("a finding");
        near(&found["numbers"]["bytes_per_second"], each);
    }
    let found = report.find("json-file-unbounded", "stopped").expect("a finding");
    assert_eq!(found["numbers"]["bytes_per_second"], 0.0);
    let filling = report.findings().iter().find(|f| f["id"] == "disk-filling").expect("a finding");
    let numbers = &filling["numbers"];
    near(&numbers["bytes_per_second"], 2.0 * each);
    let free = numbers["free_bytes"].as_f64().unwrap();
    near(&numbers["full_in_seconds"], free / (2.0 * each));
}

#[test]
fn room_is_measured_against_the_outage_that_is_asked_about() {
    let engine = FakeEngine::with_files(Release::V24);
    let (receiver, state) = (TcpReceiver::start(), volume());
    let options = r#"{"max-size":"100k","max-file":"3"}"#;
    let container = engine.container_with("web", "json-file", options);
    print_for(&container, 1000);
    // About 150 bytes a second: 200 kB are some 22 minutes.
    let run = |outage: &str| Report::of(sound(&engine, &receiver, &state).arg(outage));
    let long = run("--outage=1h");
    let found = &long.has("warning", "rotation-too-small", "web")["numbers"];
    let kept = found["kept_seconds"].as_f64().unwrap();
    let rate = found["bytes_per_second"].as_f64().unwrap();
    assert!((kept * rate - 200_000.0).abs() < 1.0 && kept < 3600.0, "{found}");
    run("--outage=10m").has_not("rotation-too-small", "web");
}

#[test]
fn a_clock_that_is_off_and_an_old_engine_are_told() {
    let (receiver, state) = (TcpReceiver::start(), volume());
    let engine = FakeEngine::start(Release::V20);
    engine.container_with("web", "json-file", BOUNDED);
    engine.set_clock(-3600 * SECOND);
    let report = Report::of(sound(&engine, &receiver, &state));
    let ahead =
        report.has("warning", "clock-engine", "Docker")["numbers"]["ahead_seconds"].as_f64();
    assert!(ahead.is_some_and(|ahead| (-3660.0..-3599.0).contains(&ahead)), "{ahead:?}");
    let found = report.has("warning", "engine-release", "Docker");
    assert_eq!(found["numbers"]["containers"], 1, "its files are not there: {found}");
    engine.set_clock(0);
    let report = Report::of(sound(&engine, &receiver, &state));
    report.has_not("clock-engine", "Docker");
    let newer = FakeEngine::start(Release::V24);
    newer.container_with("web", "json-file", BOUNDED);
    Report::of(sound(&newer, &receiver, &state)).has_not("engine-release", "Docker");
}

#[test]
fn it_runs_beside_an_agent_on_the_same_state_and_leaves_no_trace() {
    let engine = FakeEngine::with_files(Release::V24);
    let (receiver, state) = (TcpReceiver::start(), volume());
    engine.container_with("web", "json-file", BOUNDED);
    let mut agent = sound(&engine, &receiver, &state).ready();
    let names = || {
        let entries = fs::read_dir(state.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    };
    let report = Report::of(sound(&engine, &receiver, &state));
    assert_eq!(report.ended.code, Some(0), "{:#}", report.json);
    assert!(agent.is_running());
    let kept = names();
    assert!(kept.iter().all(|name| ["checkpoint", "lock"].iter().any(|n| name == n)), "{kept:?}");
    let missing = state.path().join("missing");
    let launch = sound(&engine, &receiver, &state).env("DOWNSPOUT_STATE_DIR", &missing);
    assert_eq!(Report::of(launch).ended.code, Some(0), "the agent would make it");
    assert!(!missing.exists());
    let closed = state.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o500)).unwrap();
    let launch = Launch::without_override()
        .env("DOCKER_HOST", engine.docker_host())
        .env("DOWNSPOUT_STATE_DIR", &closed)
        .arg(receiver.route());
    Report::of(launch).has("problem", "state-not-writable", closed.to_str().unwrap());
}

#[test]
fn hostile_names_reach_neither_the_terminal_nor_break_the_json() {
    let engine = FakeEngine::with_files(Release::V24);
    let (receiver, state) = (TcpReceiver::start(), volume());
    // As JSON has it: escape, line feed, and a terminal's C1 code.
    engine.container(r"a\u001b[2J\nPROBLEM b\u009b\u202e");
    let report = Report::of(sound(&engine, &receiver, &state));
    report.has("warning", "json-file-unbounded", "a\u{1b}[2J\nPROBLEM b\u{9b}\u{202e}");
    let is_obeyed = |c: char| c != '\n' && c.is_control();
    assert!(!report.ended.stdout.contains(is_obeyed), "{:?}", report.ended.stdout);
    let text = sound(&engine, &receiver, &state).arg("doctor").finish();
    assert!(!text.stdout.contains(is_obeyed) && !text.stdout.contains('\u{202e}'), "{text:?}");
    assert!(text.stdout.contains(r"a\u{1b}[2J\nPROBLEM b\u{9b}\u{202e}: "), "{text:?}");
    assert!(!text.stdout.contains("\nPROBLEM"), "{text:?}");
}

#[test]
fn a_thousand_containers_and_a_huge_log_are_looked_at_within_seconds() {
    let engine = FakeEngine::with_files(Release::V24);
    let (receiver, state) = (TcpReceiver::start(), volume());
    for number in 0..1000 {
        let container = engine.container(&format!("c-{number}"));
        container.print_numbers(Stream::Out, 1..=5, 80);
    }
    let huge = engine.container("huge");
    print_for(&huge, 100);
    // Zeros, of which a sparse file has as many as one likes: whoever reads them all is slow.
    let length = 64 << 30;
    huge.files().truncate(length);
    print_for(&huge, 100);
    assert!(huge.files().length() > length);
    let launch = sound(&engine, &receiver, &state).env("DOWNSPOUT_MEMORY_LIMIT", "16MiB");
    let report = Report::of(launch);
    let took = report.ended.took;
    assert!(took < Duration::from_secs(15), "{took:?}");
    let count = |wanted: &str| report.ids().iter().filter(|id| **id == wanted).count();
    assert_eq!((count("json-file-unbounded"), count("logs-unmeasured")), (1001, 0));
    assert_eq!(count("memory-plan"), 1, "a thousand readers want more than 16 MiB");
    let text = sound(&engine, &receiver, &state).arg("doctor").finish().stdout;
    assert!(text.lines().count() < 40 && text.contains("… and 991 more"), "{text}");
}

#[test]
fn destinations_that_promise_less_are_noted() {
    let engine = FakeEngine::with_files(Release::V24);
    let state = volume();
    let run = |route: Option<&str>| {
        let launch = Launch::new()
            .env("DOCKER_HOST", engine.docker_host())
            .env("DOWNSPOUT_STATE_DIR", state.path());
        Report::of(route.into_iter().fold(launch, Launch::arg))
    };
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let route = format!("syslog+udp://{}", receiver.local_addr().unwrap());
    let report = run(Some(&route));
    report.has("note", "destination-at-most-once", &route);
    assert_eq!(report.ended.code, Some(0), "notes are no reason to wake anybody");
    run(None).has("note", "destination-prints-only", "stdout://");
}
