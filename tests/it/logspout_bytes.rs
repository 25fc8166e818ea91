//! What logspout puts on the wire, byte for byte: whoever changes only the image must not have to
//! change a receiver. The expected bytes were captured from logspout itself, or follow from its
//! source, and are written out here.

use std::process::Command;

use crate::support::agent::Launch;
use crate::support::byte_receiver::ByteReceiver;
use crate::support::engine::Engine;
use crate::support::numbers::Stream;
use crate::support::receiver::PlainReceiver;
use crate::support::site::wait_printed;
use crate::support::{SOON, check, until};

/// The host name of the container from which logspout's bytes were captured.
const HOST: &str = "8dfafdbc3a40";
const STAMP: &str = "2026-01-02T03:04:05Z";

/// Names and values.
type Variables<'a> = &'a [(&'a str, &'a str)];
/// What becomes of a line.
type Made<'a> = &'a dyn Fn(&str) -> String;

/// What the container prints: blanks, an empty line and control characters are kept.
const OUT: [&str; 6] = ["hello", "h\u{e9}llo", "  lead and trail  ", "", "esc \x1b[1m", "cr\r"];
const ERR: [&str; 1] = ["oops"];

fn printing() -> String {
    let print = |lines: &[&str], place: &str| {
        let octal = |line: &&str| line.bytes().map(|b| format!("\\{b:03o}")).collect::<String>();
        lines.iter().map(|line| format!("printf '{}\\n'{place}; ", octal(line))).collect::<String>()
    };
    format!("{}{}exec sleep 1000", print(&OUT, ""), print(&ERR, " >&2"))
}

/// What came over the two transports.
struct Arrived {
    tcp: Vec<u8>,
    datagrams: Vec<Vec<u8>>,
}

/// Ships what one container printed on one stream by `udp` and `tcp`, with these variables and
/// options and nothing else; returns all bytes once the agent has ended.
#[track_caller]
fn ship(
    container: &str,
    (schemes, options): ([&str; 2], &str),
    stream: Stream,
    variables: &[(&str, &str)],
) -> Arrived {
    let (datagrams, udp) = PlainReceiver::udp();
    let tcp = ByteReceiver::start();
    let filter = format!("filter.name={container}&filter.sources={}", stream.name());
    let [by_udp, by_tcp] = schemes;
    let uris = format!(
        "{by_udp}://{udp}?{filter}&{options},{by_tcp}://{}?{filter}&{options}",
        tcp.address()
    );
    let mut launch = Launch::new().env("ROUTE_URIS", uris).env("BACKLOG", "true").env("TZ", "UTC");
    for (name, value) in variables {
        launch = launch.env(name, value);
    }
    let agent = launch.ready();
    let count = if stream == Stream::Out { OUT.len() } else { ERR.len() } as u64;
    agent.wait_for("all lines are delivered", SOON, |metrics| {
        [format!("{by_udp}://{udp}"), format!("{by_tcp}://{}", tcp.address())]
            .iter()
            .all(|route| metrics.of("lines_delivered_total", route) == count)
    });
    datagrams.inbox.wait("all datagrams", SOON, |frames| {
        check(frames.len() as u64 >= count, || frames.len().to_string())
    });
    let ended = agent.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // What the kernel has taken is read to its end by then.
    let mut last = Vec::new();
    let tcp = until("no more bytes come", SOON, || {
        let now = tcp.bytes();
        let settled = !now.is_empty() && now == last;
        last.clone_from(&now);
        check(settled, || format!("{} bytes", last.len()))?;
        Ok(now)
    });
    let datagrams = datagrams.inbox.with(|all| all.iter().map(|f| f.bytes.clone()).collect());
    Arrived { tcp, datagrams }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[track_caller]
fn assert_bytes(what: &str, arrived: &Arrived, messages: &[String], is_counted: bool) {
    let counted = |message: &String| {
        let count = if is_counted { format!("{} ", message.len()) } else { String::new() };
        count + message
    };
    let stream: String = messages.iter().map(counted).collect();
    assert_eq!(shown(&arrived.tcp), shown(stream.as_bytes()), "over TCP, {what}");
    let datagrams: Vec<_> = arrived.datagrams.iter().map(|bytes| shown(bytes)).collect();
    let wanted: Vec<_> = messages.iter().map(|message| shown(message.as_bytes())).collect();
    assert_eq!(datagrams, wanted, "over UDP, {what}");
}

/// One row of the table: variables, options of the route, the stream, and what stands before the
/// line and behind it, with `NAME` for the container's name.
struct Row<'a> {
    variables: &'a [(&'a str, &'a str)],
    options: &'a str,
    stream: Stream,
    head: String,
    end: &'a str,
}

fn row<'a>(
    variables: &'a [(&'a str, &'a str)],
    options: &'a str,
    stream: Stream,
    head: impl Into<String>,
) -> Row<'a> {
    Row { variables, options, stream, head: head.into(), end: "" }
}

fn golden(name: &str, rows: &[Row<'_>]) {
    let engine = Engine::new(name);
    let start = engine.container("web").option(&format!("--hostname={HOST}"));
    let name = start.option("--label=team=shop").run(&printing());
    wait_printed(&name, OUT.len(), SOON);
    for Row { variables, options, stream, head, end } in rows {
        let fixed = [("SYSLOG_TIMESTAMP", STAMP), ("SYSLOG_PID", "4242")];
        let kept = fixed.iter().filter(|(name, _)| !variables.iter().any(|(own, _)| own == name));
        let all: Vec<_> = kept.chain(*variables).copied().collect();
        let arrived = ship(&name, (["syslog", "syslog+tcp"], options), *stream, &all);
        let lines = if *stream == Stream::Out { &OUT[..] } else { &ERR[..] };
        let head = head.replace("NAME", &name);
        let messages: Vec<_> = lines.iter().map(|line| format!("{head}{line}{end}\n")).collect();
        let is_counted = variables.contains(&("SYSLOG_TCP_FRAMING", "octet-counted"));
        assert_bytes(&format!("{variables:?} {options}"), &arrived, &messages, is_counted);
    }
}

#[test]
fn logspout_the_golden_rows_of_both_formats_and_framings_are_the_same_to_the_byte() {
    let counted = &[("SYSLOG_TCP_FRAMING", "octet-counted")];
    let old = &[("SYSLOG_FORMAT", "rfc3164")];
    let old_counted = &[("SYSLOG_FORMAT", "rfc3164"), ("SYSLOG_TCP_FRAMING", "octet-counted")];
    golden(
        "gold",
        &[
            row(&[], "", Stream::Out, "<14>1 2026-01-02T03:04:05Z 8dfafdbc3a40 NAME 4242 - - "),
            row(&[], "", Stream::Err, "<11>1 2026-01-02T03:04:05Z 8dfafdbc3a40 NAME 4242 - - "),
            row(old, "", Stream::Out, "<14>2026-01-02T03:04:05Z 8dfafdbc3a40 NAME[4242]: "),
            row(old, "", Stream::Err, "<11>2026-01-02T03:04:05Z 8dfafdbc3a40 NAME[4242]: "),
            row(counted, "", Stream::Out, "<14>1 2026-01-02T03:04:05Z 8dfafdbc3a40 NAME 4242 - - "),
            row(old_counted, "", Stream::Out, "<14>2026-01-02T03:04:05Z 8dfafdbc3a40 NAME[4242]: "),
        ],
    );
}

#[test]
fn logspout_the_golden_rows_of_structured_data_are_the_same_to_the_byte() {
    let data = &[("SYSLOG_STRUCTURED_DATA", "tok@41058 tag=\"x\"")];
    let old = &[("SYSLOG_STRUCTURED_DATA", "tok@41058 tag=\"x\""), ("SYSLOG_FORMAT", "rfc3164")];
    let empty = &[("SYSLOG_STRUCTURED_DATA", "{{index .Container.Config.Labels \"none\"}}")];
    let with = |data: &str| format!("<14>1 2026-01-02T03:04:05Z 8dfafdbc3a40 NAME 4242 - {data} ");
    golden(
        "gold-sd",
        &[
            row(data, "", Stream::Out, with("[tok@41058 tag=\"x\"]")),
            row(old, "", Stream::Out, "<14>2026-01-02T03:04:05Z 8dfafdbc3a40 NAME[4242]: "),
            row(data, "structured_data=own%2041", Stream::Out, with("[own 41]")),
            row(&[], "structured_data=in-{{.Source}}", Stream::Out, with("[in-stdout]")),
            // logspout would write brackets with nothing between, which no receiver may take.
            row(empty, "", Stream::Out, with("-")),
        ],
    );
}

#[test]
fn logspout_the_golden_rows_of_tags_are_the_same_to_the_byte() {
    let old = ("SYSLOG_FORMAT", "rfc3164");
    let (accents, letters) = ("\u{e9}".repeat(60), "a".repeat(60));
    let with = |tag: &str| format!("<14>1 {STAMP} {HOST} {tag} 4242 - - ");
    golden(
        "gold-tag",
        &[
            row(&[], "append_tag=.db", Stream::Out, with("NAME.db")),
            row(&[], "append_tag=.{{.Source}}", Stream::Out, with("NAME.stdout")),
            row(&[("SYSLOG_TAG", "T")], "append_tag=.db", Stream::Out, with("T")),
            // Set to nothing is as good as unset.
            row(&[("SYSLOG_TAG", "")], "append_tag=.db", Stream::Out, with("NAME.db")),
            row(&[("SYSLOG_TAG", &accents)], "", Stream::Out, with(&"\u{e9}".repeat(48))),
            row(
                &[("SYSLOG_TAG", &letters), old],
                "",
                Stream::Out,
                format!("<14>{STAMP} {HOST} {}[4242]: ", "a".repeat(32)),
            ),
            row(
                &[("SYSLOG_TAG", "{{.Container.Config.Labels.nope}}")],
                "",
                Stream::Out,
                with("<no value>"),
            ),
            row(
                &[("SYSLOG_TAG", "{{index .Container.Config.Labels \"nope\"}}")],
                "",
                Stream::Out,
                with(""),
            ),
            row(
                &[("SYSLOG_TAG", "{{.Container.Config.Labels.team}}")],
                "",
                Stream::Out,
                with("shop"),
            ),
        ],
    );
}

#[test]
fn logspout_the_other_fields_are_templates_and_cut_where_it_cuts_them() {
    let (host, pid) = ("h".repeat(300), "9".repeat(200));
    let data = Row {
        end: "!",
        ..row(
            &[("SYSLOG_DATA", "{{.Data}}!"), ("SYSLOG_PRIORITY", "1{{.Priority}}")],
            "",
            Stream::Out,
            format!("<114>1 {STAMP} {HOST} NAME 4242 - - "),
        )
    };
    golden(
        "gold-field",
        &[
            data,
            row(
                &[("SYSLOG_HOSTNAME", &host), ("SYSLOG_PID", &pid)],
                "",
                Stream::Out,
                format!("<14>1 {STAMP} {} NAME {} - - ", "h".repeat(255), "9".repeat(128)),
            ),
            // RFC 3164 has no limits for these, and logspout sets none.
            row(
                &[("SYSLOG_HOSTNAME", &host), ("SYSLOG_PID", &pid), ("SYSLOG_FORMAT", "rfc3164")],
                "",
                Stream::Out,
                format!("<14>{STAMP} {host} NAME[{pid}]: "),
            ),
            // The name of the agent's host, which logspout meant and never showed.
            row(
                &[("SYSLOG_HOSTNAME", "{{.Hostname}}")],
                "",
                Stream::Out,
                format!("<14>1 {STAMP} test-host NAME 4242 - - "),
            ),
        ],
    );
}

#[test]
fn logspout_the_bare_line_is_what_raw_format_makes_of_it_and_nothing_more() {
    let engine = Engine::new("gold-raw");
    let name = engine.container("web").run(&printing());
    wait_printed(&name, OUT.len(), SOON);
    let quoted = |line: &str| {
        let escaped = line.replace('\r', "\\r").replace('\x1b', "\\u001b");
        format!("\"{escaped}\"\n")
    };
    let table: [([&str; 2], Variables<'_>, Made<'_>); 6] = [
        (["raw", "raw+tcp"], &[], &|line| format!("{line}\n")),
        (["udp", "tcp"], &[], &|line| format!("{line}\n")),
        // What is set for syslog says nothing of the bare line.
        (["raw+udp", "tcp"], &[("SYSLOG_TAG", "T")], &|line| format!("{line}\n")),
        (["udp", "tcp"], &[("RAW_FORMAT", "{{.Source}} {{.Data}}|")], &|line| {
            format!("stdout {line}|")
        }),
        // Typed within single quotes it is no line feed, and none is made of it.
        (["udp", "raw+tcp"], &[("RAW_FORMAT", "{{.Data}}\\n")], &|line| format!("{line}\\n")),
        (["raw", "tcp"], &[("RAW_FORMAT", "{{toJSON .Data}}\n")], &quoted),
    ];
    for (schemes, variables, made) in table {
        let arrived = ship(&name, (schemes, ""), Stream::Out, variables);
        let messages: Vec<_> = OUT.iter().map(|line| made(line)).collect();
        assert_bytes(&format!("{schemes:?} {variables:?}"), &arrived, &messages, false);
    }
}

#[test]
fn logspout_a_terminals_lines_keep_their_carriage_returns_where_allow_tty_asks_for_them() {
    let engine = Engine::new("gold-tty");
    let start = engine.container("web").option("-t").option(&format!("--hostname={HOST}"));
    // All that a terminal shows is standard output.
    let script = "for i in 1 2 3 4 5; do echo hello; done; echo oops >&2; exec sleep 1000";
    let name = start.run(script);
    wait_printed(&name, OUT.len(), SOON);
    let variables = [("ALLOW_TTY", "true"), ("SYSLOG_TIMESTAMP", STAMP), ("SYSLOG_PID", "4242")];
    let arrived = ship(&name, (["syslog", "syslog+tcp"], ""), Stream::Out, &variables);
    let head = format!("<14>1 {STAMP} {HOST} {name} 4242 - - ");
    let mut messages = vec![format!("{head}hello\r\n"); 5];
    messages.push(format!("{head}oops\r\n"));
    assert_bytes("a terminal", &arrived, &messages, false);
}

/// What `date` makes of a stamp of Docker's: it knows nothing of this agent.
fn dated(stamp: &str, zone: &str, format: &str) -> String {
    let mut date = Command::new("date");
    date.env("TZ", zone).env("LC_ALL", "C").args(["-d", stamp, &format!("+{format}")]);
    let output = date.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn logspout_times_are_dockers_in_whole_seconds_and_in_the_zone_of_tz() {
    let engine = Engine::new("gold-time");
    let start = engine.container("web").option(&format!("--hostname={HOST}"));
    let name = start.run(&printing());
    wait_printed(&name, OUT.len(), SOON);
    let printed = Engine::docker(&["logs", "-t", &name]);
    let stamps: Vec<_> = printed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let old = "{{.Time.Format \"Jan _2 15:04:05\"}}";
    let nanos = "{{.Time.Format \"2006-01-02T15:04:05.999999999Z07:00\"}}";
    let cases: [(Variables<'_>, &str, &str); 5] = [
        (&[], "UTC", "%Y-%m-%dT%H:%M:%SZ"),
        (&[], "America/New_York", "%Y-%m-%dT%H:%M:%S%:z"),
        (&[("SYSLOG_FORMAT", "rfc3164")], "America/New_York", "%Y-%m-%dT%H:%M:%S%:z"),
        (&[("SYSLOG_TIMESTAMP", old), ("SYSLOG_FORMAT", "rfc3164")], "UTC", "%b %e %H:%M:%S"),
        (&[("SYSLOG_TIMESTAMP", nanos)], "UTC", ""),
    ];
    for (variables, zone, format) in cases {
        let all = [variables, &[("TZ", zone), ("SYSLOG_PID", "1"), ("SYSLOG_TAG", "T")]].concat();
        let is_old = variables.contains(&("SYSLOG_FORMAT", "rfc3164"));
        let arrived = ship(&name, (["syslog", "syslog+tcp"], ""), Stream::Out, &all);
        let message = |(stamp, line): (&&str, &&str)| {
            // Go leaves trailing zeros out, as Docker's own nanoseconds do not.
            let time = if format.is_empty() {
                format!("{}Z", stamp.trim_end_matches('Z').trim_end_matches('0'))
            } else {
                dated(stamp, zone, format)
            };
            if is_old {
                format!("<14>{time} {HOST} T[1]: {line}\n")
            } else {
                format!("<14>1 {time} {HOST} T 1 - - {line}\n")
            }
        };
        // The line of standard error may stand anywhere.
        let stamps = printed.lines().zip(&stamps).filter(|(line, _)| !line.ends_with("oops"));
        let messages: Vec<_> = stamps.map(|(_, stamp)| stamp).zip(&OUT).map(message).collect();
        assert_bytes(&format!("{variables:?} in {zone}"), &arrived, &messages, false);
    }
}

#[test]
fn logspout_the_hosts_own_name_is_taken_from_the_file_that_is_mounted_for_it() {
    for (file, wanted) in [
        ("hostname\r\n", "hostname"),
        ("of-{{.ContainerName}}\n", "of-web"),
        // Nothing in it is as good as no file.
        ("\n", "from-variable"),
    ] {
        let etc = tempfile::tempdir().unwrap();
        std::fs::write(etc.path().join("host_hostname"), file).unwrap();
        let (receiver, address) = PlainReceiver::udp();
        let mut agent = Launch::fed_with_etc(etc.path())
            .env("SYSLOG_HOSTNAME", "from-variable")
            .env("SYSLOG_TIMESTAMP", STAMP)
            .env("SYSLOG_PID", "1")
            .arg(format!("syslog://{address}"))
            .start();
        agent.feed("web stdout hello\n");
        agent.end_of_input();
        let ended = agent.finish(SOON);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let message = receiver.inbox.wait("the line", SOON, |frames| {
            frames.first().map(|frame| shown(&frame.bytes)).ok_or_else(String::new)
        });
        let wanted = format!("<14>1 {STAMP} {wanted} web 1 - - hello\n");
        assert_eq!(message, shown(wanted.as_bytes()), "{file:?}");
    }
}
