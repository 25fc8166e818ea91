//! What the agent itself says in a stream: that lines are missing there, how many, and why.

use std::fmt;
use std::sync::Arc;

use super::{Chunk, ChunkBuilder, Container, Mark, Place, Span, Stream, Timestamp};

/// The name under which the agent speaks.
const AGENT: &str = "downspout";

/// Why lines are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// There was no log to return to, and no room to keep them.
    Overflow,
    /// The log was rotated past the place that had been reached.
    Rotated,
    /// The container printed more than it may send.
    Rate,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflow => {
                "the destination was too slow, and the container's log driver keeps no log"
            }
            Self::Rotated => "the container's log was rotated before they could be read",
            Self::Rate => "the container printed faster than its label downspout.rate allows",
        })
    }
}

/// Lines of one container that are missing in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Lines and bytes of text; `None` where nobody can know.
    pub counted: Option<(u64, u64)>,
    /// From this stamp on.
    pub from: Timestamp,
    /// Up to this one.
    pub to: Timestamp,
    /// Why.
    pub reason: LossReason,
}

impl Loss {
    /// The lines of `chunk`, as far as they are the container's own.
    pub fn of(chunk: &Chunk, reason: LossReason) -> Option<Self> {
        let (first, last) = (chunk.lines().first()?, chunk.lines().last()?);
        if chunk.is_notice {
            return None;
        }
        let counted = Some((chunk.lines().len() as u64, chunk.text_bytes() as u64));
        Some(Self { counted, from: first.time, to: last.time, reason })
    }

    /// This loss and a later one together.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        let sum = |(a, b): (u64, u64), (c, d): (u64, u64)| (a + c, b + d);
        Self {
            counted: self.counted.zip(later.counted).map(|(one, other)| sum(one, other)),
            from: self.from.min(later.from),
            to: self.to.max(later.to),
            reason: later.reason,
        }
    }

    /// The loss as a line of the agent's own, for the stream of `container`.
    pub fn announce(&self, container: &Container) -> Chunk {
        let speaker = Container {
            id: container.id.clone(),
            name: AGENT.to_owned(),
            host: container.host.clone(),
            ..Container::default()
        };
        let mut builder = ChunkBuilder::default();
        let (name, id) = (container.name.as_str(), container.short_id());
        let Self { from, to, reason, .. } = self;
        let what = match self.counted {
            Some((1, bytes)) => format!("1 line ({bytes} bytes)"),
            Some((lines, bytes)) => format!("{lines} lines ({bytes} bytes)"),
            None => "an unknown number of lines".to_owned(),
        };
        let text = format!("{what} of {name} ({id}) lost between {from} and {to}: {reason}");
        // It is in no log, so its place is nowhere.
        let mark = Mark { time: *to, pieces: 0 };
        builder.push(
            text.as_bytes(),
            b"",
            Place { time: *to, stream: Stream::Stderr, mark, span: Span::default() },
        );
        let mut chunk = builder.chunk(&Arc::new(speaker));
        chunk.is_notice = true;
        chunk.log_of = Arc::new(container.clone());
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_says_how_much_of_what_when_and_why() {
        let at = Timestamp::from_nanos;
        let one = Loss {
            counted: Some((2, 10)),
            from: at(1_000_000_000),
            to: at(2_000_000_000),
            reason: LossReason::Overflow,
        };
        let both = one.and(Loss { counted: Some((1, 5)), to: at(5_000_000_000), ..one });
        let container = Container {
            id: "0123456789abcdef".into(),
            name: "web".into(),
            host: "h".into(),
            ..Container::default()
        };
        let chunk = both.announce(&container);
        assert_eq!(
            String::from_utf8_lossy(chunk.text(&chunk.lines()[0])),
            "3 lines (15 bytes) of web (0123456789ab) lost between 1970-01-01T00:00:01.000000000Z \
             and 1970-01-01T00:00:05.000000000Z: the destination was too slow, and the container's \
             log driver keeps no log"
        );
        assert_eq!((chunk.container.name.as_str(), chunk.container.host.as_str()), (AGENT, "h"));
        assert_eq!(Loss::of(&chunk, LossReason::Overflow), None, "a notice is no line of the log");
        let unknown = Loss { counted: None, reason: LossReason::Rotated, ..one };
        assert_eq!(one.and(unknown).counted, None);
        let chunk = unknown.announce(&container);
        let text = String::from_utf8_lossy(chunk.text(&chunk.lines()[0])).into_owned();
        assert!(text.starts_with("an unknown number of lines of web"), "{text}");
    }
}
