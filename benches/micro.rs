//! What one line costs at each step of its path, without sockets: decode the engine's reply,
//! assemble, encode. Never measures waiting; `drain` does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a bench fails by panicking, and criterion's macros write undocumented items"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use downspout::assemble::{Assembler, Form, Multiline, Piece, Preset};
use downspout::encode::{Cache, Encoder, Surroundings, Terminal, plan};
use downspout::options::Options;
use downspout::output::Carriage;
use downspout::record;
use downspout::record::{
    Chunk, ChunkBuilder, Container, Mark, Place, Span, StampReader, Stream, Timestamp,
};
use downspout::source::docker::json_file;

// The decoders are no part of the library's surface, so their files are compiled in here.
#[expect(dead_code, unreachable_pub, reason = "a bench uses a part of it")]
#[path = "../src/source/docker/engine/body.rs"]
mod body;
#[expect(dead_code, reason = "a bench uses a part of it")]
#[path = "../src/source/docker/frames.rs"]
mod frames;

use body::Body;
use frames::{Decoded, Frames};

/// The length of a line in all benches of this project, in bytes.
const LINE_BYTES: usize = 120;
/// The length of the pieces into which the engine cuts a long line, in bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// What one read takes from the engine's socket at most, in bytes.
const READ_BYTES: usize = 64 * 1024;
const STAMP: &[u8] = b"2026-11-22T22:40:06.063720431Z";
const TIME: i64 = 1_795_387_206_063_720_431;

fn container() -> Arc<Container> {
    Arc::new(Container {
        id: "0123456789abcdef".repeat(4),
        name: "shop-web-1".into(),
        image: "registry.example.com/shop/web:1.2.3".into(),
        labels: [("com.example.team".to_owned(), "checkout".to_owned())].into(),
        host: "host-1".into(),
        ..Container::default()
    })
}

fn text() -> Vec<u8> {
    let text = br#"10.0.0.7 - - "GET /cart/17 HTTP/1.1" 200 5316 "https://shop.example.com/" "#;
    text.iter().copied().cycle().take(LINE_BYTES).collect()
}

fn chunk(lines: usize) -> Chunk {
    let mut builder = ChunkBuilder::default();
    let text = text();
    for (time, _) in (TIME..).step_by(7_300).zip(0..lines) {
        let time = Timestamp::from_nanos(time);
        let mark = Mark { time, pieces: 1 };
        builder.push(
            &text,
            b"",
            Place { time, stream: Stream::Stdout, mark, span: Span::default() },
        );
    }
    builder.take(&container()).unwrap()
}

fn encoder(query: &str, carriage: Carriage) -> Encoder {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut options = Options::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    plan(&mut options, Surroundings::plain(carriage, Terminal::default()))
        .expect("the options are right")
}

fn encode(criterion: &mut Criterion) {
    let chunk = chunk(500);
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(500));
    for (name, query, carriage) in [
        ("rfc5424 octet-counting", "", Carriage::Stream),
        ("rfc5424 lf", "framing=lf", Carriage::Stream),
        ("rfc5424 with sd", "sd=container+meta", Carriage::Stream),
        ("rfc3164", "format=rfc3164", Carriage::Stream),
        ("json", "format=json", Carriage::Stream),
        ("console", "", Carriage::Text),
    ] {
        let mut encoder = encoder(query, carriage);
        let mut cache = Cache::default();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                bytes.clear();
                ends.clear();
                encoder.encode(black_box(&chunk), &mut cache, &mut bytes, &mut ends)
            });
        });
    }
    group.finish();
}

fn feed(assembler: &mut Assembler, pieces: &[&[u8]], builder: &mut ChunkBuilder) {
    for text in pieces {
        let time = Timestamp::from_nanos(TIME);
        let mark = Mark { time, pieces: 1 };
        let place = Place { time, stream: Stream::Stdout, mark, span: Span::default() };
        assembler.piece(Piece { place, text }, builder);
    }
}

fn assemble(criterion: &mut Criterion) {
    let mut line = text();
    line.push(b'\n');
    let long = vec![b'x'; PIECE_BYTES];
    let container = container();
    let mut group = criterion.benchmark_group("assemble");
    // Lines of six pieces and their end, and as many bytes of short lines.
    let mut pieces = vec![long.as_slice(); 6];
    pieces.push(b"end\n");
    let short = vec![line.as_slice(); 6 * PIECE_BYTES / line.len()];
    for (name, pieces) in [("whole lines", short.clone()), ("16 KiB pieces", pieces)] {
        group.throughput(Throughput::Elements(pieces.len() as u64));
        let mut assembler = Assembler::new(1 << 20);
        let mut builder = ChunkBuilder::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                feed(&mut assembler, black_box(&pieces), &mut builder);
                builder.take(&container)
            });
        });
    }
    group.throughput(Throughput::Elements(short.len() as u64));
    let rule = Multiline::new(Form::Preset(Preset::Auto), Duration::from_secs(1));
    let mut assembler = Assembler::new(1 << 20).joining(rule);
    let mut builder = ChunkBuilder::default();
    group.bench_function("whole lines, by multiline=auto", |bencher| {
        bencher.iter(|| {
            feed(&mut assembler, black_box(&short), &mut builder);
            builder.take(&container)
        });
    });
    group.finish();
}

/// One record as the engine multiplexes it.
fn frame(text: &[u8]) -> Vec<u8> {
    let payload = [STAMP, b" ", text, b"\n"].concat();
    let length = u32::try_from(payload.len()).unwrap();
    [&[1, 0, 0, 0][..], &length.to_be_bytes(), &payload].concat()
}

fn decode(criterion: &mut Criterion) {
    let frame = frame(&text());
    let records = READ_BYTES / frame.len();
    let multiplexed = frame.repeat(records);
    // The engine writes, and so chunks, every record by itself.
    let chunk = [format!("{:x}\r\n", frame.len()).as_bytes(), &frame, b"\r\n"].concat();
    let chunked = chunk.repeat(records);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(records as u64));

    group.bench_function("frames", |bencher| {
        let mut frames = Frames::default();
        bencher.iter(|| {
            let mut bytes = 0;
            let pushed = frames.push(black_box(&multiplexed), |decoded| {
                if let Decoded::Record { text, .. } = decoded {
                    bytes += text.len();
                }
            });
            pushed.map(|()| bytes)
        });
    });
    group.bench_function("body", |bencher| {
        let mut body = Body::chunked();
        bencher.iter(|| {
            let mut pieces = 0;
            let payload = body.push(black_box(&chunked), &mut |_| pieces += 1);
            payload.map(|payload| (payload, pieces))
        });
    });
    group.bench_function("body and frames", |bencher| {
        let (mut body, mut frames) = (Body::chunked(), Frames::default());
        bencher.iter(|| {
            let mut bytes = 0;
            let payload = body.push(black_box(&chunked), &mut |data| {
                let pushed = frames.push(data, |decoded| {
                    if let Decoded::Record { text, .. } = decoded {
                        bytes += text.len();
                    }
                });
                pushed.expect("the frames are right");
            });
            payload.map(|payload| (payload, bytes))
        });
    });
    group.finish();
}

fn json_file(criterion: &mut Criterion) {
    let plain = "x".repeat(LINE_BYTES) + "\\n";
    let quoted = String::from_utf8(text()).unwrap().replace('"', "\\\"") + "\\n";
    let object = r#"{\"level\":\"info\",\"path\":\"/cart/17\",\"status\":200,\"bytes\":5316}"#;
    let object = object.repeat(2) + "\\n";
    let record = |text: &str, attributes: &str, stamp: &str| {
        format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",{attributes}\"time\":\"{stamp}\"}}\n")
    };
    let stamp = str::from_utf8(STAMP).unwrap();
    let attributes = r#""attrs":{"com.example.team":"checkout"},"#;
    let mut group = criterion.benchmark_group("json file");
    for (name, record) in [
        ("plain line", record(&plain, "", stamp)),
        ("short fraction", record(&plain, "", "2026-11-22T22:40:06.06372043Z")),
        ("attributes", record(&plain, attributes, stamp)),
        ("quotes", record(&quoted, "", stamp)),
        ("objects", record(&object, "", stamp)),
        ("16 KiB piece", record(&"x".repeat(PIECE_BYTES), "", stamp)),
        (
            "other order",
            format!("{{\"time\":\"{stamp}\",\"stream\":\"stdout\",\"log\":\"{plain}\"}}\n"),
        ),
    ] {
        let records = (READ_BYTES / record.len()).max(1);
        let lines = record.repeat(records).into_bytes();
        // Decoding overwrites its buffer, so each round has a fresh one: copying is in the figure.
        let mut buffer = lines.clone();
        let mut decoder = json_file::Decoder::default();
        group.throughput(Throughput::Elements(records as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                buffer.copy_from_slice(&lines);
                let mut bytes = 0;
                decoder.push(black_box(&mut buffer), |decoded| {
                    if let json_file::Decoded::Record { text, .. } = decoded {
                        bytes += text.len();
                    }
                });
                bytes
            });
        });
    }
    group.finish();
}

fn timestamp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timestamp");
    group.throughput(Throughput::Elements(1));
    for (name, stamp) in [("nine digits", STAMP), ("no fraction", b"2026-11-22T22:40:06Z")] {
        group.bench_with_input(BenchmarkId::new("parse", name), stamp, |bencher, stamp| {
            bencher.iter(|| Timestamp::parse(black_box(stamp)));
        });
    }
    group.bench_function("parse within a second", |bencher| {
        let mut stamps = StampReader::default();
        bencher.iter(|| stamps.parse(black_box(STAMP)));
    });
    group.finish();
}

criterion_group!(benches, encode, assemble, decode, json_file, timestamp);
criterion_main!(benches);
