//! Real rsyslog and real syslog-ng: what they wrote down is compared, line by line and field by
//! field, with what went in.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

use crate::support::agent::{HOST, Launch};
use crate::support::certificates::Authority;
use crate::support::engine::{Engine, docker};
use crate::support::numbers::Stream;
use crate::support::receiver::Framing::{Lf, OctetCounting};
use crate::support::syslogd::{Kind, Lock, Received, Syslogd, Wire};
use crate::support::{SOON, check, until};

/// Texts that a receiver could take for something else, and texts that get lost on the way.
const AWKWARD: &[&[u8]] = &[
    b"",
    b" leading space",
    b"    four leading spaces",
    b"trailing spaces  ",
    b"<13>like a priority",
    b"<13>1 2026-01-01T00:00:00Z host app 1 id - like a whole message",
    b"<13>Jan  1 00:00:00 host tag: like an old message",
    b"12 like the count of a frame",
    b"17 <14>1 - - - - - -",
    b"\"quotes\" 'and' `more`",
    b"[brackets] [a@1 b=\"c\"] like structured data",
    b"[",
    b"]",
    b"-",
    b"- dash",
    b": colon",
    b"tag: after a tag",
    b"tab\tinside",
    b"\ttab first",
    "grüße, 日本, 😀".as_bytes(),
    b"not UTF-8: \xff\xfe \x80",
    b"\x1b[31mred\x1b[0m \x07 \x7f",
    b"return \r inside",
    b"return at the end\r",
    b"nul \0 inside",
    b"%msg% $MSG ${HOST} $(echo)",
    b"back\\slash \\n #012 #011",
    b"{\"json\":\"[value]\"}",
];

const CONTAINERS: [&str; 4] = ["web-1", "db", "Cache_2", "a.b-c"];

/// Long enough for many packets and several TLS records.
const LONG_LINE_BYTES: usize = 20 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    container: &'static str,
    stream: Stream,
    text: Vec<u8>,
}

/// `count` lines of several containers on both streams: numbered ones, every third an awkward
/// one instead, and a long one.
fn lines(count: usize) -> Vec<Line> {
    let line = |number: usize| {
        let text = match number % 3 {
            _ if number == count / 2 => vec![b'x'; LONG_LINE_BYTES],
            0 => AWKWARD[number / 3 % AWKWARD.len()].to_vec(),
            _ => format!("{number:06} line").into_bytes(),
        };
        let stream = if number % 5 < 3 { Stream::Out } else { Stream::Err };
        Line { container: CONTAINERS[number % CONTAINERS.len()], stream, text }
    };
    (0..count).map(line).collect()
}

fn replay(lines: &[Line]) -> Vec<u8> {
    let replayed = |line: &Line| {
        let head = format!("{} {} ", line.container, line.stream.name()).into_bytes();
        [head, line.text.clone(), b"\n".to_vec()].concat()
    };
    lines.iter().flat_map(replayed).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Rfc5424,
    Rfc3164,
}

const FORMATS: [Format; 2] = [Format::Rfc5424, Format::Rfc3164];

impl Format {
    fn option(self) -> &'static str {
        match self {
            Self::Rfc5424 => "format=rfc5424",
            Self::Rfc3164 => "format=rfc3164",
        }
    }
}

/// The text as it must stand in the receiver's file.
fn written(text: &[u8], kind: Kind, wire: Wire, format: Format) -> Vec<u8> {
    // With LF framing we escape what could end a frame. rsyslog escapes NUL by itself, and
    // counts the space after an old message's tag among the text.
    let is_lf = matches!(wire, Wire::Tcp(Lf) | Wire::Tls(Lf));
    let is_rsyslog = kind != Kind::SyslogNg;
    let mut written = Vec::new();
    if is_rsyslog && format == Format::Rfc3164 {
        written.push(b' ');
    }
    for byte in text {
        match byte {
            b'\r' if is_lf => written.extend(b"#015"),
            0 if is_lf || is_rsyslog => written.extend(b"#000"),
            byte => written.push(*byte),
        }
    }
    written
}

/// The time to the microsecond, in UTC, as a string that sorts.
fn now() -> String {
    let date = Command::new("date").args(["-u", "+%FT%T.%6N"]).output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

/// One run of the agent, and what a receiver made of it.
struct Comparison {
    receiver: Syslogd,
    kind: Kind,
    lines: Vec<Line>,
    began: String,
}

impl Comparison {
    /// One door per format.
    fn new(kind: Kind, wires: &[Wire], count: usize, lock: Option<&Lock>) -> Self {
        let doors: Vec<Wire> = wires.iter().flat_map(|wire| [*wire; FORMATS.len()]).collect();
        let receiver = Syslogd::start(kind, &doors, lock);
        Self { receiver, kind, lines: lines(count), began: now() }
    }

    /// Door, wire and format of each route.
    fn routes(wires: &[Wire]) -> impl Iterator<Item = (usize, Wire, Format)> {
        let pairs = wires.iter().flat_map(|wire| FORMATS.map(|format| (*wire, format)));
        pairs.enumerate().map(|(door, (wire, format))| (door, wire, format))
    }

    /// Each door got all lines, those of a container in order, and nothing else.
    #[track_caller]
    fn assert_same(mut self, wires: &[Wire]) {
        let ended = now();
        for (door, _, _) in Self::routes(wires) {
            self.receiver.wait_received(door, self.lines.len());
        }
        self.receiver.stop();
        for (door, wire, format) in Self::routes(wires) {
            let received = self.receiver.received(door);
            assert_eq!(received.len(), self.lines.len(), "{wire:?} {format:?}");
            let mut of_container: BTreeMap<&str, Vec<&Received>> = BTreeMap::new();
            for message in &received {
                of_container.entry(&message.application).or_default().push(message);
            }
            for container in CONTAINERS {
                let sent = self.lines.iter().filter(|line| line.container == container);
                let messages = &of_container[container];
                assert_eq!(messages.len(), sent.clone().count(), "{container}, {wire:?}");
                for (line, message) in sent.zip(messages) {
                    self.assert_one(line, message, wire, format);
                    let time = to_digits(&message.time, format);
                    let span = to_digits(&self.began, format)..=to_digits(&ended, format);
                    assert!(span.contains(&time), "{time} is not in {span:?}: {message:?}");
                }
            }
        }
    }

    #[track_caller]
    fn assert_one(&self, line: &Line, message: &Received, wire: Wire, format: Format) {
        let text = written(&line.text, self.kind, wire, format);
        let same = message.text == text
            && message.priority == if line.stream == Stream::Out { 14 } else { 11 }
            && message.host == HOST
            && message.process == line.container
            && message.rest == ["-", "-"];
        let came = message.text.escape_ascii();
        assert!(same, "{format:?} of {line:?} came {wire:?} as {message:?}, '{came}'");
    }
}

/// The time as exactly as a format has it.
#[track_caller]
fn to_digits(time: &str, format: Format) -> &str {
    let digits = match format {
        Format::Rfc5424 => "2026-01-01T00:00:00.000000",
        Format::Rfc3164 => "2026-01-01T00:00:00",
    };
    time.get(..digits.len()).unwrap_or_else(|| panic!("{time} has no microseconds"))
}

/// Streams: the agent replays a file to all doors at once and ends.
#[track_caller]
fn arrives(kind: Kind, wires: &[Wire], lock: Option<&Lock>, options: &str) {
    let comparison = Comparison::new(kind, wires, 2000, lock);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), replay(&comparison.lines)).unwrap();
    let mut launch = Launch::replaying(file.path());
    for (door, _, format) in Comparison::routes(wires) {
        let options = format!("{}{options}", format.option());
        launch = launch.arg(comparison.receiver.route(door, &options));
    }
    let ended = launch.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    comparison.assert_same(wires);
}

/// Datagrams: a burst goes out once the one before has been received, so that none is lost.
#[track_caller]
fn arrives_by_udp(kind: Kind) {
    let mut comparison = Comparison::new(kind, &[Wire::Udp], 301, None);
    comparison.lines.retain(|line| line.text.len() < 1000);
    let mut launch = Launch::fed();
    for (door, _, format) in Comparison::routes(&[Wire::Udp]) {
        launch = launch.arg(comparison.receiver.route(door, format.option()));
    }
    let mut agent = launch.start();
    let mut input = agent.take_input();
    let mut sent = 0;
    for burst in comparison.lines.chunks(30) {
        input.write_all(&replay(burst)).unwrap();
        sent += burst.len();
        for door in 0..FORMATS.len() {
            comparison.receiver.wait_received(door, sent);
        }
    }
    drop(input);
    assert_eq!(agent.finish(SOON).code, Some(0));
    comparison.assert_same(&[Wire::Udp]);
}

const TCP: [Wire; 2] = [Wire::Tcp(OctetCounting), Wire::Tcp(Lf)];
const TLS: [Wire; 2] = [Wire::Tls(OctetCounting), Wire::Tls(Lf)];

#[test]
fn rsyslog_gets_every_line_by_udp() {
    arrives_by_udp(Kind::Rsyslog);
}

#[test]
fn syslog_ng_gets_every_line_by_udp() {
    arrives_by_udp(Kind::SyslogNg);
}

#[test]
fn rsyslog_gets_every_line_by_tcp() {
    arrives(Kind::Rsyslog, &TCP, None, "");
}

#[test]
fn syslog_ng_gets_every_line_by_tcp() {
    arrives(Kind::SyslogNg, &TCP, None, "");
}

#[test]
fn rsyslog_gets_every_line_by_relp() {
    arrives(Kind::Rsyslog, &[Wire::Relp], None, "");
}

#[track_caller]
fn arrives_by_relp_in_tls(kind: Kind) {
    let authority = Authority::new("own");
    let trust = authority.certificate();
    let identity = authority.issue("logs.test");
    let lock = Lock { identity, clients: Some(trust.clone()) };
    let client = authority.issue("client.test").options();
    let options = format!("&tls_server_name=logs.test&tls_ca={}&{client}", trust.display());
    arrives(kind, &[Wire::RelpTls], Some(&lock), &options);
}

#[test]
fn rsyslog_gets_every_line_by_relp_in_tls() {
    arrives_by_relp_in_tls(Kind::Rsyslog);
}

#[test]
fn rsyslog_with_openssl_gets_every_line_by_relp_in_tls() {
    arrives_by_relp_in_tls(Kind::RsyslogOpenssl);
}

#[track_caller]
fn arrives_by_tls(kind: Kind) {
    let authority = Authority::new("own");
    let lock = Lock { identity: authority.issue("logs.test"), clients: None };
    let trust = authority.certificate();
    let options = format!("&tls_server_name=logs.test&tls_ca={}", trust.display());
    arrives(kind, &TLS, Some(&lock), &options);
}

#[test]
fn rsyslog_gets_every_line_by_tls() {
    arrives_by_tls(Kind::Rsyslog);
}

#[test]
fn rsyslog_with_openssl_gets_every_line_by_tls() {
    arrives_by_tls(Kind::RsyslogOpenssl);
}

#[test]
fn syslog_ng_gets_every_line_by_tls() {
    arrives_by_tls(Kind::SyslogNg);
}

/// A container's lines, with the engine's own account of them as the oracle: text and time.
#[track_caller]
fn a_container_arrives(kind: Kind, name: &str) {
    let engine = Engine::new(name);
    let mut syslogd = Syslogd::start(kind, &[Wire::Tcp(OctetCounting)], None);
    let agent = Launch::new().arg(syslogd.route(0, "")).ready();
    let container = engine.container("web").run(
        "for n in $(seq 100); do echo \"$n [out] <13> grüße\"; echo \"  $n \\\"err\\\"\" >&2; done",
    );
    Engine::wait(&container);
    let own = |syslogd: &Syslogd| {
        let all = syslogd.received(0).into_iter();
        all.filter(|message| message.application == container).collect::<Vec<_>>()
    };
    until("the container's lines", SOON, || {
        let came = own(&syslogd).len();
        check(came >= 200, || format!("{came} came"))
    });
    assert_eq!(agent.terminate().code, Some(0));
    syslogd.stop();
    let received = own(&syslogd);
    assert_eq!(received.len(), 200);
    let id = Engine::docker(&["inspect", "--format", "{{.Id}}", &container]);
    let logs = docker(&["logs", "--timestamps", &container]);
    for (priority, printed) in [(14, logs.stdout), (11, logs.stderr)] {
        let printed = String::from_utf8(printed).unwrap();
        let messages: Vec<_> = received.iter().filter(|came| came.priority == priority).collect();
        assert_eq!(messages.len(), printed.lines().count());
        for (message, line) in messages.iter().zip(printed.lines()) {
            let (time, text) = line.split_once(' ').unwrap();
            assert_eq!(message.text, text.as_bytes());
            assert_eq!(message.time.get(..26), time.get(..26), "to the microsecond: {line}");
            assert_eq!(
                (message.host.as_str(), message.process.as_str()),
                (HOST, id.split_at(12).0)
            );
        }
    }
}

#[test]
fn rsyslog_gets_a_containers_lines_with_the_engines_time() {
    a_container_arrives(Kind::Rsyslog, "rsyslog");
}

#[test]
fn syslog_ng_gets_a_containers_lines_with_the_engines_time() {
    a_container_arrives(Kind::SyslogNg, "syslog-ng");
}
