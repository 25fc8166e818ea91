//! Go's `html`, `js` and `urlquery`, byte for byte. Never more than a text.

use std::fmt::Write;

use super::Scope;
use crate::template::out::{Out, Written};
use crate::template::print::sprint;
use crate::template::quote::is_print;
use crate::template::value::Value;

pub(super) fn html<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    escaped(scope, values, |out, text| {
        for byte in text {
            match byte {
                0 => out.push("\u{FFFD}".as_bytes())?,
                b'"' => out.push(b"&#34;")?,
                b'\'' => out.push(b"&#39;")?,
                b'&' => out.push(b"&amp;")?,
                b'<' => out.push(b"&lt;")?,
                b'>' => out.push(b"&gt;")?,
                _ => out.push(&[*byte])?,
            }
        }
        Ok(())
    })
}

pub(super) fn js<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    escaped(scope, values, |out, text| {
        for chunk in text.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' | '\'' | '"' => {
                        out.push(b"\\")?;
                        out.push_char(c)?;
                    }
                    '<' | '>' | '&' | '=' | '\0'..='\u{1F}' => {
                        write!(out, "\\u{:04X}", u32::from(c))?;
                    }
                    _ if c.is_ascii() || is_print(c) => out.push_char(c)?,
                    _ => write!(out, "\\u{:04X}", u32::from(c))?,
                }
            }
            out.push(chunk.invalid())?;
        }
        Ok(())
    })
}

pub(super) fn urlquery<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    escaped(scope, values, |out, text| {
        for byte in text {
            match byte {
                b' ' => out.push(b"+")?,
                b'-' | b'_' | b'.' | b'~' => out.push(&[*byte])?,
                _ if byte.is_ascii_alphanumeric() => out.push(&[*byte])?,
                _ => write!(out, "%{byte:02X}")?,
            }
        }
        Ok(())
    })
}

fn escaped<'a>(
    scope: &Scope<'a>,
    values: &[Value<'a>],
    escape: impl FnOnce(&mut Out<'_>, &[u8]) -> Written,
) -> Result<Value<'a>, String> {
    if let [Value::Text(text)] = values {
        return scope.written(|out| escape(out, text));
    }
    // Go's printableValue.
    let shown = |value: &Value<'a>| match value {
        Value::NoValue => "<no value>".into(),
        _ => value.clone(),
    };
    let values: Vec<_> = values.iter().map(shown).collect();
    let plain = scope.written(|out| sprint(out, &values))?;
    let Value::Text(plain) = plain else { return Ok(plain) };
    scope.written(|out| escape(out, &plain))
}
