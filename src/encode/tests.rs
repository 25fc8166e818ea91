//! n lines in are n frames out (F41), read back by small parsers written for these tests and by
//! `syslog_loose`; none of them shares code with the encoders.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::framing::{correct_count, escape_in_place};
use super::*;
use crate::options::Options;
use crate::record::{ChunkBuilder, Mark, Place, Span, Timestamp};

const TIME: i64 = 1_795_387_206_063_720_431;

fn encoder(query: &str, carriage: Carriage) -> Encoder {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut options = Options::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    plan(&mut options, Surroundings::plain(carriage, Terminal::default())).unwrap()
}

fn chunk(container: &Arc<Container>, lines: &[Vec<u8>]) -> Chunk {
    let mut builder = ChunkBuilder::default();
    for (number, line) in lines.iter().enumerate() {
        let time = Timestamp::from_nanos(TIME + i64::try_from(number).unwrap());
        let stream = if number.is_multiple_of(2) { Stream::Stdout } else { Stream::Stderr };
        builder.push(
            line,
            b"",
            Place { time, stream, mark: Mark { time, pieces: 1 }, span: Span::default() },
        );
    }
    builder.take(container).unwrap()
}

/// The frames that the encoder says it made, and what is on the wire, checked to be the same bytes.
fn encode(encoder: &mut Encoder, chunk: &Chunk) -> (Vec<Vec<u8>>, Vec<u8>, Encoded) {
    let (mut bytes, mut ends) = (b"earlier".to_vec(), Vec::new());
    let mut start = bytes.len();
    let report = encoder.encode(chunk, &mut Cache::default(), &mut bytes, &mut ends);
    let frames = ends
        .iter()
        .map(|end| bytes[std::mem::replace(&mut start, *end as usize)..*end as usize].to_vec())
        .collect();
    assert_eq!(start, bytes.len(), "the last end is the end of the buffer");
    (frames, bytes.split_off(b"earlier".len()), report)
}

fn split_octet_counted(mut wire: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !wire.is_empty() {
        let space = wire.iter().position(|byte| *byte == b' ').unwrap();
        let count = std::str::from_utf8(&wire[..space]).unwrap();
        assert!(count == "0" || !count.starts_with(['0', '+']), "{count}");
        let end = space + 1 + count.parse::<usize>().unwrap();
        frames.push(wire[space + 1..end].to_vec());
        wire = &wire[end..];
    }
    frames
}

fn split_lines(wire: &[u8]) -> Vec<Vec<u8>> {
    let wire = wire.strip_suffix(b"\n").expect("the last frame is ended too");
    wire.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
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

/// What stands after the header of either RFC, without structured data.
fn message<'a>(format: &str, frame: &'a [u8]) -> &'a [u8] {
    if format == "rfc5424" {
        // PRI and version, time, host, name, process, message id, structured data.
        return frame.splitn(8, |byte| *byte == b' ').nth(7).unwrap();
    }
    let priority = frame.iter().position(|byte| *byte == b'>').unwrap() + 1;
    let host_and_rest = &frame[priority + "Mmm dd hh:mm:ss ".len()..];
    let host = host_and_rest.iter().position(|byte| *byte == b' ').unwrap();
    let colon = host_and_rest.windows(2).position(|two| two == b": ").unwrap();
    assert!(host_and_rest[host + 1..colon].iter().all(u8::is_ascii_graphic));
    &host_and_rest[colon + 2..]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    const FRAGMENTS: &[&[u8]] = &[
        b"\n",
        b"\r\n",
        b"\0",
        b"17 <13>",
        b"0 ",
        b"<13>1 - - - - - - x",
        b"<14>Jan  1 00:00:00 h t: x",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b": ",
        b" ",
        b"#012",
        b"\xff",
        "ü€𝄞".as_bytes(),
        b"plain text",
    ];
    let fragment = prop::sample::select(FRAGMENTS);
    let fragments = prop::collection::vec(fragment, 0..12).prop_map(|parts| parts.concat());
    // Lengths around the places where a count gets one more digit.
    let sized = (0_usize..1100).prop_map(|len| vec![b'x'; len]);
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), fragments, sized]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}",
        Just(String::new()),
        Just("Müller & Söhne".to_owned()),
        Just("12 <13>1 [x] \"y\" \\ ]: \r\n\0".to_owned()),
        "\\PC{0,300}",
        any::<String>(),
    ]
}

fn container() -> impl Strategy<Value = Arc<Container>> {
    let labels = prop::collection::btree_map(Just("team".to_owned()), name(), 0..2);
    (name(), name(), name(), name(), labels).prop_map(|(id, name, image, host, labels)| {
        Arc::new(Container { id, name, image, labels, host, ..Container::default() })
    })
}

proptest! {
    #[test]
    fn n_lines_are_n_frames_with_every_byte_in_place(
        container in container(),
        lines in prop::collection::vec(line(), 1..12),
        format in prop_oneof![Just("rfc5424"), Just("rfc3164")],
    ) {
        let chunk = chunk(&container, &lines);
        for framing in ["octet-counting", "lf"] {
            let query = format!("format={format}&framing={framing}");
            let (frames, wire, encoded) = encode(&mut encoder(&query, Carriage::Stream), &chunk);
            prop_assert_eq!(encoded, Encoded::default());
            prop_assert_eq!(frames.concat(), &wire[..]);
            let received = match framing {
                "lf" => split_lines(&wire),
                _ => split_octet_counted(&wire),
            };
            prop_assert_eq!(frames.len(), lines.len());
            prop_assert_eq!(received.len(), lines.len());
            for (frame, line) in received.iter().zip(&lines) {
                let expected = if framing == "lf" { escaped(line) } else { line.clone() };
                let text = message(format, frame);
                prop_assert_eq!(text, expected);
                let header = &frame[..frame.len() - text.len()];
                prop_assert!(header.starts_with(b"<1"));
                prop_assert!(header.iter().all(|byte| matches!(byte, b' '..=b'~')));
            }
        }
    }

    #[test]
    fn raw_and_json_lines_are_frames_too(
        container in container(),
        lines in prop::collection::vec(line(), 1..12),
    ) {
        let chunk = chunk(&container, &lines);
        let (_, wire, _) = encode(&mut encoder("format=raw", Carriage::Stream), &chunk);
        let expected: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
        prop_assert_eq!(split_lines(&wire), expected);
        let query = "format=raw&framing=octet-counting";
        let (_, wire, _) = encode(&mut encoder(query, Carriage::Stream), &chunk);
        prop_assert_eq!(split_octet_counted(&wire), &lines[..]);
        let (_, wire, _) = encode(&mut encoder("format=json", Carriage::Stream), &chunk);
        for (frame, line) in split_lines(&wire).iter().zip(&lines) {
            let object: serde_json::Value = serde_json::from_slice(frame).unwrap();
            prop_assert_eq!(object["line"].as_str().unwrap(), String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn an_independent_parser_reads_rfc5424_back(
        container in container(),
        lines in prop::collection::vec(line(), 1..4),
        sd in prop_oneof![Just("none"), Just("container"), Just("meta"), Just("container+meta")],
    ) {
        let field = |text: &str, max| {
            let text: String = text.chars().take(max).collect();
            let text = text.replace(|c| !('!'..='~').contains(&c), "_");
            Some(text).filter(|text| !text.is_empty() && text != "-")
        };
        let host = field(&container.host, 255);
        let name = field(&container.name, 48);
        let process = field(container.short_id(), 128);
        // This parser takes a colon at the end of a field for the end of the header.
        let colon = |field: &Option<String>| field.as_ref().is_some_and(|f| f.ends_with(':'));
        prop_assume!(![&host, &name, &process].into_iter().any(colon));
        let lines: Vec<_> =
            lines.iter().map(|line| String::from_utf8_lossy(line).into_owned().into()).collect();
        let labels = if sd.starts_with("container") { "&sd_labels=team" } else { "" };
        let query = format!("facility=local3&sd={sd}{labels}");
        let chunk = chunk(&container, &lines);
        let (_, wire, _) = encode(&mut encoder(&query, Carriage::Stream), &chunk);
        for (number, (frame, line)) in split_octet_counted(&wire).iter().zip(&lines).enumerate() {
            let frame = std::str::from_utf8(frame).unwrap();
            let parsed = syslog_loose::parse_message(frame, syslog_loose::Variant::RFC5424);
            prop_assert_eq!(&parsed.protocol, &syslog_loose::Protocol::RFC5424(1));
            prop_assert_eq!(parsed.facility, Some(syslog_loose::SyslogFacility::LOG_LOCAL3));
            let severity = if number.is_multiple_of(2) { "info" } else { "err" };
            prop_assert_eq!(parsed.severity.unwrap().as_str(), severity);
            let micros = TIME / 1_000;
            prop_assert_eq!(parsed.timestamp.unwrap().timestamp_micros(), micros);
            prop_assert_eq!(parsed.hostname.map(str::to_owned), host.clone());
            prop_assert_eq!(parsed.appname.map(str::to_owned), name.clone());
            let process = process.as_deref().map(syslog_loose::ProcId::from);
            prop_assert_eq!(&parsed.procid, &process);
            prop_assert_eq!(parsed.msgid, None);
            check_structured(&parsed, &container, sd, number);
            let text = std::str::from_utf8(line).unwrap().trim_end();
            prop_assert_eq!(parsed.msg, text.trim_start_matches([' ', '\t']));
        }
    }

    #[test]
    fn an_independent_parser_reads_rfc3164_back(
        container in container(),
        lines in prop::collection::vec(line(), 1..4),
    ) {
        // This parser takes a lone dash for "no host and no tag".
        prop_assume!(container.name != "-" || !container.id.is_empty());
        // A letter in front: this parser looks for structured data at the start of the text.
        let lines: Vec<Vec<u8>> = lines
            .iter()
            .map(|line| format!("m{}", String::from_utf8_lossy(line)).into_bytes())
            .collect();
        let chunk = chunk(&container, &lines);
        let query = "format=rfc3164&facility=daemon";
        let (_, wire, _) = encode(&mut encoder(query, Carriage::Stream), &chunk);
        for (frame, line) in split_octet_counted(&wire).iter().zip(&lines) {
            let frame = std::str::from_utf8(frame).unwrap();
            let parsed = syslog_loose::parse_message(frame, syslog_loose::Variant::RFC3164);
            prop_assert_eq!(parsed.facility, Some(syslog_loose::SyslogFacility::LOG_DAEMON));
            let word = |text: &str, max| -> String {
                let other = |c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c));
                text.chars().take(max).collect::<String>().replace(other, "_")
            };
            let or_unknown = |text: &str| {
                Some(if text.is_empty() { "unknown" } else { text }.to_owned())
            };
            let host = word(&container.host, 255);
            let host = or_unknown(host.trim_end_matches(['.', '_', '-']));
            prop_assert_eq!(parsed.hostname.map(str::to_owned), host);
            let tag = parsed.appname.map(str::to_owned);
            prop_assert_eq!(tag, or_unknown(&word(&container.name, 32)));
            let id = word(container.short_id(), 128);
            let id = Some(id.as_str()).filter(|id| !id.is_empty());
            prop_assert_eq!(parsed.procid, id.map(syslog_loose::ProcId::from));
            prop_assert_eq!(parsed.msg, std::str::from_utf8(line).unwrap().trim_end());
        }
    }

    #[test]
    fn a_datagram_keeps_its_bytes_and_is_cut_at_a_character(
        line in prop_oneof![line(), "\\PC{400,500}".prop_map(String::into_bytes)],
    ) {
        let container = Arc::new(Container::default());
        let chunk = chunk(&container, std::slice::from_ref(&line));
        let mut encoder = encoder("max_message_bytes=480", Carriage::Datagram);
        let (frames, wire, encoded) = encode(&mut encoder, &chunk);
        let text = message("rfc5424", &frames[0]);
        prop_assert_eq!(&frames[0], &wire);
        prop_assert!(line.starts_with(text));
        prop_assert_eq!(encoded.truncated, u64::from(text.len() < line.len()));
        if text.len() < line.len() {
            prop_assert!((477..=480).contains(&wire.len()), "{}", wire.len());
            prop_assert_eq!(std::str::from_utf8(&line).is_ok(), std::str::from_utf8(text).is_ok());
        }
    }

    #[test]
    fn a_count_is_right_whatever_was_expected(
        len in prop_oneof![0_usize..1200, 9_980_usize..10_020, 99_990_usize..100_010],
        expected in prop_oneof![0_usize..1200, Just(9_999_999)],
        earlier in 0_usize..30,
    ) {
        let expected = format!("{expected} ");
        let mut out = [&b"e".repeat(earlier), expected.as_bytes(), &b"7".repeat(len)].concat();
        correct_count(&mut out, earlier, expected.len());
        let naive = ["e".repeat(earlier), format!("{len} "), "7".repeat(len)].concat();
        prop_assert_eq!(String::from_utf8(out).unwrap(), naive);
    }

    #[test]
    fn escaping_touches_only_its_own_frame(
        earlier in "[\r\n\\x00a]{0,5}",
        content in prop::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(0), Just(b'#'), any::<u8>()],
            0..40,
        ),
    ) {
        let mut out = earlier.clone().into_bytes();
        out.extend_from_slice(&content);
        escape_in_place(&mut out, earlier.len());
        prop_assert_eq!(out, [earlier.as_bytes(), &escaped(&content)].concat());
    }
}

fn check_structured(
    parsed: &syslog_loose::Message<&str>,
    container: &Container,
    sd: &str,
    number: usize,
) {
    let ids: Vec<_> = parsed.structured_data.iter().map(|element| element.id).collect();
    let expected: Vec<_> = [("container", "container@32473"), ("meta", "meta")]
        .iter()
        .filter_map(|(asked, id)| sd.contains(asked).then_some(*id))
        .collect();
    assert_eq!(ids, expected);
    for element in &parsed.structured_data {
        let params: BTreeMap<_, _> = element.params().map(|(name, value)| (*name, value)).collect();
        if element.id == "meta" {
            assert_eq!(params, BTreeMap::from([("sequenceId", (number + 1).to_string())]));
            continue;
        }
        let stream = if number.is_multiple_of(2) { "stdout" } else { "stderr" };
        let cut = |text: &str| text.split_at(text.floor_char_boundary(1024)).0.to_owned();
        let mut wanted = BTreeMap::from([
            ("id", cut(&container.id)),
            ("image", cut(&container.image)),
            ("stream", stream.to_owned()),
        ]);
        wanted.extend(container.labels.get("team").map(|team| ("team", cut(team))));
        assert_eq!(params, wanted);
    }
}

#[test]
fn only_another_container_is_prepared_again() {
    #[derive(Debug, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Format for Counting {
        fn prepare(&self, container: &Container) -> Prepared {
            self.0.fetch_add(1, Ordering::Relaxed);
            Prepared::new(|_| {
                let mut header = Header::default();
                header.push(&container.name);
                header
            })
        }
    }

    let prepared = Arc::new(AtomicUsize::new(0));
    let mut encoder = Encoder::new(Box::new(Counting(prepared.clone())), Framing::Lf);
    let (mut cache, mut bytes, mut ends) = (Cache::default(), Vec::new(), Vec::new());
    let named = |name: &str| Arc::new(Container { name: name.into(), ..Container::default() });
    let (old, new) = (named("old"), named("new"));
    for container in [&old, &old, &new] {
        let chunk = chunk(container, &[b"a".to_vec(), b"b".to_vec()]);
        encoder.encode(&chunk, &mut cache, &mut bytes, &mut ends);
    }
    assert_eq!(bytes, b"olda\noldb\nolda\noldb\nnewa\nnewb\n");
    assert_eq!(ends, [5, 10, 15, 20, 25, 30]);
    assert_eq!(prepared.load(Ordering::Relaxed), 2);
}

#[test]
fn sequence_ids_count_on_across_chunks() {
    let mut encoder = encoder("sd=meta", Carriage::Stream);
    let chunk = chunk(&Arc::default(), &[b"a".to_vec(), b"b".to_vec()]);
    encode(&mut encoder, &chunk);
    let (_, wire, _) = encode(&mut encoder, &chunk);
    let wire = String::from_utf8(wire).unwrap();
    assert!(wire.contains("\"3\"] a") && wire.contains("\"4\"] b"), "{wire}");
}
