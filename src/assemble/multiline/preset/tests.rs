use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::assemble::{Assembler, Form, Multiline, Piece};
use crate::record::{ChunkBuilder, Container, Mark, Place, Span, Stream, Timestamp};

/// Stands between the records that are expected of a file.
const BETWEEN: &str = "%%";
const MILLIS: i64 = 1_000_000;
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

struct Trace {
    name: String,
    preset: Preset,
    records: Vec<String>,
}

impl Trace {
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.records.iter().flat_map(|record| record.split('\n'))
    }
}

fn traces() -> Vec<Trace> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/traces");
    let mut traces = Vec::new();
    for (language, preset) in Preset::NAMES.into_iter().filter(|(_, it)| *it != Preset::Auto) {
        let files = fs::read_dir(folder.join(language)).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        assert!(paths.len() >= 3, "{language}");
        for path in paths {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.strip_suffix('\n').unwrap();
            let records = text.split(&format!("\n{BETWEEN}\n")).map(str::to_owned).collect();
            let name = format!("{language}/{}", path.file_name().unwrap().to_str().unwrap());
            traces.push(Trace { name, preset, records });
        }
    }
    traces
}

/// What comes of two logs whose streams take turns, a line each `step` nanoseconds.
fn records(preset: Preset, step: i64, logs: [&[&str]; 2]) -> [Vec<String>; 2] {
    let rule = Multiline::new(Form::Preset(preset), Duration::from_secs(1));
    let mut assembler = Assembler::new(1 << 20).joining(rule);
    let mut out = ChunkBuilder::default();
    let (mut clock, mut position) = (0, 0);
    for number in 0..logs.iter().map(|log| log.len()).max().unwrap_or_default() {
        for (stream, log) in STREAMS.into_iter().zip(logs) {
            let Some(line) = log.get(number) else { continue };
            clock += step;
            let time = Timestamp::from_nanos(clock);
            let start = position;
            position += line.len() as u64 + 60;
            let mark = Mark { time, pieces: 1 };
            let place = Place { time, stream, mark, span: Span::new(start, position) };
            let text = format!("{line}\n");
            assembler.piece(Piece { place, text: text.as_bytes() }, &mut out);
        }
    }
    assembler.flush(&mut out);
    let Some(chunk) = out.take(&Arc::new(Container::default())) else { return Default::default() };
    STREAMS.map(|stream| {
        let of = chunk.lines().iter().filter(|line| line.stream == stream);
        of.map(|line| String::from_utf8_lossy(chunk.text(line)).into_owned()).collect()
    })
}

#[test]
fn traces_of_every_language_come_whole_and_what_is_around_them_by_itself() {
    for trace in traces() {
        let lines: Vec<_> = trace.lines().collect();
        for preset in [trace.preset, Preset::Auto] {
            for step in [MILLIS, 100 * MILLIS] {
                let [got, _] = records(preset, step, [&lines, &[]]);
                assert_eq!(got, trace.records, "{} by {preset:?}", trace.name);
            }
        }
    }
}

#[test]
fn traces_of_two_languages_on_two_streams_do_not_disturb_each_other() {
    let traces = traces();
    for (one, other) in traces.iter().zip(traces.iter().cycle().skip(traces.len() / 2)) {
        let logs = [one, other].map(|trace| trace.lines().collect::<Vec<_>>());
        for step in [MILLIS, 100 * MILLIS] {
            let got = records(Preset::Auto, step, [&logs[0], &logs[1]]);
            assert_eq!(got[0], one.records, "{} beside {}", one.name, other.name);
            assert_eq!(got[1], other.records, "{} beside {}", other.name, one.name);
        }
    }
}

#[test]
fn two_ordinary_lines_are_never_joined() {
    // Each of them below each of them, and below itself.
    let lines = [
        "",
        "ready",
        "2026-11-22 22:40:06 INFO  [main] c.e.Shop - ready",
        "2026-11-22 22:40:06 ERROR [main] c.e.Shop - no order 17",
        "ERROR no order 17",
        "WARN: retrying",
        "Error: no order 17",
        "TypeError",
        "panic: no order 17",
        "fatal error: out of memory",
        "Unhandled exception. Shop.NoOrder: no order 17",
        "Exception in thread \"main\" shop.NoOrder: no order 17",
        "PHP Fatal error:  Uncaught Exception: no order 17 in /app/shop.php:3",
        "PHP Warning:  no order 17 in /app/shop.php on line 3",
        "shop.rb:3:in 'order': no order 17 (ShopError)",
        "#<Thread:0x7f shop.rb:1 run> terminated with exception (report_on_exception is true):",
        "10.0.0.7 - - \"GET /cart/17 HTTP/1.1\" 500 5316",
        "{\"level\":\"error\",\"msg\":\"no order 17\"}",
        "main.go:12: failed to order (17)",
        "/healthz:80",
        "- /app/shop.js",
        "}",
        "Next order",
        "exit status 1",
        "Node.js v20.11.0",
        "Did you mean? 18",
        "[signal SIGTERM]",
        "rax    0x0",
        "main.order(17)",
        "^",
        "--- End of file ---",
    ];
    for (_, preset) in Preset::NAMES {
        for one in lines {
            for other in lines {
                let [got, _] = records(preset, MILLIS, [&[one, other], &[]]);
                let is_allowed = is_part(one, other);
                assert!(got.len() == 2 || is_allowed, "{preset:?}: {got:?}");
            }
        }
    }
}

// Where the second line by itself would be ordinary, but says that it belongs to the first.
fn is_part(one: &str, other: &str) -> bool {
    let go = one.starts_with("panic: ") || one.starts_with("fatal error: ");
    let node = one == "Error: no order 17" || one == "TypeError";
    let ruby = one.starts_with("shop.rb:3") || one.starts_with("#<Thread:");
    let stack = node || one.starts_with("Unhandled") || one.starts_with("Exception in");
    let go_on = ["exit status", "[signal", "fatal error: "];
    go && (go_on.iter().any(|begin| other.starts_with(begin)) || other.is_empty())
        || node && (other.starts_with("Node.js v") || other.is_empty() || other.starts_with("- /"))
        || stack && other.starts_with("--- End of")
        || one.starts_with("shop.rb") && (other.is_empty() || other.starts_with("Did you mean?"))
        || ruby && one.starts_with('#') && other.starts_with("shop.rb")
        || one.starts_with("PHP Fatal") && (other.is_empty() || other == "}")
}

#[test]
fn with_auto_indented_lines_belong_to_a_line_that_tells_of_trouble_and_to_no_other() {
    let lines = ["ERROR no order", "  of customer 17", "\tor 18", " one blank", "INFO x", "  y"];
    let [got, _] = records(Preset::Auto, MILLIS, [&lines, &[]]);
    let wanted = ["ERROR no order\n  of customer 17\n\tor 18", " one blank", "INFO x", "  y"];
    assert_eq!(got, wanted);
    assert_eq!(records(Preset::Java, MILLIS, [&lines, &[]])[0], lines);
}

#[test]
fn what_only_looks_like_a_part_of_a_trace_is_left_alone() {
    for lines in [
        // A timetable, a disk, help, JSON over several lines, the progress of an image's build.
        &["times:", "  at noon: lunch", "  at six (local): dinner", "  else: work"][..],
        &["Disk (sda):", "  size: 5", "", "  used: 3"],
        &["usage: shop [options]", "  --fail-fast  stop at the first", "  --verbose    say more"],
        &["{", "  \"error\": null,", "  \"order\": 17", "}"],
        &["#1 [internal] load build definition", "#1 DONE 0.1s", "#2 note (x): y", "  z"],
        &["Thread (17) at work", "... 5 more"],
    ] {
        for (_, preset) in Preset::NAMES {
            assert_eq!(records(preset, MILLIS, [lines, &[]])[0], lines, "{preset:?}");
        }
    }
}

#[test]
fn a_trace_that_another_language_printed_is_left_alone() {
    let python = ["ERROR x", "Traceback (most recent call last):", "ValueError: y"];
    let [got, _] = records(Preset::Go, MILLIS, [&python, &[]]);
    assert_eq!(got, python);
}

proptest! {
    #[test]
    fn whatever_is_printed_comes_out_once_and_in_order(
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 0..60),
        preset in 0..Preset::NAMES.len(),
    ) {
        let traces = traces();
        let all: Vec<_> = traces.iter().flat_map(Trace::lines).collect();
        let cut = |(index, cut): &(prop::sample::Index, u8)| {
            let line = index.get(&all);
            let end = if *cut == 0 { line.floor_char_boundary(line.len() / 2) } else { line.len() };
            line.get(..end).unwrap()
        };
        let lines: Vec<_> = picks.iter().map(cut).collect();
        let [got, _] = records(Preset::NAMES[preset].1, MILLIS, [&lines, &[]]);
        prop_assert_eq!(got.join("\n"), lines.join("\n"));
    }

    #[test]
    fn no_bytes_make_a_step_fail(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        begin in any::<prop::sample::Index>(),
    ) {
        let traces = traces();
        let all: Vec<_> = traces.iter().flat_map(Trace::lines).collect();
        let mut above = begin.get(&all).as_bytes();
        let mut open = Preset::Auto.step(None, above).open;
        for line in &lines {
            open = Preset::Auto.step(open.map(|state| (state, above)), line).open;
            above = line;
        }
    }
}
