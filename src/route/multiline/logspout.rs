//! logspout's variables for lines that belong together, as its adapter `multiline` reads them. Never
//! reads the environment.

use std::time::Duration;

use super::{Match, separator};
use crate::assemble::{Multiline, Pattern};
use crate::options::Problem;

/// logspout's default of `MULTILINE_PATTERN`: indented lines go on with the record.
const DEFAULT_PATTERN: &str = r"^\s";
/// logspout's default of `MULTILINE_FLUSH_AFTER`, in milliseconds.
const DEFAULT_FLUSH: &str = "500";
/// As much as `multiline_flush` takes, in milliseconds.
const MAX_FLUSH_MILLIS: u64 = 3_600_000;

/// The texts of logspout's variables; `None` and an empty one alike mean its default.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogspoutTexts<'a> {
    /// `MULTILINE_ENABLE_DEFAULT`
    pub enable_default: Option<&'a str>,
    /// `MULTILINE_PATTERN`
    pub pattern: Option<&'a str>,
    /// `MULTILINE_MATCH`
    pub matching: Option<&'a str>,
    /// `MULTILINE_FLUSH_AFTER`
    pub flush_after: Option<&'a str>,
    /// `MULTILINE_SEPARATOR`
    pub separator: Option<&'a str>,
}

/// What logspout's variables say of a route whose scheme begins with `multiline+`.
#[derive(Debug, Clone)]
pub struct LogspoutMultiline {
    pub(super) enable_default: bool,
    pub(super) multiline: Multiline,
}

impl LogspoutMultiline {
    /// As if none of the variables were set.
    ///
    /// # Panics
    /// Never: a test holds that logspout's defaults can be read.
    pub fn unset() -> Self {
        #[expect(clippy::expect_used, reason = "the defaults can be read")]
        Self::new(&LogspoutTexts::default()).expect("logspout's own defaults are sound")
    }

    /// Reads the variables. All problems are reported, each with its variable, its value and the
    /// cure.
    pub fn new(texts: &LogspoutTexts<'_>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut take = Taking { problems: &mut problems };
        let default = take.or(texts.enable_default, "MULTILINE_ENABLE_DEFAULT", "true", go_bool);
        let pattern = take.or(texts.pattern, "MULTILINE_PATTERN", DEFAULT_PATTERN, Pattern::parse);
        let matching = take.or(texts.matching, "MULTILINE_MATCH", "nonfirst", any_case);
        let flush = take.or(texts.flush_after, "MULTILINE_FLUSH_AFTER", DEFAULT_FLUSH, millis);
        let between = take.or(texts.separator, "MULTILINE_SEPARATOR", "\n", separator);
        match (default, pattern, matching, flush, between) {
            (Some(enable_default), Some(pattern), Some(matching), Some(flush), Some(between)) => {
                let multiline = Multiline::new(matching.of(pattern), flush);
                let multiline = multiline.separated_by(between.as_bytes());
                Ok(Self { enable_default, multiline })
            }
            _ => Err(problems),
        }
    }
}

struct Taking<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Taking<'_> {
    fn or<T>(
        &mut self,
        text: Option<&str>,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text.filter(|text| !text.is_empty()).unwrap_or(default);
        let note = |why| self.problems.push(Problem::new(format!("{name}={text}: {why}")));
        parse(text).map_err(note).ok()
    }
}

// What Go's `strconv.ParseBool` takes.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

fn any_case(text: &str) -> Result<Match, String> {
    Match::parse(&text.to_ascii_lowercase())
}

fn millis(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok().filter(|millis| (1..=MAX_FLUSH_MILLIS).contains(millis));
    number.map(Duration::from_millis).ok_or_else(|| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = if digits == text { "" } else { " without a unit" };
        format!("expected milliseconds as a number{unit}, from 1 to {MAX_FLUSH_MILLIS}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(texts: &LogspoutTexts<'_>) -> String {
        format!("{:?}", LogspoutMultiline::new(texts).unwrap())
    }

    #[test]
    fn without_any_variable_logspouts_defaults_hold() {
        let multiline = shown(&LogspoutTexts::default());
        for part in ["enable_default: true", r#"NonFirst(Pattern(Regex("^\\s")))"#, "500ms", "[10]"]
        {
            assert!(multiline.contains(part), "{part}: {multiline}");
        }
        let some = Some("");
        let empty = LogspoutTexts {
            enable_default: some,
            pattern: some,
            matching: some,
            flush_after: some,
            separator: some,
        };
        assert_eq!(shown(&empty), multiline);
    }

    #[test]
    fn every_variable_is_read_as_logspout_reads_it() {
        let multiline = shown(&LogspoutTexts {
            enable_default: Some("F"),
            pattern: Some("!$"),
            matching: Some("LaSt"),
            flush_after: Some("1500"),
            separator: Some(r"\n"),
        });
        // The separator stays two characters.
        for part in ["enable_default: false", r#"Last(Pattern(Regex("!$")))"#, "1.5s", "[92, 110]"]
        {
            assert!(multiline.contains(part), "{part}: {multiline}");
        }
    }

    #[test]
    fn all_problems_are_named_by_their_variables() {
        let long = "-".repeat(65);
        let texts = LogspoutTexts {
            enable_default: Some("yes"),
            pattern: Some("a(b["),
            matching: Some("middle"),
            flush_after: Some("500ms"),
            separator: Some(&long),
        };
        let problems = LogspoutMultiline::new(&texts).unwrap_err();
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        for (problem, wanted) in problems.iter().zip([
            "MULTILINE_ENABLE_DEFAULT=yes: expected true or false",
            "MULTILINE_PATTERN=a(b[: not a regular expression, at character 4: ",
            "MULTILINE_MATCH=middle: expected first, nonfirst, last or nonlast",
            "MULTILINE_FLUSH_AFTER=500ms: expected milliseconds as a number without a unit, from",
            &format!("MULTILINE_SEPARATOR={long}: it has 65 bytes; expected 64 at most"),
        ]) {
            assert!(problem.starts_with(wanted), "{problem}");
        }
        assert_eq!(problems.len(), 5);
        for flush_after in ["0", "-1", "3600001", "ms", "1.5"] {
            let texts =
                LogspoutTexts { flush_after: Some(flush_after), ..LogspoutTexts::default() };
            assert!(LogspoutMultiline::new(&texts).is_err(), "{flush_after}");
        }
    }
}
