//! What is wrong with a template's text, where, and the cure. Never about data: that is
//! `RenderError`.

use std::fmt;

use crate::options;

/// A template that cannot be used. Shown as `at character 3: WHAT; CURE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The character of the text at which it shows, counted from 1.
    pub position: usize,
    what: String,
    cure: String,
}

impl Fault {
    // Made with an offset in bytes, which `Template::parse` turns into characters.
    pub(super) fn at(byte: usize, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { position: byte, what: what.into(), cure: cure.into() }
    }

    pub(super) fn in_characters_of(self, text: &str) -> Self {
        Self { position: character(text, self.position), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}; {}", self.position, self.what, self.cure)
    }
}

impl std::error::Error for Fault {}

/// The character, from 1, at a byte of a text.
pub(super) fn character(text: &str, byte: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < byte).count() + 1
}

/// "did you mean 'x'?" for the closest name, or all names.
pub(super) fn hint<'n>(given: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    let close = names
        .clone()
        .map(|name| (distance(given, name), name))
        .filter(|(distance, name)| *distance <= name.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance);
    match close {
        Some((_, name)) => format!("did you mean '{name}'?"),
        None => format!("known here: {}", names.collect::<Vec<_>>().join(", ")),
    }
}

// Without regard to case. The beginning of what was given is enough.
fn distance(given: &str, name: &str) -> usize {
    const LOOK: usize = 64;
    let lower = |c: char| c.to_ascii_lowercase();
    options::distance(given.chars().take(LOOK).map(lower), name.chars().map(lower))
}
