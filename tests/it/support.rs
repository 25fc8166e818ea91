//! What the tests stand on: the agent as a child process, receivers that misbehave by script,
//! containers that clean up after themselves, a proxy before the engine, an engine whose logs the
//! test writes, AWS services that keep to their contract and an emulator of them, the files of a
//! log, and the count of lines.

pub mod agent;
pub mod aws_identity;
pub mod blackhole;
pub mod byte_receiver;
pub mod certificates;
pub mod cloudwatch;
pub mod engine;
pub mod fake_engine;
pub mod http;
pub mod log_files;
pub mod moto;
pub mod numbers;
pub mod podman;
pub mod prometheus;
pub mod proxy;
pub mod random;
pub mod receiver;
pub mod relp_server;
pub mod site;
pub mod syslogd;
pub mod tls_server;
pub mod web;

use std::time::{Duration, Instant};

/// How long the tests wait for something that should happen soon; generous, since four tests
/// share two cores.
pub const SOON: Duration = Duration::from_secs(30);

/// Asks again until `state` is `Ok`; fails with the last `Err` once `bound` is over.
#[track_caller]
pub fn until<T>(what: &str, bound: Duration, mut state: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        let complaint = match state() {
            Ok(value) => return value,
            Err(complaint) => complaint,
        };
        assert!(start.elapsed() < bound, "{what}: not within {bound:?}: {complaint}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `Ok` if `holds`, else the complaint.
pub fn check(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(complaint()) }
}

/// Prints the last 4,000 bytes of a log beside a test that failed.
pub fn print_end(what: &str, log: &str) {
    let (_, end) = log.split_at(log.floor_char_boundary(log.len().saturating_sub(4000)));
    eprintln!("--- {what} ---\n{end}{}", "-".repeat(what.len() + 8));
}
