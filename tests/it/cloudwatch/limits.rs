//! F24: whatever lines are like, no call breaks a limit, and what comes can be put together again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{DESTINATION, GROUP, aimed, dropped};
use crate::support::agent::{Launch, Strategy};
use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::fake_engine::{FakeEngine, Release, now};
use crate::support::numbers::Stream;
use crate::support::random::Random;
use crate::support::{SOON, check};

const MILLISECOND: i64 = 1_000_000;
const MINUTE: i64 = 60_000 * MILLISECOND;
const DAY: i64 = 1440 * MINUTE;
/// Where the engine cuts a line.
const PIECE_BYTES: usize = 16 * 1024;
const CONTAINERS: usize = 3;

/// A line: its stamp, of a millisecond of its own, and its bytes.
struct Printed {
    millis: i64,
    bytes: Vec<u8>,
}

fn bytes(random: &mut Random, seed: usize) -> Vec<u8> {
    let length = match random.below(60) {
        0..=4 => 0,
        5 => 1_048_550 - 2 + random.below(5),
        6 => 500_000 + random.below(2_500_000),
        7..=9 => 16_300 + random.below(200),
        _ => random.below(400),
    };
    let alphabet: [&[u8]; 5] = [
        b"abcdefghijklmnopqrstuvwxyz ",
        "äöü€😀 \"\\\u{1}\t".as_bytes(),
        b"\xff\xfe\x80\xc3\xe2\x82 a",
        b"[]{},:\"\\/",
        b"0123456789abcdef",
    ];
    let alphabet = alphabet[(random.below(5) + seed) % 5];
    let start = random.below(alphabet.len());
    // In the engine's files such a byte becomes three, and no line is to be too long for one.
    let length = if alphabet.is_ascii() { length } else { length.min(1_300_000) };
    (start..start + length).map(|at| alphabet[at % alphabet.len()]).collect()
}

// Backwards and forwards, from thirteen days ago to now; no two of the same millisecond.
fn next_stamp(random: &mut Random, stamp: i64, taken: &BTreeMap<i64, usize>) -> i64 {
    let (first, last) = (now() - 13 * DAY, now());
    let step = |limit: usize| i64::try_from(limit).unwrap();
    let mut stamp = match random.below(20) {
        0 => stamp - step(random.below(600)) * MINUTE,
        1 => stamp + step(random.below(3000)) * MINUTE,
        2..=4 => stamp - step(random.below(50)) * MILLISECOND,
        _ => stamp + step(random.below(200)) * MILLISECOND,
    };
    if stamp < first || stamp > last {
        stamp = first + step(random.below(12 * 1440)) * MINUTE;
    }
    while taken.contains_key(&(stamp / MILLISECOND)) {
        stamp += MILLISECOND;
    }
    stamp
}

fn printed(random: &mut Random, seed: usize, strategy: Strategy) -> Vec<Printed> {
    let mut taken = BTreeMap::new();
    let (mut stamp, mut total) = (now() - 10 * DAY, 0);
    let mut lines = Vec::new();
    for at in 0..300 {
        if total > 4_000_000 {
            break;
        }
        let bytes = bytes(random, seed);
        total += bytes.len();
        let next = next_stamp(random, stamp, &taken);
        // Through the engine, what is stamped earlier than the line before has been read before.
        stamp = if strategy == Strategy::Api && next < stamp { stamp + MILLISECOND } else { next };
        taken.insert(stamp / MILLISECOND, at);
        lines.push(Printed { millis: stamp / MILLISECOND, bytes });
    }
    lines
}

// What came of each stamp, put together, in the order in which it began to come.
fn joined(service: &FakeCloudWatch, stream: &str) -> Vec<(i64, String)> {
    let mut lines: Vec<(i64, String)> = Vec::new();
    let mut places = BTreeMap::new();
    service.with(|contents| {
        for event in contents.events(GROUP, stream) {
            let place = *places.entry(event.timestamp).or_insert(lines.len());
            if place == lines.len() {
                lines.push((event.timestamp, String::new()));
            }
            lines[place].1 += &event.message;
        }
    });
    lines
}

#[track_caller]
fn assert_same(
    wanted: &[Printed],
    came: &[(i64, String)],
    (seed, text_of): (&str, fn(&[u8]) -> String),
) {
    let places: BTreeMap<_, _> =
        came.iter().enumerate().map(|(place, (millis, _))| (*millis, place)).collect();
    let mut kept = Vec::new();
    for Printed { millis, bytes } in wanted.iter().filter(|line| !line.bytes.is_empty()) {
        let place = places.get(millis).unwrap_or_else(|| panic!("{seed}: {millis} is lost"));
        let text = text_of(bytes);
        let same = came[*place].1 == text;
        let (was, is) = (text.len(), came[*place].1.len());
        assert!(same, "{seed}: {millis} is not what it was: {was} bytes, {is} came");
        kept.push((*millis, *place));
    }
    assert_eq!(kept.len(), came.len(), "{seed}: events that nobody printed");
    for (at, (millis, place)) in kept.iter().enumerate() {
        // Who was printed later and is not stamped earlier comes later.
        let wrong = kept[at + 1..].iter().find(|(other, behind)| other >= millis && behind < place);
        assert!(wrong.is_none(), "{seed}: {wrong:?} came before {millis}");
    }
}

// As the engine cuts lines, but never within a character: its JSON has no halves.
fn pieces(line: &[u8]) -> Vec<Arc<[u8]>> {
    let mut rest = [line, b"\n"].concat();
    let mut pieces = Vec::new();
    while rest.len() > PIECE_BYTES {
        let cut = rest[..PIECE_BYTES].iter().rposition(u8::is_ascii).unwrap();
        let after = rest.split_off(cut);
        pieces.push(std::mem::replace(&mut rest, after).into());
    }
    pieces.push(rest.into());
    pieces
}

// In the engine's files every byte that belongs to no character is one that is unknown.
fn text_in_file(bytes: &[u8]) -> String {
    let chunks = bytes.utf8_chunks();
    chunks
        .map(|chunk| chunk.valid().to_owned() + &"\u{fffd}".repeat(chunk.invalid().len()))
        .collect()
}

// Where the agent itself has to make text of bytes.
fn text_in_stream(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn any_mix(seed: u64, strategy: Strategy) {
    let service = FakeCloudWatch::start();
    let text_of = if strategy == Strategy::File { text_in_file } else { text_in_stream };
    let engine = match strategy {
        Strategy::File => FakeEngine::with_files(Release::V24),
        Strategy::Api => FakeEngine::start(Release::V24),
    };
    let mut random = Random(seed);
    let logs: Vec<_> = (0..CONTAINERS)
        .map(|number| {
            let container = engine.container(&format!("web-{number}"));
            let lines = printed(&mut random, number, strategy);
            for Printed { millis, bytes } in &lines {
                let record = |piece| (Stream::Out, millis * MILLISECOND, piece);
                container.append(pieces(bytes).into_iter().map(record));
            }
            (container.name.clone(), lines)
        })
        .collect();
    let agent = aimed(Launch::new().strategy(strategy), &service, "")
        .env("DOCKER_HOST", engine.docker_host())
        .env("DOWNSPOUT_BACKLOG", "true")
        .env("DOWNSPOUT_MAX_LINE_BYTES", "4MiB")
        .env("DOWNSPOUT_MEMORY_LIMIT", "96MiB")
        .ready();
    for (name, lines) in &logs {
        let wanted: usize = lines.iter().map(|line| text_of(&line.bytes).len()).sum();
        service.wait("all text comes", 2 * SOON, |contents| {
            let came = contents.events(GROUP, name).iter().map(|event| event.message.len());
            let came: usize = came.sum();
            check(came >= wanted, || format!("{came} of {wanted} bytes of {name}"))
        });
    }
    agent.assert_balance(DESTINATION);
    service.assert_no_bad_request();
    let mut empty = 0;
    for (name, lines) in &logs {
        let case = format!("seed {seed}, {name}");
        assert_same(lines, &joined(&service, name), (&case, text_of));
        empty += lines.iter().filter(|line| line.bytes.is_empty()).count() as u64;
    }
    assert_eq!(dropped(&agent, "empty"), empty);
    let dropped = agent.metrics().of("lines_dropped_total", DESTINATION);
    assert_eq!(dropped, empty, "nothing else is dropped");
}

#[test]
fn f24_no_mix_of_sizes_bytes_and_stamps_breaks_a_limit_or_the_order_by_file() {
    for seed in [1, 23, 4711, 0x5eed, 987_654_321] {
        any_mix(seed, Strategy::File);
    }
}

#[test]
fn f24_no_mix_of_sizes_bytes_and_spans_breaks_a_limit_or_the_order_by_api() {
    for seed in [2, 31, 0xfeed] {
        any_mix(seed, Strategy::Api);
    }
}

#[test]
fn f24_many_short_lines_fill_batches_and_break_no_limit() {
    let service = FakeCloudWatch::start();
    let mut agent = aimed(Launch::fed(), &service, "&flush=1s").ready();
    let lines: String = (1..=45_000).map(|number| format!("web stdout {number}\n")).collect();
    agent.feed(&lines);
    let texts = service.wait("all lines come", 2 * SOON, |contents| {
        let texts = contents.texts(GROUP, "web");
        check(texts.len() >= 45_000, || texts.len().to_string()).map(|()| texts)
    });
    let wanted: Vec<_> = (1..=45_000).map(|number| number.to_string()).collect();
    assert!(texts == wanted, "every line once and in order");
    agent.assert_balance(DESTINATION);
    service.assert_no_bad_request();
    let most = service.with(|contents| contents.calls.iter().map(|call| call.events).max());
    assert_eq!(most, Some(10_000));
}

#[test]
fn empty_lines_are_sent_as_a_space_where_that_is_wanted() {
    let service = FakeCloudWatch::start();
    let mut agent = aimed(Launch::fed(), &service, "&empty_lines=space").ready();
    agent.feed("web stdout a\nweb stdout \nweb stdout b\n");
    let texts = service.wait("three events", SOON, |contents| {
        let texts = contents.texts(GROUP, "web");
        check(texts.len() == 3, || format!("{texts:?}")).map(|()| texts)
    });
    assert_eq!(texts, ["a", " ", "b"]);
    agent.assert_balance(DESTINATION);
    service.assert_no_bad_request();
}
