//! What is wrong with the logs of the json-file driver: no limit, or too little room.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::growth;
use super::look::Container;
use super::report::{Finding, Severity};
use super::words::{bytes, duration, rate};
use crate::metrics::containers::Rotation;
use crate::record::Timestamp;
use crate::source::docker::disk::{self, Space};
use crate::source::docker::rotation::Limits;

/// The files of all logs are looked at within this time; a cold disk may want more.
const MEASURING: Duration = Duration::from_secs(10);
const DAY: f64 = 86_400.0;
/// A log that alone fills the disk so soon is a problem, and one that has this part of it.
const SOON: f64 = 30.0 * DAY;
const LARGE_PART: u64 = 10;
/// All logs together: a problem, and a warning.
const FULL_SOON: (f64, f64) = (7.0 * DAY, 90.0 * DAY);
/// A disk with less than this part free is nearly full.
const FREE_PARTS: (u64, u64) = (50, 10);

/// A json-file log.
#[derive(Debug)]
pub(super) struct Log {
    name: String,
    running: bool,
    /// It was started at least once, so that it has files.
    started: bool,
    limits: Limits,
    /// On disk, with all that were rotated; `None` if that cannot be seen.
    bytes: Option<u64>,
    /// Bytes per second at present; `None` if that cannot be told.
    rate: Option<f64>,
}

/// All json-file logs, and the file system that holds them.
#[derive(Debug, Default)]
pub(super) struct Logs {
    all: Vec<Log>,
    disk: Option<Space>,
    folder: PathBuf,
    /// Logs for which there was no time.
    pub(super) unmeasured: usize,
    /// Logs whose files cannot be read, and why the first of them cannot.
    pub(super) unreadable: Option<(usize, String)>,
}

impl Logs {
    /// Measures the logs under `folder`, largest first. Blocks, but no longer than the limit.
    pub(super) fn measure(folder: &Path, containers: &[Container]) -> Self {
        let now = Timestamp::now();
        let end = Instant::now() + MEASURING;
        let on_json = containers.iter().filter(|each| each.facts.driver == "json-file");
        let mut found: Vec<_> = on_json
            .map(|container| {
                let log = Log {
                    name: container.facts.name.clone(),
                    running: container.running,
                    started: container.facts.state != "created",
                    limits: Limits::of(&container.facts.driver_options),
                    bytes: None,
                    rate: None,
                };
                (log, container.facts.id.as_str())
            })
            .collect();
        let mut logs =
            Self { disk: disk::space(folder).ok(), folder: folder.into(), ..Self::default() };
        for (log, id) in &mut found {
            match disk::log_bytes(folder, id) {
                Ok(bytes) => log.bytes = bytes,
                Err(error) => logs.cannot_read(&folder.join(id), &error),
            }
        }
        found.sort_by_key(|(log, _)| std::cmp::Reverse(log.bytes));
        for (mut log, id) in found {
            if log.bytes.is_some() {
                logs.grow(&mut log, &folder.join(id).join(format!("{id}-json.log")), now, end);
            }
            logs.all.push(log);
        }
        logs
    }

    fn grow(&mut self, log: &mut Log, path: &Path, now: Timestamp, end: Instant) {
        if Instant::now() > end {
            self.unmeasured += 1;
            return;
        }
        match growth::rate(path, now) {
            // One that has stopped grows no more, whatever it did before.
            Ok(rate) => log.rate = Some(if log.running { rate } else { 0.0 }),
            Err(error) => self.cannot_read(path, &error),
        }
    }

    fn cannot_read(&mut self, path: &Path, error: &io::Error) {
        let why = || format!("{}: {error}", path.display());
        self.unreadable.get_or_insert_with(|| (0, why())).0 += 1;
    }

    /// Whether the files of any log can be seen.
    pub(super) fn any_seen(&self) -> bool {
        self.all.iter().any(|log| log.bytes.is_some())
    }

    /// How many logs should have files: containers that were never started have none.
    pub(super) fn count(&self) -> usize {
        self.all.iter().filter(|log| log.started).count()
    }

    /// Logs without a limit, and those whose room is too small for `outage`.
    pub(super) fn findings(&self, outage: Duration) -> Vec<Finding> {
        let mut findings: Vec<_> = self.all.iter().filter_map(|log| self.unbounded(log)).collect();
        findings.extend(self.all.iter().filter_map(|log| self.too_small(log, outage)));
        findings.extend(self.filling());
        findings.extend(self.nearly_full());
        findings
    }

    // A limit that is larger than the disk is none.
    fn is_unbounded(&self, log: &Log) -> bool {
        let most = log.limits.max_size.map(|size| size.saturating_mul(log.limits.max_file));
        match log.limits.rotation() {
            Rotation::Unbounded => true,
            _ => self.disk.zip(most).is_some_and(|(disk, most)| most > disk.size),
        }
    }

    fn unbounded(&self, log: &Log) -> Option<Finding> {
        if !self.is_unbounded(log) {
            return None;
        }
        let mut what = match log.limits.max_size {
            None => "its json-file log has no max-size".to_owned(),
            Some(_) => "its json-file log has a max-size that is larger than the disk".to_owned(),
        };
        let mut severity = Severity::Warning;
        if let Some(size) = log.bytes {
            what = format!("{what}: {} now", bytes(size));
            let is_large = self.disk.is_some_and(|disk| size > disk.size / LARGE_PART);
            severity = if is_large { Severity::Problem } else { severity };
        }
        let full_in = self.disk.zip(log.rate).and_then(|(disk, rate)| full_in(disk.free, rate));
        match (log.rate, full_in) {
            (Some(rate_now), Some(seconds)) => {
                severity = if seconds < SOON { Severity::Problem } else { severity };
                let (grows, alone) = (rate(rate_now), duration(seconds));
                what = format!("{what}, it grows by {grows}, and alone fills the disk in {alone}");
            }
            (Some(_), None) => what.push_str(", and it does not grow"),
            (None, _) => {}
        }
        let cure = "create the container anew with --log-opt max-size=50m --log-opt max-file=5, and \
                    set the same as \"log-opts\" in Docker's daemon.json for all that come later";
        let finding = Finding::new(severity, "json-file-unbounded", &log.name, what, cure);
        Some(
            finding
                .with("bytes", log.bytes)
                .with("bytes_per_second", log.rate)
                .with("full_in_seconds", full_in)
                .with("running", log.running)
                .weighing(log.bytes.unwrap_or_default()),
        )
    }

    fn too_small(&self, log: &Log, outage: Duration) -> Option<Finding> {
        let grows = log.rate.filter(|rate| *rate > 0.0)?;
        let kept = log.limits.kept().filter(|_| !self.is_unbounded(log))?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = kept as f64 / grows;
        if seconds >= outage.as_secs_f64() {
            return None;
        }
        let wanted = duration(outage.as_secs_f64());
        let emptied = if log.limits.max_file == 1 {
            "; with max-file=1 all of it goes at once when it is full"
        } else {
            ""
        };
        let what = format!(
            "rotation keeps {} of its log, which at {} is {} of lines, less than an outage of \
             {wanted}{emptied}",
            bytes(kept),
            rate(grows),
            duration(seconds),
        );
        let megabytes = (grows * outage.as_secs_f64() / 4e6).ceil().max(1.0);
        let cure = format!(
            "create the container anew with --log-opt max-size={megabytes:.0}m --log-opt max-file=5"
        );
        let finding = Finding::new(Severity::Warning, "rotation-too-small", &log.name, what, cure);
        Some(
            finding
                .with("kept_bytes", kept)
                .with("bytes_per_second", grows)
                .with("kept_seconds", seconds)
                .with("outage_seconds", outage.as_secs_f64())
                .with("max_file", log.limits.max_file),
        )
    }

    // All logs without a limit together.
    fn filling(&self) -> Option<Finding> {
        let disk = self.disk?;
        let growing = self.all.iter().filter(|log| self.is_unbounded(log));
        let together: f64 = growing.filter_map(|log| log.rate).sum();
        let seconds = full_in(disk.free, together)?;
        let severity = match seconds {
            seconds if seconds < FULL_SOON.0 => Severity::Problem,
            seconds if seconds < FULL_SOON.1 => Severity::Warning,
            _ => Severity::Note,
        };
        let what = format!(
            "logs without a limit grow by {} together; {} of {} are free, which is enough for {}",
            rate(together),
            bytes(disk.free),
            bytes(disk.size),
            duration(seconds),
        );
        let cure = "bound the logs named under json-file-unbounded";
        let folder = self.folder.to_string_lossy();
        let finding = Finding::new(severity, "disk-filling", folder, what, cure);
        Some(
            finding
                .with("bytes_per_second", together)
                .with("full_in_seconds", seconds)
                .with("free_bytes", disk.free)
                .with("size_bytes", disk.size),
        )
    }

    fn nearly_full(&self) -> Option<Finding> {
        let disk = self.disk.filter(|_| self.any_seen())?;
        let severity = match disk.free {
            free if free < disk.size / FREE_PARTS.0 => Severity::Problem,
            free if free < disk.size / FREE_PARTS.1 => Severity::Warning,
            _ => return None,
        };
        let (free, size) = (bytes(disk.free), bytes(disk.size));
        let what = format!("{free} of {size} are free; containers stop when nothing is");
        let cure = "make room, or bound the logs";
        let folder = self.folder.to_string_lossy();
        let finding = Finding::new(severity, "disk-nearly-full", folder, what, cure);
        Some(finding.with("free_bytes", disk.free).with("size_bytes", disk.size))
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn full_in(free: u64, rate: f64) -> Option<f64> {
    (rate > 0.0).then(|| free as f64 / rate)
}

#[cfg(test)]
mod tests;
