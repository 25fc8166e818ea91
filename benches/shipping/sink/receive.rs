//! What comes on a connection, taken apart and counted. Answers nothing by itself.

use std::io::Read;
use std::time::Instant;

use super::{Shared, lock};
use crate::arrivals::{self, Frame};

/// Taken from a connection at once, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// A frame that is longer is no frame of a bench.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// The first whole frame of some bytes and what follows it; `None` if it is not whole.
pub(super) type Next<'a> = Option<(Cut<'a>, &'a [u8])>;

/// What was cut off at the front.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut<'a> {
    Message(&'a [u8]),
    /// Belongs to the protocol alone.
    Other,
}

/// What is spoken on connections of the kind `C`.
pub(super) trait Protocol<C> {
    /// Cuts off what is at the front.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a>;

    /// All that has come is cut off: time to answer.
    fn answer(&mut self, connection: &mut C);
}

/// Messages one after the other, without answers.
struct Syslog;

impl<C> Protocol<C> for Syslog {
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a> {
        next_frame(bytes)
    }

    fn answer(&mut self, _connection: &mut C) {}
}

/// Counts syslog messages until the connection ends.
pub(super) fn receive(connection: &mut impl Read, shared: &Shared) {
    receive_by(&mut Syslog, connection, shared);
}

/// Counts the messages of a protocol until the connection ends.
pub(super) fn receive_by<C: Read>(
    protocol: &mut impl Protocol<C>,
    connection: &mut C,
    shared: &Shared,
) {
    let mut buffer = vec![0; READ_BYTES + MAX_FRAME_BYTES];
    let mut held = 0;
    let mut place = 0;
    while let Ok(read) = connection.read(&mut buffer[held..held + READ_BYTES]) {
        if read == 0 {
            break;
        }
        let filled = held + read;
        let mut rest = &buffer[..filled];
        {
            let mut tally = lock(shared);
            let (before, at) = (tally.distinct, arrivals::now());
            tally.bytes += read as u64;
            while let Some((cut, behind)) = protocol.next(rest) {
                if let Cut::Message(frame) = cut {
                    tally.note(Frame::find(frame, &mut place), at);
                }
                rest = behind;
            }
            if tally.distinct > before {
                tally.last = Some(Instant::now());
            }
            if rest.len() >= MAX_FRAME_BYTES {
                tally.garbled += rest.len() as u64;
                rest = &[];
            }
        }
        shared.changed.notify_all();
        held = rest.len();
        buffer.copy_within(filled - held..filled, 0);
        protocol.answer(connection);
    }
    lock(shared).garbled += held as u64;
}

/// The first whole frame: counted if it starts with a digit, else up to a line feed.
fn next_frame(bytes: &[u8]) -> Next<'_> {
    if !bytes.first()?.is_ascii_digit() {
        let end = memchr::memchr(b'\n', bytes)?;
        return Some((Cut::Message(&bytes[..end]), &bytes[end + 1..]));
    }
    let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (frame, rest) = bytes.get(space + 1..)?.split_at_checked(length)?;
    Some((Cut::Message(frame), rest))
}
