//! Certificates, keys, trust, and the handshake of a TLS client. Verification cannot be turned
//! off. Never uses the process-wide provider.

mod expiry;
mod explain;
mod material;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, SignatureScheme};

use crate::options::{OptionSpec, Options};
use explain::Circumstances;
pub(super) use explain::rejection;
pub use material::Trust;

/// A handshake is two round trips; a server that needs longer is not well.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// With TLS 1.3 a server judges the client's certificate after the client's handshake is done.
/// The verdict, or the session ticket that follows a good one, comes within a round trip.
const VERDICT_TIMEOUT: Duration = Duration::from_millis(300);

/// `tls_ca`
pub const CA: OptionSpec = OptionSpec {
    name: "tls_ca",
    default: "",
    unit: "path",
    help: "PEM file of the authorities that may sign the server's certificate; without it \
           SSL_CERT_FILE or the system's store, without those the roots built in.",
};
/// `tls_cert`
pub const CERTIFICATE: OptionSpec = OptionSpec {
    name: "tls_cert",
    default: "",
    unit: "path",
    help: "PEM file of the client certificate and its chain, for servers that ask for one.",
};
/// `tls_key`
pub const KEY: OptionSpec = OptionSpec {
    name: "tls_key",
    default: "",
    unit: "path",
    help: "PEM file of the private key of tls_cert.",
};
/// `tls_server_name`
pub const SERVER_NAME: OptionSpec = OptionSpec {
    name: "tls_server_name",
    default: "",
    unit: "name",
    help: "Name or address that the server's certificate must have; the URI's host by default.",
};

/// No option: by this name the variable is known that takes the system's roots away.
const SYSTEM_ROOTS: OptionSpec =
    OptionSpec { name: "tls_system_roots", default: "", unit: "", help: "" };

/// What a route says about TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Trusted authorities, exclusively.
    pub ca: Option<PathBuf>,
    /// Client certificate and chain.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// The two are those of logspout's variables.
    pub of_variables: bool,
    /// The name to expect in the server's certificate.
    pub server_name: Option<String>,
    /// Authorities of logspout's variable, which count without `ca`: beside the system's.
    pub added: Vec<PathBuf>,
    /// The system's do not count.
    pub only_added: bool,
}

impl TlsOptions {
    /// Takes the four options of this module.
    pub fn take(options: &mut Options) -> Self {
        let variable = |spec: &OptionSpec| options.fallback(spec).map(|(_, text)| text);
        let paths = variable(&CA).unwrap_or_default();
        let paths = paths.split(',').map(str::trim).filter(|path| !path.is_empty());
        let added = paths.map(PathBuf::from).collect();
        // logspout takes no other word for true.
        let only_added = variable(&SYSTEM_ROOTS).is_some_and(|text| text == "true");
        let in_variables = (variable(&CERTIFICATE), variable(&KEY));
        let given = (options.text(&CERTIFICATE), options.text(&KEY));
        // A pair of the route's own is not mixed with the other.
        let of_variables = given == (None, None);
        let (certificate, key) = if of_variables { in_variables } else { given };
        Self {
            ca: options.text(&CA).map(PathBuf::from),
            certificate: certificate.map(PathBuf::from),
            key: key.map(PathBuf::from),
            of_variables,
            server_name: options.text(&SERVER_NAME),
            added,
            only_added,
        }
    }

    // What the operator has called certificate and key.
    fn pair_names(&self) -> [&'static str; 2] {
        if self.of_variables {
            ["LOGSPOUT_TLS_CLIENT_CERT", "LOGSPOUT_TLS_CLIENT_KEY"]
        } else {
            [CERTIFICATE.name, KEY.name]
        }
    }
}

/// What a client needs that makes its connections itself: HTTP to a cloud's endpoints. Trusts the
/// authorities of `ca`, else the system's, else those built in.
pub fn client_config(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let options = TlsOptions { ca: ca.map(Path::to_owned), ..TlsOptions::default() };
    let (roots, _) = material::trusted(&options)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// A TLS client for one server.
#[derive(Debug)]
pub struct Tls {
    options: TlsOptions,
    name: ServerName<'static>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    /// Checks all that can be checked without the server; every problem names the option, the
    /// value and the cure.
    pub fn open(options: TlsOptions, host: &str) -> Result<Self, Vec<String>> {
        let provider = Arc::new(ring::default_provider());
        let mut problems = Vec::new();
        problems.extend(material::trusted(&options).err());
        problems.extend(material::identity(&options, &provider).err());
        let text = options.server_name.as_deref().unwrap_or(host);
        match ServerName::try_from(text.to_owned()) {
            Ok(name) if problems.is_empty() => Ok(Self { options, name, provider }),
            Ok(_) => Err(problems),
            Err(_) => {
                problems.push(format!(
                    "'{text}' is neither a DNS name nor an address, so no certificate can have \
                     it; give the name in the server's certificate as tls_server_name"
                ));
                Err(problems)
            }
        }
    }

    /// Reads the files anew, so that a mended one counts without a restart, and makes TLS of a
    /// connection. Also says what the server's certificate was checked against.
    pub async fn handshake<S>(&self, stream: S) -> Result<(TlsStream<S>, Agreed), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (roots, trust) = material::trusted(&self.options)?;
        let identity = Arc::new(Identity {
            key: material::identity(&self.options, &self.provider)?.map(Arc::new),
            asked: AtomicBool::new(false),
        });
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::clone(&identity) as Arc<dyn ResolvesClientCert>);
        let connector = TlsConnector::from(Arc::new(config));
        let shake = async {
            let mut stream = connector.connect(self.name.clone(), stream).await?;
            if identity.asked() {
                verdict(&mut stream).await?;
            }
            Ok(stream)
        };
        let failed = |error: &io::Error| {
            let circumstances = Circumstances {
                name: self.name.to_str().into_owned(),
                trust: &trust,
                asked: identity.asked(),
                has_identity: identity.key.is_some(),
            };
            explain::failure(error, &circumstances)
        };
        let stream = match timeout(HANDSHAKE_TIMEOUT, shake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => {
                let limit = HANDSHAKE_TIMEOUT.as_secs();
                return Err(format!(
                    "no TLS handshake within {limit} s; check that the server speaks TLS here"
                ));
            }
        };
        let session = stream.get_ref().1;
        let first = session.peer_certificates().and_then(<[_]>::first);
        let own =
            identity.key.as_ref().filter(|_| identity.asked()).and_then(|key| key.cert.first());
        let agreed = Agreed {
            version: session.protocol_version(),
            trust,
            peer_expiry: first.and_then(|certificate| expiry::of(certificate)),
            own_expiry: own.and_then(|certificate| expiry::of(certificate)),
        };
        Ok((stream, agreed))
    }
}

/// What a handshake led to, for the log and the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// When the server's certificate expires, in seconds since 1970.
    pub peer_expiry: Option<i64>,
    /// When the client's certificate expires, in seconds since 1970, if the server asked for it.
    pub own_expiry: Option<i64>,
    version: Option<ProtocolVersion>,
    trust: Trust,
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        write!(f, "{version}, trusting {}", self.trust)
    }
}

/// Answers a server that asks for a certificate, and remembers that it did.
#[derive(Debug)]
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Identity {
    fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

/// Waits for the server's verdict on our certificate; silence is consent.
async fn verdict<S>(stream: &mut TlsStream<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if stream.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
        return Ok(());
    }
    let heard = std::future::poll_fn(|cx| {
        let mut space = [0; 512];
        let mut buf = ReadBuf::new(&mut space);
        match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Pending if stream.get_ref().1.tls13_tickets_received() == 0 => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending | Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        }
    });
    timeout(VERDICT_TIMEOUT, heard).await.unwrap_or(Ok(()))
}
