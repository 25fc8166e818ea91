//! `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG`. Never a BOM: the text is whatever the
//! container printed (MSG-ANY), and an empty one keeps the space before it, which both the RFC
//! and its receivers read as an empty message.

use super::names::Names;
use super::{FIELD_BYTES, Format, Header, Prepared, StampForm, cut, labels_within_limits};
use crate::record::{Container, Stream};
use crate::template::Needs;

// RFC 5424 section 6, the ABNF.
const HOSTNAME_CHARACTERS: usize = 255;
const APP_NAME_CHARACTERS: usize = 48;
pub(super) const PROC_ID_CHARACTERS: usize = 128;
const SD_NAME_CHARACTERS: usize = 32;

#[derive(Debug)]
pub(super) struct Rfc5424 {
    pub(super) names: Names,
    pub(super) structured: Structured,
}

/// What goes into STRUCTURED-DATA.
#[derive(Debug, Clone)]
pub(super) struct Structured {
    /// The element with the container's id, image and stream.
    pub(super) container: bool,
    /// The element with `sequenceId`.
    pub(super) meta: bool,
    /// Names of the labels that go into the container's element.
    pub(super) labels: Vec<String>,
    /// The private enterprise number in the container element's name.
    pub(super) enterprise: u32,
}

impl Format for Rfc5424 {
    fn prepare(&self, container: &Container) -> Prepared {
        let named = self.names.of(container);
        let fields = format!(
            " {} {} {} - ",
            field(&named.host, HOSTNAME_CHARACTERS),
            field(&named.tag, APP_NAME_CHARACTERS),
            field(container.short_id(), PROC_ID_CHARACTERS),
        );
        let prepared = Prepared::new(|stream| {
            let mut header = Header::default();
            header.push(format!("<{}>1 ", named.priorities.of(stream)));
            header.push_stamp(StampForm::Micros);
            header.push(&fields);
            header.push(self.structured.text(container, stream));
            if self.structured.meta {
                header.push_sequence_id();
            }
            header
        });
        Prepared { patched: named.patched, ..prepared }
    }

    fn needs(&self) -> Needs {
        self.names.needs()
    }
}

impl Structured {
    // All of STRUCTURED-DATA and the space after it, or up to the digits of `sequenceId`.
    fn text(&self, container: &Container, stream: Stream) -> String {
        let mut out = String::new();
        if self.container {
            out.push_str("[container@");
            out.push_str(&self.enterprise.to_string());
            push_param(&mut out, "id", cut(&container.id, FIELD_BYTES));
            push_param(&mut out, "image", cut(&container.image, FIELD_BYTES));
            push_param(&mut out, "stream", stream.name());
            let asked = self.labels.iter().filter_map(|name| {
                container.labels.get(name).map(|value| (name.as_str(), value.as_str()))
            });
            for (name, value) in labels_within_limits(asked) {
                push_param(&mut out, &sd_name(name), value);
            }
            out.push(']');
        }
        match (self.meta, self.container) {
            (true, _) => out.push_str("[meta sequenceId=\""),
            (false, true) => out.push(' '),
            (false, false) => out.push_str("- "),
        }
        out
    }
}

// PRINTUSASCII, at most `max` characters, NILVALUE if there is nothing.
fn field(text: &str, max: usize) -> String {
    if text.is_empty() {
        return "-".into();
    }
    text.chars().take(max).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}

fn sd_name(label: &str) -> String {
    let keep = |c: char| c.is_ascii_graphic() && !matches!(c, '=' | ']' | '"');
    label.chars().take(SD_NAME_CHARACTERS).map(|c| if keep(c) { c } else { '_' }).collect()
}

// RFC 5424 section 6.3.3: three characters are escaped, all others stand as they are.
fn push_param(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::header::SEQUENCE_MAX;
    use super::super::{Priorities, Record, content};
    use super::*;
    use crate::record::Timestamp;

    fn format(structured: Structured) -> Rfc5424 {
        Rfc5424 { names: Names::plain(Priorities::new(1, 6, 3)), structured }
    }

    fn nothing() -> Structured {
        Structured { container: false, meta: false, labels: Vec::new(), enterprise: 32_473 }
    }

    fn line(format: &Rfc5424, container: &Container, stream: Stream, sequence: u64) -> String {
        let time = Timestamp::parse(b"2026-02-03T04:05:06.123456789Z").unwrap();
        let record = Record { stream, time, text: b"hello" };
        let mut prepared = format.prepare(container);
        String::from_utf8(content(format, &mut prepared, record, time, sequence)).unwrap()
    }

    #[test]
    fn header_has_the_stamp_of_the_line_and_nil_where_nothing_is_known() {
        let container = Container {
            id: "0123456789abcdef".into(),
            name: "web".into(),
            host: "node".into(),
            ..Container::default()
        };
        let format = format(nothing());
        let expected = "<14>1 2026-02-03T04:05:06.123456Z node web 0123456789ab - - hello";
        assert_eq!(line(&format, &container, Stream::Stdout, 1), expected);
        let expected = "<11>1 2026-02-03T04:05:06.123456Z - - - - - hello";
        assert_eq!(line(&format, &Container::default(), Stream::Stderr, 1), expected);
    }

    #[test]
    fn fields_are_printable_and_no_longer_than_the_rfc_allows() {
        let container = Container {
            id: "ü \n".into(),
            name: "n".repeat(300),
            host: "h".repeat(300),
            ..Container::default()
        };
        let expected = format!(
            "<14>1 2026-02-03T04:05:06.123456Z {} {} ___ - - hello",
            "h".repeat(255),
            "n".repeat(48)
        );
        assert_eq!(line(&format(nothing()), &container, Stream::Stdout, 1), expected);
    }

    #[test]
    fn structured_data_is_escaped_and_only_the_labels_asked_for_are_there() {
        let labels = BTreeMap::from([
            ("a b=\"]".to_owned(), "x\"]\\ü".to_owned()),
            ("secret".to_owned(), "s".to_owned()),
        ]);
        let container =
            Container { id: "i".into(), image: "busy]box".into(), labels, ..Container::default() };
        let structured = Structured {
            container: true,
            meta: true,
            labels: vec!["a b=\"]".into(), "absent".into()],
            enterprise: 7,
        };
        let expected = "<11>1 2026-02-03T04:05:06.123456Z - - i - \
            [container@7 id=\"i\" image=\"busy\\]box\" stream=\"stderr\" a_b___=\"x\\\"\\]\\\\ü\"]\
            [meta sequenceId=\"42\"] hello";
        assert_eq!(line(&format(structured), &container, Stream::Stderr, 42), expected);
    }

    #[test]
    fn a_sequence_wraps_to_one() {
        let format = format(Structured { meta: true, ..nothing() });
        for (sequence, shown) in [(1, "1"), (SEQUENCE_MAX, "2147483647"), (SEQUENCE_MAX + 1, "1")] {
            let line = line(&format, &Container::default(), Stream::Stdout, sequence);
            assert!(line.contains(&format!("[meta sequenceId=\"{shown}\"] hello")), "{line}");
        }
    }

    #[test]
    fn huge_labels_do_not_become_the_traffic() {
        let labels: BTreeMap<_, _> =
            (0..100).map(|n| (format!("label{n}"), "ü".repeat(500_000))).collect();
        let structured =
            Structured { container: true, labels: labels.keys().cloned().collect(), ..nothing() };
        let container = Container { labels, ..Container::default() };
        let line = line(&format(structured), &container, Stream::Stdout, 1);
        assert!((7_000..9_000).contains(&line.len()), "{}", line.len());
    }
}
