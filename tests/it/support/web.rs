//! A client of the agent's HTTP server that sees every byte: whole replies, live tails, and a
//! WebSocket written by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{SOON, until};

/// How long one look at a connection may take.
const LOOK: Duration = Duration::from_millis(20);

/// A whole reply.
#[derive(Debug)]
pub struct Whole {
    /// The code.
    pub status: u16,
    /// Everything before the body.
    pub head: String,
    /// The body, without its framing.
    pub body: String,
}

/// Asks for something and waits for the whole of the reply. `headers` end with a line end each.
#[track_caller]
pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Whole {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: agent\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let (head, body) = split(&reply).unwrap_or_else(|| panic!("{}", lossy(&reply)));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Whole { status, body: lossy(&body), head }
}

/// A reply that goes on.
pub struct Live {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Live {
    /// Asks, and waits for the head of the reply.
    #[track_caller]
    pub fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut live = Self::ask(address, path, headers);
        live.wait_head();
        live
    }

    /// Asks, and waits for nothing.
    #[track_caller]
    pub fn ask(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LOOK)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Waits for the head of the reply.
    #[track_caller]
    pub fn wait_head(&mut self) -> String {
        until("the head of a reply", SOON, || {
            self.look();
            split(&self.read).map(|(head, _)| head).ok_or_else(|| lossy(&self.read))
        })
    }

    /// Reads what has come; false once the reply has ended.
    pub fn look(&mut self) -> bool {
        let mut space = vec![0; 64 * 1024];
        match self.stream.read(&mut space) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&space[..count]);
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// The body so far.
    pub fn body(&self) -> Vec<u8> {
        split(&self.read).map(|(_, body)| body).unwrap_or_default()
    }

    /// Reads until the body is as wanted, and returns it.
    #[track_caller]
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        until(what, 2 * SOON, || {
            self.look();
            let body = lossy(&self.body());
            if wanted(&body) { Ok(body) } else { Err(body.chars().take(2000).collect()) }
        })
    }

    /// Sends something, after the request.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The frames of a WebSocket so far: opcode and payload.
    pub fn frames(&self) -> Vec<(u8, Vec<u8>)> {
        let head = self.read.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let mut rest = &self.read[head + 4..];
        let mut frames = Vec::new();
        loop {
            let (head, length) = match rest {
                [_, length @ 0..126, ..] => (2, usize::from(*length)),
                [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
                [_, 127, _, _, _, _, a, b, c, d, ..] => {
                    (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize)
                }
                _ => return frames,
            };
            let Some(payload) = rest.get(head..head + length) else { return frames };
            assert_eq!(rest[0] & 0x80, 0x80, "every message is one frame");
            frames.push((rest[0] & 0x0F, payload.to_vec()));
            rest = &rest[head + length..];
        }
    }

    /// Sends a frame as clients do.
    #[track_caller]
    pub fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0x80 | opcode, 0x80 | length, 1, 2, 3, 4];
        frame.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(a, b)| a ^ b));
        self.send(&frame);
    }
}

/// Head and body, once the head is whole; a chunked body as far as it has come.
fn split(reply: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = lossy(&reply[..end + 2]);
    let body = &reply[end + 4..];
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((head, if chunked { unchunked(body) } else { body.to_vec() }))
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(&lossy(&rest[..end]), 16).expect("a chunk's length");
        let from = end + 2;
        let to = (from + length).min(rest.len());
        body.extend_from_slice(&rest[from..to]);
        rest = rest.get(to + 2..).unwrap_or_default();
    }
    body
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
