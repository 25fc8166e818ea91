//! What a peer says, for protocols in which it answers. Never keeps more than its limit.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::{BLOCKED_PAUSE, Broken, Link, pause};

impl Link {
    /// The same link, keeping what the peer says for `take_heard`. More than `limit_bytes` that
    /// nobody has taken end it.
    #[must_use]
    pub fn listening(mut self, limit_bytes: usize) -> Self {
        self.heard = Some(Heard { bytes: Vec::new(), limit_bytes });
        self
    }

    /// Waits until the peer has said something, or the link ends. What it said before its end
    /// comes first. Dropped midway, it loses nothing.
    pub async fn hears(&mut self) -> Result<(), Broken> {
        loop {
            let wait = (self.in_transit() > 0).then_some(BLOCKED_PAUSE);
            tokio::select! {
                biased;
                outcome = poll_fn(|cx| self.poll_heard(cx)) => return outcome,
                () = pause(wait) => {}
            }
        }
    }

    /// Shows what the peer has said and nobody has taken yet, and forgets it.
    pub fn take_heard<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> T {
        let Some(heard) = &mut self.heard else { return look(&[]) };
        let seen = look(&heard.bytes);
        heard.bytes.clear();
        seen
    }

    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let end = self.poll_end(cx);
        if self.heard.as_ref().is_some_and(|heard| !heard.bytes.is_empty()) {
            return Poll::Ready(Ok(()));
        }
        end.map(Err)
    }
}

/// Bytes from the peer.
#[derive(Debug)]
pub(super) struct Heard {
    bytes: Vec<u8>,
    limit_bytes: usize,
}

impl Heard {
    /// Keeps more bytes, unless that were too many.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let limit = self.limit_bytes;
        if self.bytes.len() + bytes.len() > limit {
            let why = format!("the peer says more than {limit} bytes at once");
            return Err(io::Error::other(why));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
