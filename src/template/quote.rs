//! Texts and characters in Go's quotes, as `strconv.Quote` writes them. Never shorter than what is
//! quoted.

/// A text in double quotes, or in backquotes if that is wanted and can be. `ascii`: all else is
/// escaped.
pub(super) fn string(text: &[u8], ascii: bool, raw: bool) -> Vec<u8> {
    let can_be_raw = |text: &str| {
        text.chars().all(|c| c == '\t' || !(c.is_control() || matches!(c, '`' | '\u{FEFF}')))
    };
    if raw && std::str::from_utf8(text).is_ok_and(can_be_raw) {
        return [b"`", text, b"`"].concat();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut quoted, c, '"', ascii);
        }
        for byte in chunk.invalid() {
            hex(&mut quoted, "\\x", (*byte).into(), 2);
        }
    }
    quoted.push('"');
    quoted.into_bytes()
}

/// A character in single quotes.
pub(super) fn character(c: char, ascii: bool) -> String {
    let mut quoted = String::from("'");
    push(&mut quoted, c, '\'', ascii);
    quoted.push('\'');
    quoted
}

fn push(quoted: &mut String, c: char, quote: char, ascii: bool) {
    let letter = match c {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{C}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{B}' => 'v',
        '\\' => '\\',
        _ if c == quote => quote,
        _ if is_print(c) && (c.is_ascii() || !ascii) => {
            quoted.push(c);
            return;
        }
        _ => {
            let code = u32::from(c);
            return match code {
                0..0x20 | 0x7F => hex(quoted, "\\x", code, 2),
                0..0x1_0000 => hex(quoted, "\\u", code, 4),
                _ => hex(quoted, "\\U", code, 8),
            };
        }
    };
    quoted.push('\\');
    quoted.push(letter);
}

fn hex(quoted: &mut String, prefix: &str, code: u32, digits: usize) {
    quoted.extend(format!("{prefix}{code:0digits$x}").chars());
}

/// Whether Go prints a character as it is. The standard library knows it for texts: a mark is
/// shown there behind a letter.
pub(super) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    let mut text = String::from("a");
    text.push(c);
    text.escape_debug().nth(1) == Some(c)
}

/// Characters of a text; each byte that is no UTF-8 is one.
pub(super) fn characters(text: &[u8]) -> usize {
    text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}
