//! `$NAME` and `${NAME}` in route URIs, as Go's `os.Expand` reads them, which logspout uses: a name
//! that is not set is empty. Never looks at the environment itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::route::redacted;

/// The names that are not set, by route.
pub(super) type Unset = BTreeMap<String, BTreeSet<String>>;

/// Puts the variables into the routes.
pub(super) fn routes(routes: &mut [String], value: impl Fn(&str) -> Option<String>) -> Unset {
    let mut unset = Unset::new();
    for uri in routes {
        let shown = redacted(uri);
        *uri = expanded(uri, &value, |name| {
            unset.entry(shown.clone()).or_default().insert(name.to_owned());
        });
    }
    unset
}

/// The text with its variables put in. `unset` is told the names that have no value.
///
/// A literal dollar sign is `%24` in a URI, or `$$`, which Go takes for a variable of that name.
fn expanded(
    text: &str,
    value: impl Fn(&str) -> Option<String>,
    mut unset: impl FnMut(&str),
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        rest = behind;
        if let Some(behind) = rest.strip_prefix('$') {
            out.push('$');
            rest = behind;
            continue;
        }
        let Some((name, behind)) = name(rest) else {
            out.push('$');
            continue;
        };
        rest = behind;
        match value(name).filter(|value| !value.is_empty()) {
            Some(value) => out.push_str(&value),
            None => unset(name),
        }
    }
    out + rest
}

// The name behind a dollar sign, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}').filter(|(name, _)| !name.is_empty());
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_as_go_does() {
        let value = |name: &str| match name {
            "HOST" => Some("logs".to_owned()),
            "P_1" => Some("$HOST".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, wanted, without) in [
            ("syslog://$HOST:514", "syslog://logs:514", &[][..]),
            ("syslog://${HOST}s:514", "syslog://logss:514", &[]),
            ("$HOST$HOST/$P_1", "logslogs/$HOST", &[]),
            ("a$NONE-b${NONE}", "a-b", &["NONE", "NONE"]),
            ("a$EMPTY", "a", &["EMPTY"]),
            ("a$$HOST %24HOST", "a$HOST %24HOST", &[]),
            ("a$ $- ${} ${HOST", "a$ $- ${} ${HOST", &[]),
            ("ü$HOSTü", "ülogsü", &[]),
        ] {
            let mut unset = Vec::new();
            let out = expanded(text, value, |name| unset.push(name.to_owned()));
            assert_eq!(
                (out.as_str(), unset.as_slice()),
                (wanted, &without.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..]),
                "{text}"
            );
        }
    }
}
