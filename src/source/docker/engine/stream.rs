//! The bytes of a log as the Engine sends them. Never understands them: frames and stamps are the
//! reader's business. An idle stream holds no buffer.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};

use super::body::Body;
use super::connection::Connection;

/// The most that one read takes from the socket, in bytes.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    /// One buffer per worker thread serves all streams, for it is empty again before a read ends.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// This many bytes, at least one, went to the sink.
    Data(usize),
    /// Nothing more will come.
    End {
        /// The Engine has said that this is the whole reply. False when the connection ended
        /// first: it was cut, or the reply has no announced end (attach, old proxies).
        clean: bool,
    },
}

/// The body of a reply, from its first byte.
pub struct LogStream {
    connection: Connection,
    body: Body,
    /// What came in one read with the head.
    surplus: Vec<u8>,
    multiplexed: Option<bool>,
}

impl LogStream {
    pub(super) fn new(
        connection: Connection,
        body: Body,
        surplus: Vec<u8>,
        multiplexed: Option<bool>,
    ) -> Self {
        Self { connection, body, surplus, multiplexed }
    }

    /// Whether the bytes lie in frames with a header of 8 bytes, if the reply tells: engines from
    /// 23.0 do. Otherwise `Config.Tty` of an inspection decides.
    pub fn is_multiplexed(&self) -> Option<bool> {
        self.multiplexed
    }

    /// Waits until a read would bring something, or might. Dropping the future loses nothing.
    pub async fn readable(&mut self) -> io::Result<()> {
        if !self.surplus.is_empty() || self.body.ended() {
            return Ok(());
        }
        poll_fn(|context| self.connection.poll_readable(context)).await
    }

    /// Waits until there is something, then reads once, up to 64 KiB, and hands it to `sink` in
    /// one or more pieces. Dropping the future loses nothing.
    pub async fn read(&mut self, sink: &mut (impl FnMut(&[u8]) + Send)) -> io::Result<Read> {
        poll_fn(|context| self.poll_read(context, sink)).await
    }

    /// Lets records gather for `pause`; where the connection is a socket file, without being woken
    /// for each.
    pub async fn rest(&mut self, pause: Duration) -> io::Result<()> {
        self.connection.rest()?;
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Reads to the end, up to `limit` bytes; `None` if there are more.
    pub(super) async fn collect(&mut self, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let mut collected = Vec::new();
        loop {
            let read = self.read(&mut |bytes| collected.extend_from_slice(bytes)).await?;
            match read {
                Read::Data(_) if collected.len() > limit => return Ok(None),
                Read::Data(_) => {}
                Read::End { .. } => return Ok(Some(collected)),
            }
        }
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut impl FnMut(&[u8]),
    ) -> Poll<io::Result<Read>> {
        if !self.surplus.is_empty() {
            let surplus = std::mem::take(&mut self.surplus);
            let payload = self.push(&surplus, sink)?;
            if payload > 0 {
                return Poll::Ready(Ok(Read::Data(payload)));
            }
        }
        let mut scratch = SCRATCH.take();
        scratch.resize(SCRATCH_BYTES, 0);
        let outcome = self.poll_socket(context, &mut scratch, sink);
        SCRATCH.set(scratch);
        outcome
    }

    fn poll_socket(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
        sink: &mut impl FnMut(&[u8]),
    ) -> Poll<io::Result<Read>> {
        loop {
            if self.body.ended() {
                return Poll::Ready(Ok(Read::End { clean: true }));
            }
            let mut buffer = ReadBuf::new(scratch);
            match ready!(Pin::new(&mut self.connection).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) => return Poll::Ready(Ok(Read::End { clean: false })),
                // TLS says so when a connection ends without its farewell.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(Read::End { clean: false }));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            let payload = self.push(buffer.filled(), sink)?;
            if payload > 0 {
                return Poll::Ready(Ok(Read::Data(payload)));
            }
        }
    }

    fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(&[u8])) -> io::Result<usize> {
        self.body
            .push(bytes, sink)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl fmt::Debug for LogStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStream").field("body", &self.body).finish_non_exhaustive()
    }
}
