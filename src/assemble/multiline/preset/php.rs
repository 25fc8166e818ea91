//! Traces of PHP, as it prints them itself, as Xdebug and as Monolog do. Never looks into a frame.

use super::looks::{after_digits, before_digits, is_blank, is_indented};
use super::{Begins, Next, State};

/// How far a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Part {
    /// Frames.
    Frames,
    /// A blank line has come: another exception may follow.
    Gap,
}

const FRAMES: State = State::Php(Part::Frames);

pub(super) fn begins(line: &[u8]) -> Option<Begins> {
    if !line.first().is_some_and(|first| b"PFS[#".contains(first)) {
        return None;
    }
    let own = line.strip_prefix(b"PHP ").unwrap_or(line);
    let fatal = own.strip_prefix(b"Fatal error: ").map(<[u8]>::trim_ascii_start);
    if fatal.is_some_and(|message| message.starts_with(b"Uncaught ")) {
        return Some(Begins::Headed(FRAMES));
    }
    let is_trace = is_title(line) || is_frame(line);
    is_trace.then_some(Begins::Headless(FRAMES))
}

pub(super) fn next(part: Part, line: &[u8]) -> Next {
    if line.starts_with(b"  thrown in ") || line == b"\"} " || line == b"\"}" {
        return Next::Ends;
    }
    let is_gap = part == Part::Gap;
    if is_blank(line) {
        return Next::Joins(State::Php(Part::Gap));
    }
    let is_next = is_gap && line.starts_with(b"Next ");
    let is_part = is_next || is_title(line) || is_frame(line) || !is_gap && is_indented(line);
    if is_part { Next::Joins(FRAMES) } else { Next::Apart }
}

fn is_title(line: &[u8]) -> bool {
    let titles =
        [&b"Stack trace:"[..], b"PHP Stack trace:", b"[stacktrace]", b"[previous exception]"];
    titles.iter().any(|title| line.starts_with(title))
}

// `#0 /app/shop.php(17): order()`, and Xdebug's `PHP   1. order() /app/shop.php:17`.
fn is_frame(line: &[u8]) -> bool {
    let number = line.strip_prefix(b"#").and_then(after_digits);
    let place = line.strip_prefix(b"PHP   ").and_then(after_digits);
    number.and_then(|rest| rest.strip_prefix(b" ")).is_some_and(is_call)
        || place.is_some_and(|rest| rest.starts_with(b". "))
}

fn is_call(rest: &[u8]) -> bool {
    let is_line = |(at, _): (usize, &[u8])| {
        let file = rest.get(..at).and_then(before_digits);
        file.is_some_and(|file| file.ends_with(b"("))
    };
    rest == b"{main}"
        || rest.starts_with(b"[internal function]: ")
        || rest.windows(3).enumerate().filter(|(_, at)| *at == b"): ").any(is_line)
}
