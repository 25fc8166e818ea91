//! One RELP session from the client's side: which commands wait for an answer, and how far the
//! messages are accepted. No I/O and no clock.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::frame::{self, Frame, LAST_TXNR};
use crate::metrics::FaultKind;

/// What we offer. librelp, and so every server in use, speaks version 0.
const OFFERS: &[u8] = b"relp_version=0\nrelp_software=downspout\ncommands=syslog";

/// Most bytes of a server's own words that are repeated.
const SHOWN_BYTES: usize = 200;

/// What to do about a server that does not know what we want.
pub(super) const CURE: &str = "check that this is its RELP port, and whether it wants TLS";

/// A client's session. Positions are bytes of messages, counted from 0.
#[derive(Debug)]
pub(super) struct Session {
    state: State,
    /// Commands that are not settled, in the order of their transaction numbers.
    commands: VecDeque<Command>,
    /// The transaction number of the first of them, or the next one to be given.
    first: u32,
    unanswered: usize,
    sent: u64,
    settled: u64,
    /// Whether the server has accepted any message.
    accepted: bool,
    /// The beginning of a frame from the server.
    partial: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `open` is not answered yet.
    Opening,
    /// Messages may go.
    Open,
    /// `close` is said; nothing more may be.
    Closing,
    /// The server has agreed to the end.
    Closed,
}

#[derive(Debug)]
struct Command {
    kind: Kind,
    /// The position after it.
    end: u64,
    answer: Option<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Message,
    Close,
}

#[derive(Debug)]
enum Answer {
    Accepted,
    Refused(String),
}

/// Why a session cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The server leaves, or does not keep to the protocol, or does not let us in.
    Broken(FaultKind, String),
    /// The server has refused the first message that is not settled.
    Refused {
        /// The server's words.
        why: String,
        /// Whether it has accepted other messages in this session, so that it is this message
        /// that it does not want.
        others: bool,
    },
}

impl Session {
    /// A session that begins: its `open` is appended to `out`.
    pub(super) fn begin(out: &mut Vec<u8>) -> Self {
        let mut session = Self {
            state: State::Opening,
            commands: VecDeque::new(),
            first: 1,
            unanswered: 0,
            sent: 0,
            settled: 0,
            accepted: false,
            partial: Vec::new(),
        };
        session.say(Kind::Open, OFFERS, out);
        session
    }

    /// Appends a message to `out`.
    pub(super) fn message(&mut self, message: &[u8], out: &mut Vec<u8>) {
        self.sent += message.len() as u64;
        self.say(Kind::Message, message, out);
    }

    /// Appends the wish to end to `out`; no message may follow.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        self.say(Kind::Close, &[], out);
        self.state = State::Closing;
    }

    /// Commands that are not settled: unanswered, or behind one that is.
    pub(super) fn waiting(&self) -> usize {
        self.commands.len()
    }

    /// Commands without an answer.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// The end of the longest row of messages from the first on that are all accepted.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Whether the server has yet to let us in.
    pub(super) fn is_opening(&self) -> bool {
        self.state == State::Opening
    }

    /// Whether the server has agreed to the end.
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The server's words if it has refused the first message that is not settled.
    pub(super) fn refusal(&self) -> Option<&str> {
        match self.commands.front()?.answer.as_ref()? {
            Answer::Refused(why) => Some(why),
            Answer::Accepted => None,
        }
    }

    /// Takes what the server says, cut anywhere. After an error the session is over.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<(), End> {
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((frame, length)) =
            frame::first(partial.get(at..).unwrap_or_default()).map_err(|what| not_relp(&what))?
        {
            self.take(frame)?;
            at += length;
        }
        partial.drain(..at);
        self.partial = partial;
        self.judge()
    }

    fn say(&mut self, kind: Kind, data: &[u8], out: &mut Vec<u8>) {
        let command = match kind {
            Kind::Open => "open",
            Kind::Message => "syslog",
            Kind::Close => "close",
        };
        frame::write(out, self.next(), command, data);
        self.commands.push_back(Command { kind, end: self.sent, answer: None });
        self.unanswered += 1;
    }

    /// The transaction number of the next command.
    fn next(&self) -> u32 {
        let ahead = u32::try_from(self.commands.len()).unwrap_or(LAST_TXNR);
        let txnr = self.first + ahead;
        if txnr > LAST_TXNR { txnr - LAST_TXNR } else { txnr }
    }

    fn take(&mut self, frame: Frame<'_>) -> Result<(), End> {
        match (frame.command, frame.txnr) {
            (b"rsp", txnr) => self.answer(txnr, frame.data),
            (b"serverclose", 0) if self.state == State::Closing => {
                self.state = State::Closed;
                Ok(())
            }
            // After its answer to our close a server may announce the end as well.
            (b"serverclose", 0) if self.state == State::Closed => Ok(()),
            (b"serverclose", 0) => Err(End::Broken(
                FaultKind::Closed,
                "the server announced that it closes the connection".into(),
            )),
            // A hint that we do not know hints at nothing that we do.
            (_, 0) => Ok(()),
            (command, txnr) => {
                let command = command.escape_ascii();
                Err(End::Broken(
                    FaultKind::Other,
                    format!("the server said '{command}' in transaction {txnr}"),
                ))
            }
        }
    }

    fn answer(&mut self, txnr: u32, data: &[u8]) -> Result<(), End> {
        // Numbers follow each other, so the distance is the place; before `first` it is huge.
        let ahead = match txnr.checked_sub(self.first) {
            Some(ahead) => ahead,
            None => (txnr + LAST_TXNR) - self.first,
        };
        let place = usize::try_from(ahead).ok().filter(|_| txnr != 0);
        let command = place.and_then(|place| self.commands.get_mut(place));
        let Some(command) = command.filter(|command| command.answer.is_none()) else {
            let why = format!("the server answered transaction {txnr}, which waits for no answer");
            return Err(End::Broken(FaultKind::Other, why));
        };
        let (code, words, rest) = status(data).ok_or_else(|| {
            let shown = shown(data);
            End::Broken(
                FaultKind::Other,
                format!("the server answered '{shown}', which has no status"),
            )
        })?;
        self.unanswered -= 1;
        let is_good = code == 200;
        let kind = command.kind;
        command.answer =
            Some(if is_good { Answer::Accepted } else { Answer::Refused(shown(words)) });
        match kind {
            Kind::Open if is_good => {
                check_offers(rest)?;
                self.state = State::Open;
            }
            Kind::Open => {
                let words = shown(words);
                return Err(End::Broken(
                    FaultKind::Rejected,
                    format!("the server refused the session: {words}"),
                ));
            }
            Kind::Message => self.accepted |= is_good,
            // Whatever it thinks of the wish, there is nothing more to say.
            Kind::Close => self.state = State::Closed,
        }
        self.settle();
        Ok(())
    }

    fn settle(&mut self) {
        while let Some(command) = self.commands.front() {
            let over = match &command.answer {
                Some(Answer::Accepted) => true,
                // Of an empty message nothing gets lost, and no position tells it from the next.
                Some(Answer::Refused(_)) => command.end == self.settled,
                None => false,
            };
            if !over {
                return;
            }
            self.settled = command.end;
            self.commands.pop_front();
            self.first = frame::next(self.first);
        }
    }

    // A refusal counts once it is known what the server makes of others: it may refuse all.
    fn judge(&self) -> Result<(), End> {
        match self.refusal() {
            Some(why) if self.accepted || self.unanswered == 0 => {
                Err(End::Refused { why: why.to_owned(), others: self.accepted })
            }
            _ => Ok(()),
        }
    }
}

fn not_relp(what: &str) -> End {
    End::Broken(FaultKind::Other, format!("the server does not speak RELP: {what}; {CURE}"))
}

/// The status code of an answer, the words after it, and the lines after those.
fn status(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (code, after) = data.split_at_checked(3)?;
    let code = std::str::from_utf8(code).ok().filter(|_| code.iter().all(u8::is_ascii_digit))?;
    let end = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
    let (words, rest) = after.split_at(end);
    let is_delimited = words.is_empty() || words.starts_with(b" ");
    let code = code.parse().ok().filter(|_| is_delimited)?;
    Some((code, data.get(..3 + end)?, rest))
}

// A server must name a version, and may only get the commands that it names.
fn check_offers(offers: &[u8]) -> Result<(), End> {
    let value = |name: &[u8]| {
        let mut lines = offers.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(b"="))
    };
    let takes_messages = |commands: &[u8]| {
        commands.split(|byte| *byte == b',').any(|command| command.trim_ascii() == b"syslog")
    };
    if value(b"relp_version").is_none() || !value(b"commands").is_some_and(takes_messages) {
        let shown = shown(offers);
        return Err(End::Broken(
            FaultKind::Other,
            format!("the server offers '{shown}', which lacks relp_version or the command syslog"),
        ));
    }
    Ok(())
}

fn shown(words: &[u8]) -> String {
    words.get(..SHOWN_BYTES).unwrap_or(words).escape_ascii().to_string()
}
