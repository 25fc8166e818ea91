//! Where the Engine listens, read from `DOCKER_HOST`. Never opens anything.

use std::fmt;
use std::path::{Path, PathBuf};

const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;
const EXAMPLES: &str = "unix:///var/run/docker.sock or tcp://10.0.0.1:2375";

/// Where the Engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket file on this host.
    Unix(PathBuf),
    /// Plain HTTP.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// 2375 by Docker's convention.
        port: u16,
    },
    /// HTTP in TLS. The engine's certificate is always verified.
    Tls {
        /// Name or address, without brackets; the name that the certificate must carry.
        host: String,
        /// 2376 by Docker's convention.
        port: u16,
        /// A folder with `ca.pem`, and `cert.pem` and `key.pem` if the engine asks for them.
        certificates: PathBuf,
    },
}

impl Endpoint {
    /// Reads `DOCKER_HOST`. `certificates` is the folder from `DOCKER_CERT_PATH`, given when the
    /// operator asked for TLS; it turns `tcp://` into TLS. The error names the value and the cure.
    pub fn parse(docker_host: &str, certificates: Option<PathBuf>) -> Result<Self, String> {
        let text = |why: &str| format!("DOCKER_HOST `{docker_host}` {why}");
        let refuse = |why: &str| Err(text(why));
        let Some((scheme, rest)) = docker_host.split_once("://") else {
            return refuse(&format!("has no scheme; write it like {EXAMPLES}"));
        };
        match (scheme, certificates) {
            ("unix", _) if Path::new(rest).is_absolute() => Ok(Self::Unix(rest.into())),
            ("unix", _) => refuse("names no absolute path; write unix:///var/run/docker.sock"),
            ("tcp" | "https", Some(certificates)) => {
                let (host, port) = authority(rest, TLS_PORT).map_err(|why| text(&why))?;
                Ok(Self::Tls { host, port, certificates })
            }
            ("tcp" | "http", _) => {
                let (host, port) = authority(rest, PLAIN_PORT).map_err(|why| text(&why))?;
                Ok(Self::Tcp { host, port })
            }
            ("https", None) => refuse(
                "needs certificates; set DOCKER_CERT_PATH to a folder with ca.pem, cert.pem and \
                 key.pem",
            ),
            ("ssh", _) => refuse(
                "asks for ssh, which downspout does not speak; forward the socket with \
                 `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST` and use \
                 unix:///tmp/docker.sock",
            ),
            _ => refuse(&format!("has an unknown scheme; write it like {EXAMPLES}")),
        }
    }

    /// What the `Host` header says: a fixed word on a socket file, as Docker's own client does.
    pub(super) fn host_header(&self) -> String {
        match self {
            Self::Unix(_) => "docker".to_owned(),
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => joined(host, *port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{}", joined(host, *port)),
            Self::Tls { host, port, .. } => write!(f, "https://{}", joined(host, *port)),
        }
    }
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn authority(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after),
        None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => Some(default_port),
        None => None,
        Some(digits) => digits.parse().ok().filter(|port| *port > 0),
    };
    let Some(port) = port else {
        return Err(
            "has no valid port; write it like tcp://10.0.0.1:2375 or tcp://[::1]:2375".into()
        );
    };
    if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
        return Err("must be a host and a port and nothing else, like tcp://10.0.0.1:2375".into());
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_docker_user_writes_is_understood() {
        for (text, expected) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("tcp://10.0.0.1", "tcp://10.0.0.1:2375"),
            ("tcp://10.0.0.1:99/", "tcp://10.0.0.1:99"),
            ("http://docker-proxy:2375", "tcp://docker-proxy:2375"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
            ("tcp://[::1]:2380", "tcp://[::1]:2380"),
        ] {
            assert_eq!(Endpoint::parse(text, None).unwrap().to_string(), expected);
        }
        let Endpoint::Tcp { host, .. } = Endpoint::parse("tcp://[::1]", None).unwrap() else {
            panic!("not TCP")
        };
        assert_eq!(host, "::1");
    }

    #[test]
    fn certificates_turn_tcp_into_tls() {
        let folder = Some(PathBuf::from("/certs"));
        for text in ["tcp://h", "https://h", "https://h:2376"] {
            let endpoint = Endpoint::parse(text, folder.clone()).unwrap();
            assert_eq!(endpoint.to_string(), "https://h:2376");
        }
        let socket = Endpoint::parse("unix:///s", folder.clone()).unwrap();
        assert_eq!(socket, Endpoint::Unix("/s".into()), "a socket file never speaks TLS");
        let plain = Endpoint::parse("http://h", folder).unwrap();
        assert_eq!(plain.to_string(), "tcp://h:2375", "http:// says that it is plain");
    }

    #[test]
    fn anything_else_is_refused_with_the_value_and_the_cure() {
        for (text, cure) in [
            ("", "unix:///var/run/docker.sock"),
            ("/var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("unix://docker.sock", "unix:///var/run/docker.sock"),
            ("npipe:////./pipe/docker_engine", "unix:///var/run/docker.sock"),
            ("ssh://root@host", "ssh -L"),
            ("https://host", "DOCKER_CERT_PATH"),
            ("tcp://", "tcp://10.0.0.1:2375"),
            ("tcp://h:0", "tcp://10.0.0.1:2375"),
            ("tcp://h:99999", "tcp://10.0.0.1:2375"),
            ("tcp://::1", "tcp://[::1]:2375"),
            ("tcp://[::1]x", "tcp://[::1]:2375"),
            ("tcp://h/path", "tcp://10.0.0.1:2375"),
            ("tcp://user@h", "tcp://10.0.0.1:2375"),
        ] {
            let error = Endpoint::parse(text, None).unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains(cure), "{error}");
        }
    }
}
