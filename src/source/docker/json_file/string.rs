//! The inside of a JSON string, decoded in place. Never looks beyond the string or its line.
//!
//! Control characters and bytes that are not UTF-8 stay as they are; half of a surrogate pair
//! becomes U+FFFD, as with Go.

/// Decodes the string that `bytes` begins within: the length of its text, and the place of its
/// closing quote. Fails with the place where the bytes cease to be a string.
pub(super) fn decode(bytes: &mut [u8]) -> Result<(usize, usize), usize> {
    let stop = memchr::memchr3(b'"', b'\\', b'\n', bytes).unwrap_or(bytes.len());
    match bytes.get_mut(stop..) {
        // All that most lines hold: the line feed at their end.
        Some([escape @ b'\\', b'n', b'"', ..]) => {
            *escape = b'\n';
            Ok((stop + 1, stop + 2))
        }
        Some([b'"', ..]) => Ok((stop, stop)),
        Some([b'\\', ..]) => unescape(bytes, stop),
        _ => Err(stop),
    }
}

// The same from the first escape on.
fn unescape(bytes: &mut [u8], first: usize) -> Result<(usize, usize), usize> {
    let (mut read, mut write) = (first, first);
    loop {
        (read, write) = shift_plain(bytes, read, write);
        match bytes.get(read..).unwrap_or_default() {
            [b'"', ..] => return Ok((write, read)),
            [b'\\', b'u', rest @ ..] => {
                let (character, length) = code(rest).ok_or(read)?;
                let mut encoded = [0; 4];
                for &byte in character.encode_utf8(&mut encoded).as_bytes() {
                    put(bytes, write, byte);
                    write += 1;
                }
                read += 2 + length;
            }
            [b'\\', escape, ..] => {
                let byte = short(*escape).ok_or(read)?;
                put(bytes, write, byte);
                (read, write) = (read + 2, write + 1);
            }
            _ => return Err(read),
        }
    }
}

// Moves what needs no decoding from `read` to `write`, which is not after it, up to the next
// quote, backslash or line feed.
fn shift_plain(bytes: &mut [u8], mut read: usize, mut write: usize) -> (usize, usize) {
    while let Some(word) = bytes.get(read..).and_then(<[u8]>::first_chunk::<8>).copied() {
        let plain = plain_bytes(u64::from_le_bytes(word));
        if plain < 8 {
            break;
        }
        if let Some(place) = bytes.get_mut(write..).and_then(<[u8]>::first_chunk_mut) {
            *place = word;
        }
        (read, write) = (read + 8, write + 8);
    }
    while let Some(&byte) = bytes.get(read)
        && !matches!(byte, b'"' | b'\\' | b'\n')
    {
        put(bytes, write, byte);
        (read, write) = (read + 1, write + 1);
    }
    (read, write)
}

// How many bytes of a little-endian word come before its first quote, backslash or line feed.
fn plain_bytes(word: u64) -> u32 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The lowest bit that is set marks the first byte that is zero after `^`.
    let zeros = |byte: u8| {
        let other = word ^ (ONES * u64::from(byte));
        other.wrapping_sub(ONES) & !other
    };
    let special = (zeros(b'"') | zeros(b'\\') | zeros(b'\n')) & (ONES << 7);
    special.trailing_zeros() / 8
}

fn put(bytes: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = bytes.get_mut(at) {
        *place = byte;
    }
}

fn short(escape: u8) -> Option<u8> {
    Some(match escape {
        b'"' | b'\\' | b'/' => escape,
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 0x08,
        b'f' => 0x0C,
        _ => return None,
    })
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
