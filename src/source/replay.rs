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

use crate::lane::Lane;
use crate::options::Problem;
use crate::record::{ChunkBuilder, Container, Mark, Place, Span, Stream, Timestamp};
use crate::source::{Feed, Source};

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
                Input::File(_) => feed.intakes.iter().map(|intake| feed.only(intake)).collect(),
            };
            let replay: Arc<Self> = Arc::from(self);
            for feed in feeds {
                let replay = replay.clone();
                let tasks = feed.tasks.clone();
                tasks.spawn("replay", async move {
                    tokio::select! {
                        () = replay.replay(&feed) => {}
                        () = feed.stop.draining() => {}
                    }
                });
            }
        })
    }
}

impl Replay {
    async fn replay(&self, feed: &Feed) {
        feed.metrics.source_up.set(1);
        let ended = match &self.input {
            Input::Stdin => self.read(tokio::io::stdin(), feed).await,
            Input::File(path) => match tokio::fs::File::open(path).await {
                Ok(file) => self.read(file, feed).await,
                Err(error) => Err(error),
            },
        };
        match ended {
            Ok(lines) => tracing::info!(lines, "replay has ended"),
            Err(error) => tracing::error!(input = ?self.input, %error, "replay failed"),
        }
    }

    async fn read(&self, input: impl AsyncRead + Unpin, feed: &Feed) -> std::io::Result<u64> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut logs = Logs { host: &self.host, feed, by_name: HashMap::new(), number: 0 };
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).await? == 0 {
                break;
            }
            let full = logs.line(line.strip_suffix(b"\n").unwrap_or(&line));
            if full || !reader.buffer().contains(&b'\n') {
                logs.hand_over().await;
            }
        }
        logs.hand_over().await;
        Ok(logs.number.unsigned_abs())
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
    lanes: Vec<Lane>,
    builder: ChunkBuilder,
}

impl Logs<'_> {
    /// Takes one line; true once the container's chunk is full.
    fn line(&mut self, line: &[u8]) -> bool {
        let Some((name, stream, text)) = parse(line) else {
            self.feed.metrics.bytes_garbled.inc_by(line.len() as u64);
            return false;
        };
        self.number += 1;
        let mark = Mark { time: Timestamp::from_nanos(self.number), pieces: 1 };
        let log = self.log(name);
        log.builder.push(
            text,
            b"",
            Place { time: Timestamp::now(), stream, mark, span: Span::default() },
        );
        log.builder.text_bytes() >= CHUNK_BYTES
    }

    fn log(&mut self, name: &str) -> &mut Log {
        let (host, feed) = (self.host, self.feed);
        self.by_name.entry(name.to_owned()).or_insert_with(|| {
            let container = Arc::new(Container {
                id: name.to_owned(),
                name: name.to_owned(),
                host: host.to_owned(),
                ..Container::default()
            });
            let lanes = feed.intakes.iter().map(|intake| intake.open(&container, None));
            // Only a file could be read again, and that is not worth the while.
            let lanes = lanes.inspect(Lane::never_returns).collect();
            Log { container, lanes, builder: ChunkBuilder::default() }
        })
    }

    async fn hand_over(&mut self) {
        for log in self.by_name.values_mut() {
            let Some(chunk) = log.builder.take(&log.container) else { continue };
            for lane in &log.lanes {
                lane.room().await;
                lane.push(chunk.clone());
            }
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
