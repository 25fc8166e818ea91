//! Where a follower stands in a log, and which of the records that come it has had already.
//! Never does I/O.
//!
//! A record is known by its stream, its stamp and its number among the records with that stamp;
//! stamps are compared within one stream only. That makes a stream that is opened again, or a
//! stretch that the engine sends twice around a rotation, cost nothing but the reading.

use crate::record::{Cursor, DISORDER_NANOS, FilePlace, Mark, Resume, Stream, Timestamp};

/// A log's first record that comes this much later than what was taken was not written at about
/// the same time: what lay between is missing.
const GAP_NANOS: i64 = 1_000_000;

/// A follower's place in one log.
#[derive(Debug, Clone, Default)]
pub(super) struct Position {
    floor: Option<Timestamp>,
    taken: Cursor,
    /// A line that began here was not taken although later ones were: the earlier reader held it.
    behind: Option<Timestamp>,
    /// The stamp of the open stream's first record.
    first: Option<Timestamp>,
    /// The record that came last on each stream, also if it was a repetition.
    run: [Option<Mark>; 2],
    /// What that record looked like.
    print: [Option<Print>; 2],
    /// The open stream has brought what was taken last; what follows is new, whatever its stamp.
    found: [bool; 2],
    /// What was taken last before the clock stepped back: up to here stamps of the future are
    /// known.
    before_step: [Option<Mark>; 2],
    /// Streams whose clock stepped back behind what was taken. Their stamps do not tell what is
    /// new; the record that was taken last does, and what comes behind it.
    seeking: [bool; 2],
}

/// What a record looks like: enough to tell it from one with the same stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    length: usize,
    start: [u8; 16],
    end: [u8; 16],
}

impl Print {
    fn of(text: &[u8]) -> Self {
        let mut print = Self { length: text.len(), start: [0; 16], end: [0; 16] };
        for (place, byte) in print.start.iter_mut().zip(text) {
            *place = *byte;
        }
        if let Some(end) = text.last_chunk() {
            print.end = *end;
        }
        print
    }
}

/// What to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is new; this is its mark.
    New(Mark),
    /// It was taken before.
    Repeated,
    /// It was printed before the agent was asked to look.
    TooOld,
}

impl Position {
    /// Behind what an earlier reader has settled.
    pub(super) fn starting(resume: Resume) -> Self {
        let Resume { floor, cursor } = resume;
        Self { floor, taken: cursor, behind: cursor.open(), ..Self::default() }
    }

    /// True while no record was taken and none needs to be passed over.
    pub(super) fn is_start(&self) -> bool {
        self.floor.is_none() && self.taken.latest().is_none()
    }

    /// The same place in the log's file, if what was taken last was read from it.
    pub(super) fn file(&self) -> Option<FilePlace> {
        self.taken.file()
    }

    /// Everything before `place` was taken.
    pub(super) fn set_file(&mut self, place: FilePlace) {
        self.taken.set_file(Some(place));
    }

    /// From here on records come that were not taken, without a gap, whatever their stamps.
    pub(super) fn go_on_exactly(&mut self) {
        self.run = [Stream::Stdout, Stream::Stderr].map(|stream| self.taken.mark(stream));
        self.seeking = [false, false];
        self.behind = None;
    }

    /// Takes a record that is known to be new.
    pub(super) fn take(&mut self, stream: Stream, time: Timestamp) -> Mark {
        let run = of_mut(&mut self.run, stream);
        let pieces = match *run {
            Some(last) if last.time == time => last.pieces + 1,
            _ => 1,
        };
        let mark = Mark { time, pieces };
        *run = Some(mark);
        self.taken.advance(stream, mark);
        mark
    }

    /// A stamp from which on a reader sees everything that was not taken: `open` are the stamps
    /// of lines that are not complete yet.
    pub(super) fn since(&self, open: impl Iterator<Item = Timestamp>) -> Option<Timestamp> {
        let latest = self.taken.latest().map(|time| time.before(DISORDER_NANOS));
        let first = open.chain(latest).chain(self.behind).min();
        first.max(self.floor)
    }

    /// True if stamps do not tell what is new, because the clock stepped back: then the whole log
    /// has to be looked at.
    pub(super) fn is_seeking(&self) -> bool {
        self.seeking.contains(&true)
    }

    /// What is missing before the first record of a log, read from as far back as it goes: from
    /// which stamp to which.
    pub(super) fn gap(
        &self,
        stream: Stream,
        time: Timestamp,
        now: Timestamp,
    ) -> Option<(Timestamp, Timestamp)> {
        let latest = self.taken.latest()?;
        let same = self.taken.mark(stream).is_some_and(|taken| taken.time == latest);
        let later = time.nanos() - latest.nanos();
        let missing = if same { later > 0 } else { later > GAP_NANOS };
        // From a clock that stepped back since: it does not tell.
        let stepped = time > now || self.is_seeking();
        (missing && !stepped).then_some((latest, time))
    }

    /// True for a record that lies behind all that was taken. A record with the stamp of the last
    /// one taken does not: of the pieces of a long line a tail shows only the last, as the first.
    pub(super) fn is_ahead(&self, stream: Stream, time: Timestamp, now: Timestamp) -> bool {
        let taken = self.taken.mark(stream).is_some_and(|taken| taken.time == time);
        !taken && matches!(self.clone().admit_stamp(stream, time, now), Admission::New(_))
    }

    /// To be asked of every record of a tail before it is admitted: true if something may be
    /// missing before it, so that a longer tail is needed. Nor may a stream begin with the stamp
    /// that was taken last: it may be any of the records with that stamp, so that counting them
    /// from here would be wrong.
    pub(super) fn needs_more(
        &self,
        stream: Stream,
        time: Timestamp,
        now: Timestamp,
        open: bool,
    ) -> bool {
        let same = || self.taken.mark(stream).is_some_and(|taken| taken.time == time);
        match self.first {
            None => same() || !self.is_known(stream, time, now, open),
            // If the other stream reaches far back, all of this one's records with that stamp are
            // here; but for the pieces of a line, which may be late by any time.
            Some(first) => {
                let near = open || first >= time.before(DISORDER_NANOS);
                near && of(&self.run, stream).is_none() && same()
            }
        }
    }

    /// True for a record before which nothing is missing: it was taken itself, or is too old.
    fn is_known(&self, stream: Stream, time: Timestamp, now: Timestamp, open: bool) -> bool {
        let same = self.taken.mark(stream).is_some_and(|taken| taken.time == time);
        let is_new = matches!(self.clone().admit_stamp(stream, time, now), Admission::New(_));
        let late = self.behind.is_some_and(|behind| time >= behind.before(DISORDER_NANOS));
        !(is_new || same && open || late)
    }

    /// A new stream starts: counting of equal stamps starts over.
    pub(super) fn reopened(&mut self, now: Timestamp) {
        self.first = None;
        self.began_again();
        self.seeking = [Stream::Stdout, Stream::Stderr]
            .map(|stream| self.taken.mark(stream).is_some_and(|taken| taken.time > now));
    }

    /// Records come that may have come before: counting of equal stamps starts over.
    pub(super) fn began_again(&mut self) {
        self.run = [None, None];
        self.print = [None, None];
        self.found = [false, false];
    }

    /// Decides on a record, and takes it if it is new.
    pub(super) fn admit(
        &mut self,
        stream: Stream,
        time: Timestamp,
        text: &[u8],
        now: Timestamp,
    ) -> Admission {
        let print = Print::of(text);
        let before = of_mut(&mut self.print, stream).replace(print);
        let run = of(&self.run, stream);
        // The engine may send a line again right after it. Pieces of a long line may well be alike.
        if text.ends_with(b"\n") && before == Some(print) && run.is_some_and(|run| run.time == time)
        {
            return Admission::Repeated;
        }
        self.admit_stamp(stream, time, now)
    }

    /// Decides on a record by its stamp alone, and takes it if it is new.
    pub(super) fn admit_stamp(
        &mut self,
        stream: Stream,
        time: Timestamp,
        now: Timestamp,
    ) -> Admission {
        self.first.get_or_insert(time);
        if self.floor.is_some_and(|floor| time < floor) {
            return Admission::TooOld;
        }
        let run = of_mut(&mut self.run, stream);
        let pieces = match *run {
            Some(last) if last.time == time => last.pieces + 1,
            _ => 1,
        };
        let mark = Mark { time, pieces };
        *run = Some(mark);
        if let Some(taken) = self.taken.mark(stream) {
            let is_repeated = self.is_repeated(stream, mark, taken, now);
            *of_mut(&mut self.found, stream) |= mark == taken || !is_repeated;
            if is_repeated {
                return Admission::Repeated;
            }
            if mark < taken {
                let before = of_mut(&mut self.before_step, stream);
                *before = (*before).max(Some(taken));
            }
        }
        self.behind = self.behind.filter(|behind| time < *behind);
        self.taken.advance(stream, mark);
        self.taken.set_file(None);
        Admission::New(mark)
    }

    fn is_repeated(&mut self, stream: Stream, mark: Mark, taken: Mark, now: Timestamp) -> bool {
        let seeking = of_mut(&mut self.seeking, stream);
        if *seeking {
            *seeking = mark < taken;
            return mark <= taken;
        }
        // Printed before the clock stepped back, and taken then.
        if mark > taken && mark.time > now && !of(&self.found, stream) {
            return of(&self.before_step, stream).is_some_and(|before| mark <= before);
        }
        // A taken stamp in the future means that the clock stepped back since: then what comes
        // with earlier stamps is new.
        mark <= taken && (taken.time <= now || mark.time == taken.time)
    }
}

fn of<T: Copy>([stdout, stderr]: &[T; 2], stream: Stream) -> T {
    if stream == Stream::Stdout { *stdout } else { *stderr }
}

fn of_mut<T>([stdout, stderr]: &mut [T; 2], stream: Stream) -> &mut T {
    if stream == Stream::Stdout { stdout } else { stderr }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn floored(nanos: i64) -> Position {
        Position::starting(Resume { floor: Some(at(nanos)), ..Resume::default() })
    }

    fn admit(position: &mut Position, stream: Stream, times: &[i64]) -> Vec<bool> {
        let new =
            |time: &i64| matches!(position.admit_stamp(stream, at(*time), NOW), Admission::New(_));
        times.iter().map(new).collect()
    }

    #[test]
    fn a_reopened_stream_repeats_nothing_and_misses_nothing() {
        let mut position = Position::default();
        assert_eq!(admit(&mut position, Stream::Stdout, &[1, 2, 2]), [true, true, true]);
        position.reopened(NOW);
        let again = admit(&mut position, Stream::Stdout, &[1, 2, 2, 2, 3]);
        assert_eq!(again, [false, false, false, true, true]);
    }

    #[test]
    fn a_stretch_sent_twice_on_one_stream_is_passed_over() {
        let mut position = Position::default();
        let seen = admit(&mut position, Stream::Stdout, &[1, 2, 3, 2, 3, 4]);
        assert_eq!(seen, [true, true, true, false, false, true]);
    }

    #[test]
    fn streams_are_not_compared_with_each_other() {
        let mut position = Position::default();
        admit(&mut position, Stream::Stdout, &[100]);
        assert_eq!(admit(&mut position, Stream::Stderr, &[50]), [true]);
    }

    #[test]
    fn a_clock_that_stepped_back_hides_nothing() {
        let mut position = Position::default();
        let future = NOW.nanos() + 5;
        assert_eq!(admit(&mut position, Stream::Stdout, &[future, 10, 11]), [true, true, true]);
    }

    #[test]
    fn what_was_printed_before_the_floor_is_not_taken() {
        let mut position = floored(10);
        assert_eq!(position.admit(Stream::Stdout, at(9), b"x", NOW), Admission::TooOld);
        assert_eq!(admit(&mut position, Stream::Stdout, &[10]), [true]);
    }

    #[test]
    fn a_resume_reaches_back_to_an_open_line_but_not_behind_the_floor() {
        let mut position = floored(5);
        assert_eq!(position.since(std::iter::empty()), Some(at(5)));
        let late = 10 * DISORDER_NANOS;
        admit(&mut position, Stream::Stdout, &[late]);
        assert_eq!(position.since(std::iter::empty()), Some(at(late - DISORDER_NANOS)));
        assert_eq!(position.since([at(7)].into_iter()), Some(at(7)));
        assert_eq!(position.since([at(3)].into_iter()), Some(at(5)));
    }

    #[test]
    fn after_a_step_back_the_record_that_was_taken_last_tells_what_is_new() {
        let mut position = Position::default();
        let future = NOW.nanos() + 1_000;
        let log = [future, future + 5, 10, 20, 30];
        assert_eq!(admit(&mut position, Stream::Stdout, &log[..2]), [true, true]);
        position.reopened(NOW);
        assert!(position.is_seeking());
        let seen = admit(&mut position, Stream::Stdout, &log);
        assert_eq!(seen, [false, false, true, true, true]);
        position.reopened(NOW);
        assert!(!position.is_seeking(), "the stamps are in the past again");
        let seen = admit(&mut position, Stream::Stdout, &log[2..]);
        assert_eq!(seen, [false, false, false]);
    }

    #[test]
    fn what_was_taken_last_is_not_taken_again_after_a_step_back() {
        let mut position = Position::default();
        let future = NOW.nanos() + 1_000;
        assert_eq!(admit(&mut position, Stream::Stdout, &[future, future]), [true, true]);
        position.reopened(NOW);
        assert_eq!(admit(&mut position, Stream::Stdout, &[future, future]), [false, false]);
    }

    #[test]
    fn a_line_that_an_earlier_reader_held_is_looked_for() {
        let late = 10 * DISORDER_NANOS;
        let mut cursor = Cursor::default();
        cursor.advance(Stream::Stderr, Mark { time: at(late), pieces: 1 });
        cursor.set_open(Some(at(late / 2)));
        let mut position = Position::starting(Resume { floor: None, cursor });
        assert_eq!(position.since(std::iter::empty()), Some(at(late / 2)));
        let known =
            |position: &Position, time| position.is_known(Stream::Stderr, at(time), NOW, false);
        assert!(!known(&position, late), "the held line may lie before it");
        assert!(known(&position, 1));
        assert_eq!(admit(&mut position, Stream::Stdout, &[late / 2]), [true]);
        assert!(known(&position, late), "it was found");
    }

    #[test]
    fn a_gap_is_what_lies_between_the_last_record_taken_and_the_first_there_is() {
        let mut position = Position::default();
        assert_eq!(position.gap(Stream::Stdout, at(5), NOW), None, "nothing was taken");
        admit(&mut position, Stream::Stdout, &[100]);
        assert_eq!(position.gap(Stream::Stdout, at(100), NOW), None);
        assert_eq!(position.gap(Stream::Stdout, at(101), NOW), Some((at(100), at(101))));
        assert_eq!(
            position.gap(Stream::Stderr, at(101), NOW),
            None,
            "streams are out of step by a bit"
        );
        let later = at(101 + GAP_NANOS);
        assert_eq!(position.gap(Stream::Stderr, later, NOW), Some((at(100), later)));
    }

    #[test]
    fn a_tail_that_begins_with_the_stamp_taken_last_does_not_tell_which_record_that_was() {
        let mut position = Position::default();
        admit(&mut position, Stream::Stdout, &[5, 7]);
        position.reopened(NOW);
        let needs =
            |position: &Position, stream, time| position.needs_more(stream, at(time), NOW, false);
        assert!(needs(&position, Stream::Stdout, 7), "it may be another one with this stamp");
        assert!(needs(&position, Stream::Stdout, 8));
        assert!(!needs(&position, Stream::Stdout, 5));
        assert_eq!(admit(&mut position, Stream::Stdout, &[5, 7, 7]), [false, false, true]);
        let late = 10 * DISORDER_NANOS;
        admit(&mut position, Stream::Stderr, &[late]);
        position.reopened(NOW);
        admit(&mut position, Stream::Stdout, &[7]);
        assert!(!needs(&position, Stream::Stderr, late), "the other stream reaches back");
        assert!(!needs(&position, Stream::Stdout, 7), "it is counted");
    }

    #[test]
    fn what_was_taken_before_the_clock_stepped_back_is_not_taken_again_after_it() {
        let mut position = Position::default();
        let future = NOW.nanos() + 1_000;
        let log = [10, future, future + 5, 20, 30];
        admit(&mut position, Stream::Stdout, &log);
        position.reopened(NOW);
        assert_eq!(admit(&mut position, Stream::Stdout, &log), [false; 5]);
        let again = [future + 1, future + 2];
        assert_eq!(admit(&mut position, Stream::Stdout, &again), [true, true], "it stepped again");
    }

    #[test]
    fn a_clock_that_stepped_forward_hides_nothing() {
        let mut position = Position::default();
        let future = NOW.nanos() + 1_000;
        admit(&mut position, Stream::Stdout, &[10]);
        position.reopened(NOW);
        assert_eq!(admit(&mut position, Stream::Stdout, &[10, future]), [false, true]);
    }

    #[test]
    fn a_line_sent_again_right_after_it_is_no_new_one_and_pieces_alike_are() {
        let mut position = Position::default();
        let mut new = |time, text: &[u8]| {
            matches!(position.admit(Stream::Stdout, at(time), text, NOW), Admission::New(_))
        };
        assert!(new(1, b"000001 a line of some length\n"));
        assert!(!new(1, b"000001 a line of some length\n"));
        assert!(!new(1, b"000001 a line of some length\n"));
        assert!(new(1, b"000002 a line of some length\n"), "another one with its stamp");
        assert!(new(2, b"000002 a line of some length\n"), "printed again");
        assert!(new(3, b"piece") && new(3, b"piece") && new(3, b"end\n"));
        assert!(new(4, b"\n") && !new(4, b"\n"));
    }
}
