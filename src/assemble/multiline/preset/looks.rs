//! What lines of traces have in common, whatever the language. Never knows what is open.

/// Whether there is nothing but white space.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii_start().is_empty()
}

/// Whether text stands behind a tab or two blanks at least.
pub(super) fn is_indented(line: &[u8]) -> bool {
    let begins = line.starts_with(b"\t") || line.starts_with(b"  ");
    begins && !is_blank(line)
}

/// The longest beginning of which every byte is one of these, and the rest.
pub(super) fn split_while(line: &[u8], is_of: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| !is_of(*byte)).unwrap_or(line.len());
    line.split_at_checked(end).unwrap_or((line, b""))
}

/// What stands behind one digit or more.
pub(super) fn after_digits(line: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = split_while(line, |byte| byte.is_ascii_digit());
    (!digits.is_empty()).then_some(rest)
}

/// What stands before one digit or more at the end.
pub(super) fn before_digits(line: &[u8]) -> Option<&[u8]> {
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, _) = line.split_at_checked(line.len() - digits)?;
    (digits > 0).then_some(before)
}

/// A class with which a line begins, with its packages, and what stands behind it. Several names of
/// letters, digits, `_` and `$`, with dots between; names of generic and inner classes, too.
pub(super) fn class(line: &[u8]) -> Option<(&[u8], &[u8])> {
    line.first().filter(|byte| byte.is_ascii_alphabetic() || **byte == b'_')?;
    let is_of = |byte: u8| {
        let is_mark = matches!(byte, b'.' | b'_' | b'$' | b'+' | b'`' | b'<' | b'>');
        byte.is_ascii_alphanumeric() || is_mark
    };
    let (class, rest) = split_while(line, is_of);
    (!class.ends_with(b".")).then_some((class, rest))
}

/// Whether a class is called what things are called that are thrown.
pub(super) fn is_thrown(class: &[u8]) -> bool {
    let ends = ["Exception", "Error", "Throwable", "Failure", "Fault", "Timeout", "Death"];
    ends.iter().any(|end| class.ends_with(end.as_bytes()))
}

/// Whether this stands behind the class of an error: a message, or nothing.
pub(super) fn is_message(rest: &[u8]) -> bool {
    rest.is_empty() || rest == b":" || rest.starts_with(b": ")
}

/// Whether a line holds a text.
pub(super) fn holds(line: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(line, text).is_some()
}
