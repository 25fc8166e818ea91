//! Conditions on labels: that a container has one, has not, or has one whose value matches. All
//! have to hold. Never looks at anything else of a container.

use std::collections::BTreeMap;

use super::glob::{Fault, Glob, Wildcards};
use super::list::{Item, bounded, items, plain, unescaped};

/// Conditions that have to hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditions {
    /// As they were written.
    pub(super) text: String,
    all: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// As it was written.
    pub(super) text: String,
    pub(super) label: String,
    pub(super) negated: bool,
    /// `None`: any value will do.
    value: Option<Glob>,
}

impl Conditions {
    /// logspout's `filter.labels`: `key:glob` with commas between, split at the first colon; `key`
    /// and `key:` ask for the label, whatever its value. (There the two hold for every container,
    /// and so does `key:*` for one without the label.)
    pub(super) fn of_filter(text: &str) -> Result<Self, Fault> {
        let between = "commas between labels, such as team:web,tier";
        bounded(plain(text, ','), between)?
            .into_iter()
            .map(|item| {
                let (label, value) = match item.text.split_once(':') {
                    Some((label, value)) => (label, value),
                    None => (item.text, ""),
                };
                if label.is_empty() {
                    return Err(item.fault("no label stands before the colon; write team:web"));
                }
                let before = item.before + label.chars().count() + 1;
                let glob = Glob::parse(value, Wildcards::Path).map_err(|f| f.behind(before))?;
                Ok(Condition {
                    text: item.text.to_owned(),
                    label: label.to_owned(),
                    negated: false,
                    value: (!value.is_empty()).then_some(glob),
                })
            })
            .collect::<Result<_, _>>()
            .map(|all| Self { text: text.to_owned(), all })
    }

    /// Our own: `key`, `!key`, `key=glob`, `!key=glob` with `+` between.
    pub(super) fn of_list(text: &str) -> Result<Self, Fault> {
        let conditions = items(text)?.into_iter().map(|item| {
            let (negated, rest) = item.negation();
            let (label, value) = rest.split_once('=');
            let value = value.map(|value| {
                Glob::parse(value.text, Wildcards::All).map_err(|f| f.behind(value.before))
            });
            Ok(Condition {
                text: item.text.to_owned(),
                label: name(label)?,
                negated,
                value: value.transpose()?,
            })
        });
        conditions.collect::<Result<_, _>>().map(|all| Self { text: text.to_owned(), all })
    }

    /// The first that does not hold.
    pub(super) fn broken(&self, labels: &BTreeMap<String, String>) -> Option<&Condition> {
        self.all.iter().find(|condition| {
            let value = labels.get(&condition.label);
            let matches = |glob: &Glob| value.is_some_and(|value| glob.matches(value));
            condition.value.as_ref().map_or(value.is_some(), matches) == condition.negated
        })
    }
}

fn name(item: Item<'_>) -> Result<String, Fault> {
    if item.text.is_empty() {
        return Err(item.fault("no label stands here; write team, team=web or !team"));
    }
    let mut is_escaped = false;
    let wildcard = item.text.chars().position(|character| {
        let is_wildcard = !is_escaped && matches!(character, '*' | '?' | '[');
        is_escaped = character == '\\' && !is_escaped;
        is_wildcard
    });
    if let Some(place) = wildcard {
        let what = "a label is written out, and only its value is a pattern, such as team=web*; \
                    a backslash takes the next character as it is";
        return Err(Fault::new(item.before + place + 1, what));
    }
    unescaped(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn all_labels_of_a_filter_have_to_match() {
        for (filter, has, wanted) in [
            ("team:web", "team=web", true),
            ("team:web", "team=webs", false),
            ("team:web", "", false),
            ("team:w*", "team=web", true),
            ("team:w*", "team=web/1", false),
            ("team:w*/*", "team=web/1", true),
            ("team:*", "team=", true),
            ("team:*", "other=1", false),
            ("team", "team=anything/at:all", true),
            ("team", "", false),
            ("team:", "team=x", true),
            ("team:", "", false),
            ("team:web,tier:1", "team=web tier=1", true),
            ("team:web,tier:1", "team=web tier=2", false),
            ("team:web,tier:1", "tier=1", false),
            ("team:web, tier:1 ", "team=web tier=1", true),
            ("at:10:3?", "at=10:30", true),
            ("a.b/c:[x-z]", "a.b/c=y", true),
        ] {
            let conditions = Conditions::of_filter(filter).unwrap();
            assert_eq!(conditions.broken(&labels(has)).is_none(), wanted, "{filter} and {has}");
        }
    }

    #[test]
    fn all_conditions_of_our_own_have_to_hold() {
        for (list, has, wanted) in [
            ("team", "team=", true),
            ("team", "tier=1", false),
            ("!team", "team=", false),
            ("!team", "tier=1", true),
            ("team=w*", "team=web/1", true),
            ("team=w*", "team=db", false),
            ("team=w*", "", false),
            ("team=", "team=", true),
            ("team=", "team=x", false),
            ("!team=web", "team=web", false),
            ("!team=web", "team=db", true),
            ("!team=web", "", true),
            ("team+!tier=1", "team=a tier=2", true),
            ("team+!tier=1", "team=a tier=1", false),
            (r"a\=b=c", "x=1", false),
            ("at=10:3?", "at=10:30", true),
            (r"team=a\+b", "team=a+b", true),
        ] {
            let conditions = Conditions::of_list(list).unwrap();
            assert_eq!(conditions.broken(&labels(has)).is_none(), wanted, "{list} and {has}");
        }
        let escaped = Conditions::of_list(r"a\=\*b=c").unwrap();
        assert!(escaped.broken(&BTreeMap::from([("a=*b".into(), "c".into())])).is_none());
    }

    #[test]
    fn the_condition_that_does_not_hold_is_named() {
        let conditions = Conditions::of_list("team+!tier=1+x").unwrap();
        let broken = conditions.broken(&labels("team=a tier=1")).unwrap();
        assert_eq!((broken.text.as_str(), broken.label.as_str()), ("!tier=1", "tier"));
    }

    #[test]
    fn bad_conditions_are_named_with_their_place() {
        for (list, at, said) in [
            ("a,,b:c", 3, "an item is empty"),
            ("a:b,:c", 5, "no label stands before the colon"),
            ("é:b, c:x[", 9, "not closed"),
        ] {
            let fault = Conditions::of_filter(list).unwrap_err();
            assert_eq!(fault.at, at, "{list}: {fault}");
            assert!(fault.what.contains(said), "{list}: {fault}");
        }
        for (list, at, said) in [
            ("a+=c", 3, "no label stands here"),
            ("!", 2, "no label stands here"),
            ("a+é.*=c", 5, "a label is written out"),
            ("a+!é=x[", 7, "not closed"),
            (r"a+b\", 4, "nothing follows the backslash"),
        ] {
            let fault = Conditions::of_list(list).unwrap_err();
            assert_eq!(fault.at, at, "{list}: {fault}");
            assert!(fault.what.contains(said), "{list}: {fault}");
        }
    }
}
