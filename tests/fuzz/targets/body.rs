//! The decoder of reply bodies: what comes out does not depend on where reads cut the bytes, is
//! no more than went in, and chunks come out as they went in.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

// No part of the library's surface, so the file is compiled in here.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/source/docker/engine/body.rs"]
mod body;

use body::{Body, BodyError};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    cuts: Vec<u16>,
    wire: Wire<'a>,
}

#[derive(Debug, Arbitrary)]
enum Wire<'a> {
    Chunked(&'a [u8]),
    Counted(u64, &'a [u8]),
    UntilEnd(&'a [u8]),
    Chunks { chunks: Vec<&'a [u8]>, extension: &'a str, after: &'a [u8] },
}

/// Payload, outcome, and whether the body was complete.
type Outcome = (Vec<u8>, Option<BodyError>, bool);

fn decode<'a>(mut body: Body, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut payload = Vec::new();
    for piece in pieces {
        let before = payload.len();
        match body.push(piece, &mut |data| payload.extend_from_slice(data)) {
            Ok(bytes) => assert_eq!(bytes, payload.len() - before),
            Err(error) => {
                let again = body.push(b"1\r\na\r\n", &mut |_| panic!("payload after an error"));
                assert_eq!(again, Err(error));
                return (payload, Some(error), body.ended());
            }
        }
    }
    (payload, None, body.ended())
}

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

fn check(body: impl Fn() -> Body, wire: &[u8], cuts: &[u16]) -> Outcome {
    let whole = decode(body(), [wire].into_iter());
    assert_eq!(decode(body(), cut(wire, cuts)), whole);
    assert_eq!(decode(body(), wire.chunks(1)), whole);
    assert!(whole.0.len() <= wire.len());
    whole
}

fuzz_target!(|input: Input<'_>| {
    let cuts = &input.cuts;
    match input.wire {
        Wire::Chunked(wire) => {
            check(Body::chunked, wire, cuts);
        }
        Wire::Counted(length, wire) => {
            let outcome = check(|| Body::counted(length), wire, cuts);
            let taken = usize::try_from(length).unwrap_or(usize::MAX).min(wire.len());
            assert_eq!(outcome, (wire[..taken].to_vec(), None, taken as u64 == length));
        }
        Wire::UntilEnd(wire) => {
            assert_eq!(check(Body::until_end, wire, cuts), (wire.to_vec(), None, false));
        }
        Wire::Chunks { chunks, extension, after } => {
            let mut extension = extension.replace('\n', "");
            extension.truncate(extension.floor_char_boundary(900));
            let extension = if extension.is_empty() { extension } else { format!(";{extension}") };
            let mut wire = Vec::new();
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                wire.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            wire.extend_from_slice(after);
            assert_eq!(check(Body::chunked, &wire, cuts), (chunks.concat(), None, true));
        }
    }
});
