//! The options that join lines to records of several lines. Never joins anything.

mod logspout;

use std::time::Duration;

use crate::assemble::{DEFAULT_LINES, Form, Joining, Multiline, Pattern, Preset};
use crate::options::{OptionSpec, Options, parse_duration};

pub use logspout::{LogspoutMultiline, LogspoutTexts};

pub(super) const MULTILINE: OptionSpec = OptionSpec {
    name: "multiline",
    default: "off",
    unit: "off|java|python|go|node|dotnet|ruby|php|auto|pattern",
    help: "Joins lines to records of several lines, stream by stream: the stack traces of a language \
           or of all of them, whose other lines stay by themselves, or what multiline_pattern says. \
           A container may ask for something else by its label, also where this is off.",
};
pub(super) const PATTERN: OptionSpec = OptionSpec {
    name: "multiline_pattern",
    default: "",
    unit: "pattern",
    help: "A regular expression that the first line of a record matches, or other lines of it as \
           multiline_match says. Lines are joined to the record before them, stream by stream, with \
           multiline_separator.",
};
pub(super) const MATCH: OptionSpec = OptionSpec {
    name: "multiline_match",
    default: "first",
    unit: "first|nonfirst|last|nonlast",
    help: "Which lines match multiline_pattern: the first of a record; all but the first; the last, \
           with which it is complete; or all but the last.",
};
pub(super) const FLUSH: OptionSpec = OptionSpec {
    name: "multiline_flush",
    default: "1s",
    unit: "duration",
    help: "Where lines are joined: a record is complete when no further line of its stream came for \
           so long; from 10ms to 1h.",
};
pub(super) const SEPARATOR: OptionSpec = OptionSpec {
    name: "multiline_separator",
    default: "%0A",
    unit: "text",
    help: "What stands between the lines of a record, a line feed by default; 64 bytes at most, and \
           none is right, too.",
};
pub(super) const LINES: OptionSpec = OptionSpec {
    name: "multiline_lines",
    default: "500",
    unit: "lines",
    help: "Lines that a record takes at most, from 1 to 100000; what comes then begins another. It \
           takes no more bytes than a line may have, either.",
};
/// Only where Docker's driver of the same kind is replaced.
pub(super) const AWSLOGS_PATTERN: OptionSpec = OptionSpec {
    name: "awslogs-multiline-pattern",
    default: "",
    unit: "pattern",
    help: "Docker's name of multiline_pattern.",
};
const DEFAULT_FLUSH: Duration = Duration::from_secs(1);
const MIN_FLUSH: Duration = Duration::from_millis(10);
const MAX_FLUSH: Duration = Duration::from_hours(1);
const MAX_SEPARATOR_BYTES: usize = 64;
const MAX_LINES: usize = 100_000;

/// What `multiline=` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Off,
    Pattern,
    Preset(Preset),
}

/// Which lines of a record match its pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    First,
    NonFirst,
    Last,
    NonLast,
}

impl Match {
    const NAMES: [(&'static str, Self); 4] = [
        ("first", Self::First),
        ("nonfirst", Self::NonFirst),
        ("last", Self::Last),
        ("nonlast", Self::NonLast),
    ];

    fn parse(text: &str) -> Result<Self, String> {
        let named = Self::NAMES.iter().find(|(name, _)| *name == text);
        named
            .map(|(_, matching)| *matching)
            .ok_or_else(|| "expected first, nonfirst, last or nonlast".into())
    }

    fn of(self, pattern: Pattern) -> Form {
        match self {
            Self::First => Form::First(pattern),
            Self::NonFirst => Form::NonFirst(pattern),
            Self::Last => Form::Last(pattern),
            Self::NonLast => Form::NonLast(pattern),
        }
    }
}

/// How a route joins lines. `aliased`: Docker's name of the pattern counts as well. `logspout`: what
/// its variables say, for a route that says nothing of its own.
pub(super) fn take(
    options: &mut Options,
    aliased: bool,
    logspout: Option<&LogspoutMultiline>,
) -> Joining {
    refuse_contradictions(options, aliased, logspout.is_some());
    let kind = options.parsed(&MULTILINE, parse_kind);
    let matching = options.parsed(&MATCH, Match::parse).unwrap_or(Match::First);
    let form = match (kind, take_pattern(options, aliased)) {
        (Some(Kind::Preset(preset)), _) => Some(Form::Preset(preset)),
        (_, pattern) => pattern.map(|pattern| matching.of(pattern)),
    };
    let base = match (logspout, &form) {
        (Some(logspout), None) => logspout.multiline.clone(),
        _ => Multiline::new(Form::Preset(Preset::Auto), DEFAULT_FLUSH),
    };
    let base = take_limits(options, base);
    let is_on = kind.is_none() && logspout.is_some_and(|logspout| logspout.enable_default);
    match form {
        Some(form) => Joining::always(base.of_form(form)),
        None if is_on => Joining::always(base),
        None => Joining::on_request(base),
    }
}

// Once per route, before anything is taken.
fn refuse_contradictions(options: &mut Options, aliased: bool, has_logspout: bool) {
    let alias = aliased.then_some(&AWSLOGS_PATTERN);
    let patterns = [Some(&PATTERN), alias].into_iter().flatten();
    let pattern = patterns.filter(|spec| options.is_given(spec)).map(|spec| spec.name).next();
    let copy = options.untaken().parsed(&MULTILINE, parse_kind);
    match (copy, pattern) {
        (Some(Kind::Off), Some(pattern)) => options.problem(format!(
            "option 'multiline=off' and '{pattern}' contradict each other; keep one of them"
        )),
        (Some(Kind::Preset(_)), Some(pattern)) => options.problem(format!(
            "option 'multiline' names a preset, which needs no '{pattern}'; keep one of them"
        )),
        (Some(Kind::Pattern), None) => {
            options.problem("option 'multiline=pattern' needs multiline_pattern");
        }
        _ => {}
    }
    if pattern.is_none() && options.is_given(&MATCH) {
        options.problem("option 'multiline_match' needs multiline_pattern");
    }
    if pattern.is_some() || options.is_given(&MULTILINE) || has_logspout {
        return;
    }
    for spec in [&FLUSH, &SEPARATOR, &LINES] {
        if options.is_given(spec) {
            options.problem(format!(
                "option '{}' needs multiline_pattern or multiline; multiline=off if only \
                 containers ask for it",
                spec.name
            ));
        }
    }
}

fn take_pattern(options: &mut Options, aliased: bool) -> Option<Pattern> {
    let by_alias = aliased && options.is_given(&AWSLOGS_PATTERN);
    let pattern = options.parsed(&PATTERN, Pattern::parse);
    if !by_alias {
        return pattern;
    }
    let other = options.parsed(&AWSLOGS_PATTERN, Pattern::parse);
    if pattern.is_some() {
        options.problem(
            "options 'multiline_pattern' and 'awslogs-multiline-pattern' mean the same; keep \
             one of them",
        );
    }
    pattern.or(other)
}

fn take_limits(options: &mut Options, mut multiline: Multiline) -> Multiline {
    if let Some(flush) = options.parsed(&FLUSH, flush) {
        multiline = multiline.flushing_after(flush);
    }
    if let Some(separator) = options.parsed(&SEPARATOR, separator) {
        multiline = multiline.separated_by(separator.as_bytes());
    }
    let lines = options.parsed(&LINES, lines).unwrap_or(DEFAULT_LINES);
    multiline.of_lines(lines)
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    match text {
        "off" => Ok(Kind::Off),
        "pattern" => Ok(Kind::Pattern),
        name => Preset::parse(name).map(Kind::Preset).ok_or_else(|| {
            let names: Vec<_> = Preset::NAMES.iter().map(|(name, _)| *name).collect();
            format!("expected off, {} or pattern", names.join(", "))
        }),
    }
}

fn flush(text: &str) -> Result<Duration, String> {
    let flush = parse_duration(text)?;
    if !(MIN_FLUSH..=MAX_FLUSH).contains(&flush) {
        return Err("expected 10ms to 1h".into());
    }
    Ok(flush)
}

fn separator(text: &str) -> Result<String, String> {
    let bytes = text.len();
    if bytes > MAX_SEPARATOR_BYTES {
        return Err(format!("it has {bytes} bytes; expected {MAX_SEPARATOR_BYTES} at most"));
    }
    Ok(text.to_owned())
}

fn lines(text: &str) -> Result<usize, String> {
    let lines = text.parse().ok().filter(|lines| (1..=MAX_LINES).contains(lines));
    lines.ok_or_else(|| format!("expected a number from 1 to {MAX_LINES}"))
}

#[cfg(test)]
mod tests;
