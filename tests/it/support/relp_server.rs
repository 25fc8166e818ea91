//! A RELP server that counts messages, keeps to the protocol as strictly as librelp, and
//! misbehaves by script.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::receiver::Inbox;
use super::{check, until};

/// How often a server's thread looks for commands while nothing arrives.
const TICK: Duration = Duration::from_millis(5);

/// What the server says to `open`.
const WELCOME: &str = "200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog";

/// What the server does with one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Answers everything in order.
    Answer,
    /// Takes that many messages, answers all but the last ones, and is gone by a reset.
    Die {
        /// How many it takes.
        after: usize,
        /// How many of them it does not answer.
        unanswered: usize,
    },
    /// Answers groups of that many from the last to the first.
    Backwards(usize),
    /// After that many messages, all answered, says `serverclose` and ends in order.
    Leave(usize),
    /// After that many messages says this instead of an answer, and reads on.
    Say(usize, &'static str),
    /// Answers `open` and takes every message without an answer.
    Mute,
    /// As `Mute`, until told to `release`.
    Hold,
    /// Does not even answer `open`.
    Deaf,
}

/// A running server on a loopback port of its own.
pub struct RelpServer {
    /// The messages that came, answered or not.
    pub inbox: Arc<Inbox>,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    inbox: Arc<Inbox>,
    script: Mutex<VecDeque<Conduct>>,
    refused: Mutex<Option<String>>,
    connections: AtomicUsize,
    most_owed: AtomicUsize,
    closes: AtomicUsize,
    leave: AtomicBool,
    release: AtomicBool,
    stop: AtomicBool,
}

impl RelpServer {
    /// Treats the first connections as the script says, and answers on all later ones.
    pub fn start(script: impl IntoIterator<Item = Conduct>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inbox = Arc::new(Inbox::default());
        let script = Mutex::new(script.into_iter().collect());
        let shared = Arc::new(Shared { inbox: inbox.clone(), script, ..Shared::default() });
        let accepting = shared.clone();
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if accepting.stop.load(SeqCst) {
                    return;
                }
                // One connection after the other: the agent has one at a time.
                let conduct = accepting.script.lock().unwrap().pop_front();
                accepting.connections.fetch_add(1, SeqCst);
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(TICK)).unwrap();
                let conduct = conduct.unwrap_or(Conduct::Answer);
                Connection::new(accepting.clone(), stream, number, conduct).serve();
            }
        });
        Self { inbox, address, shared, thread: Some(thread) }
    }

    /// A route to it, without options, which is also its name in the metrics.
    pub fn route(&self) -> String {
        format!("relp://{}", self.address)
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// Waits until it has accepted that many connections.
    #[track_caller]
    pub fn wait_connections(&self, count: usize) {
        until(&format!("connection {count}"), super::SOON, || {
            check(self.connections() >= count, || format!("{} were made", self.connections()))
        });
    }

    /// The most messages that ever waited for an answer at once.
    pub fn most_owed(&self) -> usize {
        self.shared.most_owed.load(SeqCst)
    }

    /// How many sessions the client has ended by `close`.
    pub fn closes(&self) -> usize {
        self.shared.closes.load(SeqCst)
    }

    /// Answers 500 to messages that hold this text from now on; to none without one.
    pub fn refuse(&self, text: Option<&str>) {
        *self.shared.refused.lock().unwrap() = text.map(str::to_owned);
    }

    /// Says `serverclose` on the present connection and ends it in order.
    pub fn leave(&self) {
        self.shared.leave.store(true, SeqCst);
    }

    /// Lets a connection that holds its answers back give them, and all later ones.
    pub fn release(&self) {
        self.shared.release.store(true, SeqCst);
    }
}

impl Drop for RelpServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        // Wakes the thread that accepts.
        TcpStream::connect(self.address).ok();
        self.thread.take().map(JoinHandle::join);
    }
}

struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    number: usize,
    conduct: Conduct,
    pending: Vec<u8>,
    last: u64,
    messages: usize,
    owed: Vec<(u64, &'static str)>,
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    Go,
    End,
}

impl Connection {
    fn new(shared: Arc<Shared>, stream: TcpStream, number: usize, conduct: Conduct) -> Self {
        let (pending, owed) = (Vec::new(), Vec::new());
        Self { shared, stream, number, conduct, pending, last: 0, messages: 0, owed }
    }

    fn serve(&mut self) {
        let mut space = vec![0; 64 * 1024];
        loop {
            if self.shared.stop.load(SeqCst) {
                return;
            }
            if self.shared.leave.swap(false, SeqCst) {
                return self.bid_farewell();
            }
            let idle = match self.stream.read(&mut space) {
                Ok(0) => return,
                Ok(count) => {
                    self.pending.extend_from_slice(&space[..count]);
                    false
                }
                Err(error) if is_nothing(&error) => true,
                Err(_) => return,
            };
            while let Some((txnr, command, data)) = self.command() {
                if self.obey(txnr, &command, data) == Then::End {
                    return;
                }
            }
            self.pay(idle);
        }
    }

    /// The next command. Anything but a frame with the next number is a complaint.
    fn command(&mut self) -> Option<(u64, String, Vec<u8>)> {
        let mut fields = self.pending.splitn(3, |byte| *byte == b' ');
        let (txnr, command, rest) = (fields.next()?, fields.next()?, fields.next()?);
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == rest.len() {
            return None;
        }
        let number = |text| String::from_utf8_lossy(text).parse().unwrap_or(usize::MAX);
        let length = number(&rest[..digits]);
        let header = txnr.len() + 1 + command.len() + 1 + digits;
        let start = header + usize::from(length > 0);
        let (txnr, command) = (number(txnr) as u64, String::from_utf8_lossy(command).into_owned());
        if self.pending.len() <= start.saturating_add(length) {
            return None;
        }
        let end = start + length;
        if txnr != self.last + 1 || self.pending[end] != b'\n' {
            let start = String::from_utf8_lossy(&self.pending[..self.pending.len().min(60)]);
            let complaint = format!("after {} came {start:?}", self.last);
            return self.complain(&complaint);
        }
        self.last = txnr;
        let data = self.pending[start..end].to_vec();
        self.pending.drain(..=end);
        Some((txnr, command, data))
    }

    fn complain<T>(&mut self, what: &str) -> Option<T> {
        self.shared.inbox.complain(format!("connection {}: {what}", self.number));
        self.pending.clear();
        None
    }

    fn obey(&mut self, txnr: u64, command: &str, data: Vec<u8>) -> Then {
        match command {
            "open" if self.conduct != Conduct::Deaf => self.answer(txnr, WELCOME),
            "open" => {}
            "close" => {
                self.shared.closes.fetch_add(1, SeqCst);
                self.answer(txnr, "200 OK");
                self.say("0 serverclose 0\n");
            }
            "syslog" => return self.take(txnr, data),
            _ => {
                self.complain::<()>(&format!("command {command:?}"));
            }
        }
        Then::Go
    }

    fn take(&mut self, txnr: u64, data: Vec<u8>) -> Then {
        let refused = self.shared.refused.lock().unwrap().clone();
        let is_refused = refused.is_some_and(|text| {
            text.is_empty() || data.windows(text.len()).any(|part| part == text.as_bytes())
        });
        if !is_refused {
            self.shared.inbox.take(data, self.number);
        }
        self.messages += 1;
        self.owed.push((txnr, if is_refused { "500 not wanted" } else { "200 OK" }));
        self.shared.most_owed.fetch_max(self.owed.len(), SeqCst);
        if let Conduct::Say(after, words) = self.conduct
            && self.messages == after
        {
            self.owed.clear();
            self.say(words);
        }
        self.pay(false);
        match self.conduct {
            Conduct::Die { after, .. } if self.messages == after => {
                let linger = Some(Duration::ZERO);
                socket2::SockRef::from(&self.stream).set_linger(linger).unwrap();
                Then::End
            }
            Conduct::Leave(after) if self.messages == after => {
                self.bid_farewell();
                Then::End
            }
            _ => Then::Go,
        }
    }

    /// Gives the answers that are due; `idle` if nothing more comes for now.
    fn pay(&mut self, idle: bool) {
        let answered = self.messages - self.owed.len();
        let due = match self.conduct {
            Conduct::Mute | Conduct::Deaf => 0,
            Conduct::Hold if !self.shared.release.load(SeqCst) => 0,
            Conduct::Die { after, unanswered } => {
                (after - unanswered).saturating_sub(answered).min(self.owed.len())
            }
            Conduct::Backwards(group) if !idle => self.owed.len() / group * group,
            _ => self.owed.len(),
        };
        let mut answers: Vec<_> = self.owed.drain(..due).collect();
        if let Conduct::Backwards(group) = self.conduct {
            answers.chunks_mut(group).for_each(<[_]>::reverse);
        }
        for (txnr, words) in answers {
            self.answer(txnr, words);
        }
    }

    fn bid_farewell(&mut self) {
        self.say("0 serverclose 0\n");
        self.stream.shutdown(Shutdown::Write).ok();
        // To the peer's end, so that no reset follows.
        let mut space = [0; 4096];
        while !self.shared.stop.load(SeqCst) {
            match self.stream.read(&mut space) {
                Ok(1..) => {}
                Err(error) if is_nothing(&error) => {}
                _ => return,
            }
        }
    }

    fn answer(&mut self, txnr: u64, words: &str) {
        self.say(&format!("{txnr} rsp {} {words}\n", words.len()));
    }

    fn say(&mut self, words: &str) {
        self.stream.write_all(words.as_bytes()).ok();
    }
}

fn is_nothing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
