//! The window, the lanes and a reader against a flat list of lines: whatever is acknowledged,
//! broken off, replayed and read again, nothing is missing and every count closes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::lane::{Kept, Lane, Rewinds};
use crate::metrics::Metrics;
use crate::record::{ChunkBuilder, Container, Mark, Place, Resume, Span, Stream, Timestamp};

/// Bytes of every frame.
const FRAME: usize = 1000;

#[derive(Debug, Clone)]
enum Action {
    /// A reader hands over so many lines.
    Read(usize, usize),
    /// Batches are made of what waits, and sent.
    Send,
    /// The peer's kernel acknowledges, its process reads a part of that.
    Acknowledge(u64, u64),
    /// The link breaks; what the process has not read is in doubt.
    Break,
    /// The agent is killed and started again.
    Kill,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..3_usize, 1..400_usize).prop_map(|(log, lines)| Action::Read(log, lines)),
        4 => Just(Action::Send),
        4 => (0..900_000_u64, 0..900_000_u64).prop_map(|(a, b)| Action::Acknowledge(a, b)),
        2 => Just(Action::Break),
        1 => Just(Action::Kill),
    ]
}

struct Reader {
    lane: Lane,
    rewinds: Rewinds,
    container: Arc<Container>,
    next: i64,
}

impl Reader {
    fn new(lanes: &Arc<Lanes>, name: &str) -> Self {
        let container = Container { id: name.into(), name: name.into(), ..Container::default() };
        let lane = lanes.open(&container, None);
        let next = Self::after(lane.settled().read());
        Self { rewinds: lane.rewinds(), lane, container: Arc::new(container), next }
    }

    fn after(resume: Resume) -> i64 {
        resume.cursor.mark(Stream::Stdout).map_or(0, |mark| mark.time.nanos()) + 1
    }

    fn read(&mut self, lines: usize) {
        if let Some(resume) = self.rewinds.next().now_or_never() {
            self.next = Self::after(resume);
        }
        let mut builder = ChunkBuilder::default();
        for _ in 0..lines {
            let time = Timestamp::from_nanos(self.next);
            let place = Place {
                time,
                stream: Stream::Stdout,
                mark: Mark { time, pieces: 1 },
                span: Span::default(),
            };
            builder.push(format!("{} {}", self.container.name, self.next).as_bytes(), b"", place);
            self.next += 1;
        }
        self.lane.push(builder.take(&self.container).unwrap());
    }
}

struct Agent {
    lanes: Arc<Lanes>,
    readers: Vec<Reader>,
    window: Window,
}

impl Agent {
    fn start(kept: Kept) -> Self {
        let metrics = Metrics::new().destination("model");
        let lanes = Lanes::new(usize::MAX / 4, kept, metrics.clone());
        let readers = ["a", "b", "c"].map(|name| Reader::new(&lanes, name)).into();
        Self { lanes, readers, window: Window::new(metrics) }
    }

    /// Encodes what waits; returns the frames.
    fn send(&mut self) -> Vec<String> {
        let Some(picked) = self.lanes.next(64 * 1024).now_or_never() else { return Vec::new() };
        let mut batch = self.window.empty_batch();
        let mut frames = Vec::new();
        for picked in picked {
            for line in picked.chunk.lines() {
                let text = String::from_utf8_lossy(picked.chunk.text(line)).into_owned();
                batch.bytes.extend(format!("{text:FRAME$}").into_bytes());
                batch.ends.push(u32::try_from(batch.bytes.len()).unwrap());
                frames.push(text);
            }
            batch.parts.push(Part::of(picked.chunk, picked.settled));
        }
        self.window.push(batch);
        frames
    }

    fn assert_balance(&self) {
        let metrics = self.lanes.metrics();
        let in_flight = metrics.lines_in_flight();
        let out = metrics.lines_delivered() + metrics.lines_dropped() + in_flight;
        assert_eq!(metrics.lines_read(), out);
    }
}

/// The peer: frames on the present link, and what its process has read of all links.
#[derive(Default)]
struct Peer {
    link: Vec<String>,
    acknowledged: usize,
    read: usize,
    seen: Vec<String>,
}

impl Peer {
    fn take(&mut self, acknowledged: u64, read: u64) -> u64 {
        let upto = |bytes: u64, limit: usize| (usize::try_from(bytes).unwrap() / FRAME).min(limit);
        self.acknowledged =
            (self.acknowledged + upto(acknowledged, self.link.len())).min(self.link.len());
        let read_to = (self.read + upto(read, self.link.len())).min(self.acknowledged);
        self.seen.extend_from_slice(&self.link[self.read..read_to]);
        self.read = read_to;
        (self.acknowledged * FRAME) as u64
    }

    fn finish(&mut self) -> u64 {
        self.take(u64::from(u32::MAX), u64::from(u32::MAX))
    }

    fn unread(&self) -> u64 {
        ((self.acknowledged - self.read) * FRAME) as u64
    }
}

fn relink(agent: &mut Agent, peer: &mut Peer) {
    let unread = peer.unread();
    assert_eq!(agent.window.rewind(unread, 1 << 30, &agent.lanes), 0, "all can be read again");
    let from = agent.window.relink(unread).from;
    peer.link.clear();
    for frames in agent.window.frames_from(from) {
        let text = |frame: &[u8]| String::from_utf8_lossy(frame).trim_end().to_owned();
        peer.link.extend(frames.iter().map(text));
    }
    (peer.acknowledged, peer.read) = (0, 0);
}

fn settle(agent: &mut Agent, on_link: u64, keep: u64) {
    agent.window.settle(on_link);
    agent.window.release(Keep { frames: keep, places: 1 << 30 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_line_reaches_the_peers_process(
        actions in prop::collection::vec(action(), 1..60),
        keep in prop_oneof![Just(0), Just(50_000_u64), Just(256 << 10)],
    ) {
        let (mut agent, mut peer) = (Agent::start(Kept::default()), Peer::default());
        let mut last = BTreeMap::from([("a", 0), ("b", 0), ("c", 0)]);
        for action in actions {
            match action {
                Action::Read(log, lines) => {
                    let reader = &mut agent.readers[log];
                    reader.read(lines);
                    let name = ["a", "b", "c"][log];
                    last.insert(name, last[name].max(reader.next - 1));
                }
                Action::Send => {
                    let frames = agent.send();
                    peer.link.extend(frames);
                }
                Action::Acknowledge(acknowledged, read) => {
                    let on_link = peer.take(acknowledged, read);
                    settle(&mut agent, on_link, keep);
                }
                Action::Break => relink(&mut agent, &mut peer),
                Action::Kill => {
                    // The kernel of a killed sender still delivers; what is acknowledged and not
                    // read by then is the peer's own affair.
                    peer.finish();
                    let kept = agent.lanes.kept().unwrap_or_else(|| {
                        agent.lanes.gone("nothing");
                        agent.lanes.kept().unwrap()
                    });
                    agent = Agent::start(kept);
                    peer.link.clear();
                    (peer.acknowledged, peer.read) = (0, 0);
                }
            }
            agent.assert_balance();
        }
        // All is read to the end, sent and read by the peer's process.
        for reader in &mut agent.readers {
            reader.read(1);
            let wanted = last[reader.container.name.as_str()];
            while reader.next <= wanted {
                reader.read(1);
            }
        }
        while let Some(frames) = Some(agent.send()).filter(|frames| !frames.is_empty()) {
            peer.link.extend(frames);
        }
        let on_link = peer.finish();
        settle(&mut agent, on_link, keep);
        agent.assert_balance();
        prop_assert_eq!(agent.lanes.metrics().lines_in_flight(), 0);
        for (name, last) in last {
            let mut next = 1;
            for line in &peer.seen {
                let (log, number) = line.split_once(' ').unwrap();
                let number: i64 = number.parse().unwrap();
                if log == name {
                    prop_assert!(number <= next, "{log} {number} came before {next}");
                    next = next.max(number + 1);
                }
            }
            prop_assert!(next > last, "{name} has {last} lines, the peer read up to {next}");
        }
    }
}
