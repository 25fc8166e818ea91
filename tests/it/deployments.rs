//! The set-ups in deploy/: taken by the programs that are to take them, and the agent run as they
//! say, with as little as they give it.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use regex_lite::Regex;

use crate::support::agent::{Launch, Metrics, Strategy, page};
use crate::support::engine::{Engine, IMAGE, docker};
use crate::support::moto;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::proxy::Proxy;
use crate::support::receiver::TcpReceiver;
use crate::support::syslogd::own_address;
use crate::support::{SOON, check, until};

const WIDTH: usize = 60;
/// What the variables of the files stand for where it does not matter.
const VARIABLES: [(&str, &str); 2] =
    [("ROUTES", "syslog+tcp://logs.test:601"), ("DOCKER_GID", "999")];

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn read(name: &str) -> String {
    let path = deployed(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Looks at a kind of set-up with Python's libraries; `input` goes to its standard input.
#[track_caller]
fn assert_sound(kind: &str, input: &str) {
    let mut command = moto::python("deployments.py");
    command.arg(kind).env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `docker compose`, or its older self.
fn compose() -> Command {
    if docker(&["compose", "version"]).status.success() {
        let mut command = Command::new("docker");
        command.arg("compose");
        return command;
    }
    Command::new("docker-compose")
}

#[track_caller]
fn config(file: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = compose();
    command.args(["-f", &deployed(file).display().to_string(), "config"]);
    command.envs(variables.iter().copied()).output().expect("deploy/setup/deployments.sh brings it")
}

// Oracle: compose's own reading of the files, and what must be in it.
#[test]
fn compose_takes_its_files_and_refuses_them_without_routes() {
    for file in ["compose.yaml", "compose.socket-proxy.yaml", "swarm.yaml"] {
        assert_sound("compose", &text(&config(file, &VARIABLES)));
        let without = config(file, &VARIABLES[1..]);
        let complaint = String::from_utf8_lossy(&without.stderr);
        assert!(!without.status.success() && complaint.contains("set ROUTES"), "{without:?}");
    }
}

// Oracle: Docker's own reading of a stack, which knows fewer keys than compose does.
#[test]
fn swarm_takes_the_stack() {
    let file = deployed("swarm.yaml").display().to_string();
    let known = docker(&["stack", "config", "--help"]).status.success();
    let mut command = if known { Command::new("docker") } else { compose() };
    let arguments =
        if known { vec!["stack", "config", "-c", &file] } else { vec!["-f", &file, "config"] };
    let output = command.args(arguments).envs(VARIABLES).output().unwrap();
    let stack = text(&output);
    for line in ["mode: global", "order: stop-first", "read_only: true"] {
        assert!(stack.contains(line), "{stack}");
    }
    assert!(!String::from_utf8_lossy(&output.stderr).contains("gnor"), "{output:?}");
}

// Oracle: botocore's model of ECS, and moto, which takes all three documents.
#[test]
fn aws_takes_the_task_definition_and_the_policies() {
    assert_sound("ecs", "");
}

// Oracle: an HCL parser.
#[test]
fn the_nomad_job_is_whole() {
    assert_sound("nomad", "");
}

/// A project that compose has started; it is taken down with its volumes and networks.
struct Project {
    name: String,
    agent: String,
    files: Vec<String>,
    variables: Vec<(&'static str, String)>,
    _directory: tempfile::TempDir,
}

impl Project {
    #[track_caller]
    fn up(engine: &Engine, name: &str, variables: Vec<(&'static str, String)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let more = directory.path().join("more.yaml");
        let [label, value] = ["downspout-test", &engine.name("")];
        let labels = format!("labels: {{{label}: '{value}'}}");
        let yaml = format!(
            "services: {{downspout: {{{labels}, healthcheck: {{interval: 500ms}}}}}}\n\
             networks: {{default: {{{labels}}}}}\nvolumes: {{state: {{{labels}}}}}\n"
        );
        std::fs::write(&more, yaml).unwrap();
        let files = [deployed("compose.yaml"), more].map(|file| file.display().to_string());
        let mut project = Self {
            agent: String::new(),
            // What compose makes of a name must not change it.
            name: engine.name(name).replace(|c: char| !c.is_ascii_alphanumeric(), ""),
            files: files.to_vec(),
            variables,
            _directory: directory,
        };
        text(&project.run(&["up", "-d"]));
        text(&project.run(&["ps", "-q", "downspout"])).trim().clone_into(&mut project.agent);
        project
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = compose();
        command.args(["-p", &self.name]);
        for file in &self.files {
            command.args(["-f", file]);
        }
        command.args(arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn inspect(&self, format: &str) -> String {
        Engine::docker(&["inspect", "--format", format, &self.agent])
    }
    /// The agent has no capability, no way to one, and its limits.
    #[track_caller]
    fn assert_confined(&self, user: &str) {
        let process = self.inspect("{{.State.Pid}}");
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(field("Uid:"), user.split(':').next().unwrap());
        assert_eq!(u64::from_str_radix(&field("CapEff:"), 16).unwrap(), 0);
        assert_eq!(u64::from_str_radix(&field("CapBnd:"), 16).unwrap(), 0);
        assert_eq!(field("NoNewPrivs:"), "1");
        let bounds =
            "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}";
        assert_eq!(self.inspect(bounds), "true 134217728 64");
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}", self.run(&["logs"]));
        }
        self.run(&["down", "--volumes", "--timeout", "20"]);
    }
}

/// This machine as containers on a bridge see it.
#[track_caller]
fn gateway(engine: &Engine) -> IpAddr {
    let label = engine.label();
    let routes = Engine::docker(&["run", "--rm", "--label", &label, IMAGE, "ip", "route"]);
    let address = routes.split_once("default via ").and_then(|(_, rest)| rest.split(' ').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{routes}"))
}

// Oracle: the kernel for what it may, the receiver for what came, the engine for its health.
#[test]
fn compose_runs_it_without_capabilities_as_root_and_as_nobody() {
    let engine = Engine::new("compose");
    let socket = std::fs::metadata("/var/run/docker.sock").unwrap();
    let group = std::os::unix::fs::MetadataExt::gid(&socket);
    let gateway = gateway(&engine);
    let image = std::env::var("AGENT_IMAGE").unwrap_or_else(|_| "downspout:test".to_owned());
    for (kind, user, read) in [
        ("root", "0:0".to_owned(), Strategy::File),
        ("nobody", format!("65534:{group}"), Strategy::Api),
    ] {
        let receiver = TcpReceiver::at(gateway);
        let address = own_address();
        let project = Project::up(
            &engine,
            kind,
            vec![
                ("IMAGE", image.clone()),
                ("ROUTES", receiver.route()),
                ("METRICS_ADDRESS", address.to_string()),
                ("AGENT_USER", user.clone()),
            ],
        );
        until("the container is healthy", SOON, || {
            let health = project.inspect("{{.State.Health.Status}}");
            check(health == "healthy", || format!("{health}: {:?}", project.run(&["logs"])))
        });
        let http = SocketAddr::from((address, 9514));
        until("it is ready", SOON, || {
            let ready = page(http, "/readyz");
            check(matches!(ready, Ok((200, _))), || format!("{ready:?}"))
        });
        let name = engine.container(&format!("talks-{kind}")).run(&printing(
            Stream::Out,
            &(1..=200),
            WIDTH,
        ));
        let mut expected = Expected::new(WIDTH);
        expected.add(&name, Stream::Out, 1..=200);
        receiver.inbox.wait_complete(&expected, SOON).assert_complete();

        project.assert_confined(&user);
        until("positions are saved", SOON, || {
            let metrics = Metrics::parse(&page(http, "/metrics").unwrap().1);
            let [saves, errors, files, streams] = [
                "checkpoint_saves_total",
                "checkpoint_errors_total",
                "log_files_opened_total",
                "log_streams_opened_total",
            ]
            .map(|family| metrics.value(family));
            let read = if read == Strategy::File { files } else { streams };
            check(saves > 0 && errors == 0 && read > 0, || format!("{metrics:#?}"))
        });
    }
}

/// What the socket proxy of the compose file lets through, `METHOD PATH`.
fn allow_list() -> Regex {
    let file = read("compose.socket-proxy.yaml");
    let allowed = file.lines().filter_map(|line| line.trim().strip_prefix("- -allow"));
    let rules: Vec<String> = allowed
        .filter(|rule| rule.chars().next().is_some_and(char::is_uppercase))
        .map(|rule| {
            rule.split_once('=').map(|(method, path)| format!("({method} ({path}))")).unwrap()
        })
        .collect();
    assert_eq!(rules.len(), 1, "one rule, for GET: {rules:?}");
    Regex::new(&format!("^({})$", rules.join("|"))).unwrap()
}

/// A request without what differs from call to call: `GET /containers/ID/json`.
fn endpoint(request: &str) -> String {
    let path = request.split('?').next().unwrap();
    let path = Regex::new("/v1[.][0-9]+").unwrap().replace(path, "");
    Regex::new("/containers/[^/]+/").unwrap().replace(&path, "/containers/ID/").into_owned()
}

// Oracle: a proxy with the rules of the compose file, and the list in deploy/README.md.
#[test]
fn the_agent_works_behind_the_allow_list_and_uses_all_of_it() {
    let engine = Engine::new("allowed");
    let allowed = allow_list();
    for refused in [
        "GET /v1.41/containers/abc/archive",
        "GET /v1.41/containers/abc/export",
        "GET /images/json",
        "POST /v1.41/containers/abc/stop",
        "POST /containers/create",
        "GET /containers/a/../../images/json",
    ] {
        assert!(!allowed.is_match(refused), "{refused}");
    }
    let proxy = Proxy::allowing(allowed);
    let receiver = TcpReceiver::start();
    let agent = Launch::new()
        .strategy(Strategy::Api)
        .env("DOCKER_HOST", proxy.docker_host())
        .arg(receiver.route())
        .ready();
    let streams = [Stream::Out, Stream::Err].map(|stream| printing(stream, &(1..=100), WIDTH));
    let name = engine.container("talks").run(&streams.join("; "));
    let mut expected = Expected::new(WIDTH);
    expected.add(&name, Stream::Out, 1..=100);
    expected.add(&name, Stream::Err, 1..=100);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    // A cut makes it ask from where it was; a rename and a removal are events.
    let lasting = engine.container("lasts").run("echo here; sleep 1000");
    receiver.inbox.wait_lines(&lasting, 1, SOON);
    proxy.cut("/logs");
    let renamed = engine.name("renamed");
    Engine::docker(&["rename", &lasting, &renamed]);
    Engine::docker(&["rm", "--force", &name]);
    agent.wait_for("the stream was opened again", SOON, |metrics| {
        metrics.value("log_streams_cut_total") > 0
    });

    assert_eq!(proxy.refused(), [] as [String; 0]);
    let used: BTreeSet<String> = proxy.requests().iter().map(|request| endpoint(request)).collect();
    let guide = read("README.md");
    let listed = guide.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<String> = listed
        .filter(|line| line.starts_with("GET /"))
        .map(|line| line.split('`').next().unwrap().to_owned())
        .collect();
    assert_eq!(used, documented);
}

// Oracle: the kernel: the same user, groups and capabilities as the unit gives.
#[test]
fn the_units_capability_suffices_to_read_the_files_as_nobody() {
    let engine = Engine::new("unit");
    let unit = read("systemd/downspout.service");
    for line in ["AmbientCapabilities=CAP_DAC_READ_SEARCH", "SupplementaryGroups=docker"] {
        assert!(unit.lines().any(|own| own == line), "no {line}");
    }
    let receiver = TcpReceiver::start();
    let agent = Launch::unprivileged("dac_read_search").arg(receiver.route()).ready();
    let name = engine.container("talks").run(&printing(Stream::Out, &(1..=100), WIDTH));
    let mut expected = Expected::new(WIDTH);
    expected.add(&name, Stream::Out, 1..=100);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    agent.assert_read_by(Strategy::File);
}

/// The unpacked package, and the folder with what it says of itself.
#[track_caller]
fn package() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let binary = std::env::var("AGENT_BINARY").ok().filter(|path| !path.is_empty());
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_downspout").to_owned());
    let made = Command::new(deployed("deb.sh")).arg(binary).env("OUT", directory.path()).output();
    let made = text(&made.unwrap());
    let package = made.lines().last().unwrap();
    for arguments in [["-x", package, &path("root")], ["-e", package, &path("control")]] {
        text(&Command::new("dpkg-deb").args(arguments).output().unwrap());
    }
    directory
}

// Oracle: dpkg-deb for the package, a shell for its scripts.
#[test]
fn the_debian_package_holds_the_unit_and_a_binary_that_runs() {
    let directory = package();
    let root = directory.path().join("root");
    let version = Command::new(root.join("usr/bin/downspout")).arg("--version").output().unwrap();
    assert_eq!(text(&version).trim(), concat!("downspout ", env!("CARGO_PKG_VERSION")));
    let control = std::fs::read_to_string(directory.path().join("control/control")).unwrap();
    for field in ["Package: downspout", concat!("Version: ", env!("CARGO_PKG_VERSION"))] {
        assert!(control.lines().any(|line| line == field), "{control}");
    }
    let files = std::fs::read_to_string(directory.path().join("control/conffiles")).unwrap();
    assert_eq!(files, "/etc/default/downspout\n");
    let unit = std::fs::read_to_string(root.join("usr/lib/systemd/system/downspout.service"));
    assert_eq!(unit.unwrap(), read("systemd/downspout.service"));
    for script in ["postinst", "prerm", "postrm"] {
        let path = directory.path().join("control").join(script);
        text(&Command::new("sh").arg("-n").arg(path).output().unwrap());
    }
    let copyright =
        std::fs::read_to_string(root.join("usr/share/doc/downspout/copyright")).unwrap();
    assert!(copyright.contains("Permission is hereby granted"), "{copyright}");

    for file in ["man/man8/downspout.8.gz", "bash-completion/completions/downspout"] {
        let size = std::fs::metadata(root.join("usr/share").join(file)).unwrap().len();
        assert!(size > 500, "{file} has {size} bytes");
    }

    // The settings are what the agent takes: every name is known.
    let settings = std::fs::read_to_string(root.join("etc/default/downspout")).unwrap();
    let names = settings.lines().map(|line| line.trim_start_matches('#'));
    let names = names.filter(|line| line.starts_with("DOWNSPOUT_"));
    let names: Vec<&str> = names.map(|line| line.split('=').next().unwrap()).collect();
    assert!(names.len() > 3, "{settings}");
    let reference = read("variables.md");
    for name in names {
        assert!(reference.contains(&format!("| `{name}` |")), "{name} is unknown");
    }
}

// Oracle: systemd's own reading of the units.
#[test]
fn systemd_takes_the_units_and_finds_them_confined() {
    let directory = tempfile::tempdir().unwrap();
    for unit in ["systemd/downspout.service", "podman/downspout.service"] {
        // It looks for the program, which is not installed here.
        let text = read(unit).replace("/usr/bin/downspout", env!("CARGO_BIN_EXE_downspout"));
        let path = directory.path().join("downspout.service");
        std::fs::write(&path, text).unwrap();
        // 10 is exposed, 0 is safe; it is below 2, and what is left is what it is for.
        for check in [
            &["verify", "--man=no"][..],
            &["security", "--offline=true", "--threshold=20", "--no-pager"],
        ] {
            let output = Command::new("systemd-analyze").args(check).arg(&path).output();
            let output = output.expect("deploy/setup/deployments.sh brings systemd-analyze");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && said.is_empty(), "{unit}: {check:?}: {output:?}");
        }
    }
}

// Oracle: the engine, which takes these options for a container's log.
#[test]
fn the_engine_takes_the_bounds_of_daemon_json() {
    let engine = Engine::new("daemon");
    let settings: serde_json::Value = serde_json::from_str(&read("daemon.json")).unwrap();
    let keys: Vec<&String> = settings.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["log-driver", "log-opts"], "known to every engine");
    assert_eq!(settings["log-driver"], "json-file");
    let mut container = engine.container("bounded").driver("json-file");
    for (name, value) in settings["log-opts"].as_object().unwrap() {
        container = container.option(&format!("--log-opt={name}={}", value.as_str().unwrap()));
    }
    let name = container.run("echo here");
    let options =
        Engine::docker(&["inspect", "--format", "{{json .HostConfig.LogConfig.Config}}", &name]);
    let options: serde_json::Value = serde_json::from_str(&options).unwrap();
    assert_eq!(options, settings["log-opts"]);
    assert!(options["max-size"].is_string() && options["max-file"].is_string());
    let help = Command::new("dockerd").arg("--help").output();
    // From Engine 23 on it looks at the file itself.
    if help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--validate")) {
        let file = format!("--config-file={}", deployed("daemon.json").display());
        text(&Command::new("dockerd").args(["--validate", &file]).output().unwrap());
    }
}
