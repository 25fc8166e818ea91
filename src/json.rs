//! Strings as JSON wants them, for every output that writes JSON on the path of a line. Never
//! invalid: bytes that are not UTF-8 become U+FFFD, and control characters are escaped, those that
//! terminals obey (DEL, U+0080 to U+009F) as well.

/// Appends the inside of a JSON string.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    if let Ok(text) = str::from_utf8(text) {
        escape_valid(text.as_bytes(), out);
        return;
    }
    for chunk in text.utf8_chunks() {
        escape_valid(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

fn escape_valid(mut rest: &[u8], out: &mut Vec<u8>) {
    loop {
        let (plain, special) = rest.split_at(plain_prefix(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else {
            return;
        };
        rest = after;
        match (byte, after) {
            (b'"', _) => out.extend_from_slice(b"\\\""),
            (b'\\', _) => out.extend_from_slice(b"\\\\"),
            (b'\n', _) => out.extend_from_slice(b"\\n"),
            (b'\r', _) => out.extend_from_slice(b"\\r"),
            (b'\t', _) => out.extend_from_slice(b"\\t"),
            (C1_LEAD, [control @ 0x80..=0x9F, after @ ..]) => {
                push_code(*control, out);
                rest = after;
            }
            (C1_LEAD, _) => out.push(C1_LEAD),
            (control, _) => push_code(control, out),
        }
    }
}

/// The first byte of U+0080 to U+00BF in UTF-8.
const C1_LEAD: u8 = 0xC2;

// Whole blocks first: without an early exit in them the compiler compares 16 bytes at once.
fn plain_prefix(bytes: &[u8]) -> usize {
    let is_plain = |block: &[u8; 16]| !block.iter().fold(false, |any, &byte| any | special(byte));
    let (blocks, _) = bytes.as_chunks();
    let start = blocks.iter().take_while(|block| is_plain(block)).count() * 16;
    if bytes.len() - start < 16 && bytes.last_chunk().is_some_and(is_plain) {
        return bytes.len();
    }
    let (words, tail) = bytes.get(start..).unwrap_or_default().as_chunks();
    for (word, at) in words.iter().zip((start..).step_by(8)) {
        let plain = plain_bytes(u64::from_le_bytes(*word));
        if plain < 8 {
            return at + plain;
        }
    }
    let plain = tail.iter().position(|&byte| special(byte)).unwrap_or(tail.len());
    bytes.len() - tail.len() + plain
}

// How many bytes of a little-endian word come before its first special one.
fn plain_bytes(word: u64) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The lowest bit that is set marks the first byte below `limit`.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let special = below(word, 0x20) | equal(b'"') | equal(b'\\') | equal(0x7F) | equal(C1_LEAD);
    (special & (ONES << 7)).trailing_zeros() as usize / 8
}

#[expect(clippy::needless_bitwise_bool, reason = "with branches, no 16 bytes at once")]
fn special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0x7F) | (byte == C1_LEAD)
}

fn push_code(code: u8, out: &mut Vec<u8>) {
    let hex = |digit: u8| b"0123456789abcdef".get(usize::from(digit)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(code >> 4), hex(code & 15)]);
}
