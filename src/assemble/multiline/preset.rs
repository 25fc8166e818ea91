//! Stack traces by the language that printed them: which line belongs to the one before it, without
//! a pattern. One small state machine per language; every line is looked at once, in linear time.
//! Never joins two lines that are no part of a trace.
//!
//! A trace is joined to the line above it if that one tells of trouble (`words`) and the trace does
//! not say by itself what it is: `ERROR no order 17` above `java.lang.IllegalStateException: x`.
//! With `auto`, lines indented by a tab or two blanks belong to a line that tells of trouble and is
//! not indented itself, too. A line is searched for such words only when a trace comes or nothing
//! does: most never are. One that has none is then complete, and waits no longer.

mod go;
mod looks;
mod node;
mod php;
mod python;
mod ruby;
mod stack;
mod words;

use super::Step;
use stack::Heads;

/// Whose stack traces come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Java, and all that runs on its machine.
    Java,
    /// Python, with groups and chains of exceptions.
    Python,
    /// Go's panics and fatal errors, with all goroutines.
    Go,
    /// Node.js.
    Node,
    /// .NET, and what its console logger puts below a line.
    Dotnet,
    /// Ruby, and Rails.
    Ruby,
    /// PHP.
    Php,
    /// All of them, and whatever is indented below a line that tells of trouble.
    Auto,
}

/// What the open record of a stream is so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Of a rule that asks for nothing but the line.
    #[default]
    Plain,
    /// One line that begins no trace, and may be what a trace is joined to.
    Line,
    /// A line that tells of trouble, and lines indented below it.
    Indented,
    /// A trace of Java or .NET.
    Stack,
    Python(python::Part),
    Go(go::Part),
    Node(node::Part),
    Ruby(ruby::Part),
    Php(php::Part),
}

/// A line with which a trace begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// It says what has happened, and needs no line above it.
    Headed(State),
    /// It belongs to the line above it if that tells of trouble.
    Headless(State),
}

/// What a line is to the trace above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// No part of it.
    Apart,
    /// A part; more may come.
    Joins(State),
    /// Its end.
    Ends,
}

impl Preset {
    /// All of them, by the names that people write.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("java", Self::Java),
        ("python", Self::Python),
        ("go", Self::Go),
        ("node", Self::Node),
        ("dotnet", Self::Dotnet),
        ("ruby", Self::Ruby),
        ("php", Self::Php),
        ("auto", Self::Auto),
    ];

    /// The one of this name, in small letters.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, preset)| *preset)
    }

    // `open` is what the record above the line is, and its text.
    pub(super) fn step(self, open: Option<(State, &[u8])>, line: &[u8]) -> Step {
        let (next, begins) = match open {
            // Most lines come here, and are looked at only once.
            Some((State::Line, above)) => {
                let begins = self.begins(line);
                (self.below_a_line(above, line, begins), begins)
            }
            Some((state, _)) => match state.next(line) {
                Next::Apart => (Next::Apart, self.begins(line)),
                next => (next, None),
            },
            None => (Next::Apart, self.begins(line)),
        };
        let state = match begins {
            Some(Begins::Headed(state) | Begins::Headless(state)) => state,
            None => State::Line,
        };
        match next {
            Next::Joins(state) => Step { joins: true, open: Some(state) },
            Next::Ends => Step { joins: true, open: None },
            Next::Apart => Step { joins: false, open: Some(state) },
        }
    }

    fn below_a_line(self, above: &[u8], line: &[u8], begins: Option<Begins>) -> Next {
        let next = match begins {
            Some(Begins::Headless(state)) => Next::Joins(state),
            // Below what is indented itself it may be the next of a list.
            None if self == Self::Auto && !looks::is_indented(above) => indented(line),
            _ => Next::Apart,
        };
        if next == Next::Apart || words::tell_of_trouble(above) { next } else { Next::Apart }
    }

    // Inlined, and sorted by the first byte: most lines begin with a digit.
    #[inline]
    fn begins(self, line: &[u8]) -> Option<Begins> {
        if line.first().is_none_or(u8::is_ascii_digit) {
            return None;
        }
        match self {
            Self::Java => stack::begins(Heads::Java, line),
            Self::Python => python::begins(line),
            Self::Go => go::begins(line),
            Self::Node => node::begins(line),
            Self::Dotnet => stack::begins(Heads::Dotnet, line),
            Self::Ruby => ruby::begins(line),
            Self::Php => php::begins(line),
            // Node before the others with frames: its traces end with more than theirs.
            Self::Auto => python::begins(line)
                .or_else(|| go::begins(line))
                .or_else(|| php::begins(line))
                .or_else(|| node::begins(line))
                .or_else(|| ruby::begins(line))
                .or_else(|| stack::begins(Heads::Both, line)),
        }
    }
}

impl State {
    fn next(self, line: &[u8]) -> Next {
        match self {
            Self::Plain | Self::Line => Next::Apart,
            Self::Indented => match indented(line) {
                Next::Apart => stack::next(line),
                next => next,
            },
            Self::Stack => stack::next(line),
            Self::Python(part) => python::next(part, line),
            Self::Go(part) => go::next(part, line),
            Self::Node(part) => node::next(part, line),
            Self::Ruby(part) => ruby::next(part, line),
            Self::Php(part) => php::next(part, line),
        }
    }

    /// Whether more may come; `text` is all of the record. Asked when nothing did.
    pub(super) fn may_go_on(self, text: &[u8]) -> bool {
        self != Self::Line || words::tell_of_trouble(text)
    }
}

fn indented(line: &[u8]) -> Next {
    if looks::is_indented(line) { Next::Joins(State::Indented) } else { Next::Apart }
}

#[cfg(test)]
mod tests;
