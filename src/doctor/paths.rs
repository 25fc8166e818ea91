//! Folders that the agent needs: the engine's logs, and its own state.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use super::containers::Logs;
use super::report::{Finding, Severity};
use super::words::plural;
use crate::source::docker::{self, Endpoint, Settings, Strategy};

/// Files that engines put into every container.
const MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// Whether this process runs in a container.
pub(super) fn is_contained() -> bool {
    MARKS.iter().any(|mark| Path::new(mark).exists()) || docker::own_container_id().is_some()
}

/// Whether the logs can be read from their files. `folder` is where they are for us, `host` where
/// the engine has them.
pub(super) fn logs(folder: &Path, host: &Path, logs: &Logs, settings: &Settings) -> Vec<Finding> {
    let matters = settings.strategy == Strategy::Auto && logs.count() > 0;
    let severity = if matters { Severity::Warning } else { Severity::Note };
    let subject = folder.display().to_string();
    let mount = format!("-v {}:{}:ro", host.display(), folder.display());
    let add = match settings.endpoint {
        Endpoint::Unix(_) => format!("add to docker run: {mount}"),
        // A socket proxy beside the agent, or another host.
        _ => format!("on the engine's own host, add to docker run: {mount}"),
    };
    let costs = "the logs are asked of Docker, which costs it 20 times as much and may lose lines \
                 when a log rotates fast, and nothing can be said of their sizes";
    let mut findings = Vec::new();
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("Docker's folder of containers is not mounted: {costs}");
            findings.push(Finding::new(severity, "containers-dir-missing", subject, what, add));
        }
        Err(error) => {
            let what = format!("Docker's folder of containers cannot be read ({error}): {costs}");
            let cure = format!("run as root (docker run --user 0), and {add}");
            findings.push(Finding::new(severity, "containers-dir-unreadable", subject, what, cure));
        }
        Ok(_) if logs.count() > 0 && !logs.any_seen() && logs.unreadable.is_none() => {
            let what = format!(
                "this folder holds none of the {}: it is not Docker's folder of containers; {costs}",
                plural(logs.count(), "json-file log")
            );
            let cure = format!("{add}, and set DOWNSPOUT_CONTAINERS_DIR to where it is mounted");
            findings.push(Finding::new(severity, "containers-dir-wrong", subject, what, cure));
        }
        Ok(_) => {}
    }
    findings.extend(logs.unreadable.as_ref().map(|(count, why)| {
        let what = format!("{} cannot be read: {why}", plural(*count, "log file"));
        let cure = "run as root (docker run --user 0)";
        let subject = folder.display().to_string();
        Finding::new(Severity::Warning, "log-file-unreadable", subject, what, cure)
            .with("count", *count)
    }));
    findings
}

/// Whether positions outlive the agent.
pub(super) fn state(folder: Option<&Path>, contained: bool) -> Option<Finding> {
    let lost = "after a restart the logs are followed from then on, and what was printed between is \
                not shipped";
    let Some(folder) = folder else {
        let what = format!("no positions are kept: {lost}");
        let cure = "set it to a folder on a volume, such as /var/lib/downspout";
        return Some(Finding::new(
            Severity::Warning,
            "state-off",
            "DOWNSPOUT_STATE_DIR",
            what,
            cure,
        ));
    };
    let subject = folder.display().to_string();
    let volume = format!("add to docker run: -v downspout-state:{subject}");
    let cure =
        if contained { volume } else { format!("make it writable for the agent: {subject}") };
    // The agent makes what is missing.
    let there = folder.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or(Path::new("/"));
    if !there.is_dir() {
        let what = format!("{} is not a folder: {lost}", there.display());
        return Some(Finding::new(Severity::Problem, "state-not-writable", subject, what, cure));
    }
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let error = io::Error::from(error);
        let what = format!("{} cannot be written ({error}): {lost}", there.display());
        return Some(Finding::new(Severity::Problem, "state-not-writable", subject, what, cure));
    }
    if contained && is_of_the_root(there) {
        let what = "it is no volume: positions go with the container, so that an upgrade loses or \
                    repeats lines";
        return Some(Finding::new(Severity::Warning, "state-not-a-volume", subject, what, cure));
    }
    None
}

fn is_of_the_root(folder: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    device(folder) == device(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    fn text(finding: Option<Finding>) -> String {
        let mut report = Report::default();
        report.add(finding);
        report.text()
    }

    #[test]
    fn a_state_folder_must_be_there_or_be_made_and_outlive_a_container() {
        let folder = tempfile::tempdir().unwrap();
        assert!(state(Some(folder.path()), false).is_none());
        let missing = folder.path().join("a/b");
        assert!(state(Some(&missing), false).is_none(), "the agent makes it");
        assert!(!missing.exists(), "looking makes no folder");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(text(state(Some(&file.join("x")), true)).contains("PROBLEM state-not-writable"));
        assert!(text(state(None, false)).contains("WARNING state-off"));
        let found = text(state(Some(Path::new("/")), true));
        assert!(found.contains("WARNING state-not-a-volume"), "{found}");
        assert!(found.contains("-v downspout-state:/"), "{found}");
    }
}
