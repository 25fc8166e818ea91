//! Templates over real containers: labels and names as logspout's users write them, what fails for
//! one container alone, and that no environment is shown which the operator has not allowed.

use crate::support::agent::Launch;
use crate::support::byte_receiver::ByteReceiver;
use crate::support::engine::Engine;
use crate::support::receiver::{Frame, Framing, TcpReceiver};
use crate::support::site::{Site, wait_printed};
use crate::support::{SOON, check, until};

const LINE: &str = "echo line; exec sleep 1000";
const SECRET: &str = "plantedSecretOfAContainer";

/// The only message of a container, over a route with these variables.
#[track_caller]
fn message(engine: &Engine, name: &str, variables: &[(&str, &str)]) -> String {
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    let mut launch = Launch::new().env("BACKLOG", "true").env("SYSLOG_TIMESTAMP", "T");
    for (name, value) in variables {
        launch = launch.env(name, value);
    }
    let uri = format!("{}?filter.name={}", receiver.route(), engine.name(name));
    let agent = launch.env("SYSLOG_HOSTNAME", "h").arg(uri).ready();
    let message = receiver.inbox.wait("the line", SOON, |frames| {
        let first = frames.first().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned());
        first.ok_or_else(String::new)
    });
    assert_eq!(agent.terminate().code, Some(0));
    message
}

#[test]
fn logspout_templates_seen_in_the_wild_give_what_they_are_written_for() {
    let engine = Engine::new("wild");
    let start = engine.container("web").option("--hostname=shop-1").option("--env=APP=shop");
    let labelled = [
        "com.docker.compose.project=shop",
        "com.docker.compose.service=web",
        "io.kubernetes.pod.namespace=prod",
        "io.kubernetes.pod.name=web-7",
        "source=orders",
    ];
    let start = labelled.iter().fold(start, |s, label| s.option(&format!("--label={label}")));
    let name = start.run(LINE);
    wait_printed(&name, 1, SOON);
    let pid = Engine::docker(&["inspect", "--format", "{{.State.Pid}}", &name]);
    let id = Engine::docker(&["inspect", "--format", "{{.Id}}", &name]);
    let table = [
        (r#"{{index .Container.Config.Labels "com.docker.compose.service"}}"#, "web"),
        (
            concat!(
                r#"{{ index .Container.Config.Labels "com.docker.compose.project" }}/"#,
                r#"{{ index .Container.Config.Labels "com.docker.compose.service" }}"#
            ),
            "shop/web",
        ),
        (
            concat!(
                r#"{{ index .Container.Config.Labels "io.kubernetes.pod.namespace" }}"#,
                r#"[{{ index .Container.Config.Labels "io.kubernetes.pod.name" }}]"#
            ),
            "prod[web-7]",
        ),
        ("{{.Container.Config.Labels.source}}", "orders"),
        ("{{ if .Container.Config.Labels.none }}x{{ else }}{{.ContainerName}}{{ end }}", &name),
        ("{{.Container.Name}}", &format!("/{name}")),
        ("{{.Container.Config.Hostname}}", "shop-1"),
        ("{{slice .Container.ID 0 12}}", id.get(..12).unwrap()),
        ("{{.Container.HostConfig.LogConfig.Type}}", "json-file"),
        ("{{.Container.Config.Image}}", "downspout/busybox:test"),
        ("{{.Container.Config.Cmd}}", "[sh -c echo line; exec sleep 1000]"),
        (r#"{{index (.ContainerNameSplitN "-" 2) 0}}"#, "it"),
        (r#"{{join (split "a-b" "-") "+"}}"#, "a+b"),
        (r#"{{replace (label "source") "ers" "ER" | toUpper}}"#, "ORDER"),
    ];
    for (template, wanted) in table {
        let came = message(&engine, "web", &[("SYSLOG_TAG", template)]);
        assert_eq!(came, format!("<14>1 T h {wanted} {pid} - - line"), "{template}");
    }
}

#[test]
fn logspout_a_template_that_fails_for_one_container_costs_its_lines_a_field_and_no_more() {
    let engine = Engine::new("fails");
    let bad = engine.container("bad").option("--label=kind=bad");
    let bad = bad.run("echo one; echo two; echo three; exec sleep 1000");
    let good = engine.container("good").run("echo one; exec sleep 1000");
    wait_printed(&bad, 3, SOON);
    wait_printed(&good, 1, SOON);
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    // logspout ends the route for good, and with the only one itself.
    let template = r#"{{if eq (label "kind") "bad"}}{{index (split "a" ",") 5}}{{else}}T{{end}}"#;
    let mut agent = Launch::new()
        .env("BACKLOG", "true")
        .env("SYSLOG_TAG", template)
        .env("SYSLOG_TIMESTAMP", "T")
        .env("SYSLOG_HOSTNAME", "h")
        .env("SYSLOG_PID", "1")
        .arg(engine.only(&receiver.route()))
        .ready();
    let mut came = receiver.inbox.wait("all lines", SOON, |frames| {
        check(frames.len() >= 4, || frames.len().to_string())?;
        Ok(frames.iter().map(Frame::lossy).collect::<Vec<_>>())
    });
    came.sort();
    let with = |tag: &str, text: &str| format!("<14>1 T h {tag} 1 - - {text}");
    let mut wanted =
        vec![with(&bad, "one"), with(&bad, "two"), with(&bad, "three"), with("T", "one")];
    wanted.sort();
    assert_eq!(came, wanted);
    agent.wait_for("each of its lines is counted", SOON, |metrics| {
        metrics.of("lines_patched_total", &receiver.route()) == 3
    });
    agent.logged("that a template fails", |line| {
        line.contains("a template has failed") && line.contains(&format!("container={bad}"))
    });
    Site::say(&good, "later");
    receiver.inbox.wait("the route goes on", SOON, |frames| {
        check(frames.iter().any(|frame| frame.bytes.ends_with(b"later")), String::new)
    });
    assert!(agent.is_running());
}

#[test]
fn logspout_no_environment_is_shown_but_what_the_operator_names() {
    let engine = Engine::new("secret");
    let start = engine.container("web").option("--env=APP=shop");
    let name = start.option(&format!("--env=PASSWORD={SECRET}")).run(LINE);
    wait_printed(&name, 1, SOON);
    let all = "{{.Container.Config.Env}}";
    let named = ("DOWNSPOUT_CONTAINER_VARIABLES", "APP");
    let head = "<14>1 T h";
    for (variables, wanted) in [
        (&[("SYSLOG_TAG", all), ("SYSLOG_PID", "1")][..], format!("{head} [] 1 - - line")),
        (
            &[("SYSLOG_TAG", all), ("SYSLOG_PID", "1"), named],
            format!("{head} [APP=shop] 1 - - line"),
        ),
        (
            &[("SYSLOG_TAG", "{{env \"APP\"}}"), ("SYSLOG_PID", "1"), named],
            format!("{head} shop 1 - - line"),
        ),
    ] {
        assert_eq!(message(&engine, "web", variables), wanted, "{variables:?}");
    }
    let ended = Launch::fed()
        .env("SYSLOG_TAG", "{{env \"PASSWORD\"}}")
        .env("DOWNSPOUT_CONTAINER_VARIABLES", "APP")
        .arg("syslog://127.0.0.1:1")
        .finish();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("DOWNSPOUT_CONTAINER_VARIABLES=PASSWORD"), "{}", ended.stderr);
    // Nor within the whole message, nor in what the agent says of itself at its most talkative.
    for template in
        ["{{toJSON .}}\n", "{{json .Container}}\n", "{{.Container.Config}}\n", "{{.}}\n"]
    {
        let receiver = ByteReceiver::start();
        let agent = Launch::new()
            .env("BACKLOG", "true")
            .env("RAW_FORMAT", template)
            .env("DOWNSPOUT_LOG_LEVEL", "trace")
            .arg(format!("tcp://{}?filter.name={name}", receiver.address()))
            .ready();
        let text = until("the line", SOON, || {
            let text = String::from_utf8(receiver.bytes()).unwrap();
            check(text.ends_with('\n'), || text.clone())?;
            Ok(text)
        });
        assert!(!text.contains(SECRET), "{template}: {text}");
        assert!(text.contains("downspout/busybox:test"), "{template}: {text}");
        if template.starts_with("{{toJSON") {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let at = |path: &str| value.pointer(path).and_then(serde_json::Value::as_str);
            assert_eq!(at("/Data"), Some("line"), "{text}");
            assert_eq!(at("/Source"), Some("stdout"), "{text}");
            assert_eq!(at("/Container/Name"), Some(format!("/{name}").as_str()), "{text}");
        }
        let ended = agent.terminate();
        assert!(!ended.stderr.contains(SECRET), "{template}: {}", ended.stderr);
    }
}

#[test]
fn logspout_fields_of_containers_that_are_gone_at_once_are_sane() {
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    // Nothing but the container tells host and process id, by inspection.
    let engine = Engine::alone("gone");
    let agent = Launch::new().env("SYSLOG_FORMAT", "rfc5424").arg(receiver.route()).ready();
    let names: Vec<_> = (1..=10)
        .map(|number| {
            let start = engine.container(&format!("rm-{number}")).option("--rm");
            let name = start.name.clone();
            start.run_in_foreground("echo out; echo err >&2");
            name
        })
        .collect();
    for name in &names {
        receiver.inbox.wait_lines(name, 2, SOON);
    }
    receiver.inbox.with(|frames| {
        for record in frames.iter().filter_map(Frame::rfc5424) {
            if !names.iter().any(|name| name == record.container) {
                continue;
            }
            let is_short_id =
                record.host.len() == 12 && record.host.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_short_id, "{record:?}");
            // That of the run, or 0 of one that has ended, as in logspout.
            assert!(record.id.parse::<u32>().is_ok(), "{record:?}");
        }
    });
    for name in &names {
        assert_eq!(receiver.inbox.lines_of(name).len(), 2, "{name}");
    }
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn logspout_process_ids_are_those_of_each_run_and_names_those_of_the_moment() {
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    let engine = Engine::new("run");
    let launch = Launch::new().env("SYSLOG_HOSTNAME", "{{.Container.Name}}");
    let agent = launch.env("SYSLOG_FORMAT", "rfc5424").arg(receiver.route()).ready();
    let name = engine.container("a").run("echo first; exec sleep 1000");
    let (other, pid) = (engine.name("b"), |name: &str| {
        Engine::docker(&["inspect", "--format", "{{.State.Pid}}", name])
    });
    let told = |name: &str, lines: usize| {
        receiver.inbox.wait_lines(name, lines, SOON);
        receiver.inbox.with(|frames| {
            let mut records = frames.iter().filter_map(Frame::rfc5424);
            let last = records.rfind(|record| record.container == name).unwrap();
            (last.host.to_owned(), last.id.to_owned())
        })
    };
    assert_eq!(told(&name, 1), (format!("/{name}"), pid(&name)));
    Engine::docker(&["restart", "--time", "0", &name]);
    assert_eq!(told(&name, 2), (format!("/{name}"), pid(&name)));
    Engine::docker(&["rename", &name, &other]);
    // The line may be there before the agent has heard of the new name: then it has the old one.
    until("a line with the new name", SOON, || {
        Site::say(&other, "named");
        check(!receiver.inbox.lines_of(&other).is_empty(), || "none did".to_owned())
    });
    assert_eq!(told(&other, 1), (format!("/{other}"), pid(&other)));
    assert_eq!(agent.terminate().code, Some(0));
}
