//! What the operator says of all routes: which labels keep a container out, and what becomes of
//! terminals and of drivers that ship already. Never reads the environment.

use super::glob::MOST_PATTERN_BYTES;
use super::list::{Item, MOST_ITEMS, plain};
use super::settings::Allowed;
use super::shown::Shown;

/// The rules that hold for every route.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Labels that keep a container out.
    pub exclusions: Exclusions,
    /// Whether a route that does not say ships only containers that ask for it.
    pub opt_in: bool,
    /// What becomes of containers with a terminal.
    pub terminals: Terminals,
    /// What becomes of containers whose log driver ships already.
    pub shipped_drivers: ShippedDrivers,
    /// The log drivers that ship by themselves.
    pub shipping: &'static [&'static str],
    /// Which settings containers may choose by label.
    pub allowed: Allowed,
}

/// What becomes of containers with a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Terminals {
    /// They are shipped like others.
    #[default]
    Ship,
    /// They are not, which is what logspout does unless told otherwise.
    Skip,
}

/// What becomes of containers whose log driver ships already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShippedDrivers {
    /// They are left to it, so that nothing is shipped twice.
    #[default]
    Skip,
    /// They are shipped like others.
    Follow,
}

/// Labels of which any keeps a container out of all routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclusions {
    variable: &'static str,
    items: Vec<Exclusion>,
}

/// A label and its value, which is compared without regard to upper and lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exclusion {
    label: String,
    value: String,
}

const MANY: &str = "EXCLUDE_LABELS";
const ONE: &str = "EXCLUDE_LABEL";

impl Exclusions {
    /// Reads `EXCLUDE_LABELS`, or where that is unset or empty `EXCLUDE_LABEL`: items `label` or
    /// `label:value` with semicolons between, split at the first colon; without a value `true`.
    /// (logspout takes the item before it for one without a colon, and none with two.)
    ///
    /// 64 items of 1 KiB at most. The error names the variable, its value and the character.
    pub fn parse(labels: Option<&str>, label: Option<&str>) -> Result<Self, String> {
        let labels = labels.filter(|text| !text.is_empty());
        let Some((variable, text)) =
            labels.map(|text| (MANY, text)).or_else(|| label.map(|text| (ONE, text)))
        else {
            return Ok(Self::default());
        };
        let items = parse_items(text).map_err(|(item, why)| {
            let at = item.before + 1;
            format!("{variable}={}, at character {at}: {why}", Shown(text))
        })?;
        Ok(Self { variable, items })
    }

    /// The variable that was read, or would be.
    pub(super) fn variable(&self) -> &'static str {
        if self.variable.is_empty() { MANY } else { self.variable }
    }

    /// As they would be written in the variable; `None` if there are none.
    pub(super) fn text(&self) -> Option<String> {
        let items: Vec<_> = self.items.iter().map(Exclusion::text).collect();
        (!items.is_empty()).then(|| items.join(";"))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Exclusion> {
        self.items.iter()
    }
}

impl Exclusion {
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        is_same(&self.value, value)
    }

    fn text(&self) -> String {
        format!("{}:{}", self.label, self.value)
    }
}

/// Whether two texts are the same but for upper and lower case.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    // No letter's other case takes more than three times its bytes.
    other.len() <= one.len().saturating_mul(3) && lower(one) == lower(other)
}

fn parse_items(text: &str) -> Result<Vec<Exclusion>, (Item<'_>, String)> {
    let mut found = Vec::new();
    for item in plain(text, ';').filter(|item| !item.text.is_empty()) {
        let (label, value) = item.text.split_once(':').unwrap_or((item.text, "true"));
        if label.is_empty() {
            let why = "no label stands before the colon; write one such as k8s-app:canal";
            return Err((item, why.into()));
        }
        if item.text.len() > MOST_PATTERN_BYTES {
            let bytes = item.text.len();
            let why = format!("the item has {bytes} bytes, {MOST_PATTERN_BYTES} at most");
            return Err((item, why));
        }
        if found.len() == MOST_ITEMS {
            return Err((item, format!("more than {MOST_ITEMS} items; write fewer")));
        }
        found.push(Exclusion { label: label.to_owned(), value: value.to_owned() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &str) -> Vec<(String, String)> {
        let exclusions = Exclusions::parse(Some(labels), None).unwrap();
        exclusions.items.into_iter().map(|item| (item.label, item.value)).collect()
    }

    #[test]
    fn a_list_of_labels_parses_whatever_its_items_look_like() {
        for (text, wanted) in [
            ("a", &[("a", "true")][..]),
            ("x;y", &[("x", "true"), ("y", "true")]),
            ("x;y:foo", &[("x", "true"), ("y", "foo")]),
            ("y:foo;x", &[("y", "foo"), ("x", "true")]),
            ("a:1;b:2", &[("a", "1"), ("b", "2")]),
            ("url:http://x:1", &[("url", "http://x:1")]),
            ("io.k8s.app:canal;io.k8s.b:c", &[("io.k8s.app", "canal"), ("io.k8s.b", "c")]),
            (" a ; b:c ;; ", &[("a", "true"), ("b", "c")]),
            ("a:", &[("a", "")]),
            (r"a:x\;b", &[("a", r"x\"), ("b", "true")]),
            (";", &[]),
        ] {
            let items = of(text);
            let items: Vec<_> = items.iter().map(|(l, v)| (l.as_str(), v.as_str())).collect();
            assert_eq!(items, wanted, "{text}");
        }
    }

    #[test]
    fn the_plural_variable_wins_unless_it_is_empty() {
        for (labels, label, variable) in [
            (Some("a"), Some("b"), MANY),
            (Some("a"), None, MANY),
            (Some(""), Some("b"), ONE),
            (None, Some("b"), ONE),
            (None, None, MANY),
        ] {
            let exclusions = Exclusions::parse(labels, label).unwrap();
            assert_eq!(exclusions.variable(), variable, "{labels:?} {label:?}");
        }
        let exclusions = Exclusions::parse(Some("x;y:foo"), None).unwrap();
        assert_eq!(exclusions.text().as_deref(), Some("x:true;y:foo"));
        assert_eq!(Exclusions::default().text(), None);
    }

    #[test]
    fn a_bad_item_is_named_with_its_place() {
        let said = Exclusions::parse(None, Some("é; :x")).unwrap_err();
        assert!(said.starts_with("EXCLUDE_LABEL=é; :x, at character 4: no label"), "{said}");
        let many = vec!["a"; MOST_ITEMS].join(";");
        assert_eq!(of(&many).len(), MOST_ITEMS);
        let said = Exclusions::parse(Some(&(many + ";b")), None).unwrap_err();
        assert!(said.contains("at character 129: more than 64 items"), "{said}");
        let said = Exclusions::parse(Some(&"a".repeat(1025)), None).unwrap_err();
        assert!(said.contains("1025 bytes, 1024 at most"), "{said}");
    }

    #[test]
    fn values_are_compared_without_regard_to_case() {
        assert!(is_same("true", "TRUE") && is_same("ÄÖ", "äö") && is_same("", ""));
        assert!(!is_same("true", "true ") && !is_same("true", "") && !is_same("", "x"));
        // The Kelvin sign is a k of three bytes.
        assert!(is_same("k", "\u{212a}"));
    }
}
