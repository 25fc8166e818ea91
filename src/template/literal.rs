//! Go's literals: strings with escapes, numbers in all bases, characters. Never a complex number.

/// A number as a template takes it: an int, unless it is written as a float.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

/// The bytes of `"…"`: `\x` and octal escapes may make what is no UTF-8.
pub(super) fn string(quoted: &str) -> Result<Vec<u8>, String> {
    let inside = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let mut rest = inside.ok_or("a string without quotes")?.chars();
    let mut bytes = Vec::with_capacity(quoted.len());
    while let Some(c) = rest.next() {
        if c != '\\' {
            push_char(&mut bytes, c);
            continue;
        }
        match escape(&mut rest, '"')? {
            Escape::Byte(byte) => bytes.push(byte),
            Escape::Char(c) => push_char(&mut bytes, c),
        }
    }
    Ok(bytes)
}

/// The code point of `'…'`.
pub(super) fn character(quoted: &str) -> Result<i64, String> {
    let inside = quoted.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let mut rest = inside.ok_or("a character without quotes")?.chars();
    let value = match rest.next() {
        Some('\\') => match escape(&mut rest, '\'')? {
            Escape::Byte(byte) => i64::from(byte),
            Escape::Char(c) => i64::from(u32::from(c)),
        },
        Some(c) => i64::from(u32::from(c)),
        None => return Err(format!("malformed character constant: {quoted}")),
    };
    match rest.next() {
        None => Ok(value),
        Some(_) => Err(format!("malformed character constant: {quoted}")),
    }
}

enum Escape {
    Byte(u8),
    Char(char),
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

// What follows a backslash.
fn escape(rest: &mut std::str::Chars<'_>, quote: char) -> Result<Escape, String> {
    let c = rest.next().ok_or("a backslash at the end")?;
    let simple = match c {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0C,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0B,
        '\\' => b'\\',
        _ if c == quote => return Ok(Escape::Char(quote)),
        'x' => return digits(rest, 0, 2, 16).and_then(byte),
        '0'..='7' => return digits(rest, c.to_digit(8).unwrap_or_default(), 2, 8).and_then(byte),
        'u' | 'U' => {
            let code = digits(rest, 0, if c == 'u' { 4 } else { 8 }, 16)?;
            let c = char::from_u32(code).ok_or(format!("\\{c}{code:04X} is no character"))?;
            return Ok(Escape::Char(c));
        }
        _ => return Err(format!("unknown escape \\{c}")),
    };
    Ok(Escape::Byte(simple))
}

fn byte(code: u32) -> Result<Escape, String> {
    u8::try_from(code).map(Escape::Byte).map_err(|_| format!("\\{code:o} is no byte"))
}

fn digits(
    rest: &mut std::str::Chars<'_>,
    first: u32,
    count: u32,
    radix: u32,
) -> Result<u32, String> {
    let mut code = first;
    for _ in 0..count {
        let digit = rest.next().and_then(|c| c.to_digit(radix)).ok_or("too few digits")?;
        code = code.checked_mul(radix).and_then(|code| code.checked_add(digit)).ok_or("too big")?;
    }
    Ok(code)
}

/// A number in any of Go's forms: `10`, `0x1F`, `0b101`, `0o17`, `017`, `1_000`, `1.5`, `1e3`.
pub(super) fn number(text: &str) -> Result<Number, String> {
    let bad = || format!("bad number syntax: \"{text}\"");
    if text.ends_with('i') {
        return Err(format!("{text} is a complex number, which no field is"));
    }
    let (is_negative, plain) = match text.strip_prefix('-') {
        Some(plain) => (true, plain),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = plain.to_ascii_lowercase();
    let (radix, digits) = match lower.split_at_checked(2) {
        Some(("0x", digits)) => (16, digits),
        Some(("0o", digits)) => (8, digits),
        Some(("0b", digits)) => (2, digits),
        _ => (10, lower.as_str()),
    };
    let digits = without_underscores(digits, radix != 10).ok_or_else(bad)?;
    if radix == 10 && digits.contains(['.', 'e']) {
        let float: f64 = digits.parse().map_err(|_| bad())?;
        if !float.is_finite() {
            return Err(format!("{text} overflows a float"));
        }
        return Ok(Number::Float(if is_negative { -float } else { float }));
    }
    let is_octal = radix == 10 && digits.len() > 1 && digits.starts_with('0');
    let radix = if is_octal { 8 } else { radix };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(bad());
    }
    let signed = if is_negative { format!("-{digits}") } else { digits };
    i64::from_str_radix(&signed, radix)
        .map(Number::Int)
        .map_err(|_| format!("{text} overflows int"))
}

// An underscore stands between digits, or behind the base.
fn without_underscores(digits: &str, has_base: bool) -> Option<String> {
    let mut before = if has_base { '0' } else { '.' };
    let mut plain = String::with_capacity(digits.len());
    for c in digits.chars() {
        match c {
            '_' if before.is_ascii_alphanumeric() => {}
            '_' => return None,
            _ if before == '_' && !c.is_ascii_alphanumeric() => return None,
            _ => plain.push(c),
        }
        before = c;
    }
    (before != '_').then_some(plain)
}
