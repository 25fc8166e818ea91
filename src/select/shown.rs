//! Text of strangers in sentences of our own: short, and without what commands a terminal. Never
//! for what is shipped.

use std::fmt;

/// Characters of a value that are shown.
const MOST_CHARACTERS: usize = 80;

/// A name or a value from a container, as it may stand in a message.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(MOST_CHARACTERS) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if characters.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_value_is_cut_and_disarmed() {
        assert_eq!(Shown("wéb\u{1b}[2J\n").to_string(), r"wéb\u{1b}[2J\n");
        assert_eq!(Shown(&"é".repeat(80)).to_string(), "é".repeat(80));
        assert_eq!(Shown(&"é".repeat(81)).to_string(), "é".repeat(80) + "…");
    }
}
