//! CloudWatch Logs as others made it: moto, an emulator that boto3 reads back from, and a server
//! that checks signatures with botocore. `deploy/setup/moto.sh` brings both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::agent::Launch;
use super::{SOON, print_end, until};

/// The access key that the tests' agents have.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";

/// Its secret.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Settings of an agent that has these credentials, and no machine to ask for others.
pub fn with_credentials(launch: Launch) -> Launch {
    launch
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

/// One event, as boto3 reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub time: i64,
    /// Its text.
    pub message: String,
}

/// What a log group holds.
#[derive(Debug, Default)]
pub struct Group {
    /// Days for which events are kept; `None` for ever.
    pub retention: Option<u64>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// By stream, the events in the order of their times; those of the same time as they came.
    pub streams: BTreeMap<String, Vec<Event>>,
}

/// A running moto. Dropping it kills it and, in a test that failed, prints its log.
pub struct Moto {
    child: Child,
    address: String,
    directory: tempfile::TempDir,
}

impl Moto {
    /// Starts it on a free port.
    #[track_caller]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let mut command = Command::new(installed("bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null());
        command.env("PYTHONUNBUFFERED", "1").stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("moto starts");
        let mut moto = Self { child, address: String::new(), directory };
        // Flask and what it loads take seconds on a busy machine.
        moto.address = until("moto listens", 2 * SOON, || {
            let ended = moto.child.try_wait().unwrap();
            assert!(ended.is_none(), "moto ended with {ended:?}; its log:\n{}", moto.log());
            let log = moto.log();
            let found = log.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"));
            found.map(str::to_owned).ok_or(log.clone())
        });
        moto
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> &str {
        &self.address
    }

    /// Everything that a group holds. Empty as long as there is no such group.
    #[track_caller]
    pub fn group(&self, region: &str, name: &str) -> Group {
        let mut command = python("log-events.py");
        command.args([self.endpoint(), region, name]);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let output = command.output().expect("python3 runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}; moto's log:\n{}", self.log());
        let mut group = Group::default();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            let Some(stream) = value["stream"].as_str() else {
                group.retention = value["retention"].as_u64();
                group.tags = serde_json::from_value(value["tags"].clone()).unwrap();
                continue;
            };
            let time = value["time"].as_i64().unwrap();
            let message = value["message"].as_str().unwrap().to_owned();
            group.streams.entry(stream.to_owned()).or_default().push(Event { time, message });
        }
        group
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.directory.path().join("log")).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            print_end("moto's log", &self.log());
        }
    }
}

/// One request to a `SignatureOracle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What was called.
    pub operation: String,
    /// How the body was encoded.
    pub encoding: Option<String>,
    /// What botocore has against the signature.
    pub complaint: Option<String>,
}

/// A service that only checks signatures, and knows the tests' credentials for a region.
pub struct SignatureOracle {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: String,
}

impl SignatureOracle {
    /// Starts it on a free port. With a session token, requests must have that as well.
    #[track_caller]
    pub fn start(region: &str, token: Option<&str>) -> Self {
        let mut command = python("signatures.py");
        command.arg(region).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        if let Some(token) = token {
            command.env("AWS_SESSION_TOKEN", token);
        }
        let mut child = command.spawn().expect("python3 runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut oracle = Self { child, output, address: String::new() };
        oracle.address = oracle.line().expect("the oracle says where it listens");
        oracle
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> &str {
        &self.address
    }

    /// Ends it; returns the requests that came, in their order.
    #[track_caller]
    pub fn finish(mut self) -> Vec<Request> {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        let mut requests = Vec::new();
        while let Some(line) = self.line() {
            let value: Value = serde_json::from_str(&line).unwrap();
            let text = |key: &str| value[key].as_str().map(str::to_owned);
            let operation = text("target").unwrap_or_default().replace("Logs_20140328.", "");
            let (encoding, complaint) = (text("encoding"), text("complaint"));
            requests.push(Request { operation, encoding, complaint });
        }
        requests
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.output.read_line(&mut line).expect("the oracle writes UTF-8");
        (count > 0).then(|| line.trim_end().to_owned())
    }
}

impl Drop for SignatureOracle {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A script of tests/receivers, without what the machine may have set for AWS.
pub fn python(script: &str) -> Command {
    let mut command = Command::new(installed("bin/python3"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receivers").join(script));
    command.env_clear().env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

#[track_caller]
fn installed(program: &str) -> PathBuf {
    let ours = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto");
    let path = std::env::var_os("MOTO").map_or_else(ours, PathBuf::from).join(program);
    assert!(path.exists(), "there is no {}: deploy/setup/moto.sh brings it", path.display());
    path
}
