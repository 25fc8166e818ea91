//! Frames of a WebSocket (RFC 6455, section 5), as a server writes and reads them: bytes in, frames
//! out. Never holds more of a client's than one frame of the longest that is taken.

/// Longest payload of a client's frame, in bytes: nothing that a client says matters here.
const MOST_PAYLOAD_BYTES: u64 = 4096;
/// Longest payload of a control frame (RFC 6455, section 5.5).
const MOST_CONTROL_BYTES: u64 = 125;

/// Codes of a goodbye (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const TOO_BIG: u16 = 1009;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::admin) enum Heard {
    /// It wants this back.
    Ping(Vec<u8>),
    /// It goes; to be answered with the same code.
    Close(u16),
    /// A message or an answer that nobody has asked for.
    Other,
}

/// A client's bytes on their way to frames.
#[derive(Debug, Default)]
pub(in crate::admin) struct Incoming {
    bytes: Vec<u8>,
    /// A message has begun and not ended.
    is_open: bool,
}

/// Appends a message.
pub(in crate::admin) fn text(payload: &[u8], out: &mut Vec<u8>) {
    write(TEXT, payload, out);
}

/// Appends the answer to a ping.
pub(in crate::admin) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    write(PONG, payload, out);
}

/// Appends a goodbye.
pub(in crate::admin) fn close(code: u16, out: &mut Vec<u8>) {
    write(CLOSE, &code.to_be_bytes(), out);
}

fn write(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

impl Incoming {
    /// Takes bytes as they come. Take all frames out before more.
    pub(in crate::admin) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, or the code to close with.
    pub(in crate::admin) fn next(&mut self) -> Result<Option<Heard>, u16> {
        let Some((head, header_bytes, length)) = self.header()? else { return Ok(None) };
        let whole = header_bytes + 4 + length;
        let Some(frame) = self.bytes.get(header_bytes..whole) else { return Ok(None) };
        let (mask, payload) = frame.split_at_checked(4).unwrap_or_default();
        let payload: Vec<u8> =
            payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.bytes.drain(..whole);
        self.heard(head, payload).map(Some)
    }

    /// First byte, length of the header without the mask, length of the payload.
    fn header(&self) -> Result<Option<(u8, usize, usize)>, u16> {
        let [head, second, rest @ ..] = self.bytes.as_slice() else { return Ok(None) };
        // No extension was agreed on, and a client masks all it sends (section 5.1).
        if head & 0x70 != 0 || second & 0x80 == 0 {
            return Err(PROTOCOL_ERROR);
        }
        let (bytes, length) = match (second & 0x7F, rest) {
            (126, rest) => match rest.first_chunk() {
                Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            (127, rest) => match rest.first_chunk() {
                Some(length) => (10, u64::from_be_bytes(*length)),
                None => return Ok(None),
            },
            (length, _) => (2, u64::from(length)),
        };
        if head & 0x08 != 0 && (length > MOST_CONTROL_BYTES || head & 0x80 == 0) {
            return Err(PROTOCOL_ERROR);
        }
        if length > MOST_PAYLOAD_BYTES {
            return Err(TOO_BIG);
        }
        let length = usize::try_from(length).map_err(|_| TOO_BIG)?;
        Ok(Some((*head, bytes, length)))
    }

    fn heard(&mut self, head: u8, payload: Vec<u8>) -> Result<Heard, u16> {
        let is_last = head & 0x80 != 0;
        match head & 0x0F {
            TEXT | BINARY if !self.is_open => self.is_open = !is_last,
            CONTINUATION if self.is_open => self.is_open = !is_last,
            PING => return Ok(Heard::Ping(payload)),
            PONG => {}
            CLOSE => return close_code(&payload).map(Heard::Close),
            _ => return Err(PROTOCOL_ERROR),
        }
        Ok(Heard::Other)
    }
}

fn close_code(payload: &[u8]) -> Result<u16, u16> {
    match payload {
        [] => Ok(NORMAL),
        [high, low, ..] => match u16::from_be_bytes([*high, *low]) {
            // 1004 to 1006 are never sent (section 7.4).
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(code),
            _ => Err(PROTOCOL_ERROR),
        },
        [_] => Err(PROTOCOL_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(head: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![head];
        if let Ok(length @ 0..126) = u8::try_from(payload.len()) {
            bytes.push(0x80 | length);
        } else {
            bytes.push(0xFE);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn heard(bytes: &[u8]) -> Result<Option<Heard>, u16> {
        let mut incoming = Incoming::default();
        incoming.push(bytes);
        incoming.next()
    }

    #[test]
    fn frames_are_those_of_the_rfc() {
        // RFC 6455, section 5.7: unmasked text, pong with "Hello"; 256 and 65,536 bytes.
        let mut out = Vec::new();
        text(b"Hello", &mut out);
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        let head = |payload: &[u8]| {
            let mut out = Vec::new();
            text(payload, &mut out);
            out.truncate(out.len() - payload.len());
            out
        };
        assert_eq!(head(&[0; 125]), [0x81, 125]);
        assert_eq!(head(&[0; 256]), [0x81, 0x7E, 0x01, 0x00]);
        assert_eq!(head(&vec![0; 65_536]), [0x81, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
        let ping = [0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(heard(&ping), Ok(Some(Heard::Ping(b"Hello".to_vec()))));
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(heard(&hello), Ok(Some(Heard::Other)));
    }

    #[test]
    fn what_no_client_may_send_closes_with_the_code_for_it() {
        for (what, bytes, code) in [
            ("not masked", vec![0x81, 0x01, b'a'], PROTOCOL_ERROR),
            ("a reserved bit", masked(0xC1, b""), PROTOCOL_ERROR),
            ("an unknown opcode", masked(0x83, b""), PROTOCOL_ERROR),
            ("a continuation of nothing", masked(0x80, b""), PROTOCOL_ERROR),
            ("a ping in parts", masked(0x09, b""), PROTOCOL_ERROR),
            ("a long ping", masked(0x89, &[0; 126]), PROTOCOL_ERROR),
            ("half a code", masked(0x88, &[3]), PROTOCOL_ERROR),
            ("a code that is never sent", masked(0x88, &1005_u16.to_be_bytes()), PROTOCOL_ERROR),
            ("a long message", masked(0x82, &[0; 4097]), TOO_BIG),
            ("a message without end", vec![0x82, 0xFF, 255, 255, 255, 255, 0, 0, 0, 0], TOO_BIG),
        ] {
            assert_eq!(heard(&bytes), Err(code), "{what}");
        }
        assert_eq!(heard(&masked(0x88, b"")), Ok(Some(Heard::Close(NORMAL))));
        assert_eq!(heard(&masked(0x88, &[0x03, 0xE9, b'x'])), Ok(Some(Heard::Close(1001))));
        assert_eq!(heard(&masked(0x82, &[0; 4096])), Ok(Some(Heard::Other)));
    }

    #[test]
    fn a_message_may_come_in_parts_with_a_ping_between_and_byte_by_byte() {
        let bytes = [masked(0x01, b"a"), masked(0x89, b"p"), masked(0x80, b"b"), masked(0x8A, b"")]
            .concat();
        let mut incoming = Incoming::default();
        let mut heard = Vec::new();
        for byte in bytes {
            incoming.push(&[byte]);
            heard.extend(incoming.next().unwrap());
        }
        assert_eq!(heard, [Heard::Other, Heard::Ping(b"p".to_vec()), Heard::Other, Heard::Other]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut incoming = Incoming::default();
            incoming.push(&bytes);
            let frames = std::iter::from_fn(|| incoming.next().ok().flatten()).count();
            prop_assert!(frames <= bytes.len() / 6);
        }
    }
}
