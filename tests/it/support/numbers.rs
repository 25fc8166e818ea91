//! Numbered lines: how they are printed, and the count of what became of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use super::receiver::Frame;

/// The stream a line was printed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// As the replay source and the JSON format call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

/// The text of line `number`: at least 8 bytes, and the stream is part of it.
pub fn text(stream: Stream, number: u64, width: usize) -> String {
    let mut text = format!("{number:06} {}", if stream == Stream::Out { 'o' } else { 'e' });
    text.extend(std::iter::repeat_n('x', width.saturating_sub(text.len())));
    text
}

/// A shell command that prints the lines of `numbers` on one stream.
pub fn printing(stream: Stream, numbers: &RangeInclusive<u64>, width: usize) -> String {
    let filling = "x".repeat(width.saturating_sub(8));
    let (letter, place) = match stream {
        Stream::Out => ('o', ""),
        Stream::Err => ('e', " >&2"),
    };
    let (first, last) = (numbers.start(), numbers.end());
    format!(
        "awk 'BEGIN{{for(i={first};i<={last};i++)printf \"%06d {letter}{filling}\\n\",i}}'{place}"
    )
}

/// Which numbered lines must arrive.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    width: usize,
    lines: BTreeMap<(String, Stream), RangeInclusive<u64>>,
}

impl Expected {
    /// Nothing yet; lines are `width` bytes long.
    pub fn new(width: usize) -> Self {
        Self { width, lines: BTreeMap::new() }
    }

    /// The same numbers from `containers` containers called `PREFIX-1`… on both streams, as many
    /// on each.
    pub fn of_containers(prefix: &str, containers: usize, per_stream: u64, width: usize) -> Self {
        let mut expected = Self::new(width);
        for container in 1..=containers {
            for stream in [Stream::Out, Stream::Err] {
                expected.add(&format!("{prefix}-{container}"), stream, 1..=per_stream);
            }
        }
        expected
    }

    /// Adds the lines of one stream of one container.
    pub fn add(&mut self, container: &str, stream: Stream, numbers: RangeInclusive<u64>) {
        self.lines.insert((container.to_owned(), stream), numbers);
    }

    /// How many lines there are.
    pub fn count(&self) -> u64 {
        self.lines.values().map(|numbers| numbers.end() + 1 - numbers.start()).sum()
    }

    /// The lines as the replay source reads them, the containers taking turns.
    pub fn replay(&self) -> String {
        let longest = self.lines.values().map(|numbers| *numbers.end()).max().unwrap_or(0);
        let mut replay = String::new();
        for number in 1..=longest {
            for ((container, stream), numbers) in &self.lines {
                if numbers.contains(&number) {
                    let text = text(*stream, number, self.width);
                    writeln!(replay, "{container} {} {text}", stream.name()).unwrap();
                }
            }
        }
        replay
    }

    /// The lines as a file for the replay source; it goes when the value goes.
    pub fn replay_file(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.replay()).unwrap();
        file
    }

    /// Counts what arrived. Frames of other containers are passed over: an agent on a real engine
    /// ships what other tests print as well.
    pub fn tally<'a>(&self, frames: impl IntoIterator<Item = &'a Frame>) -> Tally {
        let mut count = Count::of(self);
        for frame in frames {
            match frame.rfc5424() {
                Some(record) => {
                    let lossy = || frame.lossy();
                    count.take((record.container, record.stream), record.text, lossy);
                }
                None => count.tally.garbled.push(frame.lossy()),
            }
        }
        count.finish()
    }

    /// The same of lines without frames, each with its container, and with its stream if that is
    /// known: the text says it as well.
    pub fn tally_lines<'a>(
        &self,
        lines: impl IntoIterator<Item = (&'a str, Option<Stream>, &'a [u8])>,
    ) -> Tally {
        let mut count = Count::of(self);
        for (container, stream, line) in lines {
            let own = if line.get(7) == Some(&b'e') { Stream::Err } else { Stream::Out };
            let lossy = || String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
            count.take((container, stream.unwrap_or(own)), line, lossy);
        }
        count.finish()
    }
}

/// A count that is being made.
struct Count<'a> {
    width: usize,
    seen: BTreeMap<(&'a str, Stream), Seen>,
    tally: Tally,
}

impl<'a> Count<'a> {
    fn of(expected: &'a Expected) -> Self {
        let lines = expected.lines.iter();
        let seen = lines
            .map(|((container, stream), numbers)| {
                ((container.as_str(), *stream), Seen::of(numbers))
            })
            .collect();
        let tally = Tally { expected: expected.count(), ..Tally::default() };
        Self { width: expected.width, seen, tally }
    }

    fn take(&mut self, of: (&'a str, Stream), line: &[u8], lossy: impl FnOnce() -> String) {
        let Some(seen) = self.seen.get_mut(&of) else {
            return;
        };
        let number = std::str::from_utf8(line).ok().and_then(|line| {
            let number = line.get(..6)?.trim_start_matches('0').parse().ok()?;
            (text(of.1, number, self.width) == line).then_some(number)
        });
        match number {
            Some(number) => seen.take(number, &mut self.tally),
            None => self.tally.garbled.push(lossy()),
        }
    }

    fn finish(mut self) -> Tally {
        for ((container, stream), seen) in self.seen {
            let missing = seen.times.iter().enumerate().filter(|(_, times)| **times == 0);
            let name =
                |(at, _)| format!("{container} {} {}", stream.name(), seen.first + at as u64);
            self.tally.lost.extend(missing.map(name));
        }
        self.tally
    }
}

/// How often each number of one stream came.
struct Seen {
    first: u64,
    times: Vec<u32>,
    highest: u64,
}

impl Seen {
    fn of(numbers: &RangeInclusive<u64>) -> Self {
        let count = usize::try_from(numbers.end() + 1 - numbers.start()).unwrap();
        Self { first: *numbers.start(), times: vec![0; count], highest: 0 }
    }

    fn take(&mut self, number: u64, tally: &mut Tally) {
        let place = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let Some(times) = place.and_then(|at| self.times.get_mut(at)) else {
            tally.unexpected += 1;
            return;
        };
        *times += 1;
        if *times > 1 {
            tally.repeated += 1;
        } else if number < self.highest {
            tally.reordered += 1;
        }
        self.highest = self.highest.max(number);
    }
}

/// What became of the lines.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// How many lines there are.
    pub expected: u64,
    /// `CONTAINER STREAM NUMBER` of lines that never came.
    pub lost: Vec<String>,
    /// Frames whose number had come before.
    pub repeated: u64,
    /// Numbers that came for the first time after a higher one.
    pub reordered: u64,
    /// Frames with a number outside of what was expected.
    pub unexpected: u64,
    /// Frames that are not byte for byte an expected line.
    pub garbled: Vec<String>,
}

impl Tally {
    /// `Ok` once nothing is lost.
    pub fn complete(&self) -> Result<(), String> {
        super::check(self.lost.is_empty(), || self.to_string())
    }

    /// Nothing lost, reordered, garbled or unexpected, and at most `repeats` repeated.
    #[track_caller]
    pub fn assert_at_most_repeated(&self, repeats: u64) {
        let sound = self.lost.is_empty()
            && self.garbled.is_empty()
            && self.reordered == 0
            && self.unexpected == 0
            && self.repeated <= repeats;
        assert!(sound, "with at most {repeats} repeated: {self}");
    }

    /// Every line exactly once and in order.
    #[track_caller]
    pub fn assert_complete(&self) {
        self.assert_at_most_repeated(0);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let few = |names: &[String]| names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        write!(
            f,
            "of {} lines {} lost ({}), {} repeated, {} reordered, {} unexpected, {} garbled ({})",
            self.expected,
            self.lost.len(),
            few(&self.lost),
            self.repeated,
            self.reordered,
            self.unexpected,
            self.garbled.len(),
            few(&self.garbled),
        )
    }
}

#[test]
fn the_count_sees_losses_repeats_inversions_and_damage() {
    let mut expected = Expected::new(20);
    expected.add("web-1", Stream::Out, 1..=5);
    let frame = |number: u64, end: &str| {
        let line = text(Stream::Out, number, 20);
        Frame::new(format!("<14>1 2026-01-01T00:00:00Z h web-1 abc - - {line}{end}").into_bytes())
    };
    let frames =
        [frame(1, ""), frame(3, ""), frame(2, ""), frame(3, ""), frame(4, "y"), frame(6, "")];
    let tally = expected.tally(&frames);
    assert_eq!(tally.lost, ["web-1 stdout 4", "web-1 stdout 5"], "{tally}");
    let counts = (tally.repeated, tally.reordered, tally.unexpected, tally.garbled.len());
    assert_eq!(counts, (1, 1, 1, 1), "{tally}");
}
