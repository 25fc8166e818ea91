//! What Go prints when it panics or cannot go on: the reason, then every goroutine with its calls.
//! Never asks whether a call exists.

use super::looks::{after_digits, holds, is_blank, is_indented, split_while};
use super::{Begins, Next, State};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Part {
    /// The reason.
    Reason,
    /// Goroutines.
    Goroutines,
}

pub(super) fn begins(line: &[u8]) -> Option<Begins> {
    let first = line.first()?;
    if !b"pfgruS".contains(first) {
        return None;
    }
    if is_goroutine(line) {
        return Some(Begins::Headless(State::Go(Part::Goroutines)));
    }
    let is_reason = line.starts_with(b"panic: ")
        || line.starts_with(b"fatal error: ")
        || line.starts_with(b"runtime: goroutine stack exceeds ")
        || line.starts_with(b"unexpected fault address ")
        || is_signal(line);
    is_reason.then_some(Begins::Headed(State::Go(Part::Reason)))
}

pub(super) fn next(part: Part, line: &[u8]) -> Next {
    if line.starts_with(b"exit status ") {
        return Next::Ends;
    }
    let in_goroutines = part == Part::Goroutines;
    let next = if is_goroutine(line) || line.starts_with(b"runtime stack:") {
        Some(Part::Goroutines)
    } else if is_blank(line) || is_indented(line) || line.starts_with(b"[signal ") {
        Some(part)
    } else if !in_goroutines && is_more_reason(line) {
        Some(Part::Reason)
    } else {
        let is_call = is_call(line) || line.starts_with(b"created by ") || is_register(line);
        let is_part = is_call || line.starts_with(b"...additional frames elided...");
        (in_goroutines && is_part).then_some(part)
    };
    next.map_or(Next::Apart, |part| Next::Joins(State::Go(part)))
}

// `goroutine 17 [running]:`, and where it is told more between both.
fn is_goroutine(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"goroutine ").and_then(after_digits);
    rest.is_some_and(|rest| rest.starts_with(b" ") && holds(rest, b" [")) && line.ends_with(b"]:")
}

// `SIGQUIT: quit`
fn is_signal(line: &[u8]) -> bool {
    let (name, rest) = split_while(line, |byte| byte.is_ascii_uppercase());
    name.starts_with(b"SIG") && rest.starts_with(b": ")
}

fn is_more_reason(line: &[u8]) -> bool {
    let begins = [&b"fatal error: "[..], b"runtime: ", b"PC=0x", b"sp=0x"];
    begins.iter().any(|begin| line.starts_with(begin))
}

// `main.(*Shop).order(0xc000010000, {0x1, 0x2})`: no blank before the first bracket.
fn is_call(line: &[u8]) -> bool {
    let (name, arguments) = split_while(line, |byte| byte != b'(' && byte != b' ');
    let is_name = name.contains(&b'.') || name == b"panic";
    is_name && arguments.starts_with(b"(") && line.ends_with(b")")
}

// `rax    0x0`: the processor's registers, behind the goroutines.
fn is_register(line: &[u8]) -> bool {
    let (name, value) = split_while(line, |byte| byte.is_ascii_alphanumeric());
    (2..=6).contains(&name.len())
        && value.starts_with(b" ")
        && value.trim_ascii_start().starts_with(b"0x")
}
