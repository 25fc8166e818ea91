//! Values as Go's `encoding/json` writes them: safe inside of HTML, always UTF-8. Never indented.

use std::fmt::Write;

use super::layout::format_time;
use super::out::{Full, Out, Written};
use super::value::{Kind, Value};
use super::zone::Zone;
use crate::record::Timestamp;

/// JSON is read to 128 levels.
const MOST_DEPTH: usize = 130;
const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

/// Appends a value.
pub(super) fn write(out: &mut Out<'_>, value: &Value<'_>) -> Written {
    write_in(out, value, 0)
}

fn write_in(out: &mut Out<'_>, value: &Value<'_>, depth: usize) -> Written {
    if depth > MOST_DEPTH {
        return Err(Full);
    }
    match value {
        Value::Nil | Value::NoValue => out.push(b"null"),
        Value::Bool(bool) => out.push(if *bool { b"true" } else { b"false" }),
        Value::Int(int) | Value::Named(int, _) => Ok(write!(out, "{int}")?),
        Value::Float(float) => out.push(number(*float).as_bytes()),
        Value::Text(text) => string(out, text),
        Value::Time(at, zone) => time(out, *at, zone),
        _ if value.kind() == Kind::List => {
            out.push(b"[")?;
            for place in 0..value.len().unwrap_or_default() {
                let Some(item) = value.item(place) else { break };
                out.push(if place > 0 { b"," } else { b"" })?;
                write_in(out, &item, depth + 1)?;
            }
            out.push(b"]")
        }
        _ => {
            out.push(b"{")?;
            for (place, (key, value)) in value.pairs().iter().enumerate() {
                out.push(if place > 0 { b"," } else { b"" })?;
                string(out, key.as_bytes())?;
                out.push(b":")?;
                write_in(out, value, depth + 1)?;
            }
            out.push(b"}")
        }
    }
}

fn time(out: &mut Out<'_>, at: Timestamp, zone: &Zone) -> Written {
    let mut text = Vec::new();
    format_time(RFC3339_NANO, at, zone, &mut text);
    string(out, &text)
}

// Go's floatEncoder: as ES6, but for the zero in the exponent.
fn number(float: f64) -> String {
    let size = float.abs();
    if !float.is_finite() {
        return "null".into();
    }
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = super::float::exponent(float, None, false);
        return text.replace("e-0", "e-");
    }
    super::float::fixed(float, None)
}

fn string(out: &mut Out<'_>, text: &[u8]) -> Written {
    out.push(b"\"")?;
    for piece in text.utf8_chunks() {
        valid(out, piece.valid())?;
        for _ in piece.invalid() {
            out.push(b"\\ufffd")?;
        }
    }
    out.push(b"\"")
}

fn valid(out: &mut Out<'_>, text: &str) -> Written {
    let mut rest = text;
    while let Some(at) = rest.find(is_special) {
        let (plain, special) = rest.split_at_checked(at).unwrap_or_default();
        out.push(plain.as_bytes())?;
        let mut chars = special.chars();
        match chars.next().unwrap_or_default() {
            '"' => out.push(b"\\\"")?,
            '\\' => out.push(b"\\\\")?,
            '\n' => out.push(b"\\n")?,
            '\r' => out.push(b"\\r")?,
            '\t' => out.push(b"\\t")?,
            '\u{8}' => out.push(b"\\b")?,
            '\u{C}' => out.push(b"\\f")?,
            c => write!(out, "\\u{:04x}", u32::from(c))?,
        }
        rest = chars.as_str();
    }
    out.push(rest.as_bytes())
}

fn is_special(c: char) -> bool {
    c < ' ' || matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}
