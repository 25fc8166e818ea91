//! Text of strangers, such as names and labels, as a terminal prints it and does not obey it. Never
//! for what is shipped.

use std::fmt::Write;

use serde_json::Value;

/// The same text without control characters and without what is invisible: each is written as Rust
/// does it, such as `\u{1b}`.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' | '\\' => clean.push(character),
            other => write!(clean, "{}", other.escape_debug()).unwrap_or_default(),
        }
    }
    clean
}

/// JSON over several lines, and a line feed. What terminals obey and JSON lets pass is escaped.
pub(crate) fn json(object: &Value) -> String {
    let mut text = String::new();
    // There are none outside of strings.
    for character in format!("{object:#}\n").chars() {
        match u32::from(character) {
            code @ 0x7F..=0x9F => write!(text, "\\u{code:04x}").unwrap_or_default(),
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\n\r\u{9b}b\"'\\\u{202e}\u{7f}é";

    #[test]
    fn a_hostile_text_is_printed_and_not_obeyed() {
        let text = clean(HOSTILE);
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.starts_with(r"a\u{1b}[2J\n\r\u{9b}b") && text.ends_with('é'), "{text}");
        assert!(text.contains(r#""'\"#), "what harms nobody stays as it is: {text}");
    }

    #[test]
    fn hostile_json_says_the_same_and_commands_nobody() {
        let printed = json(&json!({ "name": HOSTILE }));
        assert!(!printed.contains(|c: char| c != '\n' && c.is_control()), "{printed:?}");
        let read: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(read["name"], HOSTILE);
    }
}
