//! Looks at a TCP peer's window while a link is in use.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use socket2::SockRef;
use tokio::time::Instant;

use super::doubt::Doubt;
use crate::net::kernel;

/// Questions to a closed window in a row without an answer that show a peer gone.
const UNANSWERED_LIMIT: u8 = 3;

/// What a TCP peer is watched for.
#[derive(Debug)]
pub(super) struct Watch {
    doubt: Doubt,
    user_timeout: Duration,
    closed: bool,
}

impl Watch {
    /// `user_timeout` is the `TCP_USER_TIMEOUT` that the socket has.
    pub(super) fn new(user_timeout: Duration) -> Self {
        Self { doubt: Doubt::default(), user_timeout, closed: false }
    }

    /// Notes the peer's window; true if the peer has stopped answering.
    ///
    /// While the window is closed the kernel must not give up: `TCP_USER_TIMEOUT` would end the
    /// connection to a peer that is merely slow, although it answers every question.
    pub(super) fn look(&mut self, socket: BorrowedFd<'_>, acknowledged: u64) -> bool {
        let peer = kernel::peer(socket).ok();
        self.doubt.sample(Instant::now(), acknowledged, peer.map(|peer| peer.window));
        let Some(peer) = peer else { return false };
        let closed = peer.window == 0;
        if closed != self.closed {
            // Without it the kernel's own limit holds, which is a quarter of an hour.
            let limit = (!closed).then_some(self.user_timeout);
            if SockRef::from(&socket).set_tcp_user_timeout(limit).is_ok() {
                self.closed = closed;
            }
        }
        closed && peer.unanswered >= UNANSWERED_LIMIT && peer.silent >= self.user_timeout
    }

    /// Bytes acknowledged and perhaps unread, if the peer ended abnormally now.
    pub(super) fn unread(&self) -> u64 {
        self.doubt.unread(Instant::now())
    }
}
