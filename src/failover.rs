//! Several addresses that stand for one peer, in the order in which they are preferred: one link
//! at a time, to the first that answers, and back to a better one once that is well. Never keeps
//! a frame: positions are those of the present link, and `deliver` resends.

mod failback;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};

use crate::metrics::{FaultKind, OutputMetrics};
use crate::options::{OptionSpec, Options};
use crate::output::{BoxFuture, Driver, Fault, Frames, Open, OpenLink, Output, Target};
use failback::Failback;

/// Rows of the options of a list of addresses.
pub const OPTIONS: &[OptionSpec] = &[FAILOVER, FAILBACK];

/// `failover`
pub const FAILOVER: OptionSpec = OptionSpec {
    name: "failover",
    default: "",
    unit: "host:port",
    help: "An address to turn to when those before it do not answer, like one behind '|' in the \
           URI; may be given several times, up to 8 addresses in all.",
};
/// `failback`
pub const FAILBACK: OptionSpec = OptionSpec {
    name: "failback",
    default: "60s",
    unit: "duration or off",
    help: "How often the addresses before the present one are tried, to go back to one that \
           answered twice in a row; off to stay where it is.",
};

/// Addresses in one list at most: every one that is down costs a delay on the way to the last.
pub const MAX_ADDRESSES: usize = 8;

/// A handshake over a slow line takes less; what has not answered by then may be a black hole,
/// so the next address is tried beside it.
const STAGGER: Duration = Duration::from_secs(2);

/// A link that ended sooner shows a peer that accepts and cannot work: the others come first.
const SHORT_LIVED: Duration = Duration::from_secs(10);

/// Opens a list of addresses, which touches no network. Problems go into `options`, what several
/// addresses have in common once.
pub fn open(
    driver: &'static Driver,
    targets: Vec<Target>,
    options: &mut Options,
    metrics: OutputMetrics,
) -> Option<Box<dyn Output>> {
    let Open::Link(link) = driver.open else { return None };
    let every = options.parsed(&FAILBACK, failback::parse).unwrap_or(Some(failback::DEFAULT));
    let given = options.untaken();
    let peers: Vec<Peer> = targets
        .into_iter()
        .map(|target| Peer {
            name: target.to_string(),
            driver,
            link,
            target,
            options: given.clone(),
            // Attempts and probes are no links of the destination.
            metrics: metrics.uncounted(),
        })
        .collect();
    let mut sound = true;
    for peer in &peers {
        let mut options_of_peer = peer.options.clone();
        sound &= peer.open_with(&mut options_of_peer).is_some();
        options.absorb(options_of_peer);
    }
    let failback = Failback::new(every);
    let list = Failover { peers, link: None, last: 0, shunned: None, failback, metrics };
    sound.then(|| Box::new(list) as Box<dyn Output>)
}

#[derive(Debug)]
struct Failover {
    peers: Vec<Peer>,
    link: Option<Link>,
    /// Where the last link went.
    last: usize,
    /// Whose last link did not hold; tried last until there is another.
    shunned: Option<usize>,
    failback: Failback,
    metrics: OutputMetrics,
}

/// One address. Every attempt has an output of its own, so that the ones that lose are dropped.
#[derive(Debug, Clone)]
struct Peer {
    name: String,
    driver: &'static Driver,
    link: OpenLink,
    target: Target,
    options: Options,
    metrics: OutputMetrics,
}

#[derive(Debug)]
struct Link {
    at: usize,
    output: Box<dyn Output>,
    made: Instant,
    ended: Option<Instant>,
    /// It was made by going back.
    returned: bool,
    /// It is being ended in order, to go back to this address.
    leaving_for: Option<usize>,
}

/// An attempt that succeeded.
struct Winner {
    at: usize,
    output: Box<dyn Output>,
    to: String,
}

impl Peer {
    fn open_with(&self, options: &mut Options) -> Option<Box<dyn Output>> {
        (self.link)(self.target.clone(), options, self.metrics.clone())
    }

    /// What was found right once can be wrong later: a certificate that is gone.
    fn open(&self) -> Result<Box<dyn Output>, Fault> {
        let mut options = self.options.clone();
        self.open_with(&mut options).ok_or_else(|| {
            let problems = options.finish(&[self.driver.options]);
            let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Fault::retry(texts.join("; "))
        })
    }

    async fn connect(&self, at: usize) -> Result<Winner, (usize, Fault)> {
        let mut output = self.open().map_err(|fault| (at, fault))?;
        let to = output.connect().await.map_err(|fault| (at, fault))?;
        Ok(Winner { at, output, to })
    }
}

/// Tries the addresses in `order`: the next one as soon as one fails, or beside one that is slow.
async fn first_of(peers: &[Peer], order: &[usize]) -> Result<Winner, Fault> {
    let mut waiting = order.iter().filter_map(|at| peers.get(*at).map(|peer| (*at, peer)));
    let mut left = order.len();
    let mut racing = FuturesUnordered::new();
    let mut failed = Vec::new();
    loop {
        if let Some((at, peer)) = waiting.next() {
            left = left.saturating_sub(1);
            racing.push(peer.connect(at));
        }
        tokio::select! {
            biased;
            Some(outcome) = racing.next() => match outcome {
                Ok(winner) => return Ok(winner),
                Err(failure) => failed.push(failure),
            },
            () = sleep(STAGGER), if left > 0 => {}
            else => return Err(all_failed(peers, failed)),
        }
    }
}

fn all_failed(peers: &[Peer], mut failed: Vec<(usize, Fault)>) -> Fault {
    failed.sort_by_key(|(at, _)| *at);
    let each: Vec<String> = failed
        .iter()
        .map(|(at, fault)| {
            let (name, why) = (peers.get(*at).map_or("", |peer| &peer.name), fault.to_string());
            if why.contains(name) { why } else { format!("{name}: {why}") }
        })
        .collect();
    let kind = failed.first().map_or(FaultKind::Other, |(_, fault)| fault.kind());
    Fault::of(kind, format!("none of {} addresses answers: {}", peers.len(), each.join("; ")))
}

impl Failover {
    /// Lets the last link go, and draws from its life what it says of the address.
    fn part(&mut self) -> Option<usize> {
        let link = self.link.take()?;
        let life = link.ended.unwrap_or_else(Instant::now) - link.made;
        if link.returned {
            self.failback.judge(life);
        }
        if link.leaving_for.is_none() {
            self.shunned = (life < SHORT_LIVED).then_some(link.at);
        }
        link.leaving_for
    }

    fn order(&self, first: Option<usize>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.peers.len()).collect();
        order.sort_by_key(|at| (first != Some(*at), self.shunned == Some(*at), *at));
        order
    }

    fn linked(&mut self) -> Result<&mut Link, Fault> {
        self.link.as_mut().ok_or_else(|| Fault::retry("not connected"))
    }
}

impl Link {
    fn noting_the_end<T>(&mut self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        if outcome.is_err() {
            self.ended.get_or_insert_with(Instant::now);
        }
        outcome
    }

    /// Ends the link with everything acknowledged, so that nothing is sent twice. Can be dropped
    /// and called again.
    async fn leave(&mut self, peers: &[Peer]) -> Fault {
        let to = self.leaving_for.and_then(|at| peers.get(at)).map_or("", |peer| &peer.name);
        match self.output.close().await {
            Ok(_) => Fault::retry(format!("going back to {to}, which answers again")),
            Err(fault) => fault,
        }
    }
}

impl Output for Failover {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async {
            let wanted = self.part();
            let order = self.order(wanted);
            let Winner { at, output, to } = match first_of(&self.peers, &order).await {
                Ok(winner) => winner,
                Err(fault) => {
                    if wanted.is_some() {
                        self.failback.judge(Duration::ZERO);
                    }
                    return Err(fault);
                }
            };
            let returned = wanted == Some(at);
            if wanted.is_some() && !returned {
                self.failback.judge(Duration::ZERO);
            }
            self.metrics.connections.inc();
            if at != self.last {
                self.metrics.switches.inc();
            }
            self.last = at;
            self.failback.start(at);
            let made = Instant::now();
            let link = Link { at, output, made, ended: None, returned, leaving_for: None };
            self.link = Some(link);
            Ok(to)
        })
    }

    fn send<'a>(&'a mut self, frames: Frames<'a>) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Self { link: Some(link), peers, .. } = self else {
                return Err(Fault::retry("not connected"));
            };
            if link.leaving_for.is_some() {
                return Err(link.leave(peers).await);
            }
            let outcome = link.output.send(frames).await;
            link.noting_the_end(outcome)
        })
    }

    fn settled(&mut self) -> u64 {
        self.link.as_mut().map_or(0, |link| link.output.settled())
    }

    fn acknowledged(&mut self, beyond: u64) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async move {
            let Self { link: Some(link), peers, failback, .. } = self else {
                return Err(Fault::retry("not connected"));
            };
            if link.leaving_for.is_none() {
                tokio::select! {
                    biased;
                    better = failback.better(peers) => link.leaving_for = Some(better),
                    outcome = link.output.acknowledged(beyond) => {
                        return link.noting_the_end(outcome);
                    }
                }
            }
            // Between two sends, so the stream ends after a whole frame.
            Err(link.leave(peers).await)
        })
    }

    fn keeps_acknowledged(&self) -> u64 {
        self.link.as_ref().map_or(0, |link| link.output.keeps_acknowledged())
    }

    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async {
            let link = self.linked()?;
            let outcome = link.output.close().await;
            link.noting_the_end(outcome)
        })
    }
}
