//! The sub-commands that look at a checkpoint and remove it, as an operator runs them.

use std::fs::{self, File};
use std::path::Path;

use super::support::agent::{Finished, Launch};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A file of version 1; the checksums are zlib's.
const FILE: &str = "\
downspout checkpoint 1
destination name=syslog+tcp://logs:514 since=1795387206000000000 crc=2ee49b52
log destination=syslog+tcp://logs:514 since=1795387206000000000 \
container=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \
floor=1795387206000000001 stdout=1795387206063720431:2 crc=76c00164
end lines=2 crc=c04c7482
";

fn run(word: &str, folder: &Path) -> Finished {
    Launch::new().env("DOWNSPOUT_STATE_DIR", folder).arg("checkpoint").arg(word).finish()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("checkpoint"), FILE).unwrap();
    folder
}

/// Holds the lock as an agent does.
fn lock(folder: &Path) -> File {
    let lock = File::create(folder.join("lock")).unwrap();
    lock.try_lock().unwrap();
    lock
}

#[test]
fn show_prints_every_position_while_an_agent_runs() {
    let folder = folder();
    let _agent = lock(folder.path());
    let shown = run("show", folder.path());
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    let expected = "\
syslog+tcp://logs:514, since 2026-11-22T22:40:06.000000000Z
  CONTAINER     STDOUT                             STDERR  FLOOR                           OPEN
  0123456789ab  2026-11-22T22:40:06.063720431Z +2  -       2026-11-22T22:40:06.000000001Z  -
";
    assert!(shown.stdout.ends_with(expected), "{}", shown.stdout);
    assert!(shown.stdout.contains(&folder.path().display().to_string()), "{}", shown.stdout);
}

#[test]
fn show_says_what_is_damaged_and_prints_the_rest() {
    let folder = folder();
    let damaged = FILE.replace(ID, &ID.replace('7', "8"));
    fs::write(folder.path().join("checkpoint"), damaged).unwrap();
    let shown = run("show", folder.path());
    assert_eq!(shown.code, Some(1));
    assert!(shown.stdout.contains("syslog+tcp://logs:514, since"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("0123456"), "{}", shown.stdout);
    assert!(shown.stderr.contains("is damaged (1 lines unreadable)"), "{}", shown.stderr);
}

#[test]
fn show_and_reset_say_that_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (word, place) in [("show", "missing"), ("reset", "missing"), ("show", ""), ("reset", "")] {
        let ended = run(word, &folder.path().join(place));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{word} {place}");
        assert!(ended.stdout.contains("does not exist: the next start is a first start"));
    }
    assert!(!folder.path().join("missing").exists(), "looking makes no folder");
}

#[test]
fn reset_waits_for_no_agent_but_refuses_while_one_runs() {
    let folder = folder();
    let agent = lock(folder.path());
    let refused = run("reset", folder.path());
    assert_eq!(refused.code, Some(1));
    let place = folder.path().display().to_string();
    assert!(refused.stderr.contains("another downspout runs on"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&place), "{}", refused.stderr);
    assert!(folder.path().join("checkpoint").exists());
    drop(agent);
    let done = run("reset", folder.path());
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert!(done.stdout.contains("is removed. The next start is a first start"), "{}", done.stdout);
    assert!(!folder.path().join("checkpoint").exists());
}
