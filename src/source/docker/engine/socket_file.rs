//! A connection over a socket file that can rest: while it does, arriving bytes wake nobody.
//!
//! The engine writes every record of a log by itself, and an armed socket wakes its reader for
//! each. Taking the socket out of the poller for a millisecond costs two system calls and saves
//! some hundreds of wake-ups here and in the engine.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::connection::Transport;

#[derive(Debug)]
pub(super) struct SocketFile(State);

#[derive(Debug)]
enum State {
    /// In the poller.
    Armed(UnixStream),
    /// Taken out of it.
    Resting(std::os::unix::net::UnixStream),
    /// Changing sides failed; the connection is lost.
    Lost,
}

impl SocketFile {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(State::Armed(stream))
    }

    fn armed(&mut self) -> io::Result<Pin<&mut UnixStream>> {
        if let State::Resting(_) = self.0
            && let State::Resting(stream) = std::mem::replace(&mut self.0, State::Lost)
        {
            self.0 = State::Armed(UnixStream::from_std(stream)?);
        }
        match &mut self.0 {
            State::Armed(stream) => Ok(Pin::new(stream)),
            State::Resting(_) | State::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Transport for SocketFile {
    fn rest(&mut self) -> io::Result<()> {
        if let State::Armed(_) = self.0
            && let State::Armed(stream) = std::mem::replace(&mut self.0, State::Lost)
        {
            self.0 = State::Resting(stream.into_std()?);
        }
        Ok(())
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.armed()?.poll_read_ready(context)
    }
}

impl AsyncRead for SocketFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.armed()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for SocketFile {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.armed()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.armed()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.armed()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_rest_loses_no_byte_in_either_direction() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut ours = SocketFile::new(ours);
        let mut space = [0; 4];
        theirs.write_all(b"one ").await.unwrap();
        ours.read_exact(&mut space).await.unwrap();
        ours.rest().unwrap();
        ours.rest().unwrap();
        theirs.write_all(b"two ").await.unwrap();
        ours.read_exact(&mut space).await.unwrap();
        assert_eq!(&space, b"two ");
        ours.rest().unwrap();
        ours.write_all(b"back").await.unwrap();
        theirs.read_exact(&mut space).await.unwrap();
        assert_eq!(&space, b"back");
    }
}
