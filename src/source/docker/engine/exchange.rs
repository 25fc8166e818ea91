//! A request written and the head of its reply read. Knows HTTP/1.1 and nothing of Docker.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::body::Body;
use super::connection::Connection;

/// The longest head of a reply, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// What is asked. There are only these two ways: nothing is ever changed on the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    /// The attach call is a POST that asks for another protocol.
    PostUpgrade,
}

/// The head of a reply, as far as it matters.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) body: Body,
}

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Protocol(String),
}

/// Writes a request without a body.
pub(super) async fn write_request(
    connection: &mut Connection,
    method: Method,
    host: &str,
    path: &str,
) -> io::Result<()> {
    let (verb, more) = match method {
        Method::Get => ("GET", ""),
        Method::PostUpgrade => {
            ("POST", "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n")
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let request = format!(
        "{verb} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: downspout/{version}\r\n{more}\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    connection.flush().await
}

/// Reads the head of the reply, and what came of the body with it. Interim replies are skipped.
pub(super) async fn read_head(connection: &mut Connection) -> Result<(Head, Vec<u8>), HeadError> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        while let Some((head, length)) = parse_head(&bytes).map_err(HeadError::Protocol)? {
            bytes.drain(..length);
            let interim = (100..200).contains(&head.status) && head.status != 101;
            if !interim {
                return Ok((head, bytes));
            }
        }
        if bytes.len() >= MAX_HEAD_BYTES {
            return Err(HeadError::Protocol(format!(
                "its head is longer than {MAX_HEAD_BYTES} bytes"
            )));
        }
    }
}

/// The head at the start of `bytes` and its length; `None` while it is not whole.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut reply = httparse::Response::new(&mut headers);
    let length = match reply.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("it is not HTTP: {error}")),
    };
    let status = reply.code.unwrap_or_default();
    let body = framing(status, reply.headers)?;
    let content_type = values(reply.headers, "content-type").next().map(str::to_owned);
    Ok(Some((Head { status, content_type, body }, length)))
}

/// Where the body ends, as RFC 9112 section 6.3 has it for replies.
fn framing(status: u16, headers: &[httparse::Header<'_>]) -> Result<Body, String> {
    if status == 101 {
        return Ok(Body::until_end());
    }
    if status == 204 || status == 304 {
        return Ok(Body::counted(0));
    }
    if let Some(coding) = values(headers, "transfer-encoding").last() {
        let last = coding.rsplit(',').next().unwrap_or_default().trim();
        return Ok(if last.eq_ignore_ascii_case("chunked") {
            Body::chunked()
        } else {
            Body::until_end()
        });
    }
    let mut lengths = values(headers, "content-length");
    let Some(first) = lengths.next() else {
        return Ok(Body::until_end());
    };
    match first.parse() {
        Ok(length) if lengths.all(|other| other == first) => Ok(Body::counted(length)),
        _ => Err(format!("its Content-Length `{first}` is not one number")),
    }
}

fn values<'a>(
    headers: &'a [httparse::Header<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| std::str::from_utf8(header.value).unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(headers: &str) -> Result<Body, String> {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        parse_head(head.as_bytes()).map(|parsed| parsed.unwrap().0.body)
    }

    #[test]
    fn the_end_of_the_body_is_found_as_the_rfc_says() {
        for (headers, expected) in [
            ("", Body::until_end()),
            ("Content-Length: 7\r\n", Body::counted(7)),
            ("content-length: 7\r\nContent-Length: 7\r\n", Body::counted(7)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", Body::chunked()),
            ("transfer-encoding: gzip, Chunked\r\n", Body::chunked()),
            ("Transfer-Encoding: identity\r\n", Body::until_end()),
        ] {
            assert_eq!(format!("{:?}", body_of(headers).unwrap()), format!("{expected:?}"));
        }
        for headers in ["Content-Length: x\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n"] {
            assert!(body_of(headers).is_err(), "{headers}");
        }
    }

    #[test]
    fn too_many_headers_are_refused() {
        assert!(body_of(&"a: b\r\n".repeat(MAX_HEADERS + 1)).is_err());
    }
}
