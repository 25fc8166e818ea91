//! The settings while they are being read: one function per row of the table, value to field.
//! Never sees where a value came from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use super::logspout::go_duration;
use crate::lane::Overflow;
use crate::options::{parse_bytes, parse_duration, parse_flag};
use crate::route;
use crate::select::{Allowed, Terminals};
use crate::source::replay::Input;

const MIN_MEMORY: u64 = 16 << 20;
const MIN_LINE: u64 = 1 << 10;
const MAX_LINE: u64 = 16 << 20;
const MAX_CONTAINER_SERIES: usize = 10_000;
/// Names are looked up in each container's environment.
const MAX_CONTAINER_VARIABLES: usize = 64;
const MIN_TIME: Duration = Duration::from_millis(10);
const MAX_TIME: Duration = Duration::from_hours(1);
/// RFC 5424 section 6: HOSTNAME.
const MAX_HOSTNAME_BYTES: usize = 255;
/// Longer than any token in use, shorter than what the server reads of a request.
const MAX_TOKEN_BYTES: usize = 4096;

/// Values of the settings. Made by applying the table's defaults, then what was given.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(crate) struct Draft {
    pub(crate) routes: Vec<String>,
    /// `None` for Docker.
    pub(crate) replay: Option<Input>,
    pub(crate) docker_host: Option<String>,
    pub(crate) docker_tls_verify: bool,
    pub(crate) docker_cert_path: Option<PathBuf>,
    pub(crate) docker_api_version: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) backlog: bool,
    pub(crate) attach: bool,
    /// `None` until the default is applied.
    pub(crate) overflow: Option<Overflow>,
    pub(crate) probe_after: Duration,
    pub(crate) follow_shipped: bool,
    pub(crate) files: bool,
    pub(crate) containers_dir: Option<PathBuf>,
    pub(crate) container_series: usize,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) memory_limit: u64,
    pub(crate) max_line_bytes: usize,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) backoff_max: Duration,
    pub(crate) http: Option<SocketAddr>,
    /// It was said where to listen, and is not only the default.
    pub(crate) http_is_given: bool,
    /// What does not count of where to listen.
    pub(crate) aside: Option<String>,
    pub(crate) metrics_token: Option<String>,
    pub(crate) live_tails: bool,
    pub(crate) api_token: Option<String>,
    pub(crate) routes_path: Option<PathBuf>,
    /// `None` until the default is applied.
    pub(crate) log_level: Option<Level>,
    pub(crate) no_color: bool,
    pub(crate) opt_in: bool,
    pub(crate) labels: Allowed,
    pub(crate) container_variables: BTreeSet<String>,
    pub(crate) tty: Terminals,
    /// What was given of logspout's variables that mean something together.
    pub(crate) logspout: BTreeMap<&'static str, String>,
    /// By route option, the variable and its value that count where a route says nothing.
    pub(crate) fallbacks: BTreeMap<&'static str, (&'static str, String)>,
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table")]
pub(super) fn routes(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.routes.extend(route::split_list(text).map(str::to_owned));
    Ok(())
}

pub(super) fn source(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.replay = match text.strip_prefix("replay:") {
        Some("-") => Some(Input::Stdin),
        Some(path) if !path.is_empty() => Some(Input::File(path.into())),
        None if text == "docker" => None,
        _ => return Err("expected docker, replay:PATH, or replay:- for standard input".into()),
    };
    Ok(())
}

// May hold a password, which is why no error repeats any of it.
pub(super) fn docker_host(draft: &mut Draft, text: &str) -> Result<(), String> {
    let expected = "expected unix:///PATH or tcp://HOST:PORT, such as unix:///var/run/docker.sock";
    let known = match text.split_once("://") {
        Some(("unix", path)) => Path::new(path).is_absolute(),
        Some(("tcp" | "http" | "https", place)) => {
            route::host_and_port(place.strip_suffix('/').unwrap_or(place)).is_ok()
        }
        Some(("ssh", _)) => {
            return Err(format!("ssh:// is not supported; forward the socket, then {expected}"));
        }
        _ => false,
    };
    if !known {
        return Err(expected.into());
    }
    draft.docker_host = Some(text.to_owned());
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table")]
pub(super) fn docker_tls_verify(draft: &mut Draft, _any: &str) -> Result<(), String> {
    draft.docker_tls_verify = true;
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table")]
pub(super) fn docker_cert_path(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.docker_cert_path = Some(text.into());
    Ok(())
}

pub(super) fn docker_api_version(draft: &mut Draft, text: &str) -> Result<(), String> {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((major, minor)) if number(major) && number(minor) && text.len() <= 16 => {
            draft.docker_api_version = Some(text.to_owned());
            Ok(())
        }
        _ => Err("expected a version such as 1.41".into()),
    }
}

pub(super) fn hostname(draft: &mut Draft, text: &str) -> Result<(), String> {
    if text.len() > MAX_HOSTNAME_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("expected 1 to 255 printable ASCII characters without blanks".into());
    }
    draft.hostname = Some(text.to_owned());
    Ok(())
}

pub(super) fn backlog(draft: &mut Draft, text: &str) -> Result<(), String> {
    parse_flag(text).map(|flag| draft.backlog = flag)
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table")]
pub(super) fn backlog_as_logspout(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.backlog |= text == "true";
    Ok(())
}

pub(super) fn opt_in(draft: &mut Draft, text: &str) -> Result<(), String> {
    parse_flag(text).map(|flag| draft.opt_in = flag)
}

pub(super) fn labels(draft: &mut Draft, text: &str) -> Result<(), String> {
    Allowed::parse(text).map(|allowed| draft.labels = allowed)
}

pub(super) fn container_variables(draft: &mut Draft, text: &str) -> Result<(), String> {
    let names: BTreeSet<String> = text
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if names.len() > MAX_CONTAINER_VARIABLES {
        return Err(format!("{} names, {MAX_CONTAINER_VARIABLES} at most", names.len()));
    }
    if let Some(name) = names.iter().find(|name| name.contains(['=', '*', ' '])) {
        return Err(format!(
            "'{name}' is no name of a variable; expected names with commas between"
        ));
    }
    draft.container_variables = names;
    Ok(())
}

pub(super) fn tty(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.tty = match text {
        "ship" => Terminals::Ship,
        "skip" => Terminals::Skip,
        _ => return Err("expected ship or skip".into()),
    };
    Ok(())
}

pub(super) fn attach(draft: &mut Draft, text: &str) -> Result<(), String> {
    parse_flag(text).map(|flag| draft.attach = flag)
}

pub(super) fn overflow(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.overflow = Some(match text {
        "drop-oldest" => Overflow::DropOldest,
        "drop-newest" => Overflow::DropNewest,
        _ => return Err("expected drop-oldest or drop-newest".into()),
    });
    Ok(())
}

pub(super) fn probe_after(draft: &mut Draft, text: &str) -> Result<(), String> {
    within_limits(text).map(|time| draft.probe_after = time)
}

// logspout opens a stream anew after that long; 0 is its word for never.
pub(super) fn inactivity_timeout(draft: &mut Draft, text: &str) -> Result<(), String> {
    let timeout = go_duration(text).ok_or("expected a duration such as 30s or 1m30s, or 0")?;
    if !timeout.is_zero() {
        draft.probe_after = timeout.clamp(MIN_TIME, MAX_TIME);
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table")]
pub(super) fn debug(draft: &mut Draft, _any: &str) -> Result<(), String> {
    draft.log_level = Some(Level::DEBUG);
    Ok(())
}

pub(super) fn shipped_drivers(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.follow_shipped = match text {
        "skip" => false,
        "follow" => true,
        _ => return Err("expected skip or follow".into()),
    };
    Ok(())
}

pub(super) fn strategy(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.files = match text {
        "auto" => true,
        "api" => false,
        _ => return Err("expected auto or api".into()),
    };
    Ok(())
}

pub(super) fn containers_dir(draft: &mut Draft, text: &str) -> Result<(), String> {
    if !Path::new(text).is_absolute() {
        return Err("expected an absolute path such as /var/lib/docker/containers".into());
    }
    draft.containers_dir = Some(text.into());
    Ok(())
}

pub(super) fn container_series(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.container_series = text
        .parse()
        .ok()
        .filter(|series| *series <= MAX_CONTAINER_SERIES)
        .ok_or_else(|| format!("expected 0 to {MAX_CONTAINER_SERIES}"))?;
    Ok(())
}

// A relative path would hide a misspelt `off`.
pub(super) fn state_dir(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.state_dir = match text {
        "off" => None,
        path if Path::new(path).is_absolute() => Some(path.into()),
        _ => return Err("expected an absolute path such as /var/lib/downspout, or off".into()),
    };
    Ok(())
}

pub(super) fn memory_limit(draft: &mut Draft, text: &str) -> Result<(), String> {
    let bytes = parse_bytes(text)?;
    if bytes < MIN_MEMORY {
        return Err("expected 16MiB or more".into());
    }
    draft.memory_limit = bytes;
    Ok(())
}

pub(super) fn max_line_bytes(draft: &mut Draft, text: &str) -> Result<(), String> {
    let bytes = parse_bytes(text)?;
    draft.max_line_bytes = usize::try_from(bytes)
        .ok()
        .filter(|_| (MIN_LINE..=MAX_LINE).contains(&bytes))
        .ok_or("expected 1KiB to 16MiB")?;
    Ok(())
}

pub(super) fn shutdown_timeout(draft: &mut Draft, text: &str) -> Result<(), String> {
    within_limits(text).map(|time| draft.shutdown_timeout = time)
}

pub(super) fn backoff_max(draft: &mut Draft, text: &str) -> Result<(), String> {
    within_limits(text).map(|time| draft.backoff_max = time)
}

pub(super) fn http(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.http = match text {
        "off" => None,
        address => Some(address.parse().map_err(
            |_| "expected an IP address and a port such as 0.0.0.0:9514 or [::]:9514, or off",
        )?),
    };
    Ok(())
}

pub(super) fn metrics_token(draft: &mut Draft, text: &str) -> Result<(), String> {
    token(text).map(|token| draft.metrics_token = Some(token))
}

pub(super) fn api_token(draft: &mut Draft, text: &str) -> Result<(), String> {
    token(text).map(|token| draft.api_token = Some(token))
}

// A secret, which is why no error repeats any of it.
fn token(text: &str) -> Result<String, String> {
    if text.len() > MAX_TOKEN_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("expected 1 to 4096 printable ASCII characters without blanks".into());
    }
    Ok(text.to_owned())
}

pub(super) fn live_tails(draft: &mut Draft, text: &str) -> Result<(), String> {
    parse_flag(text).map(|flag| draft.live_tails = flag)
}

pub(super) fn routes_path(draft: &mut Draft, text: &str) -> Result<(), String> {
    if !Path::new(text).is_absolute() {
        return Err("expected an absolute path such as /mnt/routes".into());
    }
    draft.routes_path = Some(text.into());
    Ok(())
}

pub(super) fn log_level(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.log_level = Some(match text.to_ascii_lowercase().as_str() {
        "error" => Level::ERROR,
        "warn" => Level::WARN,
        "info" => Level::INFO,
        "debug" => Level::DEBUG,
        "trace" => Level::TRACE,
        _ => return Err("expected error, warn, info, debug or trace".into()),
    });
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table")]
pub(super) fn no_color(draft: &mut Draft, _any: &str) -> Result<(), String> {
    draft.no_color = true;
    Ok(())
}

impl Draft {
    /// Notes a variable of logspout's; what it means is asked when all are known.
    #[expect(clippy::unnecessary_wraps, reason = "what a row of the table returns")]
    pub(super) fn of_logspout(&mut self, name: &'static str, text: &str) -> Result<(), String> {
        self.logspout.insert(name, text.to_owned());
        Ok(())
    }

    /// The value of a route option where a route does not have it; checked by the routes that
    /// take it.
    #[expect(clippy::unnecessary_wraps, reason = "what a row of the table returns")]
    pub(super) fn fall_back(
        &mut self,
        option: &'static str,
        variable: &'static str,
        text: &str,
    ) -> Result<(), String> {
        self.fallbacks.insert(option, (variable, text.to_owned()));
        Ok(())
    }
}

fn within_limits(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if !(MIN_TIME..=MAX_TIME).contains(&time) {
        return Err("expected 10ms to 1h".into());
    }
    Ok(time)
}
