//! TLS in front of a sink, with a certificate made for it. Never asks senders for theirs.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::Shared;
use super::receive::receive as receive_plain;
use crate::wire::SERVER_NAME;

/// A server whose certificate is signed by an authority, of which that of its own goes into a file.
pub(super) fn server(authority: &Path) -> Arc<ServerConfig> {
    let mut settings = CertificateParams::default();
    settings.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    settings.distinguished_name.push(DnType::CommonName, "authority of the bench");
    let issuer = CertifiedIssuer::self_signed(settings, KeyPair::generate().unwrap()).unwrap();
    fs::write(authority, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = [SERVER_NAME, "127.0.0.1"].map(str::to_owned);
    let mut settings = CertificateParams::new(names).unwrap();
    settings.distinguished_name = DistinguishedName::new();
    settings.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    let certificate = settings.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(server)
}

/// Counts messages until the connection ends.
pub(super) fn receive(mut connection: TcpStream, server: Arc<ServerConfig>, shared: &Shared) {
    let mut session = ServerConnection::new(server).unwrap();
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(&mut connection) {
            eprintln!("!! a sender did not shake hands: {error}");
            return;
        }
    }
    if let Some(suite) = session.negotiated_cipher_suite() {
        shared.suite.get_or_init(|| suite);
    }
    receive_plain(&mut StreamOwned::new(session, connection), shared);
}
