//! Traces of Ruby and of Rails: where it was raised and what, then the callers. Never asks whether
//! a file is Ruby's: a number and `in` behind it say so.

use super::looks::{after_digits, holds, is_blank, is_indented, is_thrown, split_while};
use super::{Begins, Next, State};

/// How far a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Part {
    /// A thread has died; what was raised in it is to come.
    Thread,
    /// What was raised has come.
    Raised,
    /// Callers have come: a cause may follow.
    Callers,
}

pub(super) fn begins(line: &[u8]) -> Option<Begins> {
    if line.starts_with(b"#<Thread:") {
        return Some(Begins::Headed(State::Ruby(Part::Thread)));
    }
    if is_raised(line) {
        return Some(Begins::Headed(State::Ruby(Part::Raised)));
    }
    let line = untagged(line);
    if is_caller(line) {
        return Some(Begins::Headless(State::Ruby(Part::Callers)));
    }
    is_rails(line).then_some(Begins::Headless(State::Ruby(Part::Raised)))
}

pub(super) fn next(part: Part, line: &[u8]) -> Next {
    let untagged = untagged(line);
    let next = if is_raised(line) {
        // One that nobody was called by is the next one, not a cause.
        (part != Part::Raised).then_some(Part::Raised)
    } else if part == Part::Thread {
        None
    } else if is_caller(untagged) {
        Some(Part::Callers)
    } else {
        let is_part = is_indented(line)
            || is_blank(untagged)
            || line.starts_with(b"Did you mean?")
            || line.starts_with(b"Causes:")
            || line.starts_with(b"Caused by: ");
        is_part.then_some(part)
    };
    next.map_or(Next::Apart, |part| Next::Joins(State::Ruby(part)))
}

// Rails puts `[request] ` before each line of a message.
fn untagged(line: &[u8]) -> &[u8] {
    let tag = line.strip_prefix(b"[").unwrap_or_default();
    let (_, rest) = split_while(tag, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    rest.strip_prefix(b"] ").unwrap_or(line)
}

// `app/shop.rb:17:in 'order'`, with `from` before it or not; what stands behind `in`.
fn place(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"from ").unwrap_or(line);
    let (_, rest) = split_while(line, |byte| byte != b':' && byte != b' ');
    let rest = after_digits(rest.strip_prefix(b":")?)?;
    rest.strip_prefix(b":in ")
}

// `app/shop.rb:17:in 'order': no order (ShopError)`
fn is_raised(line: &[u8]) -> bool {
    let message = place(line).and_then(|name| {
        let end = name.windows(3).position(|at| at == b"': ")?;
        name.get(end + 3..)
    });
    // The class may stand at the end of a later line.
    message.is_some()
}

fn is_caller(line: &[u8]) -> bool {
    place(line.trim_ascii_start()).is_some_and(|name| name.ends_with(b"'"))
}

// `ShopError (no order):`
fn is_rails(line: &[u8]) -> bool {
    if !line.ends_with(b"):") || !line.first().is_some_and(u8::is_ascii_uppercase) {
        return false;
    }
    let is_of = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_');
    let (class, message) = split_while(line, is_of);
    message.starts_with(b" (") && (is_thrown(class) || holds(class, b"::"))
}
