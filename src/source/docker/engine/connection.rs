//! One connection to the Engine: a socket file, TCP or TLS. Opened for one call each.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::socket_file::SocketFile;
use super::{Endpoint, EngineError};

/// What a connection can do, whatever carries it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// Until the next read, what arrives need not wake anybody.
    fn rest(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether a read might bring something. What cannot tell says that it might.
    fn poll_readable(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Transport for TcpStream {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(context)
    }
}
impl Transport for TlsStream<TcpStream> {}

/// An open connection. Boxed, since a virtual call per 64 KiB costs nothing.
pub(super) type Connection = Box<dyn Transport>;

/// Opens a connection; `tls` is what [`load_tls`] gave for this endpoint.
pub(super) async fn open(
    endpoint: &Endpoint,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<Connection> {
    match (endpoint, tls) {
        (Endpoint::Unix(path), _) => {
            Ok(Box::new(SocketFile::new(UnixStream::connect(path).await?)))
        }
        (Endpoint::Tcp { host, port }, _) => Ok(Box::new(open_tcp(host, *port).await?)),
        (Endpoint::Tls { host, port, .. }, Some(config)) => {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let tcp = open_tcp(host, *port).await?;
            Ok(Box::new(TlsConnector::from(config).connect(name, tcp).await?))
        }
        (Endpoint::Tls { .. }, None) => Err(io::Error::other("no certificates were loaded")),
    }
}

async fn open_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    // A quiet log and an engine that lost its power look alike without it.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_mins(1))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    SockRef::from(&tcp).set_tcp_keepalive(&keepalive)?;
    Ok(tcp)
}

/// Reads the certificates that the endpoint names; `None` for one without TLS.
pub(super) fn load_tls(endpoint: &Endpoint) -> Result<Option<Arc<ClientConfig>>, EngineError> {
    let Endpoint::Tls { certificates, .. } = endpoint else {
        return Ok(None);
    };
    let authority = certificates.join("ca.pem");
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(&authority)? {
        roots.add(certificate).map_err(|error| unreadable(&authority, &error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| EngineError::Tls { why: error.to_string() })?
        .with_root_certificates(roots);
    let (certificate, key) = (certificates.join("cert.pem"), certificates.join("key.pem"));
    let config = if certificate.exists() || key.exists() {
        let chain = read_certificates(&certificate)?;
        let secret =
            PrivateKeyDer::from_pem_file(&key).map_err(|error| unreadable(&key, &error))?;
        builder
            .with_client_auth_cert(chain, secret)
            .map_err(|error| unreadable(&certificate, &error))?
    } else {
        builder.with_no_client_auth()
    };
    Ok(Some(Arc::new(config)))
}

/// bollard asks for the process's default provider and panics without one.
pub(super) fn set_default_provider() {
    if CryptoProvider::get_default().is_none() {
        // Fails only if somebody else has set one meanwhile, which serves as well.
        ring::default_provider().install_default().ok();
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, EngineError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let certificates = CertificateDer::pem_reader_iter(BufReader::new(file))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(path, &error))?;
    if certificates.is_empty() {
        return Err(unreadable(path, &"it holds no certificate in PEM format"));
    }
    Ok(certificates)
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> EngineError {
    let path = path.display();
    EngineError::Tls { why: format!("cannot use {path} (from DOCKER_CERT_PATH): {why}") }
}
