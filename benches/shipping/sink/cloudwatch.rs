//! The service's side of CloudWatch Logs over HTTP/1.1: each call is answered as soon as it is
//! whole, and taken apart on one thread for all connections: nobody waits for the count, and calls
//! are counted in the order in which they came. Takes whatever comes, signed by whomever, and knows
//! every group and stream.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Instant;

use flate2::read::GzDecoder;
use memchr::memmem::Finder;

use super::{Shared, lock};
use crate::arrivals::{self, Frame};
use crate::calls::Call;

/// Taken from a connection at once, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// Credentials for those that ask for them here, as ECS gives them (Task IAM roles).
const CREDENTIALS: &str = r#"{"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"secret","Token":"token","Expiration":"2100-01-01T00:00:00Z"}"#;
/// What is before the text of an event, however its keys are ordered. Inside a text its quotes would
/// be escaped.
const MESSAGE: &[u8] = br#""message":""#;

/// The head of a request.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    is_get: bool,
    is_put: bool,
    is_gzip: bool,
    length: usize,
}

/// A call that puts events.
#[derive(Debug)]
pub(super) struct Put {
    head: Head,
    body: Vec<u8>,
    /// When it was whole, by both clocks.
    came: Instant,
    at: u64,
}

/// Counts what `receive` takes, until the sink is gone.
pub(super) fn start_count(waiting: Receiver<Put>, shared: Weak<Shared>) {
    thread::spawn(move || {
        for put in waiting {
            let Some(shared) = shared.upgrade() else { return };
            count(&put, &shared);
        }
    });
}

/// Answers calls until the connection ends.
pub(super) fn receive(connection: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::with_capacity(READ_BYTES, connection);
    while serve(&mut reader, connection, &shared.puts).is_some() {}
}

/// Answers one request; `None` once there is no other.
fn serve(reader: &mut impl BufRead, mut to: &TcpStream, puts: &Sender<Put>) -> Option<()> {
    let head = read_head(reader)?;
    let mut body = vec![0; head.length];
    reader.read_exact(&mut body).ok()?;
    let answer = if head.is_get { CREDENTIALS } else { "{}" };
    if head.is_put {
        // Before the answer, behind which the sender may go on over another connection.
        puts.send(Put { head, body, came: Instant::now(), at: arrivals::now() }).unwrap();
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\n\
         Content-Length: {}\r\n\r\n{answer}",
        answer.len()
    );
    to.write_all(answer.as_bytes()).ok()
}

fn read_head(reader: &mut impl BufRead) -> Option<Head> {
    let mut head = Head::default();
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if head.bytes == 0 {
            head.is_get = line.starts_with("GET ");
        }
        head.bytes += line.len();
        let Some((name, value)) = line.split_once(':') else {
            if line.trim_end().is_empty() {
                return Some(head);
            }
            continue;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = value.parse().ok()?,
            "content-encoding" => head.is_gzip = value == "gzip",
            "x-amz-target" => head.is_put = value.ends_with(".PutLogEvents"),
            _ => {}
        }
    }
}

fn count(put: &Put, shared: &Shared) {
    let Put { head, body, came, at } = put;
    let json = if head.is_gzip {
        let mut json = Vec::new();
        GzDecoder::new(body.as_slice()).read_to_end(&mut json).unwrap();
        Cow::Owned(json)
    } else {
        Cow::Borrowed(body.as_slice())
    };
    let wire_bytes = (head.bytes + body.len()) as u64;
    let mut call = Call { came: *came, wire_bytes, text_bytes: 0, events: 0, is_ours: false };
    let (finder, mut rest, mut place) = (Finder::new(MESSAGE), json.as_ref(), 0);
    {
        let mut tally = lock(shared);
        tally.bytes += wire_bytes;
        let before = tally.distinct;
        while let Some(start) = finder.find(rest) {
            let (text, text_bytes) = text(&rest[start + MESSAGE.len()..]);
            rest = &rest[start + MESSAGE.len() + text.len()..];
            let frame = Frame::find(text, &mut place);
            call.is_ours |= frame.is_some();
            call.events += 1;
            call.text_bytes += text_bytes;
            tally.note(frame, *at);
        }
        if tally.distinct > before {
            tally.last = Some(*came);
        }
    }
    shared.calls.lock().unwrap().push(call);
    shared.changed.notify_all();
}

/// The inside of a JSON string at the front of `json`, and how many bytes it means in UTF-8. A pair
/// of surrogates counts as six and not four; no line of a bench has one.
fn text(json: &[u8]) -> (&[u8], u64) {
    let (mut at, mut less) = (0, 0);
    while let Some(special) = memchr::memchr2(b'"', b'\\', &json[at..]) {
        at += special;
        if json[at] == b'"' {
            break;
        }
        if json[at + 1] == b'u' {
            let code = std::str::from_utf8(&json[at + 2..at + 6]).unwrap();
            let code = u32::from_str_radix(code, 16).unwrap();
            less += 6 - char::from_u32(code).map_or(3, char::len_utf8);
            at += 6;
        } else {
            less += 1;
            at += 2;
        }
    }
    (&json[..at], (at - less) as u64)
}
