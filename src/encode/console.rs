//! Lines for people: `NAME | line`, and `NAME ! line` for standard error. On a terminal the names
//! are aligned and nothing that a container prints reaches the terminal as a command; into a pipe
//! the bytes go as they are. Names are made printable everywhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Body, Format, Header, Prepared, Record, Terminal};
use crate::record::{Container, Stream};

/// Names are aligned to the longest one seen, up to this width.
const WIDTH_MAX: usize = 32;

/// Longer names are cut; Docker's own limit is far below it.
const NAME_CHARACTERS: usize = 128;

// Without red, which marks standard error. All have the same length, so that the width of a
// coloured name follows from its bytes.
const COLOURS: [&[u8; 5]; 10] = [
    b"\x1b[32m",
    b"\x1b[33m",
    b"\x1b[34m",
    b"\x1b[35m",
    b"\x1b[36m",
    b"\x1b[92m",
    b"\x1b[93m",
    b"\x1b[94m",
    b"\x1b[95m",
    b"\x1b[96m",
];
const COLOUR_BYTES: usize = 5;

#[derive(Debug)]
pub(super) struct Console {
    colour: bool,
    // Forced colours mean that a terminal stands behind the pipe.
    neutralise: bool,
    aligned: bool,
    width: AtomicUsize,
}

impl Console {
    pub(super) fn new(terminal: Terminal) -> Self {
        Self {
            colour: terminal.colour,
            neutralise: terminal.attached || terminal.colour,
            aligned: terminal.attached,
            width: AtomicUsize::new(0),
        }
    }

    fn separator(&self, stream: Stream) -> &'static [u8] {
        match (self.colour, stream) {
            (false, Stream::Stdout) => b" | ",
            (false, Stream::Stderr) => b" ! ",
            (true, Stream::Stdout) => b" |\x1b[0m ",
            (true, Stream::Stderr) => b" \x1b[31m!\x1b[0m ",
        }
    }
}

impl Format for Console {
    // The header is the name, coloured or not. What comes between it and the separator to align
    // the names depends on the names seen since.
    fn prepare(&self, container: &Container) -> Prepared {
        let name = printable(&container.name);
        self.width.fetch_max(name.chars().count().min(WIDTH_MAX), Ordering::Relaxed);
        let colour: &[u8] = if self.colour { colour(&container.name) } else { b"" };
        Prepared::new(|_| {
            let mut header = Header::default();
            header.push(colour);
            header.push(&name);
            header
        })
    }

    fn body(&self) -> Option<&dyn Body> {
        Some(self)
    }
}

impl Body for Console {
    fn write(&self, header: &[u8], record: Record<'_>, out: &mut Vec<u8>) {
        if self.aligned {
            let characters = header.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
            let shown = characters - if self.colour { COLOUR_BYTES } else { 0 };
            let width = self.width.load(Ordering::Relaxed);
            out.resize(out.len() + width.saturating_sub(shown), b' ');
        }
        out.extend_from_slice(self.separator(record.stream));
        if self.neutralise {
            // A line of a container with a TTY ends with the CR of its CRLF.
            neutralise(record.text.strip_suffix(b"\r").unwrap_or(record.text), out);
        } else {
            out.extend_from_slice(record.text);
        }
    }
}

// The same name has the same colour in every run (FNV-1a).
fn colour(name: &str) -> &'static [u8] {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let place = usize::try_from(hash % COLOURS.len() as u64).unwrap_or_default();
    COLOURS.get(place).map_or(&b""[..], |colour| &colour[..])
}

// Letters and digits of any script; spaces, controls, joiners and marks of direction are not.
fn printable(name: &str) -> String {
    let keep = |c: char| c.is_ascii_graphic() || c.is_alphanumeric();
    name.chars().take(NAME_CHARACTERS).map(|c| if keep(c) { c } else { '_' }).collect()
}

// Control characters other than TAB as `^[`, `^?`, `\x9b`; so bytes that are not UTF-8.
fn neutralise(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let mut shown = 0;
        for (at, control) in valid.match_indices(|c: char| c.is_control() && c != '\t') {
            out.extend_from_slice(valid.as_bytes().get(shown..at).unwrap_or_default());
            shown = at + control.len();
            match control.as_bytes() {
                [0x7F] => out.extend_from_slice(b"^?"),
                [c0] => out.extend_from_slice(&[b'^', c0 | 0x40]),
                [.., c1] => push_hex(*c1, out),
                [] => {}
            }
        }
        out.extend_from_slice(valid.as_bytes().get(shown..).unwrap_or_default());
        chunk.invalid().iter().for_each(|byte| push_hex(*byte, out));
    }
}

fn push_hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::content;
    use super::*;
    use crate::record::Timestamp;

    const PIPE: Terminal = Terminal { attached: false, colour: false };
    const PLAIN: Terminal = Terminal { attached: true, colour: false };
    const COLOURED: Terminal = Terminal { attached: true, colour: true };

    fn named(name: &str) -> Container {
        Container { name: name.into(), ..Container::default() }
    }

    fn line(console: &Console, prepared: &Prepared, stream: Stream, text: &[u8]) -> Vec<u8> {
        let record = Record { stream, time: Timestamp::from_nanos(0), text };
        content(console, &mut prepared.clone(), record, Timestamp::default(), 1)
    }

    #[test]
    fn names_on_a_terminal_are_aligned_to_the_longest_seen() {
        let console = Console::new(PLAIN);
        let short = console.prepare(&named("web"));
        assert_eq!(line(&console, &short, Stream::Stdout, b"a"), b"web | a");
        let long = console.prepare(&named("database"));
        assert_eq!(line(&console, &short, Stream::Stderr, b"a"), b"web      ! a");
        assert_eq!(line(&console, &long, Stream::Stdout, b"a"), b"database | a");
        console.prepare(&named(&"x".repeat(100)));
        let text = line(&console, &short, Stream::Stdout, b"a");
        assert_eq!(text.len(), WIDTH_MAX + " | a".len());
    }

    #[test]
    fn a_coloured_line_is_aligned_like_a_plain_one() {
        let (plain, coloured) = (Console::new(PLAIN), Console::new(COLOURED));
        for console in [&plain, &coloured] {
            console.prepare(&named("database"));
        }
        let shown = |console: &Console, stream| {
            let text = line(console, &console.prepare(&named("wüb")), stream, b"a");
            String::from_utf8(text).unwrap()
        };
        let bare = |text: String| {
            let mut parts = text.split('\x1b');
            let first = parts.next().unwrap().to_owned();
            first + &parts.map(|part| part.split_once('m').unwrap().1).collect::<String>()
        };
        let stdout = shown(&coloured, Stream::Stdout);
        assert!(stdout.starts_with("\x1b[") && stdout.ends_with("|\x1b[0m a"), "{stdout:?}");
        let stderr = shown(&coloured, Stream::Stderr);
        assert!(stderr.ends_with("\x1b[31m!\x1b[0m a"), "{stderr:?}");
        assert_eq!(bare(stdout), shown(&plain, Stream::Stdout));
        assert_eq!(bare(stderr), "wüb      ! a");
    }

    #[test]
    fn a_name_keeps_its_colour_and_names_differ() {
        assert_eq!(colour("web"), colour("web"));
        let seen: std::collections::BTreeSet<_> =
            (0..100).map(|n| colour(&format!("web-{n}"))).collect();
        assert_eq!(seen.len(), COLOURS.len());
    }

    #[test]
    fn a_pipe_gets_the_bytes_as_they_are_after_a_printable_name() {
        let console = Console::new(PIPE);
        console.prepare(&named("database"));
        let prepared = console.prepare(&named("w\x1b[2J\u{202e} b"));
        let text = b"\x1b[31m\xff\ttext";
        let expected = [&b"w_[2J__b | "[..], text].concat();
        assert_eq!(line(&console, &prepared, Stream::Stdout, text), expected);
    }

    #[test]
    fn a_terminal_gets_no_commands() {
        let shown = |terminal, text: &[u8]| {
            let console = Console::new(terminal);
            let text = line(&console, &console.prepare(&named("")), Stream::Stdout, text);
            String::from_utf8(text).unwrap()
        };
        let text = b"\x1b[2J\x07\x7f\ta\xc2\x9bm\x9b\xff \xc3\xbc\r\r";
        let expected = "^[[2J^G^?\ta\\x9bm\\x9b\\xff ü^M";
        assert_eq!(shown(PLAIN, text), format!(" | {expected}"));
        let forced = Terminal { attached: false, colour: true };
        assert!(shown(forced, text).ends_with(expected));
    }

    proptest! {
        #[test]
        fn what_a_terminal_gets_is_printable(
            text in prop::collection::vec(any::<u8>(), 0..100),
            name in any::<String>(),
        ) {
            let console = Console::new(PLAIN);
            let out = line(&console, &console.prepare(&named(&name)), Stream::Stderr, &text);
            let out = String::from_utf8(out).unwrap();
            prop_assert!(!out.chars().any(|c| c.is_control() && c != '\t'), "{:?}", out);
        }
    }
}
