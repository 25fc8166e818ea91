//! The kinds of faults that a destination can have.

/// Why a link broke or an attempt failed. A closed set: every kind has a series from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    Timeout,
    /// The peer broke the connection off.
    Reset,
    /// The peer ended the connection in order.
    Closed,
    /// The name does not resolve.
    Resolve,
    /// Certificates, keys, or the handshake.
    Tls,
    /// The peer does not want what it was sent.
    Rejected,
    /// The peer wants less.
    Throttled,
    /// Who we are to the peer, and what that allows.
    Credentials,
    /// Everything else: what the log says.
    Other,
}

impl FaultKind {
    pub(super) const ALL: [Self; 10] = [
        Self::Refused,
        Self::Timeout,
        Self::Reset,
        Self::Closed,
        Self::Resolve,
        Self::Tls,
        Self::Rejected,
        Self::Throttled,
        Self::Credentials,
        Self::Other,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Resolve => "resolve",
            Self::Tls => "tls",
            Self::Rejected => "rejected",
            Self::Throttled => "throttled",
            Self::Credentials => "credentials",
            Self::Other => "other",
        }
    }
}

impl From<std::io::ErrorKind> for FaultKind {
    fn from(kind: std::io::ErrorKind) -> Self {
        use std::io::ErrorKind;
        match kind {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Self::Refused,
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                Self::Timeout
            }
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Self::Reset
            }
            ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Other,
        }
    }
}
