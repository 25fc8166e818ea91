//! TLS errors as sentences with a cure.

use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::Trust;

const SECONDS_PER_DAY: u64 = 86_400;

const CHECK_CERTIFICATE: &str = "check that tls_cert is signed by an authority that the server \
                                 trusts, and has not expired";

/// What the reader of an error needs to know besides it.
#[derive(Debug)]
pub(super) struct Circumstances<'a> {
    /// The name that the certificate must have.
    pub(super) name: String,
    /// What it was checked against.
    pub(super) trust: &'a Trust,
    /// Whether the server asked for a client certificate.
    pub(super) asked: bool,
    /// Whether the route has one.
    pub(super) has_identity: bool,
}

/// Why a handshake failed.
pub(super) fn failure(error: &io::Error, about: &Circumstances<'_>) -> String {
    match tls_error(error) {
        Some(Error::InvalidCertificate(reason)) => format!(
            "the certificate of '{}' is refused: {}",
            about.name,
            certificate(reason, about)
        ),
        Some(error @ (Error::AlertReceived(_) | Error::PeerIncompatible(_))) => {
            refusal(error, about)
        }
        Some(Error::InvalidMessage(_)) => {
            "the server does not speak TLS on this port; give its TLS port (6514 is usual for syslog), \
             or use the scheme without TLS"
                .into()
        }
        Some(error) => format!("the TLS handshake failed: {error}"),
        None if about.asked && !about.has_identity => wants_certificate("closed the connection"),
        // rsyslog with GnuTLS says no more than this.
        None if about.asked => format!(
            "the server refuses our certificate (closed the connection on it); {CHECK_CERTIFICATE}"
        ),
        None => format!(
            "the TLS handshake failed: {error}; check that the server speaks TLS here, and its log"
        ),
    }
}

/// Why an established connection failed, if TLS is the reason.
pub(crate) fn rejection(error: &io::Error) -> Option<String> {
    match tls_error(error)? {
        Error::AlertReceived(
            alert @ (AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired),
        ) => Some(wants_certificate(&format!("says {alert:?}"))),
        error => Some(format!("the TLS connection failed: {error}")),
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn refusal(error: &Error, about: &Circumstances<'_>) -> String {
    match (about.asked, about.has_identity) {
        (true, false) => wants_certificate(&error.to_string()),
        (true, true) => {
            format!("the server refuses our certificate ({error}); {CHECK_CERTIFICATE}")
        }
        (false, _) => format!(
            "the server refuses the TLS handshake ({error}); TLS 1.2 or 1.3 is needed, see the \
             server's log"
        ),
    }
}

fn wants_certificate(what: &str) -> String {
    format!("the server wants a client certificate ({what}); give tls_cert and tls_key")
}

fn certificate(reason: &CertificateError, about: &Circumstances<'_>) -> String {
    match reason {
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / SECONDS_PER_DAY;
            format!("it expired {days} days ago; renew it on the server, and check both clocks")
        }
        CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check the clocks of both machines".into()
        }
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "it is for {}; use a name that it has, or give that name as tls_server_name",
            if presented.is_empty() { "no name at all".into() } else { presented.join(", ") }
        ),
        CertificateError::UnknownIssuer => format!(
            "it is not signed by an authority that is trusted here ({}); give the file of the \
             authority that signed it as tls_ca",
            about.trust
        ),
        // The path checker's own error comes wrapped; only its name is within reach.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is the certificate of an authority (CA:TRUE, as 'openssl req -x509' makes it), \
             which a server must not show as its own; issue a server certificate with it, or make \
             the self-signed one with -addext basicConstraints=critical,CA:FALSE"
                .into()
        }
        other => other.to_string(),
    }
}
