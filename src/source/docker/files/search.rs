//! Places in a file of a log by the stamps of its records, which are (nearly) in order.

use std::io;

use super::{Content, MOST_RECORD_BYTES};
use crate::record::Timestamp;
use crate::source::docker::json_file::{Decoded, Decoder};

/// Read at each step; enlarged as long as a record does not end within it.
const STEP_BYTES: usize = 8 * 1024;
/// A stretch that is not worth another step.
const NEAR_BYTES: u64 = 64 * 1024;

/// The stamp of the first record.
pub(super) fn first(content: &mut Content) -> io::Result<Option<Timestamp>> {
    Ok(record_at(content, 0)?.map(|record| record.time))
}

/// A place before which every record is older than `since`, and not much after which one is not.
pub(super) fn since(content: &mut Content, since: Timestamp) -> io::Result<u64> {
    let Some(length) = content.length()? else { return Ok(0) };
    let (mut older, mut end) = (0, length);
    // Usually nothing new is there: then one look at the last records is all.
    let mut middle = length.saturating_sub(NEAR_BYTES);
    while end.saturating_sub(older) > NEAR_BYTES {
        match record_after(content, middle)? {
            Some(record) if record.start < end && record.time < since => {
                older = record.start;
            }
            _ => end = middle,
        }
        middle = older + (end - older) / 2;
    }
    Ok(older)
}

/// Whether there is a record of this stamp.
pub(super) fn holds(content: &mut Content, time: Timestamp) -> io::Result<bool> {
    let start = since(content, time)?;
    let mut record = record_at(content, start)?;
    while let Some(Record { start, .. }) = record.filter(|record| record.time < time) {
        record = record_after(content, start)?;
    }
    Ok(record.is_some_and(|record| record.time == time))
}

#[derive(Clone, Copy)]
struct Record {
    start: u64,
    time: Timestamp,
}

// The first record that begins behind `offset`.
fn record_after(content: &mut Content, offset: u64) -> io::Result<Option<Record>> {
    let mut buffer = Vec::new();
    loop {
        let read = fill(content, &mut buffer, offset)?;
        if let Some(at) = memchr::memchr(b'\n', &buffer) {
            return record_at(content, offset + at as u64 + 1);
        }
        if !read {
            return Ok(None);
        }
    }
}

// The first record of those that begin at `offset`.
fn record_at(content: &mut Content, offset: u64) -> io::Result<Option<Record>> {
    let mut buffer = Vec::new();
    loop {
        let read = fill(content, &mut buffer, offset)?;
        let whole = memchr::memrchr(b'\n', &buffer).map_or(0, |at| at + 1);
        let mut lines = buffer.get(..whole).unwrap_or_default().to_vec();
        let (mut found, mut start) = (None, offset);
        Decoder::default().push(&mut lines, |decoded| match decoded {
            Decoded::Record { time, .. } => {
                found.get_or_insert(Record { start, time });
            }
            Decoded::Garbled { end, .. } => start = offset + end as u64,
        });
        if found.is_some() || !read {
            return Ok(found);
        }
    }
}

// Reads on, a step further each time; false at the end or at the longest record there may be.
fn fill(content: &mut Content, buffer: &mut Vec<u8>, offset: u64) -> io::Result<bool> {
    let filled = buffer.len();
    let wanted = (filled * 2).clamp(STEP_BYTES, MOST_RECORD_BYTES);
    buffer.resize(wanted, 0);
    let space = buffer.get_mut(filled..).unwrap_or_default();
    let read = content.read_at(space, offset + filled as u64)?;
    buffer.truncate(filled + read);
    Ok(read > 0)
}
