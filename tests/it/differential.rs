//! The same logs read from the engine's files and through its API: every line, its stream, its
//! stamp and its bytes are the same. What is printed is random, but the same at every run.

use std::fs;
use std::path::Path;

use crate::support::agent::{Agent, Launch, Strategy};
use crate::support::engine::{Engine, Start};
use crate::support::numbers::Stream;
use crate::support::{SOON, check, until};

/// Where the engine cuts a line.
const PIECE_BYTES: usize = 16 * 1024;
/// What a stream ends with; no line feed follows.
const END: &str = "the end";

/// A line as an agent gives it out: its stamp to the nanosecond, and its text.
type Line = (String, String);

/// Random numbers by Knuth's generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from((self.0 >> 33) % limit as u64).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// A line that a reader may stumble over, without line feeds.
    fn line(&mut self) -> Vec<u8> {
        const PARTS: [&[u8]; 22] = [
            b"plain text ",
            b"\"",
            b"\\",
            b"\\u0041",
            b"\\n",
            b"<>&",
            b"\r",
            b"\t",
            b"\0",
            b"\x1b[0m",
            b"\x7f",
            "é".as_bytes(),
            "漢".as_bytes(),
            "\u{1f600}".as_bytes(),
            "\u{2028}\u{2029}".as_bytes(),
            "\u{fffd}".as_bytes(),
            b"\xff",
            b"\xc3",
            b"\xed\xa0\x80",
            b"\xf0\x9f\x98",
            b"\",\"stream\":\"stderr\",\"time\":\"2026-01-01T00:00:00Z\"}",
            b"{\"log\":\"",
        ];
        match self.below(12) {
            0 => Vec::new(),
            1 => (0..=255).filter(|byte| *byte != b'\n').collect(),
            2 => (0..self.below(300)).map(|_| self.byte()).collect(),
            _ => (0..self.below(30)).flat_map(|_| self.pick(&PARTS).to_vec()).collect(),
        }
    }

    fn byte(&mut self) -> u8 {
        let byte = u8::try_from(self.below(256)).unwrap();
        if byte == b'\n' { b' ' } else { byte }
    }

    /// A line around the length at which the engine cuts, made of `part` over and over.
    fn long_line(&mut self, part: &[u8]) -> Vec<u8> {
        let lengths = [&PIECE_BYTES, &(PIECE_BYTES - 1), &(PIECE_BYTES + 1), &40_000];
        part.iter().cycle().take(*self.pick(&lengths)).copied().collect()
    }
}

/// What a container prints on one stream: `count` lines, some of them long, and the last without
/// an end. Through the API, a terminal's long lines can be told only if every byte is a character.
fn printed(seed: u64, count: usize, terminal: bool) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let parts: &[&[u8]] = if terminal {
        &[b"x", b"long line "]
    } else {
        &[b"x", b"\0", b"\xff", b"\"", "é".as_bytes(), "漢".as_bytes(), b"a\r"]
    };
    let mut line = |at: usize| match at % 20 {
        7 => {
            let part = random.pick(parts);
            random.long_line(part)
        }
        _ => random.line(),
    };
    let mut lines: Vec<_> = (0..count).map(&mut line).collect();
    lines.push(END.into());
    lines
}

/// The files that the script prints: as many lines in each as `per_file` says, so that the names
/// rise.
fn write_files(folder: &Path, stream: &str, lines: &[Vec<u8>], per_file: usize) {
    for (number, lines) in lines.chunks(per_file).enumerate() {
        let text = lines.join(&b'\n');
        let is_last = lines.last().is_some_and(|line| line == END.as_bytes());
        let end: &[u8] = if is_last { b"" } else { b"\n" };
        fs::write(folder.join(format!("{stream}-{number:04}")), [&text, end].concat()).unwrap();
    }
}

/// A container that prints generated lines on both streams at the same time, a file of them and
/// then a pause.
struct Printer {
    name: String,
    out: Vec<Vec<u8>>,
    terminal: bool,
    _folder: tempfile::TempDir,
}

impl Printer {
    fn start(start: Start, seed: u64, terminal: bool, pause_micros: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = printed(seed, 240, terminal);
        let per_file = if pause_micros > 0 { 8 } else { 1000 };
        write_files(folder.path(), "out", &out, per_file);
        write_files(folder.path(), "err", &printed(seed + 1, 240, terminal), per_file);
        let pause = if pause_micros > 0 { format!("usleep {pause_micros}") } else { ":".into() };
        let script = format!(
            "for file in /data/err-*; do cat $file; {pause}; done >&2 & \
             for file in /data/out-*; do cat $file; {pause}; done; wait"
        );
        let start = start.option(&format!("--volume={}:/data:ro", folder.path().display()));
        let start = if terminal { start.option("--tty") } else { start };
        Self { name: start.run(&script), out, terminal, _folder: folder }
    }

    /// What an agent has given out of one stream; complete once both streams have ended.
    #[track_caller]
    fn wait_lines(&self, agent: &Agent) -> [Vec<Line>; 2] {
        until(&format!("{} is read to its end", self.name), 2 * SOON, || {
            let lines = lines_of(&agent.output(), &self.name);
            let ends = |lines: &[Line]| lines.iter().filter(|line| line.1.contains(END)).count();
            let ended: usize = lines.iter().map(|lines| ends(lines)).sum();
            check(ended == 2, || format!("{} and {} lines", lines[0].len(), lines[1].len()))?;
            Ok(lines)
        })
    }
}

// The container's lines by stream.
fn lines_of(output: &str, container: &str) -> [Vec<Line>; 2] {
    let mut lines = [Vec::new(), Vec::new()];
    for line in output.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let fields: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| fields[name].as_str().unwrap().to_owned();
        if field("container") == container {
            let stream = usize::from(field("stream") == "stderr");
            lines[stream].push((field("time"), field("line")));
        }
    }
    lines
}

fn agent(strategy: Strategy) -> Agent {
    let launch = Launch::new().strategy(strategy).env("DOWNSPOUT_BACKLOG", "true");
    launch.env("DOWNSPOUT_PROBE_AFTER", "1s").arg("stdout://?format=json").ready()
}

// Both agents gave out the same, and what a terminal cannot change is what was printed.
#[track_caller]
fn assert_same(printer: &Printer, agents: &[Agent; 2]) {
    let [by_file, by_api] = agents.each_ref().map(|agent| printer.wait_lines(agent));
    for (stream, (by_file, by_api)) in by_file.iter().zip(&by_api).enumerate() {
        let differ = by_file.iter().zip(by_api).position(|(file, api)| file != api);
        let brief = |lines: &[Line], at: usize| {
            lines
                .get(at)
                .map(|(time, text)| format!("{time} {:.200?} ({} bytes)", text, text.len()))
        };
        if let Some(at) = differ {
            let (file, api) = (brief(by_file, at), brief(by_api, at));
            panic!(
                "line {at} of {} ({stream}):\n by file {file:?}\n by api  {api:?}",
                printer.name
            );
        }
        assert_eq!(by_file.len(), by_api.len(), "{} ({stream})", printer.name);
    }
    if printer.terminal {
        return;
    }
    let out = &by_file[Stream::Out as usize];
    assert_eq!(out.len(), printer.out.len());
    for ((_, came), printed) in out.iter().zip(&printer.out) {
        // json-file replaces each byte that is no character by U+FFFD.
        let is_text = std::str::from_utf8(printed).is_ok() && printed.len() < PIECE_BYTES;
        assert!(!is_text || came.as_bytes() == printed, "{came:?}");
    }
    assert!(out.is_sorted_by_key(|(time, _)| time), "the order of {}", printer.name);
}

#[track_caller]
fn end(agents: [Agent; 2]) {
    for (agent, strategy) in agents.into_iter().zip([Strategy::File, Strategy::Api]) {
        agent.assert_read_by(strategy);
        assert_eq!(agent.metrics().value("log_bytes_garbled_total"), 0);
        assert_eq!(agent.terminate().code, Some(0));
    }
}

fn rotating(start: Start, compress: bool) -> Start {
    let start = start.option("--log-opt=max-size=100k").option("--log-opt=max-file=50");
    start.option(&format!("--log-opt=compress={compress}"))
}

// How many files there are of a container's log, and how many of them are compressed.
fn files(name: &str) -> (usize, usize) {
    let log = Engine::docker(&["inspect", "--format", "{{.LogPath}}", name]);
    let folder = fs::read_dir(Path::new(&log).parent().unwrap()).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let logs: Vec<_> = names.filter(|name| name.contains("-json.log")).collect();
    (logs.len(), logs.iter().filter(|name| name.ends_with(".gz")).count())
}

#[test]
fn logs_at_rest_are_the_same_by_file_and_by_api() {
    let engine = Engine::new("rest");
    let start = |name: &str| engine.container(name);
    let printers = [
        Printer::start(start("whole"), 1, false, 0),
        Printer::start(rotating(start("plain"), false), 3, false, 0),
        Printer::start(rotating(start("compressed"), true), 5, false, 0),
        Printer::start(start("tty"), 7, true, 0),
        Printer::start(rotating(start("tty-plain"), false), 9, true, 0),
        Printer::start(rotating(start("tty-compressed"), true), 11, true, 0),
    ];
    for printer in &printers {
        assert_eq!(Engine::wait(&printer.name), "0");
    }
    let [whole, plain, compressed, ..] = printers.each_ref().map(|printer| files(&printer.name));
    assert_eq!(whole, (1, 0));
    assert!(plain.0 > 5 && plain.1 == 0, "{plain:?}");
    assert!(compressed.0 > 5 && compressed.1 > 4, "{compressed:?}");
    let agents = [agent(Strategy::File), agent(Strategy::Api)];
    for printer in &printers {
        assert_same(printer, &agents);
    }
    end(agents);
}

#[test]
fn logs_that_are_being_written_are_the_same_by_file_and_by_api() {
    let engine = Engine::new("live");
    let agents = [agent(Strategy::File), agent(Strategy::Api)];
    let start = |name: &str| engine.container(name);
    // Engine 20.10 loses what it is asked for while it is rotated faster.
    const PAUSE_MICROS: u32 = 150_000;
    let printers = [
        Printer::start(start("whole"), 21, false, PAUSE_MICROS),
        Printer::start(rotating(start("plain"), false), 23, false, PAUSE_MICROS),
        Printer::start(rotating(start("compressed"), true), 25, false, PAUSE_MICROS),
        Printer::start(rotating(start("tty"), false), 27, true, PAUSE_MICROS),
    ];
    for printer in &printers {
        assert_same(printer, &agents);
    }
    end(agents);
}
