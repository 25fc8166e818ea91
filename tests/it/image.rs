//! The published image: a static binary and a CA bundle in an otherwise empty image, resolving a
//! name, speaking TLS, shipping a container's lines, and never its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};

use crate::support::certificates::Authority;
use crate::support::engine::{Engine, docker};
use crate::support::receiver::{Framing, TcpReceiver};
use crate::support::syslogd::{Kind, Lock, Syslogd, Wire, own_address};
use crate::support::{SOON, check, until};

/// The name that only the test's own DNS server knows.
const NAME: &str = "logs.test";

/// Limit of the binary in bytes: its size of 11.7 MiB in December 2026 and the rest of that half. Of
/// these the AWS SDK takes the largest part, templates with their zones, multiline presets, selection,
/// live tails, routes over HTTP, `explain` and `migrate` took 1.6 before the libraries that no line
/// passes were built for size. It is on every host and in its page cache; who needs more raises this,
/// and says for what.
const MAX_BINARY_BYTES: u64 = 24 * 512 * 1024;

/// Limit of what is in the image beside the binary, in bytes: the CA bundle has 0.2 MiB, and each
/// distribution has its own.
const MAX_OTHER_BYTES: u64 = 512 * 1024;

/// The image under test, which must have been built before.
#[track_caller]
fn image() -> String {
    let image = std::env::var("AGENT_IMAGE").unwrap_or_else(|_| "downspout:test".to_owned());
    let there = docker(&["image", "inspect", &image]).status.success();
    assert!(
        there,
        "there is no image {image}: build it with `IMAGE={image} deploy/image.sh local`"
    );
    image
}

/// `docker run` with the image and further options, for a container that goes with `engine`.
/// Arguments of the agent may follow.
fn run(engine: &Engine, name: &str, options: &[&str]) -> Vec<String> {
    let mut arguments = vec!["run".to_owned(), "--label".to_owned(), engine.label()];
    arguments.extend(["--name".to_owned(), engine.name(name)]);
    arguments.extend(options.iter().map(|option| (*option).to_owned()));
    arguments.push(image());
    arguments
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The binary, taken out of the image, and `files.tar` with all there is in it.
#[track_caller]
fn unpacked(engine: &Engine) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let label = engine.label();
    let container = Engine::docker(&["create", "--label", &label, &image()]);
    let archive = place(&directory.path().join("files.tar"));
    Engine::docker(&["export", "--output", &archive, &container]);
    Engine::docker(&["cp", &format!("{container}:/downspout"), &place(directory.path())]);
    directory
}

/// Waits until an agent in the host's network sees the engine and its destination: containers
/// that start from then on are followed from their first line.
#[track_caller]
fn wait_ready(address: Ipv4Addr) {
    until("the agent is ready", SOON, || {
        let mut reply = String::new();
        let asked = TcpStream::connect((address, 9514)).and_then(|mut stream| {
            stream.set_read_timeout(Some(SOON))?;
            stream
                .write_all(b"GET /readyz HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut reply)
        });
        check(reply.starts_with("HTTP/1.1 200"), || format!("{asked:?} {reply}"))
    });
}

fn place(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_image_holds_a_static_binary_and_its_certificates_only() {
    let engine = Engine::new("files");
    let unpacked = unpacked(&engine);
    let ldd = Command::new("ldd").arg(unpacked.path().join("downspout")).output().unwrap();
    let said = [ldd.stdout, ldd.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let is_static = said.contains("statically linked") || said.contains("not a dynamic executable");
    assert!(is_static, "it needs libraries: {said}");
    let version = docker(&["run", "--rm", "--network", "none", &image(), "--version"]);
    assert_eq!(text(&version).trim(), concat!("downspout ", env!("CARGO_PKG_VERSION")));
    let archive = unpacked.path().join("files.tar");
    let list = text(&Command::new("tar").arg("-tvf").arg(archive).output().unwrap());
    // Empty files and folders are the engine's mount points.
    let fields = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let full = fields.filter(|fields| fields[0].starts_with('-') && fields[2] != "0");
    let names: Vec<&str> = full.map(|fields| fields[5]).collect();
    assert_eq!(names, ["downspout", "etc/ssl/certs/ca-certificates.crt"], "{list}");
}

#[test]
fn the_binary_is_small_and_nearly_all_of_the_image() {
    let engine = Engine::new("size");
    let size = std::fs::metadata(unpacked(&engine).path().join("downspout")).unwrap().len();
    assert!(size <= MAX_BINARY_BYTES, "the binary has {size} bytes");
    let image = Engine::docker(&["inspect", "--format", "{{.Size}}", &image()]);
    let other = image.parse::<u64>().unwrap() - size;
    assert!(other <= MAX_OTHER_BYTES, "beside the binary, the image has {other} bytes");
}

#[test]
fn the_image_says_what_it_is() {
    let inspect = |format: &str| Engine::docker(&["inspect", "--format", format, &image()]);
    let label = |name: &str| {
        inspect(&format!("{{{{index .Config.Labels \"org.opencontainers.image.{name}\"}}}}"))
    };
    assert_eq!(label("title"), "downspout");
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(label("description"), env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(label("source"), env!("CARGO_PKG_REPOSITORY"));
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert!(!["", "<no value>", "unknown"].contains(&label("revision").as_str()));
    assert_eq!(inspect("{{.Config.StopSignal}}"), "SIGTERM");
}

#[test]
fn the_images_health_check_finds_the_agent_well_and_a_dead_one_not() {
    let engine = Engine::new("health");
    let often = ["-d", "--network", "none", "--health-interval=500ms", "--health-start-period=0s"];
    text(&docker(&run(&engine, "well", &often)));
    let name = engine.name("well");
    let health = || Engine::docker(&["inspect", "--format", "{{.State.Health.Status}}", &name]);
    until("the container is healthy", SOON, || {
        check(health() == "healthy", || format!("{}: {:?}", health(), docker(&["logs", &name])))
    });
    let probe = docker(&["exec", &name, "/downspout", "healthcheck", "--http=127.0.0.1:1"]);
    let complaint = String::from_utf8_lossy(&probe.stderr);
    assert_eq!(probe.status.code(), Some(1), "{probe:?}");
    assert!(complaint.contains("http://127.0.0.1:1/livez"), "{complaint}");
    Engine::docker(&["stop", &name]);
    let code = Engine::docker(&["inspect", "--format", "{{.State.ExitCode}}", &name]);
    assert_eq!(code, "0", "{:?}", docker(&["logs", &name]));
}

/// F15: logspout ships its own errors as well, which makes more of them.
#[test]
fn the_agents_own_container_is_never_shipped() {
    let engine = Engine::new("own");
    let address = own_address();
    let http = format!("DOWNSPOUT_HTTP={address}:9514");
    let options = ["-d", "--network", "host", "--env", &http];
    let socket = ["--volume", "/var/run/docker.sock:/var/run/docker.sock"];
    let receiver = TcpReceiver::start();
    let mut arguments = run(&engine, "agent", &[&options[..], &socket].concat());
    arguments.extend(["stdout://".to_owned(), receiver.route()]);
    text(&docker(&arguments));
    wait_ready(address);
    // When the second comes, the agent has long printed a line of its own: the first.
    for name in ["first", "second"] {
        let marker = engine.container(name).run("echo marker");
        assert_eq!(receiver.inbox.wait_lines(&marker, 1, SOON).len(), 1);
    }
    assert_eq!(receiver.inbox.lines_of(&engine.name("agent")), []);
    let printed = docker(&["logs", "--tail", "1000", &engine.name("agent")]).stdout;
    assert!(!printed.is_empty(), "it has no lines of its own, so nothing was tested");
}

#[test]
fn the_image_resolves_a_name_and_ships_a_containers_lines_over_tls() {
    let authority = Authority::new("own");
    let lock = Lock { identity: authority.issue(NAME), clients: None };
    let door = [Wire::Tls(Framing::OctetCounting)];
    let receiver = Syslogd::start(Kind::Rsyslog, &door, Some(&lock));
    let receiver_address = receiver.address(0);
    let dns = NameServer::start(receiver_address.ip().to_string().parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("resolv.conf");
    std::fs::write(&settings, format!("nameserver {}\n", dns.address)).unwrap();
    let route = format!("syslog+tls://{NAME}:{}?tls_ca=/ca.pem", receiver_address.port());

    let engine = Engine::new("image");
    let http = format!("DOWNSPOUT_HTTP={}:9514", dns.address);
    let resolver = format!("{}:/etc/resolv.conf:ro", place(&settings));
    let trust = format!("{}:/ca.pem:ro", place(&authority.certificate()));
    let socket = "/var/run/docker.sock:/var/run/docker.sock";
    let shared = ["--network", "host", "--env", &http, "-v", &resolver, "-v", &trust, "-v", socket];

    let mut checking = run(&engine, "check", &shared);
    checking.extend(["--check".to_owned(), route.clone()]);
    let found = text(&docker(&checking));
    let connected = format!("connected to {NAME}:{} ({receiver_address}", receiver_address.port());
    assert!(found.contains("ok     docker") && found.contains(&connected), "{found}");
    assert_eq!(receiver.received(0), [], "a check sends nothing");

    let mut running = run(&engine, "agent", &[&shared[..], &["-d"]].concat());
    running.push(route);
    text(&docker(&running));
    wait_ready(dns.address);
    let web = engine.container("web").run("for n in $(seq 500); do echo \"line $n\"; done");
    let lines = || {
        let all = receiver.received(0).into_iter().filter(|message| message.application == web);
        all.map(|message| String::from_utf8(message.text).unwrap()).collect::<Vec<_>>()
    };
    until("the container's lines", SOON, || {
        check(lines().len() >= 500, || format!("{} came", lines().len()))
    });
    assert_eq!(lines(), (1..=500).map(|n| format!("line {n}")).collect::<Vec<_>>());
}

/// Answers A questions about `NAME`, and all others with nothing. Only port 53 will do: there is
/// no other place that a resolver asks.
struct NameServer {
    address: Ipv4Addr,
}

impl NameServer {
    fn start(answer: Ipv4Addr) -> Self {
        let address = own_address();
        let socket = UdpSocket::bind((address, 53)).unwrap_or_else(|error| {
            panic!(
                "cannot listen on {address}:53: {error}; run the tests as root, or set \
                 sysctl net.ipv4.ip_unprivileged_port_start=53"
            )
        });
        std::thread::spawn(move || {
            let mut space = [0; 512];
            while let Ok((count, client)) = socket.recv_from(&mut space) {
                let reply = reply(&space[..count], answer);
                socket.send_to(&reply, client).ok();
            }
        });
        Self { address }
    }
}

// RFC 1035 section 4: the question comes back, with one answer that points to its name.
fn reply(question: &[u8], answer: Ipv4Addr) -> Vec<u8> {
    const HEADER_BYTES: usize = 12;
    let wanted: Vec<u8> = NAME
        .split('.')
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
        .chain([0, 0, 1, 0, 1])
        .collect();
    let name_end = question[HEADER_BYTES..].iter().position(|byte| *byte == 0).unwrap();
    let end = HEADER_BYTES + name_end + 5;
    let is_wanted = question[HEADER_BYTES..end].eq_ignore_ascii_case(&wanted);
    let id = &question[..2];
    let head = [0x85, 0x80, 0, 1, 0, u8::from(is_wanted), 0, 0, 0, 0];
    let mut reply = [id, &head, &question[HEADER_BYTES..end]].concat();
    if is_wanted {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(answer.octets());
    }
    reply
}
