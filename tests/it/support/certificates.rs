//! Certificates made with openssl: an authority in a folder of its own, and what it signs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// From when to when a certificate is valid, as openssl writes it.
const VALID: [&str; 2] = ["20200101000000Z", "20490101000000Z"];
const EXPIRED: [&str; 2] = ["20200101000000Z", "20200201000000Z"];

/// Signs certificates; its files go with it.
pub struct Authority {
    directory: tempfile::TempDir,
    issued: AtomicU32,
}

/// A certificate and its key, in PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority; `name` is the subject of its own certificate.
    pub fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Self { directory, issued: AtomicU32::new(0) };
        let folder = authority.path("").display().to_string();
        let settings = SETTINGS.replace("FOLDER", folder.trim_end_matches('/'));
        std::fs::write(authority.path("settings"), settings).unwrap();
        std::fs::write(authority.path("index"), "").unwrap();
        let subject = format!("/CN={name}");
        authority.openssl("req -x509 -days 3650 -extensions authority", "unused.invalid", |run| {
            run.args(NEW_KEY).args(["-subj", &subject, "-keyout", "ca.key", "-out", "ca.pem"])
        });
        authority
    }

    /// The file of the authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A certificate for a DNS name, valid for servers and clients.
    pub fn issue(&self, name: &str) -> Identity {
        self.sign(name, VALID)
    }

    /// One that was valid until some years ago.
    pub fn issue_expired(&self, name: &str) -> Identity {
        self.sign(name, EXPIRED)
    }

    fn sign(&self, name: &str, [start, end]: [&str; 2]) -> Identity {
        let number = self.issued.fetch_add(1, SeqCst);
        let [certificate, key, request] =
            ["pem", "key", "csr"].map(|end| format!("{number}.{end}"));
        self.openssl("req", name, |run| {
            run.args(NEW_KEY).args(["-subj", "/CN=test", "-keyout", &key, "-out", &request])
        });
        self.openssl("ca -batch -notext -md sha256", name, |run| {
            run.args(["-in", &request, "-out", &certificate, "-startdate", start, "-enddate", end])
        });
        Identity { certificate: self.path(&certificate), key: self.path(&key) }
    }

    #[track_caller]
    fn openssl(&self, command: &str, name: &str, more: impl FnOnce(&mut Command) -> &mut Command) {
        let mut run = Command::new("openssl");
        run.current_dir(self.directory.path()).env("NAME", name);
        run.args(command.split(' ')).args(["-config", "settings"]);
        let output = more(&mut run).output().expect("these tests need openssl (apt-get install)");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {command}: {error}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Identity {
    /// Copies both files over those of `other`, as an operator does who renews a certificate.
    pub fn replace(&self, other: &Self) {
        replace(&self.certificate, &other.certificate);
        replace(&self.key, &other.key);
    }

    /// The options of a route that shows this certificate.
    pub fn options(&self) -> String {
        format!("tls_cert={}&tls_key={}", self.certificate.display(), self.key.display())
    }
}

/// Copies a file over another in one step, so that nobody reads half of it.
pub fn replace(file: &Path, other: &Path) {
    let beside = other.with_extension("new");
    std::fs::copy(file, &beside).unwrap();
    std::fs::rename(beside, other).unwrap();
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

// Everything that openssl would otherwise take from the machine's own configuration.
const SETTINGS: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[ca]
default_ca = this
[this]
database = index
new_certs_dir = FOLDER
certificate = ca.pem
private_key = ca.key
policy = any
rand_serial = yes
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:$ENV::NAME
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
";
