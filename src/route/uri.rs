//! The grammar of a route URI: text to a checked address. Never opens or resolves anything.
//!
//! `[multiline+]SCHEME://[HOST[:PORT]|HOST[:PORT]][/PATH][?KEY=VALUE&KEY=VALUE]`, written by hand: the URLs of the web
//! allow and normalise far more than a route may say, and an error here has to say what to write.

use std::path::PathBuf;

use super::list;
use crate::encode::Adapter;
use crate::options::{Problem, closest};
use crate::output::{Carriage, DRIVERS, Driver, Target, TargetKind, driver};

/// Longest text of a URI shown in an error, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// A route URI, understood: which output, where, and the options as given.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) driver: &'static Driver,
    /// One, or a list of hosts in the order in which they are preferred.
    pub(super) targets: Vec<Target>,
    pub(super) options: Vec<(String, String)>,
    scheme: &'static str,
    /// Lines are joined as logspout's variables say.
    pub(super) joins: bool,
}

/// What logspout puts before a scheme for lines to be joined.
const JOINING: &str = "multiline+";

/// The schemes under which logspout sends the bare line, and their short forms.
const RAW_SCHEMES: [&str; 7] = ["raw", "raw+udp", "raw+tcp", "raw+tls", "udp", "tcp", "tls"];

/// The schemes of logspout's syslog.
const SYSLOG_SCHEMES: [&str; 4] = ["syslog", "syslog+udp", "syslog+tcp", "syslog+tls"];

impl Address {
    /// Understands a URI. All its problems are reported, each with the redacted URI in front.
    pub(super) fn parse(uri: &str) -> Result<Self, Vec<Problem>> {
        let located = |why: String| Problem::new(why).of(redacted(uri));
        let (joins, rest) = without_joining(uri);
        let (scheme, driver, rest) = split_scheme(rest).map_err(|why| vec![located(why)])?;
        let mut problems = Vec::new();
        let rest = match user_end(rest) {
            Some(end) => {
                problems.push(
                    "a user or password has no place here; leave out what is before '@'".into(),
                );
                rest.get(end..).unwrap_or_default()
            }
            None => rest,
        };
        let (rest, fragment) = cut(rest, '#');
        if fragment.is_some() {
            problems.push("a fragment has no place here; write '#' in a value as %23".into());
        }
        let (place, query) = cut(rest, '?');
        let mut options = Vec::new();
        let mut bad_options = Vec::new();
        for item in query.unwrap_or_default().split('&').filter(|item| !item.is_empty()) {
            match option(item, driver) {
                Ok(pair) => options.push(pair),
                Err(why) => bad_options.push(why),
            }
        }
        let targets = targets(driver, place, &mut options).map_err(|why| problems.extend(why));
        problems.extend(bad_options);
        match targets {
            Ok(targets) if problems.is_empty() => {
                Ok(Self { driver, targets, options, scheme, joins })
            }
            _ => Err(problems.into_iter().map(located).collect()),
        }
    }

    /// What identifies the destination: the URI without its options.
    pub(super) fn name(&self) -> String {
        let targets: Vec<_> = self.targets.iter().map(ToString::to_string).collect();
        let joining = if self.joins { JOINING } else { "" };
        format!("{joining}{}://{}", self.scheme, targets.join("|"))
    }

    /// Which of logspout's adapters the scheme names, if any.
    pub(super) fn adapter(&self) -> Option<Adapter> {
        if RAW_SCHEMES.contains(&self.scheme) {
            Some(Adapter::Raw)
        } else if SYSLOG_SCHEMES.contains(&self.scheme) {
            Some(Adapter::Syslog)
        } else {
            None
        }
    }
}

/// The URI without user, password, options and fragment, fit to be printed.
pub(crate) fn redacted(uri: &str) -> String {
    let (scheme, rest) =
        uri.split_once(':').map_or((uri, None), |(scheme, rest)| (scheme, Some(rest)));
    let mut shown = scheme.to_owned();
    if let Some(rest) = rest {
        let slashes = if rest.starts_with("//") { "//" } else { "" };
        let rest = rest.strip_prefix(slashes).unwrap_or(rest);
        shown = format!("{shown}:{slashes}{}", without_secrets(rest));
    }
    let mut printable: String = shown
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(SHOWN_CHARACTERS)
        .collect();
    if shown.chars().nth(SHOWN_CHARACTERS).is_some() {
        printable.push('…');
    }
    printable
}

fn without_secrets(rest: &str) -> String {
    let (hidden, open) = match user_end(rest) {
        Some(end) => ("***@", rest.get(end..).unwrap_or_default()),
        None => ("", rest),
    };
    format!("{hidden}{}", open.split(['?', '#']).next().unwrap_or_default())
}

// Where the host begins if a user stands before it. A password may hold '/', '?' and '#'
// unescaped; its piece after the first ':' then looks like a port that is no number, or an '@'
// follows where none can stand.
fn user_end(rest: &str) -> Option<usize> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let password = |(user, piece): (&str, &str)| {
        let no_port = piece.is_empty() || piece.contains(|c: char| !c.is_ascii_digit());
        no_port && !user.is_empty() && !user.starts_with('[')
    };
    let mut hosts = authority.split('|');
    let holds_password = hosts.any(|host| host.split_once(':').is_some_and(password));
    let within = if holds_password || misplaced_at(authority, rest) { rest } else { authority };
    within.rfind('@').map(|at| at + 1)
}

// An '@' in a path behind a host, or in the name of an option, where the value may well have one.
fn misplaced_at(authority: &str, rest: &str) -> bool {
    let (place, query) = cut(rest, '?');
    let names = || query.unwrap_or_default().split('&').map(|item| cut(item, '=').0);
    !authority.is_empty() && (place.contains('@') || names().any(|name| name.contains('@')))
}

fn without_joining(uri: &str) -> (bool, &str) {
    match uri.split_at_checked(JOINING.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(JOINING) => (true, rest),
        _ => (false, uri),
    }
}

fn split_scheme(uri: &str) -> Result<(&'static str, &'static Driver, &str), String> {
    let Some((given, rest)) = uri.split_once(':') else {
        // A scheme by itself is no piece of a list that was cut at a comma.
        return Err(match driver(uri) {
            Some(driver) => format!("not a route URI; write one like {}", driver.example),
            None => no_uri(),
        });
    };
    let given = given.to_ascii_lowercase();
    let Some(driver) = driver(&given) else {
        // What is encrypted has one name here; the closest one by its letters would not be encrypted.
        let near = closest(&given.replace("ssl", "tls"), schemes());
        if near.is_none() && !rest.starts_with("//") {
            return Err(no_uri());
        }
        return Err(unknown_scheme(&given, near));
    };
    let scheme = driver.schemes.iter().copied().find(|name| *name == given).unwrap_or_default();
    let Some(rest) = rest.strip_prefix("//") else {
        let rest = without_secrets(rest);
        return Err(format!("'//' is missing after the scheme; write {scheme}://{rest}"));
    };
    Ok((scheme, driver, rest))
}

// As a rule a piece of a route's option, which a comma has cut off.
fn no_uri() -> String {
    format!(
        "not a route URI; write one like {}, and if this belongs to the route before it, the comma \
         between them as %2C",
        usual_example()
    )
}

fn unknown_scheme(given: &str, near: Option<&'static str>) -> String {
    if given == "multiline" {
        return "'multiline' goes before another scheme; write multiline+syslog+tcp://…".into();
    }
    if let Some(("tcp" | "udp", transport)) = given.split_once('+') {
        // logspout takes the first word and passes over the rest, which sends in clear what was
        // meant to be encrypted.
        return format!(
            "unknown scheme '{given}'; write {transport}:// or raw+{transport}:// for the bare \
             line, syslog+{transport}:// for syslog"
        );
    }
    let hint = near.map(|name| format!("did you mean '{name}'? ")).unwrap_or_default();
    let example = near.and_then(driver).map_or_else(usual_example, |driver| driver.example);
    let known = schemes().collect::<Vec<_>>().join(", ");
    let given = redacted(given);
    format!("unknown scheme '{given}'; {hint}known: {known}; for example {example}")
}

fn schemes() -> impl Iterator<Item = &'static str> {
    DRIVERS.iter().copied().flat_map(|driver| driver.schemes.iter().copied())
}

// The example of the safest output that every syslog server takes.
fn usual_example() -> &'static str {
    let usual = |driver: &&&Driver| {
        driver.carriage == Carriage::Stream && matches!(driver.target, TargetKind::Host { .. })
    };
    DRIVERS.iter().rfind(usual).map_or("stdout://", |driver| driver.example)
}

fn targets(
    driver: &Driver,
    place: &str,
    options: &mut Vec<(String, String)>,
) -> Result<Vec<Target>, Vec<String>> {
    if let TargetKind::Host { default_port } = driver.target {
        let (authority, path) = authority_and_path(place);
        if path.len() > 1 {
            let example = driver.example;
            return Err(vec![format!("a path has no place here; for example {example}")]);
        }
        return list::targets(driver, default_port, authority, options);
    }
    local(driver, place).map(|target| vec![target]).map_err(|why| vec![why])
}

fn authority_and_path(place: &str) -> (&str, &str) {
    place.find('/').and_then(|at| place.split_at_checked(at)).unwrap_or((place, ""))
}

fn local(driver: &Driver, place: &str) -> Result<Target, String> {
    let example = driver.example;
    if driver.target == TargetKind::Name {
        let name = percent_decoded(place.trim_end_matches('/'));
        return name.map(Target::Name).map_err(|why| format!("the name {why}"));
    }
    let (authority, path) = authority_and_path(place);
    if driver.target == TargetKind::None {
        return if authority.is_empty() && path.len() <= 1 {
            Ok(Target::None)
        } else {
            Err(format!("neither host nor path has a place here; write {example}"))
        };
    }
    if !authority.is_empty() {
        return Err(format!("the path must be absolute, with a third '/'; for example {example}"));
    }
    let path = percent_decoded(path).map_err(|why| format!("the path {why}"))?;
    if path.ends_with('/') || path.is_empty() {
        return Err(format!("the path names no file; for example {example}"));
    }
    if path.contains('\0') {
        return Err("the path holds a NUL byte, which no file name can".into());
    }
    Ok(Target::Path(PathBuf::from(path)))
}

fn option(item: &str, driver: &Driver) -> Result<(String, String), String> {
    let (key, value) = cut(item, '=');
    let key = percent_decoded(key).map_err(|why| format!("the name of an option {why}"))?;
    // One that nobody knows is refused as such: a value would not mend it.
    let is_known = || super::known(driver).iter().copied().flatten().any(|spec| spec.name == key);
    let value = match value {
        None if is_known() => {
            return Err(format!("option '{key}' has no value; write {key}=VALUE"));
        }
        value => value.unwrap_or_default(),
    };
    let value = percent_decoded(value).map_err(|why| format!("option '{key}' {why}"))?;
    Ok((key, value))
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

// A '+' stays a '+': routes are no web forms, and time zones are written with it.
fn percent_decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let byte = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(byte.ok_or("holds a '%' without two hexadecimal digits; write it as %25")?);
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 once its %XX are decoded".into())
}
