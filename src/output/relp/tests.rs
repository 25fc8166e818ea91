use std::net::Ipv4Addr;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::version::TLS13;

use super::*;
use crate::metrics::{FaultKind, Metrics};
use crate::net::tls::testing::Authority;

/// In which the end of a session must be noticed.
const AT_ONCE: Duration = Duration::from_millis(50);

const WELCOME: &str = "200 OK\nrelp_version=0\ncommands=syslog";

fn output_with(driver: &Driver, port: u16, rows: &[(&str, &str)]) -> Box<dyn Output> {
    let rows = rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut options = Options::new(rows);
    let metrics = Metrics::new().output("test");
    let output = driver.open.link()(Target::Host("127.0.0.1".into(), port), &mut options, metrics);
    assert_eq!(options.finish(&[driver.options]), []);
    output.unwrap()
}

/// The server's end of a session.
struct Peer<S = TcpStream>(BufReader<S>);

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Peer<S> {
    /// The next command: its number, its name and its data.
    async fn command(&mut self) -> (u32, String, Vec<u8>) {
        let mut words = Vec::new();
        while words.len() < 3 {
            let mut word = String::new();
            let delimiter = loop {
                let byte = self.0.read_u8().await.unwrap();
                if !byte.is_ascii_alphanumeric() {
                    break byte;
                }
                word.push(char::from(byte));
            };
            words.push(word);
            if delimiter == b'\n' {
                assert_eq!((words.len(), words[2].as_str()), (3, "0"));
                return (words[0].parse().unwrap(), words[1].clone(), Vec::new());
            }
        }
        let mut data = vec![0; words[2].parse::<usize>().unwrap() + 1];
        self.0.read_exact(&mut data).await.unwrap();
        assert_eq!(data.pop(), Some(b'\n'));
        (words[0].parse().unwrap(), words[1].clone(), data)
    }

    async fn say(&mut self, words: &str) {
        self.0.write_all(words.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn answer(&mut self, txnr: u32, words: &str) {
        self.say(&format!("{txnr} rsp {} {words}\n", words.len())).await;
    }

    async fn welcome(&mut self) {
        let (txnr, command, _) = self.command().await;
        assert_eq!((txnr, command.as_str()), (1, "open"));
        self.answer(1, WELCOME).await;
    }
}

struct Server(TcpListener);

impl Server {
    async fn new() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap())
    }

    fn output(&self, rows: &[(&str, &str)]) -> Box<dyn Output> {
        output_with(&DRIVER, self.0.local_addr().unwrap().port(), rows)
    }

    async fn accept(&self) -> Peer {
        Peer(BufReader::new(self.0.accept().await.unwrap().0))
    }

    async fn link(&self, output: &mut dyn Output) -> Peer {
        let (connected, peer) = tokio::join!(output.connect(), async {
            let mut peer = self.accept().await;
            peer.welcome().await;
            peer
        });
        connected.unwrap();
        peer
    }
}

async fn connected(rows: &[(&str, &str)]) -> (Box<dyn Output>, Peer) {
    let server = Server::new().await;
    let mut output = server.output(rows);
    let peer = server.link(&mut *output).await;
    (output, peer)
}

/// Frames with their ends.
struct Batch(Vec<u8>, Vec<u32>);

impl Batch {
    fn of(frames: &[&[u8]]) -> Self {
        let mut batch = Self(Vec::new(), Vec::new());
        for frame in frames {
            batch.0.extend_from_slice(frame);
            batch.1.push(u32::try_from(batch.0.len()).unwrap());
        }
        batch
    }

    fn frames(&self) -> Frames<'_> {
        Frames::new(&self.0, &self.1, 0)
    }
}

fn reset(peer: &Peer) {
    SockRef::from(peer.0.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_frame_is_settled_by_the_servers_answer_and_not_before() {
    let (mut output, mut peer) = connected(&[]).await;
    output.send(Batch::of(&[b"one\n", b"", b"three"]).frames()).await.unwrap();
    assert_eq!(peer.command().await, (2, "syslog".into(), b"one\n".to_vec()));
    assert_eq!(peer.command().await, (3, "syslog".into(), Vec::new()));
    assert_eq!(peer.command().await, (4, "syslog".into(), b"three".to_vec()));
    assert_eq!(output.settled(), 0, "the peer's process has read all, and answered nothing");
    peer.answer(4, "200 OK").await;
    peer.answer(2, "200 OK").await;
    assert_eq!(output.acknowledged(0).await, Ok(4));
    peer.answer(3, "200 OK").await;
    assert_eq!(output.acknowledged(4).await, Ok(9));
}

#[tokio::test]
async fn waiting_for_an_answer_can_be_dropped_anywhere() {
    let (mut output, mut peer) = connected(&[]).await;
    output.send(Batch::of(&[b"one"]).frames()).await.unwrap();
    for byte in "2 rsp 6 200 OK\n".chars() {
        assert_eq!(output.settled(), 0);
        let dropped = timeout(Duration::from_millis(5), output.acknowledged(0)).await;
        assert!(dropped.is_err(), "{dropped:?}");
        peer.say(&byte.to_string()).await;
    }
    assert_eq!(output.acknowledged(0).await, Ok(3));
}

#[tokio::test]
async fn the_end_of_an_idle_server_is_noticed_however_it_comes() {
    for (how, part) in [("fin", "closed"), ("reset", "reset"), ("hint", "announced")] {
        let (mut output, mut peer) = connected(&[]).await;
        let mut kept = None;
        match how {
            "fin" => drop(peer),
            "reset" => {
                reset(&peer);
                drop(peer);
            }
            _ => {
                peer.say("0 serverclose 0\n").await;
                kept = Some(peer);
            }
        }
        let fault = timeout(AT_ONCE, output.acknowledged(0)).await.unwrap().unwrap_err();
        assert!(matches!(&fault, Fault::Retry { unread: 0, .. }), "{fault:?}");
        assert!(fault.to_string().contains(part), "{fault}");
        let sent = output.send(Batch::of(&[b"x"]).frames()).await;
        assert!(sent.is_err(), "a session that ended stays ended");
        drop(kept);
    }
}

#[tokio::test]
async fn what_was_answered_before_the_end_is_settled_and_the_rest_is_not() {
    let (mut output, mut peer) = connected(&[]).await;
    output.send(Batch::of(&[b"one", b"two", b"three"]).frames()).await.unwrap();
    for _ in 0..3 {
        peer.command().await;
    }
    peer.answer(2, "200 OK").await;
    peer.answer(4, "200 OK").await;
    drop(peer);
    let fault = output.acknowledged(3).await.unwrap_err();
    assert_eq!(fault, Fault::of(FaultKind::Closed, "the peer closed the connection"));
    assert_eq!(output.settled(), 3);
}

#[tokio::test]
async fn a_server_that_stops_reading_until_its_answers_are_read_is_no_deadlock() {
    let (mut output, mut peer) = connected(&[("window_commands", "10000")]).await;
    SockRef::from(peer.0.get_ref()).set_send_buffer_size(4096).unwrap();
    let frames = vec![vec![b'x'; 8_000]; 4_000];
    let batch = Batch::of(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let words = format!("200 {}", "o".repeat(200));
    // The answers are more than sockets hold, so some must be read before all is written.
    let served = async {
        for _ in 0..frames.len() {
            let (txnr, ..) = peer.command().await;
            peer.answer(txnr, &words).await;
        }
    };
    let shipped = async {
        output.send(batch.frames()).await?;
        output.acknowledged(32_000_000 - 1).await
    };
    let both = async { tokio::join!(shipped, served) };
    let (settled, ()) = timeout(Duration::from_secs(30), both).await.expect("no deadlock");
    assert_eq!(settled, Ok(32_000_000));
}

#[tokio::test]
async fn no_more_commands_wait_than_the_window_allows() {
    let (mut output, mut peer) = connected(&[("window_commands", "2")]).await;
    let batch = Batch::of(&[b"1", b"2", b"3"]);
    let mut sending = output.send(batch.frames());
    let waits = timeout(Duration::from_millis(200), &mut sending).await;
    assert!(waits.is_err(), "{waits:?}");
    assert_eq!((peer.command().await.0, peer.command().await.0), (2, 3));
    let nothing = timeout(Duration::from_millis(50), peer.command()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    peer.answer(2, "200 OK").await;
    sending.await.unwrap();
    assert_eq!(peer.command().await.0, 4);
}

#[tokio::test]
async fn a_server_that_owes_answers_may_be_silent_for_so_long_only() {
    let (mut output, mut peer) = connected(&[("answer_timeout", "300ms")]).await;
    let idle = timeout(Duration::from_millis(700), output.acknowledged(0)).await;
    assert!(idle.is_err(), "who owes nothing may be silent: {idle:?}");
    output.send(Batch::of(&[b"one"]).frames()).await.unwrap();
    let (txnr, ..) = peer.command().await;
    let started = Instant::now();
    let fault = output.acknowledged(0).await.unwrap_err();
    assert!(fault.to_string().contains("answer_timeout"), "{fault}");
    let took = started.elapsed().as_millis();
    assert!((250..600).contains(&took), "{took} ms from when it began to owe one");
    assert_eq!(txnr, 2);
}

#[tokio::test]
async fn a_server_that_still_takes_a_message_is_not_silent() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let server = Server(socket.listen(8).unwrap());
    let mut output = server.output(&[("answer_timeout", "400ms")]);
    let mut peer = server.link(&mut *output).await;
    let message = vec![b'x'; 2 << 20];
    let batch = Batch::of(&[&message]);
    let started = Instant::now();
    let (settled, ()) = tokio::join!(
        async {
            output.send(batch.frames()).await?;
            output.acknowledged(0).await
        },
        async {
            let mut left = message.len() + "2 syslog 2097152 \n".len();
            let mut space = vec![0; 64 * 1024];
            while left > 0 {
                left -= peer.0.read(&mut space).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            peer.answer(2, "200 OK").await;
        }
    );
    assert_eq!(settled, Ok(2 << 20));
    assert!(started.elapsed() > Duration::from_secs(1), "too quick to show anything");
}

#[tokio::test]
async fn a_server_that_talks_without_end_is_left() {
    let (mut output, mut peer) = connected(&[("window_commands", "2")]).await;
    peer.say(&"0 x 0\n".repeat(8_000)).await;
    let fault = timeout(Duration::from_secs(5), output.acknowledged(0)).await.unwrap();
    let why = fault.unwrap_err().to_string();
    assert!(why.contains("says more than"), "{why}");
}

#[tokio::test]
async fn a_session_that_does_not_open_says_why_and_is_tried_again() {
    let server = Server::new().await;
    let mut output = server.output(&[("connect_timeout", "300ms")]);
    for (words, part) in [
        (Some("1 rsp 8 500 full\n"), "500 full"),
        (Some("220 mail.example.com ESMTP\r\n"), "does not speak RELP"),
        (Some(""), "closed the connection; check that"),
        (None, "no answer to RELP's open within 300"),
    ] {
        let (opened, _peer) = tokio::join!(output.connect(), async {
            let mut peer = server.accept().await;
            peer.command().await;
            match words {
                Some("") => return None,
                Some(words) => peer.say(words).await,
                None => {}
            }
            Some(peer)
        });
        let fault = opened.unwrap_err();
        assert!(matches!(fault, Fault::Retry { .. }), "{fault:?}");
        assert!(fault.to_string().contains(part), "{fault}");
        assert!(fault.to_string().contains("127.0.0.1"), "{fault}");
    }
    server.link(&mut *output).await;
}

/// Sends two messages and refuses the first.
async fn refuse(server: &Server, output: &mut dyn Output, other: &str) -> Fault {
    let mut peer = server.link(output).await;
    output.send(Batch::of(&[b"bad", b"good"]).frames()).await.unwrap();
    for words in ["500 bad", other] {
        let (txnr, ..) = peer.command().await;
        peer.answer(txnr, words).await;
    }
    output.acknowledged(0).await.unwrap_err()
}

#[tokio::test]
async fn a_message_is_given_up_when_it_alone_is_refused_again_and_again() {
    let server = Server::new().await;
    let mut output = server.output(&[]);
    for _ in 0..2 {
        for last in [false, false, true] {
            // A server that refuses all says nothing about a message, and takes nothing back.
            let fault = refuse(&server, &mut *output, "500 bad").await;
            assert!(matches!(fault, Fault::Retry { unread: 0, .. }), "{fault:?}");
            let fault = refuse(&server, &mut *output, "200 OK").await;
            assert_eq!(matches!(fault, Fault::Reject { .. }), last, "{fault:?}");
            assert!(fault.to_string().contains("500 bad"), "{fault}");
            assert_eq!(output.settled(), 0);
        }
    }
}

#[tokio::test]
async fn refusals_of_different_messages_are_not_added_up() {
    let server = Server::new().await;
    let mut output = server.output(&[]);
    for _ in 0..5 {
        let mut peer = server.link(&mut *output).await;
        output.send(Batch::of(&[b"good", b"bad"]).frames()).await.unwrap();
        peer.answer(2, "200 OK").await;
        peer.answer(3, "500 bad").await;
        let fault = output.acknowledged(4).await.unwrap_err();
        assert!(matches!(fault, Fault::Retry { .. }), "{fault:?}");
        assert_eq!(output.settled(), 4);
    }
}

#[tokio::test]
async fn closing_says_so_and_waits_for_the_answer_and_the_end() {
    let (mut output, mut peer) = connected(&[]).await;
    output.send(Batch::of(&[b"one"]).frames()).await.unwrap();
    let (settled, ()) = tokio::join!(output.close(), async move {
        assert_eq!(peer.command().await.0, 2);
        assert_eq!(peer.command().await, (3, "close".into(), Vec::new()));
        let early = timeout(Duration::from_millis(50), peer.0.read(&mut [0])).await;
        assert!(early.is_err(), "our end comes after the answer: {early:?}");
        peer.answer(2, "200 OK").await;
        peer.answer(3, "200 OK").await;
        assert_eq!(peer.0.read(&mut [0]).await.unwrap(), 0, "and then it comes");
        peer.say("0 serverclose 0\n").await;
    });
    assert_eq!(settled, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_close_holds_nobody_up() {
    let (mut output, _peer) = connected(&[("connect_timeout", "1h")]).await;
    let started = Instant::now();
    assert_eq!(output.close().await, Ok(0));
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn tls_carries_the_same_session() {
    let authority = Authority::new("downspout test authority");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let server = Server::new().await;
    let port = server.0.local_addr().unwrap().port();
    let mut output = output_with(&TLS_DRIVER, port, &[("tls_ca", ca.to_str().unwrap())]);
    let acceptor = authority.issue("127.0.0.1").server(&TLS13, None);
    let (connected, mut peer) = tokio::join!(output.connect(), async {
        let (stream, _) = server.0.accept().await.unwrap();
        let mut peer = Peer(BufReader::new(acceptor.accept(stream).await.unwrap()));
        peer.welcome().await;
        peer
    });
    let to = connected.unwrap();
    assert!(to.contains("TLS 1.3"), "{to}");
    let frame = vec![b'x'; 100_000];
    let batch = Batch::of(&[&frame]);
    let (sent, ()) = tokio::join!(output.send(batch.frames()), async {
        assert_eq!(peer.command().await.2, frame);
        peer.answer(2, "200 OK").await;
    });
    sent.unwrap();
    assert_eq!(output.acknowledged(0).await, Ok(100_000));
    let (settled, ()) = tokio::join!(output.close(), async move {
        assert_eq!(peer.command().await.1, "close");
        peer.answer(3, "200 OK").await;
        assert_eq!(peer.0.read(&mut [0]).await.unwrap(), 0, "a goodbye");
        peer.0.shutdown().await.unwrap();
    });
    assert_eq!(settled, Ok(100_000));
}

#[test]
fn options_that_make_no_sense_are_refused_with_the_cure() {
    for (name, value) in
        [("window_commands", "1"), ("window_commands", "10001"), ("answer_timeout", "0s")]
    {
        let mut options = Options::new([(name.to_owned(), value.to_owned())]);
        let metrics = Metrics::new().output("test");
        DRIVER.open.link()(Target::Host("localhost".into(), 2514), &mut options, metrics);
        let problems = options.finish(&[DRIVER.options]);
        assert_eq!(problems.len(), 1);
        let problem = problems[0].to_string();
        assert!(problem.contains(name) && problem.contains("expected"), "{problem}");
    }
}

#[test]
fn the_defaults_in_the_table_are_the_defaults_in_the_code() {
    let shown = |rows: &[(&str, &str)]| format!("{:?}", output_with(&DRIVER, 2514, rows));
    let written: Vec<_> = DRIVER.options.iter().map(|spec| (spec.name, spec.default)).collect();
    assert_eq!(shown(&written), shown(&[]));
}
