use super::*;

fn given(query: &str) -> Options {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Options::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
}

const ROWS: &[OptionSpec] = &[MULTILINE, PATTERN, MATCH, FLUSH, SEPARATOR, LINES, AWSLOGS_PATTERN];

fn joining(query: &str, logspout: Option<&LogspoutMultiline>) -> Joining {
    let mut options = given(query);
    let joining = take(&mut options, true, logspout);
    assert_eq!(options.finish(&[ROWS]), [], "{query}");
    joining
}

fn shown(multiline: Option<&Multiline>) -> String {
    multiline.map_or_else(|| "off".to_owned(), |multiline| format!("{multiline:?}"))
}

#[test]
fn a_route_joins_by_a_preset_or_by_any_of_four_ways_of_a_pattern() {
    for (query, parts) in [
        ("", &["off"][..]),
        ("multiline=off", &["off"]),
        ("multiline=off&multiline_flush=2s&multiline_lines=7&multiline_separator=", &["off"]),
        ("multiline=java", &["Preset(Java)", "1s", "[10]", "most_lines: 500"]),
        ("multiline=auto&multiline_flush=250ms", &["Preset(Auto)", "250ms"]),
        ("multiline_pattern=x", &["First(", "1s"]),
        ("awslogs-multiline-pattern=x&multiline_match=nonlast", &["NonLast("]),
        ("multiline=pattern&multiline_pattern=x&multiline_match=first", &["First("]),
        ("multiline_pattern=x&multiline_match=nonfirst", &["NonFirst("]),
        ("multiline_pattern=x&multiline_match=last&multiline_lines=9", &["Last(", "most_lines: 9"]),
        ("multiline_pattern=x&multiline_separator= | ", &["separator: [32, 124, 32]"]),
        ("multiline_pattern=x&multiline_separator=", &["separator: []"]),
    ] {
        let joining = joining(query, None);
        let shown = shown(joining.by_default());
        for part in parts {
            assert!(shown.contains(part), "{query}: {shown}");
        }
    }
}

#[test]
fn a_container_that_asks_gets_the_limits_of_the_route() {
    let query = "multiline=off&multiline_flush=2s&multiline_lines=7&multiline_separator=-";
    let asked = joining(query, None).for_container(Some("go"), None).unwrap();
    let shown = shown(asked.as_ref());
    for part in ["Preset(Go)", "2s", "most_lines: 7", "[45]"] {
        assert!(shown.contains(part), "{shown}");
    }
    let on = joining("", None).for_container(Some("on"), None).unwrap();
    assert!(format!("{on:?}").contains("Preset(Auto)"), "{on:?}");
}

#[test]
fn logspouts_variables_hold_where_the_route_says_nothing() {
    let logspout = |enable_default| {
        let texts = LogspoutTexts { enable_default, ..LogspoutTexts::default() };
        LogspoutMultiline::new(&texts).unwrap()
    };
    let (on, off) = (logspout(None), logspout(Some("false")));
    for (query, by_on, by_off) in [
        ("", "NonFirst(", "off"),
        ("multiline_flush=3s", "3s", "off"),
        ("multiline=off", "off", "off"),
        ("multiline=php", "Preset(Php)", "Preset(Php)"),
        ("multiline_pattern=x", "First(", "First("),
    ] {
        for (logspout, wanted) in [(&on, by_on), (&off, by_off)] {
            let shown = shown(joining(query, Some(logspout)).by_default());
            assert!(shown.contains(wanted), "{query}: {shown}");
        }
    }
    let asked = joining("", Some(&off)).for_container(None, Some("true")).unwrap();
    let shown = shown(asked.as_ref());
    assert!(shown.contains("NonFirst(") && shown.contains("500ms"), "{shown}");
}

#[test]
fn contradictions_are_named_with_their_cure() {
    let long = "-".repeat(65);
    for (query, wanted) in [
        (
            "multiline=cobol",
            "option 'multiline=cobol': expected off, java, python, go, node, dotnet, ruby, php, auto or pattern",
        ),
        (
            "multiline=java&multiline_pattern=x",
            "option 'multiline' names a preset, which needs no 'multiline_pattern'; keep one of them",
        ),
        (
            "multiline=java&awslogs-multiline-pattern=x",
            "option 'multiline' names a preset, which needs no 'awslogs-multiline-pattern'; keep one of them",
        ),
        (
            "multiline=off&multiline_pattern=x",
            "option 'multiline=off' and 'multiline_pattern' contradict each other; keep one of them",
        ),
        ("multiline=pattern", "option 'multiline=pattern' needs multiline_pattern"),
        ("multiline=java&multiline_match=last", "option 'multiline_match' needs multiline_pattern"),
        ("multiline_match=last", "option 'multiline_match' needs multiline_pattern"),
        (
            "multiline_pattern=x&multiline_match=all",
            "option 'multiline_match=all': expected first, nonfirst, last or nonlast",
        ),
        (
            "multiline_lines=9",
            "option 'multiline_lines' needs multiline_pattern or multiline; multiline=off if only containers ask for it",
        ),
        (
            "multiline_separator=",
            "option 'multiline_separator' needs multiline_pattern or multiline; multiline=off if only containers ask for it",
        ),
        (
            "multiline=go&multiline_lines=0",
            "option 'multiline_lines=0': expected a number from 1 to 100000",
        ),
        (
            "multiline=go&multiline_lines=100001",
            "option 'multiline_lines=100001': expected a number from 1 to 100000",
        ),
        (
            &format!("multiline=go&multiline_separator={long}"),
            &format!("option 'multiline_separator={long}': it has 65 bytes; expected 64 at most"),
        ),
        (
            "multiline_pattern=x&awslogs-multiline-pattern=x",
            "options 'multiline_pattern' and 'awslogs-multiline-pattern' mean the same; keep one of them",
        ),
    ] {
        let mut options = given(query);
        take(&mut options, true, None);
        let problems: Vec<_> = options.finish(&[ROWS]).iter().map(ToString::to_string).collect();
        assert_eq!(problems, [wanted], "{query}");
    }
}
