//! Environment and arguments to a checked `Config`. The only reader of the environment; a
//! `Config` that exists can work. Never connects.

mod arguments;
mod completions;
mod draft;
mod env;
mod gather;
mod help;
mod logspout;
mod man;
mod plan;
mod reference;
mod table;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use crate::encode::Terminal;
use crate::lane::Overflow;
use crate::metrics::Metrics;
use crate::options::Problem;
use crate::route::{Opening, Route};
use crate::source::docker;
use crate::source::replay::Input;

use arguments::{Action, Arguments};
use draft::Draft;

pub use env::{Env, ProcessEnv, Terminals};
pub use plan::{Plan, Share};

/// Where Docker listens unless told otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// Where old set-ups of logspout mount it.
const OLD_SOCKET: &str = "/tmp/docker.sock";
/// The route when none is given.
const DEFAULT_ROUTE: &str = "stdout://";

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
    /// Where lines go; at least one.
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
    let (draft, more) = gather::draft(env, &arguments);
    problems.extend(more);
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
    match complete(draft, env, &mut problems) {
        Some(config) if problems.is_empty() => Ok(match arguments.action {
            Action::Check => Command::Check(Box::new(config)),
            Action::Doctor => Command::Doctor {
                config: Box::new(config),
                outage: arguments.outage.unwrap_or(arguments::DEFAULT_OUTAGE),
                json: arguments.json,
            },
            _ => Command::Run(Box::new(config)),
        }),
        _ => Err(problems),
    }
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
    if draft.routes.is_empty() {
        draft.routes.push(DEFAULT_ROUTE.to_owned());
    }
    let opening = Opening { terminal, metrics: &metrics, fallbacks: &draft.fallbacks };
    let routes = noted(Route::parse_all(&draft.routes, &opening), problems);
    let plan = routes.as_ref().and_then(|routes| {
        let needs = routes.iter().map(|route| (route.name.clone(), route.window_bytes));
        let plan = Plan::new(draft.memory_limit, draft.max_line_bytes, needs);
        noted(plan.map_err(|problem| vec![problem]), problems)
    });
    let variables = routes.iter().flatten().any(Route::wants_variables);
    let source = match draft.replay.take() {
        Some(input) => Some(SourceChoice::Replay(input, draft.hostname.take().unwrap_or_default())),
        None => noted(docker(&draft, env).map_err(|problem| vec![problem]), problems)
            .map(|docker| SourceChoice::Docker(docker::Settings { variables, ..docker })),
    };
    Some(Config {
        routes: routes?,
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
        notes: logspout::unread(env),
    })
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
        variables: false,
    })
}

fn default_endpoint(exists: impl Fn(&Path) -> bool) -> String {
    let old_only = !exists(Path::new(SOCKET)) && exists(Path::new(OLD_SOCKET));
    format!("unix://{}", if old_only { OLD_SOCKET } else { SOCKET })
}

// As Docker's own clients, except that a certificate is always checked: a folder alone asks for
// TLS as DOCKER_TLS_VERIFY does.
fn certificates(draft: &Draft, host: &str, env: &dyn Env) -> Result<Option<PathBuf>, Problem> {
    let verify = draft.docker_tls_verify || host.starts_with("https://");
    if host.starts_with("unix://") || !(verify || draft.docker_cert_path.is_some()) {
        return Ok(None);
    }
    let home =
        || Some(Path::new(&env.get("HOME").filter(|home| !home.is_empty())?).join(".docker"));
    let folder = draft.docker_cert_path.clone().or_else(home).ok_or_else(|| {
        Problem::new(
            "DOCKER_CERT_PATH: TLS to Docker needs it where HOME is not set; set it to the \
                      folder with ca.pem, cert.pem and key.pem",
        )
    })?;
    Ok(Some(folder))
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
