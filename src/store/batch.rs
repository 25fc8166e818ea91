//! Events of one stream while they wait for others: their text back to back, within the limits of
//! the store by construction. Never looks at a clock.

use super::Terms;

/// Events that will go together.
#[derive(Debug, Default)]
pub struct Batch {
    text: Vec<u8>,
    events: Vec<Event>,
    earliest: i64,
    latest: i64,
    out_of_order: bool,
}

/// One event of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub time: i64,
    start: u32,
    end: u32,
    /// Whether its line ends with it.
    pub ends_line: bool,
}

impl Batch {
    /// Whether another event has room. The first one always has.
    pub fn fits(&self, time: i64, text_bytes: usize, terms: &Terms) -> bool {
        if self.events.is_empty() {
            return true;
        }
        let span = self.latest.max(time).saturating_sub(self.earliest.min(time));
        self.counted_bytes(terms) + text_bytes + terms.event_overhead_bytes <= terms.batch_bytes
            && self.events.len() < terms.batch_events
            && u128::from(span.unsigned_abs()) <= terms.span.as_millis()
    }

    /// Adds an event that fits.
    pub fn push(&mut self, time: i64, text: &str, ends_line: bool) {
        if self.events.is_empty() {
            (self.earliest, self.latest) = (time, time);
        }
        self.out_of_order |= time < self.latest;
        self.earliest = self.earliest.min(time);
        self.latest = self.latest.max(time);
        let start = self.text_end();
        self.text.extend_from_slice(text.as_bytes());
        self.events.push(Event { time, start, end: self.text_end(), ends_line });
    }

    /// Puts the events in the order of their times; those of the same time stay as they came.
    pub fn sort(&mut self) {
        if std::mem::take(&mut self.out_of_order) {
            self.events.sort_by_key(|event| event.time);
        }
    }

    /// The events and their texts.
    pub fn events(&self) -> impl ExactSizeIterator<Item = (Event, &[u8])> {
        self.events.iter().map(|event| {
            (*event, self.text.get(event.start as usize..event.end as usize).unwrap_or_default())
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes as the store counts them.
    pub fn counted_bytes(&self, terms: &Terms) -> usize {
        self.text.len() + self.events.len() * terms.event_overhead_bytes
    }

    /// How full it is, from 0 to 1: by bytes or by events, whichever is more.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn fill(&self, terms: &Terms) -> f64 {
        let bytes = self.counted_bytes(terms) as f64 / terms.batch_bytes as f64;
        bytes.max(self.events.len() as f64 / terms.batch_events as f64)
    }

    /// What it takes in memory, in bytes.
    pub fn weight(&self) -> usize {
        self.text.capacity() + self.events.capacity() * size_of::<Event>()
    }

    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.text.clear();
        self.events.clear();
        self.out_of_order = false;
    }

    // A batch is far smaller than 4 GiB, and so is a line.
    fn text_end(&self) -> u32 {
        u32::try_from(self.text.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TERMS: Terms = Terms {
        batch_bytes: 100,
        batch_events: 3,
        event_overhead_bytes: 26,
        span: Duration::from_secs(1),
        oldest: Duration::from_secs(100),
        newest: Duration::from_secs(100),
        flush: Duration::from_secs(5),
        in_flight: 1,
        empty_line: None,
    };

    #[test]
    fn bytes_events_and_span_each_end_a_batch_at_their_limit_and_not_before() {
        let mut batch = Batch::default();
        assert!(batch.fits(0, 74, &TERMS));
        batch.push(5000, "0123456789", true);
        assert!(batch.fits(5000, 38, &TERMS) && !batch.fits(5000, 39, &TERMS));
        assert!(batch.fits(6000, 1, &TERMS) && !batch.fits(6001, 1, &TERMS));
        assert!(batch.fits(4000, 1, &TERMS) && !batch.fits(3999, 1, &TERMS));
        batch.push(4500, "", true);
        assert!(!batch.fits(5501, 0, &TERMS), "the span is that of all events");
        batch.push(5000, "", true);
        assert!(!batch.fits(5000, 0, &TERMS), "three events");
        batch.clear();
        assert!(batch.fits(i64::MAX, 74, &TERMS) && batch.is_empty());
    }

    #[test]
    fn events_are_sorted_by_time_and_those_of_one_time_stay_as_they_came() {
        let mut batch = Batch::default();
        for (time, text) in [(2, "a"), (1, "b"), (2, "c"), (1, "d"), (3, "e")] {
            batch.push(time, text, true);
        }
        batch.sort();
        let texts: Vec<_> = batch.events().map(|(_, text)| text[0]).collect();
        assert_eq!(texts, b"bdace");
    }
}
