//! The soak: everything that can go wrong, at random and for a given time, on the real engine.
//! Containers print numbered lines without pause; agents are killed, receivers reset, stall and
//! refuse, streams are cut and the engine vanishes; at the end every line is accounted for.
//!
//! `cargo bench --bench soak -- [--seconds 600] [--seed N]`, as `make soak` does. Stands on the
//! support of `tests/it`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::format_push_string,
    clippy::format_collect,
    unreachable_pub,
    reason = "a soak fails by panicking, prints, and runs on plain threads and the real clock"
)]

#[path = "../../tests/it"]
mod it {
    #[allow(dead_code, reason = "the tests use the rest")]
    pub mod support;
}

mod printers;
mod storm;
mod waits;

use std::time::{Duration, Instant};

use it::support::engine::Engine;
use it::support::site::{Site, burst};
use printers::Printers;

/// Times that the fault matrix gives in full are never longer, and shorter in a short soak.
const LONGEST: Duration = Duration::from_mins(10);
/// The containers of F30 in a soak of ten minutes or more.
const BURST: u64 = 500;

#[derive(Debug)]
struct Options {
    seconds: u64,
    seed: u64,
}

impl Options {
    fn read() -> Option<Self> {
        let mut options = Self { seconds: 600, seed: fastrand::u64(..1_000_000) };
        let mut benching = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().and_then(|value| value.parse().ok());
            match argument.as_str() {
                // cargo says so when it benches, and not when it tests.
                "--bench" => benching = true,
                "--seconds" => options.seconds = value().expect("--seconds 600"),
                "--seed" => options.seed = value().expect("--seed 1"),
                other => panic!("unknown option {other}: --seconds, --seed"),
            }
        }
        benching.then_some(options)
    }
}

fn main() {
    let Some(options) = Options::read() else { return };
    println!("soak of {} s, seed {}", options.seconds, options.seed);
    let start = Instant::now();
    let storm_for = Duration::from_secs(options.seconds * 3 / 4);
    let hold = storm_for.min(LONGEST);

    let engine = Engine::new("soak");
    let storm = storm::Storm::start();
    let down = waits::Down::start();
    let pair = waits::Pair::start();
    let printers = Printers::start(&engine);
    // A wait that fails is reported at the end of the scope, with all others.
    let (storm, down, pair) = std::thread::scope(|scope| {
        let down = scope.spawn(|| down.hold(hold, &printers));
        let pair = scope.spawn(|| pair.hold(hold, &printers));
        let idle = scope.spawn(|| waits::idle(hold));
        let storm = storm.rage(fastrand::Rng::with_seed(options.seed), storm_for);
        idle.join().unwrap();
        (storm, down.join().unwrap(), pair.join().unwrap())
    });
    let expected = printers.stop();
    println!("{} lines were printed", expected.count());
    storm.finish(&expected);
    down.finish(&expected);
    pair.finish(&expected);
    drop(engine);

    let site = Site::on(Engine::alone("soak-burst"), |launch| launch);
    let containers = (BURST * options.seconds / LONGEST.as_secs()).clamp(20, BURST);
    let (missing, missed) = burst(&site, containers, 4);
    println!(
        "{containers} containers that remove themselves (F30): {missing} of {} lines missing, \
         {missed} containers missed and counted",
        containers * 10
    );
    println!("sound after {} s", start.elapsed().as_secs());
}
