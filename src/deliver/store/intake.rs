//! Lines that were picked to events in the open batches of their streams: converted, split,
//! filtered. Every line ends in a batch or in a counter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::StoreDelivery;
use super::ledger::{Run, index_of};
use super::streams::Open;
use super::unit::Unit;
use crate::encode::Cache;
use crate::lane::Picked;
use crate::metrics::DropReason;
use crate::record::{Container, Line};

/// The service's clock and ours differ a little, and a batch waits: what is that close to a limit
/// is over it.
const MARGIN_OLD_MILLIS: i64 = 5 * 60 * 1000;
const MARGIN_NEW_MILLIS: i64 = 60 * 1000;

const DAY_NANOS: i64 = 86_400_000_000_000;

/// What is kept for a lane.
#[derive(Debug, Default)]
pub(super) struct LaneState {
    cache: Cache,
    /// Where its lines go, as long as container and day are the same.
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    container: Arc<Container>,
    day: i64,
    /// By stream of the container.
    ids: [u64; 2],
}

/// The lanes, and room for the text of the chunk at hand.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) lanes: HashMap<u64, LaneState>,
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

/// What came of a line.
enum Placed {
    In(u64),
    Dropped(DropReason),
}

impl StoreDelivery {
    /// Places all lines of a chunk.
    pub(super) fn take_in(&mut self, picked: Picked, now: Instant) {
        let Picked { lane, chunk, settled } = picked;
        let mut state = self.intake.lanes.remove(&lane).unwrap_or_default();
        let (mut bytes, mut ends) =
            (std::mem::take(&mut self.intake.bytes), std::mem::take(&mut self.intake.ends));
        bytes.clear();
        ends.clear();
        self.encoder.encode(&chunk, &mut state.cache, &mut bytes, &mut ends);
        let mut ledger = std::mem::take(&mut self.ledger);
        let mut run = (!chunk.is_notice).then(|| Run::new(&settled, chunk.lines(), chunk.edge));
        let span = self.span_taken();
        let mut touched = Vec::new();
        let mut start = 0;
        for (index, (line, end)) in chunk.lines().iter().zip(&ends).enumerate() {
            let text = bytes.get(start as usize..*end as usize).unwrap_or_default();
            start = *end;
            let id = self.stream_of(&mut state, &chunk.log_of, line);
            if !touched.contains(&id) {
                touched.push(id);
            }
            match self.place(id, (line.time.millis(), text), span, now) {
                Placed::In(unit) => {
                    if let Some(run) = &mut run {
                        run.line(index, unit, &mut ledger);
                    }
                }
                Placed::Dropped(reason) => self.metrics.dropped(reason, 1, text.len() as u64),
            }
        }
        if let Some(run) = run {
            run.end(&mut ledger);
        }
        self.ledger = ledger;
        (self.intake.bytes, self.intake.ends) = (bytes, ends);
        self.intake.lanes.insert(lane, state);
        for id in touched {
            self.streams.update(id, self.flush());
            self.park_if_congested(lane, id);
        }
    }

    /// The span of time in which events are taken, in milliseconds since 1970.
    fn span_taken(&self) -> (i64, i64) {
        let millis =
            |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let now = self.store.now().millis();
        let oldest = now.saturating_sub(millis(self.terms.oldest)) + MARGIN_OLD_MILLIS;
        let newest = now.saturating_add(millis(self.terms.newest)) - MARGIN_NEW_MILLIS;
        (oldest, newest)
    }

    fn stream_of(&mut self, state: &mut LaneState, container: &Arc<Container>, line: &Line) -> u64 {
        let day = if self.varies.by_day { line.time.nanos().div_euclid(DAY_NANOS) } else { 0 };
        let index = index_of(line.stream);
        if let Some(Place { container: known, day: of, ids }) = &state.place
            && Arc::ptr_eq(known, container)
            && *of == day
            && let Some(id @ 1..) = ids.get(index)
        {
            return *id;
        }
        let id = self.streams.id_of(self.store.stream_of(container, line.stream, line.time));
        let mut ids = match state.place.take() {
            Some(place) if Arc::ptr_eq(&place.container, container) && place.day == day => {
                place.ids
            }
            _ => [0, 0],
        };
        for (at, slot) in ids.iter_mut().enumerate() {
            if at == index || !self.varies.by_stream {
                *slot = id;
            }
        }
        state.place = Some(Place { container: container.clone(), day, ids });
        id
    }

    fn place(
        &mut self,
        id: u64,
        (time, text): (i64, &[u8]),
        (oldest, newest): (i64, i64),
        now: Instant,
    ) -> Placed {
        if time < oldest {
            return Placed::Dropped(DropReason::TooOld);
        }
        if time > newest {
            return Placed::Dropped(DropReason::TooNew);
        }
        // What is not UTF-8 grows by the conversion, so it is counted after it.
        let text =
            str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed);
        let text = match (text.is_empty(), self.terms.empty_line) {
            (true, None) => return Placed::Dropped(DropReason::Empty),
            (true, Some(instead)) => Cow::Borrowed(instead),
            (false, _) => text,
        };
        let mut rest: &str = &text;
        let longest = self.terms.event_bytes();
        if rest.len() > longest {
            self.store_metrics.lines_split.inc();
        }
        loop {
            let (part, after) = rest.split_at(rest.floor_char_boundary(longest));
            let unit = self.add_event(id, (time, part), after.is_empty(), now);
            if after.is_empty() {
                return Placed::In(unit);
            }
            rest = after;
        }
    }

    fn add_event(
        &mut self,
        id: u64,
        (time, text): (i64, &str),
        ends_line: bool,
        now: Instant,
    ) -> u64 {
        let terms = self.terms;
        let fits = |open: &Open| open.batch.fits(time, text.len(), &terms);
        let Some(stream) = self.streams.get(id) else { return 0 };
        if let Some(open) = stream.open.as_mut()
            && fits(open)
        {
            open.batch.push(time, text, ends_line);
            return open.unit;
        }
        self.seal_open(id);
        self.last_unit += 1;
        let unit = self.last_unit;
        let mut batch = self.streams.empty_batch();
        batch.push(time, text, ends_line);
        if let Some(stream) = self.streams.get(id) {
            stream.open = Some(Open { batch, unit, since: now });
        }
        unit
    }

    /// Closes the batch of a stream that is being filled.
    pub(super) fn seal_open(&mut self, id: u64) {
        let Some(stream) = self.streams.get(id) else { return };
        let Some(Open { mut batch, unit, since }) = stream.open.take() else { return };
        let name = stream.name.clone();
        batch.sort();
        self.store_metrics.batch_fill.observe(batch.fill(&self.terms));
        let sealed = self.store.seal(&name, &batch);
        self.streams.recycle(batch);
        if let Some(stream) = self.streams.get(id) {
            stream.ready.push_back(Unit::new(unit, sealed, since));
        }
    }

    fn park_if_congested(&mut self, lane: u64, id: u64) {
        if let Some(stream) = self.streams.get(id)
            && stream.is_congested()
            && self.parked.insert(lane)
        {
            stream.parked.push(lane);
        }
    }

    /// Lanes that are gone, and streams that nothing comes for, are let go once they are the
    /// larger part.
    pub(super) fn forget_closed_lanes(&mut self) {
        let known = self.intake.lanes.len().max(self.streams.count() / 2);
        if known <= 64 || known <= 2 * self.lanes.count() {
            return;
        }
        let lanes = &self.lanes;
        self.intake.lanes.retain(|lane, _| lanes.has(*lane));
        let wanted: std::collections::HashSet<u64> = self
            .intake
            .lanes
            .values()
            .filter_map(|lane| lane.place.as_ref())
            .flat_map(|place| place.ids)
            .collect();
        self.streams.forget_idle(|id| wanted.contains(&id));
        self.parked.retain(|lane| lanes.has(*lane));
    }
}
