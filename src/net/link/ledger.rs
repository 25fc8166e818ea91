//! How acknowledged bytes of the socket become settled bytes of the caller.

use std::collections::VecDeque;

/// Most marks kept. With all in use the newest is moved, which settles later, never earlier.
const MARKS_LIMIT: usize = 1024;

/// The largest plaintext of one TLS record (RFC 8446 section 5.1), and so of one write and mark.
const RECORD_BYTES: usize = 16 * 1024;

/// Most bytes between two looks at the peer's window: what it shows in between is not seen, and
/// it starts at 64 KiB on Linux.
const LOOK_BYTES: usize = 64 * 1024;

/// How bytes on the socket are matched with the caller's.
#[derive(Debug)]
pub(super) enum Ledger {
    /// One for one.
    Bytes,
    /// TLS: the caller's bytes are settled when the ciphertext that ends them is.
    Records(Marks),
    /// The kernel knows only whether everything was taken.
    AllOrNothing,
}

/// Ends of writes: the caller's position and the socket's.
#[derive(Debug, Default)]
pub(super) struct Marks {
    settled: u64,
    open: VecDeque<(u64, u64)>,
}

impl Ledger {
    pub(super) fn records() -> Self {
        Self::Records(Marks::default())
    }

    /// Bytes after which a mark or a look at the peer is due.
    pub(super) fn largest_write(&self) -> usize {
        match self {
            Self::Records(_) => RECORD_BYTES,
            Self::Bytes | Self::AllOrNothing => LOOK_BYTES,
        }
    }

    /// Whether a write is on the socket only after a flush, and then needs a mark.
    pub(super) fn wants_flush(&self) -> bool {
        matches!(self, Self::Records(_))
    }

    /// Notes that all of the caller's bytes up to `sent` are in the socket's up to `on_wire`.
    pub(super) fn mark(&mut self, sent: u64, on_wire: u64) {
        if let Self::Records(marks) = self {
            if marks.open.len() >= MARKS_LIMIT {
                marks.open.pop_back();
            }
            marks.open.push_back((sent, on_wire));
        }
    }
}

impl Marks {
    /// The caller's position that is settled when the socket's is `acknowledged`.
    pub(super) fn settle(&mut self, acknowledged: u64) -> u64 {
        while let Some((sent, _)) = self.open.pop_front_if(|(_, wire)| *wire <= acknowledged) {
            self.settled = sent;
        }
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_settles_with_its_last_byte_of_ciphertext() {
        let mut ledger = Ledger::records();
        ledger.mark(100, 1_122);
        ledger.mark(300, 1_344);
        let Ledger::Records(marks) = &mut ledger else { panic!() };
        assert_eq!(marks.settle(1_121), 0);
        assert_eq!(marks.settle(1_343), 100);
        assert_eq!(marks.settle(1_344), 300);
        assert_eq!(marks.settle(0), 300);
    }

    #[test]
    fn with_too_many_marks_open_the_newest_waits_for_its_successors() {
        let mut ledger = Ledger::records();
        for position in 1..=2_000 {
            ledger.mark(position, position * 2);
        }
        let Ledger::Records(marks) = &mut ledger else { panic!() };
        assert_eq!(marks.open.len(), MARKS_LIMIT);
        assert_eq!(marks.settle(3_999), 1_023);
        assert_eq!(marks.settle(4_000), 2_000);
    }
}
