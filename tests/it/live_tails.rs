//! `/logs`: what logspout's users see, byte for byte, and that nobody else waits for it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::{Agent, Launch};
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::receiver::TcpReceiver;
use crate::support::web::{Live, ask};
use crate::support::{SOON, check, until};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const WEBSOCKET: &str =
    "Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n";

fn launch() -> Launch {
    Launch::new().env("DOWNSPOUT_LIVE_TAILS", "true")
}

fn viewers(agent: &Agent) -> u64 {
    agent.metrics().value("tail_viewers")
}

#[test]
fn live_tails_show_names_in_colours_aligned_to_the_longest_so_far() {
    let engine = Engine::new("tail-text");
    let agent = launch().arg("stdout://").ready();
    let path = format!("/logs/name:{}", engine.name("*"));
    let mut coloured = Live::open(agent.http(), &path, "");
    let mut plain = Live::open(agent.http(), &format!("{path}?colors=off"), "");
    let mut errors = Live::open(agent.http(), &format!("{path}?colors=off&sources=stderr"), "");
    let head = coloured.wait_head();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-type: text/plain\r"));
    // One after the other, so that the order is known.
    let mut names = Vec::new();
    for (at, (name, script)) in [
        ("a", "echo one"),
        ("a-longer", "echo two; sleep 1; echo err >&2"),
        ("b", "printf '\\033[1mraw'"),
    ]
    .into_iter()
    .enumerate()
    {
        names.push(engine.container(name).run(script));
        let lines = [1, 3, 4][at];
        coloured.wait("the lines", |body| body.matches('\n').count() == lines);
    }
    let width = names[1].len().max(16);
    let first = names[0].len().max(16);
    let (a, longer, b) = (&names[0], &names[1], &names[2]);
    assert_eq!(
        coloured.wait("all", |_| true),
        format!(
            "\x1b[1;37m{a:>first$}|one\x1b[0m\n\x1b[1;36m{longer:>width$}|two\x1b[0m\n\
             \x1b[1;36m{longer:>width$}|err\x1b[0m\n\x1b[1;35m{b:>width$}|\x1b[1mraw\x1b[0m\n"
        )
    );
    let expected = format!(
        "{a:>first$}|one\n{longer:>width$}|two\n{longer:>width$}|err\n{b:>width$}|\x1b[1mraw\n"
    );
    assert_eq!(plain.wait("all", |body| body.matches('\n').count() == 4), expected);
    assert_eq!(errors.wait("one", |body| body.ends_with('\n')), format!("{longer:>width$}|err\n"));
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn live_tails_of_one_container_are_bare_and_begin_with_the_request() {
    let engine = Engine::new("tail-one");
    let agent = launch().env("DOWNSPOUT_BACKLOG", "true").arg("stdout://").ready();
    let script = "echo before; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo after; sleep 60";
    let name = engine.container("one").run(script);
    until("the first line was shipped", SOON, || {
        check(agent.output().contains("before"), || agent.output())
    });
    let id = Engine::docker(&["inspect", "--format", "{{.Id}}", &name]);
    let paths = [
        format!("/logs/name:{name}"),
        format!("/logs/id:{id:.12}"),
        format!("/logs/id:{id:.20}"),
        format!("/logs/id:{id}"),
    ];
    let mut tails = paths.clone().map(|path| Live::open(agent.http(), &path, ""));
    Engine::docker(&["exec", &name, "touch", "/tmp/go"]);
    for (tail, path) in tails.iter_mut().zip(&paths) {
        assert_eq!(tail.wait(path, |body| body.ends_with('\n')), "after\n", "{path}");
    }
    for unknown in ["/logs/id:zz", &format!("/logs/id:{id}0"), "/logs/word:x", "/logs/"] {
        let reply = ask(agent.http(), "GET", unknown, "", "");
        assert_eq!((reply.status, reply.body.as_str()), (404, "404 page not found\n"), "{unknown}");
    }
    assert_eq!(ask(agent.http(), "GET", "/logs/name:[", "", "").status, 400);
    assert_eq!(ask(agent.http(), "GET", "/logs?sources=x", "", "").status, 400);
    assert_eq!(ask(agent.http(), "POST", "/logs", "", "").status, 405);
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn live_tails_never_show_what_no_route_may_ship() {
    let engine = Engine::new("tail-excluded");
    let agent = launch().env("EXCLUDE_LABEL", "hidden").arg("stdout://").ready();
    let path = format!("/logs/name:{}?colors=off", engine.name("*"));
    let mut tail = Live::open(agent.http(), &path, "");
    for (name, option) in [
        ("label", "--label=hidden=true"),
        ("exclude", "--label=logspout.exclude=true"),
        ("variable", "--env=LOGSPOUT=ignore"),
    ] {
        Engine::wait(&engine.container(name).option(option).run("echo hidden"));
    }
    engine.container("shown").run("echo shown; sleep 1; echo again");
    let body = tail.wait("two lines", |body| body.contains("|again"));
    assert!(body.contains("|shown") && !body.contains("|hidden"), "{body}");
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn live_tails_as_json_and_over_a_websocket_show_the_container_and_never_its_environment() {
    let engine = Engine::new("tail-json");
    let agent = launch().env("DOWNSPOUT_API_TOKEN", "t").arg("stdout://").ready();
    let path = format!("/logs/name:{}", engine.name("*"));
    let token = "Authorization: Bearer t\r\n";
    let mut json = Live::open(agent.http(), &path, &format!("{token}Accept: application/json\r\n"));
    assert!(json.wait_head().contains("content-type: application/json\r"));
    // Neither an Origin nor the lower case of the word is asked for.
    let mut socket = Live::open(agent.http(), &path, &format!("{token}{WEBSOCKET}{KEY}"));
    let head = socket.wait_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("connection: upgrade\r\n") && lower.contains("upgrade: websocket\r\n"));
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let name = engine
        .container("json")
        .option("--env=PLANTED=plantedEnvironment")
        .option("--label=shown=yes")
        .run("echo 'a \"b\"'; sleep 1; echo c >&2");
    let text = json.wait("two objects", |body| body.matches("\n}\n").count() == 2);
    until("two messages", SOON, || {
        socket.look();
        check(socket.frames().len() == 2, || format!("{:?}", socket.frames()))
    });
    let frames = socket.frames();
    assert!(frames.iter().all(|(opcode, _)| *opcode == 1));
    let messages = frames.iter().map(|(_, payload)| String::from_utf8_lossy(payload).into_owned());
    let messages: String = messages.collect();
    assert_eq!(messages, text, "the same objects in the same order");
    let objects: Vec<Value> =
        serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().unwrap();
    let [first, second] = objects.try_into().unwrap();
    assert_eq!((&first["Data"], &first["Source"]), (&"a \"b\"".into(), &"stdout".into()));
    assert_eq!((&second["Data"], &second["Source"]), (&"c".into(), &"stderr".into()));
    assert_eq!(first["Container"]["Name"], format!("/{name}"));
    assert_eq!(first["Container"]["Config"]["Labels"]["shown"], "yes");
    assert_eq!(first["Container"]["Config"]["Image"], crate::support::engine::IMAGE);
    assert_eq!(first["Container"]["Id"].as_str().unwrap().len(), 64);
    assert!(first["Container"]["Config"].get("Env").is_none());
    let pages = ["/routes", "/metrics", "/readyz"];
    let pages = pages.map(|path| ask(agent.http(), "GET", path, token, "").body);
    assert!(!format!("{text}{pages:?}{}", agent.log()).contains("plantedEnv"), "{text}");
    socket.send_frame(9, b"are you there");
    socket.send_frame(8, &1000_u16.to_be_bytes());
    until("pong and goodbye", SOON, || {
        let open = socket.look();
        let tail = socket.frames().split_off(2);
        let answers = [(10, b"are you there".to_vec()), (8, 1000_u16.to_be_bytes().to_vec())];
        check(!open && tail == answers, || format!("{open} {tail:?}"))
    });
    drop(json);
    until("both have left", SOON, || check(viewers(&agent) == 0, || "not yet".to_owned()));
    assert_eq!(agent.terminate().code, Some(0));
}

/// F14: an upgrade without an `Origin` gets 403 from logspout, whose process ends at the next line.
#[test]
fn live_tails_outlive_clients_of_a_bad_websocket() {
    let engine = Engine::new("tail-bad");
    let receiver = TcpReceiver::start();
    let mut agent = launch().arg(receiver.route()).ready();
    for (headers, status) in [
        ("Upgrade: websocket\r\n".to_owned(), 400),
        (WEBSOCKET.to_owned(), 400),
        (format!("Origin: null\r\n{WEBSOCKET}"), 400),
        (format!("Upgrade: websocket\r\nConnection: Upgrade\r\n{KEY}"), 426),
        (format!("{WEBSOCKET}Sec-WebSocket-Key: short\r\n"), 400),
    ] {
        assert_eq!(ask(agent.http(), "GET", "/logs", &headers, "").status, status, "{headers}");
    }
    let name = engine.container("loud").run("while sleep 0.05; do echo line; done");
    let path = format!("/logs/name:{name}");
    // Each ends in another wrong way while lines come.
    for bytes in [
        &b"\x81\x01a"[..],
        b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
    ] {
        for origin in ["", "Origin: http://elsewhere\r\n"] {
            let mut socket = Live::open(agent.http(), &path, &format!("{origin}{WEBSOCKET}{KEY}"));
            until("a message", SOON, || {
                socket.look();
                check(!socket.frames().is_empty(), || "none".to_owned())
            });
            socket.send(bytes);
            if !bytes.is_empty() {
                until("it is closed", SOON, || check(!socket.look(), || "open".to_owned()));
                assert_eq!(socket.frames().last().unwrap().0, 8, "with a goodbye");
            }
        }
    }
    until("all have left", SOON, || check(viewers(&agent) == 0, || "not yet".to_owned()));
    let before = receiver.inbox.lines_of(&name).len();
    receiver.inbox.wait_lines(&name, before + 10, SOON);
    assert!(agent.is_running());
    assert_eq!(agent.metrics().value("task_panics_total"), 0);
    assert_eq!(agent.terminate().code, Some(0));
}

/// F2: while one client did not read, logspout shipped nothing. Here the receiver gets all.
#[test]
fn a_paused_client_of_live_tails_slows_no_destination_and_is_told_what_it_misses() {
    let engine = Engine::new("tail-paused");
    let receiver = TcpReceiver::start();
    let agent = launch().arg(engine.only(&receiver.route())).ready();
    let path = format!("/logs/name:{}?colors=off", engine.name("*"));
    let mut paused = Live::open(agent.http(), &path, "");
    let mut expected = Expected::new(200);
    for name in ["a", "b", "c"] {
        let container = engine.container(name).option("--log-opt=max-size=100m");
        let name = container.run(&printing(Stream::Out, &(1..=20_000), 200));
        expected.add(&name, Stream::Out, 1..=20_000);
    }
    receiver.inbox.wait_complete(&expected, 2 * SOON).assert_complete();
    let left_out = until("lines were left out", SOON, || {
        let lines = agent.metrics().value("tail_lines_dropped_total");
        check(lines > 1000, || format!("{lines}")).map(|()| lines)
    });
    let notice = "lines were left out here: this client reads too slowly --\n";
    let body = paused.wait("all that is left", |body| {
        let told: u64 = body.lines().filter_map(told).sum();
        let shown = body.lines().filter(|line| told_not(line)).count() as u64;
        told + shown == expected.count()
    });
    assert!(body.contains(notice));
    let told: u64 = body.lines().filter_map(told).sum();
    assert!(told >= left_out, "{told} of {left_out}");
    assert_eq!(agent.metrics().of("lines_dropped_total", &receiver.route()), 0);
    let peak = agent.peak_resident_bytes();
    assert!(peak <= 64 << 20, "{peak} bytes resident");
    assert_eq!(agent.terminate().code, Some(0));
}

fn told(line: &str) -> Option<u64> {
    line.strip_prefix("-- downspout: ")?.split(' ').next()?.parse().ok()
}

fn told_not(line: &str) -> bool {
    told(line).is_none()
}

/// F12: 200 clients that left kept 200 tasks and 5.7 MB of logspout's. Here none, and less than 4 MiB.
#[test]
fn clients_of_live_tails_that_leave_take_all_they_had_with_them() {
    // Others' containers would be followed meanwhile.
    let engine = Engine::alone("tail-leave");
    let agent = launch().arg("stdout://").ready();
    let name = engine.container("quiet").run("sleep 600");
    let path = format!("/logs/name:{name}");
    let settled = |agent: &Agent| {
        until("nobody looks, and the way is closed", SOON, || {
            let metrics = agent.metrics();
            let followers = metrics.value("followers");
            check(metrics.value("tail_viewers") == 0 && followers == 1, || {
                format!("{followers} followers")
            })
        });
    };
    drop(Live::open(agent.http(), &path, ""));
    settled(&agent);
    let (tasks, descriptors) = (agent.metrics().value("tasks"), agent.open_descriptors());
    let before = agent.peak_resident_bytes();
    for round in 0..20 {
        let crowd: Vec<Live> = (0..10)
            .map(|at| {
                let socket = format!("{WEBSOCKET}{KEY}");
                let headers = if at % 2 == 0 { "" } else { &socket };
                Live::open(agent.http(), &path, headers)
            })
            .collect();
        drop(crowd);
        // Nothing is printed: that they have left is noticed all the same.
        until("they have left", SOON, || {
            check(viewers(&agent) == 0, || format!("round {round}: {}", viewers(&agent)))
        });
    }
    settled(&agent);
    until("all is as before", SOON, || {
        let now = (agent.metrics().value("tasks"), agent.open_descriptors());
        check(now == (tasks, descriptors), || format!("{now:?}, not {:?}", (tasks, descriptors)))
    });
    let grown = agent.peak_resident_bytes() - before;
    assert!(grown < 4 << 20, "{grown} bytes more");
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn one_client_of_live_tails_too_many_is_refused_and_all_other_pages_answer() {
    let agent = Launch::fed().env("DOWNSPOUT_LIVE_TAILS", "true").arg("stdout://").ready();
    let crowd: Vec<Live> = (0..16).map(|_| Live::open(agent.http(), "/logs", "")).collect();
    let refused = ask(agent.http(), "GET", "/logs", "", "");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(agent.metrics().value("tail_viewers_refused_total"), 1);
    // They count against the viewers, not against the connections; nor does a time-out end them.
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(viewers(&agent), 16);
    assert_eq!(agent.page("/health"), (200, "Healthy!\n".to_owned()));
    let finished = agent.terminate();
    assert_eq!(finished.code, Some(0));
    assert!(finished.took < Duration::from_secs(5), "they end with the agent");
    drop(crowd);
}

#[test]
fn live_tails_are_off_unless_they_are_asked_for_and_shown_to_who_has_the_token() {
    let status = |at: SocketAddr, path: &str, headers: &str| {
        let reply = ask(at, "GET", path, headers, "");
        (reply.status, reply.body)
    };
    let agent = Launch::fed().arg("stdout://").ready();
    for path in ["/logs", "/logs/name:x", "/routes"] {
        let (code, body) = status(agent.http(), path, "");
        assert!(code == 404 && body.contains("DOWNSPOUT_LIVE_TAILS=true"), "{code} {body}");
    }
    agent.terminate();
    let launch = Launch::fed().env("DOWNSPOUT_LIVE_TAILS", "true");
    let agent = launch.env("DOWNSPOUT_API_TOKEN", "plantedToken").arg("stdout://").ready();
    for headers in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic plantedToken\r\n"]
    {
        for path in ["/logs", "/routes"] {
            let (code, body) = status(agent.http(), path, headers);
            assert!(code == 401 && !body.contains("planted"), "{code} {body}");
        }
    }
    drop(Live::open(agent.http(), "/logs", "Authorization: Bearer plantedToken\r\n"));
    let finished = agent.terminate();
    assert!(!finished.stderr.contains("plantedToken"), "{}", finished.stderr);
}
