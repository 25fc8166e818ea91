//! A live tail over a WebSocket (RFC 6455), the server's side of it: handshake, frames, and the
//! goodbye. Never takes a message: what a client says beyond control frames is passed over.

pub(super) mod frame;

use std::time::Duration;

use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::body::{Reply, TEXT, reply, text};
use super::logs::{Tail, has_word};
use crate::shutdown::Stop;
use frame::{Heard, Incoming};

/// The one version there is (RFC 6455, section 4.1).
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// What a key is hashed with (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Between our answer and the first byte of the new protocol.
const SWITCH_LIMIT: Duration = Duration::from_secs(5);
/// A client that does not take our goodbye is left.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);
/// Read at once at most, in bytes: clients have little to say.
const READ_BYTES: usize = 4096;

/// Closing for good (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// The answer to a client's key, or a refusal. Whether there is an `Origin` does not matter.
pub(super) fn accept<B>(request: &Request<B>) -> Result<String, Box<Reply>> {
    let headers = request.headers();
    let bad = |why: &str| Err(Box::new(text(StatusCode::BAD_REQUEST, why)));
    if request.version() != Version::HTTP_11 {
        return bad("a WebSocket needs HTTP/1.1");
    }
    if !headers.get_all(CONNECTION).iter().any(|value| has_word(value, "upgrade")) {
        return bad("a WebSocket needs the header 'Connection: Upgrade'");
    }
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let mut refusal = text(
            StatusCode::UPGRADE_REQUIRED,
            "a WebSocket needs the header 'Sec-WebSocket-Version: 13'",
        );
        refusal.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
        return Err(Box::new(refusal));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match (keys.next().and_then(|key| key.to_str().ok()), keys.next()) {
        (Some(key), None) if is_key(key) => Ok(answer_to(key)),
        _ => bad("a WebSocket needs the header 'Sec-WebSocket-Key' with 16 bytes in base64, once"),
    }
}

/// The reply that switches to the new protocol.
pub(super) fn switching(answer: &str) -> Reply {
    let mut switching = reply(StatusCode::SWITCHING_PROTOCOLS, TEXT, "");
    let headers = switching.headers_mut();
    headers.clear();
    let mut set = |name: HeaderName, value: HeaderValue| drop(headers.insert(name, value));
    set(UPGRADE, HeaderValue::from_static("websocket"));
    set(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(answer) = HeaderValue::from_str(answer) {
        set(SEC_WEBSOCKET_ACCEPT, answer);
    }
    switching
}

/// Shows a live tail until the client or the tail ends, or the client takes nothing.
pub(super) async fn serve(upgrade: OnUpgrade, mut tail: Tail, stop: Stop) {
    let Ok(Ok(upgraded)) = tokio::time::timeout(SWITCH_LIMIT, upgrade).await else { return };
    let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
    let progress = tail.progress();
    let code = tokio::select! {
        code = converse(&mut read, &mut write, &mut tail) => code,
        () = progress.stuck() => None,
        () = stop.quitting() => None,
    };
    if let Some(code) = code {
        let goodbye = async {
            let mut out = Vec::new();
            frame::close(code, &mut out);
            write.write_all(&out).await.ok();
            write.shutdown().await.ok();
        };
        // A client that has gone hears nothing.
        tokio::time::timeout(GOODBYE_LIMIT, goodbye).await.ok();
    }
}

/// Returns the code to close with; `None` if there is nobody to say it to.
async fn converse(
    read: &mut ReadHalf<TokioIo<Upgraded>>,
    write: &mut WriteHalf<TokioIo<Upgraded>>,
    tail: &mut Tail,
) -> Option<u16> {
    let mut incoming = Incoming::default();
    let mut space = [0; READ_BYTES];
    loop {
        tokio::select! {
            biased;
            count = read.read(&mut space) => {
                let count = count.ok().filter(|count| *count > 0)?;
                incoming.push(space.get(..count).unwrap_or_default());
                let mut out = Vec::new();
                loop {
                    match incoming.next() {
                        Ok(Some(Heard::Ping(payload))) => frame::pong(&payload, &mut out),
                        Ok(Some(Heard::Other)) => {}
                        Ok(None) => break,
                        Ok(Some(Heard::Close(code))) | Err(code) => return Some(code),
                    }
                }
                write.write_all(&out).await.ok()?;
            }
            bytes = tail.next() => match bytes {
                Some(bytes) => write.write_all(&bytes).await.ok()?,
                None => return Some(GOING_AWAY),
            },
        }
    }
}

// 16 bytes in base64: 22 characters and two that fill up.
fn is_key(key: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.strip_suffix("==").is_some_and(|digits| digits.len() == 22 && digits.bytes().all(digit))
}

fn answer_to(key: &str) -> String {
    base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()).as_ref())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place) & 63) as usize;
            let digit = DIGITS.get(digit).copied().filter(|_| place <= group.len());
            text.push(digit.map_or('=', char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn accepted(headers: &[(&str, &str)]) -> Result<String, u16> {
        let mut request = Request::new(());
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        accept(&request).map_err(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn the_answer_to_a_key_is_that_of_the_rfc() {
        // RFC 6455, section 1.3.
        assert_eq!(accepted(&GOOD), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
        // RFC 4648, section 10.
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn an_origin_does_not_matter_and_what_is_missing_is_refused() {
        assert!(accepted(&[&GOOD[..], &[("origin", "http://elsewhere")]].concat()).is_ok());
        assert!(accepted(&[&GOOD[..], &[("origin", "")]].concat()).is_ok());
        for (at, code) in [(1, 400), (2, 426), (3, 400)] {
            let mut headers = GOOD.to_vec();
            headers.remove(at);
            assert_eq!(accepted(&headers), Err(code), "without {:?}", GOOD[at]);
        }
        for (at, value, code) in [
            (1, "close", 400),
            (2, "8", 426),
            (3, "", 400),
            (3, "dGhlIHNhbXBsZQ==", 400),
            (3, "dGhlIHNhbXBsZSBub25j!Q==", 400),
        ] {
            let mut headers = GOOD.to_vec();
            headers[at].1 = value;
            assert_eq!(accepted(&headers), Err(code), "{value}");
        }
        assert_eq!(accepted(&[&GOOD[..], &GOOD[3..]].concat()), Err(400), "two keys");
    }
}
