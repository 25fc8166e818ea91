//! The body of a log stream to records: bytes in, records out, whatever the reads cut it into.
//! Never waits, never buffers more than one record.
//!
//! Every record starts with a stamp (the stream is always asked for with `timestamps=1`), so the
//! first byte tells the two forms apart for certain: a multiplexed stream starts with a header
//! byte of 0 to 3, a terminal's with the digit of a year.

use crate::record::{StampReader, Stream, Timestamp};

/// `2026-11-22T22:40:06.063720431Z `: RFC 3339 with nine digits, then a space.
const STAMP_BYTES: usize = 31;
/// The same with an offset in the place of the `Z`: the longest that Podman writes.
const LONGEST_STAMP_BYTES: usize = 36;
/// `[stream, 0, 0, 0, length as u32 big-endian]` (pkg/stdcopy).
const HEADER_BYTES: usize = 8;
/// Where the engine cuts a record of a terminal (`defaultBufSize`).
const TTY_RECORD_BYTES: usize = 16 * 1024;
/// A record that claims to be longer is not one: drivers cut at 16 KiB, awslogs' cache at
/// 262,118 bytes, and no entry of the `local` format exceeds 1,000,000.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// What a stream is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded<'a> {
    /// A record.
    Record {
        /// Where it was printed.
        stream: Stream,
        /// Docker's stamp.
        time: Timestamp,
        /// The text with its line feed, if it has one.
        text: &'a [u8],
        /// It comes from a terminal, which ends lines with CR LF.
        terminal: bool,
    },
    /// The engine says within the stream why it ends it (stream type 3).
    EngineError(&'a [u8]),
    /// A record without a readable stamp: it is passed over.
    Garbled(usize),
}

/// The stream cannot be understood from here on; open it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Desynchronised;

/// A decoder for one stream.
#[derive(Debug, Default)]
pub(super) struct Frames {
    form: Form,
    /// The beginning of a record whose end has not come yet.
    partial: Vec<u8>,
    stamps: StampReader,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Form {
    #[default]
    Unknown,
    Multiplexed,
    Terminal,
}

impl Frames {
    /// Takes what was read and gives out the records that are complete.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(Decoded<'_>),
    ) -> Result<(), Desynchronised> {
        if self.form == Form::Unknown
            && let Some(first) = bytes.first()
        {
            self.form = match *first {
                0..=3 => Form::Multiplexed,
                b'0'..=b'9' => Form::Terminal,
                _ => return Err(Desynchronised),
            };
        }
        let mut rest = bytes;
        while !self.partial.is_empty() && !rest.is_empty() {
            rest = self.complete_partial(rest, &mut sink)?;
        }
        while let Some(length) = self.record_length(rest)? {
            let (record, tail) = rest.split_at(length);
            self.record(record, &mut sink);
            rest = tail;
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// The stream has ended: a terminal's last record may lack its line feed.
    pub(super) fn finish(&mut self, sink: impl FnMut(Decoded<'_>)) {
        let partial = std::mem::take(&mut self.partial);
        if self.form == Form::Terminal && partial.len() > STAMP_BYTES {
            self.record(&partial, sink);
        }
    }

    // Fills the partial record up to its end, or as far as `bytes` goes; returns what is left.
    fn complete_partial<'a>(
        &mut self,
        bytes: &'a [u8],
        sink: &mut impl FnMut(Decoded<'_>),
    ) -> Result<&'a [u8], Desynchronised> {
        let missing = match self.form {
            Form::Multiplexed if self.partial.len() < HEADER_BYTES => {
                HEADER_BYTES - self.partial.len()
            }
            Form::Multiplexed => payload_length(&self.partial)? + HEADER_BYTES - self.partial.len(),
            _ => {
                let whole = STAMP_BYTES + TTY_RECORD_BYTES - self.partial.len();
                let searched = STAMP_BYTES.saturating_sub(self.partial.len());
                let tail = bytes.get(searched..).unwrap_or_default();
                memchr::memchr(b'\n', tail).map_or(whole, |at| whole.min(searched + at + 1))
            }
        };
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        self.partial.extend_from_slice(taken);
        if self.record_length(&self.partial)? == Some(self.partial.len()) {
            let mut record = std::mem::take(&mut self.partial);
            self.record(&record, sink);
            record.clear();
            self.partial = record;
        }
        Ok(rest)
    }

    // The length of the record that `bytes` starts with, if all of it is there.
    fn record_length(&self, bytes: &[u8]) -> Result<Option<usize>, Desynchronised> {
        let length = if self.form == Form::Multiplexed {
            if bytes.len() < HEADER_BYTES {
                return Ok(None);
            }
            HEADER_BYTES + payload_length(bytes)?
        } else {
            let text = bytes.get(STAMP_BYTES..).unwrap_or_default();
            let text = text.get(..TTY_RECORD_BYTES).unwrap_or(text);
            match memchr::memchr(b'\n', text) {
                Some(at) => STAMP_BYTES + at + 1,
                None => STAMP_BYTES + TTY_RECORD_BYTES,
            }
        };
        Ok((bytes.len() >= length).then_some(length))
    }

    fn record(&mut self, record: &[u8], mut sink: impl FnMut(Decoded<'_>)) {
        let (stream, payload) = match (self.form, record) {
            (Form::Multiplexed, [3, _, _, _, _, _, _, _, text @ ..]) => {
                sink(Decoded::EngineError(text));
                return;
            }
            (Form::Multiplexed, [2, _, _, _, _, _, _, _, payload @ ..]) => {
                (Stream::Stderr, payload)
            }
            (Form::Multiplexed, [_, _, _, _, _, _, _, _, payload @ ..]) => {
                (Stream::Stdout, payload)
            }
            (_, payload) => (Stream::Stdout, payload),
        };
        sink(match self.stamped(payload) {
            Some((time, text)) => {
                let terminal = self.form == Form::Terminal;
                Decoded::Record { stream, time, text, terminal }
            }
            None => Decoded::Garbled(record.len()),
        });
    }

    fn stamped<'a>(&mut self, payload: &'a [u8]) -> Option<(Timestamp, &'a [u8])> {
        let fixed = payload.split_at_checked(STAMP_BYTES).and_then(|(stamp, text)| {
            let time = self.stamps.parse(stamp.strip_suffix(b" ")?)?;
            Some((time, text))
        });
        if fixed.is_some() || self.form == Form::Terminal {
            return fixed;
        }
        // Podman up to 4 writes whole seconds, and all of them the host's zone.
        let start = payload.get(..LONGEST_STAMP_BYTES).unwrap_or(payload);
        let (stamp, text) = payload.split_at_checked(memchr::memchr(b' ', start)?)?;
        Some((Timestamp::parse_zoned(stamp)?, text.get(1..)?))
    }
}

fn payload_length(header: &[u8]) -> Result<usize, Desynchronised> {
    match *header {
        [0..=3, 0, 0, 0, a, b, c, d, ..] => {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if length <= MAX_RECORD_BYTES { Ok(length) } else { Err(Desynchronised) }
        }
        _ => Err(Desynchronised),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: &str = "2026-11-22T22:40:06.063720431Z ";

    fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn stamped(text: &[u8]) -> Vec<u8> {
        [STAMP.as_bytes(), text].concat()
    }

    fn decode(cuts: &[&[u8]]) -> Result<Vec<String>, Desynchronised> {
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        let mut note = |decoded: Decoded<'_>| {
            seen.push(match decoded {
                Decoded::Record { stream, text, .. } => {
                    format!("{} {}", stream.name(), text.escape_ascii())
                }
                Decoded::EngineError(text) => format!("error {}", text.escape_ascii()),
                Decoded::Garbled(bytes) => format!("garbled {bytes}"),
            });
        };
        for cut in cuts {
            frames.push(cut, &mut note)?;
        }
        frames.finish(note);
        Ok(seen)
    }

    #[test]
    fn records_of_both_streams_and_the_engines_own_word_are_told_apart() {
        let body = [
            frame(1, &stamped(b"out\n")),
            frame(2, &stamped(b"err")),
            frame(1, &stamped(b"")),
            frame(1, b"no stamp\n"),
            frame(1, b"2026-11-22T22:40:06Z whole second\n"),
            frame(1, b"2026-11-23T00:40:06.063720431+02:00 zone\n"),
            frame(3, b"Error grabbing logs: EOF\n"),
        ]
        .concat();
        let wanted = [
            r"stdout out\n",
            "stderr err",
            "stdout ",
            "garbled 17",
            r"stdout whole second\n",
            r"stdout zone\n",
            r"error Error grabbing logs: EOF\n",
        ];
        assert_eq!(decode(&[&body]).unwrap(), wanted);
    }

    #[test]
    fn a_terminals_stream_is_cut_at_line_feeds_and_after_16_kib() {
        let long = "x".repeat(TTY_RECORD_BYTES);
        let body = format!("{STAMP}a\r\n{STAMP}{long}{STAMP}y\r\n{STAMP}prompt> ");
        let seen = decode(&[body.as_bytes()]).unwrap();
        assert_eq!(seen[0], r"stdout a\r\n");
        assert_eq!(seen[1].len(), "stdout ".len() + TTY_RECORD_BYTES);
        assert_eq!(seen[2..], [r"stdout y\r\n".to_owned(), "stdout prompt> ".to_owned()]);
    }

    #[test]
    fn a_wrong_header_or_an_absurd_length_ends_the_stream() {
        let mut wrong = frame(1, &stamped(b"a\n"));
        wrong.extend([9, 9, 9, 9, 0, 0, 0, 1, b'x']);
        assert_eq!(decode(&[&wrong]), Err(Desynchronised));
        assert_eq!(decode(&[&[1, 0, 0, 0, 0xff, 0, 0, 0]]), Err(Desynchronised));
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        let text = prop::collection::vec(any::<u8>(), 0..60);
        let multiplexed = prop::collection::vec((1..=2_u8, text), 1..12).prop_map(|records| {
            records.iter().flat_map(|(stream, text)| frame(*stream, &stamped(text))).collect()
        });
        let line = prop_oneof![0..60_usize, TTY_RECORD_BYTES - 2..TTY_RECORD_BYTES + 3];
        let terminal = prop::collection::vec(line, 1..5).prop_map(|lines| {
            let record = |bytes: usize| [STAMP.as_bytes(), &vec![b'x'; bytes], b"\n"].concat();
            lines.into_iter().filter(|bytes| *bytes < TTY_RECORD_BYTES).flat_map(record).collect()
        });
        prop_oneof![multiplexed, terminal]
    }

    proptest! {
        #[test]
        fn where_the_reads_cut_it_makes_no_difference(
            body in body(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            places.extend([0, body.len()]);
            places.sort_unstable();
            let parts: Vec<&[u8]> = places.windows(2).map(|w| &body[w[0]..w[1]]).collect();
            let whole = decode(&[&body]);
            prop_assert!(whole.is_ok());
            prop_assert_eq!(decode(&parts), whole.clone());
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            prop_assert_eq!(decode(&bytes), whole);
        }

        #[test]
        fn any_bytes_at_all_end_in_records_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(decode(&[&bytes]));
        }
    }
}
