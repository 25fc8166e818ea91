//! logspout's variables to settings of ours: who only changed the image has them still. Never reads
//! the environment itself.

use std::time::Duration;

use super::draft::Draft;
use super::expand::Unset;
use crate::encode::Logspout;
use crate::options::{Problem, parse_flag};
use crate::route::{Inherited, LogspoutMultiline, LogspoutTexts};
use crate::select::{Exclusions, Rules, ShippedDrivers, Terminals};
use crate::source::docker;
use crate::template::Zone;

/// Where logspout finds the name of its host, if that is mounted.
const HOST_FILE: &str = "/etc/host_hostname";
/// A host name, with room for a template in its place.
const MOST_HOST_BYTES: u64 = 16 << 10;

/// What the variables say of a route's bytes and records. All problems are reported.
pub(super) fn inherited(draft: &Draft) -> Result<Inherited, Vec<Problem>> {
    let mut problems = Vec::new();
    let of = |name: &str| draft.logspout.get(name).cloned();
    // Go takes UTC as well, and an image has no zones: most who set TZ for all of their services
    // want nothing of it here.
    let zone = zone(draft).unwrap_or_else(|_| Zone::utc());
    let host = host_file();
    let encoding = Logspout::of(of, host.as_deref(), zone).map_err(|more| problems.extend(more));
    let text = |name: &str| draft.logspout.get(name).map(String::as_str);
    let multiline = LogspoutMultiline::new(&LogspoutTexts {
        enable_default: text("MULTILINE_ENABLE_DEFAULT"),
        pattern: text("MULTILINE_PATTERN"),
        matching: text("MULTILINE_MATCH"),
        flush_after: text("MULTILINE_FLUSH_AFTER"),
        separator: text("MULTILINE_SEPARATOR"),
    });
    let multiline = multiline.map_err(|more| problems.extend(more));
    match (encoding, multiline) {
        (Ok(encoding), Ok(multiline)) if problems.is_empty() => {
            Ok(Inherited { encoding, multiline })
        }
        _ => Err(problems),
    }
}

fn zone(draft: &Draft) -> Result<Zone, String> {
    Zone::local(draft.logspout.get("TZ").map(String::as_str))
}

fn host_file() -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(HOST_FILE).ok()?.take(MOST_HOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// What holds for all routes.
pub(super) fn rules(draft: &Draft) -> Result<Rules, Problem> {
    let text = |name: &str| draft.logspout.get(name).map(String::as_str);
    let exclusions = Exclusions::parse(text("EXCLUDE_LABELS"), text("EXCLUDE_LABEL"));
    let terminals = match allow_tty(draft)? {
        Some(true) => Terminals::Ship,
        Some(false) => Terminals::Skip,
        None => draft.tty,
    };
    Ok(Rules {
        exclusions: exclusions.map_err(Problem::new)?,
        opt_in: draft.opt_in,
        terminals,
        shipped_drivers: if draft.follow_shipped {
            ShippedDrivers::Follow
        } else {
            ShippedDrivers::Skip
        },
        shipping: &docker::SHIPPING,
        allowed: draft.labels.clone(),
    })
}

/// What `ALLOW_TTY` says, if anything. logspout takes only `true` for true, where people write 1.
pub(super) fn allow_tty(draft: &Draft) -> Result<Option<bool>, Problem> {
    let text = draft.logspout.get("ALLOW_TTY");
    let flag = text.map(|text| {
        parse_flag(text).map_err(|why| Problem::new(format!("ALLOW_TTY={text}: {why}")))
    });
    flag.transpose()
}

/// What `TAIL` says: `None` for all records.
pub(super) fn tail(draft: &Draft) -> Result<Option<u32>, Problem> {
    match draft.logspout.get("TAIL").map(String::as_str) {
        None | Some("all") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            let text = text.escape_debug();
            Problem::new(format!("TAIL={text}: expected all, or a number of records such as 100"))
        }),
    }
}

/// Go's `time.ParseDuration`, without signs: numbers with units, one behind the other; 0 needs no
/// unit.
pub(super) fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("\u{b5}s", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(end)?;
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, behind) = behind.split_at_checked(unit_end.unwrap_or(behind.len()))?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = behind;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok())?
}

/// The variables in routes that have no value.
pub(super) fn unset(names: &Unset) -> impl Iterator<Item = String> {
    names.iter().map(|(uri, names)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (names, verb) = (names.join(", "), if names.len() == 1 { "is" } else { "are" });
        format!(
            "{uri}: {names} {verb} not set; what is not set counts as empty, as in logspout. Write %24 for \
             a dollar sign"
        )
    })
}

/// What is worth a word at the start: what does not do what it did in logspout.
pub(super) fn notes(draft: &Draft, unset_names: &Unset) -> Vec<String> {
    let mut notes: Vec<String> = unset(unset_names).collect();
    if draft.routes.is_empty() {
        notes
            .push("no route is given; nothing is shipped but by routes that come over HTTP".into());
    }
    if let Err(why) = zone(draft) {
        notes.push(format!("{why}; until then times in logspout's layouts are in UTC"));
    }
    if draft.logspout.get("RAW_FORMAT").is_some_and(|text| text.ends_with(r"\n")) {
        // As in an example of its README, in quotes of a shell that keep it.
        notes.push(
            "RAW_FORMAT ends with a backslash and an n, which are sent as they are, as in logspout; end it \
             with a real line feed"
                .into(),
        );
    }
    if draft.logspout.contains_key("TAIL") && !draft.backlog {
        notes.push("TAIL does nothing without BACKLOG=true: logs are followed from now on".into());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (text, millis) in [
            ("0", Some(0)),
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("250ms", Some(250)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1d", None),
            ("-5s", None),
            ("1..5s", None),
        ] {
            assert_eq!(go_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
