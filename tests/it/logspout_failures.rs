//! logspout's failures, by the numbers of its catalogue: the scene in which each was measured, with
//! logspout's own variables and URIs, and what becomes of it here. What is said of logspout was
//! measured with its last version. F13 is in `routes_api`, F14 and what clients of `/logs` do of F2 and
//! F12 in `live_tails`, F15 in `image`, F16 in `logspout_variables`.

use std::net::{SocketAddr, UdpSocket};

use crate::lives::{a_crash_loop, sixty_are_started_six_at_a_time, twenty_remove_themselves};
use crate::support::agent::Launch;
use crate::support::byte_receiver::ByteReceiver;
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing, text};
use crate::support::proxy::Proxy;
use crate::support::receiver::{After, Close, Conduct, Frame, Framing, PlainReceiver, TcpReceiver};
use crate::support::site::{Site, wait_printed};
use crate::support::{SOON, check, until};

/// What came of one stream of a container as bare lines: those of a file whose lines are numbered.
#[track_caller]
fn wait_bare(receiver: &ByteReceiver, count: u64, width: usize) {
    let wanted: String =
        (1..=count).map(|number| text(Stream::Out, number, width) + "\n").collect();
    until("every bare line", SOON, || {
        let came = String::from_utf8_lossy(&receiver.bytes()).into_owned();
        check(came == wanted, || format!("{} of {} bytes", came.len(), wanted.len()))
    });
}

/// F1: after `RETRY_COUNT` logspout ends with a panic, exit 2; its `raw` at the first error. Here
/// nothing ends, and with no retries allowed all lines come once the peer is back.
#[test]
fn logspout_f1_a_destination_that_breaks_ends_nothing_whatever_retry_count_says() {
    for scheme in ["syslog+tcp", "multiline+syslog+tcp"] {
        let receiver = TcpReceiver::scripted(Framing::Lf, []);
        let uri = format!("{scheme}://{}", receiver.address());
        let launch = Launch::fed().env("SYSLOG_FORMAT", "rfc5424").env("RETRY_COUNT", "0");
        let mut agent = launch.env("DOWNSPOUT_BACKOFF_MAX", "50ms").arg(&uri).start();
        let mut expected = Expected::new(60);
        agent.ship_line(1, &mut expected, &receiver.inbox);
        receiver.refuse();
        receiver.close_all(Close::Reset);
        agent.feed(&format!("web-1 stdout {}\n", text(Stream::Out, 2, 60)));
        agent.wait_for("several attempts fail", SOON, |metrics| {
            metrics.of("destination_up", &uri) == 0 && metrics.of("faults_total", &uri) >= 5
        });
        assert!(agent.is_running(), "{scheme}");
        receiver.accept_again();
        agent.ship_line(3, &mut expected, &receiver.inbox);
        agent.end_of_input();
        assert_eq!(agent.finish(SOON).code, Some(0), "{scheme}");
        receiver.inbox.tally(&expected).complete().unwrap();
    }
}

/// F1: the bare line is no worse off. logspout's `raw` ends its process, and behind `multiline` it
/// hangs with `/health` still fine.
#[test]
fn logspout_f1_bare_lines_come_again_after_a_break_and_health_tells_of_it() {
    for scheme in ["tcp", "multiline+raw+tcp"] {
        let first = TcpReceiver::scripted(Framing::Lf, [Conduct::Fin(After::Frames(1))]);
        let uri = format!("{scheme}://{}", first.address());
        let launch = Launch::fed().env("DOWNSPOUT_BACKOFF_MAX", "50ms");
        let mut agent = launch.arg(&uri).start();
        for number in 1..=5 {
            agent.feed(&format!("web-1 stdout {number}\n"));
            let wanted = number.to_string().into_bytes();
            first.inbox.wait("the line", SOON, |frames| {
                check(frames.iter().any(|frame| frame.bytes == wanted), String::new)
            });
        }
        first.refuse();
        first.close_all(Close::Fin);
        until("it is not ready", SOON, || {
            let (status, body) = agent.page("/readyz");
            check(status == 503, || format!("{status} {body}"))
        });
        first.accept_again();
        agent.wait_ready();
        agent.end_of_input();
        assert_eq!(agent.finish(SOON).code, Some(0), "{scheme}");
    }
}

/// F2: a TCP peer that stops reading stalled logspout's UDP route after 135 messages, then 0 came;
/// of a container that was started later 1 of 50 lines got out. Here all do.
#[test]
fn logspout_f2_a_peer_that_stops_reading_holds_up_no_other_route_and_no_later_container() {
    let stuck = TcpReceiver::scripted(Framing::Lf, [Conduct::Stall]);
    let (sound, address) = PlainReceiver::udp();
    let engine = Engine::new("f2");
    let routes = [stuck.route(), format!("syslog://{address}")].map(|route| engine.only(&route));
    let agent = Launch::as_logspout().env("ROUTE_URIS", routes.join(",")).ready();
    // So many in a burst are more than a receiver of datagrams must take.
    let filling = printing(Stream::Out, &(1..=20_000), 200);
    let bursts: String = (20_000..20_500)
        .step_by(100)
        .map(|last| {
            format!("{}; usleep 50000; ", printing(Stream::Out, &(last + 1..=last + 100), 200))
        })
        .collect();
    let wait = "until [ -e /tmp/go ]; do usleep 20000; done";
    let first = engine.container("a").run(&format!("{filling}; {wait}; {bursts}exec sleep 1000"));
    agent.wait_for("the stuck one is full, and the other has sent all", 2 * SOON, |metrics| {
        let sent = metrics.of("lines_delivered_total", &format!("syslog://{address}"));
        let read = metrics.of("lines_delivered_total", &stuck.route());
        sent >= 20_000 && read < 20_000 && metrics.of("window_bytes", &stuck.route()) > 0
    });
    let arrived = |name: &str, from: &[u8]| {
        sound.inbox.with(|frames| {
            let records = frames.iter().filter_map(Frame::rfc5424);
            let own = records.filter(|record| record.container == name && record.text >= from);
            own.count()
        })
    };
    Engine::docker(&["exec", &first, "touch", "/tmp/go"]);
    until("all lines from then on", SOON, || {
        let came = arrived(&first, b"020001");
        check(came == 500, || format!("{came} came"))
    });
    let later = engine.container("b").run(&printing(Stream::Out, &(1..=50), 200));
    until("all lines of the later one", SOON, || {
        let came = arrived(&later, b"");
        check(came == 50, || format!("{came} came"))
    });
    assert_eq!(agent.metrics().of("lines_dropped_total", &stuck.route()), 0);
    let mut expected = Expected::new(200);
    expected.add(&first, Stream::Out, 1..=20_500);
    expected.add(&later, Stream::Out, 1..=50);
    stuck.behave();
    stuck.inbox.wait_complete(&expected, 2 * SOON);
}

/// F3: of 60 containers started six at a time logspout missed 5, all their lines. Here none.
#[test]
fn logspout_f3_none_of_sixty_containers_started_six_at_a_time_is_missed() {
    sixty_are_started_six_at_a_time(Site::as_logspout(Engine::new("f3"), |launch| launch));
}

/// F4: of a container that prints a line and crashes logspout shipped 1,073 lines for 7 printed, and
/// opened its log 2,652 times. Here 7 for 7.
#[test]
fn logspout_f4_a_crash_loop_is_shipped_as_often_as_it_prints() {
    a_crash_loop(Site::as_logspout(Engine::new("f4"), |launch| launch));
}

/// F5: over a restart logspout loses what was printed meanwhile, or with `BACKLOG=true` sends the
/// container's whole life again. Here each line comes once, either way.
#[test]
fn logspout_f5_a_restart_loses_nothing_and_repeats_nothing_with_or_without_backlog() {
    for backlog in ["", "true"] {
        let engine = Engine::new("f5");
        let (receiver, state) =
            (TcpReceiver::scripted(Framing::Lf, []), tempfile::tempdir().unwrap());
        let launch = || {
            let launch = Launch::as_logspout().env("BACKLOG", backlog);
            launch.env("DOWNSPOUT_STATE_DIR", state.path()).arg(receiver.route()).ready()
        };
        let agent = launch();
        let name = engine.container("a").run("exec sleep 1000");
        let say = |number: u64| Site::say(&name, &text(Stream::Out, number, 8));
        say(1);
        receiver.inbox.wait_lines(&name, 1, SOON);
        assert_eq!(agent.terminate().code, Some(0));
        say(2);
        let agent = launch();
        say(3);
        receiver.inbox.wait_lines(&name, 3, SOON);
        // Stopped and started again, its old log is not new.
        Engine::docker(&["restart", "-t", "0", &name]);
        say(4);
        let mut expected = Expected::new(8);
        expected.add(&name, Stream::Out, 1..=4);
        receiver.inbox.wait_complete(&expected, SOON);
        assert_eq!(agent.terminate().code, Some(0));
        receiver.inbox.tally(&expected).assert_complete();
    }
}

/// F5, F8: after each silence of `INACTIVITY_TIMEOUT` logspout opens the log again by whole seconds,
/// and of 9 lines in 14 s sent several twice. Here each comes once.
#[test]
fn logspout_f5_f8_the_inactivity_timeout_repeats_nothing() {
    let api =
        |launch: Launch| launch.env("INACTIVITY_TIMEOUT", "100ms").env("DOWNSPOUT_STRATEGY", "api");
    let site = Site::as_logspout(Engine::new("f8"), api);
    let script =
        "i=1; while [ $i -le 9 ]; do printf '%06d o\\n' $i; i=$((i+1)); usleep 300000; done";
    let name = site.engine.container("a").run(script);
    let mut expected = Expected::new(8);
    expected.add(&name, Stream::Out, 1..=9);
    site.assert_all_arrive(&expected);
}

/// F8: a rotated log hung logspout's stream for good in the engines of its day. Here a log that is
/// rotated many times over comes whole.
#[test]
fn logspout_f8_a_log_that_is_rotated_many_times_comes_whole() {
    let site = Site::as_logspout(Engine::new("f8-rotated"), |launch| launch);
    let start = site.engine.container("a").option("--log-opt=max-size=100k");
    let name = start.option("--log-opt=max-file=30").run(&printing(Stream::Out, &(1..=8_000), 100));
    let mut expected = Expected::new(100);
    expected.add(&name, Stream::Out, 1..=8_000);
    site.assert_all_arrive(&expected);
}

/// F6: of 20 containers that remove themselves logspout lost 16. Here none.
#[test]
fn logspout_f6_nothing_is_lost_of_twenty_containers_that_remove_themselves() {
    twenty_remove_themselves(Site::as_logspout(Engine::alone("f6"), |launch| launch));
}

/// F7: logspout loses a line at each close of the peer: 9 of 100 with a close after every 10. Here
/// none, as syslog and as bare lines.
#[test]
fn logspout_f7_a_peer_that_closes_after_every_ten_lines_costs_none_of_a_hundred() {
    // What is under way when a link is reset makes some links carry more than ten lines.
    let ways =
        [(Conduct::Fin(After::Frames(10)), 10), (Conduct::ResetDrained(After::Frames(10)), 5)];
    for (how, links) in ways {
        let receiver = TcpReceiver::scripted(Framing::Lf, [how; 9]);
        let launch = Launch::fed().env("SYSLOG_FORMAT", "rfc5424").env("RETRY_COUNT", "10");
        let mut agent = launch.env("DOWNSPOUT_BACKOFF_MAX", "50ms").arg(receiver.route()).start();
        let mut expected = Expected::new(60);
        for number in 1..=100 {
            agent.ship_line(number, &mut expected, &receiver.inbox);
        }
        agent.end_of_input();
        assert_eq!(agent.finish(SOON).code, Some(0));
        let tally = receiver.inbox.tally(&expected);
        tally.complete().unwrap();
        assert_eq!((tally.reordered, tally.garbled.len()), (0, 0), "{how:?}: {tally}");
        assert!(receiver.connections() >= links, "{how:?}: {}", receiver.connections());
    }
}

/// F9: where a destination is down at the start logspout ends with exit 1. Here it starts, says so,
/// and delivers once the destination is there; a name that is unknown hurts no other route.
#[test]
fn logspout_f9_a_destination_that_is_down_at_the_start_gets_its_lines_later() {
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    receiver.refuse();
    let engine = Engine::new("f9");
    let mut agent = Launch::as_logspout()
        .env("DOWNSPOUT_BACKOFF_MAX", "100ms")
        .env("ROUTE_URIS", format!("{},syslog+tcp://logs.invalid:514", receiver.route()))
        .start();
    agent.wait_for("it follows containers", SOON, |metrics| metrics.value("source_up") == 1);
    let name = engine.container("a").run(&printing(Stream::Out, &(1..=100), 40));
    Engine::wait(&name);
    agent.logged("the name", |line| line.contains("logs.invalid") && line.contains("is down"));
    assert_eq!(agent.page("/readyz").0, 503);
    receiver.accept_again();
    let mut expected = Expected::new(40);
    expected.add(&name, Stream::Out, 1..=100);
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
}

/// F10: once nobody listened logspout gives up every second datagram, 5 of 10. Here all that are
/// sent once somebody listens again arrive.
#[test]
fn logspout_f10_datagrams_arrive_again_as_soon_as_somebody_listens() {
    let address: SocketAddr = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut agent = Launch::fed().arg(format!("udp://{address}")).start();
    agent.feed(&"web stdout nobody\n".repeat(10));
    agent.wait_for("nobody took them", SOON, |metrics| {
        metrics.of("lines_read_total", &format!("udp://{address}")) == 10
    });
    let receiver = PlainReceiver::udp_at(address);
    for number in 1..=10 {
        agent.feed(&format!("web stdout line {number}\n"));
    }
    agent.end_of_input();
    assert_eq!(agent.finish(SOON).code, Some(0));
    receiver.inbox.wait("every later line", SOON, |frames| {
        let came = |number: i32| {
            let wanted = format!("line {number}\n");
            frames.iter().filter(|frame| frame.bytes == wanted.as_bytes()).count() == 1
        };
        check((1..=10).all(came), || format!("{frames:?}"))
    });
}

/// F11: when the engine's events end logspout does, with exit 1. Here the agent goes on, and nothing
/// that was printed meanwhile is lost.
#[test]
fn logspout_f11_an_engine_that_goes_away_and_comes_back_ends_nothing_and_costs_no_line() {
    let (proxy, engine) = (Proxy::start(), Engine::new("f11"));
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    let launch = Launch::as_logspout().env("DOCKER_HOST", proxy.docker_host());
    let mut agent = launch.env("ROUTE_URIS", receiver.route()).ready();
    let name = engine.container("a").run("echo 000001 o; exec sleep 1000");
    receiver.inbox.wait_lines(&name, 1, SOON);
    proxy.vanish();
    Site::say(&name, "000002 o");
    let other = engine.container("b").run("echo 000001 o; exec sleep 1000");
    wait_printed(&other, 1, SOON);
    agent.wait_for("it is noticed", SOON, |metrics| metrics.value("source_up") == 0);
    assert!(agent.is_running());
    proxy.appear();
    let mut expected = Expected::new(8);
    expected.add(&name, Stream::Out, 1..=2);
    expected.add(&other, Stream::Out, 1..=1);
    receiver.inbox.wait_complete(&expected, SOON);
    assert_eq!(agent.terminate().code, Some(0));
    receiver.inbox.tally(&expected).assert_complete();
}

/// F12: a container that never ends its line made logspout grow without a limit. Here it stays
/// within what it was given.
#[test]
fn logspout_f12_a_line_without_an_end_costs_no_memory_and_hurts_nobody() {
    const LIMIT_BYTES: u64 = 64 << 20;
    const PRINTED: usize = 40 << 20;
    let engine = Engine::new("f12");
    let receiver = TcpReceiver::scripted(Framing::Lf, []);
    let uri = engine.only(&receiver.route());
    let agent = Launch::as_logspout().arg(uri).ready();
    let script = format!("head -c {PRINTED} /dev/zero | tr '\\000' x; exec sleep 1000");
    let endless = engine.container("a").option("--log-opt=max-size=200m").run(&script);
    let other = engine.container("b").run("echo here");
    receiver.inbox.wait_lines(&other, 1, SOON);
    // All but what may still be held as the open end of the line.
    until("the parts of the line", 2 * SOON, || {
        let lines = receiver.inbox.lines_of(&endless);
        let bytes: usize = lines.iter().map(|(_, line)| line.len()).sum();
        check(bytes + (1 << 20) >= PRINTED, || format!("{bytes} bytes"))
    });
    let peak = agent.peak_resident_bytes();
    assert!(peak <= LIMIT_BYTES, "{peak} bytes resident");
    assert_eq!(agent.terminate().code, Some(0));
}

/// F17: logspout passes over `local` without a word. Here it is shipped as all others.
#[test]
fn logspout_f17_the_driver_local_is_shipped_too() {
    let site = Site::as_logspout(Engine::new("f17"), |launch| launch);
    let start = site.engine.container("a").driver("local");
    let name = start.run(&printing(Stream::Out, &(1..=100), 40));
    let mut expected = Expected::new(40);
    expected.add(&name, Stream::Out, 1..=100);
    site.assert_all_arrive(&expected);
}

/// F18: logspout cut a trace that was printed at 100 ms a line into 5 pieces, since its timer cuts
/// records that are young. Here it is one.
#[test]
fn logspout_f18_a_trace_that_is_printed_slowly_is_one_record() {
    let engine = Engine::new("f18");
    let receiver = ByteReceiver::start();
    let agent = Launch::new()
        .env("RAW_FORMAT", "{{toJSON .Data}}\n")
        .arg(format!("multiline+raw+tcp://{}?filter.name={}", receiver.address(), engine.name("a")))
        .ready();
    let lines = "for i in 1 2 3 4 5 6 7 8 9; do usleep 100000; echo \"  at $i\"; done";
    engine.container("a").run(&format!("echo Error; {lines}; exec sleep 1000"));
    let ats: String = (1..=9).map(|number| format!("\\n  at {number}")).collect();
    let wanted = format!("\"Error{ats}\"\n");
    until("the record", SOON, || {
        let came = String::from_utf8(receiver.bytes()).unwrap();
        check(came == wanted, || came)
    });
    assert_eq!(agent.terminate().code, Some(0));
}

/// F19: over UDP logspout drops a line of more than 65,507 bytes. Here it comes cut, and is counted;
/// over TCP it comes whole.
#[test]
fn logspout_f19_a_line_too_long_for_a_datagram_comes_cut_and_is_counted() {
    let (datagrams, udp) = PlainReceiver::udp();
    let tcp = ByteReceiver::start();
    let engine = Engine::new("f19");
    let filter = format!("filter.name={}", engine.name("a"));
    let agent = Launch::new()
        .arg(format!("syslog://{udp}?{filter}"))
        .arg(format!("tcp://{}?{filter}", tcp.address()))
        .env("SYSLOG_TAG", "T")
        .ready();
    engine.container("a").run("head -c 100000 /dev/zero | tr '\\000' y; echo; echo after");
    let sizes = datagrams.inbox.wait("both datagrams", SOON, |frames| {
        check(frames.len() == 2, || frames.len().to_string())?;
        Ok(frames.iter().map(|frame| frame.bytes.len()).collect::<Vec<_>>())
    });
    assert!((65_000..=65_507).contains(&sizes[0]), "{sizes:?}");
    assert_eq!(agent.metrics().of("lines_truncated_total", &format!("syslog://{udp}")), 1);
    until("the whole line by TCP", SOON, || {
        let bytes = tcp.bytes();
        let whole = bytes.len() == 100_000 + 1 + 6 && bytes.ends_with(b"y\nafter\n");
        check(whole, || format!("{} bytes", bytes.len()))
    });
}

/// F20: with an orchestrator logspout's HOSTNAME is the container's id, and its `.Hostname` the text of
/// the template; Docker expands templates in a stack's variables itself. Here the name is the host's,
/// a template may stand in a file, which nobody expands, and labels of pods choose and name.
#[test]
fn logspout_f20_pods_are_chosen_and_named_by_their_labels_and_the_host_by_its_name() {
    let engine = Engine::new("f20");
    let (receiver, address) = PlainReceiver::udp();
    let hostname = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(hostname.path(), "{{.Hostname}}\n").unwrap();
    let label = |key: &str| format!("{{{{index .Container.Config.Labels \"{key}\"}}}}");
    let (namespace, pod) = ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name");
    let agent = Launch::new()
        .env("DOWNSPOUT_HOSTNAME", "")
        .env("SYSLOG_HOSTNAME_FILE", hostname.path())
        .env("SYSLOG_TAG", format!("{}[{}]", label(namespace), label(pod)))
        .env("SYSLOG_TIMESTAMP", "2026-01-02T03:04:05Z")
        .env("SYSLOG_PID", "1")
        .env("ROUTE_URIS", format!("syslog://{address}?filter.labels={namespace}:prod*"))
        .ready();
    for name in ["test", "prod-1"] {
        let start = engine.container(name).option(&format!("--label={namespace}={name}"));
        start.option(&format!("--label={pod}=web-0")).run(&format!("echo from {name}"));
    }
    let host = Engine::docker(&["info", "--format", "{{.Name}}"]);
    let wanted = format!("<14>1 2026-01-02T03:04:05Z {host} prod-1[web-0] 1 - - from prod-1\n");
    let came = receiver.inbox.wait("its line", SOON, |frames| {
        let first = frames.first().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned());
        first.ok_or_else(String::new)
    });
    assert_eq!(came, wanted);
    assert_eq!(agent.terminate().code, Some(0));
    assert_eq!(receiver.inbox.count(), 1, "the other is not chosen");
}

/// A replay of bare lines, to the byte, for what is said of `raw` above.
#[test]
fn logspout_bare_lines_of_a_thousand_come_once_and_in_order() {
    let mut expected = Expected::new(60);
    expected.add("web", Stream::Out, 1..=1000);
    let (file, receiver) = (expected.replay_file(), ByteReceiver::start());
    let ended =
        Launch::replaying(file.path()).arg(format!("tcp://{}", receiver.address())).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    wait_bare(&receiver, 1000, 60);
}
