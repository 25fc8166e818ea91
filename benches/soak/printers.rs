//! The containers of the soak: they print numbered lines on both streams until told to stop.

use crate::it::support::engine::Engine;
use crate::it::support::numbers::{Expected, Stream};
use crate::it::support::{SOON, check, until};

const CONTAINERS: usize = 10;
const WIDTH: usize = 100;

/// Containers that print.
pub struct Printers(Vec<String>);

impl Printers {
    /// Starts them: twenty lines a second on each stream of each, in bursts of ten.
    pub fn start(engine: &Engine) -> Self {
        let filling = "x".repeat(WIDTH - 8);
        let script = format!(
            "i=0; while [ ! -e /stop ]; do b=0; while [ $b -lt 10 ]; do i=$((i+1)); b=$((b+1)); \
             printf '%06d o{filling}\\n' $i; printf '%06d e{filling}\\n' $i >&2; done; \
             usleep 500000; done; echo $i >/count; exec sleep 100000"
        );
        let names = (1..=CONTAINERS).map(|n| engine.container(&n.to_string()).run(&script));
        Self(names.collect())
    }

    /// How many lines they have printed by now, as the engine has them.
    pub fn printed(&self) -> u64 {
        let last = |name: &String| {
            let line = Engine::docker(&["logs", "--tail=1", name]);
            let number = line.get(..6).and_then(|number| number.parse::<u64>().ok());
            2 * number.unwrap_or_default()
        };
        self.0.iter().map(last).sum()
    }

    /// Ends the printing; says what must have come when all has.
    pub fn stop(&self) -> Expected {
        let mut expected = Expected::new(WIDTH);
        for name in &self.0 {
            Engine::docker(&["exec", name, "touch", "/stop"]);
        }
        for name in &self.0 {
            let count = until("the printer stops", SOON, || {
                let text =
                    Engine::docker(&["exec", name, "sh", "-c", "cat /count 2>/dev/null || :"]);
                text.parse().map_err(|_| format!("it says {text:?}"))
            });
            for stream in [Stream::Out, Stream::Err] {
                expected.add(name, stream, 1..=count);
            }
        }
        expected
    }

    /// How many of the printed lines have come, if `came` of all frames did: at least `percent`.
    #[track_caller]
    pub fn assert_keeps_up(&self, came: u64, percent: u64) {
        let printed = self.printed();
        let enough = check(came * 100 >= printed * percent, || format!("{came} of {printed} came"));
        assert_eq!(enough, Ok(()));
    }
}
