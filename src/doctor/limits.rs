//! Limits of the system that grow short with many containers: open files, inotify, clocks, and
//! what the engine's release is known for.

use std::fs;

use rustix::fs::inotify::{self, CreateFlags};
use rustix::io::Errno;

use super::look::{Container, Look};
use super::report::{Finding, Severity};
use super::words::{duration, plural};
use crate::net::kernel;
use crate::source::docker::rotation::Limits;

/// Descriptors beside those of the logs: sockets, the poller, standard streams.
const OTHER_FILES: u64 = 100;
/// A clock that is off by less hurts nobody.
const SKEW_NANOS: i64 = 2_000_000_000;
/// From this release on the engine's log reader is another one (moby #43294).
const FIRST_SOUND_RELEASE: u32 = 23;

/// Descriptors and watches for so many readers, of so many logs by file.
pub(super) fn system(readers: usize, files: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let needed = readers as u64 + OTHER_FILES;
    if let Some(most) = kernel::allow_all_files().ok().filter(|most| *most < needed) {
        let what = format!(
            "{} of logs want about {needed} open files, and this process may have {most}",
            plural(readers, "reader")
        );
        let cure = format!("add to docker run: --ulimit nofile={}", needed.next_power_of_two());
        let finding = Finding::new(Severity::Warning, "open-files", "RLIMIT_NOFILE", what, cure);
        findings.push(finding.with("limit", most).with("needed", needed));
    }
    let watches = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok();
    let watches = watches.and_then(|text| text.trim().parse::<usize>().ok());
    if let Some(most) = watches.filter(|most| *most < files) {
        let what = format!(
            "{} want a watch each, and there are {most} for all processes of a user: the others \
             are looked at 4 times a second",
            plural(files, "log file")
        );
        let cure =
            format!("sysctl fs.inotify.max_user_watches={}", (files * 2).next_power_of_two());
        let subject = "fs.inotify.max_user_watches";
        let finding = Finding::new(Severity::Warning, "inotify-watches", subject, what, cure);
        findings.push(finding.with("limit", most).with("needed", files));
    }
    if inotify::init(CreateFlags::CLOEXEC).err() == Some(Errno::MFILE) {
        findings.push(Finding::new(
            Severity::Warning,
            "inotify-instances",
            "fs.inotify.max_user_instances",
            "no inotify instance is left: log files are looked at 4 times a second",
            "sysctl fs.inotify.max_user_instances=1024",
        ));
    }
    findings
}

/// The engine's clock beside ours.
pub(super) fn clock(ahead: Option<i64>) -> Option<Finding> {
    let ahead = ahead.filter(|ahead| ahead.saturating_abs() > SKEW_NANOS)?;
    #[expect(clippy::cast_precision_loss, reason = "seconds are shown")]
    let seconds = ahead as f64 / 1e9;
    let word = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!(
        "the engine's clock is {} {word} ours: lines carry the engine's time, and where a log is \
         followed from is told by ours",
        duration(seconds.abs())
    );
    let cure = "have both hosts set their clocks by NTP (chrony, systemd-timesyncd)";
    let finding = Finding::new(Severity::Warning, "clock-engine", "Docker", what, cure);
    Some(finding.with("ahead_seconds", seconds))
}

/// What the engine's release does to logs that are asked of it. `by_file`: the logs of the
/// json-file driver are read from their files.
pub(super) fn release(look: &Look, by_file: bool) -> Option<Finding> {
    let old = look.info.major().is_none_or(|major| major < FIRST_SOUND_RELEASE);
    if !old {
        return None;
    }
    let asked = |each: &&Container| match each.facts.driver.as_str() {
        "json-file" => !by_file && Limits::of(&each.facts.driver_options).max_size.is_some(),
        // It rotates and compresses unless told otherwise.
        "local" => true,
        _ => false,
    };
    let count = look.containers.iter().filter(asked).count();
    let skips = if look.info.skips_compressed() {
        "; it also leaves out compressed rotated files when asked from a time on, so that whole logs \
         are asked of it after a pause"
    } else {
        ""
    };
    let version = &look.info.version;
    let what = format!(
        "Engine {version} repeats and loses lines of a followed log that rotates fast{skips}; {} \
         followed that way here",
        match count {
            0 => "none is".to_owned(),
            1 => "1 container is".to_owned(),
            _ => format!("{count} containers are"),
        }
    );
    let severity = if count > 0 { Severity::Warning } else { Severity::Note };
    let cure = "have the logs read from their files (driver json-file, Docker's folder of containers \
                mounted), or upgrade Docker to 23.0 or newer";
    let finding = Finding::new(severity, "engine-release", "Docker", what, cure);
    Some(finding.with("containers", count).with("version", version.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_only_beyond_two_seconds_either_way() {
        for near in [None, Some(0), Some(2_000_000_000), Some(-2_000_000_000)] {
            assert!(clock(near).is_none(), "{near:?}");
        }
        for far in [3_000_000_000, -3_600_000_000_000, i64::MIN, i64::MAX] {
            assert!(clock(Some(far)).is_some(), "{far}");
        }
    }

    #[test]
    fn more_readers_than_descriptors_are_told() {
        assert!(system(0, 0).is_empty());
        let has_enough = kernel::allow_all_files().is_ok_and(|most| most > 1 << 40);
        assert_eq!(system(1 << 40, 0).is_empty(), has_enough);
    }
}
