//! The encoders: n lines in are n frames out, for every format, framing and byte string, told
//! apart by readers that share no code with them.
#![no_main]

use std::sync::Arc;

use downspout::encode::{Cache, Encoder, Surroundings, Terminal, plan};
use downspout::options::Options;
use downspout::output::Carriage;
use downspout::record::{ChunkBuilder, Container, Mark, Place, Span, Stream, Timestamp};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    encoding: u8,
    id: &'a str,
    name: &'a str,
    image: &'a str,
    host: &'a str,
    label: (&'a str, &'a str),
    lines: Vec<(bool, i64, &'a [u8])>,
}

const ENCODINGS: &[(&str, Carriage)] = &[
    ("format=rfc5424", Carriage::Stream),
    ("format=rfc5424&framing=lf", Carriage::Stream),
    ("format=rfc5424&sd=container+meta&sd_labels=team", Carriage::Stream),
    ("format=rfc5424&sd=container+meta&sd_labels=team", Carriage::Lines),
    ("format=rfc5424&sd=container", Carriage::Datagram),
    ("format=rfc3164", Carriage::Stream),
    ("format=rfc3164&framing=lf&utc_offset=-11:30", Carriage::Stream),
    ("format=rfc3164", Carriage::Datagram),
    ("format=rfc3164&framing=octet-counting", Carriage::Lines),
    ("format=raw", Carriage::Stream),
    ("format=raw&framing=octet-counting", Carriage::Stream),
    ("format=raw&max_message_bytes=480", Carriage::Datagram),
    ("format=json&labels=all", Carriage::Stream),
    ("format=json&labels=all&framing=octet-counting", Carriage::Stream),
    ("format=json", Carriage::Datagram),
    ("format=json&labels=all", Carriage::Text),
    ("format=console", Carriage::Text),
    ("format=rfc5424", Carriage::Text),
];

fn encoder(query: &str, carriage: Carriage, attached: bool) -> Encoder {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut options = Options::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let terminal = Terminal { attached, colour: attached };
    plan(&mut options, Surroundings::plain(carriage, terminal)).expect("these options are right")
}

fn octet_counted(mut wire: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while !wire.is_empty() {
        let space = wire.iter().position(|byte| *byte == b' ').expect("a count ends");
        let count = std::str::from_utf8(&wire[..space]).expect("a count is digits");
        assert!(count == "0" || !count.starts_with(['0', '+']), "{count}");
        let end = space + 1 + count.parse::<usize>().expect("a count is digits");
        frames.push(&wire[space + 1..end]);
        wire = &wire[end..];
    }
    frames
}

fn lines(wire: &[u8]) -> Vec<&[u8]> {
    let wire = wire.strip_suffix(b"\n").expect("the last frame is ended too");
    wire.split(|byte| *byte == b'\n').collect()
}

fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"#012"),
            b'\r' => out.extend_from_slice(b"#015"),
            0 => out.extend_from_slice(b"#000"),
            other => out.push(*other),
        }
    }
    out
}

fn datagrams<'a>(wire: &'a [u8], ends: &[u32], limit: usize) -> Vec<&'a [u8]> {
    let mut start = 0;
    let next = |end: &u32| &wire[std::mem::replace(&mut start, *end as usize)..*end as usize];
    let frames: Vec<_> = ends.iter().map(next).collect();
    assert!(frames.iter().all(|frame| frame.len() <= limit), "a datagram is too long");
    frames
}

fuzz_target!(|input: Input<'_>| {
    let Input { encoding, id, name, image, host, label, lines: texts } = input;
    if texts.is_empty() {
        return;
    }
    let (query, carriage) = ENCODINGS[usize::from(encoding) % ENCODINGS.len()];
    let labels = [("team".to_owned(), label.1.to_owned()), (label.0.into(), label.1.into())].into();
    let container = Arc::new(Container {
        id: id.into(),
        name: name.into(),
        image: image.into(),
        labels,
        host: host.into(),
        ..Container::default()
    });
    let mut builder = ChunkBuilder::default();
    for (stderr, nanos, text) in &texts {
        let stream = if *stderr { Stream::Stderr } else { Stream::Stdout };
        let time = Timestamp::from_nanos(*nanos);
        builder.push(
            b"",
            text,
            Place { time, stream, mark: Mark { time, pieces: 1 }, span: Span::default() },
        );
    }
    let chunk = builder.take(&container).unwrap();
    let (mut wire, mut ends) = (Vec::new(), Vec::new());
    let attached = encoding >= 128;
    let mut encoder = encoder(query, carriage, attached);
    let report = encoder.encode(&chunk, &mut Cache::default(), &mut wire, &mut ends);
    assert_eq!(ends.len(), texts.len());
    assert!(ends.is_sorted());
    assert_eq!(ends.last().copied().unwrap() as usize, wire.len());

    let octets = wire.first().is_some_and(u8::is_ascii_digit)
        && carriage != Carriage::Text
        && (query.contains("framing=octet-counting")
            || (carriage == Carriage::Stream
                && query.contains("rfc")
                && !query.contains("framing=lf")));
    let limit = if query.contains("max_message_bytes") { 480 } else { 8192 };
    let frames = match carriage {
        Carriage::Datagram => datagrams(&wire, &ends, limit),
        _ if octets => octet_counted(&wire),
        _ => lines(&wire),
    };
    assert_eq!(frames.len(), texts.len(), "{query} over {carriage:?}");
    if carriage != Carriage::Datagram {
        assert_eq!(report.truncated, 0);
    }

    for (frame, (_, _, text)) in frames.iter().zip(&texts) {
        if report.truncated > 0 {
            continue;
        }
        let counted = octets || carriage == Carriage::Datagram;
        let message = if counted { text.to_vec() } else { escaped(text) };
        if query.contains("json") {
            let value: serde_json::Value = serde_json::from_slice(frame).expect("JSON");
            assert!(value.is_object());
        } else if query.contains("console") {
            let held = |byte: &u8| *byte == b'\r' && attached;
            assert!(!frame.iter().any(held), "a line could overwrite the terminal's");
        } else {
            assert!(frame.ends_with(&message), "{query}: {}", frame.escape_ascii());
        }
        if query.contains("raw") {
            assert_eq!(*frame, message);
        }
        if query.contains("rfc5424") && !query.contains("sd=") {
            let rest = frame.splitn(8, |byte| *byte == b' ').nth(7);
            assert_eq!(rest, Some(message.as_slice()));
        }
    }
});
