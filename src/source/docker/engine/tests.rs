//! The engine's calls against a fake daemon that writes prepared bytes to a socket.

mod tls;

use std::io;

use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::*;

struct Daemon {
    listener: UnixListener,
    folder: TempDir,
}

impl Daemon {
    fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        Self { listener, folder }
    }

    fn engine(&self) -> Engine {
        Engine::new(Endpoint::Unix(self.folder.path().join("docker.sock")), None, Wanted::default())
            .unwrap()
    }

    /// Takes one connection and reads its request.
    async fn accept(&self) -> (UnixStream, String) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        (stream, request)
    }

    /// Answers one request and closes. Returns the first line of the request.
    async fn answer(&self, reply: impl AsRef<[u8]>) -> String {
        let (mut stream, request) = self.accept().await;
        stream.write_all(reply.as_ref()).await.unwrap();
        request.lines().next().unwrap().to_owned()
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the client left");
    }
    String::from_utf8(request).unwrap()
}

fn json(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// What `query` gives of a reply: payload, and whether its end was clean.
async fn read_reply(query: LogQuery, reply: &[u8]) -> Result<(Vec<u8>, bool), String> {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let (stream, _) = tokio::join!(engine.logs("c", query), daemon.answer(reply));
    let mut stream = stream.map_err(|error| error.to_string())?;
    let mut payload = Vec::new();
    loop {
        let before = payload.len();
        let read = stream.read(&mut |bytes| payload.extend_from_slice(bytes)).await;
        match read.map_err(|error| error.to_string())? {
            Read::Data(bytes) => assert_eq!(payload.len(), before + bytes),
            Read::End { clean } => return Ok((payload, clean)),
        }
    }
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const UNTIL_END: &str = "HTTP/1.1 200 OK\r\n\r\n";

#[tokio::test]
async fn a_log_is_whole_only_when_the_engine_has_said_so() {
    for (reply, payload, clean) in [
        (format!("{CHUNKED}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde", true),
        (format!("{CHUNKED}3\r\nabc\r\n"), "abc", false),
        (format!("{CHUNKED}3\r\nab"), "ab", false),
        (format!("{CHUNKED}3\r\nabc\r\n0\r\n"), "abc", false),
        (format!("{UNTIL_END}abc"), "abc", false),
        (json(200, "abc"), "abc", true),
        (json(200, ""), "", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_owned(), "abc", false),
        (format!("HTTP/1.1 100 Continue\r\n\r\n{CHUNKED}1\r\na\r\n0\r\n\r\n"), "a", true),
    ] {
        let read = read_reply(LogQuery::default(), reply.as_bytes()).await.unwrap();
        assert_eq!(read, (payload.as_bytes().to_vec(), clean), "{reply:?}");
    }
}

#[tokio::test]
async fn nonsense_is_an_error_and_not_an_end() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for (reply, why) in [
        (format!("{CHUNKED}3\r\nabcd\r\n"), "does not end where its size says"),
        (long, "longer than 16384 bytes"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), "not HTTP"),
        ("HTTP/1.1 200".to_owned(), "end of file"),
    ] {
        let error = read_reply(LogQuery::default(), reply.as_bytes()).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_reply_in_single_bytes_is_read_like_one_in_one_piece() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let trickle = async {
        let (mut stream, _) = daemon.accept().await;
        for byte in format!("{CHUNKED}5\r\nabcde\r\n0\r\n\r\n").bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let read = async {
        let mut stream = engine.logs("c", query).await.unwrap();
        stream.collect(100).await.unwrap()
    };
    let (payload, ()) = tokio::join!(read, trickle);
    assert_eq!(payload.unwrap(), b"abcde");
}

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let open = engine.logs("c", LogQuery::default());
    let ((mut peer, _), mut stream) = tokio::join!(
        async {
            let (mut peer, request) = daemon.accept().await;
            peer.write_all(CHUNKED.as_bytes()).await.unwrap();
            (peer, request)
        },
        async { open.await.unwrap() },
    );
    let mut payload = Vec::new();
    for piece in ["5\r", "\nab", "cd", "e\r\n0", "\r\n\r\n"] {
        let mut sink = |bytes: &[u8]| payload.extend_from_slice(bytes);
        assert!(stream.read(&mut sink).now_or_never().is_none(), "nothing is there yet");
        peer.write_all(piece.as_bytes()).await.unwrap();
        // The read that takes the bytes in is dropped if they carry no payload.
        if piece.contains(['a', 'c', 'e']) {
            assert!(matches!(stream.read(&mut sink).await, Ok(Read::Data(_))));
        }
    }
    assert_eq!(stream.read(&mut |_| ()).await.unwrap(), Read::End { clean: true });
    assert_eq!(payload, b"abcde");
}

#[tokio::test]
async fn refusals_keep_their_meaning_and_their_message() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    for (status, text) in [
        (404, "knows no such thing: because"),
        (409, "cannot do this now: because"),
        (501, "cannot be read back: because"),
        (500, "answered 500: because"),
        (301, "answered 301: because"),
        (101, "answered 101: "),
    ] {
        let reply = json(status, r#"{"message":"because"}"#);
        let (stream, _) = tokio::join!(engine.attach("c"), daemon.answer(&reply));
        if status == 101 {
            assert!(stream.is_ok(), "attach asks for another protocol");
        } else {
            assert!(stream.unwrap_err().to_string().contains(text), "{status}");
        }
        let (stream, _) =
            tokio::join!(engine.logs("c", LogQuery::default()), daemon.answer(&reply));
        assert!(stream.unwrap_err().to_string().contains(text), "{status}");
    }
    let gone = json(404, r#"{"message":"No such container: c"}"#);
    let (inspected, _) = tokio::join!(engine.inspect("c"), daemon.answer(gone));
    assert_eq!(inspected.unwrap(), None);
}

#[tokio::test]
async fn a_query_is_exact_to_the_nanosecond() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let since = Some(Timestamp::from_nanos(1_700_000_000_000_000_042));
    let query = LogQuery { follow: true, since, tail: Some(100) };
    let (stream, line) = tokio::join!(engine.logs("c", query), daemon.answer(UNTIL_END));
    stream.unwrap();
    assert_eq!(
        line,
        "GET /containers/c/logs?stdout=1&stderr=1&timestamps=1&follow=1\
         &since=1700000000.000000042&tail=100 HTTP/1.1"
    );
}

#[tokio::test]
async fn an_id_cannot_change_the_path() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    for id in ["", "..", "a/b", "a?b", "a b", "a%2e", "ä"] {
        assert_eq!(engine.inspect(id).now_or_never().unwrap().unwrap(), None);
        let stream = engine.logs(id, LogQuery::default()).now_or_never().unwrap();
        assert!(matches!(stream, Err(EngineError::NotFound { .. })), "{id}");
    }
}

#[tokio::test]
async fn attach_speaks_the_raw_protocol_after_the_upgrade() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let reply = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
                 Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw";
    let answer = async {
        let (mut stream, request) = daemon.accept().await;
        stream.write_all(reply.as_bytes()).await.unwrap();
        request
    };
    let (stream, request) = tokio::join!(engine.attach("c"), answer);
    let mut stream = stream.unwrap();
    assert_eq!(stream.collect(100).await.unwrap().unwrap(), b"raw");
    assert_eq!(stream.read(&mut |_| ()).await.unwrap(), Read::End { clean: false });
    assert_eq!(stream.is_multiplexed(), None, "unknown before 1.42");
    assert!(
        request.starts_with("POST /containers/c/attach?stream=1&stdout=1&stderr=1 "),
        "{request}"
    );
    assert!(request.contains("\r\nUpgrade: tcp\r\n"), "{request}");
}

#[tokio::test(start_paused = true)]
async fn while_following_the_head_may_come_with_the_first_line() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let late = async {
        let (mut stream, _) = daemon.accept().await;
        tokio::time::sleep(CALL_LIMIT * 100).await;
        stream.write_all(format!("{CHUNKED}1\r\na\r\n0\r\n\r\n").as_bytes()).await.unwrap();
    };
    let (stream, ()) = tokio::join!(engine.logs("c", query), late);
    assert_eq!(stream.unwrap().collect(9).await.unwrap().unwrap(), b"a");

    let silent = async {
        let _held = daemon.accept().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        stream = engine.logs("c", LogQuery::default()) => {
            let text = stream.unwrap_err().to_string();
            assert!(text.contains("did not answer /containers/c/logs") && text.contains("30 s"), "{text}");
        }
        () = silent => {}
    }
}

const VERSION: &str = r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#;

#[tokio::test]
async fn connecting_agrees_on_the_version_that_later_calls_speak() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let answers = async {
        daemon.answer(json(200, VERSION)).await;
        daemon.answer(json(200, r#"{"Name":"box","LoggingDriver":"local"}"#)).await;
    };
    let (info, ()) = tokio::join!(engine.connect(), answers);
    let info = info.unwrap();
    assert_eq!((info.version.as_str(), info.api.to_string()), ("20.10.24", "1.41".to_owned()));
    assert_eq!(
        (info.host.as_deref(), info.default_driver.as_deref()),
        (Some("box"), Some("local"))
    );
    let (_, line) = tokio::join!(engine.logs("c", LogQuery::default()), daemon.answer(UNTIL_END));
    assert!(line.starts_with("GET /v1.41/containers/c/logs?"), "{line}");
}

#[tokio::test]
async fn a_socket_proxy_may_hide_the_info() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let answers = async {
        daemon.answer(json(200, VERSION)).await;
        daemon.answer(json(403, "forbidden")).await;
    };
    let (info, ()) = tokio::join!(engine.connect(), answers);
    assert_eq!(info.unwrap().host, None);
}

#[tokio::test]
async fn one_odd_container_does_not_hide_the_others() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let list = r#"[{"Id":"a","Names":["/a"],"State":"hibernating","Labels":null},
                   {"Id":"b","Names":["/b"],"State":"running","Labels":{"k":"v"}}]"#;
    let answers = async {
        assert!(daemon.answer(json(200, list)).await.contains("all=true"), "bollard asks first");
        daemon.answer(json(200, list)).await
    };
    let (listed, line) = tokio::join!(engine.list(), answers);
    assert_eq!(line, "GET /containers/json?all=1 HTTP/1.1");
    let listed = listed.unwrap();
    let states: Vec<_> = listed.iter().map(|c| (c.name.as_str(), c.state.as_str())).collect();
    assert_eq!(states, [("a", "hibernating"), ("b", "running")]);

    let inspected = r#"{"Id":"a","Name":"/a","State":{"Status":"hibernating","Running":true}}"#;
    let answers = async {
        daemon.answer(json(200, inspected)).await;
        daemon.answer(json(200, inspected)).await;
    };
    let (inspected, ()) = tokio::join!(engine.inspect("a"), answers);
    let inspected = inspected.unwrap().unwrap();
    assert_eq!((inspected.state.as_str(), inspected.running), ("hibernating", true));
}

#[tokio::test]
async fn a_list_that_is_none_does_not_mean_that_all_containers_are_gone() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let answers = async {
        daemon.answer(json(200, "{}")).await;
        daemon.answer(json(200, "{}")).await;
    };
    let (listed, ()) = tokio::join!(engine.list(), answers);
    assert!(matches!(listed, Err(EngineError::Protocol { .. })), "{listed:?}");
}

#[tokio::test]
async fn events_come_until_the_first_error() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let mut events = engine.events(Some(Timestamp::from_nanos(5_000_000_007))).unwrap();
    let start = r#"{"Type":"container","Action":"start","Actor":{"ID":"a","Attributes":{"name":"n"}},"timeNano":9}"#;
    let other = r#"{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"a"}}"#;
    let reply = format!("{UNTIL_END}{other}\n{start}\n{{\"Type\":7}}\n{start}\n");
    let (first, line) = tokio::join!(events.next(), daemon.answer(reply));
    let first = first.unwrap().unwrap();
    assert_eq!((first.action, first.name.as_str(), first.time.nanos()), (Action::Start, "n", 9));
    assert!(line.contains("since=5.000000007") && line.contains("destroy"), "{line}");
    let error = events.next().await.unwrap().unwrap_err();
    assert!(matches!(error, EngineError::Protocol { .. }), "{error:?}");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_missing_and_a_dead_socket_say_what_to_do_in_every_call() {
    let daemon = Daemon::listen();
    let engine = daemon.engine();
    let folder = daemon.folder;
    drop(daemon.listener);
    let dead = [
        engine.list().await.unwrap_err(),
        engine.logs("c", LogQuery::default()).await.unwrap_err(),
        engine.events(None).unwrap().next().await.unwrap().unwrap_err(),
    ];
    for error in dead {
        assert!(error.to_string().contains("is dockerd running?"), "{error}");
    }
    let endpoint = Endpoint::Unix(folder.path().join("none.sock"));
    let engine = Engine::new(endpoint, None, Wanted::default()).unwrap();
    let missing = [
        engine.connect().await.unwrap_err(),
        engine.attach("c").await.unwrap_err(),
        engine.events(None).err().unwrap(),
    ];
    for error in missing {
        let text = error.to_string();
        assert!(text.contains("none.sock") && text.contains(":ro"), "{text}");
    }
}

#[tokio::test]
async fn the_type_of_the_content_tells_frames_from_version_1_42_on() {
    for (spoken, kind, expected) in [
        (Some("1.43"), "application/vnd.docker.multiplexed-stream", Some(true)),
        (Some("1.43"), "application/vnd.docker.raw-stream", Some(false)),
        (Some("1.41"), "application/vnd.docker.raw-stream", None),
        (None, "application/vnd.docker.raw-stream", None),
        (Some("1.43"), "text/plain", None),
    ] {
        let daemon = Daemon::listen();
        let endpoint = daemon.engine().endpoint().clone();
        let forced = spoken.map(|version| version.parse().unwrap());
        let engine = Engine::new(endpoint, forced, Wanted::default()).unwrap();
        let reply = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n");
        let query = LogQuery::default();
        let (stream, _) = tokio::join!(engine.logs("c", query), daemon.answer(reply));
        assert_eq!(stream.unwrap().is_multiplexed(), expected);
    }
}
