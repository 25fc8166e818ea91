use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::server::TlsStream;

use super::*;
use crate::metrics::{FaultKind, Metrics};
use crate::net::tls::testing::{Authority, Issued};

/// In which the end of a link must be noticed.
const AT_ONCE: Duration = Duration::from_millis(50);

fn output_with(driver: &Driver, host: &str, port: u16, rows: &[(&str, &str)]) -> Box<dyn Output> {
    let rows = rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut options = Options::new(rows);
    let metrics = Metrics::new().output("test");
    let output = driver.open.link()(Target::Host(host.into(), port), &mut options, metrics);
    assert_eq!(options.finish(&[driver.options]), []);
    output.unwrap()
}

async fn connected(rows: &[(&str, &str)]) -> (Box<dyn Output>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut output = output_with(&DRIVER, "127.0.0.1", port, rows);
    output.connect().await.unwrap();
    (output, listener.accept().await.unwrap().0)
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

fn frames(bytes: &[u8]) -> Frames<'_> {
    Frames::new(bytes, &[], 0)
}

fn unread(fault: &Fault) -> u64 {
    let Fault::Retry { unread, .. } = fault else { panic!("{fault:?}") };
    *unread
}

/// Sends until the peer takes no more; returns what the kernel acknowledged by then.
async fn fill(output: &mut dyn Output) -> u64 {
    let bytes = vec![b'x'; 64 << 20];
    let full = timeout(Duration::from_millis(700), output.send(frames(&bytes))).await;
    assert!(full.is_err(), "a peer that does not read must block, got {full:?}");
    output.settled()
}

/// Bytes in the kernel of a peer that its process has not read.
async fn waiting(peer: &TcpStream) -> u64 {
    peer.peek(&mut vec![0; 64 << 20]).await.unwrap() as u64
}

#[tokio::test]
async fn frames_arrive_and_settle_before_the_process_has_read_them() {
    let (mut output, mut peer) = connected(&[]).await;
    output.send(frames(b"3 one3 two")).await.unwrap();
    let mut beyond = 0;
    while beyond < 10 {
        beyond = output.acknowledged(beyond).await.unwrap();
    }
    let mut space = [0; 10];
    peer.read_exact(&mut space).await.unwrap();
    assert_eq!((&space, output.settled()), (b"3 one3 two", 10));
}

#[tokio::test]
async fn the_end_of_an_idle_peer_is_noticed_and_leaves_no_doubt() {
    let (mut output, peer) = connected(&[]).await;
    drop(peer);
    let fault = timeout(AT_ONCE, output.acknowledged(0)).await.unwrap().unwrap_err();
    assert_eq!(fault, Fault::of(FaultKind::Closed, "the peer closed the connection"));
    assert!(output.send(frames(b"x")).await.is_err(), "a link that ended stays ended");
}

#[tokio::test]
async fn writing_into_a_link_that_the_peer_has_closed_leaves_no_doubt_either() {
    let (mut output, peer) = connected(&[]).await;
    drop(peer);
    // Without a turn of the reactor in between, it is the write that finds out.
    let fault = loop {
        if let Err(fault) = output.send(frames(b"x")).await {
            break fault;
        }
    };
    assert_eq!(fault, Fault::of(FaultKind::Closed, "the peer closed the connection"));
    assert_eq!(output.settled(), 0);
}

#[tokio::test]
async fn the_reset_of_an_idle_peer_is_noticed() {
    let (mut output, peer) = connected(&[]).await;
    reset(peer);
    let fault = timeout(AT_ONCE, output.acknowledged(0)).await.unwrap().unwrap_err();
    assert_eq!(fault, Fault::of(FaultKind::Reset, "the peer reset the connection"));
}

#[tokio::test]
async fn what_the_peer_says_is_thrown_away_and_its_end_still_noticed() {
    let (mut output, mut peer) = connected(&[]).await;
    peer.write_all(&vec![b'?'; 100_000]).await.unwrap();
    peer.shutdown().await.unwrap();
    let fault = timeout(AT_ONCE, output.acknowledged(0)).await.unwrap().unwrap_err();
    assert_eq!(unread(&fault), 0);
}

#[tokio::test]
async fn a_peer_that_never_reads_blocks_and_its_reset_ends_the_wait() {
    let (mut output, peer) = connected(&[]).await;
    let bytes = vec![b'x'; 64 << 20];
    let (sent, ()) = tokio::join!(output.send(frames(&bytes)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        reset(peer);
    });
    let why = sent.unwrap_err().to_string();
    assert_eq!(why, "the peer reset the connection");
    assert!(output.settled() < 64 << 20);
}

#[tokio::test]
async fn after_a_reset_settled_is_what_was_acknowledged_and_unread_covers_what_was_not_read() {
    // The peer reads this much and then no more: nothing, a little, and enough for its window to
    // have grown.
    for reads in [0, 200_000, 1_000_000, 60 << 20] {
        let (mut output, mut peer) = connected(&[]).await;
        let bytes = vec![b'y'; reads];
        let mut space = vec![0; reads];
        let (sent, _) = tokio::join!(output.send(frames(&bytes)), peer.read_exact(&mut space));
        sent.unwrap();
        fill(&mut *output).await;
        let waiting = waiting(&peer).await;
        reset(peer);
        let fault = output.acknowledged(u64::MAX - 1).await.unwrap_err();
        assert_eq!(output.settled(), reads as u64 + waiting);
        let unread = unread(&fault);
        assert!(unread >= waiting, "{unread} of {waiting} after {reads}");
        assert!(unread <= waiting * 4 + 512 * 1024, "{unread} of {waiting} after {reads}");
    }
}

#[tokio::test]
async fn a_little_that_was_not_read_yet_is_in_doubt_after_a_reset() {
    let (mut output, peer) = connected(&[]).await;
    output.send(frames(b"little")).await.unwrap();
    assert_eq!(output.acknowledged(0).await, Ok(6));
    reset(peer);
    assert_eq!(unread(&output.acknowledged(6).await.unwrap_err()), 6);
}

#[tokio::test]
async fn what_was_read_long_ago_is_not_in_doubt_after_a_reset() {
    let (mut output, mut peer) = connected(&[]).await;
    output.send(frames(b"little")).await.unwrap();
    assert_eq!(output.acknowledged(0).await, Ok(6));
    peer.read_exact(&mut [0; 6]).await.unwrap();
    let idle = timeout(Duration::from_millis(1_200), output.acknowledged(6)).await;
    assert!(idle.is_err(), "a quiet link just waits: {idle:?}");
    reset(peer);
    assert_eq!(unread(&output.acknowledged(6).await.unwrap_err()), 0);
}

#[tokio::test]
async fn a_closed_window_outlasts_the_user_timeout_and_the_link_goes_on() {
    let (mut output, mut peer) = connected(&[("user_timeout", "1s")]).await;
    let bytes = vec![b'x'; 16 << 20];
    let started = Instant::now();
    let (sent, ()) = tokio::join!(output.send(frames(&bytes)), async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        peer.read_exact(&mut vec![0; 16 << 20]).await.unwrap();
    });
    sent.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(4));
    let mut beyond = 0;
    while beyond < 16 << 20 {
        beyond = output.acknowledged(beyond).await.unwrap();
    }
}

#[tokio::test]
async fn closing_waits_until_the_peer_has_everything_and_ends_too() {
    let (mut output, mut peer) = connected(&[]).await;
    output.send(frames(&vec![b'x'; 300_000])).await.unwrap();
    let mut received = Vec::new();
    let (settled, ()) = tokio::join!(output.close(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        peer.read_to_end(&mut received).await.unwrap();
        drop(peer);
    });
    assert_eq!((settled, received.len()), (Ok(300_000), 300_000));
}

#[tokio::test]
async fn a_refused_address_is_named() {
    let (mut output, peer) = connected(&[]).await;
    let address = peer.local_addr().unwrap();
    drop(peer);
    let why = output.connect().await.unwrap_err().to_string();
    assert!(why.contains(&address.to_string()) && why.contains("refused"), "{why}");
    assert_eq!(output.settled(), 0, "a new link starts from nothing");
}

/// A TLS output and the server that it is to trust.
struct Tls {
    folder: tempfile::TempDir,
    authority: Authority,
    listener: TcpListener,
}

impl Tls {
    async fn new() -> Self {
        let authority = Authority::new("downspout test authority");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self { folder, authority, listener }
    }

    fn output(&self, more: &[(&str, &str)]) -> Box<dyn Output> {
        let ca = self.folder.path().join("ca.pem").display().to_string();
        let rows = [&[("tls_ca", ca.as_str())], more].concat();
        output_with(&TLS_DRIVER, "127.0.0.1", self.listener.local_addr().unwrap().port(), &rows)
    }

    /// Connects; the peer is there only if both sides agreed.
    async fn connect(
        &self,
        output: &mut dyn Output,
        acceptor: &TlsAcceptor,
    ) -> (Result<String, Fault>, Option<TlsStream<TcpStream>>) {
        tokio::join!(output.connect(), async {
            let (stream, _) = self.listener.accept().await.unwrap();
            acceptor.accept(stream).await.ok()
        })
    }

    async fn refusal(&self, output: &mut dyn Output, acceptor: &TlsAcceptor) -> String {
        let (connected, _) = self.connect(output, acceptor).await;
        connected.unwrap_err().to_string()
    }

    /// A link that both sides agreed on.
    async fn linked(&self) -> (Box<dyn Output>, TlsStream<TcpStream>) {
        let acceptor = self.authority.issue("127.0.0.1").server(&TLS13, None);
        let mut output = self.output(&[]);
        let (connected, peer) = self.connect(&mut *output, &acceptor).await;
        connected.unwrap();
        (output, peer.unwrap())
    }
}

#[tokio::test]
async fn tls_carries_frames_and_settles_them_exactly() {
    for (version, name) in [(&TLS12, "TLS 1.2"), (&TLS13, "TLS 1.3")] {
        let tls = Tls::new().await;
        let acceptor = tls.authority.issue("logs.test").server(version, None);
        let mut output = tls.output(&[("tls_server_name", "logs.test")]);
        let (connected, peer) = tls.connect(&mut *output, &acceptor).await;
        let to = connected.unwrap();
        assert!(to.contains(name) && to.contains("ca.pem"), "{to}");
        let bytes = vec![b'x'; 100_000];
        let mut space = vec![0; 100_000];
        let mut peer = peer.unwrap();
        let (sent, _) = tokio::join!(output.send(frames(&bytes)), peer.read_exact(&mut space));
        sent.unwrap();
        let mut beyond = 0;
        while beyond < 100_000 {
            beyond = output.acknowledged(beyond).await.unwrap();
        }
        assert_eq!((output.settled(), space), (100_000, bytes));
        let (settled, ()) = tokio::join!(output.close(), async move {
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0, "a goodbye");
            peer.shutdown().await.unwrap();
        });
        assert_eq!(settled, Ok(100_000));
    }
}

#[tokio::test]
async fn a_server_with_a_wrong_certificate_is_refused_with_the_cure() {
    let tls = Tls::new().await;
    let stranger = Authority::new("stranger");
    for (issued, words) in [
        (tls.authority.issue("other.test"), ["other.test", "tls_server_name"]),
        (tls.authority.issue_expired("127.0.0.1"), ["expired", "days ago"]),
        (stranger.issue("127.0.0.1"), ["not signed by", "tls_ca"]),
    ] {
        let mut output = tls.output(&[]);
        let why = tls.refusal(&mut *output, &issued.server(&TLS13, None)).await;
        assert!(words.iter().all(|word| why.contains(word)), "{why}");
        assert!(why.contains("127.0.0.1"), "{why}");
    }
}

#[tokio::test]
async fn an_authority_shown_as_the_servers_own_certificate_is_explained() {
    let tls = Tls::new().await;
    let issued = Issued::authority_as_server("127.0.0.1");
    fs::write(tls.folder.path().join("ca.pem"), issued.pem()).unwrap();
    let mut output = tls.output(&[]);
    let why = tls.refusal(&mut *output, &issued.server(&TLS13, None)).await;
    assert!(why.contains("CA:TRUE") && why.contains("CA:FALSE"), "{why}");
}

#[tokio::test]
async fn a_certificate_mended_on_disk_is_used_at_the_next_connect() {
    let tls = Tls::new().await;
    let path = tls.folder.path().join("ca.pem");
    fs::write(&path, Authority::new("old").pem()).unwrap();
    let acceptor = tls.authority.issue("127.0.0.1").server(&TLS13, None);
    let mut output = tls.output(&[]);
    tls.refusal(&mut *output, &acceptor).await;
    fs::write(&path, tls.authority.pem()).unwrap();
    let (connected, _peer) = tls.connect(&mut *output, &acceptor).await;
    connected.unwrap();
    fs::write(&path, "").unwrap();
    let why = output.connect().await.unwrap_err().to_string();
    assert!(why.contains("tls_ca=") && why.contains("BEGIN CERTIFICATE"), "{why}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_when_asked_for() {
    for version in [&TLS12, &TLS13] {
        let tls = Tls::new().await;
        let acceptor = tls.authority.issue("127.0.0.1").server(version, Some(&tls.authority));
        let why = tls.refusal(&mut *tls.output(&[]), &acceptor).await;
        assert!(why.contains("wants a client certificate") && why.contains("tls_key"), "{why}");
        for (authority, is_good) in [(&tls.authority, true), (&Authority::new("stranger"), false)] {
            let files = authority.issue("client").write(tls.folder.path());
            let path = |path: Option<std::path::PathBuf>| path.unwrap().display().to_string();
            let (certificate, key) = (path(files.certificate), path(files.key));
            let mut output = tls.output(&[("tls_cert", &certificate), ("tls_key", &key)]);
            let (connected, _peer) = tls.connect(&mut *output, &acceptor).await;
            assert_eq!(connected.is_ok(), is_good, "{connected:?}");
            let why = connected.err().map(|fault| fault.to_string());
            assert!(why.is_none_or(|why| why.contains("refuses our certificate")));
        }
    }
}

#[tokio::test]
async fn the_end_of_tls_without_a_goodbye_leaves_doubt() {
    let tls = Tls::new().await;
    let (mut output, mut peer) = tls.linked().await;
    output.send(frames(b"frame")).await.unwrap();
    output.acknowledged(0).await.unwrap();
    peer.read_exact(&mut [0; 5]).await.unwrap();
    peer.get_mut().0.shutdown().await.unwrap();
    let fault = timeout(AT_ONCE, output.acknowledged(5)).await.unwrap().unwrap_err();
    assert!(fault.to_string().contains("without ending TLS"), "{fault}");
    assert!(unread(&fault) >= 5);
}

#[tokio::test]
async fn the_end_of_tls_with_a_goodbye_leaves_none_unless_a_reset_follows() {
    for resets in [false, true] {
        let tls = Tls::new().await;
        let (mut output, mut peer) = tls.linked().await;
        output.send(frames(b"frame")).await.unwrap();
        output.acknowledged(0).await.unwrap();
        if resets {
            peer.get_mut().1.send_close_notify();
            peer.flush().await.unwrap();
            reset(peer.into_inner().0);
        } else {
            peer.read_exact(&mut [0; 5]).await.unwrap();
            peer.shutdown().await.unwrap();
        }
        let fault = timeout(2 * AT_ONCE, output.acknowledged(5)).await.unwrap().unwrap_err();
        assert_eq!(unread(&fault) >= 5, resets);
    }
}

#[tokio::test]
async fn a_peer_that_answers_our_goodbye_with_its_end_only_leaves_no_doubt() {
    let tls = Tls::new().await;
    let (mut output, mut peer) = tls.linked().await;
    output.send(frames(b"frame")).await.unwrap();
    let (settled, ()) = tokio::join!(output.close(), async move {
        peer.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0, "a goodbye");
        peer.get_mut().0.shutdown().await.unwrap();
    });
    assert_eq!(settled, Ok(5));
}

#[tokio::test]
async fn after_a_reset_tls_settles_no_more_than_arrived_and_covers_what_was_not_read() {
    let tls = Tls::new().await;
    let (mut output, peer) = tls.linked().await;
    let settled = fill(&mut *output).await;
    let waiting = waiting(peer.get_ref().0).await;
    reset(peer.into_inner().0);
    let fault = output.acknowledged(u64::MAX - 1).await.unwrap_err();
    assert!(settled > 0 && output.settled() >= settled);
    assert!(output.settled() < waiting, "ciphertext is longer than what it carries");
    assert!(unread(&fault) >= output.settled());
}

#[tokio::test]
async fn a_server_without_tls_is_explained() {
    let tls = Tls::new().await;
    let mut output = tls.output(&[]);
    let (connected, ()) = tokio::join!(output.connect(), async {
        let (mut stream, _) = tls.listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok();
    });
    let why = connected.unwrap_err().to_string();
    assert!(why.contains("does not speak TLS"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_is_given_up() {
    let tls = Tls::new().await;
    let started = Instant::now();
    let why = tls.output(&[]).connect().await.unwrap_err().to_string();
    assert!(why.contains("no TLS handshake within 10 s"), "{why}");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_at_start() {
    let rows = [("tls_ca".to_owned(), "/does/not/exist".to_owned())];
    let mut options = Options::new(rows);
    let target = Target::Host("localhost".into(), 6514);
    let metrics = Metrics::new().output("test");
    assert!(TLS_DRIVER.open.link()(target, &mut options, metrics).is_none());
    let problems = options.finish(&[TLS_DRIVER.options]);
    assert!(problems[0].to_string().contains("tls_ca=/does/not/exist cannot be read"));
}
