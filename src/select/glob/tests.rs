//! The glob against rows written from Go's documentation of `path.Match`, and against a matcher
//! that tries everything.

use proptest::prelude::*;

use super::*;

fn matches(wildcards: Wildcards, pattern: &str, text: &str) -> bool {
    Glob::parse(pattern, wildcards).unwrap().matches(text)
}

#[test]
fn a_path_glob_matches_as_go_documents_it() {
    for (pattern, text, wanted) in [
        ("", "", true),
        ("", "a", false),
        ("web", "web", true),
        ("web", "webs", false),
        ("web", "we", false),
        ("*", "", true),
        ("*", "web", true),
        ("*", "a/b", false),
        ("w*", "w", true),
        ("w*", "web", true),
        ("w*", "web/1", false),
        ("w*/1", "web/1", true),
        ("*eb", "web", true),
        ("*x", "xxx", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("a?b", "a☺b", true),
        ("a??b", "a☺b", false),
        ("a?b", "a/b", false),
        ("ab[c]", "abc", true),
        ("ab[b-d]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^b-d]", "abc", false),
        ("ab[^e-g]", "abc", true),
        ("a[^a]b", "a☺b", true),
        ("a[^a][^a][^a]b", "a☺b", false),
        ("a[^x]b", "a/b", true),
        ("[a-ζ]*", "α", true),
        ("*[a-ζ]", "A", false),
        (r"[\]a]", "]", true),
        (r"[\-]", "-", true),
        (r"[x\-]", "x", true),
        (r"[x\-]", "-", true),
        (r"[x\-]", "z", false),
        (r"[\-x]", "a", false),
        ("[a-c1-3]", "2", true),
        (r"a\*b", "a*b", true),
        (r"a\*b", "ab", false),
        (r"a\b", "ab", true),
        ("***w**b***", "web", true),
        // The first run takes as little as it can and is not asked again, in Go as here.
        ("*[^a]*x", "bc/x", false),
    ] {
        assert_eq!(matches(Wildcards::Path, pattern, text), wanted, "{pattern} and {text}");
    }
}

#[test]
fn our_own_wildcards_cross_slashes() {
    for (pattern, text, wanted) in [
        ("*", "registry/team/web:1", true),
        ("*/web:*", "registry/team/web:1", true),
        ("reg?stry?team*", "registry/team/web", true),
        ("*/web", "registry/team/web:1", false),
    ] {
        assert_eq!(matches(Wildcards::All, pattern, text), wanted, "{pattern} and {text}");
    }
}

#[test]
fn a_malformed_glob_is_named_with_the_place_of_its_fault() {
    for (pattern, at, said) in [
        ("[]a]", 2, "']' cannot stand here"),
        ("[-]", 2, "'-' cannot stand here"),
        ("[x-]", 4, "']' cannot stand here"),
        ("[-x]", 2, "'-' cannot stand here"),
        ("[a-b-c]", 5, "'-' cannot stand here"),
        ("[", 1, "not closed"),
        ("[^", 1, "not closed"),
        ("é[^bc", 2, "not closed"),
        ("a[", 2, "not closed"),
        ("a/b[", 4, "not closed"),
        ("[a-", 1, "not closed"),
        (r"web\", 4, r"write \\"),
        (r"[a\", 3, r"write \\"),
        ("[z-a]", 2, "write a-z"),
    ] {
        let fault = Glob::parse(pattern, Wildcards::Path).unwrap_err();
        assert_eq!(fault.at, at, "{pattern}: {fault}");
        assert!(fault.to_string().contains(said), "{pattern}: {fault}");
    }
}

#[test]
fn a_pattern_is_bounded_and_a_long_text_is_looked_at_as_far_as_its_beginning() {
    let most = "é".repeat(MOST_PATTERN_BYTES / 2);
    assert!(Glob::parse(&most, Wildcards::All).is_ok());
    let said = Glob::parse(&(most + "a"), Wildcards::All).unwrap_err().to_string();
    assert!(said.contains("1025 bytes, 1024 at most"), "{said}");

    let long = format!("web{}x", "é".repeat(LOOK_BYTES));
    assert!(matches(Wildcards::All, "web*", &long));
    assert!(!matches(Wildcards::All, "*x", &long));
}

#[test]
fn a_prefix_may_go_on() {
    let glob = Glob::parse("0a[1-3]", Wildcards::All).unwrap().open_ended();
    assert!(glob.matches("0a2") && glob.matches("0a2ff") && !glob.matches("0a4ff"));
}

#[test]
fn the_worst_pattern_and_text_end_soon() {
    let pattern = format!("*{}b", "a*".repeat(511));
    let text = "a".repeat(LOOK_BYTES);
    assert!(!matches(Wildcards::All, &pattern, &text));
    let pattern = format!("*{}b", "a".repeat(1000));
    assert!(!matches(Wildcards::All, &pattern, &text));
}

/// Every way in which a pattern can be laid over a text, by the grammar. Without classes.
fn naive(wildcards: Wildcards, pattern: &[char], text: &[char]) -> bool {
    let crosses = |character: char| wildcards == Wildcards::All || character != '/';
    match (pattern, text) {
        ([], text) => text.is_empty(),
        (['*', rest @ ..], text) => {
            naive(wildcards, rest, text)
                || text
                    .split_first()
                    .is_some_and(|(first, left)| crosses(*first) && naive(wildcards, pattern, left))
        }
        (['?', rest @ ..], [first, left @ ..]) => crosses(*first) && naive(wildcards, rest, left),
        (['\\', wanted, rest @ ..] | [wanted, rest @ ..], [first, left @ ..]) => {
            wanted == first && naive(wildcards, rest, left)
        }
        (_, []) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_matcher_agrees_with_one_that_tries_everything(
        pieces in prop::collection::vec(
            prop::sample::select(vec!["a", "b", "/", "*", "*", "?", r"\*", r"\a"]), 0..8),
        text in "[ab/*]{0,9}",
        path in any::<bool>(),
    ) {
        let wildcards = if path { Wildcards::Path } else { Wildcards::All };
        let pattern = pieces.concat();
        let (letters, over): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
        prop_assert_eq!(
            matches(wildcards, &pattern, &text), naive(wildcards, &letters, &over),
            "{} and {}", pattern, text
        );
    }

    #[test]
    fn no_pattern_and_no_text_make_it_panic(pattern in r"[-\[\]^\\*?a-cé/]{0,12}|\PC*", text in "\\PC*") {
        match Glob::parse(&pattern, Wildcards::Path) {
            Ok(glob) => { glob.matches(&text); }
            Err(fault) => prop_assert!((1..=pattern.chars().count()).contains(&fault.at), "{}", fault),
        }
    }
}
