//! What is decided of a container and a route, and why. Plain data: says it in a sentence, and
//! never decides anything.

use std::fmt;

use super::shown::Shown;
use crate::record::Stream;

/// Whether a route ships a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does, of these streams.
    Ship(Streams),
    /// It does not.
    Skip(Reason),
    /// That cannot be said before the container was inspected.
    Unknown,
}

/// The streams of a container that a route ships; one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

impl Streams {
    /// Standard output and standard error.
    pub const BOTH: Self = Self { stdout: true, stderr: true };

    /// Whether lines of this stream are shipped.
    pub fn has(self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self::BOTH
    }
}

impl fmt::Display for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.stdout, self.stderr) {
            (true, true) => "stdout,stderr",
            (true, false) => "stdout",
            (false, true) => "stderr",
            (false, false) => "neither",
        })
    }
}

/// Why a route does not ship a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It has a label that keeps it out.
    Excluded {
        /// The setting that names the label; the label itself where that needs no setting.
        by: &'static str,
        /// The label.
        label: String,
        /// Its value.
        value: String,
    },
    /// Its environment has `LOGSPOUT=ignore`, in upper or lower case.
    Ignored,
    /// It does not want to be shipped.
    Disabled,
    /// It wants to be shipped by other routes only.
    OtherRoutes {
        /// Those that it names.
        named: Vec<String>,
        /// What this one is called; empty if it has no name.
        route: String,
    },
    /// The route ships what asks for it, and this does not.
    NotAsked {
        /// What the route is called; empty if it has no name.
        route: String,
    },
    /// The value of an option does not match the container's.
    Unmatched {
        /// The option.
        option: &'static str,
        /// Its value, or the item of it that decides.
        pattern: String,
        /// What it is compared with, such as `name`.
        what: String,
        /// The container's own values of that; none if it has nothing of the kind.
        values: Vec<String>,
    },
    /// A negated item of an option matches the container.
    Negated {
        /// The option.
        option: &'static str,
        /// The item.
        item: String,
        /// What it is compared with, such as `name`.
        what: String,
        /// The container's own values of that.
        values: Vec<String>,
    },
    /// It has a terminal.
    Terminal,
    /// Its log driver ships already.
    ShipsAlready {
        /// The log driver.
        driver: String,
    },
}

impl Reason {
    /// Whether no route ships such a container, whatever its own options say.
    pub fn is_of_all_routes(&self) -> bool {
        match self {
            Self::Excluded { .. }
            | Self::Ignored
            | Self::Disabled
            | Self::Terminal
            | Self::ShipsAlready { .. } => true,
            Self::OtherRoutes { .. }
            | Self::NotAsked { .. }
            | Self::Unmatched { .. }
            | Self::Negated { .. } => false,
        }
    }

    /// The option, variable or label that decided.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Excluded { by, .. } => by,
            Self::Ignored => "LOGSPOUT",
            Self::Disabled => "downspout.enable",
            Self::OtherRoutes { .. } => "downspout.routes",
            Self::NotAsked { .. } => "opt_in",
            Self::Unmatched { option, .. } | Self::Negated { option, .. } => option,
            Self::Terminal => "ALLOW_TTY",
            Self::ShipsAlready { .. } => "DOWNSPOUT_SHIPPED_DRIVERS",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded { by, label, value } => {
                write!(f, "it has the label {}={}", Shown(label), Shown(value))?;
                if label == by {
                    return f.write_str("; remove the label to ship it");
                }
                write!(f, ", which {by} excludes; remove the label, or take it out of {by}")
            }
            Self::Ignored => f.write_str(
                "its environment has LOGSPOUT=ignore; start it without the variable to ship it",
            ),
            Self::Disabled => f.write_str(
                "it has the label downspout.enable=false; remove the label to ship it, or take \
                 'enable' out of DOWNSPOUT_LABELS",
            ),
            Self::OtherRoutes { named, route } => {
                let named = named.join(",");
                write!(f, "its label downspout.routes={} does not name ", Shown(&named))?;
                match route.as_str() {
                    "" => f.write_str(
                        "this route, which has no name; give the route one by name=, and add it \
                         to the label",
                    ),
                    _ => write!(f, "the route {route}; add {route} to the label"),
                }
            }
            Self::NotAsked { route } => {
                f.write_str("opt_in=true, and it does not ask to be shipped; ")?;
                f.write_str("set its label downspout.enable=true")?;
                if route.is_empty() { Ok(()) } else { write!(f, " or downspout.routes={route}") }
            }
            Self::Unmatched { option, pattern, what, values } => {
                write!(f, "{option}={} does not match", Shown(pattern))?;
                if values.is_empty() {
                    return write!(f, ": it has no {}", Shown(what));
                }
                write_values(f, what, values)
            }
            Self::Negated { option, item, what, values } => {
                write!(f, "{} in {option} excludes", Shown(item))?;
                write_values(f, what, values)
            }
            Self::Terminal => f.write_str(
                "it has a terminal, and ALLOW_TTY=false or DOWNSPOUT_TTY=skip leaves those out; \
                 without that it is shipped, each line as standard output",
            ),
            Self::ShipsAlready { driver } => write!(
                f,
                "its log driver {} ships already; DOWNSPOUT_SHIPPED_DRIVERS=follow to follow it",
                Shown(driver)
            ),
        }
    }
}

// " the name db", or of several " the project one or two".
fn write_values(f: &mut fmt::Formatter<'_>, what: &str, values: &[String]) -> fmt::Result {
    write!(f, " the {what}")?;
    values.iter().enumerate().try_for_each(|(at, value)| {
        let or = if at == 0 { "" } else { " or" };
        let value = if value.is_empty() { "''" } else { value.as_str() };
        write!(f, "{or} {}", Shown(value))
    })
}

/// One check of a container against a route, for people who ask why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The option, variable or label that is checked.
    pub setting: &'static str,
    /// Its value; `None` if it is not set.
    pub value: Option<String>,
    /// Who sets it.
    pub origin: Origin,
    /// What came of it.
    pub outcome: Outcome,
}

/// Who sets what a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The route, by an option.
    Route,
    /// The operator, for all routes.
    Operator,
    /// The container, by a label or a variable.
    Container,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Route => "the route",
            Self::Operator => "all routes",
            Self::Container => "the container",
        })
    }
}

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has nothing against the container.
    Passed,
    /// It keeps the container out.
    Failed(Reason),
    /// It needs what only an inspection tells.
    Unknown,
}
