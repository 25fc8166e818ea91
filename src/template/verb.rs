//! One value under one verb of `printf`, with its flags, width and precision. Never a list or a
//! map: `print` takes these apart.

use std::fmt::Write;

use super::out::{Out, Written};
use super::value::Value;
use super::{float, moment, print, quote};

/// `%-08.3f`, taken apart.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the five flags, any of which may be given")]
pub(super) struct Spec {
    pub(super) verb: char,
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// Writes a value.
pub(super) fn write(out: &mut Out<'_>, value: &Value<'_>, spec: Spec) -> Written {
    match (value, spec.verb) {
        (Value::Nil | Value::NoValue, 'v') => padded(out, b"<nil>", spec),
        (Value::Bool(bool), 'v' | 't') => padded(out, if *bool { b"true" } else { b"false" }, spec),
        (Value::Named(_, name), 'v' | 's' | 'q' | 'x' | 'X') => text(out, name.as_bytes(), spec),
        (Value::Int(int) | Value::Named(int, _), verb) => integer(out, value, *int, verb, spec),
        (Value::Float(number), verb) => decimal(out, value, *number, verb, spec),
        (Value::Text(bytes), 'v' | 's' | 'q' | 'x' | 'X') => text(out, bytes, spec),
        (Value::Time(at, zone), 'v' | 's' | 'q' | 'x' | 'X') => {
            text(out, &moment::text(*at, zone), spec)
        }
        (Value::List(_) | Value::Labels(_) | Value::Json(_) | Value::Root(_), _) => Ok(()),
        _ => bad(out, value, spec),
    }
}

// `%!d(string=hi)`, with the flags that were meant for the verb.
fn bad(out: &mut Out<'_>, value: &Value<'_>, spec: Spec) -> Written {
    out.push(b"%!")?;
    out.push_char(spec.verb)?;
    out.push(b"(")?;
    match value {
        Value::Nil | Value::NoValue => out.push(b"<nil>")?,
        _ => {
            out.push(value.type_name().as_bytes())?;
            out.push(b"=")?;
            write(out, value, Spec { verb: 'v', sharp: false, ..spec })?;
        }
    }
    out.push(b")")
}

/// `string=hi`.
pub(super) fn typed(out: &mut Out<'_>, value: &Value<'_>) -> Written {
    if matches!(value, Value::Nil | Value::NoValue) {
        return out.push(b"<nil>");
    }
    out.push(value.type_name().as_bytes())?;
    out.push(b"=")?;
    print::plain(out, value)
}

fn integer(out: &mut Out<'_>, value: &Value<'_>, int: i64, verb: char, spec: Spec) -> Written {
    let size = int.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (format!("{size}"), ""),
        'b' => (format!("{size:b}"), "0b"),
        'o' => (format!("{size:o}"), "0"),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        'c' => return padded(out, character(int).to_string().as_bytes(), spec),
        'q' => return padded(out, quote::character(character(int), spec.plus).as_bytes(), spec),
        'U' => return padded(out, unicode(int, spec).as_bytes(), spec),
        _ => return bad(out, value, spec),
    };
    let prefix = if spec.sharp || verb == 'O' { prefix } else { "" };
    let digits = if spec.precision == Some(0) && int == 0 { "" } else { &digits };
    number(out, (sign(int < 0, spec), prefix), digits, spec)
}

fn sign(is_negative: bool, spec: Spec) -> &'static str {
    match (is_negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

// Zeros go between the sign and the digits.
fn number(out: &mut Out<'_>, (sign, prefix): (&str, &str), digits: &str, spec: Spec) -> Written {
    let mut zeros = spec.precision.unwrap_or_default().saturating_sub(digits.len());
    let len = |zeros: usize| sign.len() + prefix.len() + zeros + digits.len();
    let width = spec.width.unwrap_or_default();
    if spec.zero && !spec.minus && spec.precision.is_none() {
        zeros = width.saturating_sub(sign.len() + digits.len());
    }
    let blanks = width.saturating_sub(len(zeros));
    out.fill(b' ', if spec.minus { 0 } else { blanks })?;
    out.push(sign.as_bytes())?;
    out.push(prefix.as_bytes())?;
    out.fill(b'0', zeros)?;
    out.push(digits.as_bytes())?;
    out.fill(b' ', if spec.minus { blanks } else { 0 })
}

fn decimal(out: &mut Out<'_>, value: &Value<'_>, number: f64, verb: char, spec: Spec) -> Written {
    // More digits than a double has are zeros, and may be a million.
    const MOST_DIGITS: usize = 1_100;
    let precision = spec.precision.map(|digits| digits.min(MOST_DIGITS));
    let size = number.abs();
    let text = match verb {
        'v' | 'g' => float::general(size, precision, false),
        'G' => float::general(size, precision, true),
        'e' => float::exponent(size, precision.or(Some(6)), false),
        'E' => float::exponent(size, precision.or(Some(6)), true),
        'f' | 'F' => float::fixed(size, precision.or(Some(6))),
        _ => return bad(out, value, spec),
    };
    let is_finite = number.is_finite();
    let text = text.trim_start_matches('+');
    let zero = spec.zero && is_finite;
    let sign = match sign(number.is_sign_negative() && !number.is_nan(), spec) {
        "" if number == f64::INFINITY => "+",
        sign => sign,
    };
    self::number(out, (sign, ""), text, Spec { precision: None, zero, ..spec })
}

/// Writes a text under one of the verbs that take one.
pub(super) fn text(out: &mut Out<'_>, text: &[u8], spec: Spec) -> Written {
    match spec.verb {
        'x' | 'X' => hexadecimal(out, text, spec),
        verb => {
            let text = cut(text, spec.precision);
            if verb == 'q' || (verb == 'v' && spec.sharp) {
                let spec = Spec { sharp: spec.sharp && verb == 'q', ..spec };
                let quoted = quote::string(text, spec.plus, spec.sharp);
                padded(out, &quoted, spec)
            } else {
                padded(out, text, spec)
            }
        }
    }
}

fn hexadecimal(out: &mut Out<'_>, text: &[u8], spec: Spec) -> Written {
    let text = text.get(..spec.precision.unwrap_or(usize::MAX).min(text.len())).unwrap_or(text);
    let prefix = match (spec.sharp, spec.verb) {
        (false, _) => "",
        (_, 'x') => "0x",
        _ => "0X",
    };
    let mut len = text.len() * 2 + if text.is_empty() { 0 } else { prefix.len() };
    if spec.space {
        len += text.len().saturating_sub(1) * (1 + prefix.len());
    }
    let blanks = spec.width.unwrap_or_default().saturating_sub(len);
    out.fill(b' ', if spec.minus { 0 } else { blanks })?;
    for (place, byte) in text.iter().enumerate() {
        if place > 0 && spec.space {
            out.push(b" ")?;
        }
        if place == 0 || spec.space {
            out.push(prefix.as_bytes())?;
        }
        if spec.verb == 'x' {
            write!(out, "{byte:02x}")?;
        } else {
            write!(out, "{byte:02X}")?;
        }
    }
    out.fill(b' ', if spec.minus { blanks } else { 0 })
}

// The first characters of a text; each byte that is no UTF-8 is one.
fn cut(text: &[u8], most: Option<usize>) -> &[u8] {
    let Some(most) = most else { return text };
    let mut left = most;
    let mut end = 0;
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if left == 0 {
                return text.get(..end).unwrap_or(text);
            }
            left -= 1;
            end += c.len_utf8();
        }
        let taken = left.min(chunk.invalid().len());
        left -= taken;
        end += taken;
    }
    text.get(..end).unwrap_or(text)
}

fn padded(out: &mut Out<'_>, text: &[u8], spec: Spec) -> Written {
    let blanks = match spec.width {
        Some(width) => width.saturating_sub(quote::characters(text)),
        None => 0,
    };
    out.fill(b' ', if spec.minus { 0 } else { blanks })?;
    out.push(text)?;
    out.fill(b' ', if spec.minus { blanks } else { 0 })
}

fn character(int: i64) -> char {
    u32::try_from(int).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn unicode(int: i64, spec: Spec) -> String {
    let digits = spec.precision.unwrap_or_default().clamp(4, 64);
    let mut text = format!("U+{int:0digits$X}");
    let c = u32::try_from(int).ok().and_then(char::from_u32);
    if let Some(c) = c.filter(|c| spec.sharp && quote::is_print(*c)) {
        text.push_str(" '");
        text.push(c);
        text.push('\'');
    }
    text
}
