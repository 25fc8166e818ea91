//! How lines travel to the sink, and where it can be reached. Never opens a socket.

use std::path::{Path, PathBuf};

/// The name in the sink's certificate, beside its address.
pub(crate) const SERVER_NAME: &str = "localhost";

/// A transport of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Tcp,
    Tls,
    Relp,
    UnixStream,
}

impl Wire {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Relp => "relp",
            Self::UnixStream => "unix-stream",
        }
    }
}

/// Where a sink can be reached: at a port of the loopback, or at a socket in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) wire: Wire,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Address {
    /// `folder` is an absolute path.
    pub(crate) fn new(wire: Wire, port: u16, folder: &Path) -> Self {
        Self { wire, port, folder: folder.to_owned() }
    }

    /// The route of downspout to it.
    pub(crate) fn route(&self) -> String {
        let Self { wire, port, .. } = self;
        match wire {
            Wire::Tcp => format!("syslog+tcp://127.0.0.1:{port}"),
            Wire::Tls => {
                let authority = self.authority();
                format!("syslog+tls://{SERVER_NAME}:{port}?tls_ca={}", authority.display())
            }
            Wire::Relp => format!("relp://127.0.0.1:{port}"),
            Wire::UnixStream => format!("syslog+unix-stream://{}", self.socket().display()),
        }
    }

    /// The certificate of the authority that senders are to trust.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("sink.sock")
    }
}
