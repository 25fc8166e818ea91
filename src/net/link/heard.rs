//! What a peer has said and nobody has taken yet. Never more than its limit.

use std::io;

/// Bytes from the peer.
#[derive(Debug)]
pub(super) struct Heard {
    bytes: Vec<u8>,
    limit_bytes: usize,
}

impl Heard {
    /// Nothing heard yet.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { bytes: Vec::new(), limit_bytes }
    }

    /// True if there is nothing to take.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

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

    /// Shows all bytes and forgets them.
    pub(super) fn take<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> T {
        let result = look(&self.bytes);
        self.bytes.clear();
        result
    }
}
