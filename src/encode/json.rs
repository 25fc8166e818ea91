//! One JSON object per line. Never invalid JSON: bytes that are not UTF-8 become U+FFFD, and
//! control characters are escaped, those that terminals obey (DEL, U+0080 to U+009F) as well.

use super::{
    Body, FIELD_BYTES, Format, Header, Prepared, Record, StampForm, cut, labels_within_limits,
};
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
        Prepared::new(|stream| {
            let mut header = Header::default();
            header.push("{\"time\":\"");
            header.push_stamp(StampForm::Nanos);
            header.push(after(stream));
            header
        })
    }

    fn body(&self) -> Option<&dyn Body> {
        Some(self)
    }
}

impl Body for Json {
    fn write(&self, _: &[u8], record: Record<'_>, out: &mut Vec<u8>) {
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
    if let Ok(text) = str::from_utf8(text) {
        escape_valid(text.as_bytes(), out);
        return;
    }
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
    let is_plain = |block: &[u8; 16]| !block.iter().fold(false, |any, &byte| any | special(byte));
    let (blocks, _) = bytes.as_chunks();
    let start = blocks.iter().take_while(|block| is_plain(block)).count() * 16;
    if bytes.len() - start < 16 && bytes.last_chunk().is_some_and(is_plain) {
        return bytes.len();
    }
    let (words, tail) = bytes.get(start..).unwrap_or_default().as_chunks();
    for (word, at) in words.iter().zip((start..).step_by(8)) {
        let plain = plain_bytes(u64::from_le_bytes(*word));
        if plain < 8 {
            return at + plain;
        }
    }
    let plain = tail.iter().position(|&byte| special(byte)).unwrap_or(tail.len());
    bytes.len() - tail.len() + plain
}

// How many bytes of a little-endian word come before its first special one.
fn plain_bytes(word: u64) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The lowest bit that is set marks the first byte below `limit`.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let special = below(word, 0x20) | equal(b'"') | equal(b'\\') | equal(0x7F) | equal(C1_LEAD);
    (special & (ONES << 7)).trailing_zeros() as usize / 8
}

#[expect(clippy::needless_bitwise_bool, reason = "with branches, no 16 bytes at once")]
fn special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0x7F) | (byte == C1_LEAD)
}

fn push_code(code: u8, out: &mut Vec<u8>) {
    let hex = |digit: u8| b"0123456789abcdef".get(usize::from(digit)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(code >> 4), hex(code & 15)]);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::content;
    use super::*;
    use crate::record::Timestamp;

    fn line(labels: bool, container: &Container, text: &[u8]) -> Vec<u8> {
        let format = Json { labels };
        let time = Timestamp::from_nanos(1_795_387_206_063_720_431);
        let record = Record { stream: Stream::Stderr, text };
        content(&format, &mut format.prepare(container), record, time, 1)
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
