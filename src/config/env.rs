//! What the process was started with: variables, arguments, terminals. The only place that asks
//! the operating system for them.

use std::collections::BTreeMap;
use std::io::IsTerminal;

/// Environment variables and terminals, so that tests bring their own.
pub trait Env {
    /// A variable's value, whatever it is; bytes that are not UTF-8 are replaced.
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all variables.
    fn names(&self) -> Vec<String>;

    /// Which standard streams are terminals.
    fn terminals(&self) -> Terminals {
        Terminals::default()
    }
}

/// Which standard streams are terminals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminals {
    /// Standard output, where `stdout://` writes.
    pub stdout: bool,
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl ProcessEnv {
    /// The arguments behind the program's name; bytes that are not UTF-8 are replaced.
    pub fn arguments(&self) -> Vec<String> {
        std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one reader of the environment")]
impl Env for ProcessEnv {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|text| text.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }

    fn terminals(&self) -> Terminals {
        Terminals { stdout: std::io::stdout().is_terminal() }
    }
}

/// Variables from a map, and no terminal.
impl Env for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}
