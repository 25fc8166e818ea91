//! Values of options that are lists: items with `+` between them, each perhaps negated. Knows no
//! container.

use super::glob::{Fault, Glob, Wildcards};

/// Most items of a list.
pub(super) const MOST_ITEMS: usize = 64;

/// A piece of a text, and how many characters stand before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) before: usize,
    pub(super) text: &'a str,
}

impl Item<'_> {
    /// The same without blanks around it.
    pub(super) fn trimmed(self) -> Self {
        let left = self.text.trim_start();
        let blanks = self.text.chars().count() - left.chars().count();
        Self { before: self.before + blanks, text: left.trim_end() }
    }

    /// Whether a `!` stands in front, and what is behind it.
    pub(super) fn negation(self) -> (bool, Self) {
        match self.text.strip_prefix('!') {
            Some(text) => (true, Self { before: self.before + 1, text }),
            None => (false, self),
        }
    }

    /// What stands before the first `mark` that is not behind a backslash, and what behind it.
    pub(super) fn split_once(self, mark: char) -> (Self, Option<Self>) {
        let mut parts = pieces(self.text, mark, true);
        let first = parts.next().unwrap_or(Item { before: 0, text: "" });
        let key = Item { before: self.before, ..first };
        let after = first.text.len() + mark.len_utf8();
        let value = self.text.get(after..).filter(|_| parts.next().is_some());
        let before = self.before + first.text.chars().count() + 1;
        (key, value.map(|text| Item { before, text }))
    }

    /// A fault of this item as one of the whole text.
    pub(super) fn fault(self, what: impl Into<String>) -> Fault {
        Fault::new(self.before + 1, what)
    }
}

/// The items of a list with commas or semicolons, of which none has a special meaning.
pub(super) fn plain(text: &str, mark: char) -> impl Iterator<Item = Item<'_>> {
    pieces(text, mark, false).map(Item::trimmed)
}

/// The items of a list with `+` between. At least one, none empty.
pub(super) fn items(text: &str) -> Result<Vec<Item<'_>>, Fault> {
    bounded(pieces(text, '+', true), r"+ between items (\+ for the character itself)")
}

/// The same, of pieces with anything between.
pub(super) fn bounded<'a>(
    pieces: impl Iterator<Item = Item<'a>>,
    between: &str,
) -> Result<Vec<Item<'a>>, Fault> {
    let mut found = Vec::new();
    for item in pieces {
        if item.text.is_empty() {
            return Err(item.fault(format!("an item is empty; write {between}")));
        }
        if found.len() == MOST_ITEMS {
            return Err(item.fault(format!("more than {MOST_ITEMS} items; write fewer")));
        }
        found.push(item);
    }
    Ok(found)
}

fn pieces(text: &str, mark: char, escapes: bool) -> impl Iterator<Item = Item<'_>> {
    let mut is_escaped = false;
    let parts = text.split(move |character| {
        let splits = character == mark && !is_escaped;
        is_escaped = escapes && character == '\\' && !is_escaped;
        splits
    });
    let mut before = 0;
    parts.map(move |text| {
        let item = Item { before, text };
        before += text.chars().count() + 1;
        item
    })
}

/// The text without its backslashes, each of which takes the next character as it is.
pub(super) fn unescaped(item: Item<'_>) -> Result<String, Fault> {
    let mut plain = String::with_capacity(item.text.len());
    let mut characters = item.text.chars();
    while let Some(character) = characters.next() {
        let literal = if character == '\\' { characters.next() } else { Some(character) };
        let Some(literal) = literal else {
            let at = item.before + item.text.chars().count();
            return Err(Fault::new(at, r"nothing follows the backslash; write \\ for a backslash"));
        };
        plain.push(literal);
    }
    Ok(plain)
}

/// Patterns of which any has to match, if there is one, and others of which none may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    negated: bool,
    glob: Glob,
}

/// Why patterns do not take a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss<'a> {
    /// None of those matches of which one has to.
    Unmatched,
    /// This one matches, and may not.
    Excluded(&'a str),
}

impl Patterns {
    /// `web*+db+!web-test`. With `are_prefixes` a text may go on behind what matches.
    pub(super) fn parse(text: &str, are_prefixes: bool) -> Result<Self, Fault> {
        let read = |item: Item<'_>| {
            let (negated, pattern) = item.negation();
            if pattern.text.is_empty() {
                return Err(item
                    .fault(r"nothing follows the !; write !web, or \! for the character itself"));
            }
            let glob = Glob::parse(pattern.text, Wildcards::All)
                .map_err(|fault| fault.behind(pattern.before))?;
            let glob = if are_prefixes { glob.open_ended() } else { glob };
            Ok(Pattern { text: item.text.to_owned(), negated, glob })
        };
        items(text)?.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether they take what has these values: one as a rule, none if it lacks the thing.
    pub(super) fn check(&self, values: &[&str]) -> Result<(), Miss<'_>> {
        let matches = |pattern: &&Pattern| values.iter().any(|value| pattern.glob.matches(value));
        let mut unwanted = self.0.iter().filter(|pattern| pattern.negated);
        if let Some(pattern) = unwanted.find(matches) {
            return Err(Miss::Excluded(&pattern.text));
        }
        let mut wanted = self.0.iter().filter(|pattern| !pattern.negated).peekable();
        if wanted.peek().is_none() || wanted.any(|pattern| matches(&pattern)) {
            return Ok(());
        }
        Err(Miss::Unmatched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &str, values: &[&str]) -> Result<(), String> {
        let patterns = Patterns::parse(patterns, false).unwrap();
        patterns.check(values).map_err(|miss| format!("{miss:?}"))
    }

    #[test]
    fn any_wanted_pattern_takes_and_any_negated_one_refuses() {
        let unmatched = Err("Unmatched".to_owned());
        for (patterns, values, wanted) in [
            ("web", &["web"][..], Ok(())),
            ("web", &["web1"], unmatched.clone()),
            ("web", &[], unmatched.clone()),
            ("web*+db", &["db"], Ok(())),
            ("web*+!web-test", &["web-1"], Ok(())),
            ("web*+!web-test", &["web-test"], Err("Excluded(\"!web-test\")".into())),
            ("!web-test+web*", &["web-test"], Err("Excluded(\"!web-test\")".into())),
            ("web*+!web-test", &["db"], unmatched.clone()),
            ("!test*", &["db"], Ok(())),
            ("!test*", &[], Ok(())),
            ("!a+!b", &["b"], Err("Excluded(\"!b\")".into())),
            (r"\!a", &["!a"], Ok(())),
            (r"a\+b+c", &["a+b"], Ok(())),
            (r"a\\+b", &[r"a\"], Ok(())),
            ("a+b", &["x", "b"], Ok(())),
            ("!a", &["x", "a"], Err("Excluded(\"!a\")".into())),
        ] {
            assert_eq!(check(patterns, values), wanted, "{patterns} and {values:?}");
        }
    }

    #[test]
    fn a_bad_list_is_named_with_the_character_of_the_whole_text() {
        for (patterns, at, said) in [
            ("", 1, "an item is empty"),
            ("a++b", 3, "an item is empty"),
            ("a+", 3, "an item is empty"),
            ("é+!", 3, "nothing follows the !"),
            ("é+![b", 4, "not closed"),
            (r"a+b\", 4, "nothing follows the backslash"),
        ] {
            let fault = Patterns::parse(patterns, false).unwrap_err();
            assert_eq!(fault.at, at, "{patterns}: {fault}");
            assert!(fault.what.contains(said), "{patterns}: {fault}");
        }
        let many = vec!["a"; MOST_ITEMS].join("+");
        assert!(Patterns::parse(&many, false).is_ok());
        let fault = Patterns::parse(&(many + "+b"), false).unwrap_err();
        assert_eq!((fault.at, fault.what.as_str()), (129, "more than 64 items; write fewer"));
    }

    #[test]
    fn an_item_is_split_at_the_first_mark_that_is_not_escaped() {
        let split = |text| {
            let (key, value) = Item { before: 3, text }.split_once('=');
            (key.text, value.map(|value| (value.before, value.text)))
        };
        assert_eq!(split("a=b=c"), ("a", Some((5, "b=c"))));
        assert_eq!(split(r"é\=b=c"), (r"é\=b", Some((8, "c"))));
        assert_eq!(split("a="), ("a", Some((5, ""))));
        assert_eq!(split("a"), ("a", None));
        assert_eq!(split(""), ("", None));
        let read = |text| unescaped(Item { before: 3, text });
        assert_eq!(read(r"a\=b\\"), Ok(r"a=b\".into()));
        assert_eq!(read(r"a\").unwrap_err().at, 5);
    }
}
