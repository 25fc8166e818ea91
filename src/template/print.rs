//! Values as Go's `%v` shows them, and how lists, maps and structs are shown whatever the verb.

use std::fmt::Write;

use super::moment;
use super::out::{Out, Written};
use super::value::{Kind, Value};

/// Lists in lists deeper than this are shown as an ellipsis. JSON is read to 128 levels.
const MOST_DEPTH: usize = 130;

/// How one value that is no list, map or struct is shown.
pub(super) type Leaf<'l> = dyn FnMut(&mut Out<'_>, &Value<'_>) -> Written + 'l;

/// A value as an action shows it.
pub(super) fn shown(out: &mut Out<'_>, value: &Value<'_>) -> Written {
    match value {
        Value::Text(text) => out.push(text),
        Value::NoValue => out.push(b"<no value>"),
        _ => plain(out, value),
    }
}

/// A value as `%v` shows it.
pub(super) fn plain(out: &mut Out<'_>, value: &Value<'_>) -> Written {
    walk(out, value, false, &mut leaf)
}

/// Lists, maps and structs around `leaf`. `names`: a struct's fields have their names before them.
pub(super) fn walk(
    out: &mut Out<'_>,
    value: &Value<'_>,
    names: bool,
    leaf: &mut Leaf<'_>,
) -> Written {
    walk_in(out, value, (names, 0), leaf)
}

fn walk_in(
    out: &mut Out<'_>,
    value: &Value<'_>,
    (names, depth): (bool, usize),
    leaf: &mut Leaf<'_>,
) -> Written {
    let kind = value.kind();
    if !matches!(kind, Kind::List | Kind::Map | Kind::Struct) {
        return leaf(out, value);
    }
    if depth > MOST_DEPTH {
        return out.push("…".as_bytes());
    }
    let inside = (names, depth + 1);
    if kind == Kind::List {
        out.push(b"[")?;
        for place in 0..value.len().unwrap_or_default() {
            let Some(item) = value.item(place) else { break };
            if place > 0 {
                out.push(b" ")?;
            }
            walk_in(out, &item, inside, leaf)?;
        }
        return out.push(b"]");
    }
    let is_map = kind == Kind::Map;
    out.push(if is_map { b"map[" } else { b"{" })?;
    for (place, (key, value)) in value.pairs().iter().enumerate() {
        if place > 0 {
            out.push(b" ")?;
        }
        if is_map {
            leaf(out, &Value::from(*key))?;
        } else if names {
            out.push(key.as_bytes())?;
        }
        if is_map || names {
            out.push(b":")?;
        }
        walk_in(out, value, inside, leaf)?;
    }
    out.push(if is_map { b"]" } else { b"}" })
}

fn leaf(out: &mut Out<'_>, value: &Value<'_>) -> Written {
    match value {
        Value::Nil | Value::NoValue => out.push(b"<nil>"),
        Value::Bool(bool) => out.push(if *bool { b"true" } else { b"false" }),
        Value::Int(int) => Ok(write!(out, "{int}")?),
        Value::Named(_, name) => out.push(name.as_bytes()),
        Value::Float(float) => out.push(super::float::general(*float, None, false).as_bytes()),
        Value::Text(text) => out.push(text),
        Value::Time(at, zone) => out.push(&moment::text(*at, zone)),
        Value::List(_) | Value::Labels(_) | Value::Json(_) | Value::Root(_) => Ok(()),
    }
}

/// Go's Sprint: a space between two of which neither is a text.
pub(super) fn sprint(out: &mut Out<'_>, values: &[Value<'_>]) -> Written {
    let mut was_text = true;
    for (place, value) in values.iter().enumerate() {
        let is_text = value.kind() == Kind::Text;
        if place > 0 && !is_text && !was_text {
            out.push(b" ")?;
        }
        plain(out, value)?;
        was_text = is_text;
    }
    Ok(())
}

/// Go's Sprintln: a space between each two, and a line end.
pub(super) fn sprintln(out: &mut Out<'_>, values: &[Value<'_>]) -> Written {
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            out.push(b" ")?;
        }
        plain(out, value)?;
    }
    out.push(b"\n")
}
