//! Text of option values to values. Every error says what was expected.

use std::collections::BTreeMap;
use std::time::Duration;

use super::naming;
use crate::options::parse_duration;

/// `PutRetentionPolicy`: what `retentionInDays` may be (API reference).
const RETENTIONS: [i32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

pub(super) fn region(text: &str) -> Result<Option<String>, String> {
    match text {
        "auto" => Ok(None),
        _ if naming::is_region(text) => Ok(Some(text.to_owned())),
        _ => Err("expected a region such as eu-west-1, or auto".into()),
    }
}

pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let place = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match place {
        Some(place) if !place.is_empty() && place.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(text.to_owned())
        }
        _ => Err("expected a URL such as https://logs.eu-west-1.amazonaws.com".into()),
    }
}

pub(super) fn retention_days(text: &str) -> Result<i32, String> {
    let days = text.parse().ok().filter(|days| RETENTIONS.contains(days));
    days.ok_or_else(|| {
        let known: Vec<_> = RETENTIONS.iter().map(ToString::to_string).collect();
        format!("expected one of {}", known.join(", "))
    })
}

pub(super) fn kms_key(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 256 || text.contains(char::is_whitespace) {
        return Err("expected the ARN of a key, up to 256 characters".into());
    }
    Ok(text.to_owned())
}

pub(super) fn tags(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut tags = BTreeMap::new();
    for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
        let (key, value) =
            tag.split_once('=').ok_or_else(|| format!("'{tag}' has no '='; write KEY=VALUE"))?;
        let (key, value) = (key.trim(), value.trim());
        // TagKey and TagValue (API reference).
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err("a key has 1 to 128 characters and a value 256 at most".into());
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > 50 { Err("50 tags at most".into()) } else { Ok(tags) }
}

// The classes there are grow with time, so any word is passed through.
pub(super) fn class(text: &str) -> Result<String, String> {
    let word = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if word && !text.is_empty() {
        return Ok(text.to_owned());
    }
    Err("expected a class such as STANDARD or INFREQUENT_ACCESS".into())
}

pub(super) fn flush(text: &str) -> Result<Duration, String> {
    let flush = parse_duration(text)?;
    if !(Duration::from_millis(10)..=Duration::from_mins(5)).contains(&flush) {
        return Err("expected 10ms to 5m".into());
    }
    Ok(flush)
}

pub(super) fn in_flight(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| (1..=64).contains(count)).ok_or("expected 1 to 64".into())
}

pub(super) fn empty_lines(text: &str) -> Result<bool, String> {
    match text {
        "skip" => Ok(false),
        "space" => Ok(true),
        _ => Err("expected skip or space".into()),
    }
}

pub(super) fn arn(text: &str) -> Result<String, String> {
    let role = text.starts_with("arn:") && text.contains(":role/") && text.len() <= 2048;
    if role { Ok(text.to_owned()) } else { Err("expected arn:aws:iam::ACCOUNT:role/NAME".into()) }
}
