//! The command line, taken apart: sub-command, switches, flags that are settings, route URIs.
//! Knows nothing of what the values mean.

use std::collections::BTreeMap;
use std::time::Duration;

use super::table::{ANY_VALUE, SETTINGS, Setting, TRUE_OR_FALSE};
use crate::options::{Problem, closest, parse_duration, parse_flag};
use crate::output::driver;

/// What the arguments ask for.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) action: Action,
    /// Values of the settings given as flags, by the variable's name.
    pub(super) flags: BTreeMap<&'static str, String>,
    /// Lists of route URIs.
    pub(super) routes: Vec<String>,
    /// Of `explain`: the container that is asked about.
    pub(super) container: Option<String>,
    /// Of `doctor`, `explain` and `migrate`: JSON instead of text.
    pub(super) json: bool,
    /// Of `doctor`: how long the logs should keep what a destination does not take.
    pub(super) outage: Option<Duration>,
    pub(super) problems: Vec<Problem>,
}

/// An outage that somebody notices and mends.
pub(super) const DEFAULT_OUTAGE: Duration = Duration::from_mins(30);

/// What to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    #[default]
    Run,
    Check,
    Doctor,
    Explain,
    Migrate,
    Healthcheck,
    ShowCheckpoint,
    ResetCheckpoint,
    Reference,
    Man,
    Completions(&'static str),
    Version,
    Help,
}

/// The sub-commands and what they do.
pub(super) const COMMANDS: [(&str, &str); 9] = [
    (
        "doctor",
        "Look at this host with the present settings and say what will hurt, each with its cure: logs \
         without a limit, rotation too small for an outage, paths, memory, clocks, destinations. An \
         agent may run. Exit code: 0 nothing found or notes only, 1 Docker could not be asked, 2 \
         settings unusable, 3 warnings, 4 problems.",
    ),
    (
        "explain CONTAINER",
        "Say of one container, given by its name or the beginning of its id, what the present settings \
         make of it: which routes ship it and why others do not, how its log is read, what its lines \
         look like, each setting with where it comes from. An agent may run. Exit code: 0 a route ships \
         it, 1 Docker could not be asked or has no such container, 2 settings unusable, 3 none ships it.",
    ),
    (
        "migrate",
        "Read logspout's variables and arguments, as they are, and say of each what it becomes here and \
         what differs. Connects to nothing. Exit code: 0 everything can work, 2 something cannot.",
    ),
    (
        "healthcheck",
        "Ask the running agent under DOWNSPOUT_HTTP whether it is well; for HEALTHCHECK.",
    ),
    (
        "checkpoint show",
        "Print the positions kept under DOWNSPOUT_STATE_DIR; an agent may run on them.",
    ),
    (
        "checkpoint reset",
        "Remove the positions kept under DOWNSPOUT_STATE_DIR; refused while an agent runs on them.",
    ),
    ("reference", "Print the reference of all variables and route options as Markdown."),
    ("man", "Print the manual page: downspout man | man -l -"),
    ("completions SHELL", "Print the completions for bash, zsh or fish."),
];

/// The shells that there are completions for.
pub(super) const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// The flags of `doctor` and of commands like it, and what they do.
pub(super) const DOCTOR_FLAGS: [(&str, &str); 2] = [
    ("--json", "doctor, explain, migrate: print one JSON object instead of text."),
    ("--outage", "doctor: how long the logs should keep what a destination does not take [30m]."),
];

/// The switches, which take no value, and what they do.
pub(super) const SWITCHES: [(&str, &str); 5] = [
    ("--check", "Check everything, connect to every destination, send nothing, and report."),
    ("--help", "Print this text."),
    ("-h", "Print this text."),
    ("--version", "Print the version."),
    ("-V", "Print the version."),
];

impl Arguments {
    /// Takes all arguments apart; what cannot be understood is in `problems`.
    pub(super) fn parse(arguments: &[String]) -> Self {
        let mut parsed = Self::default();
        let mut rest = arguments.iter().map(String::as_str).peekable();
        while let Some(argument) = rest.next() {
            let asks = parsed.action == Action::Explain && parsed.container.is_none();
            if argument == "--" {
                rest.by_ref().for_each(|uri| parsed.routes.push(uri.to_owned()));
            } else if argument.starts_with('-') {
                parsed.flag(argument, &mut rest);
            } else if asks && !argument.is_empty() {
                parsed.container = Some(argument.to_owned());
            } else if argument == "checkpoint" {
                parsed.checkpoint(rest.next_if(|next| !next.starts_with('-')));
            } else if argument == "completions" {
                parsed.completions(rest.next_if(|next| !next.starts_with('-')));
            } else {
                parsed.positional(argument);
            }
        }
        let alone = match parsed.action {
            Action::Healthcheck => Some("healthcheck"),
            Action::ShowCheckpoint => Some("checkpoint show"),
            Action::ResetCheckpoint => Some("checkpoint reset"),
            _ => None,
        };
        if let Some(command) = alone.filter(|_| !parsed.routes.is_empty()) {
            parsed.problem(format!("{command} takes no route URI; leave it out"));
        }
        parsed.check_flags();
        parsed
    }

    // Those that only some commands have. Whoever asks for help may write what they like.
    fn check_flags(&mut self) {
        if self.json && self.action < Action::Doctor {
            self.problem(
                "--json is a flag of doctor, explain and migrate; write downspout doctor --json"
                    .into(),
            );
        }
        if self.outage.is_some()
            && self.action < Action::Healthcheck
            && self.action != Action::Doctor
        {
            self.problem("--outage is a flag of doctor; write downspout doctor".into());
        }
        if self.action == Action::Explain && self.container.is_none() {
            self.problem("explain needs a container; write downspout explain NAME".into());
        }
    }

    fn positional(&mut self, text: &str) {
        match text {
            "doctor" => self.act(Action::Doctor),
            "explain" => self.act(Action::Explain),
            "migrate" => self.act(Action::Migrate),
            "healthcheck" => self.act(Action::Healthcheck),
            "reference" => self.act(Action::Reference),
            "man" => self.act(Action::Man),
            "" => {}
            uri if uri.contains(':') || driver(uri).is_some() => self.routes.push(uri.to_owned()),
            word => {
                let hint = closest(word, COMMANDS.into_iter().map(|(name, _)| first_words(name)))
                    .map_or_else(String::new, |name| format!("did you mean '{name}'? "));
                let word = word.escape_debug();
                self.problem(format!(
                    "unknown command '{word}'; {hint}A route looks like \
                     syslog+tcp://logs.example.com:514"
                ));
            }
        }
    }

    fn checkpoint(&mut self, what: Option<&str>) {
        match what {
            Some("show") => self.act(Action::ShowCheckpoint),
            Some("reset") => self.act(Action::ResetCheckpoint),
            Some(other) => {
                let other = other.escape_debug();
                self.problem(format!("unknown command 'checkpoint {other}'; write show or reset"));
            }
            None => self.problem("checkpoint needs a word more; write show or reset".into()),
        }
    }

    fn completions(&mut self, shell: Option<&str>) {
        if let Some(shell) = SHELLS.into_iter().find(|known| Some(*known) == shell) {
            return self.act(Action::Completions(shell));
        }
        let given = shell.map(|shell| format!(" {}", shell.escape_debug())).unwrap_or_default();
        self.problem(format!("completions{given}: write one of {}", SHELLS.join(", ")));
    }

    fn flag<'a>(
        &mut self,
        argument: &'a str,
        rest: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) {
        let (name, value) =
            argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
        if let Some(action) = switch(name) {
            match value {
                Some(_) => self.problem(format!("{name} takes no value; write {name}")),
                None => self.act(action),
            }
            return;
        }
        match (name, value) {
            ("--json", None) => return self.json = true,
            ("--outage", _) => return self.take_outage(value.or_else(|| rest.next())),
            _ => {}
        }
        let Some(setting) = setting(name) else {
            return self.unknown(name);
        };
        let value = match (value, setting.unit) {
            (Some(value), _) => Some(value),
            (None, ANY_VALUE) => Some("1"),
            (None, TRUE_OR_FALSE) => rest.next_if(|next| parse_flag(next).is_ok()).or(Some("true")),
            (None, _) => rest.next_if(|next| !next.starts_with("--")),
        };
        let Some(value) = value else {
            return self.problem(format!("{name} needs a value; write {name}={}", setting.unit));
        };
        if self.flags.insert(setting.name, value.to_owned()).is_some() {
            self.problem(format!("{name} is given twice; keep one of them"));
        }
    }

    fn take_outage(&mut self, value: Option<&str>) {
        match value.map(|value| (value, parse_duration(value))) {
            Some((_, Ok(outage))) => self.outage = Some(outage),
            Some((value, Err(why))) => {
                self.problem(format!("--outage={}: {why}", value.escape_debug()));
            }
            None => self.problem("--outage needs a value; write --outage=30m".into()),
        }
    }

    fn unknown(&mut self, name: &str) {
        let switches = SWITCHES.iter().filter_map(|(name, _)| name.strip_prefix("--"));
        let doctors = DOCTOR_FLAGS.iter().filter_map(|(name, _)| name.strip_prefix("--"));
        let switches = switches.chain(doctors);
        let names: Vec<String> =
            settings().map(|(flag, _)| flag).chain(switches.map(str::to_owned)).collect();
        let given = name.trim_start_matches('-');
        let hint = closest(given, names.iter().map(String::as_str)).map_or_else(
            || "downspout --help lists all".to_owned(),
            |name| format!("did you mean --{name}?"),
        );
        self.problem(format!("unknown flag {}; {hint}", name.escape_debug()));
    }

    // The later variants of `Action` win: who asks for help gets it whatever else is there.
    fn act(&mut self, action: Action) {
        self.action = self.action.max(action);
    }

    fn problem(&mut self, text: String) {
        self.problems.push(Problem::new(text));
    }
}

/// The name of a command without what stands for a word of the user's.
fn first_words(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_uppercase()).trim_end()
}

/// The settings that are flags, with the flag's name without dashes.
pub(super) fn settings() -> impl Iterator<Item = (String, &'static Setting)> {
    SETTINGS.iter().filter_map(|setting| Some((setting.flag()?, setting)))
}

fn setting(name: &str) -> Option<&'static Setting> {
    let given = name.strip_prefix("--")?;
    settings().find(|(flag, _)| flag == given).map(|(_, setting)| setting)
}

fn switch(name: &str) -> Option<Action> {
    match name {
        "--check" => Some(Action::Check),
        "--help" | "-h" => Some(Action::Help),
        "--version" | "-V" => Some(Action::Version),
        _ => None,
    }
}
