//! Outputs that are no TCP connection: datagrams, unix sockets, standard output.

use crate::support::agent::Launch;
use crate::support::numbers::Expected;
use crate::support::receiver::{Framing, PlainReceiver};
use crate::support::{SOON, check};

#[test]
fn datagrams_and_unix_streams_carry_every_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (udp, address) = PlainReceiver::udp();
    let datagram = PlainReceiver::unix_datagram(&path("datagram"));
    let counted = PlainReceiver::unix_stream(&path("counted"), Framing::OctetCounting);
    let lf = PlainReceiver::unix_stream(&path("lf"), Framing::Lf);
    let expected = Expected::of_containers("web", 5, 50, 100);
    let file = expected.replay_file();
    let launch = Launch::replaying(file.path())
        .arg(format!("syslog+udp://{address}"))
        .arg(format!("syslog+unix://{}", path("datagram").display()))
        .arg(format!("syslog+unix-stream://{}", path("lf").display()))
        .arg(format!("syslog+unix-stream://{}?framing=octet-counting", path("counted").display()));
    let ended = launch.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for receiver in [udp, datagram, counted, lf] {
        receiver.inbox.wait_complete(&expected, SOON).assert_complete();
        receiver.inbox.assert_nothing_garbled();
    }
}

#[test]
fn f17_udp_without_a_receiver_never_blocks_and_suspects_the_loss() {
    // A connected socket holds the port and takes nothing from others: they get an ICMP error.
    let [held, peer] = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    held.connect(peer.local_addr().unwrap()).unwrap();
    let route = format!("syslog+udp://{}", held.local_addr().unwrap());
    let expected = Expected::of_containers("web", 5, 200, 100);
    let mut agent = Launch::fed().arg(&route).start();
    agent.feed(&expected.replay());
    agent.wait_for("all handed over", SOON, |metrics| {
        metrics.of("lines_delivered_total", &route) == expected.count()
    });
    agent.assert_balance(&route);
    assert!(agent.metrics().of("lines_suspected_lost_total", &route) > 0);
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
}

#[test]
fn f17_udp_messages_over_the_limit_are_cut_to_it_counted_and_none_is_missing() {
    const LIMIT: usize = 1024;
    let (udp, address) = PlainReceiver::udp();
    let name = format!("syslog+udp://{address}");
    let route = format!("{name}?max_message_bytes={LIMIT}&format=rfc5424&sd=meta");
    let mut agent = Launch::fed().arg(route).start();
    let lengths = [10, 800, 5_000, 70_000, 100_000, 20];
    for length in lengths {
        agent.feed(&format!("web stdout {}\n", "y".repeat(length)));
    }
    let frames = udp.inbox.wait("all of them", SOON, |frames| {
        check(frames.len() >= lengths.len(), || frames.len().to_string())?;
        Ok(frames.iter().map(|frame| frame.bytes.clone()).collect::<Vec<_>>())
    });
    for (number, (frame, length)) in frames.iter().zip(lengths).enumerate() {
        let text = String::from_utf8_lossy(frame);
        assert!(text.contains(&format!("sequenceId=\"{}\"", number + 1)), "a gap at {number}");
        let whole = text.ends_with(&format!(" {}", "y".repeat(length)));
        assert!(
            if length < 900 { whole } else { frame.len() == LIMIT },
            "{length}: {}",
            frame.len()
        );
    }
    assert_eq!(agent.metrics().of("lines_truncated_total", &name), 3);
    agent.assert_balance(&name);
}

#[test]
fn a_unix_socket_that_is_not_there_yet_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let route = format!("syslog+unix://{}", path.display());
    let expected = Expected::of_containers("web", 2, 50, 100);
    let file = expected.replay_file();
    let launch = Launch::replaying(file.path()).env("DOWNSPOUT_BACKOFF_MAX", "200ms");
    let agent = launch.env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "60s").arg(&route).start();
    agent.wait_for("an attempt", SOON, |metrics| metrics.of("faults_total", &route) > 0);
    let receiver = PlainReceiver::unix_datagram(&path);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    assert_eq!(agent.finish(SOON).code, Some(0));
}

const HOSTILE: &str = "web-1 stdout plain\nlong-name-2 stderr \u{1b}[31mred\u{7}\n";

fn printed(route: Option<&str>) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), HOSTILE).unwrap();
    let launch = Launch::replaying(file.path());
    let ended = match route {
        Some(route) => launch.arg(route),
        None => launch,
    }
    .finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

#[test]
fn without_a_route_readable_lines_go_to_standard_output() {
    let printed = printed(None);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    let line = |name: &str| lines.iter().find(|line| line.contains(name)).copied().unwrap();
    assert!(line("web-1").ends_with("plain"), "{printed}");
    assert!(line("long-name-2").contains("red"), "{printed}");
    assert!(!line("web-1").contains('\u{1b}'), "colour in a pipe: {printed:?}");
}

#[test]
fn standard_output_gives_a_json_object_per_line() {
    let printed = printed(Some("stdout://?format=json"));
    let objects: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(objects.len(), 2, "{printed}");
    for text in ["web-1", "stdout", "plain", "long-name-2", "stderr", "\u{1b}[31mred\u{7}"] {
        let holds = |object: &serde_json::Value| {
            object.as_object().unwrap().values().any(|value| value.as_str() == Some(text))
        };
        assert!(objects.iter().any(holds), "{text:?} is no value in {printed}");
    }
}

#[test]
fn standard_output_gives_the_bare_lines_when_asked_for() {
    assert_eq!(printed(Some("stdout://?format=raw")).lines().count(), 2);
    assert!(printed(Some("stdout://?format=raw")).contains("plain\n"));
}
