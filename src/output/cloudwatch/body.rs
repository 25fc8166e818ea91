//! A batch as the body of a `PutLogEvents` call: JSON, compressed, and some of its events again.
//! Never looks at what an event says.

use std::io::{Read, Write};
use std::ops::Range;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::json::escape;
use crate::store::{Batch, Event, Sealed, SealedEvent, StreamName};

/// What a body ends with behind its last event.
const END: &[u8] = b"]}";

/// What an event takes beside its text, in bytes: braces, keys, a time of 13 digits, a comma.
const EVENT_BYTES: usize = 42;

/// The events of a batch, in its order.
pub(super) fn seal(name: &StreamName, batch: &Batch, gzip: bool) -> Sealed {
    let text: usize = batch.events().map(|(_, text)| text.len()).sum();
    let mut json = Vec::with_capacity(text + text / 8 + batch.events().len() * EVENT_BYTES + 2048);
    push_head(name, &mut json);
    let mut events = Vec::with_capacity(batch.events().len());
    let mut digits = Decimal::default();
    for (event, text) in batch.events() {
        json.extend_from_slice(if events.is_empty() { b"{" } else { b",{" });
        json.extend_from_slice(b"\"timestamp\":");
        json.extend_from_slice(digits.digits(event.time));
        json.extend_from_slice(b",\"message\":\"");
        escape(text, &mut json);
        json.extend_from_slice(b"\"}");
        let (end, text_bytes) = (short(json.len()), short(text.len()));
        let Event { time, ends_line, .. } = event;
        events.push(SealedEvent { time, end, text_bytes, ends_line });
    }
    json.extend_from_slice(END);
    packed(json, gzip, events)
}

/// Some of the events of a sealed batch. `gzip` says how they are to go.
pub(super) fn cut(sealed: &Sealed, wanted: Range<usize>, gzip: bool) -> Sealed {
    let json = plain(sealed);
    let end_of = |event: usize| sealed.events.get(event).map_or(0, |event| event.end as usize);
    // The body begins with names, and its first event behind the first '['.
    let head = memchr::memchr(b'[', &json).map_or(0, |at| at + 1);
    let names = json.get(..head).unwrap_or_default();
    // Behind the comma.
    let start = wanted.start.checked_sub(1).map_or(head, |before| end_of(before) + 1);
    let end = wanted.end.checked_sub(1).map_or(head, end_of);
    let mut piece = Vec::with_capacity(head + end.saturating_sub(start) + END.len());
    piece.extend_from_slice(names);
    piece.extend_from_slice(json.get(start..end).unwrap_or_default());
    piece.extend_from_slice(END);
    let moved = short(start.saturating_sub(head));
    let events = sealed.events.get(wanted).unwrap_or_default();
    let events = events
        .iter()
        .map(|event| SealedEvent { end: event.end.saturating_sub(moved), ..*event })
        .collect();
    packed(piece, gzip, events)
}

/// The body before it was compressed.
pub(super) fn plain(sealed: &Sealed) -> Bytes {
    if !sealed.gzip {
        return sealed.body.clone();
    }
    let mut json = Vec::new();
    // It was made here: what does not unpack is a bug, and an empty piece is refused loudly.
    if GzDecoder::new(&*sealed.body).read_to_end(&mut json).is_err() {
        json.clear();
    }
    json.into()
}

fn packed(json: Vec<u8>, gzip: bool, events: Vec<SealedEvent>) -> Sealed {
    if gzip {
        let room = Vec::with_capacity(json.len() / 3 + 64);
        let mut encoder = GzEncoder::new(room, Compression::fast());
        // Writing to memory does not fail; if it did, the body would go as it is.
        if let Ok(body) = encoder.write_all(&json).and_then(|()| encoder.finish()) {
            let body = body.into_boxed_slice().into();
            return Sealed { body, gzip: true, events };
        }
    }
    Sealed { body: json.into_boxed_slice().into(), gzip: false, events }
}

// Names hold no '[': groups cannot, and in streams it is escaped.
fn push_head(name: &StreamName, json: &mut Vec<u8>) {
    for (key, value) in [("{\"logGroupName", &name.group), (",\"logStreamName", &name.stream)] {
        json.extend_from_slice(key.as_bytes());
        json.extend_from_slice(b"\":\"");
        for part in value.split_inclusive('[') {
            escape(part.trim_end_matches('[').as_bytes(), json);
            if part.ends_with('[') {
                json.extend_from_slice(b"\\u005b");
            }
        }
        json.push(b'"');
    }
    json.extend_from_slice(b",\"logEvents\":[");
}

fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A number in decimal digits, remembered: many events share a millisecond.
#[derive(Debug, Default)]
struct Decimal {
    number: i64,
    digits: String,
}

impl Decimal {
    fn digits(&mut self, number: i64) -> &[u8] {
        if self.digits.is_empty() || self.number != number {
            self.number = number;
            self.digits = number.max(0).to_string();
        }
        self.digits.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn name() -> StreamName {
        StreamName { group: "g/1".into(), stream: "s[\"\\[é".into() }
    }

    fn batch(texts: &[String]) -> Batch {
        let mut batch = Batch::default();
        for (time, text) in (1_795_387_206_063..).zip(texts) {
            batch.push(time, text, text.len() % 3 > 0);
        }
        batch
    }

    fn parsed(sealed: &Sealed) -> Value {
        serde_json::from_slice(&plain(sealed)).unwrap()
    }

    fn messages(sealed: &Sealed) -> Vec<(i64, String)> {
        let value = parsed(sealed);
        let events = value["logEvents"].as_array().unwrap();
        let event = |e: &Value| {
            (e["timestamp"].as_i64().unwrap(), e["message"].as_str().unwrap().to_owned())
        };
        events.iter().map(event).collect()
    }

    proptest! {
        #[test]
        fn a_body_holds_its_events_whole_or_in_part_compressed_or_not(
            texts in prop::collection::vec(any::<String>(), 1..40),
            (from, to) in (0..40_usize, 1..40_usize),
            gzip in any::<bool>(),
            again in any::<bool>(),
        ) {
            let sealed = seal(&name(), &batch(&texts), gzip);
            prop_assert_eq!(sealed.gzip, gzip);
            let all: Vec<_> = (1_795_387_206_063..).zip(texts.iter().cloned()).collect();
            prop_assert_eq!(&messages(&sealed), &all);
            let value = parsed(&sealed);
            prop_assert_eq!(value["logStreamName"].as_str(), Some("s[\"\\[é"));
            let from = from % texts.len();
            let to = from + 1 + to % (texts.len() - from);
            let piece = cut(&sealed, from..to, again);
            prop_assert_eq!(&messages(&piece), &all[from..to]);
            let value = parsed(&piece);
            prop_assert_eq!(value["logGroupName"].as_str(), Some("g/1"));
            prop_assert_eq!(piece.total(), sealed.count(from..to));
            // A piece of a piece is one as well.
            let last = cut(&piece, to - from - 1..to - from, gzip);
            prop_assert_eq!(&messages(&last), &all[to - 1..to]);
        }
    }

    #[test]
    fn a_log_is_compressed_to_a_fraction() {
        let lines = (0..5000).map(|n| format!("GET /item/{} HTTP/1.1 200 {}", n * 7919 % 1000, n));
        let texts: Vec<_> = lines.collect();
        let [small, large] =
            [true, false].map(|gzip| seal(&name(), &batch(&texts), gzip).body.len());
        assert!(small * 3 < large, "{small} of {large}");
    }

    #[test]
    fn counts_are_those_of_the_texts() {
        let sealed = seal(&name(), &batch(&["ab\n".into(), "é".into()]), true);
        let total = sealed.total();
        assert_eq!((total.events, total.lines, total.text_bytes), (2, 1, 5));
    }
}
