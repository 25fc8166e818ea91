//! Which of the numbered lines came, how often, in which order and how late. Line `n` of container
//! `k` of `containers` bears the number `n * containers + k`. Never touches a socket.

use std::time::Instant;

use super::arrivals::{Arrival, Frame};

/// What has arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    seen: Vec<u64>,
    /// Different numbers.
    pub(crate) distinct: u64,
    /// Numbers that came again.
    pub(crate) repeated: u64,
    /// Numbers that came after a higher one of the same container for the first time.
    pub(crate) reordered: u64,
    /// Frames without a number of this bench: other containers, the shippers' own words.
    pub(crate) foreign: u64,
    /// When the last new number came.
    pub(crate) last: Option<Instant>,
    /// Bytes that came, after decryption.
    pub(crate) bytes: u64,
    /// Bytes that could not be taken apart.
    pub(crate) garbled: u64,
    /// Of the lines that say when they were printed, those that came for the first time.
    pub(crate) arrivals: Vec<Arrival>,
    highest: Vec<u64>,
}

impl Tally {
    /// Of the numbers from 0 to `lines`, which so many `containers` print.
    pub(crate) fn new(lines: u64, containers: usize) -> Self {
        let words = usize::try_from(lines / 64 + 1).unwrap();
        Self { seen: vec![0; words], highest: vec![0; containers], ..Self::default() }
    }

    /// Containers of which the first line is there.
    pub(crate) fn greeted(&self) -> u64 {
        let containers = self.highest.len();
        let come = |container: &usize| self.seen[container / 64] & 1 << (container % 64) != 0;
        (0..containers).filter(come).count() as u64
    }

    /// Counts a frame that came `at` so many microseconds of the bench.
    pub(crate) fn note(&mut self, frame: Option<Frame>, at: u64) {
        let place = frame.and_then(|frame| {
            let word = self.seen.get_mut(usize::try_from(frame.number / 64).ok()?)?;
            Some((frame, word))
        });
        let Some((Frame { number, printed }, word)) = place else {
            self.foreign += 1;
            return;
        };
        let bit = 1 << (number % 64);
        if *word & bit != 0 {
            self.repeated += 1;
            return;
        }
        *word |= bit;
        self.distinct += 1;
        let container = usize::try_from(number % self.highest.len() as u64).unwrap();
        self.reordered += u64::from(number < self.highest[container]);
        self.highest[container] = self.highest[container].max(number);
        if let Some(printed) = printed {
            self.arrivals.push(Arrival { container, printed, at });
        }
    }
}
