//! `downspout explain` as an operator and a script run it, on the real engine. The oracle is what the
//! test set up: labels, variables, terminals and filters of its own containers.

use std::net::UdpSocket;

use serde_json::Value;

use super::support::agent::{Finished, HOST, Launch};
use super::support::engine::Engine;
use super::support::fake_engine::{FakeEngine, Release};
use super::support::numbers::Stream;
use super::support::receiver::TcpReceiver;
use super::support::site::Site;
use super::support::{SOON, check, until};

const SLEEP: &str = "sleep 600";

/// What it said for tools.
struct Said {
    ended: Finished,
    json: Value,
}

impl Said {
    #[track_caller]
    fn of(launch: Launch, container: &str, routes: &[&str]) -> Self {
        let launch = launch.arg("explain").arg(container).arg("--json");
        let ended = routes.iter().fold(launch, Launch::arg).finish();
        assert_eq!(ended.stderr, "", "{}", ended.stdout);
        let json = serde_json::from_str(&ended.stdout);
        Self { json: json.unwrap_or_else(|error| panic!("{error}: {}", ended.stdout)), ended }
    }

    #[track_caller]
    fn setting(&self, name: &str) -> (&str, &str) {
        let settings = self.json["routes"][0]["settings"].as_array().expect("a list");
        let found = settings.iter().find(|setting| setting["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name}: {:#}", self.json));
        (found["value"].as_str().unwrap(), found["origin"].as_str().unwrap())
    }
}

#[test]
fn a_shipped_container_is_told_with_its_labels_its_log_and_its_bytes() {
    let engine = Engine::new("explain");
    let name = engine
        .container("web")
        .driver("json-file")
        .option("--label=downspout.tag=shop")
        .option("--label=downspout.facility=local3")
        .option("--label=downspout.multiline=java")
        .option("--label=downspout.rate=100/s")
        .option("--label=downspout.bogus=x")
        .option("--label=com.docker.compose.project=yard")
        .option("--env=SECRET=s3cret")
        .run(SLEEP);
    let id = Engine::docker(&["inspect", "--format", "{{.Id}}", &name]);
    let short = id.get(..12).unwrap();
    let said = Said::of(Launch::new(), &name, &["syslog+udp://127.0.0.1:9"]);
    assert_eq!(said.ended.code, Some(0), "{:#}", said.json);
    let container = &said.json["container"];
    assert_eq!(
        (&container["id"], &container["name"]),
        (&id.as_str().into(), &name.as_str().into())
    );
    assert_eq!((&container["project"], &container["state"]), (&"yard".into(), &"running".into()));
    assert_eq!(said.setting("tag"), ("shop", "label downspout.tag"));
    assert_eq!(said.setting("facility"), ("19", "label downspout.facility"));
    assert_eq!(said.setting("multiline"), ("java", "label downspout.multiline"));
    assert_eq!(said.setting("rate"), ("100/s", "label downspout.rate"));
    assert_eq!(said.setting("host"), (HOST, "variable DOWNSPOUT_HOSTNAME"));
    assert!(said.json["problems"][0].as_str().unwrap().contains("downspout.bogus=x"));
    let path = Engine::docker(&["inspect", "--format", "{{.LogPath}}", &name]);
    assert_eq!(said.json["reading"]["by"], "file", "needs root: {:#}", said.json);
    assert!(said.json["reading"]["what"].as_str().unwrap().contains(&path), "{:#}", said.json);
    let bytes = said.json["routes"][0]["examples"][1]["bytes"].as_str().unwrap();
    let end = format!(" {HOST} shop {short} - - example");
    // local3 and err.
    assert!(bytes.starts_with("<155>1 ") && bytes.ends_with(&end), "{bytes}");
    assert!(!said.ended.stdout.contains("s3cret"), "{}", said.ended.stdout);

    let api = Launch::new().env("DOWNSPOUT_STRATEGY", "api");
    let said = Said::of(api, id.get(..20).unwrap(), &["udp://127.0.0.1:9"]);
    assert_eq!((said.json["reading"]["by"].as_str(), said.ended.code), (Some("api"), Some(0)));
    let text = Launch::new().arg("explain").arg(&name).arg("stdout://").finish();
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    assert!(text.stdout.starts_with(&format!("{name}, {short}\n")), "{}", text.stdout);
    assert!(text.stdout.ends_with("Shipped by 1 of 1 route.\n"), "{}", text.stdout);
}

#[test]
fn each_rule_that_keeps_a_container_out_is_told_by_name() {
    let engine = Engine::new("explain-out");
    let run = |name: &str, option: &str| engine.container(name).option(option).run(SLEEP);
    let plain = run("plain", "--label=team=x");
    let ignored = run("ignored", "--env=LOGSPOUT=ignore");
    let disabled = run("disabled", "--label=downspout.enable=false");
    let terminal = run("terminal", "-t");
    let none = run("none", "--log-driver=none");
    let syslog = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("--log-opt=syslog-address=udp://{}", syslog.local_addr().unwrap());
    let ships = engine.container("ships").option("--log-driver=syslog").option(&address).run(SLEEP);
    let udp = "udp://127.0.0.1:9";
    for (name, variable, route, setting) in [
        (&plain, ("EXCLUDE_LABELS", "a;team:x"), udp, "EXCLUDE_LABELS"),
        (&ignored, ("DEBUG", "1"), udp, "LOGSPOUT"),
        (&plain, ("DEBUG", "1"), "udp://127.0.0.1:9?filter.name=db*", "filter.name"),
        (&plain, ("DOWNSPOUT_OPT_IN", "true"), udp, "opt_in"),
        (&disabled, ("DEBUG", "1"), udp, "downspout.enable"),
        (&terminal, ("ALLOW_TTY", "false"), udp, "ALLOW_TTY"),
        (&none, ("DEBUG", "1"), udp, "DOWNSPOUT_ATTACH"),
        (&ships, ("DEBUG", "1"), udp, "DOWNSPOUT_SHIPPED_DRIVERS"),
    ] {
        let said = Said::of(Launch::new().env(variable.0, variable.1), name, &[route]);
        assert_eq!(said.ended.code, Some(3), "{name}: {:#}", said.json);
        let reason = &said.json["routes"][0]["reason"];
        assert_eq!(reason["setting"], setting, "{name}: {:#}", said.json);
        let text = Launch::new().env(variable.0, variable.1).arg("explain").arg(name).arg(route);
        let text = text.finish();
        assert_eq!(text.code, Some(3));
        assert!(text.stdout.contains("NOT SHIPPED\n  Why: "), "{}", text.stdout);
    }
    let attached = Launch::new().env("DOWNSPOUT_ATTACH", "true");
    let said = Said::of(attached, &none, &[udp]);
    assert_eq!((said.json["reading"]["by"].as_str(), said.ended.code), (Some("attach"), Some(0)));
}

#[test]
fn a_container_that_is_not_there_and_one_of_several_end_with_what_to_write() {
    let engine = Engine::new("explain-name");
    let name = engine.container("web").run(SLEEP);
    let explain = |name: &str| Launch::new().arg("explain").arg(name).finish();
    let near = explain(&format!("{name}b"));
    assert_eq!((near.code, near.stdout.as_str()), (Some(1), ""));
    assert!(near.stderr.contains(&format!("did you mean '{name}'?")), "{}", near.stderr);
    let nowhere = Launch::new().env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let nowhere = nowhere.arg("explain").arg(&name).finish();
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("/nonexistent/docker.sock"), "{}", nowhere.stderr);
    for wrong in
        [&["explain"][..], &["explain", "web", "syslog+tcp://"], &["explain", "w", "--outage=1m"]]
    {
        let ended = wrong.iter().fold(Launch::new(), Launch::arg).finish();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{wrong:?}");
    }
    let replay = Launch::new().env("DOWNSPOUT_SOURCE", "replay:-").arg("explain").arg("web");
    assert_eq!(replay.finish().code, Some(2));

    let engine = FakeEngine::start(Release::V24);
    for name in ["one", "two"] {
        engine.container(name);
    }
    // Its ids are numbers of twelve digits, and more behind them.
    let explain = |id: &str| {
        let launch = Launch::new().env("DOCKER_HOST", engine.docker_host());
        launch.arg("explain").arg(id).finish()
    };
    let several = explain("00000000000");
    assert_eq!((several.code, several.stdout.as_str()), (Some(1), ""));
    let said = "2 containers have an id that begins with '00000000000': one (000000000001), two \
                (000000000002); write more of it";
    assert!(several.stderr.contains(said), "{}", several.stderr);
    let one = explain("000000000002");
    assert!(one.stdout.starts_with("two, 000000000002\n"), "{one:?}");
}

#[test]
fn it_reads_the_positions_of_an_agent_that_runs_and_only_asks() {
    let engine = FakeEngine::with_files(Release::V24);
    let (receiver, state) = (TcpReceiver::start(), tempfile::tempdir().unwrap());
    let container = engine.container("web");
    container.print_numbers(Stream::Out, 1..=10, 80);
    let launch = || {
        Launch::new()
            .env("DOCKER_HOST", engine.docker_host())
            .env("DOWNSPOUT_STATE_DIR", state.path())
            .env("DOWNSPOUT_BACKLOG", "true")
    };
    let agent = launch().arg(receiver.route()).ready();
    let route = receiver.route();
    let said = until("a position", SOON, || {
        let said = Said::of(launch(), "web", &[&route]);
        let position = said.json["routes"][0]["position"].as_str().unwrap().to_owned();
        check(position.starts_with("goes on behind the last line"), || position).map(|()| said)
    });
    assert_eq!(said.ended.code, Some(0));
    drop(agent);
    let requests = engine.requests();
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
    let off = Launch::new().env("DOCKER_HOST", engine.docker_host());
    let said = Said::of(off, "web", &[&route]);
    let position = said.json["routes"][0]["position"].as_str().unwrap();
    assert!(position.contains("DOWNSPOUT_STATE_DIR=off"), "{position}");
}

#[test]
fn what_had_ended_before_the_first_start_is_no_backlog_of_any_start() {
    let engine = Engine::new("explain-ended");
    let ended = engine.container("ended").run("echo long ago");
    Engine::wait(&ended);
    let name = engine.container("runs").run("echo first; exec sleep 600");
    let (receiver, state) = (TcpReceiver::start(), tempfile::tempdir().unwrap());
    let route = engine.only(&receiver.route());
    let launch = || Launch::new().env("BACKLOG", "true").env("DOWNSPOUT_STATE_DIR", state.path());
    let told = |said: &str| {
        let json = Said::of(launch(), &ended, &[&route]).json;
        let position = json["routes"][0]["position"].as_str().unwrap().to_owned();
        assert!(position.contains(said), "{position}");
    };
    told("nothing while it does not run; once it starts it begins at the beginning of the log");
    for lines in 1..=2 {
        let agent = launch().arg(&route).ready();
        Site::say(&name, "more");
        receiver.inbox.wait_lines(&name, 1 + lines, SOON);
        assert_eq!(agent.terminate().code, Some(0));
        told("begins with what was printed from ");
        assert_eq!(receiver.inbox.lines_of(&ended), []);
    }
}

#[test]
fn routes_that_were_stored_over_http_are_told_with_the_others() {
    let engine = FakeEngine::with_files(Release::V24);
    engine.container("web");
    let folder = tempfile::tempdir().unwrap();
    let store = |id: &str, text: &str| {
        std::fs::write(folder.path().join(format!("{id}.json")), text).unwrap();
    };
    store("abc", r#"{"id":"abc","adapter":"raw+udp","address":"127.0.0.1:9","filter_name":"db*"}"#);
    store("bad", "{");
    let launch =
        Launch::new().env("DOCKER_HOST", engine.docker_host()).env("ROUTESPATH", folder.path());
    let said = Said::of(launch, "web", &["udp://127.0.0.1:8"]);
    let routes = said.json["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 2, "{:#}", said.json);
    assert_eq!(routes[1]["destination"], "raw+udp://127.0.0.1:9#abc");
    assert_eq!(routes[1]["reason"]["setting"], "filter.name");
    assert_eq!((&routes[0]["shipped"], said.ended.code), (&true.into(), Some(0)));
    let problem = said.json["problems"][0].as_str().unwrap();
    assert!(problem.contains("bad.json is passed over"), "{problem}");
}

#[test]
fn hostile_names_and_labels_reach_no_terminal() {
    let engine = FakeEngine::with_files(Release::V24);
    // As JSON has it: escape, line feed, and a terminal's C1 code.
    engine.container(r"a\u001b[2J\nPROBLEM b\u009b\u202e");
    for wanted in ["a\u{1b}[2J\nPROBLEM b\u{9b}\u{202e}", "0000", "zzz\u{1b}[2J"] {
        for flag in ["--json", "--log-level=info"] {
            let launch = Launch::new().env("DOCKER_HOST", engine.docker_host());
            let ended = launch.arg("explain").arg(wanted).arg(flag).finish();
            let printed = ended.stdout + &ended.stderr;
            let is_obeyed = |c: char| c != '\n' && c.is_control();
            assert!(!printed.is_empty() && !printed.contains(is_obeyed), "{printed:?}");
            assert!(!printed.contains("\nPROBLEM"), "{printed:?}");
        }
    }
}
