//! What containers choose by labels, as far as the operator lets them: seen at receivers, and in
//! the counts and the log of the agent.

use crate::support::agent::Launch;
use crate::support::engine::{Engine, Start};
use crate::support::numbers::{Stream, printing};
use crate::support::receiver::{Frame, Framing, PlainReceiver, TcpReceiver};
use crate::support::site::{Site, wait_printed};
use crate::support::{SOON, check, until};

const BOTH: &str = "echo out; echo err >&2; exec sleep 1000";

fn labelled(start: Start, labels: &[&str]) -> Start {
    labels.iter().fold(start, |start, label| start.option(&format!("--label={label}")))
}

/// `<PRI>` and the name of each message that holds this text, sorted; names of the test's
/// containers without what is the same in all.
fn heads(receiver: &TcpReceiver, engine: &Engine, ends: &[&str]) -> Vec<String> {
    let mut heads = receiver.inbox.with(|frames| {
        let messages = frames.iter().map(Frame::lossy);
        let own = messages.filter(|m| ends.iter().any(|end| m.trim_end().ends_with(end)));
        own.map(|message| {
            let (priority, _) = message.split_once(">1 ").unwrap();
            let name = message.split(' ').nth(3).unwrap();
            format!("{priority}> {}", name.replace(&engine.name(""), ""))
        })
        .collect::<Vec<_>>()
    });
    heads.sort();
    heads
}

#[test]
fn label_settings_name_a_container_and_give_it_facility_and_severities() {
    let engine = Engine::new("labels");
    let own: [(&str, &[&str]); 4] = [
        ("plain", &[]),
        ("tagged", &["downspout.tag=shop/web"]),
        ("local", &["downspout.facility=local3", "downspout.severity_stderr=crit"]),
        ("bad", &["downspout.facility=local9", "downspout.severity_stdout=notice"]),
    ];
    for (name, labels) in own {
        wait_printed(&labelled(engine.container(name), labels).run(BOTH), 1, SOON);
    }
    let wanted = |allowed: bool| {
        let heads: &[&str] = if allowed {
            &[
                "<11> bad",
                "<11> plain",
                "<11> shop/web",
                "<13> bad",
                "<14> plain",
                "<14> shop/web",
                "<154> local",
                "<158> local",
            ]
        } else {
            &[
                "<11> bad",
                "<11> local",
                "<11> plain",
                "<11> tagged",
                "<14> bad",
                "<14> local",
                "<14> plain",
                "<14> tagged",
            ]
        };
        heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>()
    };
    for (allowed, is_logspout) in [("all", true), ("all", false), ("none", true)] {
        let receiver = TcpReceiver::start();
        let mut launch = Launch::new().env("BACKLOG", "true").env("DOWNSPOUT_LABELS", allowed);
        if is_logspout {
            // A tag by label wins over the operator's template, as its owner knows it best.
            launch = launch.env("SYSLOG_TCP_FRAMING", "octet-counted");
            launch = launch.env("SYSLOG_TAG", "{{.ContainerName}}");
        }
        let filter = format!("select.name={}", engine.name("*"));
        let route = format!("{}?{filter}", receiver.route());
        let agent = launch.arg(route).ready();
        let wanted = wanted(allowed == "all");
        until(&format!("all heads, with {allowed} allowed"), SOON, || {
            let came = heads(&receiver, &engine, &["out", "err"]);
            check(came == wanted, || format!("{came:?}"))
        });
        assert_eq!(agent.terminate().code, Some(0));
    }
}

#[test]
fn label_settings_join_lines_where_the_route_does_not_and_leave_them_where_it_does() {
    let engine = Engine::new("label-join");
    let trace =
        "printf 'before\\njava.lang.RuntimeException: no\\n\\tat a.B.c(D.java:1)\\nafter\\n'";
    let script = format!("{trace}; exec sleep 1000");
    let own: [(&str, &[&str]); 4] = [
        ("java", &["downspout.multiline=java"]),
        ("silent", &[]),
        ("off", &["downspout.multiline=off"]),
        ("unknown", &["downspout.multiline=cobol"]),
    ];
    let names = own.map(|(name, labels)| labelled(engine.container(name), labels).run(&script));
    for name in &names {
        wait_printed(name, 4, SOON);
    }
    let joined = ["before", "java.lang.RuntimeException: no\n\tat a.B.c(D.java:1)", "after"];
    let apart = ["before", "java.lang.RuntimeException: no", "\tat a.B.c(D.java:1)", "after"];
    let [plain, multiline] = [TcpReceiver::start(), TcpReceiver::start()];
    let mut agent = Launch::new()
        .env("BACKLOG", "true")
        .arg(plain.route())
        .arg(format!("multiline+{}", multiline.route()))
        .ready();
    for (receiver, wanted) in [
        (&plain, [&joined[..], &apart, &apart, &apart]),
        (&multiline, [&joined[..], &joined, &apart, &joined]),
    ] {
        for (name, wanted) in names.iter().zip(wanted) {
            let lines = receiver.inbox.wait_lines(name, wanted.len(), SOON);
            let lines: Vec<_> =
                lines.iter().map(|(_, text)| String::from_utf8_lossy(text)).collect();
            assert_eq!(lines, wanted, "{name}");
        }
    }
    agent.logged("the preset that there is not", |line| {
        line.contains(&names[3]) && line.contains("label downspout.multiline: \"cobol\"")
    });
}

#[test]
fn label_settings_bound_a_containers_rate_and_every_line_is_accounted_for() {
    const PRINTED: u64 = 5_000;
    let engine = Engine::new("label-rate");
    let receiver = TcpReceiver::start();
    let route = engine.only(&receiver.route());
    let agent = Launch::new().arg(route).ready();
    let start = labelled(engine.container("fast"), &["downspout.rate=100/s"]);
    let print = printing(Stream::Out, &(1..=PRINTED), 40);
    let name = start.run(&print);
    let slow = labelled(engine.container("slow"), &["downspout.rate=100/s"]);
    let slow = slow.run(&printing(Stream::Out, &(1..=100), 40));
    // The end of the log is when what was given up is announced at the latest.
    let notices = || -> Vec<String> {
        let lines = receiver.inbox.lines_of("downspout");
        lines.iter().map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect()
    };
    let destination = receiver.route();
    agent.wait_for("all was read", SOON, |metrics| {
        let told: u64 =
            notices().iter().filter_map(|n| n.split(' ').next()?.parse::<u64>().ok()).sum();
        let read = metrics.of("lines_read_total", &destination);
        let delivered = metrics.of("lines_delivered_total", &destination);
        let dropped = metrics.labelled("lines_dropped_total", &destination, ("reason", "rate"));
        let said = notices().len() as u64;
        read == PRINTED + 100 + said
            && read == delivered + dropped
            && told == dropped
            && dropped > 0
    });
    let dropped = agent.metrics().labelled("lines_dropped_total", &destination, ("reason", "rate"));
    let came = receiver.inbox.lines_of(&name).len() as u64;
    assert_eq!(came + dropped, PRINTED);
    assert!((100..PRINTED / 2).contains(&came), "{came} lines came");
    assert_eq!(receiver.inbox.lines_of(&slow).len(), 100, "nobody else pays for it");
    for notice in notices() {
        let about = notice.contains(&format!("of {name} ("));
        assert!(
            about && notice.ends_with("faster than its label downspout.rate allows"),
            "{notice}"
        );
    }
    // The first lines are those that are kept, and each came once.
    let lines = receiver.inbox.lines_of(&name);
    assert!(lines[0].1.starts_with(b"000001 "), "{:?}", lines[0]);
    assert!(lines.is_sorted_by(|one, other| one.1 < other.1));
    assert_eq!(agent.terminate().code, Some(0));
}

#[test]
fn label_settings_that_do_not_hold_are_counted_and_said_once_per_container() {
    let engine = Engine::new("label-bad");
    let receiver = TcpReceiver::start();
    let agent = Launch::new().env("BACKLOG", "true").arg(receiver.route()).ready();
    let mut site = Site::of(agent, receiver, engine);
    let evil = PlainReceiver::udp();
    let labels = [
        "downspout.tagg=x".to_owned(),
        "downspout.rate=fast".to_owned(),
        // No label says where lines go.
        format!("downspout.destination=udp://{}", evil.1),
        format!("downspout.route=udp://{}", evil.1),
    ];
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    let name = labelled(site.engine.container("a"), &labels).run("echo line; exec sleep 1000");
    site.receiver.inbox.wait_lines(&name, 1, SOON);
    let words = [
        "downspout.tagg=x: |'tag'",
        "downspout.rate=fast: |100/s",
        "downspout.destination=",
        "downspout.route=",
    ];
    for words in words {
        site.agent.logged("the label and its cure", |line| {
            line.contains(&name) && words.split('|').all(|word| line.contains(word))
        });
    }
    Engine::docker(&["restart", "-t", "0", &name]);
    site.receiver.inbox.wait_lines(&name, 2, SOON);
    Engine::docker(&["rename", &name, &site.engine.name("b")]);
    site.pass_a_marker();
    // Other tests' containers may have problems as well.
    until("each that was said is counted", SOON, || {
        let count = site.agent.metrics().value("label_problems_total");
        let said = site.agent.log().matches(" WARN label downspout.").count() as u64;
        check(count == said && said >= 4, || format!("{count} counted, {said} said"))
    });
    let log = site.agent.log();
    let own = log.lines().filter(|line| line.contains(&name) && line.contains("label downspout."));
    assert_eq!(own.count(), 4, "{log}");
    assert_eq!(log.matches("label downspout.tagg=x: ").count(), 1, "{log}");
    assert_eq!(evil.0.inbox.count(), 0);
}

#[test]
fn label_settings_are_turned_off_by_one_word_and_each_that_does_nothing_is_said() {
    let launch = |launch: Launch| launch.env("DOWNSPOUT_LABELS", "tag").env("SYSLOG_PID", "1");
    let engine = Engine::new("label-off");
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    let mut agent = launch(Launch::new()).arg(receiver.route()).ready();
    let tag = engine.name("tag");
    let start = labelled(
        engine.container("a"),
        &[&format!("downspout.tag={tag}"), "downspout.enable=false", "downspout.facility=kern"],
    );
    let name = start.run("echo line");
    // Only the tag is allowed, so that it is shipped, as what it calls itself.
    assert_eq!(receiver.inbox.wait_lines(&tag, 1, SOON), [(Stream::Out, b"line".to_vec())]);
    for word in ["downspout.enable=false", "downspout.facility=kern"] {
        agent.logged("what is not allowed", |line| {
            line.contains(&name) && line.contains(word) && line.contains("DOWNSPOUT_LABELS=tag")
        });
    }
}
