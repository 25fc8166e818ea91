//! `--check`: connects to Docker and to every destination, sends nothing, says what it found.

use std::fmt::Write;
use std::pin::Pin;
use std::time::Duration;

use crate::config::{Config, SourceChoice};
use crate::output::Peer;
use crate::source::docker;

/// A destination that has not answered by then is reported as silent.
const LIMIT: Duration = Duration::from_secs(15);

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// One line per thing that was tried.
    pub text: String,
    /// Nothing was found wrong.
    pub good: bool,
}

/// Tries everything that a run would need.
///
/// Boxed, so that all of it is compiled here and not once more in the program.
pub fn check(config: Config) -> Pin<Box<dyn Future<Output = Report>>> {
    Box::pin(checking(config))
}

async fn checking(config: Config) -> Report {
    let mut report = Report { text: String::new(), good: true };
    report.note("configuration", &Ok("valid".to_owned()));
    if let SourceChoice::Docker(settings) = &config.source {
        let found = match tokio::time::timeout(LIMIT, docker::probe(settings)).await {
            Ok(found) => found,
            Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
        };
        report.note("docker", &found);
    }
    for route in config.routes {
        let found = match tokio::time::timeout(LIMIT, reach(route.peer)).await {
            Ok(found) => found.map(|peer| format!("connected to {peer}")),
            Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
        };
        report.note(&route.name, &found);
    }
    report
}

/// Connects to a destination and leaves again; says to what, or why not.
pub(crate) async fn reach(peer: Peer) -> Result<String, String> {
    match peer {
        Peer::Store(store) => store.connect().await,
        Peer::Link(mut output) => {
            let found = output.connect().await;
            // Nothing was sent, so there is nothing that could fail to arrive.
            if found.is_ok() {
                drop(tokio::time::timeout(Duration::from_secs(1), output.close()).await);
            }
            found.map_err(|fault| fault.to_string())
        }
    }
}

impl Report {
    fn note(&mut self, what: &str, found: &Result<String, String>) {
        let (word, text) = match found {
            Ok(text) => ("ok    ", text),
            Err(text) => ("FAILED", text),
        };
        self.good &= found.is_ok();
        // Writing to a string cannot fail.
        writeln!(self.text, "{word} {what}: {text}").ok();
    }
}
