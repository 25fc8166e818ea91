//! `/routes`: destinations that come and go while the agent runs, with real receivers, and what is
//! left of them after a restart.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::agent::{Agent, Launch};
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing, text};
use crate::support::receiver::{Conduct, Framing, TcpReceiver};
use crate::support::web::{Whole, ask};
use crate::support::{SOON, check, until};

const TOKEN: &str = "Authorization: Bearer plantedToken\r\n";

fn with_token(launch: Launch) -> Launch {
    launch.env("DOWNSPOUT_API_TOKEN", "plantedToken").env("DOWNSPOUT_BACKOFF_MAX", "200ms")
}

#[track_caller]
fn post(agent: &Agent, id: &str, receiver: &TcpReceiver) -> Whole {
    let address = receiver.address();
    let body = format!(
        r#"{{"id":"{id}","adapter":"syslog+tcp","address":"{address}","options":{{{OCTETS}}}}}"#
    );
    ask(agent.http(), "POST", "/routes", TOKEN, &body)
}

/// What the receivers understand, whatever logspout's scheme sends by default.
const OCTETS: &str = r#""framing":"octet-counting","format":"rfc5424""#;

fn shown(id: &str, receiver: &TcpReceiver) -> String {
    let address = receiver.address();
    format!(
        "{{\n  \"id\": \"{id}\",\n  \"adapter\": \"syslog+tcp\",\n  \"address\": \"{address}\",\n  \
         \"options\": {{\n    \"format\": \"rfc5424\",\n    \"framing\": \"octet-counting\"\n  }}\n}}\n"
    )
}

#[track_caller]
fn delete(agent: &Agent, id: &str) -> (u16, String) {
    let reply = ask(agent.http(), "DELETE", &format!("/routes/{id}"), TOKEN, "");
    (reply.status, reply.body)
}

#[track_caller]
fn list(agent: &Agent) -> Vec<serde_json::Value> {
    let reply = ask(agent.http(), "GET", "/routes", TOKEN, "");
    assert_eq!(reply.status, 200, "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

/// A container that prints a line whenever it is told to.
fn print_line(engine: &Engine, name: &str, number: u64) -> String {
    engine.container(name).run(&printing(Stream::Out, &(number..=number), 60))
}

#[test]
fn a_route_that_is_made_ships_what_is_printed_from_then_on_until_it_is_deleted() {
    let (engine, folder) = (Engine::new("routes-made"), tempfile::tempdir().unwrap());
    let (first, second) = (TcpReceiver::start(), TcpReceiver::start());
    let launch = with_token(Launch::new()).env("ROUTESPATH", folder.path());
    let agent = launch.arg(first.route()).ready();
    let early = print_line(&engine, "early", 1);
    first.inbox.wait_lines(&early, 1, SOON);
    let made = post(&agent, "second", &second);
    assert_eq!((made.status, made.body.as_str()), (201, shown("second", &second).as_str()));
    assert!(made.head.contains("content-type: application/json\r\n"), "{}", made.head);
    second.wait_connections(1, SOON);
    let routes = list(&agent);
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[0]["address"], first.address().to_string());
    assert_eq!(routes[1]["id"], "second");
    let one = ask(agent.http(), "GET", "/routes/second", TOKEN, "");
    assert_eq!((one.status, one.body), (200, made.body));
    let between = print_line(&engine, "between", 2);
    for receiver in [&first, &second] {
        receiver.inbox.wait_lines(&between, 1, SOON);
    }
    assert!(second.inbox.lines_of(&early).is_empty(), "what was printed before is not for it");
    assert!(folder.path().join("second.json").exists());
    assert_eq!(delete(&agent, "second"), (200, String::new()));
    assert!(!folder.path().join("second.json").exists());
    until("its connection is closed", SOON, || {
        check(second.ended(0).is_some(), || "open".to_owned())
    });
    let late = print_line(&engine, "late", 3);
    first.inbox.wait_lines(&late, 1, SOON);
    assert!(second.inbox.lines_of(&late).is_empty());
    assert_eq!(second.connections(), 1);
    until("no number of it is left", SOON, || {
        let page = agent.page("/metrics").1;
        check(!page.contains("#second"), || page)
    });
    assert_eq!(agent.page("/livez").0, 200);
    assert_eq!(list(&agent).len(), 1);
    assert_eq!(delete(&agent, "second"), (404, "404 page not found\n".to_owned()));
    let given = routes[0]["id"].as_str().unwrap();
    let (status, why) = delete(&agent, given);
    assert!(status == 409 && why.contains("given by URI"), "{status} {why}");
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn a_container_asks_by_its_label_for_a_route_that_was_made_and_nothing_else_ships_it() {
    let engine = Engine::new("routes-named");
    let receiver = TcpReceiver::start();
    // Without a route, as logspout is used with its API alone.
    let agent = with_token(Launch::new()).ready();
    assert!(list(&agent).is_empty());
    let address = receiver.address();
    let body = format!(
        r#"{{"adapter":"syslog+tcp","address":"{address}","options":{{"name":"audit",{OCTETS}}}}}"#
    );
    assert_eq!(ask(agent.http(), "POST", "/routes", TOKEN, &body).status, 201);
    receiver.wait_connections(1, SOON);
    let asking = engine.container("asking").option("--label=downspout.routes=audit");
    let name = asking.run(&printing(Stream::Out, &(1..=1), 60));
    receiver.inbox.wait_lines(&name, 1, SOON);
    let (log, output) = (agent.log(), agent.output());
    assert!(!log.contains("no route has the name 'audit'"), "{log}");
    assert_eq!(output, "", "nothing goes to standard output");
}

#[test]
fn a_route_of_the_same_id_takes_the_place_of_the_one_before_without_losing_a_line() {
    let engine = Engine::new("routes-again");
    let (old, new) = (TcpReceiver::start(), TcpReceiver::start());
    let agent = with_token(Launch::new()).arg("stdout://").ready();
    assert_eq!(post(&agent, "r", &old).status, 201);
    old.wait_connections(1, SOON);
    let script =
        "i=0; while [ $i -lt 300 ]; do i=$((i+1)); printf '%06d o\\n' $i; sleep 0.01; done";
    let name = engine.container("steady").run(script);
    old.inbox.wait_lines(&name, 20, SOON);
    assert_eq!(post(&agent, "r", &new).status, 201);
    Engine::wait(&name);
    let number = |(_, text): &(Stream, Vec<u8>)| -> u64 {
        String::from_utf8_lossy(text).split(' ').next().unwrap().parse().unwrap()
    };
    let all = until("every line is somewhere", SOON, || {
        let mut all: Vec<u64> = old.inbox.lines_of(&name).iter().map(number).collect();
        all.extend(new.inbox.lines_of(&name).iter().map(number));
        all.sort_unstable();
        all.dedup();
        check(all.len() == 300, || format!("{} lines", all.len())).map(|()| all)
    });
    assert_eq!((all[0], all[299]), (1, 300));
    assert!(old.ended(0).is_some(), "the old connection is closed");
    let after = print_line(&engine, "after", 1);
    new.inbox.wait_lines(&after, 1, SOON);
    assert!(old.inbox.lines_of(&after).is_empty() && old.connections() == 1);
    assert_eq!(list(&agent).len(), 2);
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn routes_that_were_made_outlive_a_restart_with_their_positions() {
    let engine = Engine::new("routes-stored");
    let (routes, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let receiver = TcpReceiver::start();
    let launch = || {
        let launch = with_token(Launch::new()).env("ROUTESPATH", routes.path());
        launch.env("DOWNSPOUT_STATE_DIR", state.path()).arg("stdout://")
    };
    let agent = launch().ready();
    let made = post(&agent, "kept", &receiver);
    assert_eq!(made.status, 201);
    let before = print_line(&engine, "before", 1);
    receiver.inbox.wait_lines(&before, 1, SOON);
    assert_eq!(agent.terminate().code, Some(0));
    let stored = std::fs::read_to_string(routes.path().join("kept.json")).unwrap();
    assert_eq!(stored + "\n", made.body);
    let meanwhile = print_line(&engine, "meanwhile", 2);
    Engine::wait(&meanwhile);
    put(routes.path(), "torn.json", "{\"id\":\"torn\",");
    put(routes.path(), "bad.json", r#"{"id":"bad","adapter":"nonsense","address":"h:1"}"#);
    let agent = launch().ready();
    assert_eq!(receiver.inbox.wait_lines(&meanwhile, 1, SOON).len(), 1);
    let after = print_line(&engine, "after", 3);
    receiver.inbox.wait_lines(&after, 1, SOON);
    for name in [&before, &meanwhile, &after] {
        assert_eq!(receiver.inbox.lines_of(name).len(), 1, "{name}");
    }
    let ids: Vec<_> = list(&agent).iter().skip(1).map(|route| route["id"].clone()).collect();
    assert_eq!(ids, ["kept"]);
    let log = agent.log();
    for (file, word) in [("torn.json", "EOF"), ("bad.json", "unknown scheme 'nonsense'")] {
        let said = |line: &str| line.contains("WARN") && line.contains(file) && line.contains(word);
        assert!(log.lines().any(said), "{file}: {log}");
        assert!(routes.path().join(file).exists(), "{file} is kept");
    }
    assert_eq!(delete(&agent, "kept").0, 200);
    until("its connection is closed", SOON, || {
        check(receiver.ended(1).is_some(), || "open".to_owned())
    });
    assert_eq!(agent.terminate().code, Some(0));
    let agent = launch().ready();
    assert_eq!(list(&agent).len(), 1, "what was deleted stays so");
    assert_eq!(agent.terminate().code, Some(0));
}

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn routes_that_logspout_stored_are_shipped_to_without_a_token_and_without_an_argument() {
    let (engine, folder) = (Engine::new("routes-taken-over"), tempfile::tempdir().unwrap());
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    let stored = format!(
        r#"{{"id":"0123456789ab","adapter":"syslog+tcp","address":"{}","options":{{"append_tag":".x"}}}}"#,
        receiver.address()
    );
    put(folder.path(), "0123456789ab.json", &stored);
    let agent = Launch::new().env("ROUTESPATH", folder.path()).ready();
    let start = engine.container("a").option("--hostname=shop-1");
    let name = start.run("echo hello; exec sleep 1000");
    let pid = Engine::docker(&["inspect", "--format", "{{.State.Pid}}", &name]);
    let came = receiver.inbox.wait("its line", SOON, |frames| {
        let mut texts =
            frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned());
        texts.find(|text| text.contains(&name)).ok_or_else(String::new)
    });
    assert!(came.ends_with(&format!(" shop-1 {name}.x {pid} - - hello")), "{came}");
    let ended = agent.terminate();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "it has a route");
}

#[test]
fn a_route_to_nobody_is_made_at_once_and_ships_when_somebody_comes() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let mut agent = with_token(Launch::fed()).arg("stdout://").ready();
    assert_eq!(post(&agent, "nobody", &receiver).status, 201);
    until("the page says so", SOON, || {
        let (status, body) = agent.page("/health");
        check(status == 503 && body.contains("#nobody: not connected"), || body)
    });
    agent.feed(&format!("web-1 stdout {}\n", text(Stream::Out, 1, 60)));
    receiver.accept_again();
    let mut expected = Expected::new(60);
    expected.add("web-1", Stream::Out, 1..=1);
    receiver.inbox.wait_complete(&expected, SOON);
    until("the page says so", SOON, || {
        let (status, body) = agent.page("/health");
        check(status == 200 && body == "Healthy!\n", || body)
    });
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn only_who_has_the_token_changes_routes_and_what_is_no_route_is_refused() {
    let route = r#"{"adapter":"syslog+tcp","address":"127.0.0.1:1"}"#;
    let agent = Launch::fed().arg("stdout://").ready();
    let refused = ask(agent.http(), "POST", "/routes", TOKEN, route);
    assert!(refused.status == 403 && refused.body.contains("DOWNSPOUT_API_TOKEN"), "{refused:?}");
    assert_eq!(ask(agent.http(), "DELETE", "/routes/x", TOKEN, "").status, 403);
    agent.terminate();
    let agent = with_token(Launch::fed()).arg("stdout://").ready();
    let tagged = r#"{"adapter":"syslog","address":"127.0.0.1:1","options":{"append_tag":".x"}}"#;
    let made = ask(agent.http(), "POST", "/routes", TOKEN, tagged);
    assert_eq!(made.status, 201, "what logspout's bytes need is kept: {}", made.body);
    for headers in ["", "Authorization: Bearer wrong\r\n"] {
        let refused = ask(agent.http(), "POST", "/routes", headers, route);
        assert!(refused.status == 401, "{refused:?}");
        assert!(refused.head.to_ascii_lowercase().contains("www-authenticate: bearer"));
    }
    for (body, said) in [
        ("{", "Bad request: EOF"),
        (r#"{"adapter":"foo","address":"h:1"}"#, "Bad route: foo://h:1: unknown scheme 'foo'"),
        (r#"{"adapter":"syslog+tcp","address":"h:x"}"#, "Bad route: syslog+tcp://h:x"),
        (
            r#"{"adapter":"syslog+tcp","address":"h:1","options":{"windoww":"1"}}"#,
            "Bad route: syslog+tcp://h:1#",
        ),
        (
            r#"{"adapter":"syslog+tcp","address":"h:1","options":{"window":"64MiB"}}"#,
            "Bad route: DOWNSPOUT_MEMORY_LIMIT=64 MiB: too little for one more destination",
        ),
    ] {
        let refused = ask(agent.http(), "POST", "/routes", TOKEN, body);
        assert!(refused.status == 400 && refused.body.starts_with(said), "{body}: {refused:?}");
    }
    assert_eq!(list(&agent).len(), 2);
    let page = agent.page("/metrics").1;
    assert!(!page.contains("syslog+tcp://h:1"), "what was refused leaves no trace: {page}");
    let finished = agent.terminate();
    assert!(!finished.stderr.contains("plantedToken"), "{}", finished.stderr);
}

#[test]
fn what_may_be_a_secret_of_a_route_is_stored_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let launch = with_token(Launch::fed()).env("ROUTESPATH", folder.path());
    let agent = launch.env("AWS_EC2_METADATA_DISABLED", "true").arg("stdout://").ready();
    let route = r#"{"id":"aws","adapter":"cloudwatch","address":"eu-west-1","options":{"group":"g",
        "endpoint":"http://127.0.0.1:1","role_arn":"arn:aws:iam::123456789012:role/logs",
        "external_id":"plantedId"}}"#;
    let made = ask(agent.http(), "POST", "/routes", TOKEN, route);
    assert_eq!(made.status, 201, "{}", made.body);
    for path in ["/routes", "/routes/aws"] {
        let shown = ask(agent.http(), "GET", path, TOKEN, "").body;
        assert!(shown.contains("role/logs") && !shown.contains("plantedId"), "{shown}");
    }
    assert!(std::fs::read_to_string(folder.path().join("aws.json")).unwrap().contains("plantedId"));
}

/// F13: a route that is stuck holds up all later calls of logspout's API. Here each has its answer
/// within two seconds.
#[test]
fn a_stuck_route_holds_up_neither_the_api_nor_other_routes() {
    let stuck = TcpReceiver::scripted(Framing::OctetCounting, [Conduct::Stall]);
    let (sound, third) = (TcpReceiver::start(), TcpReceiver::start());
    let engine = Engine::new("routes-stuck");
    let launch = with_token(Launch::new()).env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "5s");
    let agent = launch.arg(sound.route()).ready();
    assert_eq!(post(&agent, "stuck", &stuck).status, 201);
    stuck.wait_connections(1, SOON);
    let loud = engine.container("loud").option("--log-opt=max-size=100m");
    let loud = loud.run(&printing(Stream::Out, &(1..=60_000), 500));
    let mut expected = Expected::new(500);
    expected.add(&loud, Stream::Out, 1..=60_000);
    sound.inbox.wait_complete(&expected, 2 * SOON).assert_complete();
    let quick = |what: &str, asked: &dyn Fn() -> u16, status: u16| {
        let start = Instant::now();
        assert_eq!(asked(), status, "{what}");
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "{what} took {took:?}");
    };
    quick("the list", &|| ask(agent.http(), "GET", "/routes", TOKEN, "").status, 200);
    quick("another", &|| post(&agent, "third", &third).status, 201);
    quick("its end", &|| delete(&agent, "stuck").0, 200);
    quick("the list again", &|| ask(agent.http(), "GET", "/routes", TOKEN, "").status, 200);
    quick("health", &|| agent.page("/health").0, 200);
    let after = print_line(&engine, "after", 1);
    for receiver in [&sound, &third] {
        receiver.inbox.wait_lines(&after, 1, SOON);
    }
    until("it is gone after the time that it has", SOON, || {
        let page = agent.page("/metrics").1;
        check(!page.contains("#stuck"), || "its numbers are still there".to_owned())
    });
    assert_eq!(agent.page("/livez").0, 200);
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn many_routes_that_come_and_go_leave_nothing_behind() {
    let receiver = TcpReceiver::start();
    let engine = Engine::alone("routes-many");
    let agent = with_token(Launch::new()).arg("stdout://").ready();
    let _quiet = engine.container("quiet").run("sleep 600");
    let cycle = |id: &str| {
        assert_eq!(post(&agent, id, &receiver).status, 201);
        assert_eq!(delete(&agent, id).0, 200);
    };
    let settled = || {
        until("all have ended", SOON, || {
            let page = agent.page("/metrics").1;
            let (tasks, descriptors) = (agent.metrics().value("tasks"), agent.open_descriptors());
            let ended = !page.contains('#') || !page.contains("destination=\"syslog+tcp");
            check(ended, || format!("{tasks} tasks")).map(|()| (tasks, descriptors))
        })
    };
    cycle("first");
    let before = settled();
    for number in 0..40 {
        cycle(&format!("r{}", number % 3));
    }
    until("all is as before", SOON, || {
        let now = settled();
        check(now == before, || format!("{now:?}, not {before:?}"))
    });
    assert_eq!(agent.page("/livez").0, 200);
    assert_eq!(agent.terminate().code, Some(0));
}
