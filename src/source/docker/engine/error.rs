//! What can go wrong between us and the Engine, each with its cure. Never decides what happens next.

use std::error::Error;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::Value;

use super::{ApiVersion, BodyError, Endpoint};

/// The most of an engine's message that is repeated, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// Why a call of the Engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody listens, or the connection broke before the reply.
    #[error("cannot reach the Docker engine at {endpoint}: {why}{cure}")]
    Unreachable {
        /// What was tried.
        endpoint: String,
        /// The system's words.
        why: String,
        /// What to do, after a semicolon; empty if the system's words say it all.
        cure: String,
    },
    /// The socket file belongs to somebody else.
    #[error("cannot open {}: permission denied; {cure}", socket.display())]
    PermissionDenied {
        /// The socket file.
        socket: PathBuf,
        /// The group that may open it, if that could be read.
        group: Option<u32>,
        /// What to do.
        cure: String,
    },
    /// The engine took the connection and then said nothing.
    #[error("the Docker engine at {endpoint} did not answer {call} within {seconds} s")]
    TimedOut {
        /// What was tried.
        endpoint: String,
        /// What was asked.
        call: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A certificate that cannot be read or does not verify.
    #[error("TLS with the Docker engine: {why}")]
    Tls {
        /// The file or the peer, and what is wrong with it.
        why: String,
    },
    /// No version of the API that both sides speak.
    #[error(
        "the Docker engine speaks API versions {oldest} to {newest} and downspout would speak \
         {ours}; {cure}"
    )]
    ApiVersion {
        /// What we would speak.
        ours: ApiVersion,
        /// The engine's oldest.
        oldest: ApiVersion,
        /// The engine's newest.
        newest: ApiVersion,
        /// What to do.
        cure: &'static str,
    },
    /// 404: no such container, or none any more.
    #[error("the Docker engine knows no such thing: {message}")]
    NotFound {
        /// The engine's words.
        message: String,
    },
    /// 409: the container is being removed, is dead, or cannot be attached to now.
    #[error("the Docker engine cannot do this now: {message}")]
    Conflict {
        /// The engine's words.
        message: String,
    },
    /// 501: the log driver of the container keeps nothing that could be read.
    #[error("the container's log cannot be read back: {message}")]
    NotReadable {
        /// The engine's words.
        message: String,
    },
    /// Any other refusal.
    #[error("the Docker engine answered {code}: {message}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The engine's words.
        message: String,
    },
    /// The reply is not what the API promises.
    #[error("the reply of the Docker engine at {endpoint} makes no sense: {why}")]
    Protocol {
        /// Who answered.
        endpoint: String,
        /// What is wrong.
        why: String,
    },
}

impl EngineError {
    pub(super) fn protocol(endpoint: &Endpoint, why: impl Into<String>) -> Self {
        Self::Protocol { endpoint: endpoint.to_string(), why: clipped(&why.into()) }
    }

    pub(super) fn io(endpoint: &Endpoint, error: &io::Error) -> Self {
        if let Some(error) = cause::<BodyError>(error) {
            return Self::protocol(endpoint, error.to_string());
        }
        if let Some(error) = cause::<tokio_rustls::rustls::Error>(error) {
            return Self::Tls { why: format!("{endpoint}: {error}") };
        }
        match (endpoint, error.kind()) {
            (Endpoint::Unix(socket), io::ErrorKind::PermissionDenied) => {
                let group = std::fs::metadata(socket).ok().map(|file| file.gid());
                let cure = group.map_or_else(
                    || "run as a user who may enter its folder".to_owned(),
                    |group| format!("run with the group that owns it (--group-add {group})"),
                );
                Self::PermissionDenied { socket: socket.clone(), group, cure }
            }
            (Endpoint::Unix(socket), kind) => {
                let socket = socket.display();
                let cure = match kind {
                    io::ErrorKind::NotFound => format!(
                        "; mount it (-v /var/run/docker.sock:{socket}:ro) or set DOCKER_HOST"
                    ),
                    io::ErrorKind::ConnectionRefused => {
                        "; is dockerd running? After its restart a mounted socket file may be a \
                         dead one: mount its folder instead"
                            .to_owned()
                    }
                    _ => String::new(),
                };
                Self::Unreachable { endpoint: endpoint.to_string(), why: error.to_string(), cure }
            }
            (_, io::ErrorKind::InvalidData) => Self::Tls { why: format!("{endpoint}: {error}") },
            _ => Self::Unreachable {
                endpoint: endpoint.to_string(),
                why: error.to_string(),
                cure: String::new(),
            },
        }
    }

    /// A refusal by its status and the body that came with it.
    pub(super) fn refusal(code: u16, body: &[u8]) -> Self {
        let parsed: Option<Value> = serde_json::from_slice(body).ok();
        let message = parsed.as_ref().and_then(|value| value.get("message")?.as_str());
        match message {
            Some(message) => Self::status(code, message),
            None => Self::status(code, &String::from_utf8_lossy(body)),
        }
    }

    fn status(code: u16, message: &str) -> Self {
        let message = clipped(message);
        match code {
            404 => Self::NotFound { message },
            409 => Self::Conflict { message },
            501 => Self::NotReadable { message },
            _ => Self::Status { code, message },
        }
    }

    pub(super) fn bollard(endpoint: &Endpoint, call: &str, error: &bollard::errors::Error) -> Self {
        use bollard::errors::Error as Bollard;
        match error {
            Bollard::DockerResponseServerError { status_code, message } => {
                Self::status(*status_code, message)
            }
            Bollard::RequestTimeoutError => Self::TimedOut {
                endpoint: endpoint.to_string(),
                call: call.to_owned(),
                seconds: super::CALL_LIMIT.as_secs(),
            },
            Bollard::SocketNotFoundError(_) => Self::io(endpoint, &io::ErrorKind::NotFound.into()),
            Bollard::CertPathError { .. }
            | Bollard::CertParseError { .. }
            | Bollard::CertMultipleKeys { .. }
            | Bollard::NoNativeCertsError { .. }
            | Bollard::LoadNativeCertsErrors { .. } => Self::Tls { why: chain(error) },
            Bollard::IOError { err } => Self::io(endpoint, err),
            _ if is_undecodable(error) => Self::protocol(endpoint, chain(error)),
            _ => match cause::<io::Error>(error) {
                Some(io) => Self::io(endpoint, io),
                None => Self::Unreachable {
                    endpoint: endpoint.to_string(),
                    why: chain(error),
                    cure: String::new(),
                },
            },
        }
    }
}

/// True if the reply came and bollard's types do not fit it.
pub(super) fn is_undecodable(error: &bollard::errors::Error) -> bool {
    use bollard::errors::Error as Bollard;
    matches!(error, Bollard::JsonDataError { .. } | Bollard::JsonSerdeError { .. })
}

/// The innermost error of type `E` among `error` and what caused it.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).filter_map(|error| error.downcast_ref::<E>()).last()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        // The source of an io::Error is not what it wraps, but the source of that.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            // Dereferenced, or a reference's own `source` is called, with its shorter life.
            None => Error::source(*error),
        }
    })
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = causes(error).map(ToString::to_string).collect();
    // Transparent wrappers repeat what they wrap.
    words.dedup();
    words.join(": ")
}

/// One line of bounded length: what an engine says goes into our own log.
fn clipped(message: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    message.trim().chars().take(MAX_MESSAGE_CHARS).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_socket_says_what_to_mount() {
        let endpoint = Endpoint::Unix("/var/run/docker.sock".into());
        let error = EngineError::io(&endpoint, &io::ErrorKind::NotFound.into());
        let text = error.to_string();
        assert!(text.contains("-v /var/run/docker.sock:/var/run/docker.sock:ro"), "{text}");
    }

    #[test]
    fn a_forbidden_socket_says_which_group_to_add() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let group = file.as_file().metadata().unwrap().gid();
        let endpoint = Endpoint::Unix(file.path().into());
        let error = EngineError::io(&endpoint, &io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            format!(
                "cannot open {}: permission denied; run with the group that owns it \
                 (--group-add {group})",
                file.path().display()
            )
        );
    }

    #[test]
    fn what_an_engine_says_is_one_bounded_line() {
        let body = format!(r#"{{"message":"a\n\u001b[31mb{}"}}"#, "x".repeat(2000));
        let EngineError::Status { code: 500, message } = EngineError::refusal(500, body.as_bytes())
        else {
            panic!("not a status")
        };
        assert!(message.starts_with("a  [31mbxx"), "{message}");
        assert_eq!(message.len(), MAX_MESSAGE_CHARS);
        let plain = EngineError::refusal(502, b"Bad Gateway\r\n").to_string();
        assert_eq!(plain, "the Docker engine answered 502: Bad Gateway");
    }
}
