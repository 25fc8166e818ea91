//! How lines become records of several lines: by a pattern as Docker's awslogs driver has it
//! (`awslogs-multiline-pattern`), by one of logspout's four ways, or by what the stack traces of a
//! language look like. Never takes a line itself; `records` does.

mod joining;
mod pattern;
mod preset;
mod records;

use std::sync::Arc;
use std::time::Duration;

use preset::State;

pub use joining::Joining;
pub use pattern::Pattern;
pub use preset::Preset;
pub(super) use records::{Behind, Records};

/// The most lines of a record where nothing else is said. A stack overflow's trace has 1,024 frames
/// in Java; what lies behind the first hundreds repeats.
pub const DEFAULT_LINES: usize = 500;

/// Which lines belong together.
#[derive(Debug, Clone)]
pub enum Form {
    /// A line that matches begins a record; all others go on with the one before them.
    First(Pattern),
    /// A line that matches goes on with the record before it; all others begin one.
    NonFirst(Pattern),
    /// A line that matches ends its record.
    Last(Pattern),
    /// A line that matches is followed by more of its record; the first that does not ends it.
    NonLast(Pattern),
    /// The stack traces of a language; lines that are no part of one stay by themselves.
    Preset(Preset),
}

impl From<Pattern> for Form {
    fn from(first_line: Pattern) -> Self {
        Self::First(first_line)
    }
}

/// How lines become records.
#[derive(Debug, Clone)]
pub struct Multiline(Arc<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    form: Form,
    separator: Box<[u8]>,
    most_lines: usize,
    flush: Duration,
    /// The same in the unit of stamps.
    flush_nanos: i64,
}

impl Multiline {
    /// A record to which no line came for `flush` is complete, whatever its form.
    pub fn new(form: impl Into<Form>, flush: Duration) -> Self {
        let rule = Rule {
            form: form.into(),
            separator: Box::new(*b"\n"),
            most_lines: DEFAULT_LINES,
            flush: Duration::ZERO,
            flush_nanos: 0,
        };
        Self(Arc::new(rule)).flushing_after(flush)
    }

    /// The same limits for lines that belong together in another way.
    #[must_use]
    pub fn of_form(&self, form: impl Into<Form>) -> Self {
        self.with(|rule| rule.form = form.into())
    }

    /// What stands between the lines of a record; a line feed where nothing else is said.
    #[must_use]
    pub fn separated_by(&self, separator: &[u8]) -> Self {
        self.with(|rule| rule.separator = separator.into())
    }

    /// A record takes so many lines at most, of 1 or more; what comes then begins another.
    #[must_use]
    pub fn of_lines(&self, most: usize) -> Self {
        self.with(|rule| rule.most_lines = most.max(1))
    }

    /// A record to which no line came for `flush` is complete.
    #[must_use]
    pub fn flushing_after(&self, flush: Duration) -> Self {
        self.with(|rule| {
            rule.flush = flush;
            rule.flush_nanos = i64::try_from(flush.as_nanos()).unwrap_or(i64::MAX);
        })
    }

    fn with(&self, change: impl FnOnce(&mut Rule)) -> Self {
        let mut rule = Rule::clone(&self.0);
        change(&mut rule);
        Self(Arc::new(rule))
    }
}

/// What becomes of a line, and of the record that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// It goes on with the open record; else it begins one.
    joins: bool,
    /// What the record is then; `None` if it is complete.
    open: Option<State>,
}

impl Form {
    // `open` is what the record before it is, and its text, if one is open that may go on.
    fn step(&self, open: Option<(State, &[u8])>, line: &[u8]) -> Step {
        let is_open = open.is_some();
        let held = Some(State::Plain);
        match self {
            Self::First(pattern) => Step { joins: is_open && !pattern.matches(line), open: held },
            Self::NonFirst(pattern) => Step { joins: is_open && pattern.matches(line), open: held },
            Self::Last(pattern) => {
                let ends = pattern.matches(line);
                Step { joins: is_open, open: held.filter(|_| !ends) }
            }
            Self::NonLast(pattern) => {
                let ends = !pattern.matches(line);
                Step { joins: is_open, open: held.filter(|_| !ends) }
            }
            Self::Preset(preset) => preset.step(open, line),
        }
    }
}
