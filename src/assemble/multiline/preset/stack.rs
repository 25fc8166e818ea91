//! Traces of Java (and Kotlin, Scala, Groovy) and of .NET: the name of what was thrown, then
//! indented frames, then causes. Never asks which of both it is once a trace has begun.

use super::looks::{before_digits, class, is_indented, is_message, is_thrown, split_while};
use super::{Begins, Next, State};

/// Whose words stand at the head of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    Java,
    Dotnet,
    Both,
}

pub(super) fn begins(heads: Heads, line: &[u8]) -> Option<Begins> {
    if heads != Heads::Dotnet && line.starts_with(b"Exception in thread \"") {
        return Some(Begins::Headed(State::Stack));
    }
    if heads != Heads::Java {
        let heads = [&b"Unhandled exception. "[..], b"Unhandled Exception: "];
        if heads.iter().any(|head| line.starts_with(head)) {
            return Some(Begins::Headed(State::Stack));
        }
        if is_console_line(line) {
            return Some(Begins::Headed(State::Indented));
        }
    }
    begins_for_both(line)
}

fn begins_for_both(line: &[u8]) -> Option<Begins> {
    if is_frame(line) || line.starts_with(b"Caused by: ") || line.starts_with(b" ---> ") {
        return Some(Begins::Headless(State::Stack));
    }
    let (class, message) = class(line)?;
    if !is_thrown(class) || !is_message(message) {
        return None;
    }
    // A name without its package may be anybody's, and the line above it something else.
    let is_sure = class.contains(&b'.');
    Some(if is_sure { Begins::Headless(State::Stack) } else { Begins::Headed(State::Stack) })
}

pub(super) fn next(line: &[u8]) -> Next {
    // The first three are not indented; a message of several lines often is.
    let is_part = line.starts_with(b"Caused by: ")
        || line.starts_with(b" ---> ")
        || line.starts_with(b"--- End of ")
        || line.starts_with(b"Suppressed: ")
        || is_indented(line);
    if is_part { Next::Joins(State::Stack) } else { Next::Apart }
}

// `	at shop.Order.place(Order.java:17)`: no blank before the bracket, unless in the name of a method.
fn is_frame(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    let is_call = text.strip_prefix(b"at ").is_some_and(|call| {
        let (name, behind) = split_while(call, |byte| byte != b'(' && byte != b' ');
        behind.contains(&b'(') && (behind.starts_with(b"(") || name.contains(&b'.'))
    });
    let is_more = text.starts_with(b"... ") && text.ends_with(b" more");
    is_indented(line) && (is_call || is_more)
}

// `fail: Shop.Worker[0]`: the console logger of .NET, which indents all that it says.
fn is_console_line(line: &[u8]) -> bool {
    let Some(event) = line.strip_suffix(b"]").and_then(before_digits) else { return false };
    let levels = [&b"trce: "[..], b"dbug: ", b"info: ", b"warn: ", b"fail: ", b"crit: "];
    event.ends_with(b"[") && levels.iter().any(|level| line.starts_with(level))
}
