//! When to go back to an address that is preferred to the present one: it is tried at intervals
//! with a whole handshake, and must answer several times in a row. Never ends a link.

use std::fmt;
use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::Peer;
use crate::options::parse_duration;
use crate::output::BoxFuture;

/// The default of `failback`.
pub(super) const DEFAULT: Duration = Duration::from_mins(1);

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(24);

/// Probes in a row that must succeed: one may meet a server that is being restarted.
const PROBES: u32 = 2;

/// Longest interval after failed returns. Two probes later, within the hour, an address that was
/// mended has its lines again without anybody's doing.
const LONGEST_WAIT: Duration = Duration::from_mins(30);

/// `None` for off.
pub(super) fn parse(text: &str) -> Result<Option<Duration>, String> {
    if matches!(text, "off" | "0" | "0s") {
        return Ok(None);
    }
    let every = parse_duration(text)?;
    if !(SHORTEST..=LONGEST).contains(&every) {
        return Err("expected 1s to 24h, or off".into());
    }
    Ok(Some(every))
}

/// The probes of one list of addresses.
#[derive(Debug)]
pub(super) struct Failback {
    every: Option<Duration>,
    wait: Duration,
    due: Instant,
    round: Option<Round>,
    /// Per address before the present one, how often in a row it has answered.
    answered: Vec<u32>,
}

/// A probe of every address before the present one; kept while `deliver` does other things.
struct Round(BoxFuture<'static, Vec<bool>>);

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Round")
    }
}

impl Failback {
    /// Probes at the interval `every`, or never.
    pub(super) fn new(every: Option<Duration>) -> Self {
        let wait = every.unwrap_or_default();
        Self { every, wait, due: Instant::now(), round: None, answered: Vec::new() }
    }

    /// There is a link to address `at`: what was known of the others is old.
    pub(super) fn start(&mut self, at: usize) {
        self.round = None;
        self.answered = vec![0; at];
        self.due = Instant::now() + self.wait;
    }

    /// A link that was made by going back has ended. If it did not even last until the next
    /// probe would have been due, probes do not tell whether that address works: the next return
    /// is twice as far away, so that the lines do not run to and fro.
    pub(super) fn judge(&mut self, life: Duration) {
        let Some(every) = self.every else { return };
        let doubled = (self.wait * 2).min(LONGEST_WAIT.max(every));
        self.wait = if life < self.wait { doubled } else { every };
    }

    /// Waits until an address before the present one is well; which one. Loses nothing when it
    /// is dropped.
    pub(super) async fn better(&mut self, peers: &[Peer]) -> usize {
        if self.every.is_none() || self.answered.is_empty() {
            return pending().await;
        }
        loop {
            let Some(Round(round)) = &mut self.round else {
                sleep_until(self.due).await;
                let before = peers.iter().take(self.answered.len());
                self.round = Some(Round(Box::pin(probe_all(before.cloned().collect()))));
                continue;
            };
            let answers = round.await;
            self.round = None;
            self.due = Instant::now() + self.wait;
            for (count, answer) in self.answered.iter_mut().zip(answers) {
                *count = if answer { *count + 1 } else { 0 };
            }
            if let Some(at) = self.answered.iter().position(|count| *count >= PROBES) {
                return at;
            }
        }
    }
}

async fn probe_all(peers: Vec<Peer>) -> Vec<bool> {
    let mut answers = vec![false; peers.len()];
    let probes = peers.iter().enumerate().map(async |(at, peer)| (at, probe(at, peer).await));
    let mut probes: FuturesUnordered<_> = probes.collect();
    while let Some((at, answered)) = probes.next().await {
        if let Some(answer) = answers.get_mut(at) {
            *answer = answered;
        }
    }
    answers
}

/// Connects and says goodbye without having sent anything.
async fn probe(at: usize, peer: &Peer) -> bool {
    match peer.connect(at).await {
        Ok(mut winner) => winner.output.close().await.is_ok(),
        Err((_, fault)) => {
            tracing::debug!(address = %peer.name, %fault, "a preferred address is not back yet");
            false
        }
    }
}
