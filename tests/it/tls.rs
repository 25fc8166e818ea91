//! TLS against real receivers: what is refused and with which words, and how the lines come after
//! all once the fault is mended on disk. The ids are those of the fault matrix.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::agent::{Agent, Launch};
use crate::support::certificates::{Authority, Identity, replace};
use crate::support::numbers::{Expected, Stream, Tally};
use crate::support::receiver::{Frame, Framing, TcpReceiver};
use crate::support::syslogd::{Kind, Lock, Received, Syslogd, Wire};
use crate::support::tls_server::{Cut, TlsServer};

/// The name in the receivers' certificates.
const NAME: &str = "logs.test";

const KINDS: [Kind; 3] = [Kind::Rsyslog, Kind::RsyslogOpenssl, Kind::SyslogNg];

const DOOR: [Wire; 1] = [Wire::Tls(Framing::OctetCounting)];

/// A destination that is refused at first: an agent that is given all lines, and a receiver.
struct Refused {
    receiver: Syslogd,
    route: String,
    expected: Expected,
    agent: Agent,
}

impl Refused {
    /// The agent must say all of `words` in one line of its log, send nothing, and go on trying.
    #[track_caller]
    fn new(kind: Kind, lock: &Lock, options: &str, words: &[&str]) -> Self {
        let receiver = Syslogd::start(kind, &DOOR, Some(lock));
        let route = receiver.route(0, options);
        let checked = Launch::new().env("DOWNSPOUT_SOURCE", "replay:-").arg("--check").arg(&route);
        let checked = checked.finish();
        let says_why = |line: &str| words.iter().all(|word| line.contains(word));
        assert_eq!(checked.code, Some(2), "{kind:?}: {}", checked.stdout);
        let failed = checked.stdout.lines().any(|line| line.contains("FAILED") && says_why(line));
        assert!(failed, "{kind:?}: {words:?} are not in {:?}", checked.stdout);
        let expected = Expected::of_containers("web", 4, 100, 100);
        let mut agent = Launch::fed().env("DOWNSPOUT_BACKOFF_MAX", "200ms").arg(&route).start();
        agent.feed(&expected.replay());
        agent.logged("the reason and the cure", |line| line.contains(" WARN ") && says_why(line));
        let refused = Self { receiver, route, expected, agent };
        let destination = refused.destination();
        refused.agent.wait_for("several attempts", SOON, |metrics| {
            metrics.of("faults_total", &destination) >= 3
                && metrics.of("destination_up", &destination) == 0
        });
        assert_eq!(refused.agent.metrics().of("lines_delivered_total", &destination), 0);
        assert_eq!(refused.receiver.received(0), [], "{kind:?}");
        refused
    }

    fn destination(&self) -> String {
        self.receiver.destination(0)
    }

    /// Without a restart of the agent, every line arrives once and in order.
    #[track_caller]
    fn mended(mut self) {
        let destination = self.destination();
        self.agent.wait_for("the destination is up", SOON, |metrics| {
            metrics.of("destination_up", &destination) == 1
        });
        let count = usize::try_from(self.expected.count()).unwrap();
        self.receiver.wait_received(0, count);
        self.agent.end_of_input();
        let ended = self.agent.finish(SOON);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("destination is up again"), "{}", ended.stderr);
        let checked = Launch::new().env("DOWNSPOUT_SOURCE", "replay:-").arg("--check");
        let checked = checked.arg(&self.route).finish();
        assert_eq!(checked.code, Some(0), "{}", checked.stdout);
        assert!(checked.stdout.contains("connected to"), "{}", checked.stdout);
        self.receiver.stop();
        tally(&self.receiver, &self.expected).assert_complete();
    }
}

/// Counts what a receiver wrote down.
fn tally(receiver: &Syslogd, expected: &Expected) -> Tally {
    let frame = |message: Received| {
        let Received { priority, time, host, application, process, rest: [id, data], text } =
            message;
        let head = format!("<{priority}>1 {time} {host} {application} {process} {id} {data} ");
        Frame::new([head.into_bytes(), text].concat())
    };
    let frames: Vec<Frame> = receiver.received(0).into_iter().map(frame).collect();
    expected.tally(&frames)
}

fn trusting(authority: &Authority) -> String {
    format!("tls_server_name={NAME}&tls_ca={}", authority.certificate().display())
}

/// The receiver shows `bad` until its operator puts a good certificate in its place.
#[track_caller]
fn refuses(issue_bad: impl Fn(&Authority) -> Identity, words: &[&str]) {
    for kind in KINDS {
        let authority = Authority::new("own");
        let lock = Lock { identity: issue_bad(&authority), clients: None };
        let mut refused = Refused::new(kind, &lock, &trusting(&authority), words);
        authority.issue(NAME).replace(&lock.identity);
        refused.receiver.stop();
        refused.receiver.start_again();
        refused.mended();
    }
}

#[test]
fn f14_a_certificate_for_another_name_is_refused_until_it_is_mended() {
    let words = ["'logs.test'", "other.test", "tls_server_name"];
    refuses(|authority| authority.issue("other.test"), &words);
}

#[test]
fn f14_an_expired_certificate_is_refused_until_it_is_renewed() {
    let words = ["'logs.test'", "expired", "days ago", "renew it on the server"];
    refuses(|authority| authority.issue_expired(NAME), &words);
}

#[test]
fn f14_an_unknown_authority_is_refused_until_its_file_is_mended() {
    for kind in KINDS {
        let (authority, other) = (Authority::new("own"), Authority::new("other"));
        let lock = Lock { identity: authority.issue(NAME), clients: None };
        let words = ["not signed by an authority that is trusted here", "as tls_ca"];
        let refused = Refused::new(kind, &lock, &trusting(&other), &words);
        replace(&authority.certificate(), &other.certificate());
        refused.mended();
    }
}

#[test]
fn f14_a_client_certificate_of_an_unknown_authority_is_refused_until_it_is_mended() {
    for kind in KINDS {
        let (authority, other) = (Authority::new("own"), Authority::new("other"));
        let clients = Some(authority.certificate());
        let lock = Lock { identity: authority.issue(NAME), clients };
        let client = other.issue("client.test");
        let options = format!("{}&{}", trusting(&authority), client.options());
        let refused = Refused::new(kind, &lock, &options, &["refuses our certificate", "tls_cert"]);
        authority.issue("client.test").replace(&client);
        refused.mended();
    }
}

#[test]
fn a_receiver_that_wants_a_client_certificate_gets_nothing_without_one() {
    for kind in KINDS {
        let authority = Authority::new("own");
        let clients = Some(authority.certificate());
        let lock = Lock { identity: authority.issue(NAME), clients };
        let words = ["wants a client certificate", "give tls_cert and tls_key"];
        Refused::new(kind, &lock, &trusting(&authority), &words);
    }
}

#[test]
fn a_client_certificate_lets_the_lines_in() {
    for kind in KINDS {
        let authority = Authority::new("own");
        let clients = Some(authority.certificate());
        let lock = Lock { identity: authority.issue(NAME), clients };
        let mut receiver = Syslogd::start(kind, &DOOR, Some(&lock));
        let client = authority.issue("client.test");
        let route = receiver.route(0, &format!("{}&{}", trusting(&authority), client.options()));
        let expected = Expected::of_containers("web", 4, 100, 100);
        let file = expected.replay_file();
        let ended = Launch::replaying(file.path()).arg(route).finish();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        receiver.wait_received(0, usize::try_from(expected.count()).unwrap());
        receiver.stop();
        tally(&receiver, &expected).assert_complete();
    }
}

/// The destination's window in bytes: what may be repeated after a break.
const WINDOW_BYTES: u64 = 256 * 1024;

#[test]
fn f15_an_end_without_a_tls_goodbye_loses_nothing() {
    for cut in [Cut::Fin, Cut::Reset] {
        let authority = Authority::new("own");
        let cuts = [(500, cut), (1, cut), (2000, cut)];
        let server = TlsServer::start(&authority.issue(NAME), &cuts);
        let expected = Expected::of_containers("web", 10, 500, 200);
        let file = expected.replay_file();
        let launch = Launch::replaying(file.path()).env("DOWNSPOUT_BACKOFF_MAX", "200ms");
        let ended = launch.arg(server.route(&trusting(&authority))).finish();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        eprintln!("{cut:?} {} {}", server.connections(), ended.stderr);
        let tally = server.wait_complete(&expected);
        tally.assert_at_most_repeated(cuts.len() as u64 * WINDOW_BYTES / 200);
        assert_eq!(server.connections(), cuts.len() + 1, "{cut:?}: {}", ended.stderr);
    }
}

#[test]
fn f15_a_handshake_that_stalls_is_given_up_and_holds_up_no_other_route() {
    // The kernel accepts, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let stalled = format!("syslog+tls://{}", silent.local_addr().unwrap());
    let receiver = TcpReceiver::start();
    let mut expected = Expected::new(60);
    expected.add("web-1", Stream::Out, 1..=500);
    let file = expected.replay_file();
    let began = Instant::now();
    let launch = Launch::replaying(file.path()).env("DOWNSPOUT_SHUTDOWN_TIMEOUT", "60s");
    let mut agent = launch.arg(&stalled).arg(receiver.route()).start();
    receiver.inbox.wait_complete(&expected, SOON).assert_complete();
    agent.assert_balance(&receiver.route());
    assert_eq!(agent.metrics().of("faults_total", &stalled), 0, "given up too early");
    agent.logged("the handshake is given up", |line| {
        line.contains(&stalled) && line.contains("no TLS handshake within 10 s")
    });
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(agent.metrics().of("destination_up", &stalled), 0);
}

#[test]
fn a_certificate_file_that_cannot_be_used_ends_the_start_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let authority = Authority::new("own");
    let good = authority.issue(NAME);
    let place = |path: &std::path::Path| path.display().to_string();
    for [option, file, other] in [
        ["tls_ca", "/no/such/ca.pem", ""],
        ["tls_ca", &place(directory.path()), ""],
        ["tls_ca", &place(&empty), ""],
        ["tls_cert", "/no/such/cert.pem", &format!("&tls_key={}", place(&good.key))],
        ["tls_key", "/no/such/key.pem", &format!("&tls_cert={}", place(&good.certificate))],
    ] {
        let route = format!("syslog+tls://127.0.0.1:1?{option}={file}{other}");
        let ended = Launch::new().env("DOWNSPOUT_SOURCE", "replay:-").arg(&route).finish();
        assert_eq!(ended.code, Some(2), "{route}: {}", ended.stderr);
        let named = ended.stderr.contains(&format!("{option}={file}"));
        assert!(named && ended.stderr.contains("not started"), "{route}: {}", ended.stderr);
    }
}
