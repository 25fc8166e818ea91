//! `downspout doctor`: looks at the host with the present configuration and says what will hurt,
//! each with its cure. Only reads: asks the engine with GET, looks at the ends of log files, and
//! connects to the destinations without sending. May run beside an agent on the same state folder.
//!
//! With `--json` it prints one object:
//!
//! ```json
//! {
//!   "schema": 1,                     // rises when a field changes its meaning or goes
//!   "version": "0.1.0",              // of downspout
//!   "engine": {"version": "…", "api": "1.41", "endpoint": "unix:///…"},  // or null
//!   "containers": 12, "destinations": 1, "outage_seconds": 1800,
//!   "problems": 1, "warnings": 2, "notes": 0,      // how many findings of each severity
//!   "findings": [{                   // worst first
//!     "id": "json-file-unbounded",   // stable; the severity of an id depends on the numbers
//!     "severity": "problem",         // problem | warning | note
//!     "subject": "web",              // container, folder, variable or destination
//!     "what": "…", "cure": "…",      // words for people, which may change
//!     "numbers": {"bytes": 1}        // by id: bytes, seconds, bytes per second; null if unknown
//!   }]
//! }
//! ```

mod containers;
mod destinations;
mod drivers;
mod growth;
mod limits;
mod look;
mod memory;
mod paths;
mod report;
mod words;

use std::time::Duration;

use crate::config::{Config, Plan, SourceChoice};
use crate::output::BoxFuture;
use crate::shutdown;
use crate::source::docker::{self, Settings, Strategy};
use containers::Logs;
use look::{Container, Look};
use report::{Finding, Report};

pub use report::Severity;

/// What was found.
#[derive(Debug)]
pub struct Examined {
    /// The whole text, or the JSON.
    pub text: String,
    /// What the outcome is for scripts.
    pub outcome: Outcome,
}

/// What the outcome is for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing but notes.
    Well,
    /// The engine could not be asked, so that little is known.
    Blind,
    /// The worst is a warning.
    Warnings,
    /// There is a problem.
    Problems,
}

impl Outcome {
    /// The exit code, as `--help` has it.
    pub fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Blind => 1,
            Self::Warnings => 3,
            Self::Problems => 4,
        }
    }
}

/// Looks at everything that a run with `config` would need. `outage` is how long the logs should
/// keep what a destination does not take.
///
/// A boxed future, made here: else all that it calls of bollard is compiled once more into the
/// program beside the library, which is a quarter of a mebibyte.
pub fn examine(config: Config, outage: Duration, as_json: bool) -> BoxFuture<'static, Examined> {
    Box::pin(look_at_all(config, outage, as_json))
}

async fn look_at_all(config: Config, outage: Duration, as_json: bool) -> Examined {
    let (destinations, outage_seconds) = (config.routes.len(), outage.as_secs());
    let mut report = Report::default();
    (report.destinations, report.outage_seconds) = (destinations, outage_seconds);
    report.add(paths::state(config.state_dir.as_deref(), paths::is_contained()));
    let mut blind = false;
    match &config.source {
        SourceChoice::Docker(settings) => {
            let (tried, looked) = tokio::join!(
                Box::pin(destinations::findings(config.routes)),
                Box::pin(look::look(settings))
            );
            report.add(tried);
            match looked {
                Ok(look) => {
                    let host = Host { settings, plan: &config.plan, outage };
                    Box::pin(host.examine(look, &mut report)).await;
                }
                Err(why) => {
                    blind = true;
                    report.add([unreachable(why)]);
                }
            }
        }
        SourceChoice::Replay(..) => {
            report.add(Box::pin(destinations::findings(config.routes)).await);
            report.add(memory::findings(&config.plan, memory::cgroup_limit(), 0));
        }
    }
    report.sort();
    let outcome = match report.worst() {
        _ if blind => Outcome::Blind,
        Some(Severity::Problem) => Outcome::Problems,
        Some(Severity::Warning) => Outcome::Warnings,
        _ => Outcome::Well,
    };
    let text = if as_json { report.json() } else { report.text() };
    Examined { text, outcome }
}

fn unreachable(why: String) -> Finding {
    let cure = "mount Docker's socket (docker run -v /var/run/docker.sock:/var/run/docker.sock:ro), \
                or set DOCKER_HOST";
    Finding::new(Severity::Problem, "docker-unreachable", "Docker", why, cure)
}

/// A host whose engine answers.
struct Host<'a> {
    settings: &'a Settings,
    plan: &'a Plan,
    outage: Duration,
}

impl Host<'_> {
    async fn examine(&self, look: Look, report: &mut Report) {
        let unknown = look.unknown.as_ref().map_or(0, |(count, _)| *count);
        report.containers = look.containers.len() + unknown;
        let api = look.info.api.to_string();
        report.engine = Some((look.info.version.clone(), api, look.endpoint.clone()));
        report.add(look.unknown.as_ref().map(|(count, why)| {
            let what = format!("{count} containers could not be inspected: {why}");
            let cure = "let the socket proxy pass GET /containers/ID/json, or ask again";
            Finding::new(Severity::Warning, "containers-unknown", "Docker", what, cure)
                .with("count", *count)
        }));
        report.add(limits::clock(look.ahead));
        report.add(drivers::findings(&look.containers, self.settings));
        let folder = docker::containers_folder(self.settings, &look.info);
        let own = folder.clone();
        let (look, logs) = shutdown::blocking(move || {
            let logs = Logs::measure(&own, &look.containers);
            (look, logs)
        })
        .await;
        report.add(logs.findings(self.outage));
        report.add(unmeasured(&logs));
        report.add(paths::logs(&folder, &look.info.containers(), &logs, self.settings));
        let by_file = self.settings.strategy == Strategy::Auto && logs.any_seen();
        report.add(limits::release(&look, by_file));
        let running = || look.containers.iter().filter(|each| self.is_followed(each));
        let readers = running().count() * self.plan.destinations.len();
        let on_json = running().filter(|each| each.facts.driver == "json-file").count();
        report.add(limits::system(readers, if by_file { on_json } else { 0 }));
        report.add(memory::findings(self.plan, memory::cgroup_limit(), readers));
    }

    fn is_followed(&self, container: &Container) -> bool {
        let driver = container.facts.driver.as_str();
        container.running
            && (self.settings.follow_shipped || !docker::ships(driver))
            && (self.settings.attach || driver != "none")
    }
}

fn unmeasured(logs: &Logs) -> Option<Finding> {
    (logs.unmeasured > 0).then(|| {
        let what = format!("{} small logs were not looked at: the disk is slow", logs.unmeasured);
        let cure = "ask again, when the disk has less to do";
        Finding::new(Severity::Note, "logs-unmeasured", "Docker", what, cure)
            .with("count", logs.unmeasured)
    })
}
