//! The regular expression that the first line of a record matches: compiled once at the start,
//! bounded in what it costs. Never sees more than the beginning of a line.

use std::borrow::Cow;
use std::sync::Arc;

use regex_lite::{Error, Regex, RegexBuilder};

/// Longest pattern in bytes.
const MOST_PATTERN_BYTES: usize = 1024;
/// What a compiled pattern may take, in bytes: some hundreds of characters and classes, however
/// they are repeated. A search costs steps in proportion to it, for each byte of a line.
const MOST_COMPILED_BYTES: usize = 64 * 1024;
/// So much of a line is looked at, in bytes: as much as of a long line in Docker's awslogs driver,
/// which matches each piece of it by itself.
const LOOK_BYTES: usize = 16 * 1024;

/// What the first line of a record looks like.
#[derive(Debug, Clone)]
pub struct Pattern(Arc<Regex>);

impl Pattern {
    /// Compiles a regular expression. The error says what is wrong, and at which character.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the pattern is empty, and would match every line".into());
        }
        if text.len() > MOST_PATTERN_BYTES {
            let bytes = text.len();
            return Err(format!(
                "the pattern has {bytes} bytes, {MOST_PATTERN_BYTES} at most; write a shorter one"
            ));
        }
        if let Some(fault) = fault(text) {
            let at = position(text, &fault);
            return Err(format!("not a regular expression, at character {at}: {fault}"));
        }
        let compiled = RegexBuilder::new(text).size_limit(MOST_COMPILED_BYTES).build();
        compiled.map(|regex| Self(Arc::new(regex))).map_err(|_| {
            let most = MOST_COMPILED_BYTES / 1024;
            format!("the pattern takes more than {most} KiB when compiled; repeat less in it")
        })
    }

    /// Whether a line begins a record. What is no UTF-8 counts as U+FFFD.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        self.0.is_match(&beginning(line))
    }
}

// What is wrong with a pattern as a text. Whatever can be read is refused for its size here.
fn fault(text: &str) -> Option<Error> {
    let refusal = |text| RegexBuilder::new(text).size_limit(0).build().err();
    refusal(text).filter(|error| refusal("a").is_none_or(|too_large| *error != too_large))
}

// As much of a line as is looked at, without a character that is cut there.
fn beginning(line: &[u8]) -> Cow<'_, str> {
    let start = line.get(..LOOK_BYTES).unwrap_or(line);
    match std::str::from_utf8(start) {
        Ok(text) => text.into(),
        Err(error) if error.error_len().is_none() && start.len() < line.len() => {
            String::from_utf8_lossy(start.get(..error.valid_up_to()).unwrap_or_default())
        }
        Err(_) => String::from_utf8_lossy(start),
    }
}

// The character, from 1, at which reading fails: the compiler does not tell. Up to some character
// the pattern can be read, and behind that the same fault shows first where it is.
fn position(text: &str, found: &Error) -> usize {
    let ends = || text.char_indices().map(|(at, character)| at + character.len_utf8());
    let fault = |end| fault(text.get(..end).unwrap_or_default());
    let good = ends().enumerate().filter(|(_, end)| fault(*end).is_none()).last();
    let good = good.map_or(0, |(at, _)| at + 1);
    ends()
        .skip(good)
        .position(|end| fault(end).as_ref() == Some(found))
        .map_or(1, |at| good + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_matches_anywhere_begins_a_record() {
        let stamp = Pattern::parse(r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}").unwrap();
        assert!(stamp.matches(b"2026-11-22 22:40:06 up"));
        assert!(!stamp.matches(b"  at 2026-11-22 22:40"));
        assert!(Pattern::parse("INFO|WARN").unwrap().matches(b"x WARN y"));
    }

    #[test]
    fn what_is_no_text_is_matched_as_far_as_it_is() {
        let pattern = Pattern::parse("^.?error").unwrap();
        assert!(pattern.matches(b"error \xff\xfe"));
        assert!(pattern.matches(b"\xfferror"));
        assert!(!pattern.matches(b""));
    }

    #[test]
    fn of_a_long_line_only_its_beginning_is_looked_at() {
        let mut line = "é".repeat(LOOK_BYTES / 2).into_bytes();
        line.insert(0, b'x');
        line.extend_from_slice(b"end");
        assert!(!Pattern::parse("end").unwrap().matches(&line));
        assert!(!Pattern::parse("\u{fffd}").unwrap().matches(&line), "a character is cut there");
        assert!(Pattern::parse("^xé").unwrap().matches(&line));
    }

    #[test]
    fn a_bad_pattern_is_named_with_the_place_of_its_fault() {
        for (pattern, at) in [
            ("*", 1),
            ("(ab)*)c", 6),
            ("^a(b", 3),
            ("(foo|ba[)", 9),
            ("(a|[z-a])", 7),
            ("ü{2,1}", 6),
            (r"a\p{Lu}", 3),
            (r"a(?=b)", 4),
        ] {
            let said = Pattern::parse(pattern).unwrap_err();
            let wanted = format!("not a regular expression, at character {at}: ");
            assert!(said.starts_with(&wanted), "{pattern}: {said}");
        }
    }

    #[test]
    fn absurd_patterns_are_refused() {
        assert!(Pattern::parse("").unwrap_err().contains("empty"));
        let long = "a".repeat(MOST_PATTERN_BYTES);
        assert!(Pattern::parse(&long).is_ok());
        assert!(Pattern::parse(&(long + "a")).unwrap_err().contains("1024 at most"));
        for absurd in ["(a{100}){100}", "((a?){50}){50}", r"(\w{1,1000})"] {
            let said = Pattern::parse(absurd).unwrap_err();
            assert!(said.contains("more than 64 KiB"), "{absurd}: {said}");
        }
    }
}
