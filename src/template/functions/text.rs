//! Functions on texts that Go's templates lack and people add: as those of Go's package `strings`,
//! but bytes that are no UTF-8 stay as they are. Never longer lists than `MOST_PARTS`.

use memchr::memmem;

use super::{Scope, int_of, text_of};
use crate::template::out::{Out, Written};
use crate::template::print;
use crate::template::value::{Kind, Value};

/// Parts that a text is split into at most.
const MOST_PARTS: usize = 10_000;

pub(super) fn join<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let separator = text_of(values, 1)?;
    let list = values.first().unwrap_or(&Value::NoValue);
    if !matches!(list.kind(), Kind::List | Kind::Nil) {
        return Err(format!("wrong type for value; expected a list; got {}", list.type_name()));
    }
    scope.written(|out| {
        for place in 0..list.len().unwrap_or_default() {
            let Some(item) = list.item(place) else { break };
            out.push(if place > 0 { separator } else { b"" })?;
            print::plain(out, &item)?;
        }
        Ok(())
    })
}

pub(super) fn split<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    parts(scope, text_of(values, 0)?, text_of(values, 1)?, -1)
}

pub(super) fn split_n<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    parts(scope, text_of(values, 0)?, text_of(values, 1)?, int_of(values, 2)?)
}

// As Go's SplitN: none for 0 parts, all for a negative number.
fn parts<'a>(
    scope: &Scope<'a>,
    text: &[u8],
    separator: &[u8],
    most: i64,
) -> Result<Value<'a>, String> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts: Vec<Value<'a>> = Vec::new();
    let mut rest = Some(text).filter(|_| most > 0);
    if separator.is_empty() && text.is_empty() {
        rest = None;
    }
    while let Some(text) = rest {
        if parts.len() >= MOST_PARTS {
            return Err(format!("more than {MOST_PARTS} parts; split less, as with splitN"));
        }
        let is_last = parts.len() + 1 >= most;
        let end = match separator.len() {
            _ if is_last => None,
            0 => Some(first_character(text)).filter(|len| *len < text.len()),
            _ => memmem::find(text, separator),
        };
        let part = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        scope.charge(part.len().saturating_add(size_of::<Value<'_>>()))?;
        parts.push(part.to_vec().into());
        rest = end.and_then(|end| text.get(end + separator.len()..));
    }
    Ok(Value::list(parts))
}

fn first_character(text: &[u8]) -> usize {
    let first = text.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    first.map_or(1, char::len_utf8)
}

pub(super) fn replace<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let (text, old, new) = (text_of(values, 0)?, text_of(values, 1)?, text_of(values, 2)?);
    let most = if values.len() > 3 { int_of(values, 3)? } else { -1 };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    scope.written(|out| {
        let mut rest = text;
        for count in 0..most {
            let at = match old.len() {
                // Before each character, and at the end.
                0 if count == 0 => Some(0),
                0 => Some(first_character(rest)).filter(|_| !rest.is_empty()),
                _ => memmem::find(rest, old),
            };
            let Some((before, after)) = at.and_then(|at| rest.split_at_checked(at)) else { break };
            out.push(before)?;
            out.push(new)?;
            rest = after.get(old.len()..).unwrap_or_default();
        }
        out.push(rest)
    })
}

pub(super) fn upper<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let text = text_of(values, 0)?;
    scope.written(|out| in_case(out, text, upper_of))
}

pub(super) fn lower<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let text = text_of(values, 0)?;
    scope.written(|out| in_case(out, text, lower_of))
}

// As in Go a character becomes one character, and stays where it has no such other case.
fn upper_of(c: char) -> char {
    let mut upper = c.to_uppercase();
    upper.next().filter(|_| upper.next().is_none()).unwrap_or(c)
}

// Only of U+0130 the other case has two characters, the first of which Go takes.
fn lower_of(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

fn in_case(out: &mut Out<'_>, text: &[u8], change: fn(char) -> char) -> Written {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            out.push_char(change(c))?;
        }
        out.push(chunk.invalid())?;
    }
    Ok(())
}

// Go's strings.Title.
pub(super) fn title<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let text = text_of(values, 0)?;
    let parts_words = |c: char| match c {
        '\0'..='\x7F' => !(c.is_ascii_alphanumeric() || c == '_'),
        _ => c.is_whitespace(),
    };
    let mut before = ' ';
    scope.written(|out| {
        for chunk in text.utf8_chunks() {
            for c in chunk.valid().chars() {
                out.push_char(if parts_words(before) { upper_of(c) } else { c })?;
                before = c;
            }
            out.push(chunk.invalid())?;
        }
        Ok(())
    })
}

pub(super) fn pad<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let (text, before, behind) =
        (text_of(values, 0)?, length_of(values, 1)?, length_of(values, 2)?);
    scope.written(|out| {
        if text.is_empty() {
            return Ok(());
        }
        out.fill(b' ', before)?;
        out.push(text)?;
        out.fill(b' ', behind)
    })
}

pub(super) fn truncate<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let (text, most) = (text_of(values, 0)?, length_of(values, 1)?);
    scope.written(|out| out.push(text.get(..most).unwrap_or(text)))
}

fn length_of(values: &[Value<'_>], place: usize) -> Result<usize, String> {
    let size = int_of(values, place)?;
    usize::try_from(size).map_err(|_| format!("{size} is no length"))
}

pub(super) fn trim<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let text = text_of(values, 0)?;
    let set =
        if values.len() > 1 { Some(String::from_utf8_lossy(text_of(values, 1)?)) } else { None };
    let is_trimmed = |c: char| match &set {
        Some(set) => set.contains(c),
        None => c.is_whitespace(),
    };
    let text = if let Ok(text) = std::str::from_utf8(text) {
        text.trim_matches(is_trimmed).as_bytes()
    } else {
        let keeps = |byte: &u8| !(byte.is_ascii() && is_trimmed(char::from(*byte)));
        let start = text.iter().position(keeps).unwrap_or(text.len());
        let end = text.iter().rposition(keeps).map_or(start, |last| last + 1);
        text.get(start..end).unwrap_or_default()
    };
    scope.written(|out| out.push(text))
}

pub(super) fn trim_prefix<'a>(
    scope: &Scope<'a>,
    values: &[Value<'a>],
) -> Result<Value<'a>, String> {
    let (text, prefix) = (text_of(values, 0)?, text_of(values, 1)?);
    scope.written(|out| out.push(text.strip_prefix(prefix).unwrap_or(text)))
}

pub(super) fn trim_suffix<'a>(
    scope: &Scope<'a>,
    values: &[Value<'a>],
) -> Result<Value<'a>, String> {
    let (text, suffix) = (text_of(values, 0)?, text_of(values, 1)?);
    scope.written(|out| out.push(text.strip_suffix(suffix).unwrap_or(text)))
}

pub(super) fn has_prefix<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    Ok(Value::Bool(text_of(values, 0)?.starts_with(text_of(values, 1)?)))
}

pub(super) fn has_suffix<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    Ok(Value::Bool(text_of(values, 0)?.ends_with(text_of(values, 1)?)))
}

pub(super) fn contains<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let (text, part) = (text_of(values, 0)?, text_of(values, 1)?);
    scope.read(text.len())?;
    Ok(Value::Bool(memmem::find(text, part).is_some()))
}
