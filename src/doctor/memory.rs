//! Whether the memory that the agent plans with is there: the limit of its cgroup, and what the
//! readers of all containers need.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::{Finding, Severity};
use super::words::{bytes, plural};
use crate::config::{Plan, Share};

/// What the reader of one container for one destination takes, with its lane; measured.
const FOLLOWER_BYTES: u64 = 10 << 10;
/// A cgroup of version 1 without a limit says a number near 2^63.
const UNLIMITED: u64 = 1 << 60;

/// The plan against the cgroup's limit, and against so many readers.
pub(super) fn findings(plan: &Plan, cgroup: Option<u64>, followers: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(most) = cgroup.filter(|most| *most < plan.limit) {
        let what = format!(
            "it aims for {} of resident memory, and its cgroup ends it at {}",
            bytes(plan.limit),
            bytes(most)
        );
        let cure = format!(
            "give the container --memory {}m or more, or set DOWNSPOUT_MEMORY_LIMIT to less than {}",
            (plan.limit >> 20) + (plan.limit >> 23).max(8),
            bytes(most)
        );
        let finding =
            Finding::new(Severity::Problem, "memory-limit", "DOWNSPOUT_MEMORY_LIMIT", what, cure);
        findings.push(finding.with("limit_bytes", plan.limit).with("cgroup_bytes", most));
    }
    let planned = plan.fixed + plan.destinations.iter().map(Share::total).sum::<u64>();
    let needed = planned + followers as u64 * FOLLOWER_BYTES;
    if needed > plan.limit {
        let what = format!(
            "{} for {} are planned, of {}: they need about {}",
            plural(followers, "reader"),
            plural(plan.destinations.len(), "destination"),
            bytes(plan.limit),
            bytes(needed)
        );
        let cure = format!("set DOWNSPOUT_MEMORY_LIMIT={}MiB or more", needed.div_ceil(1 << 20));
        let finding =
            Finding::new(Severity::Warning, "memory-plan", "DOWNSPOUT_MEMORY_LIMIT", what, cure);
        findings.push(finding.with("limit_bytes", plan.limit).with("needed_bytes", needed));
    }
    findings
}

/// The least limit of this process's cgroup and those above it, in bytes; `None` if there is none
/// or it cannot be seen.
pub(super) fn cgroup_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit(&own, Path::new("/sys/fs/cgroup"))
}

// A line of /proc/self/cgroup is NUMBER:CONTROLLERS:PATH; version 2 has neither of the first two.
fn limit(own: &str, root: &Path) -> Option<u64> {
    let mut least: Option<u64> = None;
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (mount, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|each| each == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for folder in Path::new(path.trim_start_matches('/')).ancestors() {
            least = [least, read(&mount.join(folder).join(file))].into_iter().flatten().min();
        }
    }
    least
}

fn read(path: &PathBuf) -> Option<u64> {
    let limit = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (limit < UNLIMITED).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    const MIB: u64 = 1 << 20;

    fn plan(limit: u64) -> Plan {
        Plan::new(limit, 1 << 20, [("r".to_owned(), 256 << 10)]).unwrap()
    }

    fn text(findings: Vec<Finding>) -> String {
        let mut report = Report::default();
        report.add(findings);
        report.text()
    }

    #[test]
    fn a_cgroup_with_less_than_the_limit_is_a_problem() {
        let found = text(findings(&plan(64 * MIB), Some(32 * MIB), 0));
        assert!(found.contains("PROBLEM memory-limit"), "{found}");
        assert!(found.contains("--memory 72m"), "{found}");
        for fits in [None, Some(64 * MIB), Some(128 * MIB)] {
            assert!(findings(&plan(64 * MIB), fits, 100).is_empty(), "{fits:?}");
        }
    }

    #[test]
    fn more_readers_than_there_is_memory_for_are_told() {
        assert!(findings(&plan(64 * MIB), None, 1000).is_empty());
        let found = text(findings(&plan(16 * MIB), None, 1000));
        assert!(found.contains("WARNING memory-plan") && found.contains("1000 readers"), "{found}");
    }

    #[test]
    fn the_least_limit_on_the_way_up_is_found_in_both_versions() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(limit("0::/a/b\n", root.path()), None);
        write("a/b/memory.max", "max\n");
        assert_eq!(limit("0::/a/b\n", root.path()), None);
        write("a/memory.max", "67108864\n");
        write("memory.max", "134217728\n");
        assert_eq!(limit("0::/a/b\n", root.path()), Some(64 * MIB));
        // A private namespace: the path is that of the mount.
        assert_eq!(limit("0::/\n", root.path()), Some(128 * MIB));
        let old = "12:cpu,cpuacct:/docker/x\n9:memory:/docker/x\n1:name=systemd:/docker/x\n";
        write("memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(old, root.path()), None);
        write("memory/docker/x/memory.limit_in_bytes", "33554432\n");
        assert_eq!(limit(old, root.path()), Some(32 * MIB));
        assert_eq!(limit("nonsense\n::", root.path()), Some(128 * MIB));
        assert_eq!(limit("", root.path()), None);
    }
}
