//! Traces of Python: `Traceback (most recent call last):`, indented frames, and what was raised, in
//! chains and in groups. Never knows more of a frame than that it is indented.

use super::looks::{class, is_blank, is_indented, is_message};
use super::{Begins, Next, State};

/// How far a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Part {
    /// Frames; what was raised is to come.
    Frames,
    /// A group, which is indented as a whole.
    Group,
    /// What was raised has come.
    Raised,
    /// And a blank line: another trace of a chain may follow.
    Gap,
    /// It does.
    Chain,
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
const GROUP: &[u8] = b"  + Exception Group Traceback (most recent call last):";

pub(super) fn begins(line: &[u8]) -> Option<Begins> {
    if let Some(part) = trace(line) {
        return Some(Begins::Headless(State::Python(part)));
    }
    // Who writes it behind a prefix of his own has no other header.
    let is_prefixed = line.ends_with(TRACEBACK);
    is_prefixed.then_some(Begins::Headed(State::Python(Part::Frames)))
}

// A syntax error in the main file has no line above its frame.
fn trace(line: &[u8]) -> Option<Part> {
    if line == TRACEBACK || line.starts_with(b"  File \"") {
        return Some(Part::Frames);
    }
    (line == GROUP).then_some(Part::Group)
}

pub(super) fn next(part: Part, line: &[u8]) -> Next {
    let next = match part {
        Part::Frames if is_indented(line) => Some(Part::Frames),
        Part::Frames => is_raised(line).then_some(Part::Raised),
        Part::Group | Part::Raised if is_indented(line) => Some(part),
        Part::Group | Part::Raised | Part::Gap if is_chained(line) => Some(Part::Chain),
        Part::Group | Part::Raised | Part::Gap => is_blank(line).then_some(Part::Gap),
        Part::Chain if is_blank(line) => Some(Part::Chain),
        Part::Chain => trace(line),
    };
    next.map_or(Next::Apart, |part| Next::Joins(State::Python(part)))
}

fn is_chained(line: &[u8]) -> bool {
    line.starts_with(b"During handling of the above exception, another exception occurred:")
        || line.starts_with(b"The above exception was the direct cause of the following exception:")
}

// `ValueError: text` or a class alone. A word in capitals is a level.
fn is_raised(line: &[u8]) -> bool {
    class(line).is_some_and(|(class, message)| {
        is_message(message) && class.iter().any(u8::is_ascii_lowercase)
    })
}
