//! The inside of a JSON string, decoded in place. Never looks beyond the string or its line.
//!
//! Control characters and bytes that are not UTF-8 stay as they are; half of a surrogate pair
//! becomes U+FFFD, as with Go.

use std::ops::Range;

/// What is read and moved at once.
const WORD_BYTES: usize = 8;

/// Decodes the string that begins at `start`: where its text is then, and the place of its closing
/// quote. The text may be put before `start`, where at least 8 bytes are of no use any more.
/// Fails with the place where the bytes cease to be a string, or with one in the last 7 bytes.
pub(super) fn decode(bytes: &mut [u8], start: usize) -> Result<(Range<usize>, usize), usize> {
    let string = bytes.get_mut(start..).unwrap_or_default();
    let stop = memchr::memchr3(b'"', b'\\', b'\n', string).unwrap_or(string.len());
    let end = start + stop;
    match string.get_mut(stop..) {
        // All that most lines hold: the line feed at their end.
        Some([escape @ b'\\', b'n', b'"', ..]) => {
            *escape = b'\n';
            Ok((start..end + 1, end + 2))
        }
        Some([b'"', ..]) => Ok((start..end, end)),
        Some([b'\\', ..]) => unescape(bytes, start, end),
        _ => Err(end),
    }
}

// The same with the place of the first escape. The text is moved so far ahead that a word can be
// written whole: it ends before the next byte to be read, from the first escape on with one byte
// between them.
fn unescape(bytes: &mut [u8], start: usize, first: usize) -> Result<(Range<usize>, usize), usize> {
    let begin = start.saturating_sub(WORD_BYTES);
    bytes.copy_within(start..first, begin);
    let (mut read, mut write) = (first, begin + first - start);
    loop {
        let word = *bytes.get(read..).and_then(<[u8]>::first_chunk).ok_or(read)?;
        let plain = plain_bytes(u64::from_le_bytes(word));
        put(bytes, write, word);
        // Adding what is known lets the next word be loaded before this one is understood.
        if plain == WORD_BYTES {
            (read, write) = (read + WORD_BYTES, write + WORD_BYTES);
            continue;
        }
        (read, write) = (read + plain, write + plain);
        match bytes.get(read..).unwrap_or_default() {
            [b'\\', b'u', digits @ ..] => {
                let (character, length) = code(digits).ok_or(read)?;
                let mut encoded = [0; 4];
                let written = character.encode_utf8(&mut encoded).len();
                put(bytes, write, encoded);
                (read, write) = (read + 2 + length, write + written);
            }
            [b'\\', letter, ..] => {
                let byte = short(*letter);
                if byte == 0 {
                    return Err(read);
                }
                put(bytes, write, [byte]);
                (read, write) = (read + 2, write + 1);
            }
            [b'"', ..] => return Ok((begin..write, read)),
            _ => return Err(read),
        }
    }
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, text: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = text;
    }
}

// How many bytes of a little-endian word come before its first quote, backslash or line feed.
fn plain_bytes(word: u64) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The lowest bit that is set marks the first byte that is zero after `^`.
    let zeros = |byte: u8| {
        let other = word ^ (ONES * u64::from(byte));
        other.wrapping_sub(ONES) & !other
    };
    let special = (zeros(b'"') | zeros(b'\\') | zeros(b'\n')) & (ONES << 7);
    special.trailing_zeros() as usize / 8
}

// What a backslash and one letter stand for; 0 for letters that mean nothing.
fn short(letter: u8) -> u8 {
    match letter {
        b'"' => b'"',
        b'\\' => b'\\',
        b'/' => b'/',
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => 0,
    }
}

// The character whose code follows `\u`, and how many bytes it takes: 4, or 10 with `\u` and the
// second half of a surrogate pair.
fn code(digits: &[u8]) -> Option<(char, usize)> {
    let first = four_digits(digits)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 4));
    }
    let second = digits.get(4..).and_then(|rest| four_digits(rest.strip_prefix(b"\\u")?));
    if let (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) = (first, second) {
        let pair = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return Some((char::from_u32(pair)?, 10));
    }
    Some((char::REPLACEMENT_CHARACTER, 4))
}

fn four_digits(digits: &[u8]) -> Option<u32> {
    let digits = digits.first_chunk::<4>()?;
    digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
}
