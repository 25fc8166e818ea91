//! The options that join lines to records of several lines. Never joins anything.

use std::time::Duration;

use crate::assemble::{Multiline, Pattern};
use crate::options::{OptionSpec, Options, parse_duration};

pub(super) const PATTERN: OptionSpec = OptionSpec {
    name: "multiline_pattern",
    default: "",
    unit: "pattern",
    help: "A regular expression that the first line of a record matches. Lines that do not match \
           are joined to the record before them, stream by stream, with a line feed.",
};
pub(super) const FLUSH: OptionSpec = OptionSpec {
    name: "multiline_flush",
    default: "1s",
    unit: "duration",
    help: "With multiline_pattern: a record is complete when no further line of its stream came \
           for so long; from 10ms to 1h.",
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

/// How a route joins lines; `None` if it does not. `aliased`: by Docker's name as well.
pub(super) fn take(options: &mut Options, aliased: bool) -> Option<Multiline> {
    let by_alias = aliased && options.is_given(&AWSLOGS_PATTERN);
    let is_given = options.is_given(&PATTERN) || by_alias;
    let mut pattern = options.parsed(&PATTERN, Pattern::parse);
    if by_alias {
        let other = options.parsed(&AWSLOGS_PATTERN, Pattern::parse);
        if pattern.is_some() {
            options.problem(
                "options 'multiline_pattern' and 'awslogs-multiline-pattern' mean the same; keep \
                 one of them",
            );
        }
        pattern = pattern.or(other);
    }
    if !is_given && options.is_given(&FLUSH) {
        options.problem("option 'multiline_flush' needs multiline_pattern");
    }
    let flush = options.parsed(&FLUSH, flush).unwrap_or(DEFAULT_FLUSH);
    Some(Multiline::new(pattern?, flush))
}

fn flush(text: &str) -> Result<Duration, String> {
    let flush = parse_duration(text)?;
    if !(MIN_FLUSH..=MAX_FLUSH).contains(&flush) {
        return Err("expected 10ms to 1h".into());
    }
    Ok(flush)
}
