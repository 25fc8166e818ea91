//! The body of an HTTP/1.1 reply, taken apart as its bytes come: in chunks, counted, or until the
//! connection ends. A state machine without I/O; never holds a byte of payload back.

/// The longest line that announces a chunk, in bytes, extensions included.
const MAX_SIZE_LINE_BYTES: u16 = 1024;
/// The most that may follow the last chunk, in bytes.
const MAX_TRAILER_BYTES: u16 = 16 * 1024;

/// Why a body cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Something else than a hexadecimal size below 2^64 where a chunk must begin.
    #[error("a chunk of the reply begins without a valid size")]
    Size,
    /// The size and its extensions are longer than 1 KiB.
    #[error("the size line of a chunk is longer than {MAX_SIZE_LINE_BYTES} bytes")]
    SizeLineTooLong,
    /// A chunk is longer than it said.
    #[error("a chunk of the reply does not end where its size says")]
    ChunkEnd,
    /// More than 16 KiB of trailers.
    #[error("the trailers of the reply are longer than {MAX_TRAILER_BYTES} bytes")]
    TrailersTooLong,
}

/// The decoder of one body. Feed it every byte after the head, in pieces of any size.
#[derive(Debug)]
pub struct Body {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the line that announces a chunk.
    Size(SizeLine),
    /// In a chunk of which `left` bytes are to come.
    Data { left: u64 },
    /// After a chunk: a line end must follow.
    DataEnd { carriage_return: bool },
    /// After the last chunk, up to an empty line. `blank` while the line is empty so far.
    Trailers { blank: bool, seen: u16 },
    /// In a body of known length of which `left` bytes are to come.
    Counted { left: u64 },
    /// In a body that only the end of the connection ends.
    UntilEnd,
    /// The whole body was seen; what follows is not part of it.
    Ended,
    /// The bytes make no sense, and no later ones will.
    Broken(BodyError),
}

impl Body {
    /// A body with `Transfer-Encoding: chunked`.
    pub fn chunked() -> Self {
        Self { state: State::Size(SizeLine::default()) }
    }

    /// A body with a `Content-Length`.
    pub fn counted(length: u64) -> Self {
        Self { state: counted(length) }
    }

    /// A body without either, and what follows a change of protocol.
    pub fn until_end() -> Self {
        Self { state: State::UntilEnd }
    }

    /// True once the peer has said that the body is complete.
    pub fn ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Takes the next bytes and hands their payload to `sink`, in as many pieces as it lies in.
    /// Returns the bytes of payload. After an error every later call returns that error.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<usize, BodyError> {
        let mut rest = bytes;
        let mut payload = 0;
        while !rest.is_empty() {
            let stepped = match self.state {
                State::Size(line) => {
                    if !line.digits {
                        rest = hand_over_whole_chunks(rest, sink, &mut payload);
                    }
                    line.push(rest)
                }
                State::Data { left } => {
                    let (left, after) = hand_over(left, rest, sink, &mut payload);
                    let ended = left == 0;
                    let state = if ended {
                        State::DataEnd { carriage_return: false }
                    } else {
                        State::Data { left }
                    };
                    Ok((state, after))
                }
                State::DataEnd { carriage_return } => data_end(carriage_return, rest),
                State::Trailers { blank, seen } => trailers(blank, seen, rest),
                State::Counted { left } => {
                    let (left, after) = hand_over(left, rest, sink, &mut payload);
                    Ok((counted(left), after))
                }
                State::UntilEnd => {
                    sink(rest);
                    return Ok(payload + rest.len());
                }
                State::Ended => return Ok(payload),
                State::Broken(error) => return Err(error),
            };
            match stepped {
                Ok((state, after)) => (self.state, rest) = (state, after),
                Err(error) => {
                    self.state = State::Broken(error);
                    return Err(error);
                }
            }
        }
        Ok(payload)
    }
}

type Step<'a> = Result<(State, &'a [u8]), BodyError>;

fn counted(left: u64) -> State {
    if left == 0 { State::Ended } else { State::Counted { left } }
}

/// Gives `sink` up to `left` of `bytes`; returns what is left of both.
fn hand_over<'a>(
    left: u64,
    bytes: &'a [u8],
    sink: &mut impl FnMut(&[u8]),
    payload: &mut usize,
) -> (u64, &'a [u8]) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (data, after) = bytes.split_at(taken);
    sink(data);
    *payload += taken;
    (left - taken as u64, after)
}

/// Gives `sink` the chunks that lie in `bytes` from end to end; returns what comes after them. The
/// engine writes every record as one chunk, so most of a busy log is read here.
fn hand_over_whole_chunks<'a>(
    mut bytes: &'a [u8],
    sink: &mut impl FnMut(&[u8]),
    payload: &mut usize,
) -> &'a [u8] {
    while let Some((data, after)) = whole_chunk(bytes) {
        sink(data);
        *payload += data.len();
        bytes = after;
    }
    bytes
}

// A chunk of less than 64 KiB without extensions, and what comes after it.
fn whole_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const DIGITS: usize = 4;
    let (mut size, mut rest) = (0, bytes);
    for _ in 0..DIGITS {
        let [byte, after @ ..] = rest else {
            return None;
        };
        let Some(digit) = char::from(*byte).to_digit(16) else {
            break;
        };
        (size, rest) = (size << 4 | digit, after);
    }
    let data = rest.strip_prefix(b"\r\n").filter(|_| size > 0)?;
    let (data, after) = data.split_at_checked(size as usize)?;
    Some((data, after.strip_prefix(b"\r\n")?))
}

fn data_end(carriage_return: bool, bytes: &[u8]) -> Step<'_> {
    let next = State::Size(SizeLine::default());
    match (carriage_return, bytes) {
        (false, [b'\r', b'\n', after @ ..]) | (true, [b'\n', after @ ..]) => Ok((next, after)),
        (false, [b'\r']) => Ok((State::DataEnd { carriage_return: true }, &[])),
        _ => Err(BodyError::ChunkEnd),
    }
}

fn trailers(mut blank: bool, mut seen: u16, bytes: &[u8]) -> Step<'_> {
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = after;
        seen += 1;
        match byte {
            b'\n' if blank => return Ok((State::Ended, rest)),
            b'\n' => blank = true,
            b'\r' => {}
            _ => blank = false,
        }
        if seen >= MAX_TRAILER_BYTES {
            return Err(BodyError::TrailersTooLong);
        }
    }
    Ok((State::Trailers { blank, seen }, rest))
}

/// What was read of the line that announces a chunk.
#[derive(Debug, Clone, Copy, Default)]
struct SizeLine {
    size: u64,
    digits: bool,
    /// After the digits: extensions, which mean nothing to us, and the carriage return.
    past_digits: bool,
    seen: u16,
}

impl SizeLine {
    fn push(mut self, bytes: &[u8]) -> Step<'_> {
        let mut rest = bytes;
        while let [byte, after @ ..] = rest {
            rest = after;
            match byte {
                b'\n' if self.past_digits => return Ok((self.announced(), rest)),
                _ if self.past_digits => {}
                b'\r' | b';' | b' ' | b'\t' if self.digits => self.past_digits = true,
                _ => {
                    let digit = char::from(*byte).to_digit(16).ok_or(BodyError::Size)?;
                    let shifted = self.size.checked_mul(16).ok_or(BodyError::Size)?;
                    self.size = shifted | u64::from(digit);
                    self.digits = true;
                }
            }
            self.seen += 1;
            if self.seen >= MAX_SIZE_LINE_BYTES {
                return Err(BodyError::SizeLineTooLong);
            }
        }
        Ok((State::Size(self), rest))
    }

    fn announced(self) -> State {
        if self.size == 0 {
            State::Trailers { blank: true, seen: 0 }
        } else {
            State::Data { left: self.size }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(body: &mut Body, pieces: &[&[u8]]) -> Result<Vec<u8>, BodyError> {
        let mut payload = Vec::new();
        let mut counted = 0;
        for piece in pieces {
            counted += body.push(piece, &mut |data| payload.extend_from_slice(data))?;
        }
        assert_eq!(counted, payload.len());
        Ok(payload)
    }

    fn cut<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle().take(bytes.len()) {
            let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces.push(bytes);
        pieces
    }

    #[test]
    fn extensions_and_trailers_are_skipped() {
        let mut body = Body::chunked();
        let wire =
            b"3;name=\"x\"\r\nabc\r\n00A \r\n0123456789\r\n0\r\nDate: x\r\nb: c\r\n\r\nHTTP/1.1";
        for size in 1..wire.len() {
            body = Body::chunked();
            let payload = decode(&mut body, &cut(wire, &[size])).unwrap();
            assert_eq!(payload, b"abc0123456789");
            assert!(body.ended());
        }
        assert_eq!(decode(&mut body, &[b"more"]), Ok(vec![]), "what follows is not the body");
    }

    #[test]
    fn a_body_is_not_ended_before_its_last_byte() {
        let wire = b"1\r\na\r\n0\r\n\r\n";
        let (most, last) = wire.split_at(wire.len() - 1);
        let mut body = Body::chunked();
        decode(&mut body, &[most]).unwrap();
        assert!(!body.ended());
        decode(&mut body, &[last]).unwrap();
        assert!(body.ended());
    }

    #[test]
    fn a_counted_body_ends_at_its_length() {
        let mut body = Body::counted(5);
        assert_eq!(decode(&mut body, &[b"ab", b"cd"]).unwrap(), b"abcd");
        assert!(!body.ended());
        assert_eq!(decode(&mut body, &[b"efg"]).unwrap(), b"e");
        assert!(body.ended());
        assert!(Body::counted(0).ended());
    }

    #[test]
    fn nonsense_is_refused_for_good() {
        for (wire, error) in [
            (&b"x"[..], BodyError::Size),
            (b"\r\n", BodyError::Size),
            (b";a\r\n", BodyError::Size),
            (b"10000000000000000\r\n", BodyError::Size),
            (b"1\nab", BodyError::Size),
            (b"1\r\nab", BodyError::ChunkEnd),
            (b"1\r\na\rb", BodyError::ChunkEnd),
            (b"1\r\na\n", BodyError::ChunkEnd),
        ] {
            for size in 1..=wire.len() {
                let mut body = Body::chunked();
                assert_eq!(decode(&mut body, &cut(wire, &[size])), Err(error), "{wire:?}");
                assert_eq!(decode(&mut body, &[b"1\r\na\r\n"]), Err(error), "stays broken");
            }
        }
    }

    #[test]
    fn endless_lines_are_refused() {
        let mut body = Body::chunked();
        assert_eq!(decode(&mut body, &[&[b'0'; 2000]]), Err(BodyError::SizeLineTooLong));
        let mut body = Body::chunked();
        let extension = [b"1;", &[b'x'; 2000][..]].concat();
        assert_eq!(decode(&mut body, &[&extension]), Err(BodyError::SizeLineTooLong));
        let mut body = Body::chunked();
        let trailer = [b"0\r\n", &*vec![b'x'; 20_000]].concat();
        assert_eq!(decode(&mut body, &[&trailer]), Err(BodyError::TrailersTooLong));
    }

    proptest! {
        #[test]
        fn chunks_come_out_as_they_went_in_however_they_are_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..20),
            sizes in proptest::collection::vec(1_usize..40, 1..20),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let mut body = Body::chunked();
            let payload = decode(&mut body, &cut(&wire, &sizes)).unwrap();
            prop_assert_eq!(payload, chunks.concat());
            prop_assert!(body.ended());
            prop_assert_eq!(decode(&mut Body::chunked(), &[&wire]), Ok(chunks.concat()));
        }

        #[test]
        fn garbage_gives_the_same_answer_however_it_is_cut(
            wire in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'0'), any::<u8>()], 0..200),
            sizes in proptest::collection::vec(1_usize..10, 1..10),
        ) {
            let whole = decode(&mut Body::chunked(), &[&wire]);
            let pieces = decode(&mut Body::chunked(), &cut(&wire, &sizes));
            prop_assert_eq!(whole, pieces);
        }
    }
}
