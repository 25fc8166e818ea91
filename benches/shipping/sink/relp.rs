//! The server's side of RELP: every message is answered as soon as it is counted.

use std::io::{Read, Write};

use super::Shared;
use super::receive::{Cut, Next, Protocol, receive_by};

/// What the answer to `open` offers.
const OFFER: &str = "200 OK\nrelp_version=0\nrelp_software=bench\ncommands=syslog";

/// What has to be answered after a read.
#[derive(Debug, Default)]
struct Relp {
    answers: Vec<u8>,
}

impl<C: Write> Protocol<C> for Relp {
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a> {
        next_command(bytes, &mut self.answers)
    }

    fn answer(&mut self, connection: &mut C) {
        // A sender that is gone is noticed by the next read.
        drop(connection.write_all(&self.answers));
        self.answers.clear();
    }
}

/// Counts messages until the connection ends.
pub(super) fn receive(connection: &mut (impl Read + Write), shared: &Shared) {
    receive_by(&mut Relp::default(), connection, shared);
}

/// `TXNR SP COMMAND SP LENGTH [SP DATA] LF`; the answer goes behind `answers`.
fn next_command<'a>(bytes: &'a [u8], answers: &mut Vec<u8>) -> Next<'a> {
    let (number, rest) = word(bytes)?;
    let (command, rest) = word(rest)?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let length: usize = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let gap = usize::from(length > 0);
    let (data, rest) = rest.get(digits + gap..)?.split_at_checked(length)?;
    let rest = rest.strip_prefix(b"\n")?;
    let answer = if command == b"open" { OFFER } else { "200 OK" };
    answers.extend_from_slice(number);
    writeln!(answers, " rsp {} {answer}", answer.len()).unwrap();
    let cut = if command == b"syslog" { Cut::Message(data) } else { Cut::Other };
    Some((cut, rest))
}

/// Up to the next blank, and what is behind it.
fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}
