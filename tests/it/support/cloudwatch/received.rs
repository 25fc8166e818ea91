//! A call as it comes: decoded, and read as far as it can be.

use std::io::Read;

use super::super::http::Request;
use super::contract::{PutLogEvents, Refusal, parse, refuse};
use super::script::Operation;
use super::signature::hex;
use super::store::Call;

/// The largest legal call with every character escaped takes 6.3 MB.
const MOST_JSON_BYTES: u64 = 16 * 1024 * 1024;

/// A call as far as it can be read.
pub struct Received {
    /// What it asks for.
    pub operation: Operation,
    /// Its body without compression.
    pub json: Result<Vec<u8>, Refusal>,
    /// Its batch, if it is one.
    pub put: Option<Result<PutLogEvents, Refusal>>,
}

impl Received {
    /// Reads it.
    pub fn read(request: &Request) -> Self {
        let operation = Operation::parse(request.header("x-amz-target").unwrap_or_default());
        let json = decode(request);
        let body = json.as_deref().ok().filter(|_| operation == Operation::PutLogEvents);
        let put = body.map(parse);
        Self { operation, json, put }
    }

    /// Its batch, if that can be read.
    pub fn batch(&self) -> Option<&PutLogEvents> {
        self.put.as_ref()?.as_ref().ok()
    }

    /// What is written down of it; the number and what else is in flight are to be added.
    pub fn call(&self, request: &Request) -> Call {
        let json = self.json.as_deref().unwrap_or_default();
        let names = match self.batch() {
            Some(put) => put.names(),
            None => parse(json).unwrap_or_default(),
        };
        let (events, counted_bytes) = self.batch().map_or((0, 0), PutLogEvents::size);
        let digest = ring::digest::digest(&ring::digest::SHA256, &request.body);
        let authorization = request.header("authorization").unwrap_or_default();
        let credential = authorization.split_once("Credential=").map(|(_, rest)| rest);
        let key = credential.and_then(|rest| rest.split('/').next());
        Call {
            number: 0,
            operation: self.operation.clone(),
            group: names.log_group_name,
            stream: names.log_stream_name,
            access_key: key.map(str::to_owned),
            events,
            counted_bytes,
            wire_bytes: request.body.len(),
            json_bytes: json.len(),
            digest: hex(digest.as_ref()),
            encoding: request.header("content-encoding").map(str::to_owned),
            connection: request.connection,
            on_connection: request.on_connection,
            arrived: request.arrived,
            finished: None,
            in_flight: 0,
            in_flight_of_stream: 0,
            outcome: None,
        }
    }
}

fn decode(request: &Request) -> Result<Vec<u8>, Refusal> {
    let mut json = Vec::new();
    match request.header("content-encoding") {
        None | Some("identity") => json.clone_from(&request.body),
        Some("gzip") => {
            let mut decoder = flate2::read::GzDecoder::new(&*request.body).take(MOST_JSON_BYTES);
            if let Err(error) = decoder.read_to_end(&mut json) {
                return refuse("SerializationException", &format!("not gzip: {error}"));
            }
        }
        Some(other) => {
            return refuse("SerializationException", &format!("unknown content encoding {other}"));
        }
    }
    if json.len() as u64 >= MOST_JSON_BYTES {
        return Err(Refusal::new(413, "RequestEntityTooLargeException", "Request is too large"));
    }
    Ok(json)
}
