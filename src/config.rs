//! Environment and arguments to a checked `Config`. The only reader of the environment; a
//! `Config` that exists can work. Never connects.

mod api;
mod arguments;
mod completions;
mod draft;
mod endpoint;
mod env;
mod expand;
mod gather;
mod help;
mod logspout;
mod man;
mod migrate;
mod plan;
mod reference;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use crate::encode::Terminal;
use crate::lane::Overflow;
use crate::metrics::Metrics;
use crate::options::Problem;
use crate::route::{Inherited, Opening, Route};
use crate::select::Rules;
use crate::source::docker;
use crate::source::replay::Input;
use crate::tail;

use arguments::{Action, Arguments};
use draft::Draft;
use endpoint::{certificates, default_endpoint};

pub use api::{Api, Openings, Stored};
pub use env::{Env, ProcessEnv, Terminals};
pub use gather::Stated;
pub use plan::{Plan, Share};

/// What the user asks for.
#[derive(Debug)]
pub enum Command {
    /// Ship logs.
    Run(Box<Config>),
    /// Check the destinations, send nothing.
    Check(Box<Config>),
    /// Look at the host, and say what will hurt.
    Doctor {
        /// What the agent would run with.
        config: Box<Config>,
        /// How long the logs should keep what a destination does not take.
        outage: Duration,
        /// Print JSON instead of text.
        json: bool,
    },
    /// Look at one container, and say what becomes of its lines.
    Explain {
        /// What the agent would run with.
        config: Box<Config>,
        /// What was given of the settings.
        given: BTreeMap<&'static str, Stated>,
        /// The container's name, or the beginning of its id.
        container: String,
        /// Print JSON instead of text.
        json: bool,
    },
    /// Print what logspout's settings become.
    Migrate {
        /// The report.
        text: String,
        /// Why the agent would not start; empty if it would.
        problems: Vec<Problem>,
    },
    /// Ask the running agent whether it is well.
    Healthcheck {
        /// Where it listens; never the unspecified address.
        address: SocketAddr,
    },
    /// Print the positions that are kept.
    ShowCheckpoint {
        /// Where they are kept.
        folder: PathBuf,
    },
    /// Remove the positions that are kept.
    ResetCheckpoint {
        /// Where they are kept.
        folder: PathBuf,
    },
    /// Print this and end.
    Print(String),
}

/// Everything the agent is told.
#[derive(Debug)]
pub struct Config {
    /// Where lines go; none if they are only to be looked at, or routes come over HTTP.
    pub routes: Vec<Route>,
    /// All counters; those of the routes' outputs are registered already.
    pub metrics: Metrics,
    /// Where lines come from.
    pub source: SourceChoice,
    /// Where positions are kept over a restart; `None` for not at all.
    pub state_dir: Option<PathBuf>,
    /// Resident bytes that the whole process aims for.
    pub memory_limit: u64,
    /// How the memory is split over the routes.
    pub plan: Plan,
    /// Longest line, in bytes.
    pub max_line_bytes: usize,
    /// How long a drain may take.
    pub shutdown_timeout: Duration,
    /// Longest pause between two attempts.
    pub backoff_max: Duration,
    /// Where health checks and metrics are served; `None` for not at all.
    pub http: Option<SocketAddr>,
    /// What `/metrics` asks for as a bearer token; `None` for nothing.
    pub metrics_token: Option<String>,
    /// Level of our own log.
    pub log_level: Level,
    /// Which containers are shipped at all, and what they may choose.
    pub rules: Arc<Rules>,
    /// Live tails, and routes over HTTP.
    pub api: Api,
    /// What is worth a word in the log at the start, in whole sentences.
    pub notes: Vec<String>,
}

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceChoice {
    /// The containers of a Docker engine.
    Docker(docker::Settings),
    /// The lines of one input, and the host name that they carry.
    Replay(Input, String),
}

/// Reads the environment and the arguments of this process.
pub fn from_process() -> Result<Command, Vec<Problem>> {
    parse(&ProcessEnv, &ProcessEnv.arguments())
}

/// Reads variables, flags, their files, and routes. All problems are reported at once.
pub fn parse(env: &dyn Env, arguments: &[String]) -> Result<Command, Vec<Problem>> {
    let mut arguments = Arguments::parse(arguments);
    match arguments.action {
        Action::Help => return Ok(Command::Print(help::text())),
        Action::Version => return Ok(Command::Print(version())),
        _ => {}
    }
    let mut problems = std::mem::take(&mut arguments.problems);
    let printed = match arguments.action {
        Action::Reference => Some(reference::text()),
        Action::Man => Some(man::page()),
        Action::Completions(shell) => completions::script(shell),
        _ => None,
    };
    if let Some(text) = printed {
        return if problems.is_empty() { Ok(Command::Print(text)) } else { Err(problems) };
    }
    let (mut draft, more) = gather::draft(env, &arguments);
    problems.extend(more);
    let listens = noted(api::listens_at(&draft).map_err(|problem| vec![problem]), &mut problems);
    (draft.http, draft.aside) = listens.unwrap_or_default();
    if arguments.action == Action::Healthcheck {
        let address = reachable(draft.http).map(|address| Command::Healthcheck { address });
        return alone(address, problems);
    }
    let folder = draft.state_dir.clone();
    match arguments.action {
        Action::ShowCheckpoint => {
            return alone(kept(folder).map(|folder| Command::ShowCheckpoint { folder }), problems);
        }
        Action::ResetCheckpoint => {
            return alone(kept(folder).map(|folder| Command::ResetCheckpoint { folder }), problems);
        }
        _ => {}
    }
    if arguments.action == Action::Migrate {
        let given = gather::stated(env, &arguments);
        return Ok(migrate::command(draft, env, (given, arguments), problems));
    }
    let Some(config) = complete(draft, env, &mut problems) else { return Err(problems) };
    problems.extend(unexplainable(&config, &arguments));
    if problems.is_empty() { Ok(command(Box::new(config), env, arguments)) } else { Err(problems) }
}

// A sub-command that asks for all that a run asks for.
fn command(config: Box<Config>, env: &dyn Env, arguments: Arguments) -> Command {
    match arguments.action {
        Action::Check => Command::Check(config),
        Action::Doctor => Command::Doctor {
            config,
            outage: arguments.outage.unwrap_or(arguments::DEFAULT_OUTAGE),
            json: arguments.json,
        },
        Action::Explain => Command::Explain {
            config,
            given: gather::stated(env, &arguments),
            json: arguments.json,
            container: arguments.container.unwrap_or_default(),
        },
        _ => Command::Run(config),
    }
}

fn unexplainable(config: &Config, arguments: &Arguments) -> Option<Problem> {
    let is_replay = matches!(config.source, SourceChoice::Replay(..));
    (is_replay && arguments.action == Action::Explain).then(|| {
        Problem::new("explain: DOWNSPOUT_SOURCE is a replay, which has no containers; leave it out")
    })
}

// A sub-command that asks for settings but not for routes.
fn alone(
    command: Result<Command, Problem>,
    mut problems: Vec<Problem>,
) -> Result<Command, Vec<Problem>> {
    match command {
        Ok(command) if problems.is_empty() => Ok(command),
        Ok(_) => Err(problems),
        Err(problem) => {
            problems.push(problem);
            Err(problems)
        }
    }
}

fn kept(folder: Option<PathBuf>) -> Result<PathBuf, Problem> {
    folder.ok_or_else(|| {
        Problem::new(
            "checkpoint: DOWNSPOUT_STATE_DIR=off keeps no positions; set the folder that the \
             agent uses",
        )
    })
}

fn version() -> String {
    format!("downspout {}\n", env!("CARGO_PKG_VERSION"))
}

fn complete(mut draft: Draft, env: &dyn Env, problems: &mut Vec<Problem>) -> Option<Config> {
    let metrics = Metrics::new();
    let terminals = env.terminals();
    let colours = !draft.no_color && env.get("TERM").is_none_or(|term| term != "dumb");
    let terminal = Terminal { attached: terminals.stdout, colour: terminals.stdout && colours };
    let stored = Stored::read(&draft);
    api::fall_back(&mut draft, &stored);
    let unset = expand::routes(&mut draft.routes, |name| env.get(name));
    let logspout = noted(logspout::inherited(&draft), problems);
    let rules = noted(logspout::rules(&draft).map_err(|problem| vec![problem]), problems);
    let nothing = Inherited::nothing();
    let opening = Opening {
        terminal,
        metrics: &metrics,
        fallbacks: &draft.fallbacks,
        logspout: logspout.as_ref().unwrap_or(&nothing),
        allowed: &draft.labels,
    };
    let routes = noted(Route::parse_all(&draft.routes, &opening), problems);
    if routes.is_none() {
        // It may well be what is wrong.
        problems.extend(logspout::unset(&unset).map(Problem::new));
    }
    let variables = &draft.container_variables;
    problems.extend(routes.iter().flatten().flat_map(|route| api::hidden(route, variables)));
    let plan = routes.as_ref().and_then(|routes| {
        noted(plan_of(&draft, routes).map_err(|problem| vec![problem]), problems)
    });
    let fields = api::fields(&draft, routes.as_deref().unwrap_or_default(), &stored, &opening);
    let openings = Openings::new(&draft, terminal, logspout.as_ref(), fields.clone());
    let source = match draft.replay.take() {
        Some(input) => Some(SourceChoice::Replay(input, draft.hostname.take().unwrap_or_default())),
        None => noted(docker(&draft, env).map_err(|problem| vec![problem]), problems)
            .map(|settings| wanting(settings, &draft, &fields))
            .map(SourceChoice::Docker),
    };
    let routes = routes?;
    let mut notes = logspout::notes(&draft, &unset);
    notes.extend(draft.aside.take());
    notes.extend(
        routes.iter().filter_map(|route| api::empty_environment(route, &draft.container_variables)),
    );
    let api = Api::new(&mut draft, &routes, stored, openings);
    Some(Config {
        routes,
        metrics,
        source: source?,
        state_dir: draft.state_dir,
        memory_limit: draft.memory_limit,
        plan: plan?,
        max_line_bytes: draft.max_line_bytes,
        shutdown_timeout: draft.shutdown_timeout,
        backoff_max: draft.backoff_max,
        http: draft.http,
        metrics_token: draft.metrics_token,
        log_level: draft.log_level.unwrap_or(Level::INFO),
        rules: Arc::new(rules?),
        api,
        notes,
    })
}

fn plan_of(draft: &Draft, routes: &[Route]) -> Result<Plan, Problem> {
    let needs = routes.iter().map(|route| (route.name.clone(), route.window_bytes));
    let tails = if draft.live_tails { tail::MEMORY_BYTES } else { 0 };
    Plan::beside(tails, draft.memory_limit, draft.max_line_bytes, needs)
}

/// What is to be kept of inspections for the routes' templates.
fn wanting(
    settings: docker::Settings,
    draft: &Draft,
    fields: &BTreeSet<Vec<String>>,
) -> docker::Settings {
    let variables = draft.container_variables.clone();
    let wanted = docker::engine::Wanted { variables, fields: fields.clone() };
    docker::Settings { wanted, ..settings }
}

fn noted<T>(result: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|more| problems.extend(more)).ok()
}

fn docker(draft: &Draft, env: &dyn Env) -> Result<docker::Settings, Problem> {
    let host = draft.docker_host.clone().unwrap_or_else(|| default_endpoint(Path::exists));
    let certificates = certificates(draft, &host, env)?;
    let endpoint = docker::Endpoint::parse(&host, certificates).map_err(Problem::new)?;
    Ok(docker::Settings {
        endpoint,
        api_version: draft.docker_api_version.clone(),
        hostname: draft.hostname.clone(),
        backlog: draft.backlog,
        attach: draft.attach,
        overflow: draft.overflow.unwrap_or(Overflow::DropOldest),
        probe_after: draft.probe_after,
        follow_shipped: draft.follow_shipped,
        strategy: if draft.files { docker::Strategy::Auto } else { docker::Strategy::Api },
        containers_dir: draft.containers_dir.clone(),
        container_series: draft.container_series,
        wanted: docker::engine::Wanted::default(),
        tail: logspout::tail(draft)?,
        // What is wrong with it is said with the rules.
        keep_carriage_returns: matches!(logspout::allow_tty(draft), Ok(Some(true))),
    })
}

// The agent listens on all addresses; it is asked on the loopback one.
fn reachable(http: Option<SocketAddr>) -> Result<SocketAddr, Problem> {
    let mut address = http.ok_or_else(|| {
        Problem::new("healthcheck: DOWNSPOUT_HTTP=off leaves nobody to ask; set an address")
    })?;
    if address.port() == 0 {
        return Err(Problem::new(
            "healthcheck: DOWNSPOUT_HTTP has port 0, a free one that only the agent's log tells; \
             set a port",
        ));
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

#[cfg(test)]
mod tests;
