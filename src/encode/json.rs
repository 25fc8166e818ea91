//! One JSON object per line. Never invalid JSON: bytes that are not UTF-8 become U+FFFD, and
//! control characters are escaped, those that terminals obey (DEL, U+0080 to U+009F) as well.

use super::names::Names;
use super::{
    Body, FIELD_BYTES, Format, Header, Prepared, Record, StampForm, cut, labels_within_limits,
};
use crate::json::escape;
use crate::record::{Container, Stream};
use crate::template::Needs;

#[derive(Debug)]
pub(super) struct Json {
    pub(super) names: Names,
    /// Whether the container's labels go into every line.
    pub(super) labels: bool,
}

impl Format for Json {
    fn prepare(&self, container: &Container) -> Prepared {
        let named = self.names.of(container);
        let tag = named.has_tag.then(|| ("tag", named.tag.as_ref()));
        let after = |stream: Stream| {
            let mut out = Vec::new();
            let fields = [
                ("host", named.host.as_ref()),
                ("container", &container.name),
                ("id", &container.id),
                ("image", &container.image),
                ("stream", stream.name()),
            ];
            for (name, value) in fields.into_iter().chain(tag) {
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
        let prepared = Prepared::new(|stream| {
            let mut header = Header::default();
            header.push("{\"time\":\"");
            header.push_stamp(StampForm::Nanos);
            header.push(after(stream));
            header
        });
        Prepared { patched: named.patched, ..prepared }
    }

    fn needs(&self) -> Needs {
        self.names.needs()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::content;
    use super::*;
    use crate::record::Timestamp;

    fn line(labels: bool, container: &Container, text: &[u8]) -> Vec<u8> {
        let names = Names::plain(super::super::Priorities::new(1, 6, 3));
        let format = Json { names, labels };
        let time = Timestamp::from_nanos(1_795_387_206_063_720_431);
        let record = Record { stream: Stream::Stderr, time, text };
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
            ..Container::default()
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
