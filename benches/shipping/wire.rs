//! How lines travel to the sink, and where it can be reached. Never opens a socket.

use std::path::{Path, PathBuf};

/// The name in the sink's certificate, beside its address.
pub(crate) const SERVER_NAME: &str = "localhost";

/// The group of CloudWatch Logs that lines are put to, and its region.
const GROUP: &str = "bench";
const REGION: &str = "eu-west-1";

/// A transport of syslog, or calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Tcp,
    Tls,
    Relp,
    UnixStream,
    /// `PutLogEvents` over plain HTTP.
    CloudWatch {
        gzip: bool,
    },
}

impl Wire {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Relp => "relp",
            Self::UnixStream => "unix-stream",
            Self::CloudWatch { .. } => "cloudwatch",
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
            Wire::CloudWatch { gzip } => {
                let endpoint = self.endpoint();
                let gzip = if *gzip { "" } else { "&gzip=false" };
                format!("cloudwatch://{REGION}?group={GROUP}&endpoint={endpoint}{gzip}")
            }
        }
    }

    /// What downspout needs in its environment for the route: any credentials, of no machine.
    pub(crate) fn environment(&self) -> &'static [(&'static str, &'static str)] {
        match self.wire {
            Wire::CloudWatch { .. } => &[
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ],
            _ => &[],
        }
    }

    /// What `docker run` needs for the engine to put lines by itself. Its credentials come from the
    /// sink too: the engine puts `http://169.254.170.2` before the path that it is told, which an
    /// '@' makes the name of a user.
    pub(crate) fn awslogs(&self) -> Vec<String> {
        let (endpoint, port) = (self.endpoint(), self.port);
        vec![
            "--log-driver=awslogs".to_owned(),
            format!("--log-opt=awslogs-region={REGION}"),
            format!("--log-opt=awslogs-group={GROUP}"),
            format!("--log-opt=awslogs-endpoint={endpoint}"),
            format!("--log-opt=awslogs-credentials-endpoint=@127.0.0.1:{port}/credentials"),
        ]
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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
