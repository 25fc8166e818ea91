//! BSD syslog: `<PRI>Mmm dd hh:mm:ss HOSTNAME TAG[id]: MSG`. Never structured data, never a year.

use super::names::Names;
use super::{Format, Header, Prepared, StampForm, rfc5424};
use crate::record::Container;
use crate::template::Needs;

/// RFC 3164 section 4.1.3.
const TAG_CHARACTERS: usize = 32;

const HOST_CHARACTERS: usize = 255;

#[derive(Debug)]
pub(super) struct Rfc3164 {
    pub(super) names: Names,
    /// Seconds east of UTC: this format means local time.
    pub(super) utc_offset: i32,
}

impl Format for Rfc3164 {
    fn prepare(&self, container: &Container) -> Prepared {
        let named = self.names.of(container);
        let host = hostname(&named.host);
        let tag = word(&named.tag, TAG_CHARACTERS);
        let tag = if tag.is_empty() { "unknown" } else { &tag };
        let id = word(container.short_id(), rfc5424::PROC_ID_CHARACTERS);
        let after = if id.is_empty() {
            format!(" {host} {tag}: ")
        } else {
            format!(" {host} {tag}[{id}]: ")
        };
        let prepared = Prepared::new(|stream| {
            let mut header = Header::default();
            header.push(format!("<{}>", named.priorities.of(stream)));
            header.push_stamp(StampForm::Rfc3164 { utc_offset: self.utc_offset });
            header.push(&after);
            header
        });
        Prepared { patched: named.patched, ..prepared }
    }

    fn needs(&self) -> Needs {
        self.names.needs()
    }
}

// Letters, digits, dot, underscore and dash: what no receiver takes for the end of a field.
fn word(text: &str, max: usize) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().take(max).map(|c| if keep(c) { c } else { '_' }).collect()
}

// rsyslog takes a word for the host name only if its last character is a letter or a digit, and
// reads the host name as the tag otherwise. There is no NILVALUE in this format.
fn hostname(text: &str) -> String {
    let mut host = word(text, HOST_CHARACTERS);
    host.truncate(host.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len());
    if host.is_empty() { "unknown".into() } else { host }
}

#[cfg(test)]
mod tests {
    use super::super::{Priorities, Record, content};
    use super::*;
    use crate::record::{Stream, Timestamp};

    fn line(container: &Container, text: &[u8]) -> String {
        let names = Names::plain(Priorities::new(1, 6, 3));
        let format = Rfc3164 { names, utc_offset: 3600 };
        let time = Timestamp::parse(b"2026-02-03T04:05:06.7Z").unwrap();
        let record = Record { stream: Stream::Stderr, time, text };
        let mut prepared = format.prepare(container);
        String::from_utf8(content(&format, &mut prepared, record, time, 1)).unwrap()
    }

    #[test]
    fn header_has_priority_local_time_host_tag_and_id() {
        let container = Container {
            id: "0123456789abcdef".into(),
            name: "web.1_a-b".into(),
            host: "node-1.example".into(),
            ..Container::default()
        };
        let expected = "<11>Feb  3 05:05:06 node-1.example web.1_a-b[0123456789ab]: hello";
        assert_eq!(line(&container, b"hello"), expected);
    }

    #[test]
    fn a_hostile_name_cannot_end_the_tag_or_the_host() {
        let container = Container {
            id: "a]: b".into(),
            name: format!("[x]: <0> {}", "y".repeat(90)),
            host: "a b:-_".into(),
            ..Container::default()
        };
        let expected = format!("<11>Feb  3 05:05:06 a_b _x____0__{}[a___b]: m", "y".repeat(23));
        assert_eq!(line(&container, b"m"), expected);
    }

    #[test]
    fn an_unknown_container_still_has_a_host_and_a_tag() {
        let expected = "<11>Feb  3 05:05:06 unknown unknown: ";
        assert_eq!(line(&Container::default(), b""), expected);
    }
}
