//! Traces of Node.js: where it was thrown, the source line with a mark below it, the error with its
//! frames, its properties between braces, and the version. Never reads the source.

use super::looks::{
    after_digits, before_digits, class, is_blank, is_indented, is_message, is_thrown,
};
use super::{Begins, Next, State};

/// How far a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Part {
    /// Where it was thrown has come; the source line is to come.
    Place,
    /// The mark is to come.
    Source,
    /// What was thrown is to come.
    Marked,
    /// Frames.
    Frames,
    /// Properties of what was thrown.
    Braces,
    /// A blank line has come: the version may follow.
    Gap,
}

pub(super) fn begins(line: &[u8]) -> Option<Begins> {
    if is_frame(line) {
        return Some(Begins::Headless(frames(line)));
    }
    if is_place(line) {
        return Some(Begins::Headed(State::Node(Part::Place)));
    }
    let error = line.strip_prefix(b"Uncaught ").unwrap_or(line);
    is_error(error).then(|| Begins::Headed(frames(line)))
}

pub(super) fn next(part: Part, line: &[u8]) -> Next {
    if part != Part::Place && is_version(line) {
        return Next::Ends;
    }
    let next = match part {
        Part::Place => Some(State::Node(Part::Source)),
        Part::Source => is_mark(line).then_some(State::Node(Part::Marked)),
        Part::Marked if is_blank(line) => Some(State::Node(part)),
        Part::Marked => Some(frames(line)),
        Part::Frames if is_blank(line) => Some(State::Node(Part::Gap)),
        Part::Frames => is_part(line).then(|| frames(line)),
        Part::Braces if line.starts_with(b"}") => Some(State::Node(Part::Frames)),
        Part::Braces => (is_indented(line) || is_blank(line)).then_some(State::Node(part)),
        Part::Gap => (is_blank(line) || is_hint(line)).then_some(State::Node(part)),
    };
    next.map_or(Next::Apart, Next::Joins)
}

// What a line leaves behind that an error or its frame is in.
fn frames(line: &[u8]) -> State {
    State::Node(if line.ends_with(b" {") { Part::Braces } else { Part::Frames })
}

fn is_part(line: &[u8]) -> bool {
    is_indented(line)
        || line.starts_with(b"Require stack:")
        || line.starts_with(b"- /")
        || line.starts_with(b"Caused by: ")
        || is_hint(line)
}

fn is_hint(line: &[u8]) -> bool {
    line.starts_with(b"(Use `node ")
}

fn is_version(line: &[u8]) -> bool {
    line.strip_prefix(b"Node.js v").and_then(after_digits).is_some()
}

fn is_mark(line: &[u8]) -> bool {
    let mark = line.trim_ascii();
    !mark.is_empty() && mark.iter().all(|byte| matches!(byte, b'^' | b'~'))
}

// `    at main (/app/shop.js:17:9)`; with one number it may be Java's.
fn is_frame(line: &[u8]) -> bool {
    let Some(frame) = line.trim_ascii_start().strip_prefix(b"at ") else { return false };
    let frame = frame.strip_suffix(b" {").unwrap_or(frame);
    let frame = frame.strip_suffix(b")").unwrap_or(frame);
    let number = |text| before_digits(text).and_then(|before: &[u8]| before.strip_suffix(b":"));
    is_indented(line)
        && (frame.ends_with(b"<anonymous>") || number(frame).and_then(number).is_some())
}

// `/app/shop.js:17` and nothing else.
fn is_place(line: &[u8]) -> bool {
    if !line.first().is_some_and(|first| b"/nfe[ABCDEFGH".contains(first)) {
        return false;
    }
    let file = before_digits(line).and_then(|before| before.strip_suffix(b":"));
    let ends = [&b".js"[..], b".mjs", b".cjs", b".ts", b".mts", b".cts", b".jsx", b".tsx"];
    file.is_some_and(|file| {
        let is_within =
            file.starts_with(b"node:") || file == b"[eval]" || file == b"evalmachine.<anonymous>";
        (is_within || ends.iter().any(|end| file.ends_with(end))) && !file.contains(&b' ')
    })
}

// `TypeError [ERR_X]: text`, and nothing before it.
fn is_error(line: &[u8]) -> bool {
    let Some((class, rest)) = class(line) else { return false };
    // With packages it is Java's or .NET's.
    if !is_thrown(class) || class.contains(&b'.') {
        return false;
    }
    let code = rest.strip_prefix(b" [");
    let behind = code.and_then(|code| {
        let end = code.iter().position(|byte| *byte == b']')?;
        code.get(end + 1..)
    });
    is_message(behind.unwrap_or(rest)) || behind.is_none() && rest == b" {"
}
