//! Where a template writes: bytes behind what is there already, up to a limit. Never more.

use std::fmt;

/// There is no room for what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

pub(super) type Written = Result<(), Full>;

pub(super) struct Out<'o> {
    bytes: &'o mut Vec<u8>,
    end: usize,
}

impl<'o> Out<'o> {
    /// Writes `limit` bytes at most.
    pub(super) fn new(bytes: &'o mut Vec<u8>, limit: usize) -> Self {
        let end = bytes.len().saturating_add(limit);
        Self { bytes, end }
    }

    #[inline]
    pub(super) fn push(&mut self, more: &[u8]) -> Written {
        if more.len() > self.end.saturating_sub(self.bytes.len()) {
            return Err(Full);
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    pub(super) fn push_char(&mut self, c: char) -> Written {
        self.push(c.encode_utf8(&mut [0; 4]).as_bytes())
    }

    /// The same byte many times.
    pub(super) fn fill(&mut self, byte: u8, count: usize) -> Written {
        if count > self.end.saturating_sub(self.bytes.len()) {
            return Err(Full);
        }
        self.bytes.resize(self.bytes.len() + count, byte);
        Ok(())
    }
}

impl fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).map_err(|Full| fmt::Error)
    }
}

impl From<fmt::Error> for Full {
    fn from(_: fmt::Error) -> Self {
        Self
    }
}
