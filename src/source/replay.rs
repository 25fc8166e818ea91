//! Lines from a file or from standard input: the second source, which proves the seam and feeds
//! tests and benches without Docker.
//!
//! Every line is `CONTAINER STREAM TEXT`, e.g. `web stdout 000001 hello`. A line of another form
//! is passed over and counted. What a destination does not take is waited for.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::Instant;

use crate::assemble::{Assembler, Piece};
use crate::lane::Lane;
use crate::options::Problem;
use crate::record::{ChunkBuilder, Container, Mark, Place, Span, Stream, Timestamp};
use crate::select::{Streams, Verdict};
use crate::source::{Feed, Source, passed};

/// Text after which a chunk is handed over although more could be read at once.
const CHUNK_BYTES: usize = 32 * 1024;
/// Read buffer; also the longest line that is read in one go.
const BUFFER_BYTES: usize = 256 * 1024;

/// Replays a file.
#[derive(Debug)]
pub struct Replay {
    input: Input,
    host: String,
}

/// What is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file, from its beginning to its end.
    File(PathBuf),
    /// Standard input, until it is closed.
    Stdin,
}

impl Replay {
    /// Replays `input`; `host` is the host name that its lines carry. Refused if it is a file
    /// that cannot be read.
    pub fn new(input: Input, host: String) -> Result<Self, Problem> {
        if let Input::File(path) = &input
            && let Err(error) = std::fs::File::open(path)
        {
            return Err(Problem::new(format!(
                "DOWNSPOUT_SOURCE=replay:{}: cannot read it: {error}",
                path.display()
            )));
        }
        Ok(Self { input, host })
    }
}

impl Source for Replay {
    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            // A file is read once per destination, so that a dead one cannot hold up another.
            // Standard input can be read only once: there, the slowest destination sets the pace.
            let feeds: Vec<Feed> = match self.input {
                Input::Stdin => vec![feed.clone()],
                Input::File(_) => {
                    feed.intakes.now().iter().map(|intake| feed.only(intake)).collect()
                }
            };
            let replay: Arc<Self> = Arc::from(self);
            for feed in feeds {
                let replay = replay.clone();
                let tasks = feed.tasks.clone();
                tasks.spawn("replay", async move {
                    let mut logs = Logs::new(&replay.host, &feed);
                    tokio::select! {
                        () = replay.replay(&mut logs) => {}
                        () = feed.stop.draining() => {}
                    }
                    logs.end();
                });
            }
        })
    }
}

impl Replay {
    async fn replay(&self, logs: &mut Logs<'_>) {
        logs.feed.metrics.source_up.set(1);
        let ended = match &self.input {
            Input::Stdin => logs.read(tokio::io::stdin()).await,
            Input::File(path) => match tokio::fs::File::open(path).await {
                Ok(file) => logs.read(file).await,
                Err(error) => Err(error),
            },
        };
        match ended {
            Ok(lines) => tracing::info!(lines, "replay has ended"),
            Err(error) => tracing::error!(input = ?self.input, %error, "replay failed"),
        }
    }
}

/// The containers seen so far.
struct Logs<'a> {
    host: &'a str,
    feed: &'a Feed,
    by_name: HashMap<String, Log>,
    number: i64,
}

struct Log {
    container: Arc<Container>,
    /// Of the destinations that take lines as they are, which all get the same chunks.
    lanes: Vec<Lane>,
    builder: ChunkBuilder,
    joined: Vec<Joined>,
}

/// One destination that wants lines joined to records.
struct Joined {
    lane: Lane,
    assembler: Assembler,
    builder: ChunkBuilder,
}

impl<'a> Logs<'a> {
    fn new(host: &'a str, feed: &'a Feed) -> Self {
        Self { host, feed, by_name: HashMap::new(), number: 0 }
    }

    async fn read(&mut self, input: impl AsyncRead + Unpin) -> std::io::Result<u64> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut line = Vec::new();
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                // What was read of a line is in `line`, also if the future is dropped.
                read = reader.read_until(b'\n', &mut line) => drop(read?),
                () = passed(deadline) => {
                    self.give_due();
                    self.hand_over().await;
                    continue;
                }
            }
            if line.is_empty() {
                break;
            }
            let full = self.line(&line);
            if full || !reader.buffer().contains(&b'\n') {
                self.hand_over().await;
            }
            line.clear();
        }
        self.hand_over().await;
        Ok(self.number.unsigned_abs())
    }

    /// Takes one line with its end; true once the container's chunk is full.
    fn line(&mut self, line: &[u8]) -> bool {
        let metrics = &self.feed.metrics;
        let Some((name, stream, text)) = parse(line) else {
            let bytes = line.strip_suffix(b"\n").unwrap_or(line).len();
            metrics.bytes_garbled.inc_by(bytes as u64);
            return false;
        };
        self.number += 1;
        let mark = Mark { time: Timestamp::from_nanos(self.number), pieces: 1 };
        let place = Place { time: Timestamp::now(), stream, mark, span: Span::default() };
        let log = self.log(name);
        let mut bytes = 0;
        for Joined { assembler, builder, .. } in &mut log.joined {
            metrics.lines_split.inc_by(assembler.piece(Piece { place, text }, builder));
            bytes = bytes.max(builder.text_bytes());
        }
        if !log.lanes.is_empty() {
            log.builder.push(text.strip_suffix(b"\n").unwrap_or(text), b"", place);
        }
        bytes.max(log.builder.text_bytes()) >= CHUNK_BYTES
    }

    fn log(&mut self, name: &str) -> &mut Log {
        let (host, feed) = (self.host, self.feed);
        self.by_name.entry(name.to_owned()).or_insert_with(|| {
            let container = Arc::new(Container {
                id: name.to_owned(),
                name: name.to_owned(),
                host: host.to_owned(),
                details: Some(Arc::default()),
                ..Container::default()
            });
            let (mut lanes, mut joined) = (Vec::new(), Vec::new());
            for intake in feed.intakes.now().iter() {
                let Verdict::Ship(streams) = intake.verdict(&container) else { continue };
                let lane = intake.open(&container, None);
                // Only a file could be read again, and that is not worth the while.
                lane.never_returns();
                let mut assembler = intake.assembler(&container, feed.max_line_bytes).0;
                if assembler.joins() || streams != Streams::BOTH {
                    assembler.only(streams.has(Stream::Stdout), streams.has(Stream::Stderr));
                    joined.push(Joined { lane, assembler, builder: ChunkBuilder::default() });
                } else {
                    lanes.push(lane);
                }
            }
            Log { container, lanes, builder: ChunkBuilder::default(), joined }
        })
    }

    async fn hand_over(&mut self) {
        for log in self.by_name.values_mut() {
            for joined in &mut log.joined {
                joined.charge(self.feed);
                if !joined.builder.is_empty() {
                    joined.lane.room().await;
                    joined.hand_over(&log.container);
                }
            }
            let Some(chunk) = log.builder.take(&log.container) else { continue };
            for lane in &log.lanes {
                lane.room().await;
                lane.push(chunk.clone());
            }
        }
    }

    fn joined(&mut self) -> impl Iterator<Item = &mut Joined> {
        self.by_name.values_mut().flat_map(|log| &mut log.joined)
    }

    /// When the next open record is complete if no line comes.
    fn deadline(&mut self) -> Option<Instant> {
        let mut open = self.joined().filter(|joined| joined.assembler.has_record()).peekable();
        open.peek()?;
        let now = Instant::now();
        open.filter_map(|joined| joined.assembler.deadline(now)).min()
    }

    fn give_due(&mut self) {
        let now = Instant::now();
        for Joined { assembler, builder, .. } in self.joined() {
            assembler.give_due(now, builder);
        }
    }

    /// Hands over what is held, whether there is room or not: it will not come again.
    fn end(&mut self) {
        for log in self.by_name.values_mut() {
            for joined in &mut log.joined {
                joined.assembler.flush(&mut joined.builder);
                joined.charge(self.feed);
                joined.hand_over(&log.container);
            }
        }
    }
}

impl Joined {
    // Without room for what is held it is given out.
    fn charge(&mut self, feed: &Feed) {
        if !self.lane.hold(self.assembler.held_bytes()) {
            feed.metrics.lines_split.inc_by(self.assembler.give_out(&mut self.builder));
            self.lane.hold(0);
        }
        feed.metrics.records_cut.inc_by(self.assembler.take_cut());
    }

    fn hand_over(&mut self, container: &Arc<Container>) {
        if let Some(chunk) = self.builder.take(container) {
            self.lane.push(chunk);
        }
    }
}

fn parse(line: &[u8]) -> Option<(&str, Stream, &[u8])> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let name = std::str::from_utf8(parts.next()?).ok().filter(|name| !name.is_empty())?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    Some((name, stream, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_container_and_stream() {
        assert_eq!(parse(b"web stderr a b"), Some(("web", Stream::Stderr, &b"a b"[..])));
        assert_eq!(parse(b"web stdout "), Some(("web", Stream::Stdout, &b""[..])));
        for bad in [&b""[..], b"web", b"web stdout", b"web stdin x", b" stdout x", b"\xff stdout x"]
        {
            assert_eq!(parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_at_the_start() {
        let refused = Replay::new(Input::File("/not/there".into()), String::new()).unwrap_err();
        assert!(refused.to_string().starts_with("DOWNSPOUT_SOURCE=replay:/not/there: cannot read"));
    }
}
