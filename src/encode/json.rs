//! One JSON object per line. Never invalid JSON: bytes that are not UTF-8 become U+FFFD, and
//! control characters are escaped, those that terminals obey (DEL, U+0080 to U+009F) as well.

use super::{Clock, FIELD_BYTES, Format, Prepared, Record, cut, labels_within_limits};
use crate::record::{Container, Stream};

#[derive(Debug)]
pub(super) struct Json {
    /// Whether the container's labels go into every line.
    pub(super) labels: bool,
}

impl Format for Json {
    fn prepare(&self, container: &Container) -> Prepared {
        let after = |stream: Stream| {
            let mut out = Vec::new();
            for (name, value) in [
                ("host", container.host.as_str()),
                ("container", &container.name),
                ("id", &container.id),
                ("image", &container.image),
                ("stream", stream.name()),
            ] {
                out.extend_from_slice(b"\",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":\"");
                escape(cut(value, FIELD_BYTES).as_bytes(), &mut out);
            }
            out.push(b'"');
            if self.labels {
                push_labels(container, &mut out);
            }
            out.extend_from_slice(b",\"line\":\"");
            out
        };
        let before = b"{\"time\":\"".to_vec();
        Prepared {
            before: [before.clone(), before],
            after: [after(Stream::Stdout), after(Stream::Stderr)],
        }
    }

    fn line(&self, prepared: &Prepared, clock: &mut Clock, record: Record<'_>, out: &mut Vec<u8>) {
        let (before, after) = prepared.parts(record.stream);
        out.extend_from_slice(before);
        clock.rfc3339_nanos(record.time, out);
        out.extend_from_slice(after);
        escape(record.text, out);
        out.extend_from_slice(b"\"}");
    }
}

fn push_labels(container: &Container, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"labels\":{");
    let labels = container.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (position, (name, value)) in labels_within_limits(labels).enumerate() {
        out.extend_from_slice(if position == 0 { b"\"" } else { b",\"" });
        escape(name.as_bytes(), out);
        out.extend_from_slice(b"\":\"");
        escape(value.as_bytes(), out);
        out.push(b'"');
    }
    out.push(b'}');
}

// The inside of a JSON string.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        escape_valid(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

fn escape_valid(mut rest: &[u8], out: &mut Vec<u8>) {
    loop {
        let (plain, special) = rest.split_at(plain_prefix(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else {
            return;
        };
        rest = after;
        match (byte, after) {
            (b'"', _) => out.extend_from_slice(b"\\\""),
            (b'\\', _) => out.extend_from_slice(b"\\\\"),
            (b'\n', _) => out.extend_from_slice(b"\\n"),
            (b'\r', _) => out.extend_from_slice(b"\\r"),
            (b'\t', _) => out.extend_from_slice(b"\\t"),
            (C1_LEAD, [control @ 0x80..=0x9F, after @ ..]) => {
                push_code(*control, out);
                rest = after;
            }
            (C1_LEAD, _) => out.push(C1_LEAD),
            (control, _) => push_code(control, out),
        }
    }
}

/// The first byte of U+0080 to U+00BF in UTF-8.
const C1_LEAD: u8 = 0xC2;

// Whole blocks first: without an early exit in them the compiler compares 16 bytes at once.
fn plain_prefix(bytes: &[u8]) -> usize {
    let special = |byte: u8| byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7F | C1_LEAD);
    let (blocks, _) = bytes.as_chunks::<16>();
    let plain = |block: &&[u8; 16]| !block.iter().fold(false, |any, &byte| any | special(byte));
    let start = blocks.iter().take_while(plain).count() * 16;
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|&byte| special(byte)).unwrap_or(rest.len())
}

fn push_code(code: u8, out: &mut Vec<u8>) {
    let hex = |digit: u8| b"0123456789abcdef".get(usize::from(digit)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(code >> 4), hex(code & 15)]);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::record::Timestamp;

    fn line(labels: bool, container: &Container, text: &[u8]) -> Vec<u8> {
        let format = Json { labels };
        let time = Timestamp::from_nanos(1_795_387_206_063_720_431);
        let record = Record { time, stream: Stream::Stderr, text, sequence: 1 };
        let mut out = Vec::new();
        format.line(&format.prepare(container), &mut Clock::default(), record, &mut out);
        out
    }

    #[test]
    fn an_object_has_time_container_and_line_in_this_order() {
        let container = Container {
            id: "0123456789abcdef".into(),
            name: "web".into(),
            image: "img:1".into(),
            labels: BTreeMap::from([("a".into(), "1".into()), ("b".into(), "\"".into())]),
            host: "node".into(),
        };
        let head = "{\"time\":\"2026-11-22T22:40:06.063720431Z\",\"host\":\"node\",\
            \"container\":\"web\",\"id\":\"0123456789abcdef\",\"image\":\"img:1\",\
            \"stream\":\"stderr\"";
        let text = |labels| String::from_utf8(line(labels, &container, b"hi")).unwrap();
        assert_eq!(text(false), format!("{head},\"line\":\"hi\"}}"));
        let labels = r#""labels":{"a":"1","b":"\""}"#;
        assert_eq!(text(true), format!("{head},{labels},\"line\":\"hi\"}}"));
    }

    proptest! {
        #[test]
        fn every_line_and_name_survives_a_json_parser(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "\\PC{0,60}".prop_map(String::into_bytes),
                "[\\x00-\\x1f\"\\\\a\\x7f-\\u{a0}]{0,60}".prop_map(String::into_bytes),
            ],
            name in any::<String>(),
            label in any::<String>(),
        ) {
            let container = Container {
                name: name.clone(),
                labels: BTreeMap::from([(label.clone(), name.clone())]),
                ..Container::default()
            };
            let out = line(true, &container, &text);
            let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(parsed["line"].as_str().unwrap(), String::from_utf8_lossy(&text));
            prop_assert_eq!(parsed["container"].as_str().unwrap(), &name);
            prop_assert_eq!(parsed["labels"][&label].as_str().unwrap(), &name);
            let out = String::from_utf8(out).unwrap();
            prop_assert!(!out.chars().any(char::is_control), "{:?}", out);
        }
    }
}
