//! Logs that are rotated while they are read, and logs whose container ends without a word. The
//! ids are those of the fault matrix.

use crate::support::agent::Strategy;
use crate::support::engine::Engine;
use crate::support::numbers::{Expected, Stream};
use crate::support::site::Site;
use crate::support::{SOON, check, until};

/// A container that prints 4,000 lines of 100 bytes in bursts, through a dozen rotations of which none removes a line.
fn rotates(strategy: Strategy, driver: &str) {
    let site = Site::by(strategy, &format!("rotates-{driver}"));
    let filling = "x".repeat(92);
    let script = format!(
        "i=1; while [ $i -le 4000 ]; do printf '%06d o{filling}\\n' $i; \
         [ $((i % 20)) -eq 0 ] && usleep 20000; i=$((i+1)); done; exec sleep 1000"
    );
    let start = site.engine.container("a").driver(driver).option("--log-opt=max-size=50k");
    let name = start.option("--log-opt=max-file=20").run(&script);
    let mut expected = Expected::new(100);
    expected.add(&name, Stream::Out, 1..=4000);
    if skips_files(driver) {
        until("the last line", SOON, || {
            let lines = site.receiver.inbox.lines_of(&name);
            check(lines.last().is_some_and(|(_, line)| line.starts_with(b"004000")), String::new)
        });
        let tally = site.receiver.inbox.tally(&expected);
        assert_eq!((tally.repeated, tally.reordered, tally.garbled.len()), (0, 0, 0), "{tally}");
    } else {
        site.assert_all_arrive(&expected);
    }
}

// Up to 20.10 the engine itself passes over whole files of the local driver while it follows, and
// nothing in what it sends tells.
fn skips_files(driver: &str) -> bool {
    let version = Engine::docker(&["version", "--format", "{{.Server.Version}}"]);
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    driver == "local" && major.unwrap_or(0) <= 20
}

#[test]
fn f28_rotation_of_json_file_loses_and_repeats_nothing_of_a_log_that_is_followed_by_file() {
    rotates(Strategy::File, "json-file");
}

#[test]
fn f28_rotation_of_json_file_loses_and_repeats_nothing_of_a_log_that_is_followed_by_api() {
    rotates(Strategy::Api, "json-file");
}

#[test]
fn f28_rotation_of_local_loses_and_repeats_nothing_of_a_log_that_is_followed() {
    rotates(Strategy::Api, "local");
}

fn last_words_of_a_crash(strategy: Strategy) {
    let site = Site::by(strategy, "crashes");
    let name = site.engine.container("a").run("echo first; printf 'last words'; kill -9 $$");
    site.assert_lines(&name, &[b"first", b"last words"]);
    site.agent.assert_read_by(strategy);
}

#[test]
fn f31_the_last_words_of_a_container_that_crashes_arrive_by_file() {
    last_words_of_a_crash(Strategy::File);
}

#[test]
fn f31_the_last_words_of_a_container_that_crashes_arrive_by_api() {
    last_words_of_a_crash(Strategy::Api);
}

fn last_words_without_memory(strategy: Strategy) {
    let site = Site::by(strategy, "oom");
    let start = site.engine.container("a").option("--memory=8m").option("--memory-swap=8m");
    let name = start.run("echo first; printf 'last words'; exec tail -c 100m /dev/zero");
    assert_eq!(Engine::wait(&name), "137", "the kernel has ended it");
    site.assert_lines(&name, &[b"first", b"last words"]);
}

#[test]
fn f31_the_last_words_of_a_container_without_memory_arrive_by_file() {
    last_words_without_memory(Strategy::File);
}

#[test]
fn f31_the_last_words_of_a_container_without_memory_arrive_by_api() {
    last_words_without_memory(Strategy::Api);
}
