//! RELP frames as bytes: `TXNR SP COMMAND SP DATALEN [SP DATA] LF`. Never waits.

use std::io::Write;

/// The highest transaction number; the next one is 1. 0 is for hints, which nobody answers.
pub(super) const LAST_TXNR: u32 = 999_999_999;

/// Most digits of a number in a header.
const DIGITS: usize = 9;

/// Most letters of a command.
const COMMAND_BYTES: usize = 32;

/// Most data in a frame of a server. The longest there should be are offers, some hundred bytes.
pub(super) const DATA_LIMIT_BYTES: usize = 8 * 1024;

/// Most bytes of what is not RELP that an error shows.
const SHOWN_BYTES: usize = 40;

/// A frame from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The transaction it belongs to.
    pub(super) txnr: u32,
    /// `rsp`, or the name of a hint.
    pub(super) command: &'a [u8],
    /// What comes with it.
    pub(super) data: &'a [u8],
}

/// The transaction number after `txnr`.
pub(super) fn next(txnr: u32) -> u32 {
    if txnr >= LAST_TXNR { 1 } else { txnr + 1 }
}

/// Appends a frame to `out`.
pub(super) fn write(out: &mut Vec<u8>, txnr: u32, command: &str, data: &[u8]) {
    out.reserve(data.len() + command.len() + 2 * DIGITS + 4);
    // Writing to memory does not fail.
    write!(out, "{txnr} {command} {}", data.len()).unwrap_or_default();
    if !data.is_empty() {
        out.push(b' ');
        out.extend_from_slice(data);
    }
    out.push(b'\n');
}

/// The first frame in `bytes` and how long it is; `None` if more bytes must come. An error says
/// what is wrong.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    read(bytes).map_err(|what| {
        let start = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
        format!("{what} in '{}'", start.escape_ascii())
    })
}

fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    let Some((txnr, after)) = number(bytes, 0)? else { return Ok(None) };
    if !skip(bytes, after, b' ')? {
        return Ok(None);
    }
    let name = bytes.get(after + 1..).unwrap_or_default();
    let letters = name.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    if letters > COMMAND_BYTES {
        return Err(format!("a command has more than {COMMAND_BYTES} letters"));
    }
    let after = after + 1 + letters;
    if !skip(bytes, after, b' ')? {
        return Ok(None);
    }
    let command = name.get(..letters).filter(|name| !name.is_empty()).ok_or("no command")?;
    let Some((length, after)) = number(bytes, after + 1)? else { return Ok(None) };
    let length = length as usize;
    if length > DATA_LIMIT_BYTES {
        return Err(format!("{length} bytes, more than {DATA_LIMIT_BYTES},"));
    }
    let (start, end) = match length {
        0 => (after, after),
        _ if !skip(bytes, after, b' ')? => return Ok(None),
        _ => (after + 1, after + 1 + length),
    };
    if !skip(bytes, end, b'\n')? {
        return Ok(None);
    }
    let data = bytes.get(start..end).unwrap_or_default();
    Ok(Some((Frame { txnr, command, data }, end + 1)))
}

/// The number at `at` and where it ends; `None` if it may go on.
fn number(bytes: &[u8], at: usize) -> Result<Option<(u32, usize)>, String> {
    let rest = bytes.get(at..).unwrap_or_default();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > DIGITS {
        return Err(format!("a number has more than {DIGITS} digits"));
    }
    if digits == rest.len() {
        return Ok(None);
    }
    let text = rest.get(..digits).and_then(|text| std::str::from_utf8(text).ok());
    let number = text.and_then(|text| text.parse().ok()).ok_or("no number")?;
    Ok(Some((number, at + digits)))
}

/// Whether `byte` stands at `at`; false if that place has not come yet.
fn skip(bytes: &[u8], at: usize, byte: u8) -> Result<bool, String> {
    match bytes.get(at) {
        None => Ok(false),
        Some(found) if *found == byte => Ok(true),
        Some(_) => Err("a wrong delimiter".into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_written_as_the_specification_shows_them() {
        let mut out = Vec::new();
        write(&mut out, 1, "open", b"relp_version=0");
        write(&mut out, LAST_TXNR, "syslog", b"a\nb");
        write(&mut out, next(LAST_TXNR), "close", b"");
        assert_eq!(out, b"1 open 14 relp_version=0\n999999999 syslog 3 a\nb\n1 close 0\n");
    }

    #[test]
    fn what_a_server_says_is_read() {
        for (bytes, txnr, command, data) in [
            ("1 rsp 6 200 OK\n", 1, "rsp", "200 OK"),
            ("0 serverclose 0\n", 0, "serverclose", ""),
            ("999999999 rsp 1 \n\n", LAST_TXNR, "rsp", "\n"),
        ] {
            let frame = Frame { txnr, command: command.as_bytes(), data: data.as_bytes() };
            let more = format!("{bytes}2 r");
            assert_eq!(first(more.as_bytes()), Ok(Some((frame, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(first(&bytes.as_bytes()[..cut]), Ok(None), "{bytes:?} {cut}");
            }
        }
    }

    #[test]
    fn what_is_not_relp_is_refused_as_soon_as_it_shows() {
        let long = format!("1 {}", "a".repeat(33));
        for bytes in [
            "HTTP/1.1 400 Bad Request",
            "\x15\x03\x03",
            "\n",
            " ",
            "-1",
            "1234567890",
            "1\n",
            "1  ",
            "1 rsp\n",
            "1 2 ",
            &long,
            "1 rsp x",
            "1 rsp 1234567890",
            "1 rsp 8193 ",
            "1 rsp 0 ",
            "1 rsp 0x",
            "1 rsp 2\n",
            "1 rsp 2 abc",
        ] {
            assert!(first(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        let why = first(b"220 mail.example.com ESMTP\r\n").unwrap_err();
        assert!(why.contains("220 mail.example.com"), "{why}");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            first(&bytes).ok();
        }

        #[test]
        fn what_is_written_is_read_and_nothing_waits_for_ever(
            txnr in 0..=LAST_TXNR,
            command in "[a-zA-Z]{1,32}",
            data in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut out = Vec::new();
            write(&mut out, txnr, &command, &data);
            let frame = Frame { txnr, command: command.as_bytes(), data: &data };
            prop_assert_eq!(first(&out), Ok(Some((frame, out.len()))));
            for cut in 0..out.len() {
                prop_assert_eq!(first(&out[..cut]), Ok(None));
            }
        }
    }
}
