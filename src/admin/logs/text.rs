//! Lines as text: `NAME|DATA` in colours, as logspout writes them, or bare. Never changes a byte of
//! what was printed.

use std::collections::HashMap;
use std::io::Write;

use crate::record::{Chunk, Line};

/// What names are aligned to at first, in characters.
const FIRST_WIDTH: usize = 16;
/// What they are aligned to at most: a strange name must not widen all others without end.
const MOST_WIDTH: usize = 256;
/// So many colours, then they come again.
const COLOURS: usize = 14;
/// Names whose colours are remembered; then they are given anew.
const MOST_NAMES: usize = 1024;

/// How one viewer's text looks by now.
#[derive(Debug)]
pub(super) struct Text {
    multi: bool,
    colours: Option<HashMap<String, usize>>,
    width: usize,
}

impl Text {
    /// `multi`: lines carry the names of their containers.
    pub(super) fn new(multi: bool, colours: bool) -> Self {
        Self { multi, colours: (multi && colours).then(HashMap::new), width: FIRST_WIDTH }
    }

    pub(super) fn line(&mut self, chunk: &Chunk, line: &Line, out: &mut Vec<u8>) {
        if self.multi {
            self.name(&chunk.container.name, out);
        }
        out.extend_from_slice(chunk.text(line));
        if self.colours.is_some() {
            out.extend_from_slice(b"\x1b[0m");
        }
        out.push(b'\n');
    }

    fn name(&mut self, name: &str, out: &mut Vec<u8>) {
        self.width = self.width.max(name.len()).min(MOST_WIDTH);
        let width = self.width;
        // Writing to a vector cannot fail.
        if let Some(colours) = &mut self.colours {
            if colours.len() >= MOST_NAMES && !colours.contains_key(name) {
                colours.clear();
            }
            let next = colours.len();
            let at = *colours.entry(name.to_owned()).or_insert(next) % COLOURS;
            let bright = if at < COLOURS / 2 { "1;" } else { "" };
            write!(out, "\x1b[{bright}3{}m", 7 - at % 7).ok();
        }
        write!(out, "{name:>width$}|").ok();
    }

    pub(super) fn left_out(lines: u64, out: &mut Vec<u8>) {
        writeln!(out, "{}", notice(lines)).ok();
    }
}

/// What a viewer is told of lines that it does not get.
pub(super) fn notice(lines: u64) -> String {
    match lines {
        1 => "-- downspout: 1 line was left out here: this client reads too slowly --".to_owned(),
        _ => format!(
            "-- downspout: {lines} lines were left out here: this client reads too slowly --"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tail::tests::chunk;
    use super::*;

    fn shown(text: &mut Text, name: &str, data: &str) -> String {
        let chunk: Arc<Chunk> = chunk(name, data);
        let mut out = Vec::new();
        text.line(&chunk, &chunk.lines()[0], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_aligned_to_a_width_that_grows_and_coloured_in_the_order_of_their_coming() {
        let mut text = Text::new(true, true);
        assert_eq!(shown(&mut text, "web", "a"), "\x1b[1;37m             web|a\x1b[0m\n");
        assert_eq!(shown(&mut text, "db", "b"), "\x1b[1;36m              db|b\x1b[0m\n");
        let long = "a-name-of-twenty-two-c";
        assert_eq!(shown(&mut text, long, "c"), format!("\x1b[1;35m{long}|c\x1b[0m\n"));
        assert_eq!(shown(&mut text, "web", "d"), "\x1b[1;37m                   web|d\x1b[0m\n");
        let code = |shown: String| shown.split_once('m').unwrap().0.to_owned();
        let codes: Vec<String> =
            (3..15).map(|n| code(shown(&mut text, &format!("n{n}"), ""))).collect();
        assert_eq!(codes[3..6], ["\x1b[1;31", "\x1b[37", "\x1b[36"]);
        assert_eq!(codes[10..], ["\x1b[31", "\x1b[1;37"], "the period is 14");
    }

    #[test]
    fn a_single_container_is_shown_bare_and_colours_can_be_left_out() {
        assert_eq!(shown(&mut Text::new(false, true), "web", "a\x1b[1mb"), "a\x1b[1mb\n");
        assert_eq!(shown(&mut Text::new(true, false), "web", "a"), "             web|a\n");
    }

    #[test]
    fn names_without_end_cost_no_memory_without_end() {
        let mut text = Text::new(true, true);
        for number in 0..3 * MOST_NAMES {
            shown(&mut text, &format!("n{number}"), "");
        }
        assert!(text.colours.as_ref().unwrap().len() <= MOST_NAMES);
        shown(&mut text, &"x".repeat(10_000), "");
        assert_eq!(text.width, MOST_WIDTH);
    }
}
