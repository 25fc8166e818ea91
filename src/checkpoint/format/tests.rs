//! Oracle: the snapshot that was written, less the lines that were touched.

use proptest::prelude::*;

use super::*;
use crate::checkpoint::model::snapshots;

/// What the untouched lines of `snapshot`'s file stand for. Lines count from 0, the first one.
fn without(snapshot: &Snapshot, touched: impl Fn(usize) -> bool) -> Snapshot {
    let mut left = Snapshot::new();
    let mut line = 0;
    let mut is_touched = || {
        line += 1;
        touched(line)
    };
    for (name, kept) in snapshot {
        if !is_touched() {
            left.entry(name.clone()).or_default().since = kept.since;
        }
    }
    for (name, kept) in snapshot {
        for (id, resume) in &kept.logs {
            if !is_touched() {
                let of = left.entry(name.clone()).or_default();
                of.since = kept.since;
                of.logs.insert(id.clone(), *resume);
            }
        }
    }
    left
}

fn lines_in(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

/// True if all of `some` is in `all`, and the same there.
fn is_part(some: &Snapshot, all: &Snapshot) -> bool {
    some.iter().all(|(name, kept)| {
        all.get(name).is_some_and(|other| {
            let mut logs = kept.logs.iter();
            other.since == kept.since && logs.all(|(id, log)| other.logs.get(id) == Some(log))
        })
    })
}

/// Flips one bit: all other lines must survive, and nothing may come that was not there.
fn flip(snapshot: &Snapshot, at: usize, bit: u32) {
    let mut bytes = text(snapshot).into_bytes();
    let line = lines_in(&bytes[..at]);
    bytes[at] ^= 1 << bit;
    let reading = read(&bytes);
    let expected = without(snapshot, |number| number == line);
    assert!(is_part(&expected, &reading.snapshot), "byte {at}, bit {bit}: lost more than {line}");
    assert!(is_part(&reading.snapshot, snapshot), "byte {at}, bit {bit}: invented something");
    assert!(reading.lost <= 2, "byte {at}, bit {bit}");
    // In the first line it may look like another version.
    assert!(line == 0 || !reading.intact(), "byte {at}, bit {bit}: not noticed");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(snapshot in snapshots()) {
        let reading = read(text(&snapshot).as_bytes());
        prop_assert!(reading.intact(), "{reading:?}");
        prop_assert_eq!(reading.version, Some(VERSION));
        prop_assert_eq!(reading.snapshot, snapshot);
    }

    #[test]
    fn a_flipped_bit_costs_the_line_that_it_is_in(
        snapshot in snapshots(), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let length = text(&snapshot).len();
        flip(&snapshot, at.index(length), bit);
    }

    #[test]
    fn a_file_that_was_cut_short_gives_all_lines_before_the_cut(
        snapshot in snapshots(), at in any::<prop::sample::Index>(),
    ) {
        let whole = text(&snapshot).into_bytes();
        let at = at.index(whole.len());
        let lines = lines_in(&whole[..at]);
        let reading = read(&whole[..at]);
        let expected = without(&snapshot, |number| number >= lines);
        prop_assert!(is_part(&expected, &reading.snapshot), "lost something before the cut");
        prop_assert!(is_part(&reading.snapshot, &snapshot), "invented something");
        // Of a file that lacks only its last line end nothing is lost.
        prop_assert!(at + 1 == whole.len() || !reading.intact(), "not noticed");
    }

    #[test]
    fn a_block_of_zeros_costs_the_lines_that_it_is_in(
        snapshot in snapshots(), from in any::<prop::sample::Index>(), count in 1..600_usize,
    ) {
        let mut bytes = text(&snapshot).into_bytes();
        let from = from.index(bytes.len());
        let to = bytes.len().min(from + count);
        let line = |at: usize| lines_in(&bytes[..at]);
        // A block that ends with a line end takes the start of the next line along.
        let (first, last) = (line(from), line(to));
        bytes[from..to].fill(0);
        let reading = read(&bytes);
        let expected = without(&snapshot, |number| (first..=last).contains(&number));
        prop_assert!(is_part(&expected, &reading.snapshot), "lost more than {first} to {last}");
        prop_assert!(is_part(&reading.snapshot, &snapshot), "invented something");
    }

    #[test]
    fn any_bytes_at_all_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let reading = read(&bytes);
        prop_assert!(reading.snapshot.is_empty());
        prop_assert!(!reading.intact());
    }
}

#[test]
fn no_bit_of_a_whole_file_costs_more_than_its_line() {
    let mut cursor = Cursor::default();
    cursor.advance(Stream::Stdout, Mark { time: Timestamp::from_nanos(1 << 60), pieces: 1 });
    let resume = Resume { floor: None, cursor };
    let logs = [("0a".to_owned(), resume), ("0b".to_owned(), Resume::default())].into();
    let kept = Kept { since: Timestamp::from_nanos(1 << 59), logs };
    let snapshot = [("tcp://a".to_owned(), kept.clone()), ("tcp://b".to_owned(), kept)].into();
    for at in 0..text(&snapshot).len() {
        (0..8).for_each(|bit| flip(&snapshot, at, bit));
    }
}

fn signed(line: &str) -> String {
    format!("{line} crc={:08x}\n", crc32(line.as_bytes()))
}

#[test]
fn the_file_looks_as_it_is_documented() {
    let mut cursor = Cursor::default();
    cursor.advance(Stream::Stderr, Mark { time: Timestamp::from_nanos(40), pieces: 2 });
    cursor.set_open(Some(Timestamp::from_nanos(30)));
    let file = FileId { inode: 8, first: Timestamp::from_nanos(21) };
    cursor.set_file(Some(FilePlace { file, offset: 700, look_from: 600 }));
    let resume = Resume { floor: Some(Timestamp::from_nanos(20)), cursor };
    let kept =
        Kept { since: Timestamp::from_nanos(10), logs: [("0a1b".to_owned(), resume)].into() };
    let expected = [
        "downspout checkpoint 1\n".to_owned(),
        signed("destination name=tcp://a%20b%25 since=10"),
        signed(
            "log destination=tcp://a%20b%25 since=10 container=0a1b floor=20 stderr=40:2 open=30 \
             file=8:21:700:600",
        ),
        signed("end lines=2"),
    ];
    assert_eq!(text(&[("tcp://a b%".to_owned(), kept)].into()), expected.concat());
}

#[test]
fn a_file_of_a_newer_agent_gives_what_is_understood() {
    let file = [
        "downspout checkpoint 7\n".to_owned(),
        signed("folder path=/x"),
        signed("destination name=a colour=red since=10"),
        signed("log destination=a since=10 container=c stdout=5:1 offset=77 file=odd floor=3"),
        signed("end lines=3 more=yes"),
    ];
    let reading = read(file.concat().as_bytes());
    assert_eq!(reading.version, Some(7));
    assert!(reading.intact(), "{reading:?}");
    let kept = &reading.snapshot["a"];
    assert_eq!(kept.since, Timestamp::from_nanos(10));
    let mark = Mark { time: Timestamp::from_nanos(5), pieces: 1 };
    assert_eq!(kept.logs["c"].cursor.mark(Stream::Stdout), Some(mark));
    assert_eq!(kept.logs["c"].floor, Some(Timestamp::from_nanos(3)));
}

#[test]
fn a_destination_whose_line_is_lost_keeps_its_true_start_by_its_logs() {
    let file = [
        "downspout checkpoint 1\n".to_owned(),
        signed("destination name=a since=10").replace("name=a", "name=b"),
        signed("log destination=a since=10 container=c stdout=50:1"),
        signed("end lines=2"),
    ];
    let reading = read(file.concat().as_bytes());
    assert_eq!(reading.lost, 1);
    assert_eq!(reading.snapshot.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(reading.snapshot["a"].since, Timestamp::from_nanos(10));
}

#[test]
fn a_line_that_lacks_what_it_must_have_is_lost_and_said_so() {
    for line in [
        "destination since=10",
        "destination name=a",
        "destination name=%FF since=10",
        "destination name=%4 since=10",
        "log destination=a since=10",
        "log destination=a container=c",
        "log destination=a since=10 container=c stdout=7",
        "log destination=a since=10 container=c floor=x",
    ] {
        let file = ["downspout checkpoint 1\n".to_owned(), signed(line), signed("end lines=1")];
        let reading = read(file.concat().as_bytes());
        assert_eq!((reading.lost, reading.snapshot.len()), (1, 0), "{line}");
        assert!(reading.whole() && !reading.intact(), "{line}");
    }
}
