//! A real Prometheus, Debian's, in a folder of its own on a port of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{SOON, check, print_end, until};

/// Which program of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The server.
    Prometheus,
    /// The checker of rules and configurations.
    Promtool,
}

/// Where deploy/setup/prometheus.sh has put a program.
#[track_caller]
pub fn installed(program: Program) -> PathBuf {
    let ours = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/prometheus");
    let name = if program == Program::Prometheus { "prometheus" } else { "promtool" };
    let folder = std::env::var_os("PROMETHEUS").map_or_else(ours, PathBuf::from);
    let path = folder.join("usr/bin").join(name);
    assert!(path.exists(), "there is no {}: deploy/setup/prometheus.sh brings it", path.display());
    path
}

/// A running Prometheus. Dropping it kills it and, in a test that failed, prints its log.
pub struct Prometheus {
    child: Child,
    directory: tempfile::TempDir,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts one that scrapes `target` every 200 ms as the job `downspout`, and evaluates the
    /// rules of a file as often.
    #[track_caller]
    pub fn start(target: SocketAddr, rules: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let settings = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - job_name: downspout\n  static_configs: [{{targets: ['{target}']}}]\n",
            rules.display()
        );
        std::fs::write(path("settings.yml"), settings).unwrap();
        let log = File::create(path("log")).unwrap();
        let child = Command::new(installed(Program::Prometheus))
            .arg(format!("--config.file={}", path("settings.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut prometheus = Self { child, directory, address: unknown };
        prometheus.address = until("Prometheus listens", SOON, || {
            let ended = prometheus.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended, {ended:?}; its log:\n{}", prometheus.log());
            let log = prometheus.log();
            let line = log.lines().find(|line| line.contains("Listening on"));
            let address = line.and_then(|line| line.rsplit_once("address=")?.1.trim().parse().ok());
            address.ok_or_else(|| "its log does not say where".to_owned())
        });
        prometheus
    }

    /// The series that an expression has now, or what Prometheus has against the expression.
    #[track_caller]
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let form = format!("query={}", encoded(expression));
        let mut reply = self.ask("POST", "/api/v1/query", &form);
        match reply["data"]["result"].take() {
            Value::Array(series) if reply["status"] == "success" => Ok(series),
            _ => Err(reply["error"].to_string()),
        }
    }

    /// All rules with what became of them: `name`, `query`, `health`, `lastError`.
    #[track_caller]
    pub fn rules(&self) -> Vec<Value> {
        let reply = self.ask("GET", "/api/v1/rules", "");
        let groups = reply["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap()).collect()
    }

    // HTTP/1.0, so that the reply has no chunks.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, form: &str) -> Value {
        let mut stream = TcpStream::connect(self.address).expect("Prometheus accepts");
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply in UTF-8");
        let (_, body) = reply.split_once("\r\n\r\n").expect("a whole head");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {reply}"))
    }

    /// Waits until it has scraped so often that rates have values.
    #[track_caller]
    pub fn wait_scraped(&self) {
        until("Prometheus has scraped", SOON, || {
            let up = self.query("count_over_time(up{job=\"downspout\"}[1m]) >= 3").unwrap();
            check(!up.is_empty(), || format!("targets: {}", self.ask("GET", "/api/v1/targets", "")))
        });
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            print_end("Prometheus' log", &self.log());
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
