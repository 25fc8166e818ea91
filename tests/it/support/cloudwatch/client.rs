//! A raw client that signs, to try the fakes with: one connection, and nothing that helps.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::SOON;
use super::super::http::{Reply, Request};
use super::clock::Clock;
use super::script::Operation;
use super::signature::{AccessKey, Scope, sign};
use super::{CONTENT_TYPE, FakeCloudWatch, REGION};

/// A request before it is signed, with the service's usual headers.
pub fn unsigned(address: SocketAddr, operation: &Operation, body: &[u8]) -> Request {
    let headers = [
        ("host", address.to_string()),
        ("content-type", CONTENT_TYPE.to_owned()),
        ("x-amz-target", operation.target()),
    ];
    Request {
        method: "POST".to_owned(),
        target: "/".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: body.to_vec(),
        connection: 0,
        on_connection: 0,
        arrived: Instant::now(),
    }
}

/// Sends a request as it is and returns the reply, or what became of the connection.
pub fn exchange(stream: &TcpStream, request: &Request) -> std::io::Result<Reply> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("content-length: {}\r\n\r\n", request.body.len());
    let mut writing = stream;
    writing.write_all(text.as_bytes())?;
    writing.write_all(&request.body)?;
    read_reply(stream)
}

fn read_reply(stream: &TcpStream) -> std::io::Result<Reply> {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines();
    let mut line = || lines.next().unwrap_or_else(|| Err(std::io::ErrorKind::UnexpectedEof.into()));
    let status = line()?.split(' ').nth(1).and_then(|word| word.parse().ok());
    let mut reply = Reply { status: status.expect("a status"), ..Reply::default() };
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(": ") else {
            break;
        };
        reply = reply.header(&name.to_ascii_lowercase(), value);
    }
    let length = named(&reply, "content-length").expect("a length").parse().unwrap();
    reply.body = vec![0; length];
    reader.read_exact(&mut reply.body)?;
    Ok(reply)
}

/// A header of a reply, by its name in lower case.
pub fn named<'a>(reply: &'a Reply, wanted: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

/// A client of one service.
pub struct SignedClient {
    /// What it signs with.
    pub key: AccessKey,
    /// Its own clock.
    pub clock: Clock,
    /// Where the service is.
    pub address: SocketAddr,
    stream: Option<TcpStream>,
}

impl SignedClient {
    /// With the first key of the service, and a right clock of its own.
    pub fn of(service: &FakeCloudWatch) -> Self {
        let (key, clock) = (FakeCloudWatch::key(), Clock::default());
        Self { key, clock, address: service.server.address(), stream: None }
    }

    /// Adds a signature to a request.
    pub fn signed(&self, mut request: Request) -> Request {
        let scope = Scope { region: REGION, service: "logs" };
        let added = sign(&request, scope, &self.key, self.clock.now());
        request.headers.extend(added);
        request
    }

    /// Makes a call on the connection that there is, or on a new one after an error.
    pub fn send(&mut self, request: &Request) -> std::io::Result<Reply> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address)?,
        };
        stream.set_read_timeout(Some(SOON))?;
        let reply = exchange(&stream, request)?;
        self.stream = Some(stream);
        Ok(reply)
    }

    /// Signs and sends a call.
    pub fn try_call(&mut self, operation: &Operation, body: &Value) -> std::io::Result<Reply> {
        let request = unsigned(self.address, operation, body.to_string().as_bytes());
        self.send(&self.signed(request))
    }

    /// The same of a call that is answered: its reply, or the error's code.
    pub fn call(&mut self, operation: &Operation, body: &Value) -> Result<Value, String> {
        read(&self.try_call(operation, body).unwrap())
    }

    /// Puts events, each with its age in milliseconds by this client's clock.
    pub fn put(
        &mut self,
        group: &str,
        stream: &str,
        events: &[(i64, &str)],
    ) -> Result<Value, String> {
        let now = self.clock.now();
        let events = events.iter().map(|(age, message)| (now - age, *message));
        self.call(&Operation::PutLogEvents, &batch(group, stream, events))
    }

    /// Waits for the end of its connection while nothing is asked; true if it was in order.
    pub fn is_closed(&mut self, bound: Duration) -> bool {
        let mut stream = self.stream.take().expect("a connection");
        stream.set_read_timeout(Some(bound)).unwrap();
        matches!(stream.read(&mut [0]), Ok(0))
    }
}

/// A reply's JSON, or the error's code.
pub fn read(reply: &Reply) -> Result<Value, String> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if reply.status == 200 {
        return Ok(body);
    }
    Err(body["__type"].as_str().unwrap_or("no code").to_owned())
}

/// The body of `PutLogEvents`.
pub fn batch<'a>(group: &str, stream: &str, events: impl Iterator<Item = (i64, &'a str)>) -> Value {
    let event =
        |(timestamp, message)| serde_json::json!({ "timestamp": timestamp, "message": message });
    let events: Vec<_> = events.map(event).collect();
    serde_json::json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events })
}
