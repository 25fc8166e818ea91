//! The fakes themselves: a receiver or a proxy that is wrong would accuse the agent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream, printing};
use crate::support::proxy::{Mischief, Proxy};
use crate::support::receiver::{After, Close, Conduct, Framing, PlainReceiver, TcpReceiver};
use crate::support::{SOON, check, until};

fn frames(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| format!("6 f{number:05}").into_bytes()).collect()
}

fn ends_with(mut stream: &TcpStream) -> std::io::Result<usize> {
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.read(&mut [0])
}

#[test]
fn a_receiver_counts_frames_in_both_framings() {
    for (framing, bytes) in [
        (Framing::OctetCounting, &b"1 a2 \nb0 1 c9 cut"[..]),
        (Framing::Lf, &b"a\n\xff\n\nc\ncut"[..]),
    ] {
        let receiver = TcpReceiver::scripted(framing, []);
        TcpStream::connect(receiver.address()).unwrap().write_all(bytes).unwrap();
        let lengths = receiver.inbox.wait("four frames", SOON, |frames| {
            check(frames.len() == 4, || format!("{frames:?}"))?;
            Ok(frames.iter().map(|frame| frame.bytes.len()).collect::<Vec<_>>())
        });
        let wanted = if framing == Framing::Lf { [1, 1, 0, 1] } else { [1, 2, 0, 1] };
        assert_eq!(lengths, wanted);
        receiver.inbox.assert_nothing_garbled();
    }
}

#[test]
fn a_receiver_resets_or_ends_where_the_script_says() {
    let script =
        [Conduct::Reset(After::Bytes(17)), Conduct::Fin(After::Frames(3)), Conduct::ResetAtOnce];
    let receiver = TcpReceiver::scripted(Framing::OctetCounting, script);
    let first = TcpStream::connect(receiver.address()).unwrap();
    (&first).write_all(&frames(10)).unwrap();
    assert!(ends_with(&first).is_err(), "reset");
    assert_eq!(receiver.inbox.count(), 2, "17 bytes hold two frames of 8");
    let second = TcpStream::connect(receiver.address()).unwrap();
    (&second).write_all(&frames(10)).unwrap();
    assert_eq!(ends_with(&second).unwrap(), 0, "ended in order");
    (&second).write_all(&frames(1)).unwrap();
    drop(second);
    receiver.inbox.wait("the rest", SOON, |all| check(all.len() == 13, || all.len().to_string()));
    until("the end is seen", SOON, || receiver.ended(1).ok_or_else(String::new));
    let third = TcpStream::connect(receiver.address()).unwrap();
    assert!(ends_with(&third).is_err(), "reset without a byte");
    let fourth = TcpStream::connect(receiver.address()).unwrap();
    (&fourth).write_all(&frames(1)).unwrap();
    receiver.inbox.wait("well again", SOON, |all| check(all.len() == 14, || all.len().to_string()));
    receiver.close_all(Close::Reset);
    assert!(ends_with(&fourth).is_err(), "reset on command");
}

#[test]
fn a_receiver_refuses_and_accepts_on_one_port() {
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let refused = TcpStream::connect(receiver.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    receiver.accept_again();
    let link = TcpStream::connect(receiver.address()).unwrap();
    (&link).write_all(b"1 x").unwrap();
    receiver.inbox.wait("a frame", SOON, |all| check(all.len() == 1, String::new));
}

#[test]
fn a_receiver_stalls_until_told_to_behave() {
    let receiver = TcpReceiver::scripted(Framing::OctetCounting, [Conduct::Stall]);
    let link = TcpStream::connect(receiver.address()).unwrap();
    link.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let sent = (0..1000).take_while(|_| (&link).write_all(&frames(10_000)).is_ok()).count();
    assert!(sent < 1000, "the window closes");
    assert_eq!(receiver.inbox.count(), 0);
    receiver.behave();
    receiver.inbox.wait("what waited", SOON, |all| {
        check(all.len() >= sent * 10_000, || all.len().to_string())
    });
}

#[test]
fn plain_receivers_take_datagrams_and_streams() {
    let (udp, address) = PlainReceiver::udp();
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"a", address).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let datagram = PlainReceiver::unix_datagram(&path("d"));
    UnixDatagram::unbound().unwrap().send_to(b"a", path("d")).unwrap();
    let stream = PlainReceiver::unix_stream(&path("s"), Framing::Lf);
    UnixStream::connect(path("s")).unwrap().write_all(b"a\n").unwrap();
    for receiver in [udp, datagram, stream] {
        receiver.inbox.wait("a frame", SOON, |all| check(all.len() == 1, || all.len().to_string()));
        assert_eq!(receiver.inbox.with(|all| all[0].bytes.clone()), b"a");
    }
}

#[test]
fn a_container_prints_the_numbers_that_are_expected() {
    let engine = Engine::new("fakes");
    let out = engine.container("a").run_in_foreground(&format!(
        "{}; {}",
        printing(Stream::Out, &(1..=3), 20),
        printing(Stream::Err, &(2..=3), 20)
    ));
    let mut expected = Expected::new(20);
    expected.add("a", Stream::Out, 1..=3);
    expected.add("a", Stream::Err, 2..=3);
    let printed = |bytes: &[u8], stream: &str| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.lines().map(|line| format!("a {stream} {line}\n")).collect::<String>()
    };
    let mut printed = printed(&out.stdout, "stdout") + &printed(&out.stderr, "stderr");
    let mut replay = expected.replay();
    for text in [&mut printed, &mut replay] {
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        *text = lines.join("\n");
    }
    assert_eq!(printed, replay);
}

// A request like the agent's, and all of the reply until the connection ends.
fn ask(proxy: &Proxy, path: &str) -> Vec<u8> {
    let socket = proxy.docker_host();
    let mut link = UnixStream::connect(socket.strip_prefix("unix://").unwrap()).unwrap();
    link.set_read_timeout(Some(SOON)).unwrap();
    write!(link, "GET {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    link.read_to_end(&mut reply).ok();
    reply
}

// Without the head, whose date moves on.
fn body(reply: &[u8]) -> &[u8] {
    let head = reply.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    &reply[head..]
}

#[test]
fn the_proxy_passes_on_writes_down_and_breaks() {
    let engine = Engine::new("proxy");
    let name = engine.container("a").run("echo one; echo two; echo three");
    Engine::wait(&name);
    let proxy = Proxy::start();
    let path = format!("/containers/{name}/logs?stdout=1");
    let whole = ask(&proxy, &path);
    assert!(whole.windows(5).any(|part| part == b"three"), "{}", String::from_utf8_lossy(&whole));
    proxy.arm("/logs", Mischief::Error500, 1);
    assert!(ask(&proxy, &path).starts_with(b"HTTP/1.1 500"));
    proxy.arm("/logs", Mischief::CutAfter(40), 1);
    assert_eq!(ask(&proxy, &path), whole[..40]);
    proxy.arm("/logs", Mischief::CutInChunk(1), 1);
    let cut = ask(&proxy, &path);
    assert!(cut.len() < whole.len() && cut.windows(3).any(|part| part == b"one"));
    assert!(!cut.windows(3).any(|part| part == b"two"));
    proxy.arm("/logs", Mischief::SpoilChunk(1), 1);
    let spoiled = ask(&proxy, &path);
    let differing = |(a, b): &(&u8, &u8)| a != b;
    assert_eq!(spoiled.len(), whole.len());
    let differences = body(&spoiled).iter().zip(body(&whole)).filter(differing).count();
    assert_eq!(differences, 1);
    assert_eq!(proxy.armed(), 0);
    assert_eq!(proxy.requests(), vec![format!("GET {path}"); 5]);
    proxy.vanish();
    let socket = proxy.docker_host();
    let socket = socket.strip_prefix("unix://").unwrap();
    assert!(UnixStream::connect(socket).is_err());
    proxy.appear();
    assert!(!ask(&proxy, "/_ping").is_empty());
}
