//! The same logs read from the engine's files and through its API: every line, its stream, its
//! stamp and its bytes are the same. What is printed is random, but the same at every run.

use std::fs;
use std::path::Path;

use crate::support::agent::{Agent, Launch, Strategy};
use crate::support::engine::{Engine, Start};
use crate::support::random::Random;
use crate::support::{SOON, check, until};

/// Where the engine cuts a line.
const PIECE_BYTES: usize = 16 * 1024;
/// How many lines a container prints on each stream, without the last.
const LINES: usize = 150;
/// What a stream ends with; no line feed follows.
const END: &str = "the end";

/// A line as an agent gives it out: its stamp to the nanosecond, and its text.
type Line = (String, String);

impl Random {
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

/// What the long lines of a container are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Long {
    /// Anything. In a file some of these lines take six times their length.
    Any,
    /// What a terminal shows as it is: through the API, long lines of one can only be told if every
    /// byte is a character. Nor is there a way to tell that its last line is one, without an end.
    Terminal,
}

/// What a container prints on one stream: some of the lines are long, and the last has no end.
fn printed(seed: u64, long: Long) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let parts: &[&[u8]] = match long {
        Long::Any => &[b"x", b"\0", b"\xff", b"\"", "é".as_bytes(), "漢".as_bytes(), b"a\r"],
        Long::Terminal => &[b"x", b"long line "],
    };
    let mut line = |at: usize| {
        if at % 15 != 7 {
            return random.line();
        }
        let part = random.pick(parts);
        random.long_line(part)
    };
    let mut lines: Vec<_> = (0..LINES).map(&mut line).collect();
    lines.push(END.into());
    lines
}

/// The files that the script prints: as many lines in each as `per_file` says, so that the names
/// rise.
fn write_files(
    folder: &Path,
    stream: &str,
    seed: u64,
    long: Long,
    per_file: usize,
) -> Vec<Vec<u8>> {
    let printed = printed(seed, long);
    for (number, lines) in printed.chunks(per_file).enumerate() {
        let text = lines.join(&b'\n');
        let is_last = lines.last().is_some_and(|line| line == END.as_bytes());
        let end: &[u8] = if is_last && long != Long::Terminal { b"" } else { b"\n" };
        fs::write(folder.join(format!("{stream}-{number:04}")), [&text, end].concat()).unwrap();
    }
    printed
}

/// A container that prints generated lines on both streams at the same time, a file of them and
/// then a pause; a terminal has but one stream.
struct Printer {
    name: String,
    out: Vec<Vec<u8>>,
    long: Long,
    _folder: tempfile::TempDir,
}

impl Printer {
    fn start(start: Start, seed: u64, long: Long, pause_micros: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let per_file = if pause_micros > 0 { 5 } else { LINES + 1 };
        let out = write_files(folder.path(), "out", seed, long, per_file);
        write_files(folder.path(), "err", seed + 1, long, per_file);
        let pause = if pause_micros > 0 { format!("usleep {pause_micros}") } else { ":".into() };
        let terminal = long == Long::Terminal;
        let print = |stream| format!("for file in /data/{stream}-*; do cat $file; {pause}; done");
        let error = if terminal { String::new() } else { print("err") + " >&2 &" };
        let start = start.option(&format!("--volume={}:/data:ro", folder.path().display()));
        let start = if terminal { start.option("--tty") } else { start };
        let name = start.run(&format!("{error} {}; wait", print("out")));
        Self { name, out, long, _folder: folder }
    }

    /// What an agent has given out of both streams, once both have ended.
    #[track_caller]
    fn wait_lines(&self, agent: &Agent) -> [Vec<Line>; 2] {
        let (mark, end) = (format!("\"container\":\"{}\"", self.name), format!("{END}\"}}"));
        let wanted = if self.long == Long::Terminal { 1 } else { 2 };
        let output = until(&format!("{} is read to its end", self.name), 2 * SOON, || {
            let output = agent.output();
            let own: Vec<_> = output.lines().filter(|line| line.contains(&mark)).collect();
            let ends = own.iter().filter(|line| line.ends_with(&end)).count();
            check(ends == wanted, || format!("{} lines and {ends} ends", own.len()))?;
            Ok(output)
        });
        lines_of(&output, &self.name)
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

/// A folder for an agent that has run once before anything was printed: it wants all of that, and
/// nothing that was there before.
fn state(strategy: Strategy) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    assert_eq!(agent(strategy, &state).terminate().code, Some(0));
    state
}

fn agent(strategy: Strategy, state: &tempfile::TempDir) -> Agent {
    let launch = Launch::new().strategy(strategy).env("DOWNSPOUT_STATE_DIR", state.path());
    launch.env("DOWNSPOUT_PROBE_AFTER", "1s").arg("stdout://?format=json").ready()
}

// Both agents gave out the same, and what a terminal cannot change is what was printed.
#[track_caller]
fn assert_same(printer: &Printer, by_file: &Agent, by_api: &Agent) {
    let name = &printer.name;
    let [by_file, by_api] = [by_file, by_api].map(|agent| printer.wait_lines(agent));
    for (stream, (by_file, by_api)) in by_file.iter().zip(&by_api).enumerate() {
        let same = by_file.iter().zip(by_api).take_while(|(file, api)| file == api).count();
        let is_all = same == by_file.len() && same == by_api.len();
        let (file, api) = (brief(&by_file[same..]), brief(&by_api[same..]));
        assert!(is_all, "{name}, stream {stream}, line {same}:\n file {file}\n api  {api}");
    }
    if printer.long == Long::Terminal {
        return;
    }
    let [out, _] = by_file;
    assert_eq!(out.len(), printer.out.len());
    for ((_, came), printed) in out.iter().zip(&printer.out) {
        // The driver replaces each byte that is no character, and what is cut.
        let is_text = std::str::from_utf8(printed).is_ok() && printed.len() < PIECE_BYTES;
        assert!(!is_text || came.as_bytes() == printed, "{came:?}");
    }
    assert!(out.is_sorted_by_key(|(time, _)| time), "the order of {name}");
}

fn brief(lines: &[Line]) -> String {
    let line = |(time, text): &Line| {
        let start: String = text.chars().take(40).collect();
        format!("{time} {start:?} ({} bytes)", text.len())
    };
    lines.iter().take(3).map(line).collect::<Vec<_>>().join("\n      ")
}

#[track_caller]
fn end(agent: Agent, strategy: Strategy) {
    agent.assert_read_by(strategy);
    assert_eq!(agent.metrics().value("log_bytes_garbled_total"), 0);
    assert_eq!(agent.terminate().code, Some(0));
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
    (logs.len(), logs.iter().filter(|name| name.contains(".gz")).count())
}

#[test]
fn logs_at_rest_are_the_same_by_file_and_by_api() {
    let engine = Engine::new("rest");
    let states = [Strategy::File, Strategy::Api].map(|strategy| (strategy, state(strategy)));
    let start = |name: &str| engine.container(name);
    let printers = [
        Printer::start(start("whole"), 1, Long::Any, 0),
        Printer::start(rotating(start("plain"), false), 3, Long::Any, 0),
        Printer::start(rotating(start("compressed"), true), 5, Long::Any, 0),
        Printer::start(start("tty"), 7, Long::Terminal, 0),
        Printer::start(rotating(start("tty-plain"), false), 9, Long::Terminal, 0),
        Printer::start(rotating(start("tty-compressed"), true), 11, Long::Terminal, 0),
    ];
    for printer in &printers {
        assert_eq!(Engine::wait(&printer.name), "0");
    }
    let [whole, plain, compressed, ..] = printers.each_ref().map(|printer| files(&printer.name));
    assert_eq!(whole, (1, 0));
    assert!(plain.0 > 5 && plain.1 == 0, "{plain:?}");
    assert!(compressed.0 > 5 && compressed.1 > 4, "{compressed:?}");
    let [by_file, by_api] = states.each_ref().map(|(strategy, state)| agent(*strategy, state));
    for printer in &printers {
        assert_same(printer, &by_file, &by_api);
    }
    end(by_file, Strategy::File);
    end(by_api, Strategy::Api);
}

#[test]
fn logs_that_are_being_written_are_the_same_by_file_and_by_api() {
    const PAUSE_MICROS: u32 = 120_000;
    let engine = Engine::new("live");
    let states = [Strategy::File, Strategy::Api, Strategy::Api].map(state);
    let by_file = agent(Strategy::File, &states[0]);
    let by_api = agent(Strategy::Api, &states[1]);
    let start = |name: &str| engine.container(name);
    let still = [
        Printer::start(start("whole"), 21, Long::Any, PAUSE_MICROS),
        Printer::start(start("tty"), 23, Long::Terminal, PAUSE_MICROS),
    ];
    let rotated = [
        Printer::start(rotating(start("plain"), false), 25, Long::Any, PAUSE_MICROS),
        Printer::start(rotating(start("compressed"), true), 27, Long::Any, PAUSE_MICROS),
        Printer::start(rotating(start("tty-plain"), false), 29, Long::Terminal, PAUSE_MICROS),
    ];
    for printer in &still {
        assert_same(printer, &by_file, &by_api);
    }
    for printer in &rotated {
        assert_eq!(Engine::wait(&printer.name), "0");
    }
    // Engine 20.10 loses and repeats records of a log that it rotates while it is asked for it.
    let by_api_later = agent(Strategy::Api, &states[2]);
    for printer in &rotated {
        assert_same(printer, &by_file, &by_api_later);
    }
    end(by_file, Strategy::File);
    end(by_api, Strategy::Api);
    end(by_api_later, Strategy::Api);
}
