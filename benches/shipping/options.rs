//! What was asked for on the command line. Never reads the environment.

use std::path::PathBuf;

use super::parts::PARTS;

/// The parts and the sizes of a run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    /// Of backlog, transports, burst, scaling and cloudwatch.
    pub(crate) lines: u64,
    /// Of live.
    pub(crate) live_s: u64,
    /// Of scaling: the most containers that print at once.
    pub(crate) busy: usize,
    /// Of the outage: lines per second, and how long the receiver is away and back.
    pub(crate) rate: u64,
    pub(crate) away_s: u64,
    pub(crate) after_s: u64,
    /// Whether the receiver resets its connections when it goes; else it ends them in order.
    pub(crate) reset: bool,
    /// Of idle.
    pub(crate) containers: usize,
    /// Of idle: each measurement; of cloudwatch: how long the endpoint is dead.
    pub(crate) seconds: u64,
    /// Of the flood.
    pub(crate) flood_s: u64,
    /// Draw the last backlog into this file, and measure nothing.
    pub(crate) plot: Option<PathBuf>,
    only: Vec<String>,
    parts: Vec<String>,
}

impl Options {
    /// `None` when cargo does not bench but tests.
    pub(crate) fn read() -> Option<Self> {
        let mut options = Self {
            rounds: 3,
            lines: 1_000_000,
            live_s: 30,
            busy: 500,
            rate: 5_000,
            away_s: 10,
            after_s: 30,
            reset: false,
            containers: 1_000,
            seconds: 60,
            flood_s: 30,
            plot: None,
            only: Vec::new(),
            parts: Vec::new(),
        };
        let mut benching = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // cargo says so when it benches, and not when it tests.
                "--bench" => benching = true,
                "--reset" => options.reset = true,
                name => {
                    let value = arguments.next().unwrap_or_else(|| panic!("{name} of what?"));
                    options.set(name, value);
                }
            }
        }
        benching.then_some(options)
    }

    fn set(&mut self, name: &str, value: String) {
        let number = || -> u64 {
            let number = value.parse().ok().filter(|number| *number > 0);
            number.unwrap_or_else(|| panic!("{name} is a number above 0, not '{value}'"))
        };
        let count = || usize::try_from(number()).unwrap();
        match name {
            "--rounds" => self.rounds = count(),
            "--lines" => self.lines = number(),
            "--live-seconds" => self.live_s = number(),
            "--busy" => self.busy = count(),
            "--rate" => self.rate = number(),
            "--away" => self.away_s = number(),
            "--after" => self.after_s = number(),
            "--containers" => self.containers = count(),
            "--seconds" => self.seconds = number(),
            "--flood-seconds" => self.flood_s = number(),
            "--plot" => self.plot = Some(value.into()),
            "--only" => self.only.push(value),
            "--part" => {
                let parts = PARTS.map(|(part, _)| part);
                assert!(parts.contains(&value.as_str()), "--part is one of {parts:?}");
                self.parts.push(value);
            }
            other => panic!(
                "unknown option {other}: --part, --only, --rounds, --lines, \
                 --live-seconds, --busy, --rate, --away, --after, --reset, --containers, \
                 --seconds, --flood-seconds, --plot"
            ),
        }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    pub(crate) fn includes(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}
