//! Options of a route: every option is a row of a table, taken one by one by the stage that owns
//! it; what is left over is refused with a suggestion. Never reads the environment.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::Duration;

/// One option of a route's query: what parsing, `--help` and the reference are made from.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// The key in the query.
    pub name: &'static str,
    /// The default as a user would write it; empty for none.
    pub default: &'static str,
    /// What values look like: `bytes`, `duration`, `path`, or the choices with `|` between.
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// Something wrong with the configuration: what, and what to do. All are reported at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// A problem in full sentences: the thing, its value, the cure.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The same problem with its place in front.
    #[must_use]
    pub fn of(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The options given, and the problems met while taking them.
#[derive(Debug, Clone, Default)]
pub struct Options {
    given: BTreeMap<String, String>,
    /// By option, the variable and its value that count where the route says nothing.
    fallbacks: BTreeMap<&'static str, (&'static str, String)>,
    problems: Vec<Problem>,
}

impl Options {
    /// The given key-value pairs; a key given twice is a problem.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut options = Self::default();
        for (key, value) in pairs {
            match options.given.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(first) => {
                    let twice =
                        format!("option '{}' is given twice; keep one of them", first.key());
                    options.problems.push(Problem::new(twice));
                }
            }
        }
        options
    }

    /// What counts where the route says nothing: by option, a variable and its value.
    #[must_use]
    pub fn falling_back_on(
        mut self,
        fallbacks: &BTreeMap<&'static str, (&'static str, String)>,
    ) -> Self {
        self.fallbacks.clone_from(fallbacks);
        self
    }

    /// The variable that stands in for an option, and its value.
    pub fn fallback(&self, spec: &OptionSpec) -> Option<(&'static str, String)> {
        self.fallbacks.get(spec.name).cloned()
    }

    /// Whether an option was given and not taken.
    pub fn is_given(&self, spec: &OptionSpec) -> bool {
        self.given.contains_key(spec.name)
    }

    /// Takes an option's text.
    pub fn text(&mut self, spec: &OptionSpec) -> Option<String> {
        self.given.remove(spec.name)
    }

    /// Takes an option and parses it; a parse error becomes a problem and the default holds.
    pub fn parsed<T>(
        &mut self,
        spec: &OptionSpec,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(spec)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problem(format!("option '{}={text}': {why}", spec.name));
                None
            }
        }
    }

    /// Takes `true` or `false`.
    pub fn flag(&mut self, spec: &OptionSpec, default: bool) -> bool {
        self.parsed(spec, parse_flag).unwrap_or(default)
    }

    /// What nobody has taken yet, without the problems: for one of several that take the same.
    #[must_use]
    pub fn untaken(&self) -> Self {
        Self { given: self.given.clone(), fallbacks: self.fallbacks.clone(), problems: Vec::new() }
    }

    /// Takes over what became of a copy made by `untaken`: what was taken from it is taken here,
    /// and its problems are noted unless they are known.
    pub fn absorb(&mut self, copy: Self) {
        self.given.retain(|key, _| copy.given.contains_key(key));
        for problem in copy.problems {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// Notes something wrong in words of the caller.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(Problem::new(text));
    }

    /// Refuses what nobody took. `known` are the rows that this kind of route understands.
    pub fn finish(mut self, known: &[&[OptionSpec]]) -> Vec<Problem> {
        let names = || known.iter().copied().flatten().map(|spec| spec.name);
        for key in std::mem::take(&mut self.given).into_keys() {
            let hint = did_you_mean(&key, names()).unwrap_or_else(|| {
                format!("known here: {}", names().collect::<Vec<_>>().join(", "))
            });
            self.problem(format!("unknown option '{key}'; {hint}"));
        }
        self.problems
    }
}

/// "did you mean 'x'?" for the closest known name.
pub fn did_you_mean<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    closest(given, known).map(|name| format!("did you mean '{name}'?"))
}

/// The closest known name within a third of its length.
pub fn closest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = |name: &str| name.len().max(3) / 3;
    // Of another length by more than that it cannot be: and what was given may have megabytes.
    let given_len = given.chars().count();
    known
        .filter(|name| given_len.abs_diff(name.chars().count()) <= most(name))
        .map(|name| (distance(given.chars(), name.chars()), name))
        .filter(|(distance, name)| *distance <= most(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many characters have to be put in, taken out or changed to make the one text of the other:
/// Levenshtein, over one row.
pub(crate) fn distance(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    let b: Vec<char> = b.collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let changed = diagonal + usize::from(from != *to);
            diagonal = *cell;
            *cell = changed.min(left + 1).min(diagonal + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// `true`/`false` and the spellings people use for them.
pub fn parse_flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

/// A count of bytes: `65536`, `64KiB`, `64k`, `1MiB`, `1m`, `1GiB`. Units are powers of 1024.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default().trim();
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(format!("unknown unit '{unit}'; write bytes as 65536, 64KiB or 1MiB")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "expected a number of bytes such as 65536, 64KiB or 1MiB".into())
}

/// A duration: `8s`, `500ms`, `2m`, `1h`; a bare number is seconds. Above zero.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let millis: u64 = match text.strip_prefix(digits).unwrap_or_default() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("unknown unit '{unit}'; write 500ms, 8s, 2m or 1h")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis))
        .filter(|millis| *millis > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a duration above zero such as 500ms, 8s, 2m or 1h".into())
}

/// A syslog facility by its name or number: RFC 5424 section 6.2.1, table 1.
pub fn parse_facility(text: &str) -> Result<u8, String> {
    const NAMES: &str = "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp \
        audit alert clock local0 local1 local2 local3 local4 local5 local6 local7";
    let lower = text.to_ascii_lowercase();
    let place = NAMES.split(' ').position(|name| name == lower);
    place.and_then(|place| u8::try_from(place).ok()).or_else(|| number_up_to(23, text)).ok_or_else(
        || "expected 0 to 23, or a name such as user, daemon, or local0 to local7".into(),
    )
}

/// A syslog severity by its number or name: RFC 5424 section 6.2.1, table 2, with the names that
/// syslog.h and people have for them.
pub fn parse_severity(text: &str) -> Result<u8, String> {
    let named = match text.to_ascii_lowercase().as_str() {
        "emerg" | "emergency" | "panic" => Some(0),
        "alert" => Some(1),
        "crit" | "critical" => Some(2),
        "err" | "error" => Some(3),
        "warning" | "warn" => Some(4),
        "notice" => Some(5),
        "info" | "informational" => Some(6),
        "debug" => Some(7),
        _ => None,
    };
    named.or_else(|| number_up_to(7, text)).ok_or_else(|| {
        "expected 0 to 7, or emerg, alert, crit, err, warning, notice, info or debug".into()
    })
}

fn number_up_to(max: u8, text: &str) -> Option<u8> {
    text.parse().ok().filter(|number| *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[OptionSpec] = &[
        OptionSpec { name: "facility", default: "user", unit: "name", help: "" },
        OptionSpec { name: "framing", default: "octet-counting", unit: "name", help: "" },
    ];

    fn given(pairs: &[(&str, &str)]) -> Options {
        Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn all_problems_are_reported_at_once_with_a_suggestion() {
        let mut options =
            given(&[("facilty", "x"), ("framing", "q"), ("zzz", "1"), ("framing", "lf")]);
        options.parsed(&ROWS[1], |_| Err::<(), _>("no".into()));
        let problems: Vec<_> = options.finish(&[ROWS]).iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems.iter().any(|p| p.contains("did you mean 'facility'?")));
        assert!(problems.iter().any(|p| p.contains("known here: facility, framing")));
        assert!(problems.iter().any(|p| p.contains("given twice")));
        assert!(problems.iter().any(|p| p.contains("'framing=q': no")));
    }

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        assert_eq!(parse_bytes("64KiB"), Ok(65_536));
        assert_eq!(parse_bytes("2m"), Ok(2 << 20));
        assert!(parse_bytes("64 parsecs").is_err() && parse_bytes("").is_err());
        assert!(parse_bytes("99999999999999999999g").is_err());
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("8"), Ok(Duration::from_secs(8)));
        assert!(parse_duration("0s").is_err() && parse_duration("8 weeks").is_err());
    }
}
