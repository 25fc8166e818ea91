//! logspout's variables for TLS, against openssl's own server: whom the agent trusts, what it shows
//! of itself, and what is too weak for it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::agent::Launch;
use crate::support::certificates::{Authority, Identity};
use crate::support::{SOON, check, until};

/// The host in the routes, which the servers' certificates are for.
const NAME: &str = "localhost";

/// `openssl s_server`: writes what it receives to its standard output.
struct Server {
    child: Child,
    port: u16,
    output: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    #[track_caller]
    fn start(identity: &Identity, options: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1000"]);
        command.arg("-cert").arg(&identity.certificate).arg("-key").arg(&identity.key);
        // It ends with its standard input.
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("these tests need openssl");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "openssl {options:?} has ended");
            if let Some(place) = line.trim().strip_prefix("ACCEPT ") {
                break place.rsplit_once(':').unwrap().1.parse().unwrap();
            }
        };
        let output = Arc::<Mutex<Vec<u8>>>::default();
        let sink = output.clone();
        std::thread::spawn(move || {
            let mut space = vec![0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut space) {
                sink.lock().unwrap().extend_from_slice(&space[..count]);
            }
        });
        Self { child, port, output }
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// An agent with these variables ships a line to it, as syslog and as a bare line.
    #[track_caller]
    fn assert_takes(&self, variables: &[(&str, &Path)]) {
        for (scheme, wanted) in [("syslog+tls", "<14>1 T h web 1 - - hello"), ("tls", "hello")] {
            let before = self.output().len();
            let (uri, launch) = self.launch(scheme, variables);
            let mut agent = launch.arg(&uri).start();
            agent.feed("web stdout hello\n");
            until(&format!("the line by {scheme}, {variables:?}"), SOON, || {
                let output = self.output();
                let came = output.get(before..).unwrap().lines().any(|line| line == wanted);
                check(came, || format!("{output}\n{}", agent.log()))
            });
            agent.end_of_input();
            assert_eq!(agent.finish(SOON).code, Some(0));
        }
    }

    /// An agent with these variables ships nothing to it, says why, and goes on trying.
    #[track_caller]
    fn assert_refused(&self, variables: &[(&str, &Path)], why: &str) {
        let (uri, launch) = self.launch("syslog+tls", variables);
        let mut agent = launch.arg(&uri).start();
        agent.feed("web stdout hello\n");
        agent.logged(&format!("{why}: {variables:?}"), |line| {
            line.contains(" WARN ") && line.contains(why)
        });
        agent.wait_for("several attempts", SOON, |metrics| {
            metrics.of("destination_up", &uri) == 0 && metrics.of("faults_total", &uri) >= 3
        });
        assert_eq!(agent.metrics().of("lines_delivered_total", &uri), 0);
        assert!(agent.is_running());
        assert!(!self.output().contains("hello"), "{}", self.output());
    }

    fn launch(&self, scheme: &str, variables: &[(&str, &Path)]) -> (String, Launch) {
        let fixed = [("SYSLOG_TIMESTAMP", "T"), ("SYSLOG_HOSTNAME", "h"), ("SYSLOG_PID", "1")];
        let launch = Launch::fed().env("DOWNSPOUT_BACKOFF_MAX", "50ms");
        let launch = fixed.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        (format!("{scheme}://{NAME}:{}", self.port), launch)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const CA_CERTS: &str = "LOGSPOUT_TLS_CA_CERTS";
const NO_SYSTEM: (&str, &str) = ("LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS", "true");

#[test]
fn logspout_tls_trusts_the_authorities_of_its_variables_beside_or_without_the_systems() {
    let [own, other] = ["own", "other"].map(Authority::new);
    let server = Server::start(&own.issue(NAME), &[]);
    let (own, other) = (own.certificate(), other.certificate());
    let both = format!("{},{}", other.display(), own.display());
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle.pem");
    let texts = [&other, &own].map(|file| std::fs::read(file).unwrap());
    std::fs::write(&bundle, texts.concat()).unwrap();
    let alone = (NO_SYSTEM.0, Path::new(NO_SYSTEM.1));
    for variables in [
        &[(CA_CERTS, own.as_path())][..],
        &[(CA_CERTS, Path::new(&both))],
        &[(CA_CERTS, &bundle)],
        &[(CA_CERTS, &own), alone],
        &[(CA_CERTS, Path::new(&both)), alone],
        // The system's store, and with it one of its own.
        &[("SSL_CERT_FILE", &own)],
        &[("SSL_CERT_FILE", &own), (CA_CERTS, &other)],
    ] {
        server.assert_takes(variables);
    }
}

#[test]
fn logspout_tls_trusts_nobody_else() {
    let [own, other] = ["own", "other"].map(Authority::new);
    let server = Server::start(&own.issue(NAME), &[]);
    let (own, other) = (own.certificate(), other.certificate());
    let alone = (NO_SYSTEM.0, Path::new(NO_SYSTEM.1));
    let why = "not signed by an authority that is trusted here";
    for variables in
        [&[(CA_CERTS, other.as_path())][..], &[("SSL_CERT_FILE", &own), (CA_CERTS, &other), alone]]
    {
        server.assert_refused(variables, why);
    }
}

#[test]
fn logspout_tls_shows_its_client_certificate_to_who_asks_for_it() {
    let authority = Authority::new("own");
    let ca = authority.certificate();
    let asks = ["-Verify", "1", "-verify_return_error", "-CAfile", ca.to_str().unwrap()];
    let server = Server::start(&authority.issue(NAME), &asks);
    let client = authority.issue("client.test");
    let pair = [
        (CA_CERTS, ca.as_path()),
        ("LOGSPOUT_TLS_CLIENT_CERT", &client.certificate),
        ("LOGSPOUT_TLS_CLIENT_KEY", &client.key),
    ];
    server.assert_takes(&pair);
    let server = Server::start(&authority.issue(NAME), &asks);
    server.assert_refused(&pair[..1], "wants a client certificate");
}

#[test]
fn logspout_tls_hardened_or_not_refuses_old_versions_and_weak_suites() {
    let authority = Authority::new("own");
    let (ca, identity) = (authority.certificate(), authority.issue(NAME));
    let modern = Server::start(&identity, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]);
    modern.assert_takes(&[(CA_CERTS, &ca), ("LOGSPOUT_TLS_HARDENING", Path::new("true"))]);
    for options in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        // CBC, which TLS 1.2 still has.
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"],
    ] {
        let server = Server::start(&identity, options);
        for hardening in ["true", ""] {
            let variables =
                [(CA_CERTS, ca.as_path()), ("LOGSPOUT_TLS_HARDENING", Path::new(hardening))];
            server.assert_refused(&variables, "destination is down");
        }
    }
}

#[test]
fn logspout_tls_files_that_cannot_be_used_end_the_start_and_are_named() {
    let authority = Authority::new("own");
    let client = authority.issue("client.test");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let certificate = client.certificate.display().to_string();
    for (variables, words) in [
        (&[(CA_CERTS, "/no/such.pem")][..], &[CA_CERTS, "/no/such.pem"][..]),
        (&[(CA_CERTS, empty.path().to_str().unwrap())], &[CA_CERTS]),
        // logspout then shows no certificate, silently.
        (
            &[("LOGSPOUT_TLS_CLIENT_CERT", certificate.as_str())],
            &["LOGSPOUT_TLS_CLIENT_CERT", "needs LOGSPOUT_TLS_CLIENT_KEY as well"],
        ),
        (
            &[
                ("LOGSPOUT_TLS_CLIENT_CERT", &certificate),
                ("LOGSPOUT_TLS_CLIENT_KEY", "/no/such.key"),
            ],
            &["LOGSPOUT_TLS_CLIENT_KEY", "/no/such.key"],
        ),
        (&[NO_SYSTEM], &[NO_SYSTEM.0]),
    ] {
        let launch = Launch::fed().arg("syslog+tls://localhost:1");
        let ended = variables.iter().fold(launch, |l, (name, value)| l.env(name, value)).finish();
        assert_eq!(ended.code, Some(2), "{variables:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{variables:?}: {word}: {}", ended.stderr);
        }
    }
}
