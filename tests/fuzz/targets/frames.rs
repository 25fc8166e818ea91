//! The decoder of log streams: what comes out does not depend on where reads cut the bytes,
//! never is more than went in, and records that an engine would write come out as they are.
#![no_main]

use downspout::record;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

// No part of the library's surface, so the file is compiled in here.
#[allow(dead_code)]
#[path = "../../../src/source/docker/frames.rs"]
mod frames;

use frames::{Decoded, Frames};
use record::{Stream, Timestamp};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    cuts: Vec<u16>,
    body: Body<'a>,
}

#[derive(Debug, Arbitrary)]
enum Body<'a> {
    Any(&'a [u8]),
    Multiplexed(Vec<Record<'a>>),
    Terminal(Vec<&'a [u8]>),
}

#[derive(Debug, Arbitrary)]
struct Record<'a> {
    stderr: bool,
    nanos: u32,
    text: &'a [u8],
}

#[derive(Debug, PartialEq, Eq, Clone)]
enum Seen {
    Record(Stream, Timestamp, Vec<u8>),
    Error(Vec<u8>),
    Garbled(usize),
}

impl Seen {
    fn bytes(&self) -> usize {
        match self {
            Self::Record(_, _, text) | Self::Error(text) => text.len(),
            Self::Garbled(bytes) => *bytes,
        }
    }
}

/// What comes out of the pieces, and whether the decoder took them all.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Seen>, bool) {
    let mut frames = Frames::default();
    let mut seen = Vec::new();
    let mut note = |decoded: Decoded<'_>| {
        seen.push(match decoded {
            Decoded::Record { stream, time, text, .. } => Seen::Record(stream, time, text.to_vec()),
            Decoded::EngineError(text) => Seen::Error(text.to_vec()),
            Decoded::Garbled(bytes) => Seen::Garbled(bytes),
        });
    };
    for piece in pieces {
        if frames.push(piece, &mut note).is_err() {
            return (seen, false);
        }
    }
    frames.finish(&mut note);
    (seen, true)
}

/// The bytes in pieces of the lengths given, the last piece being the rest.
fn cut<'a>(bytes: &'a [u8], lengths: &'a [u16]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let pieces = lengths.iter().map(move |length| {
        let (piece, after) = rest.split_at(usize::from(*length).min(rest.len()));
        rest = after;
        piece
    });
    let cut: usize = lengths.iter().map(|length| usize::from(*length)).sum();
    pieces.chain([bytes.get(cut..).unwrap_or_default()])
}

fn stamped(nanos: u32, text: &[u8]) -> (Timestamp, Vec<u8>) {
    let time = Timestamp::from_nanos(1_795_387_206_000_000_000 + i64::from(nanos));
    (time, [format!("{time} ").as_bytes(), text].concat())
}

/// What an engine would write, and what must come out of it.
fn written(body: Body<'_>) -> (Vec<u8>, Option<Vec<Seen>>) {
    match body {
        Body::Any(bytes) => (bytes.to_vec(), None),
        Body::Multiplexed(records) => {
            let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
            for Record { stderr, nanos, text } in records {
                let (time, payload) = stamped(nanos, text);
                let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
                bytes.extend([1 + u8::from(stderr), 0, 0, 0]);
                bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
                bytes.extend(payload);
                wanted.push(Seen::Record(stream, time, text.to_vec()));
            }
            (bytes, Some(wanted))
        }
        Body::Terminal(lines) => {
            let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
            for line in lines {
                let mut text: Vec<u8> = line.iter().copied().filter(|b| *b != b'\n').collect();
                text.truncate(16 * 1024 - 1);
                text.push(b'\n');
                let (time, payload) = stamped(7, &text);
                bytes.extend(payload);
                wanted.push(Seen::Record(Stream::Stdout, time, text));
            }
            (bytes, Some(wanted))
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let (bytes, wanted) = written(input.body);
    let (whole, complete) = decode([bytes.as_slice()].into_iter());
    assert_eq!(decode(cut(&bytes, &input.cuts)), (whole.clone(), complete));
    assert!(whole.iter().map(Seen::bytes).sum::<usize>() <= bytes.len());
    if let Some(wanted) = wanted {
        assert!(complete);
        assert_eq!(whole, wanted);
    }
});
