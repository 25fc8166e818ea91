//! A syslog receiver that only counts: which of the numbered lines came, how often, and when the
//! last one did. Understands both framings of TCP. Never writes to its senders.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// What stands before the number of a line, which has `DIGITS` digits.
pub(crate) const MARKER: &str = "bench/";
pub(crate) const DIGITS: usize = 8;

/// Taken from a connection at once, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// A frame that is longer is no frame of a bench.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// What has arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    seen: Vec<u64>,
    /// Different numbers.
    pub(crate) distinct: u64,
    /// Numbers that came again.
    pub(crate) repeated: u64,
    /// Numbers that came after a higher one for the first time.
    pub(crate) reordered: u64,
    /// Frames without a number of this bench: other containers, the shippers' own words.
    pub(crate) foreign: u64,
    /// When the last new number came.
    pub(crate) last: Option<Instant>,
    /// Bytes that could not be taken apart.
    pub(crate) garbled: u64,
    highest: u64,
}

impl Tally {
    fn new(lines: u64) -> Self {
        let words = usize::try_from(lines / 64 + 1).unwrap();
        Self { seen: vec![0; words], ..Self::default() }
    }

    fn note(&mut self, number: Option<u64>) {
        let place = number.and_then(|number| {
            let word = self.seen.get_mut(usize::try_from(number / 64).ok()?)?;
            Some((number, word))
        });
        let Some((number, word)) = place else {
            self.foreign += 1;
            return;
        };
        let bit = 1 << (number % 64);
        if *word & bit != 0 {
            self.repeated += 1;
            return;
        }
        *word |= bit;
        self.distinct += 1;
        self.reordered += u64::from(number < self.highest);
        self.highest = self.highest.max(number);
    }
}

#[derive(Debug)]
struct Shared {
    tally: Mutex<Tally>,
    changed: Condvar,
    lines: u64,
}

/// A listening sink. Its threads end with the process.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Sink {
    /// Listens on a free port of the loopback for the numbers 0 to `lines`.
    pub(crate) fn listen(lines: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tally = Mutex::new(Tally::new(lines));
        let shared = Arc::new(Shared { tally, changed: Condvar::new(), lines });
        let receiving = shared.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = receiving.clone();
                thread::spawn(move || receive(connection, &shared));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits until all lines are there, or nothing new has come for `patience`.
    pub(crate) fn wait(&self, patience: Duration) -> Tally {
        let mut tally = lock(&self.shared);
        loop {
            let before = tally.distinct;
            if before >= self.shared.lines {
                return tally.clone();
            }
            let (after, timeout) = self
                .shared
                .changed
                .wait_timeout_while(tally, patience, |tally| tally.distinct == before)
                .unwrap();
            if timeout.timed_out() {
                return after.clone();
            }
            tally = after;
        }
    }

    /// What has arrived by now.
    pub(crate) fn tally(&self) -> Tally {
        lock(&self.shared).clone()
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Tally> {
    shared.tally.lock().unwrap()
}

fn receive(mut connection: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; READ_BYTES + MAX_FRAME_BYTES];
    let mut held = 0;
    let mut place = 0;
    while let Ok(read) = connection.read(&mut buffer[held..held + READ_BYTES]) {
        if read == 0 {
            break;
        }
        let filled = held + read;
        let mut rest = &buffer[..filled];
        {
            let mut tally = lock(shared);
            let before = tally.distinct;
            while let Some((frame, after)) = next_frame(rest) {
                tally.note(number(frame, &mut place));
                rest = after;
            }
            if tally.distinct > before {
                tally.last = Some(Instant::now());
            }
            if rest.len() >= MAX_FRAME_BYTES {
                tally.garbled += rest.len() as u64;
                rest = &[];
            }
        }
        shared.changed.notify_all();
        held = rest.len();
        buffer.copy_within(filled - held..filled, 0);
    }
    lock(shared).garbled += held as u64;
}

/// The first whole frame: counted if it starts with a digit, else up to a line feed.
fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if !bytes.first()?.is_ascii_digit() {
        let end = memchr::memchr(b'\n', bytes)?;
        return Some((&bytes[..end], &bytes[end + 1..]));
    }
    let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    bytes.get(space + 1..)?.split_at_checked(length)
}

/// The number in a frame; `place` is where the last one was, for they stand in line.
fn number(frame: &[u8], place: &mut usize) -> Option<u64> {
    let marker = MARKER.as_bytes();
    if frame.get(*place..*place + marker.len()) != Some(marker) {
        *place = memchr::memmem::find(frame, marker)?;
    }
    let start = *place + marker.len();
    let digits = frame.get(start..start + DIGITS)?;
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}
