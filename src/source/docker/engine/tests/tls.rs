//! A fake daemon behind TLS that asks for a client certificate, as `dockerd --tlsverify` does.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in PEM.
fn issue(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// The folder that `DOCKER_CERT_PATH` names.
fn client_folder(trusted: &str, (certificate, key): &(String, String)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, pem) in [("ca.pem", trusted), ("cert.pem", certificate), ("key.pem", key)] {
        std::fs::write(folder.path().join(name), pem).unwrap();
    }
    folder
}

fn acceptor(authority: &str, (certificate, key): &(String, String)) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn engine(port: u16, folder: &Path) -> Result<Engine, EngineError> {
    let address = format!("tcp://127.0.0.1:{port}");
    Engine::new(Endpoint::parse(&address, Some(folder.into())).unwrap(), None, Wanted::default())
}

async fn answer(listener: &TcpListener, acceptor: &TlsAcceptor, reply: &str) -> io::Result<String> {
    let (tcp, _) = listener.accept().await?;
    let mut stream = acceptor.accept(tcp).await?;
    let request = read_request(&mut stream).await;
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(request)
}

#[tokio::test]
async fn both_sides_show_their_certificates() {
    let authority = authority();
    let server = acceptor(&authority.pem(), &issue(&authority, "127.0.0.1"));
    let folder = client_folder(&authority.pem(), &issue(&authority, "client"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = engine(listener.local_addr().unwrap().port(), folder.path()).unwrap();

    let answers = async {
        answer(&listener, &server, &json(200, VERSION)).await.unwrap();
        answer(&listener, &server, &json(200, "{}")).await.unwrap();
        answer(&listener, &server, &format!("{UNTIL_END}abc")).await.unwrap()
    };
    let calls = async {
        engine.connect().await.unwrap();
        let mut stream = engine.logs("c", LogQuery::default()).await.unwrap();
        stream.collect(100).await.unwrap().unwrap()
    };
    let (request, payload) = tokio::join!(answers, calls);
    assert!(request.contains("\r\nHost: 127.0.0.1:"), "{request}");
    assert_eq!(payload, b"abc");
}

#[tokio::test]
async fn an_engine_with_a_wrong_name_or_an_unknown_authority_is_refused() {
    let (ours, other) = (authority(), authority());
    for (issuer, name) in [(&other, "127.0.0.1"), (&ours, "127.0.0.2")] {
        let server = acceptor(&ours.pem(), &issue(issuer, name));
        let folder = client_folder(&ours.pem(), &issue(&ours, "client"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let engine = engine(listener.local_addr().unwrap().port(), folder.path()).unwrap();
        let (reply, stream) =
            tokio::join!(answer(&listener, &server, ""), engine.logs("c", LogQuery::default()));
        assert!(reply.is_err());
        assert!(matches!(stream, Err(EngineError::Tls { .. })), "{stream:?}");
        let (reply, listed) = tokio::join!(answer(&listener, &server, ""), engine.list());
        assert!(reply.is_err());
        assert!(matches!(listed, Err(EngineError::Tls { .. })), "{listed:?}");
    }
}

#[test]
fn a_certificate_that_cannot_be_read_is_named_at_the_start() {
    let authority = authority();
    let (certificate, key) = issue(&authority, "client");
    let folder = client_folder(&authority.pem(), &(certificate, key));
    for (name, content) in [("key.pem", "nothing"), ("cert.pem", ""), ("ca.pem", "")] {
        std::fs::write(folder.path().join(name), content).unwrap();
        let text = engine(2376, folder.path()).unwrap_err().to_string();
        assert!(text.contains(name) && text.contains("DOCKER_CERT_PATH"), "{text}");
    }
    let text = engine(2376, Path::new("/nowhere")).unwrap_err().to_string();
    assert!(text.contains("/nowhere/ca.pem") && text.contains("No such file"), "{text}");
}

#[test]
fn a_client_certificate_is_used_only_where_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority().pem()).unwrap();
    assert!(engine(2376, folder.path()).is_ok());
}
