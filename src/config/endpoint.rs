//! Where Docker listens, and whether it is talked to over TLS. Never connects.

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::env::Env;
use crate::options::Problem;

/// Where Docker listens unless told otherwise.
pub(super) const SOCKET: &str = "/var/run/docker.sock";
/// Where old set-ups of logspout mount it.
pub(super) const OLD_SOCKET: &str = "/tmp/docker.sock";

/// Where it listens unless told otherwise.
pub(super) fn default_endpoint(exists: impl Fn(&Path) -> bool) -> String {
    let old_only = !exists(Path::new(SOCKET)) && exists(Path::new(OLD_SOCKET));
    format!("unix://{}", if old_only { OLD_SOCKET } else { SOCKET })
}

/// The folder with the certificates for an engine at `host`; `None` without TLS. As Docker's own
/// clients, except that a certificate is always checked: a folder alone asks for TLS as
/// `DOCKER_TLS_VERIFY` does.
pub(super) fn certificates(
    draft: &Draft,
    host: &str,
    env: &dyn Env,
) -> Result<Option<PathBuf>, Problem> {
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
