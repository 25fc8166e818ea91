//! A route URI to a checked `Route`: where lines go, how they are encoded, and how many bytes may
//! be on their way. A `Route` that exists is right. Never resolves a name, never connects.

mod host;
mod list;
mod multiline;
mod uri;

use std::collections::{BTreeMap, BTreeSet};

use crate::assemble::Joining;
use crate::encode::{self, Adapter, Encoder, Logspout, Terminal};
use crate::failover;
use crate::metrics::Metrics;
use crate::options::{OptionSpec, Options, Problem, parse_bytes};
use crate::output::{Carriage, Driver, Open, Peer, TargetKind};
use crate::select::{self, Allowed, Selection};
use crate::template::Needs;

pub(crate) use host::host_and_port;
pub use multiline::{LogspoutMultiline, LogspoutTexts};
use uri::Address;
pub(crate) use uri::redacted;

/// Rows of the options that a route has whatever its output.
pub const OPTIONS: &[OptionSpec] = &[
    WINDOW,
    REQUIRED,
    multiline::MULTILINE,
    multiline::PATTERN,
    multiline::MATCH,
    multiline::FLUSH,
    multiline::SEPARATOR,
    multiline::LINES,
];

/// Rows of the options of a route over a link, on which bytes may be in doubt.
pub const LINK_OPTIONS: &[OptionSpec] = &[REPLAY];

/// Rows of the options of a route to a store.
pub const STORE_OPTIONS: &[OptionSpec] = &[multiline::AWSLOGS_PATTERN];

const WINDOW: OptionSpec = OptionSpec {
    name: "window",
    default: "256KiB",
    unit: "bytes",
    help: "Bytes sent and not yet acknowledged at most, from 16KiB to 64MiB. For cloudwatch what is \
           collected counts as well: 16MiB by default, 4MiB at least.",
};
const REQUIRED: OptionSpec = OptionSpec {
    name: "required",
    default: "true",
    unit: "true|false",
    help: "Whether /readyz asks for this destination to be connected and to acknowledge.",
};
const REPLAY: OptionSpec = OptionSpec {
    name: "replay",
    default: "8MiB",
    unit: "bytes",
    help: "Bytes that a peer's kernel acknowledged and its process may not have read, which are \
           read from the logs and sent again at most when it breaks off; up to 1GiB, 0 for none.",
};
const DEFAULT_REPLAY_BYTES: u64 = 8 << 20;
const MAX_REPLAY_BYTES: u64 = 1 << 30;
const DEFAULT_WINDOW_BYTES: usize = 256 << 10;
const MIN_WINDOW_BYTES: u64 = 16 << 10;
/// What a store collects in batches: some ten full ones, or a little of each of many streams.
const DEFAULT_STORE_WINDOW_BYTES: usize = 16 << 20;
/// A full batch on its way, one behind it and one being filled.
const MIN_STORE_WINDOW_BYTES: usize = 4 << 20;
const MAX_WINDOW_BYTES: u64 = 64 << 20;

/// One destination, checked and ready to be run.
#[derive(Debug)]
pub struct Route {
    /// What identifies it in logs and metrics: the URI without its options, with `#2` and so on
    /// behind it where several routes go to the same place.
    pub name: String,
    /// Which containers it ships.
    pub selection: Selection,
    /// Lines to frames.
    pub encoder: Encoder,
    /// Frames to the peer.
    pub peer: Peer,
    /// Bytes sent and not acknowledged at most.
    pub window_bytes: usize,
    /// Bytes acknowledged and perhaps unread that are sent again at most.
    pub replay_bytes: u64,
    /// Whether the agent is ready only if this destination takes lines.
    pub required: bool,
    /// Whose lines are joined to records of several lines, and how.
    pub joining: Joining,
    /// Whether `LOGSPOUT_MULTILINE` of a container counts: logspout asks for it only where a route
    /// joins lines.
    pub heeds_variable: bool,
    /// The options of its URI, as they were written, to tell where a setting comes from. They may
    /// hold secrets, such as a token in a template.
    pub written: BTreeMap<String, String>,
}

/// What opening a route takes besides its URI.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// What standard output is, for routes that write there.
    pub terminal: Terminal,
    /// Where the outputs' counters are registered.
    pub metrics: &'a Metrics,
    /// By option, the variable and its value that count where a route says nothing.
    pub fallbacks: &'a BTreeMap<&'static str, (&'static str, String)>,
    /// What logspout's variables say.
    pub logspout: &'a Inherited,
    /// What a container may ask for by its labels.
    pub allowed: &'a Allowed,
}

/// What logspout's variables say of the routes that its schemes name.
#[derive(Debug, Clone)]
pub struct Inherited {
    /// Of the bytes.
    pub encoding: Logspout,
    /// Of lines that are joined.
    pub multiline: LogspoutMultiline,
}

impl Inherited {
    /// As if no variable of logspout's were set.
    pub fn nothing() -> Self {
        Self { encoding: Logspout::unset(), multiline: LogspoutMultiline::unset() }
    }
}

impl Opening<'_> {
    fn encoding(&self, driver: &Driver, adapter: Option<Adapter>) -> encode::Surroundings<'_> {
        encode::Surroundings {
            carriage: driver.carriage,
            terminal: self.terminal,
            adapter,
            logspout: &self.logspout.encoding,
            allowed: self.allowed,
        }
    }
}

impl Route {
    /// What has to be known of a container beside its name.
    pub fn needs(&self) -> Needs {
        let mut needs = self.encoder.needs();
        if let Peer::Store(store) = &self.peer {
            needs.add(store.needs());
        }
        needs
    }

    /// Checks one URI and opens its output, which touches no network. All problems are reported,
    /// each with the URI in front, without user, password and options.
    pub fn parse(uri: &str, opening: &Opening<'_>) -> Result<Self, Vec<Problem>> {
        let address = Address::parse(uri)?;
        let name = address.name();
        Self::open(address, name, opening)
    }

    /// The same under a name that is made of the usual one.
    pub fn parse_as(
        uri: &str,
        name: impl FnOnce(String) -> String,
        opening: &Opening<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let address = Address::parse(uri)?;
        let name = name(address.name());
        Self::open(address, name, opening)
    }

    /// Checks several URIs together, so that each gets a name of its own.
    pub fn parse_all(uris: &[String], opening: &Opening<'_>) -> Result<Vec<Self>, Vec<Problem>> {
        let (mut routes, mut problems, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        for uri in uris {
            let opened = Address::parse(uri).and_then(|address| {
                let name = unused(address.name(), &names);
                names.insert(name.clone());
                Self::open(address, name, opening)
            });
            match opened {
                Ok(route) => routes.push(route),
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() { Ok(routes) } else { Err(problems) }
    }

    fn open(address: Address, name: String, opening: &Opening<'_>) -> Result<Self, Vec<Problem>> {
        let (adapter, joins) = (address.adapter(), address.joins);
        let Address { driver, mut targets, options, .. } = address;
        let written = options.iter().cloned().collect();
        let mut options = Options::new(options).falling_back_on(opening.fallbacks);
        let encoder = encode::plan(&mut options, opening.encoding(driver, adapter));
        let selection = Selection::take(&mut options);
        let window_bytes = take_window(&mut options, driver);
        let required = options.flag(&REQUIRED, true);
        let joined = joins.then_some(&opening.logspout.multiline);
        let joining = multiline::take(&mut options, !is_link(driver), joined);
        let heeds_variable = joins || joining.by_default().is_some();
        let mut replay_bytes = 0;
        let peer = match (driver.open, targets.pop()) {
            (Open::Store(open), Some(target)) => {
                open(&target, &mut options, opening.metrics.store(&name)).map(Peer::Store)
            }
            (Open::Link(open), Some(target)) if targets.is_empty() => {
                replay_bytes = take_replay(&mut options);
                refuse_failback(&mut options, driver);
                open(target, &mut options, opening.metrics.output(&name)).map(Peer::Link)
            }
            (_, last) => {
                replay_bytes = take_replay(&mut options);
                targets.extend(last);
                let metrics = opening.metrics.output(&name);
                failover::open(driver, targets, &mut options, metrics).map(Peer::Link)
            }
        };
        let mut problems = options.finish(&known(driver));
        match (encoder, peer, selection) {
            (Some(encoder), Some(peer), Some(selection)) if problems.is_empty() => Ok(Self {
                name,
                selection,
                encoder,
                peer,
                window_bytes,
                replay_bytes,
                required,
                joining,
                heeds_variable,
                written,
            }),
            _ => {
                if problems.is_empty() {
                    problems.push(Problem::new("cannot be opened"));
                }
                Err(problems.into_iter().map(|problem| problem.of(&name)).collect())
            }
        }
    }
}

/// Reads a URI and its encoding options as far as that opens nothing: the entry for fuzzing.
/// Returns the route's name.
pub fn check(uri: &str) -> Result<String, Vec<Problem>> {
    let address = Address::parse(uri)?;
    let name = address.name();
    let plain = encode::Surroundings::plain(address.driver.carriage, Terminal::default());
    let around = encode::Surroundings { adapter: address.adapter(), ..plain };
    let mut options = Options::new(address.options);
    let encoder = encode::plan(&mut options, around);
    Selection::take(&mut options);
    for spec in address.driver.options {
        options.text(spec);
    }
    take_window(&mut options, address.driver);
    options.flag(&REQUIRED, true);
    if is_link(address.driver) {
        take_replay(&mut options);
    }
    let unset = LogspoutMultiline::unset();
    multiline::take(&mut options, !is_link(address.driver), address.joins.then_some(&unset));
    if address.targets.len() > 1 {
        options.text(&failover::FAILBACK);
    } else {
        refuse_failback(&mut options, address.driver);
    }
    let problems = options.finish(&known(address.driver));
    if problems.is_empty() && encoder.is_some() { Ok(name) } else { Err(problems) }
}

/// Whether several addresses may stand for one: a peer that is down must be seen to be.
fn fails_over(driver: &Driver) -> bool {
    matches!(driver.target, TargetKind::Host { .. }) && driver.carriage != Carriage::Datagram
}

/// Rows of all options that a route of this driver may have.
pub(crate) fn known(driver: &Driver) -> [&'static [OptionSpec]; 7] {
    let list = if fails_over(driver) { failover::OPTIONS } else { &[] };
    let link = if is_link(driver) { LINK_OPTIONS } else { STORE_OPTIONS };
    let names = if is_link(driver) { encode::NAME_OPTIONS } else { &[] };
    [encode::OPTIONS, names, driver.options, select::OPTIONS, OPTIONS, link, list]
}

fn is_link(driver: &Driver) -> bool {
    matches!(driver.open, Open::Link(_))
}

fn take_window(options: &mut Options, driver: &Driver) -> usize {
    let given = options.parsed(&WINDOW, window_bytes);
    if is_link(driver) {
        return given.unwrap_or(DEFAULT_WINDOW_BYTES);
    }
    let window = given.unwrap_or(DEFAULT_STORE_WINDOW_BYTES);
    if window < MIN_STORE_WINDOW_BYTES {
        options.problem(format!(
            "option 'window={window}': too little for batches of 1MiB; expected 4MiB to 64MiB"
        ));
    }
    window
}

fn take_replay(options: &mut Options) -> u64 {
    options.parsed(&REPLAY, replay_bytes).unwrap_or(DEFAULT_REPLAY_BYTES)
}

fn refuse_failback(options: &mut Options, driver: &Driver) {
    if fails_over(driver) && options.text(&failover::FAILBACK).is_some() {
        options.problem(
            "option 'failback' needs several addresses; write HOST:PORT|HOST:PORT or failover=",
        );
    }
}

/// The URIs of a list: parted by commas or line ends, blanks trimmed, nothing empty. A comma
/// inside a URI is written %2C.
pub fn split_list(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', '\n', '\r']).map(str::trim).filter(|uri| !uri.is_empty())
}

fn window_bytes(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text)?;
    if !(MIN_WINDOW_BYTES..=MAX_WINDOW_BYTES).contains(&bytes) {
        return Err("expected 16KiB to 64MiB".into());
    }
    usize::try_from(bytes).map_err(|_| "more than this machine can address".into())
}

fn replay_bytes(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if bytes > MAX_REPLAY_BYTES {
        return Err("expected 0 to 1GiB".into());
    }
    Ok(bytes)
}

fn unused(name: String, taken: &BTreeSet<String>) -> String {
    let numbered = (2_u32..).map(|number| format!("{name}#{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests;
