//! The decoder of json-file logs: every byte belongs to a record or a garbled stretch, what
//! `serde_json` reads as a record comes out the same, and where it refuses a record there is a
//! reason for it. Where the buffers end makes no difference.
#![no_main]

use downspout::record::{Stream, Timestamp};
use downspout::source::docker::json_file::{Decoded, Decoder};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// What lines are put together from.
#[derive(Debug, Arbitrary)]
enum Part<'a> {
    Any(&'a [u8]),
    Piece(u8),
    Record { text: &'a str, stderr: bool, nanos: u32, attributes: Option<(&'a str, &'a str)> },
}

const STAMP: &[u8] = b"2026-11-22T22:40:06.063720431Z";

const PIECES: &[&[u8]] = &[
    b"{\"log\":\"",
    b"\",\"stream\":\"stdout\",\"",
    b"\",\"stream\":\"stderr\",\"time\":\"",
    b"\"time\":\"",
    b"time\":\"",
    b"\"stream\":\"stdout\"",
    b"\"log\":",
    b"\"attrs\":{\"a\":\"b\"}",
    b"\"attrs\":{",
    STAMP,
    b"2026-11-22T22:40:06.1Z",
    b"2026-11-22T22:40:06Z",
    b"\"}\n",
    b"\"}",
    b"\\n\"",
    b"\\\"",
    b"\\u003c",
    b"\\ud834\\udd1e",
    b"\\ud834",
    b"\\\\",
    b"\\",
    b"\n",
    b"{\"",
    b",",
    b"{",
    b"}",
    b":",
    b" ",
    b"\"",
    b"\0\0\0\0\0\0\0\0",
    b"\xff",
];

fn bytes(parts: &[Part<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Any(any) => bytes.extend_from_slice(any),
            Part::Piece(number) => {
                bytes.extend_from_slice(PIECES[usize::from(*number) % PIECES.len()]);
            }
            Part::Record { text, stderr, nanos, attributes } => {
                let string = |text: &str| serde_json::to_string(text).unwrap();
                let stream = if *stderr { "stderr" } else { "stdout" };
                let time = Timestamp::from_nanos(1_795_387_206_000_000_000 + i64::from(*nanos));
                let stamp = time.to_string().replace("0Z", "Z");
                let attributes = attributes.map_or(String::new(), |(name, value)| {
                    format!("\"attrs\":{{{}:{}}},", string(name), string(value))
                });
                let text = string(text);
                let record = format!(
                    "{{\"log\":{text},\"stream\":\"{stream}\",{attributes}\"time\":\"{stamp}\"}}\n"
                );
                bytes.extend_from_slice(record.as_bytes());
            }
        }
    }
    bytes
}

#[derive(Debug, PartialEq)]
enum Seen {
    Record(Stream, Timestamp, Vec<u8>, usize),
    Garbled(usize),
}

/// What comes out of one buffer that begins at `start` of the whole.
fn push(decoder: &mut Decoder, lines: &[u8], start: usize, seen: &mut Vec<Seen>) {
    let mut before = 0;
    decoder.push(&mut lines.to_vec(), |decoded| {
        let after = match decoded {
            Decoded::Record { stream, time, text, end } => {
                seen.push(Seen::Record(stream, time, text.to_vec(), start + end));
                end
            }
            Decoded::Garbled { bytes, end } => {
                assert_eq!(bytes, end - before);
                seen.push(Seen::Garbled(start + end));
                end
            }
        };
        assert!(after > before);
        before = after;
    });
    assert_eq!(before, lines.len());
}

/// What `serde_json` reads, if it is a record.
fn judged(bytes: &[u8]) -> Option<(Stream, Timestamp, String)> {
    #[derive(serde::Deserialize)]
    struct Object {
        log: Option<String>,
        stream: String,
        time: String,
    }
    let object: Object = serde_json::from_slice(bytes).ok()?;
    let stream = match object.stream.as_str() {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    Some((stream, Timestamp::parse(object.time.as_bytes())?, object.log.unwrap_or_default()))
}

fn check(record: &[u8], stream: Stream, time: Timestamp, text: &[u8]) {
    if let Some((s, t, wanted)) = judged(record) {
        assert_eq!((stream, time, text), (s, t, wanted.as_bytes()));
        return;
    }
    // Raw control characters, bytes that are not UTF-8, halves of surrogate pairs.
    let spaced = |text: &str| text.replace(|c: char| c < ' ', " ");
    let lossy = spaced(&String::from_utf8_lossy(record));
    match judged(lossy.as_bytes()) {
        Some((s, t, wanted)) => {
            let text = spaced(&String::from_utf8_lossy(text));
            assert_eq!((stream, time, text), (s, t, spaced(&wanted)));
        }
        None => assert!(lossy.to_lowercase().contains("\\ud"), "this is no record"),
    }
}

fuzz_target!(|parts: Vec<Part<'_>>| {
    let bytes = bytes(&parts);
    let (mut whole, mut single) = (Vec::new(), Vec::new());
    push(&mut Decoder::default(), &bytes, 0, &mut whole);

    let (mut decoder, mut start) = (Decoder::default(), 0);
    let mut wanted = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        push(&mut decoder, line, start, &mut single);
        start += line.len();
        if let Some((stream, time, text)) = judged(line) {
            wanted.push(Seen::Record(stream, time, text.into_bytes(), start));
        }
    }
    assert_eq!(whole, single);

    let mut wanted = wanted.into_iter().peekable();
    let mut at = 0;
    for seen in &whole {
        wanted.next_if(|wanted| wanted == seen);
        match seen {
            Seen::Garbled(end) => at = *end,
            Seen::Record(stream, time, text, end) => {
                check(&bytes[at..*end], *stream, *time, text);
                at = *end;
            }
        }
    }
    assert_eq!(wanted.next(), None, "a record did not come out, or differently");
});
