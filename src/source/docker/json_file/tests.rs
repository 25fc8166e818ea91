//! Records as Go's encoder writes them, read back; and what is damaged, with `serde_json` as the
//! judge of what is a record.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The length of the pieces into which the engine cuts a long line, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Record(Stream, Timestamp, Vec<u8>, usize),
    Garbled(usize),
}

/// What comes out of one buffer, checked to be all of it, in order.
fn push(decoder: &mut Decoder, lines: &[u8]) -> Vec<Seen> {
    let (mut seen, mut before) = (Vec::new(), 0);
    decoder.push(&mut lines.to_vec(), |decoded| {
        let after = match decoded {
            Decoded::Record { stream, time, text, end } => {
                seen.push(Seen::Record(stream, time, text.to_vec(), end));
                end
            }
            Decoded::Garbled { bytes, end } => {
                assert_eq!(bytes, end - before);
                seen.push(Seen::Garbled(bytes));
                end
            }
        };
        assert!(after > before);
        before = after;
    });
    assert_eq!(before, lines.len());
    seen
}

fn decode(lines: impl AsRef<[u8]>) -> Vec<Seen> {
    push(&mut Decoder::default(), lines.as_ref())
}

fn texts(seen: &[Seen]) -> Vec<String> {
    let text = |seen: &Seen| match seen {
        Seen::Record(stream, _, text, _) => format!("{} {}", stream.name(), text.escape_ascii()),
        Seen::Garbled(bytes) => format!("garbled {bytes}"),
    };
    seen.iter().map(text).collect()
}

// ── what the engine writes ──────────────────────────────────────────────────────────────────

#[derive(Debug, Clone)]
struct Printed {
    text: Vec<u8>,
    stream: Stream,
    time: Timestamp,
    /// Engines up to 20.10 write `\u0009` for a tab, and leave an empty text out.
    earlier: bool,
}

fn go_string(text: &[u8], earlier: bool) -> String {
    let mut out = String::from("\"");
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' if !earlier => out.push_str("\\t"),
                '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    write!(out, "\\u{:04x}", u32::from(character)).unwrap();
                }
                _ => out.push(character),
            }
        }
        out.push_str(&"\\ufffd".repeat(chunk.invalid().len()));
    }
    out + "\""
}

fn written(printed: &Printed, attributes: &[(String, String)]) -> String {
    let Printed { text, stream, time, earlier } = printed;
    let mut members = Vec::new();
    if !(text.is_empty() && *earlier) {
        members.push(format!("\"log\":{}", go_string(text, *earlier)));
    }
    members.push(format!("\"stream\":\"{}\"", stream.name()));
    if !attributes.is_empty() {
        let string = |text: &str| go_string(text.as_bytes(), *earlier);
        let pair = |(key, value): &(String, String)| format!("{}:{}", string(key), string(value));
        let pairs: Vec<_> = attributes.iter().map(pair).collect();
        members.push(format!("\"attrs\":{{{}}}", pairs.join(",")));
    }
    let stamp = time.to_string();
    let stamp = stamp.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    members.push(format!("\"time\":\"{stamp}Z\""));
    format!("{{{}}}\n", members.join(","))
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let character = prop_oneof![
        4 => any::<char>(),
        4 => prop::char::range(' ', '~'),
        4 => prop::sample::select(vec!['"', '\\', '/', '<', '>', '&', '\u{7f}', '{', '}']),
        2 => prop::char::range('\0', ' '),
        1 => prop::sample::select(vec!['\u{2028}', '\u{2029}', '\u{fffd}', 'ü', '€', '𝄞']),
    ];
    let characters = prop::collection::vec(character, 0..60)
        .prop_map(|characters| characters.into_iter().collect::<String>().into_bytes());
    let piece = ("[ -~é]{1,40}", PIECE_BYTES - 2..=PIECE_BYTES)
        .prop_map(|(text, length)| text.bytes().cycle().take(length).collect());
    let text = prop_oneof![
        12 => "[ -~]{0,150}".prop_map(String::into_bytes),
        12 => characters,
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => piece,
    ];
    (text, any::<bool>()).prop_map(|(mut text, ends)| {
        text.extend_from_slice(if ends { b"\n" } else { b"" });
        text
    })
}

fn printed() -> impl Strategy<Value = Printed> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    let time = (0..4_i64, 0..=9_u32, 0..1_000_000_000_i64).prop_map(|(second, digits, nanos)| {
        let unit = 10_i64.pow(9 - digits);
        Timestamp::from_nanos((1_795_387_206 + second) * 1_000_000_000 + nanos / unit * unit)
    });
    (text(), stream, time, any::<bool>()).prop_map(|(text, stream, time, earlier)| Printed {
        text,
        stream,
        time,
        earlier,
    })
}

fn attributes() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof!["[a-z.]{1,10}", Just("log".to_owned()), Just("time".to_owned())];
    prop::collection::btree_map(name, any::<String>(), 0..3)
        .prop_map(|attributes| attributes.into_iter().collect())
}

proptest! {
    #[test]
    fn what_a_container_printed_is_read_back(
        log in prop::collection::vec(printed(), 1..12),
        attributes in attributes(),
    ) {
        let lines: Vec<_> = log.iter().map(|printed| written(printed, &attributes)).collect();
        let mut end = 0;
        let wanted = log.iter().zip(&lines).map(|(Printed { text, stream, time, .. }, line)| {
            end += line.len();
            let mut kept = Vec::new();
            for chunk in text.utf8_chunks() {
                kept.extend_from_slice(chunk.valid().as_bytes());
                kept.extend_from_slice("\u{fffd}".repeat(chunk.invalid().len()).as_bytes());
            }
            Seen::Record(*stream, *time, kept, end)
        });
        let wanted: Vec<_> = wanted.collect();
        let mut decoder = Decoder::default();
        prop_assert_eq!(&push(&mut decoder, lines.concat().as_bytes()), &wanted);
        prop_assert_eq!(push(&mut decoder, lines.concat().as_bytes()), wanted);
    }

    #[test]
    fn only_the_first_record_with_attributes_needs_the_other_reader(
        first in printed(),
        second in printed(),
        attributes in attributes(),
    ) {
        prop_assume!(![&first, &second].iter().any(|it| it.text.is_empty() && it.earlier));
        let mut decoder = Decoder::default();
        push(&mut decoder, written(&first, &attributes).as_bytes());
        let mut line = written(&second, &attributes).into_bytes();
        prop_assert!(decoder.written_form(&mut line, 0).is_ok());
    }
}

// ── what is damaged, or written by somebody else ────────────────────────────────────────────

const STAMP: &str = "2026-11-22T22:40:06.063720431Z";

fn line(text: &str) -> String {
    format!(r#"{{"log":"{text}","stream":"stdout","time":"{STAMP}"}}"#) + "\n"
}

#[test]
fn a_record_after_a_torn_one_is_not_lost_with_it() {
    let whole = line(r"whole\n");
    let long = line(r#"a\t\"b\u003c"#);
    let short = line("ab");
    for torn in (1..short.len() - 2).map(|end| short.get(..end).unwrap()) {
        let seen = texts(&decode(format!("{torn}{whole}")));
        assert_eq!(seen, [format!("garbled {}", torn.len()), r"stdout whole\n".into()], "{torn}");
    }
    for torn in (1..long.len() - 2).map(|end| long.get(..end).unwrap()) {
        let seen = texts(&decode(format!("{torn}{whole}{whole}")));
        let garbled = format!("garbled {}", torn.len());
        assert_eq!(seen, [&garbled, r"stdout whole\n", r"stdout whole\n"], "{torn}");
    }
    let torn = r#"{"log":"a","stream":"stdout","attrs":{"k":"v"#;
    let seen = texts(&decode(format!("{torn}{torn}{whole}")));
    assert_eq!(seen, [format!("garbled {}", 2 * torn.len()), r"stdout whole\n".into()]);
}

#[test]
fn a_line_is_searched_for_a_record_a_bounded_number_of_times() {
    let whole = line("whole");
    let torn = |times: usize| r#"{"x"#.repeat(times) + &whole;
    let found = texts(&decode(torn(TRIES_PER_LINE)));
    assert_eq!(found, [format!("garbled {}", 3 * TRIES_PER_LINE), "stdout whole".into()]);
    let lost = torn(TRIES_PER_LINE + 1);
    assert_eq!(texts(&decode(&lost)), [format!("garbled {}", lost.len())]);
}

#[test]
fn huge_attributes_are_not_kept() {
    let mut decoder = Decoder::default();
    for (bytes, kept) in [(KNOWN_MEMBERS_BYTES + 1, false), (100, true)] {
        let value = "v".repeat(bytes);
        let attributes = [("name".to_owned(), value)];
        let printed = Printed {
            text: b"a\n".to_vec(),
            stream: Stream::Stdout,
            time: Timestamp::default(),
            earlier: false,
        };
        let seen = push(&mut decoder, written(&printed, &attributes).as_bytes());
        assert_eq!(texts(&seen), [r"stdout a\n"]);
        assert_eq!(!decoder.known_members.is_empty(), kept);
    }
}

#[test]
fn a_record_that_lacks_only_its_line_feed_is_one_all_the_same() {
    let (one, two) = (line("one"), line("two"));
    let seen = decode(format!("{}{two}{}", one.trim_end(), one.trim_end()));
    assert_eq!(texts(&seen), ["stdout one", "stdout two", "stdout one"]);
    assert!(matches!(seen[0], Seen::Record(_, _, _, end) if end == one.len() - 1));
}

#[test]
fn zeros_where_a_file_was_truncated_hide_no_record() {
    let hole = "\0".repeat(5000);
    let torn = r#"{"log":"ab"#;
    let log = format!("{hole}{}{torn}{hole}{}{hole}\n", line("one"), line("two"));
    let garbled = |bytes: usize| format!("garbled {bytes}");
    let wanted =
        [garbled(5000), "stdout one".into(), garbled(5010), "stdout two".into(), garbled(5001)];
    assert_eq!(texts(&decode(log)), wanted);
}

#[test]
fn what_is_no_record_costs_only_its_own_line() {
    for bad in [
        "",
        "{",
        "nonsense",
        r#"{"log":"a"}"#,
        r#"{"log":"a","stream":"stdin","time":"2026-11-22T22:40:06Z"}"#,
        r#"{"log":"a","stream":"stdout","time":"yesterday"}"#,
        r#"{"log":"a","stream":"stdout","time":"2026-11-22T22:40:06Z","log":"b"}"#,
        r#"{"log":"a\","stream":"stdout","time":"2026-11-22T22:40:06Z"}"#,
        r#"{"log":"a\x","stream":"stdout","time":"2026-11-22T22:40:06Z"}"#,
        r#"{"log":"a\u00","stream":"stdout","time":"2026-11-22T22:40:06Z"}"#,
        r#"{"log":"a" "stream":"stdout","time":"2026-11-22T22:40:06Z"}"#,
        // What a container printed is no record, even if it looks like one once it is decoded.
        r#"{"log":"{\"log\":\"a\",\"stream\":\"stdout\",\"time\":\"2026-11-22T22:40:06Z\"}"#,
    ] {
        let seen = texts(&decode(format!("{bad}\n{}", line("next"))));
        assert_eq!(seen, [format!("garbled {}", bad.len() + 1), "stdout next".into()], "{bad}");
    }
}

#[test]
fn order_white_space_and_unknown_members_make_no_difference() {
    for (other, text) in [
        (format!(r#"{{"time":"{STAMP}","stream":"stderr","log":"a\tb"}}"#), r"a\tb"),
        (format!(r#" {{ "log" : "ab" , "stream":"stderr","time":"{STAMP}" }} "#), "ab"),
        (format!(r#"{{"log":"a\"b" ,"stream":"stderr","time":"{STAMP}"}}"#), r#"a\"b"#),
        (
            format!(r#"{{"log":"ab","x":[1,{{"log":"y"}}],"stream":"stderr","time":"{STAMP}"}}"#),
            "ab",
        ),
        (
            format!(r#"{{"log":"a\/\b\f","stream":"stderr","time":"{STAMP}","x":null}}"#),
            r"a/\x08\x0c",
        ),
        (format!(r#"{{"l\u006fg":"ab","stream":"std\u0065rr","time":"{STAMP}"}}"#), "ab"),
        (format!(r#"{{"stream":"stderr","time":"{STAMP}"}}"#), ""),
    ] {
        let seen = decode(format!("{other}\r\n{}", line("next")));
        let time = Timestamp::parse(STAMP.as_bytes()).unwrap();
        assert!(matches!(&seen[0], Seen::Record(Stream::Stderr, t, ..) if *t == time), "{other}");
        assert_eq!(texts(&seen), [format!("stderr {text}"), "stdout next".into()], "{other}");
    }
}

#[test]
fn halves_of_surrogate_pairs_become_replacement_characters() {
    let seen = decode(line(r"\ud834\udd1e \ud834 \ud834\u0041 \udd1e\ud834\n\uD834"));
    let wanted = "𝄞 \u{fffd} \u{fffd}A \u{fffd}\u{fffd}\n\u{fffd}";
    assert!(matches!(&seen[..], [Seen::Record(_, _, text, _)] if text == wanted.as_bytes()));
}

#[test]
fn members_that_were_learnt_never_stand_for_others() {
    // In the first line, the last `"time":"` is a part of a member's name.
    let odd = |time: &str| {
        let end = r#""x\"time":"2026-11-22T22:40:06Z""#;
        format!(r#"{{"log":"a","stream":"stdout","attrs":{{}},"time":"{time}",{end}}}"#) + "\n"
    };
    let first = odd("2026-11-22T22:40:06Z");
    let attributes = |value: &str| line("a").replace("\"time\"", &format!("{value},\"time\""));
    let one = attributes(r#""attrs":{"k":"1"}"#);
    let two = attributes(r#""attrs":{"k":"2"}"#);
    let log = [&first, &first.replace(":06Z\"}", ":07Z\"}"), &one, &two, &one, &line("a")];
    let seen = decode(log.map(String::as_str).concat());
    let second = |seen: &Seen| match seen {
        Seen::Record(_, time, ..) => time.seconds() % 60,
        Seen::Garbled(_) => 60,
    };
    assert_eq!(seen.iter().map(second).collect::<Vec<_>>(), [6; 6]);
}

/// What `serde_json` reads, if it is a record.
fn judged(bytes: &[u8]) -> Option<(Stream, Timestamp, String)> {
    #[derive(serde::Deserialize)]
    struct Object {
        #[serde(default)]
        log: Value,
        stream: String,
        time: String,
    }
    let object: Object = serde_json::from_slice(bytes).ok()?;
    let stream = [Stream::Stdout, Stream::Stderr].into_iter();
    let stream = stream.into_iter().find(|stream| stream.name() == object.stream)?;
    let text = match object.log {
        Value::Null => String::new(),
        Value::String(text) => text,
        _ => return None,
    };
    Some((stream, Timestamp::parse(object.time.as_bytes())?, text))
}

fn check(bytes: &[u8]) {
    let seen = decode(bytes);
    let mut at = 0;
    let mut found = Vec::new();
    for seen in &seen {
        match seen {
            Seen::Garbled(bytes) => at += bytes,
            Seen::Record(stream, time, text, end) => {
                let range = at..*end;
                at = *end;
                found.push((range.clone(), *stream, *time, text));
                judge(&bytes[range], *stream, *time, text);
            }
        }
    }
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let range = start..start + line.len();
        start = range.end;
        if let Some((stream, time, text)) = judged(line) {
            let wanted = (range, stream, time, &text.into_bytes());
            assert!(found.contains(&wanted), "{} is a record", line.escape_ascii());
        }
    }
}

// Where `serde_json` refuses a record, that is for a raw control character, bytes that are not
// UTF-8, or half of a surrogate pair.
fn judge(record: &[u8], stream: Stream, time: Timestamp, text: &[u8]) {
    let shown = record.escape_ascii();
    if let Some(wanted) = judged(record) {
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!((stream, time, text), wanted, "{shown}");
        return;
    }
    let spaced = |text: &str| text.replace(|c: char| c < ' ', " ");
    let lossy = spaced(&String::from_utf8_lossy(record));
    match judged(lossy.as_bytes()) {
        Some((s, t, wanted)) => {
            let text = spaced(&String::from_utf8_lossy(text));
            assert_eq!((stream, time, text), (s, t, spaced(&wanted)), "{shown}");
        }
        None => assert!(lossy.to_lowercase().contains("\\ud"), "{shown} is no record"),
    }
}

/// A change to some place of the lines.
#[derive(Debug, Clone)]
enum Damage {
    Overwrite(&'static [u8]),
    Insert(&'static [u8]),
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = prop::sample::select(vec![
        &b"\""[..],
        b"\\",
        b"\n",
        b"{",
        b"}",
        b",",
        b":",
        b" ",
        b"\0",
        b"\xff",
        b"\t",
        b"a",
        b"\\u",
        b"\\ud83d",
        b"\\n\"",
        b"{\"",
        b"{\"log\":\"",
        b"\",\"x\":\"",
        b"\"log\":\"x\",",
        b"\"x\":{},",
    ]);
    prop_oneof![
        bytes.clone().prop_map(Damage::Overwrite),
        bytes.prop_map(Damage::Insert),
        (1..80_usize).prop_map(Damage::Cut),
    ]
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let log = (prop::collection::vec(printed(), 1..5), attributes());
    let places = prop::collection::vec((any::<prop::sample::Index>(), damage()), 0..4);
    (log, places).prop_map(|((log, attributes), places)| {
        let lines = log.iter().map(|printed| written(printed, &attributes));
        let mut bytes = lines.collect::<String>().into_bytes();
        for (place, damage) in places {
            let at = place.index(bytes.len() + 1);
            match damage {
                Damage::Overwrite(with) => {
                    let end = bytes.len().min(at + with.len());
                    bytes.splice(at..end, with.iter().copied());
                }
                Damage::Insert(more) => {
                    bytes.splice(at..at, more.iter().copied());
                }
                Damage::Cut(length) => {
                    let end = bytes.len().min(at + length);
                    bytes.drain(at..end);
                }
            }
        }
        bytes
    })
}

fn pieces_of_records() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "{\"log\":\"",
        "\",\"stream\":\"stdout\",\"",
        "\",\"stream\":\"stderr\",\"time\":\"",
        "\"",
        "time\":\"",
        STAMP,
        "\"}\n",
        "\"}",
        "\\n",
        "\\\"",
        "\\u003c",
        "\\",
        "\n",
        "{\"",
        ",",
        "{",
        "}",
        "\0",
        "text",
        "\"attrs\":{\"a\":\"b\"},",
        "\"log\":\"x\"",
        "\\ud834\\udd1e",
        " ",
        ":",
        "2026-11-22T22:40:06.1Z",
        "\"stream\":\"stdout\"",
        "\"time\":\"2026-11-22T22:40:06Z\"",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_another_reader_takes_for_a_record_is_the_same_one_here(
        bytes in prop_oneof![damaged(), pieces_of_records()],
    ) {
        check(&bytes);
    }

    #[test]
    fn lines_come_out_the_same_one_by_one(
        bytes in prop_oneof![damaged(), pieces_of_records()],
    ) {
        let mut decoder = Decoder::default();
        let mut end = 0;
        let mut single = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let before = end;
            end += line.len();
            single.extend(push(&mut decoder, line).into_iter().map(|seen| match seen {
                Seen::Record(stream, time, text, end) => {
                    Seen::Record(stream, time, text, before + end)
                }
                garbled @ Seen::Garbled(_) => garbled,
            }));
        }
        prop_assert_eq!(decode(&bytes), single);
    }
}
