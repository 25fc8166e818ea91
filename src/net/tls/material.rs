//! Certificates and keys out of files, with errors that name the option, the path and the cure.
//! Read synchronously: a few files, at most once per connection attempt.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustls_native_certs::load_native_certs;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::TlsOptions;

/// Which authorities a server's certificate is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those of the route's own file.
    File(PathBuf),
    /// Those of logspout's variable alone: how many.
    Added(usize),
    /// Those of `SSL_CERT_FILE`, `SSL_CERT_DIR` or the system's store, and of logspout's variable: how
    /// many.
    System(usize),
    /// Those built into the program, as there is no store: how many.
    BuiltIn(usize),
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "tls_ca={}", path.display()),
            Self::Added(count) => write!(f, "the {count} authorities of {ADDED}"),
            Self::System(count) => write!(f, "the system's {count} authorities"),
            Self::BuiltIn(count) => write!(f, "the {count} authorities built in"),
        }
    }
}

/// logspout's variable of authorities.
const ADDED: &str = "LOGSPOUT_TLS_CA_CERTS";

/// The route's authorities exclusively, else the system's, else those built in; beside these, or
/// instead of them, those of logspout's variables.
pub(super) fn trusted(options: &TlsOptions) -> Result<(RootCertStore, Trust), String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.ca {
        add(&mut roots, super::CA.name, path)?;
        return Ok((roots, Trust::File(path.clone())));
    }
    for path in &options.added {
        add(&mut roots, ADDED, path)?;
    }
    let added = roots.len();
    if options.only_added {
        if added == 0 {
            return Err(format!(
                "LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS=true leaves nobody to trust; give authorities as \
                 {ADDED} or tls_ca"
            ));
        }
        return Ok((roots, Trust::Added(added)));
    }
    let found = load_native_certs();
    // A system's store may hold certificates that are older than the rules; those are left out.
    let (count, _) = roots.add_parsable_certificates(found.certs);
    if count > 0 {
        return Ok((roots, Trust::System(count + added)));
    }
    // A store that is there and broken must not silently become another one.
    if let Some(error) = found.errors.first() {
        return Err(format!(
            "the system's certificate store cannot be used: {error}; mend or unset SSL_CERT_FILE \
             and SSL_CERT_DIR, or give the authorities as tls_ca"
        ));
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let count = roots.len();
    Ok((roots, Trust::BuiltIn(count)))
}

fn add(roots: &mut RootCertStore, option: &str, path: &Path) -> Result<(), String> {
    for certificate in certificates(option, path)? {
        roots.add(certificate).map_err(|error| {
            format!("{option}={}: {error}; give X.509 certificates of authorities", path.display())
        })?;
    }
    Ok(())
}

/// The client certificate with its key, if the route has one.
pub(super) fn identity(
    options: &TlsOptions,
    provider: &CryptoProvider,
) -> Result<Option<CertifiedKey>, String> {
    let [of_certificate, of_key] = options.pair_names();
    let (certificate, key) = match (&options.certificate, &options.key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(path), None) => return Err(lonely(of_certificate, path, of_key)),
        (None, Some(path)) => return Err(lonely(of_key, path, of_certificate)),
    };
    let chain = certificates(of_certificate, certificate)?;
    let place = format!("{of_key}={}", key.display());
    let text = read(&place, key)?;
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| not_pem(&place, &error, "PRIVATE KEY"))?;
    CertifiedKey::from_der(chain, private, provider).map(Some).map_err(|error| {
        format!(
            "{place}: {error}; give the unencrypted key that belongs to {of_certificate}={}",
            certificate.display()
        )
    })
}

fn lonely(given: &str, path: &Path, missing: &str) -> String {
    let path = path.display();
    format!("{given}={path} needs {missing} as well; give both or neither")
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let place = format!("{option}={}", path.display());
    let text = read(&place, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(not_pem(&place, &pem::Error::NoItemsFound, "CERTIFICATE"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(not_pem(&place, &error, "CERTIFICATE")),
    }
}

fn read(place: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        format!(
            "{place} cannot be read: {error}; check the path, that it is mounted, and that user \
             and group may read it"
        )
    })
}

fn not_pem(place: &str, error: &pem::Error, label: &str) -> String {
    format!(
        "{place} is not usable: {error}; it must be PEM with a '-----BEGIN {label}-----' section"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::Tls;
    use crate::net::tls::testing::Authority;

    fn problems(options: TlsOptions) -> String {
        Tls::open(options, "localhost").unwrap_err().join("\n")
    }

    #[test]
    fn every_broken_file_is_named_at_start_with_its_option() {
        let missing = PathBuf::from("/does/not/exist.pem");
        let text = problems(TlsOptions {
            ca: Some(missing.clone()),
            certificate: Some(missing.clone()),
            key: Some(missing.clone()),
            server_name: Some("not a name".into()),
            ..TlsOptions::default()
        });
        assert!(text.contains("tls_ca=/does/not/exist.pem cannot be read"), "{text}");
        assert!(text.contains("tls_cert=/does/not/exist.pem cannot be read"), "{text}");
        assert!(text.contains("'not a name'") && text.contains("tls_server_name"), "{text}");
    }

    #[test]
    fn a_key_without_its_certificate_is_refused() {
        let options = TlsOptions { key: Some("/k.pem".into()), ..TlsOptions::default() };
        assert!(problems(options).contains("tls_key=/k.pem needs tls_cert as well"));
        let options = TlsOptions { certificate: Some("/c.pem".into()), ..TlsOptions::default() };
        assert!(problems(options).contains("tls_cert=/c.pem needs tls_key as well"));
    }

    #[test]
    fn a_file_without_a_certificate_or_with_a_cut_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let options = || TlsOptions { ca: Some(path.clone()), ..TlsOptions::default() };
        fs::write(&path, "hello").unwrap();
        assert!(problems(options()).contains("-----BEGIN CERTIFICATE-----"));
        fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(problems(options()).contains("authorities"));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let authority = Authority::new("ca");
        let (one, other) = (authority.issue("a"), authority.issue("b"));
        let folder = tempfile::tempdir().unwrap();
        let mut options = one.write(folder.path());
        options.key = other.write(tempfile::tempdir().unwrap().keep().as_path()).key;
        assert!(problems(options).contains("belongs to tls_cert="));
    }

    #[test]
    fn logspouts_authorities_are_trusted_beside_the_systems_or_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.pem"), folder.path().join("two.pem"));
        fs::write(&one, Authority::new("one").pem()).unwrap();
        let both = Authority::new("two").pem() + &Authority::new("three").pem();
        fs::write(&two, both).unwrap();
        let alone = trusted(&TlsOptions::default()).unwrap().0.len();
        let added = vec![one, two];
        let options = TlsOptions { added, ..TlsOptions::default() };
        assert_eq!(trusted(&options).unwrap().0.len(), alone + 3);
        let options = TlsOptions { only_added: true, ..options };
        let (roots, trust) = trusted(&options).unwrap();
        assert_eq!((roots.len(), trust), (3, Trust::Added(3)));
        let nobody = TlsOptions { only_added: true, ..TlsOptions::default() };
        assert!(problems(nobody).contains("leaves nobody to trust"));
        let missing = TlsOptions { added: vec!["/no.pem".into()], ..TlsOptions::default() };
        assert!(problems(missing).contains("LOGSPOUT_TLS_CA_CERTS=/no.pem cannot be read"));
    }

    #[test]
    fn without_a_file_some_authorities_are_trusted() {
        let (roots, trust) = trusted(&TlsOptions::default()).unwrap();
        assert!(!roots.is_empty());
        assert!(!matches!(trust, Trust::File(_)));
    }
}
