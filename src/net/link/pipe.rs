//! The streams a link runs over, with a count of what was handed to the socket.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

/// A socket that counts the bytes it has taken.
#[derive(Debug)]
pub struct Counted<S> {
    socket: S,
    taken: u64,
}

impl<S> Counted<S> {
    /// Counts from zero.
    pub fn new(socket: S) -> Self {
        Self { socket, taken: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.socket).poll_write(cx, buf))?;
        self.taken += taken as u64;
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bufs))?;
        self.taken += taken as u64;
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// What a link needs of its stream.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug {
    /// The socket at the bottom.
    fn socket(&self) -> BorrowedFd<'_>;

    /// Bytes handed to that socket, handshake and record headers included.
    fn on_wire(&self) -> u64;

    /// Reads from that socket, past whatever lies between.
    fn poll_bare_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>;
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + fmt::Debug> Pipe for Counted<S> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn on_wire(&self) -> u64 {
        self.taken
    }

    fn poll_bare_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<P: Pipe> Pipe for TlsStream<P> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.get_ref().0.socket()
    }

    fn on_wire(&self) -> u64 {
        self.get_ref().0.on_wire()
    }

    fn poll_bare_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().0.poll_bare_read(cx, buf)
    }
}
