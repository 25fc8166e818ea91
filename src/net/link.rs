//! A byte stream to a peer that says how far the peer has it, and notices at once when the peer
//! leaves: whatever the peer sends is read, and kept for who listens or thrown away, so that its
//! end is never overlooked. Never connects again, and never keeps a byte that was sent.

mod doubt;
mod heard;
mod ledger;
mod pipe;
mod watch;

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::client::TlsStream;

use super::{kernel, tls};
use crate::metrics::FaultKind;
use heard::Heard;
use ledger::Ledger;
pub use pipe::Counted;
use pipe::Pipe;
use watch::Watch;

/// The kernel does not wake anybody for an acknowledgement, so it is asked, at growing distances.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How often a peer that takes nothing more is looked at.
const BLOCKED_PAUSE: Duration = Duration::from_millis(500);

/// How long after a TLS goodbye the socket may take to end: a kernel that closes with unread data
/// says so by a reset right after it.
const GOODBYE_GRACE: Duration = Duration::from_millis(40);

/// Most acknowledged bytes that are in doubt after an abnormal end although the peer's window
/// shows room, which is the usual case. What is kept for a replay should be no less.
pub const USUAL_DOUBT_BYTES: usize = doubt::HIDDEN_LIMIT_BYTES;

/// How long an orderly end may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Why a link ended, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Of which kind it was.
    pub kind: FaultKind,
    /// What happened, for the log.
    pub why: String,
    /// Bytes that the peer's kernel acknowledged and its process may not have read; 0 after an
    /// orderly end, as a kernel that closes with unread data resets. Of TLS, counts ciphertext.
    pub unread: u64,
}

/// A connected stream. Positions are bytes given to `send`, counted from 0.
#[derive(Debug)]
pub struct Link {
    pipe: Box<dyn Pipe>,
    ledger: Ledger,
    sent: u64,
    settled: u64,
    watch: Option<Watch>,
    heard: Option<Heard>,
    goodbye: Option<Pin<Box<Sleep>>>,
    leaving: bool,
    end: Option<Broken>,
}

impl Link {
    /// A plain TCP connection; `user_timeout` is what is set on it.
    pub fn tcp(stream: TcpStream, user_timeout: Duration) -> Self {
        Self::over(Box::new(Counted::new(stream)), Ledger::Bytes, Some(user_timeout))
    }

    /// A TLS connection whose handshake is done; `user_timeout` is what is set on its socket.
    pub fn tls(stream: TlsStream<Counted<TcpStream>>, user_timeout: Duration) -> Self {
        Self::over(Box::new(stream), Ledger::records(), Some(user_timeout))
    }

    /// A unix stream. Settled is what the peer's process has read, known whenever it is all.
    pub fn unix(stream: UnixStream) -> Self {
        Self::over(Box::new(Counted::new(stream)), Ledger::AllOrNothing, None)
    }

    fn over(pipe: Box<dyn Pipe>, ledger: Ledger, user_timeout: Option<Duration>) -> Self {
        let watch = user_timeout.map(Watch::new);
        let mut link = Self {
            pipe,
            ledger,
            sent: 0,
            settled: 0,
            watch,
            heard: None,
            goodbye: None,
            leaving: false,
            end: None,
        };
        link.sample();
        link
    }

    /// Hands all bytes to the kernel; waits while it takes no more. Dropped midway, it leaves the
    /// stream cut at an unknown place.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        for mut rest in bytes.chunks(self.ledger.largest_write()) {
            while !rest.is_empty() {
                let taken = self.step(|pipe, cx| pipe.poll_write(cx, rest)).await?;
                self.sent += taken as u64;
                rest = rest.get(taken..).unwrap_or_default();
            }
            if self.ledger.wants_flush() {
                self.step(AsyncWrite::poll_flush).await?;
                self.ledger.mark(self.sent, self.pipe.on_wire());
            }
            self.sample();
        }
        Ok(())
    }

    /// How far the peer has what was sent; never goes back. Readable after the end, too.
    pub fn settled(&mut self) -> u64 {
        // A unix socket forgets what was unread when its peer goes.
        if self.end.is_none() || self.watch.is_some() {
            self.sample();
        }
        self.settled
    }

    /// Bytes given to `send` that the peer does not have yet.
    pub fn in_transit(&mut self) -> u64 {
        self.sent - self.settled()
    }

    /// What would be in doubt if the peer ended abnormally now.
    pub fn doubtful(&self) -> u64 {
        self.watch.as_ref().map_or(0, Watch::unread)
    }

    /// Waits until `settled` moves beyond `beyond`, or the link ends.
    pub async fn acknowledged(&mut self, beyond: u64) -> Result<u64, Broken> {
        let mut pause = FIRST_PAUSE;
        loop {
            let settled = self.settled();
            if settled > beyond {
                return Ok(settled);
            }
            let wait = (settled < self.sent).then_some(pause);
            if let Some(end) = self.ended_within(wait).await {
                return Err(end);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says goodbye, waits until the peer has everything and closes as well, 5 s at most. An
    /// error only if something acknowledged is in doubt.
    pub async fn close(&mut self) -> Result<u64, Broken> {
        self.leaving = true;
        let end = timeout(CLOSE_LIMIT, async {
            if let Err(end) = self.step(AsyncWrite::poll_shutdown).await {
                return end;
            }
            loop {
                self.sample();
                if let Some(end) = self.ended_within(Some(LONGEST_PAUSE)).await {
                    return end;
                }
            }
        });
        match end.await {
            Ok(end) if end.unread > 0 => Err(end),
            _ => Ok(self.settled()),
        }
    }

    /// The end, if it comes within `limit`; without a limit, waits for it.
    async fn ended_within(&mut self, limit: Option<Duration>) -> Option<Broken> {
        tokio::select! {
            biased;
            end = poll_fn(|cx| self.poll_end(cx)) => Some(end),
            () = pause(limit) => None,
        }
    }

    /// Does something with the stream, watching for the end, and looking at a peer that blocks.
    async fn step<T>(
        &mut self,
        mut action: impl FnMut(Pin<&mut Box<dyn Pipe>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Result<T, Broken> {
        loop {
            tokio::select! {
                biased;
                outcome = poll_fn(|cx| self.poll_step(cx, &mut action)) => return outcome,
                () = sleep(BLOCKED_PAUSE) => self.sample(),
            }
        }
    }

    fn poll_step<T>(
        &mut self,
        cx: &mut Context<'_>,
        action: &mut impl FnMut(Pin<&mut Box<dyn Pipe>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<Result<T, Broken>> {
        if let Poll::Ready(end) = self.poll_end(cx) {
            return Poll::Ready(Err(end));
        }
        let end = match ready!(action(Pin::new(&mut self.pipe), cx)) {
            Ok(done) => return Poll::Ready(Ok(done)),
            // The kernel refuses a write like this once the peer's FIN has come; a reset without
            // a FIN has its own error. Whether the peer took leave of TLS is for it to read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => match self.poll_peer(cx) {
                Poll::Ready(end) => end,
                Poll::Pending if self.ledger.wants_flush() => Err(error),
                Poll::Pending => Ok(()),
            },
            Err(error) => Err(error),
        };
        Poll::Ready(Err(self.ends(end)))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone());
        }
        let end = ready!(self.poll_peer(cx));
        Poll::Ready(self.ends(end))
    }

    /// Reads until the peer ends: in order, or with an error.
    fn poll_peer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 2048];
        while self.goodbye.is_none() {
            let mut buf = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.pipe).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                self.goodbye = Some(Box::pin(sleep(GOODBYE_GRACE)));
            } else if let Some(heard) = &mut self.heard {
                heard.keep(buf.filled())?;
            }
        }
        loop {
            let mut buf = ReadBuf::new(&mut space);
            match self.pipe.poll_bare_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if let Some(goodbye) = &mut self.goodbye {
                        ready!(goodbye.as_mut().poll(cx));
                    }
                    let why = "the peer ended TLS and left the connection open";
                    return Poll::Ready(Err(io::Error::other(why)));
                }
            }
        }
    }

    /// Looks at what can still be known, and notes the end.
    fn ends(&mut self, end: io::Result<()>) -> Broken {
        let end = match end {
            // Having said goodbye first, nothing more is expected to come.
            Err(error) if self.leaving && error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            end => end,
        };
        if end.is_ok() || self.watch.is_some() {
            self.sample();
        }
        self.note(end)
    }

    /// Keeps the first end, which tells most.
    fn note(&mut self, end: io::Result<()>) -> Broken {
        let broken = match end {
            Ok(()) => Broken {
                kind: FaultKind::Closed,
                why: "the peer closed the connection".into(),
                unread: 0,
            },
            Err(error) => {
                let rejected = tls::rejection(&error).map(|_| FaultKind::Tls);
                let kind = rejected.unwrap_or_else(|| error.kind().into());
                Broken { kind, why: sentence(&error), unread: self.doubtful() }
            }
        };
        self.end.get_or_insert(broken).clone()
    }

    /// Asks the kernel how far the peer is.
    fn sample(&mut self) {
        let Ok(left) = kernel::unacknowledged(self.pipe.socket()) else {
            return;
        };
        let on_wire = self.pipe.on_wire();
        let acknowledged = on_wire.saturating_sub(u64::from(left));
        let settled = match &mut self.ledger {
            Ledger::Bytes => acknowledged,
            Ledger::Records(marks) => marks.settle(acknowledged),
            Ledger::AllOrNothing if left == 0 => match gone(self.pipe.socket()) {
                None => on_wire,
                Some(error) => {
                    self.ends(Err(error));
                    return;
                }
            },
            Ledger::AllOrNothing => 0,
        };
        self.settled = self.settled.max(settled).min(self.sent);
        let lost = |watch: &mut Watch| watch.look(self.pipe.socket(), acknowledged);
        if self.watch.as_mut().is_some_and(lost) {
            self.note(Err(io::ErrorKind::TimedOut.into()));
        }
    }
}

async fn pause(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => pending().await,
    }
}

// Whether a unix peer went without having read everything. Asked after the queue was found empty:
// a peer that goes marks the socket before it drops what was in the queue.
fn gone(socket: std::os::fd::BorrowedFd<'_>) -> Option<io::Error> {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    let mut space = [std::mem::MaybeUninit::uninit(); 1];
    match SockRef::from(&socket).recv_with_flags(&mut space, flags) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Some(error),
        _ => None,
    }
}

fn sentence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "the peer reset the connection".into(),
        io::ErrorKind::TimedOut => "the peer stopped answering".into(),
        io::ErrorKind::UnexpectedEof => "the peer closed the connection without ending TLS".into(),
        _ => tls::rejection(error).unwrap_or_else(|| format!("the connection failed: {error}")),
    }
}
