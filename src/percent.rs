//! Percent-encoding (RFC 3986, section 2.1), leniently: a '%' that begins no code stays as it is.
//! Never used where a wrong code must be refused.

/// The bytes that a text stands for.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let digit = |digit: &u8| char::from(*digit).to_digit(16);
        let code = match behind {
            [high, low, ..] if byte == b'%' => digit(high).zip(digit(low)),
            _ => None,
        };
        let code = code.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        if code.is_some() {
            rest = behind.get(2..).unwrap_or_default();
        }
        bytes.push(code.unwrap_or(byte));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_bytes_and_all_else_stays() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("a%2Ab%2a", b"a*b*"),
            ("%ff%00", b"\xff\0"),
            ("100%", b"100%"),
            ("%z%2", b"%z%2"),
            ("%%41+", b"%A+"),
        ] {
            assert_eq!(decoded(text), bytes, "{text}");
        }
    }
}
