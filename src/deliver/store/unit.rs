//! A batch that was closed: sent whole, or, if the store finds fault with it, in pieces until the
//! events that it will never take are found.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tokio::time::Instant;

use crate::store::{Count, Sealed};

/// Pieces that are sent for nothing: enough to find two events among 10,000 (two times 14 halvings,
/// two calls each). Beyond them a piece costs a repeat.
const FREE_PIECES: u32 = 56;

/// Pieces that are sent if none of them is taken: down to one event, and back up.
const PIECES_IN_VAIN: u32 = 56;

/// After so many rounds in which not even one event was taken, a single event is given up. More
/// than one are not: then it is the stream that is wrong.
const ROUNDS: u32 = 5;

/// One batch on its way.
#[derive(Debug)]
pub(super) struct Unit {
    /// What the ledger knows it by.
    pub(super) id: u64,
    pub(super) sealed: Arc<Sealed>,
    /// When its first event came.
    pub(super) since: Instant,
    /// Calls made for it.
    pub(super) calls: u32,
    /// A call for the present piece may have been taken although nobody said so.
    pub(super) is_doubtful: bool,
    /// What the store said against one of its events last.
    pub(super) why: String,
    /// A repeat at once was spent on it.
    pub(super) was_stale: bool,
    pieces: VecDeque<Range<usize>>,
    suspects: Vec<usize>,
    pieces_sent: u32,
    any_taken: bool,
    rounds: u32,
}

/// What comes next for a unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another piece.
    Piece,
    /// It is done, but for these events, which are given up.
    Done(Vec<usize>),
    /// The store takes none of it: all of it again, later.
    Hopeless,
}

impl Unit {
    /// A batch that was never sent.
    pub(super) fn new(id: u64, sealed: Sealed, since: Instant) -> Self {
        let pieces = std::iter::once(0..sealed.events.len()).collect();
        Self {
            id,
            sealed: Arc::new(sealed),
            since,
            calls: 0,
            is_doubtful: false,
            why: String::new(),
            was_stale: false,
            pieces,
            suspects: Vec::new(),
            pieces_sent: 0,
            any_taken: false,
            rounds: 0,
        }
    }

    /// What the events amount to that are to be sent now.
    pub(super) fn count(&self) -> Count {
        self.sealed.count(self.piece())
    }

    /// The events that are to be sent now.
    pub(super) fn piece(&self) -> Range<usize> {
        self.pieces.front().cloned().unwrap_or_default()
    }

    /// Whether the piece is all of it.
    pub(super) fn is_whole(&self) -> bool {
        self.piece() == (0..self.sealed.events.len())
    }

    /// Whether sending the piece is to be paid for as a repeat.
    pub(super) fn is_repeat(&self) -> bool {
        let of_a_search = self.pieces_sent > 0 && self.pieces_sent < FREE_PIECES;
        self.calls > 0 && !of_a_search
    }

    /// The piece was taken. `proven`: the stream has taken something before.
    pub(super) fn taken(&mut self, proven: bool) -> Next {
        self.any_taken = true;
        self.pieces.pop_front();
        self.next(proven)
    }

    /// The store found fault with the piece.
    pub(super) fn invalid(&mut self, proven: bool) -> Next {
        let Some(piece) = self.pieces.pop_front() else { return Next::Done(Vec::new()) };
        if piece.len() <= 1 {
            self.suspects.push(piece.start);
        } else {
            let middle = piece.start + piece.len() / 2;
            self.pieces.push_front(middle..piece.end);
            self.pieces.push_front(piece.start..middle);
        }
        self.next(proven)
    }

    fn next(&mut self, proven: bool) -> Next {
        self.is_doubtful = false;
        self.was_stale = false;
        let in_vain = !self.any_taken && self.pieces_sent >= PIECES_IN_VAIN;
        if !self.pieces.is_empty() && !in_vain {
            self.pieces_sent += 1;
            return Next::Piece;
        }
        let single = self.sealed.events.len() == 1;
        if self.any_taken || (single && (proven || self.rounds + 1 >= ROUNDS)) {
            return Next::Done(std::mem::take(&mut self.suspects));
        }
        self.rounds = self.rounds.saturating_add(1);
        self.suspects.clear();
        self.pieces.clear();
        self.pieces_sent = 0;
        self.pieces.push_back(0..self.sealed.events.len());
        Next::Hopeless
    }

    /// What it takes in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.sealed.weight()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::SealedEvent;

    fn unit(events: usize) -> Unit {
        let event = SealedEvent { time: 0, end: 1, text_bytes: 1, ends_line: true };
        let events = vec![event; events];
        let sealed = Sealed { body: Bytes::new(), gzip: false, events };
        Unit::new(1, sealed, Instant::now())
    }

    /// Sends until the end; what was taken, in order, the calls, and how it ended.
    fn send(unit: &mut Unit, poison: &[usize], proven: bool) -> (Vec<usize>, u32, Next) {
        let (mut taken, mut calls) = (Vec::new(), 0);
        loop {
            calls += 1;
            let piece = unit.piece();
            let next = if poison.iter().any(|event| piece.contains(event)) {
                unit.invalid(proven)
            } else {
                taken.extend(piece);
                unit.taken(proven)
            };
            if next != Next::Piece {
                return (taken, calls, next);
            }
        }
    }

    #[test]
    fn one_bad_event_of_ten_thousand_is_found_with_28_more_calls_wherever_it_is() {
        for bad in [0, 1, 4999, 5000, 7777, 9998, 9999] {
            let (taken, calls, next) = send(&mut unit(10_000), &[bad], false);
            let rest: Vec<_> = (0..10_000).filter(|event| *event != bad).collect();
            assert_eq!(next, Next::Done(vec![bad]));
            assert_eq!(taken, rest, "all others, in order");
            assert!(calls <= 1 + 28, "{calls}");
        }
    }

    #[test]
    fn a_store_that_takes_nothing_costs_no_event() {
        let all: Vec<_> = (0..10_000).collect();
        let mut unit = unit(10_000);
        for _ in 0..10 {
            let (taken, calls, next) = send(&mut unit, &all, true);
            assert_eq!((taken, next), (vec![], Next::Hopeless));
            assert!(calls <= 1 + PIECES_IN_VAIN);
            assert!(unit.is_whole());
        }
    }

    #[test]
    fn a_single_event_is_given_up_at_once_where_others_were_taken_before() {
        assert_eq!(unit(1).invalid(true), Next::Done(vec![0]));
        let mut first = unit(1);
        for _ in 1..ROUNDS {
            assert_eq!(first.invalid(false), Next::Hopeless);
        }
        assert_eq!(first.invalid(false), Next::Done(vec![0]));
    }

    #[test]
    fn many_bad_events_are_paid_for_as_repeats() {
        let mut unit = unit(1000);
        let poison: Vec<_> = (0..1000).step_by(2).collect();
        let mut paid = 0;
        loop {
            unit.calls += 1;
            paid += u32::from(unit.is_repeat());
            let piece = unit.piece();
            let bad = poison.iter().any(|event| piece.contains(event));
            let next = if bad { unit.invalid(true) } else { unit.taken(true) };
            if let Next::Done(dropped) = next {
                assert_eq!(dropped, poison);
                break;
            }
        }
        assert!(paid > 1000, "{paid}");
    }
}
