//! logspout's variables and URIs on the real engine, as whoever changes only the image has them:
//! what logspout's own tests hold, and what its documents promise.

use crate::support::agent::{Finished, Launch};
use crate::support::byte_receiver::ByteReceiver;
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::receiver::{After, Conduct, Framing, PlainReceiver, TcpReceiver};
use crate::support::site::{Site, wait_printed};
use crate::support::{SOON, check, until};

const LINE: &str = "echo line; exec sleep 1000";

/// Starts agents one after the other, each with its variables, and asserts which of the containers
/// are shipped: those with these short names, by the time all of them have come.
#[track_caller]
fn assert_shipped(engine: &Engine, all: &[&str], rows: &[(&[(&str, &str)], &str)]) {
    for (variables, who) in rows {
        let receiver = TcpReceiver::scripted(Framing::Lf, []);
        let mut launch = Launch::new().env("BACKLOG", "true").env("SYSLOG_FORMAT", "rfc5424");
        for (name, value) in *variables {
            launch = launch.env(name, value);
        }
        let mut agent = launch.env("ROUTE_URIS", receiver.route()).ready();
        for name in all {
            let full = engine.name(name);
            if who.split(' ').any(|wanted| wanted == *name) {
                receiver.inbox.wait_lines(&full, 1, SOON);
            } else {
                agent.logged(&format!("{name} is skipped: {variables:?}"), |line| {
                    line.contains(" skipped: ") && line.contains(&format!("container={full}"))
                });
            }
        }
        assert_eq!(agent.terminate().code, Some(0));
        let came =
            all.iter().filter(|name| !receiver.inbox.lines_of(&engine.name(name)).is_empty());
        let came: Vec<_> = came.copied().collect();
        assert_eq!(came.join(" "), *who, "{variables:?}");
    }
}

#[test]
fn logspout_exclude_labels_takes_lists_of_any_shape_and_any_item_excludes() {
    let engine = Engine::new("exclude");
    let containers: [(&str, &[&str]); 5] = [
        ("canal", &["k8s-app=canal"]),
        ("upper", &["k8s-app=CANAL"]),
        ("x", &["exclude=true"]),
        ("url", &["io.k8s.url=http://x:1"]),
        ("none", &["exclude=false", "k8s-app=web"]),
    ];
    for (name, labels) in containers {
        let labelled = labels
            .iter()
            .fold(engine.container(name), |start, label| start.option(&format!("--label={label}")));
        wait_printed(&labelled.run(LINE), 1, SOON);
    }
    let all = containers.map(|(name, _)| name);
    assert_shipped(
        &engine,
        &all,
        &[
            (&[("EXCLUDE_LABEL", "k8s-app:canal")], "x url none"),
            (&[("EXCLUDE_LABEL", "exclude")], "canal upper url none"),
            (
                &[("EXCLUDE_LABELS", "exclude"), ("EXCLUDE_LABEL", "k8s-app:canal")],
                "canal upper url none",
            ),
            (&[("EXCLUDE_LABELS", ""), ("EXCLUDE_LABEL", "k8s-app:canal")], "x url none"),
            // logspout reads none of these as they are meant.
            (&[("EXCLUDE_LABELS", "other;exclude")], "canal upper url none"),
            (&[("EXCLUDE_LABELS", "exclude;k8s-app:canal")], "url none"),
            (&[("EXCLUDE_LABELS", "k8s-app:canal;exclude")], "url none"),
            (&[("EXCLUDE_LABELS", "io.k8s.url:http://x:1")], "canal upper x none"),
            (&[("EXCLUDE_LABELS", "a:1;b:2")], "canal upper x url none"),
        ],
    );
}

#[test]
fn logspout_ignore_in_a_containers_environment_keeps_it_out_in_any_case_of_letters() {
    let engine = Engine::new("ignore");
    let values = [("lower", "ignore"), ("upper", "IGNORE"), ("foo", "foo"), ("empty", "")];
    for (name, value) in values {
        let start = engine.container(name).option(&format!("--env=LOGSPOUT={value}"));
        wait_printed(&start.run(LINE), 1, SOON);
    }
    assert_shipped(&engine, &values.map(|(name, _)| name), &[(&[], "foo empty")]);
}

/// F16: logspout leaves containers with a terminal out without a word.
#[test]
fn logspout_allow_tty_ships_terminals_or_not_and_unset_they_are_shipped_too() {
    let engine = Engine::new("allow-tty");
    wait_printed(&engine.container("plain").run(LINE), 1, SOON);
    wait_printed(&engine.container("tty").option("-t").run(LINE), 1, SOON);
    assert_shipped(
        &engine,
        &["plain", "tty"],
        &[
            (&[], "plain tty"),
            (&[("ALLOW_TTY", "true")], "plain tty"),
            // logspout takes it for false.
            (&[("ALLOW_TTY", "1")], "plain tty"),
            (&[("ALLOW_TTY", "false")], "plain"),
            (&[("DOWNSPOUT_TTY", "skip")], "plain"),
            (&[("DOWNSPOUT_TTY", "skip"), ("ALLOW_TTY", "true")], "plain tty"),
        ],
    );
}

#[test]
fn logspout_backlog_is_on_for_true_alone_and_tail_bounds_it() {
    let engine = Engine::new("backlog-is");
    let script = format!("{}; exec sleep 1000", printing(Stream::Out, &(1..=9), 8));
    let name = engine.container("a").run(&script);
    wait_printed(&name, 9, SOON);
    let rows: [(&[(&str, &str)], u64); 7] = [
        (&[("BACKLOG", "true")], 1),
        (&[("BACKLOG", "false")], 10),
        (&[("BACKLOG", "TRUE")], 10),
        (&[("BACKLOG", "")], 10),
        (&[], 10),
        (&[("BACKLOG", "true"), ("TAIL", "all")], 1),
        (&[("BACKLOG", "true"), ("TAIL", "3")], 7),
    ];
    let started = rows.map(|(variables, first)| {
        let receiver = TcpReceiver::scripted(Framing::Lf, []);
        let mut launch = Launch::new().env("SYSLOG_FORMAT", "rfc5424");
        for (name, value) in variables {
            launch = launch.env(name, value);
        }
        (variables, first, launch.arg(receiver.route()).ready(), receiver)
    });
    Site::say(&name, "000010 o");
    for (variables, first, agent, receiver) in started {
        let mut expected = Expected::new(8);
        expected.add(&name, Stream::Out, first..=10);
        receiver.inbox.wait_complete(&expected, SOON);
        assert_eq!(agent.terminate().code, Some(0));
        let tally = receiver.inbox.tally(&expected);
        tally.assert_complete();
        assert_eq!(tally.unexpected, 0, "{variables:?}: {tally}");
    }
}

#[test]
fn logspout_every_scheme_and_alias_leads_to_its_transport_from_one_list_of_routes() {
    let engine = Engine::new("schemes");
    let udp = ["syslog", "syslog+udp", "raw", "raw+udp", "udp", "multiline+udp"];
    let tcp = ["syslog+tcp", "raw+tcp", "tcp", "multiline+syslog+tcp", "multiline+raw+tcp"];
    let udp = udp.map(|scheme| (scheme, PlainReceiver::udp()));
    let tcp = tcp.map(|scheme| (scheme, ByteReceiver::start()));
    let filter = format!("filter.name={}", engine.name("*"));
    let by_udp = udp.iter().map(|(scheme, (_, address))| format!("{scheme}://{address}?{filter}"));
    let by_tcp = tcp.iter().map(|(scheme, receiver)| {
        // The port is one of the agent's variables.
        format!("{scheme}://$LOGS:{}?{filter}", receiver.address().port())
    });
    // The list is one value, with blanks and commas as people leave them.
    let list = by_udp.chain(by_tcp).collect::<Vec<_>>().join(", ") + ",";
    let agent = Launch::new()
        .env("LOGS", "127.0.0.1")
        .env("SYSLOG_TIMESTAMP", "T")
        .env("SYSLOG_HOSTNAME", "h")
        .env("SYSLOG_PID", "${LOGS}")
        .env("ROUTE_URIS", list)
        .ready();
    let name = engine.container("a").run("echo hello");
    // What is expanded is the URIs, nothing else.
    let message = format!("<14>1 T h {name} ${{LOGS}} - - hello\n");
    let wanted = |scheme: &str| {
        if scheme.contains("syslog") { message.as_bytes().to_vec() } else { b"hello\n".to_vec() }
    };
    for (scheme, (receiver, _)) in &udp {
        let came = receiver.inbox.wait(scheme, SOON, |frames| {
            frames.first().map(|frame| frame.bytes.clone()).ok_or_else(String::new)
        });
        assert_eq!(came.escape_ascii().to_string(), wanted(scheme).escape_ascii().to_string());
    }
    for (scheme, receiver) in &tcp {
        let wanted = wanted(scheme);
        until(&format!("the line by {scheme}"), SOON, || {
            let came = receiver.bytes();
            check(came == wanted, || came.escape_ascii().to_string())
        });
    }
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn logspout_one_list_may_be_an_argument_which_then_stands_alone() {
    let [from_argument, from_variable] = [PlainReceiver::udp(), PlainReceiver::udp()];
    let also = PlainReceiver::udp();
    let mut agent = Launch::fed()
        .env("ROUTE_URIS", format!("udp://{}", from_variable.1))
        .arg(format!("udp://{},udp://{}", from_argument.1, also.1))
        .start();
    agent.feed("web stdout hello\n");
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    for (receiver, _) in [&from_argument, &also] {
        receiver.inbox.wait("the line", SOON, |frames| check(frames.len() == 1, String::new));
    }
    assert_eq!(from_variable.0.inbox.count(), 0);
}

#[test]
fn logspout_what_is_not_set_in_a_uri_counts_as_empty_and_is_named() {
    let (receiver, address) = PlainReceiver::udp();
    let mut agent = Launch::fed()
        .env("HERE", address.to_string())
        .arg("udp://$HERE?filter.name=$NOT_HERE")
        .start();
    agent.feed("web stdout hello\n");
    agent.end_of_input();
    let ended = agent.finish(SOON);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = ended.stderr.lines().find(|line| line.contains("NOT_HERE"));
    assert!(said.is_some_and(|line| line.contains("is not set") && line.contains("%24")));
    receiver.inbox.wait("the line", SOON, |frames| check(frames.len() == 1, String::new));
}

#[track_caller]
fn refused(launch: Launch) -> Finished {
    let ended = launch.finish();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("not started"), "{}", ended.stderr);
    ended
}

#[test]
fn logspout_each_bad_value_ends_the_start_and_is_named_with_its_cure() {
    let with = |name: &str, value: &str| {
        Launch::fed().env(name, value).arg("multiline+syslog+tcp://127.0.0.1:1")
    };
    for (name, value, words) in [
        ("SYSLOG_FORMAT", "rfc9999", "SYSLOG_FORMAT=rfc9999: expected rfc5424 or rfc3164"),
        (
            "SYSLOG_TCP_FRAMING",
            "lf",
            "SYSLOG_TCP_FRAMING=lf: expected traditional or octet-counted",
        ),
        ("SYSLOG_TAG", "{{.Container.Name}", "SYSLOG_TAG: |at character 1"),
        ("SYSLOG_TAG", "a{{joinn .Data}}", "SYSLOG_TAG: |at character 4|did you mean 'join'"),
        ("SYSLOG_PID", "{{.Contaner.State}}", "SYSLOG_PID: |at character 3|'Container'"),
        ("RAW_FORMAT", "{{if .Data}}", "RAW_FORMAT: |at character "),
        ("MULTILINE_PATTERN", "a(b[", "MULTILINE_PATTERN=a(b[: |at character 4"),
        ("MULTILINE_MATCH", "middle", "MULTILINE_MATCH=middle: expected first, nonfirst"),
        ("MULTILINE_FLUSH_AFTER", "500ms", "MULTILINE_FLUSH_AFTER=500ms: |without a unit"),
        ("MULTILINE_ENABLE_DEFAULT", "yes", "MULTILINE_ENABLE_DEFAULT=yes: expected true or false"),
        ("EXCLUDE_LABELS", "a;:b", "EXCLUDE_LABELS=a;:b, at character 3: |write one such as"),
        ("ALLOW_TTY", "perhaps", "ALLOW_TTY=perhaps: expected true or false"),
        ("DOWNSPOUT_LABELS", "tag,rat", "DOWNSPOUT_LABELS=tag,rat: |at character 5|'rate'"),
    ] {
        let ended = refused(with(name, value));
        for word in words.split('|') {
            assert!(ended.stderr.contains(word), "{name}={value}: {word}: {}", ended.stderr);
        }
    }
    let engine_only = [
        ("TAIL", "some", "TAIL=some: expected all, or a number"),
        ("INACTIVITY_TIMEOUT", "30", "INACTIVITY_TIMEOUT=30: expected a duration such as 30s"),
    ];
    for (name, value, words) in engine_only {
        let ended = refused(Launch::new().env(name, value).arg("syslog://127.0.0.1:1"));
        assert!(ended.stderr.contains(words), "{name}={value}: {}", ended.stderr);
    }
    for (uri, words) in [
        ("foo://127.0.0.1:1", "unknown scheme 'foo'|known: "),
        ("multiline://127.0.0.1:1", "multiline+syslog+tcp://"),
        // In logspout it is plain TCP, silently.
        ("tcp+tls://127.0.0.1:1", "unknown scheme 'tcp+tls'; write tls://"),
        ("syslog://127.0.0.1:1?filter.name=a[b", "'filter.name=a[b': at character 2"),
        ("syslog://127.0.0.1:1?filter.id=xyz", "'filter.id=xyz': at character 1|filter.name="),
        ("syslog://127.0.0.1:1?filter.sources=stdout,stderr", "stderr: not a route URI|as %2C"),
        ("syslog://127.0.0.1:1?filter.labels=a%2C:b", "'filter.labels=a,:b': at character 3"),
        ("syslog://127.0.0.1:1?filter.sources=stdin", "unknown stream 'stdin'"),
        ("syslog://127.0.0.1:1?select.label=a+*=b", "'select.label=a+*=b': at character 3"),
        ("syslog://127.0.0.1:1?append_tag={{.Tag}}", "'append_tag'|at character "),
        ("syslog://127.0.0.1:1?filer.name=a", "unknown option 'filer.name'|'filter.name'"),
    ] {
        let ended = refused(Launch::fed().arg(uri));
        for word in words.split('|') {
            assert!(ended.stderr.contains(word), "{uri}: {word}: {}", ended.stderr);
        }
    }
}

#[test]
fn logspout_all_that_is_wrong_is_said_at_once() {
    let ended = refused(
        Launch::fed()
            .env("SYSLOG_FORMAT", "x")
            .env("SYSLOG_TAG", "{{")
            .env("SYSLOG_PID", "{{.Nothing}}")
            .env("RAW_FORMAT", "{{end}}")
            .env("MULTILINE_PATTERN", "(")
            .env("EXCLUDE_LABEL", ":x")
            .arg("foo://x")
            .arg("syslog://127.0.0.1:1?filter.name=[&filter.id=q"),
    );
    for name in [
        "SYSLOG_FORMAT",
        "SYSLOG_TAG",
        "SYSLOG_PID",
        "RAW_FORMAT",
        "MULTILINE_PATTERN",
        "EXCLUDE_LABEL",
        "foo://x",
        "'filter.name=[': at character 1",
        "'filter.id=q': at character 1",
    ] {
        let said = ended.stderr.lines().filter(|line| line.contains(name)).count();
        assert_eq!(said, 1, "{name}: {}", ended.stderr);
    }
}

#[test]
fn logspout_variables_that_change_nothing_are_taken_without_a_word() {
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    let expected = Expected::of_containers("web", 1, 10, 40);
    let file = expected.replay_file();
    let ended = Launch::replaying(file.path())
        .env("RETRY_COUNT", "20")
        .env("LOGSPOUT_TLS_HARDENING", "true")
        .env("SYSLOG_FORMAT", "rfc5424")
        .arg(receiver.route())
        .finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
}

#[test]
fn logspout_lines_are_joined_by_its_variables_unless_a_container_says_otherwise() {
    let engine = Engine::new("joined");
    let printed = "printf 'one\\n  at a\\n  at b\\ntwo\\n'; exec sleep 1000";
    let say = |name: &str, value: &str| {
        engine.container(name).option(&format!("--env=LOGSPOUT_MULTILINE={value}")).run(printed)
    };
    let [on, off, other] = [say("on", "TRUE"), say("off", "false"), say("other", "maybe")];
    for name in [&on, &off, &other] {
        wait_printed(name, 4, SOON);
    }
    let (joined, apart) = (["one|  at a|  at b", "two"], ["one", "  at a", "  at b", "two"]);
    for (default, wanted) in
        [("true", [&joined[..], &apart, &joined]), ("f", [&joined[..], &apart, &apart])]
    {
        let receiver = TcpReceiver::scripted(Framing::Lf, []);
        let plain = TcpReceiver::scripted(Framing::Lf, []);
        let agent = Launch::new()
            .env("BACKLOG", "true")
            .env("SYSLOG_FORMAT", "rfc5424")
            .env("MULTILINE_ENABLE_DEFAULT", default)
            .env("MULTILINE_SEPARATOR", "|")
            .arg(format!("multiline+{}", receiver.route()))
            .arg(plain.route())
            .ready();
        for (name, wanted) in [&on, &off, &other].into_iter().zip(wanted) {
            let lines = receiver.inbox.wait_lines(name, wanted.len(), SOON);
            let wanted: Vec<_> =
                wanted.iter().map(|line| (Stream::Out, line.as_bytes().to_vec())).collect();
            assert_eq!(lines, wanted, "{name} by default {default}");
            // The variable is the adapter's, and says nothing to other routes.
            assert_eq!(plain.inbox.wait_lines(name, 4, SOON).len(), 4, "{name}");
        }
        assert_eq!(agent.terminate().code, Some(0));
    }
}

#[test]
fn logspout_the_tables_of_its_multiline_adapter_give_the_same_records() {
    let table: [(&str, &str, &[&str]); 5] = [
        (r"^\s", "nonfirst", &["some", "  multi", "  line", "other"]),
        (":$", "first", &["some:", "  multi", "line", "other:", "more"]),
        (r"\$$", "nonlast", &["some$", "multi$", "line", "other"]),
        ("!$", "last", &["some", "multi", "line!", "other!"]),
        (
            r"^(DETAIL:|STATEMENT:|Traceback|\s)",
            "nonlast",
            &["DETAIL: a", "STATEMENT: b", "done", "Traceback", "  file", "Error"],
        ),
    ];
    let records: [&[&str]; 5] = [
        &["some\\n  multi\\n  line", "other"],
        &["some:\\n  multi\\nline", "other:\\nmore"],
        &["some$\\nmulti$\\nline", "other"],
        &["some\\nmulti\\nline!", "other!"],
        &["DETAIL: a\\nSTATEMENT: b\\ndone", "Traceback\\n  file\\nError"],
    ];
    for ((pattern, matching, lines), wanted) in table.into_iter().zip(records) {
        let receiver = ByteReceiver::start();
        let mut agent = Launch::fed()
            .env("MULTILINE_PATTERN", pattern)
            .env("MULTILINE_MATCH", matching)
            .env("RAW_FORMAT", "{{toJSON .Data}}\n")
            .arg(format!("multiline+raw+tcp://{}", receiver.address()))
            .start();
        agent.feed(&lines.iter().map(|line| format!("web stdout {line}\n")).collect::<String>());
        agent.end_of_input();
        assert_eq!(agent.finish(SOON).code, Some(0));
        let wanted: String = wanted.iter().map(|record| format!("\"{record}\"\n")).collect();
        until(&format!("the records by {matching} {pattern}"), SOON, || {
            let came = String::from_utf8(receiver.bytes()).unwrap();
            check(came == wanted, || format!("{came} is not {wanted}"))
        });
    }
}

#[test]
fn logspout_a_server_that_closes_every_few_lines_costs_none_of_a_hundred() {
    // logspout's own test passes over the one line that it loses at each close.
    let script = [Conduct::Fin(After::Frames(7)); 12];
    let receiver = TcpReceiver::scripted(Framing::Lf, script);
    let mut agent = Launch::fed()
        .env("SYSLOG_FORMAT", "rfc5424")
        .env("DOWNSPOUT_BACKOFF_MAX", "50ms")
        .arg(receiver.route())
        .start();
    let mut expected = Expected::new(60);
    for number in 1..=100 {
        agent.ship_line(number, &mut expected, &receiver.inbox);
    }
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    let tally = receiver.inbox.tally(&expected);
    tally.complete().unwrap();
    assert_eq!((tally.reordered, tally.garbled.len()), (0, 0), "{tally}");
    assert!(receiver.connections() > 12, "{}", receiver.connections());
}
