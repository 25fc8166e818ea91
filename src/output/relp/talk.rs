//! A session over a link: writes while the window has room, listens meanwhile, and gives up on a
//! server that does not answer. Never connects.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::frame::DATA_LIMIT_BYTES;
use super::session::{CURE, End, Session};
use crate::metrics::FaultKind;
use crate::net::link::{Broken, Link};
use crate::output::Frames;

/// Most bytes written before the answers are looked at.
const PIECE_BYTES: usize = 16 * 1024;

/// Most bytes of commands gathered for one go.
const BATCH_BYTES: usize = 64 * 1024;

/// Most bytes that one answer to a message takes on average; usual are some 25.
const ANSWER_BYTES: usize = 256;

/// How long an orderly end may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// How much to ask at once, and how long to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most commands that wait.
    pub(super) window: usize,
    /// Longest silence of a server that owes an answer.
    pub(super) answer_timeout: Duration,
}

/// A session that is open.
#[derive(Debug)]
pub(super) struct Talk {
    link: Link,
    session: Session,
    limits: Limits,
    out: Vec<u8>,
    /// When the server last answered, or began to owe an answer.
    since: Instant,
    /// What was on its way when that was last looked at.
    in_transit: u64,
    end: Option<End>,
}

impl Talk {
    /// Opens a session; the server has `limit` for it.
    pub(super) async fn open(
        link: Link,
        limits: Limits,
        limit: Duration,
    ) -> Result<Self, (FaultKind, String)> {
        let mut out = Vec::new();
        let session = Session::begin(&mut out);
        let link = link.listening((limits.window + 1) * ANSWER_BYTES + DATA_LIMIT_BYTES);
        let since = Instant::now();
        let mut talk = Self { link, session, limits, out, since, in_transit: 0, end: None };
        let opened = timeout(limit, async {
            talk.flush().await?;
            while talk.session.is_opening() {
                talk.listen().await?;
            }
            Ok(())
        });
        match opened.await {
            Ok(Ok(())) => Ok(talk),
            Ok(Err(End::Broken(kind, why))) => Err((kind, why)),
            Ok(Err(End::Refused { why, .. })) => Err((FaultKind::Rejected, why)),
            Err(_) => {
                let why = format!("no answer to RELP's open within {limit:.1?}; {CURE}");
                Err((FaultKind::Timeout, why))
            }
        }
    }

    /// Sends messages as the window allows.
    pub(super) async fn send(&mut self, frames: Frames<'_>) -> Result<(), End> {
        for frame in frames.iter() {
            if self.session.waiting() >= self.limits.window {
                self.flush().await?;
                while self.session.waiting() >= self.limits.window {
                    self.listen().await?;
                }
            }
            if self.out.len() >= BATCH_BYTES {
                self.flush().await?;
            }
            if self.session.unanswered() == 0 {
                self.since = Instant::now();
            }
            self.session.message(frame, &mut self.out);
        }
        self.flush().await
    }

    /// How far messages are accepted. Readable after the end, too.
    pub(super) fn settled(&mut self) -> u64 {
        // An end that shows here is told by whoever asks next.
        self.hear().ok();
        self.session.settled()
    }

    /// Waits until more than `beyond` is accepted, or for the end.
    pub(super) async fn accepted(&mut self, beyond: u64) -> Result<u64, End> {
        self.hear()?;
        while self.session.settled() <= beyond {
            self.listen().await?;
        }
        Ok(self.session.settled())
    }

    /// Says goodbye, waits for the server to agree, and ends the link; 5 s at most. Nothing that
    /// was accepted is in doubt if the server does otherwise.
    pub(super) async fn close(&mut self) -> u64 {
        let goodbye = async {
            self.session.close(&mut self.out);
            self.since = Instant::now();
            self.flush().await?;
            while !self.session.is_closed() {
                self.listen().await?;
            }
            self.link.close().await.map_err(|broken| End::Broken(broken.kind, broken.why))
        };
        if let Ok(Err(End::Broken(_, why) | End::Refused { why, .. })) =
            timeout(CLOSE_LIMIT, goodbye).await
        {
            tracing::debug!(%why, "the server did not end the session in order");
        }
        self.settled()
    }

    async fn flush(&mut self) -> Result<(), End> {
        self.hear()?;
        let mut out = std::mem::take(&mut self.out);
        for piece in out.chunks(PIECE_BYTES) {
            match timeout(self.limits.answer_timeout, self.link.send(piece)).await {
                Ok(Ok(())) => self.hear()?,
                Ok(Err(broken)) => return Err(self.broke(broken)),
                Err(_) => return Err(self.silent("the server took nothing")),
            }
        }
        out.clear();
        self.out = out;
        Ok(())
    }

    /// Waits until the server says something. Dropped midway, it loses nothing.
    async fn listen(&mut self) -> Result<(), End> {
        let due = self.since + self.limits.answer_timeout;
        let owes = self.session.unanswered() > 0;
        tokio::select! {
            biased;
            heard = self.link.hears() => match heard {
                Ok(()) => self.hear(),
                Err(broken) => Err(self.broke(broken)),
            },
            () = sleep_until(due), if owes => {
                // As long as the server still takes what was sent, its silence says nothing.
                let in_transit = self.link.in_transit();
                if in_transit == self.in_transit {
                    return Err(self.silent("the server owes an answer and gave none"));
                }
                self.in_transit = in_transit;
                self.since = Instant::now();
                Ok(())
            }
        }
    }

    /// Takes what the server has said by now.
    fn hear(&mut self) -> Result<(), End> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        let session = &mut self.session;
        let heard = self.link.take_heard(|bytes| (!bytes.is_empty()).then(|| session.hear(bytes)));
        match heard {
            None => Ok(()),
            Some(Ok(())) => {
                self.since = Instant::now();
                self.in_transit = 0;
                Ok(())
            }
            Some(Err(end)) => Err(self.ends(end)),
        }
    }

    /// The link ended; what came before that comes first.
    fn broke(&mut self, broken: Broken) -> End {
        if let Err(end) = self.hear() {
            return end;
        }
        let why = match self.session.refusal() {
            Some(words) => format!("{}, having refused a message: {words}", broken.why),
            None if self.session.is_opening() => format!("{}; {CURE}", broken.why),
            None => broken.why,
        };
        self.ends(End::Broken(broken.kind, why))
    }

    fn silent(&mut self, what: &str) -> End {
        let limit = self.limits.answer_timeout;
        let why = format!("{what} within {limit:.1?} (answer_timeout)");
        self.ends(End::Broken(FaultKind::Timeout, why))
    }

    /// Keeps the first end, which tells most.
    fn ends(&mut self, end: End) -> End {
        self.end.get_or_insert(end).clone()
    }
}
