//! The verdict over whole containers, and the options over whole routes. Rows are written from
//! what logspout documents and from what our own options promise.

use std::sync::Arc;

use super::*;
use crate::options::Options;
use crate::record::{Details, Stream};

const SHIPPING: &[&str] = &["awslogs", "syslog"];

fn taken(query: &str) -> (Option<Selection>, Vec<String>) {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut options = Options::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let selection = Selection::take(&mut options);
    let problems = options.finish(&[OPTIONS]).iter().map(ToString::to_string).collect();
    (selection, problems)
}

fn selection(query: &str) -> Selection {
    let (selection, problems) = taken(query);
    assert_eq!(problems, [""; 0], "{query}");
    selection.unwrap()
}

fn rules() -> Rules {
    Rules { shipping: SHIPPING, ..Rules::default() }
}

/// `name=web image=… id=… driver=… tty=true var:KEY=value label=value`, inspected unless it says
/// `uninspected`.
fn container(text: &str) -> Container {
    let mut container = Container {
        id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
        name: "web".into(),
        image: "registry/team/web:1".into(),
        ..Container::default()
    };
    let mut details = Details { driver: "json-file".into(), ..Details::default() };
    for (key, value) in text.split(' ').filter_map(|word| word.split_once('=')) {
        match key {
            "name" => container.name = value.into(),
            "id" => container.id = value.into(),
            "image" => container.image = value.into(),
            "driver" => details.driver = value.into(),
            "tty" => details.tty = value == "true",
            _ => match key.strip_prefix("var:") {
                Some(key) => drop(container.variables.insert(key.into(), value.into())),
                None => drop(container.labels.insert(key.into(), value.into())),
            },
        }
    }
    container.details = (!text.contains("uninspected")).then(|| Arc::new(details));
    container
}

/// What is decided, in a word: `ship`, `unknown`, or the setting that refuses.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ship(_) => "ship",
        Verdict::Skip(reason) => reason.setting(),
        Verdict::Unknown => "unknown",
    }
}

fn decided(query: &str, text: &str, rules: &Rules) -> &'static str {
    let selection = selection(query);
    word(&selection.verdict(selection.name(), &container(text), rules))
}

#[test]
fn containers_that_logspout_ignores_are_ignored() {
    let excluding = |labels, label| {
        let exclusions = Exclusions::parse(labels, label).unwrap();
        Rules { exclusions, ..rules() }
    };
    let none = excluding(None, None);
    let canal = excluding(None, Some("k8s-app:canal"));
    let dots = Some("io.k8s.app:canal;io.k8s.part:net");
    let (one, many) = (excluding(None, dots), excluding(dots, Some("other")));
    let plain = excluding(Some("exclude"), None);
    for (rules, text, wanted) in [
        (&none, "", "ship"),
        (&none, "var:LOGSPOUT=ignore", "LOGSPOUT"),
        (&none, "var:LOGSPOUT=IGNORE", "LOGSPOUT"),
        (&none, "var:LOGSPOUT=foo", "ship"),
        (&none, "var:LOGSPOUT=", "ship"),
        (&none, "var:OTHER=ignore", "ship"),
        (&none, "logspout.exclude=true", "logspout.exclude"),
        (&none, "logspout.exclude=True", "logspout.exclude"),
        (&none, "logspout.exclude=false", "ship"),
        (&none, "exclude=true", "ship"),
        (&plain, "exclude=true", "EXCLUDE_LABELS"),
        (&plain, "exclude=TRUE", "EXCLUDE_LABELS"),
        (&plain, "exclude=false", "ship"),
        (&canal, "k8s-app=canal", "EXCLUDE_LABEL"),
        (&canal, "k8s-app=calico", "ship"),
        (&canal, "k8s-app=true", "ship"),
        (&one, "io.k8s.app=canal", "EXCLUDE_LABEL"),
        (&one, "io.k8s.part=net", "EXCLUDE_LABEL"),
        (&one, "io.k8s.app=x io.k8s.part=net", "EXCLUDE_LABEL"),
        (&one, "io.k8s.app=net io.k8s.part=canal", "ship"),
        (&many, "io.k8s.part=NET", "EXCLUDE_LABELS"),
        (&many, "other=true", "ship"),
    ] {
        assert_eq!(decided("", text, rules), wanted, "{text} with {:?}", rules.exclusions);
    }
}

#[test]
fn terminals_and_drivers_that_ship_are_the_operators_choice() {
    let skipping = Rules { terminals: Terminals::Skip, ..rules() };
    let following = Rules { shipped_drivers: ShippedDrivers::Follow, ..rules() };
    for (rules, text, wanted) in [
        (&skipping, "tty=true", "ALLOW_TTY"),
        (&skipping, "tty=false", "ship"),
        (&rules(), "tty=true", "ship"),
        (&rules(), "driver=awslogs", "DOWNSPOUT_SHIPPED_DRIVERS"),
        (&rules(), "driver=local", "ship"),
        (&following, "driver=awslogs", "ship"),
        (&Rules::default(), "driver=awslogs", "ship"),
    ] {
        assert_eq!(decided("", text, rules), wanted, "{text}");
    }
}

#[test]
fn every_option_looks_at_its_own_thing() {
    const COMPOSE: &str = "com.docker.compose.project=shop com.docker.compose.service=cart";
    const SWARM: &str = "com.docker.stack.namespace=shop com.docker.swarm.service.name=cart";
    const ECS: &str = "com.amazonaws.ecs.container-name=cart";
    let full = container("").id;
    for (query, text, wanted) in [
        ("filter.id=0123", "", "ship"),
        ("filter.id=0123456789AB", "", "ship"),
        ("filter.id=123", "", "filter.id"),
        (&format!("filter.id={full}"), "", "ship"),
        (&format!("filter.id={full}"), "id=0123456789ab", "filter.id"),
        ("filter.id=", "", "ship"),
        ("filter.name=w?b", "", "ship"),
        ("filter.name=w*", "name=web/1", "filter.name"),
        ("filter.name=web", "name=web1", "filter.name"),
        ("filter.name=", "", "ship"),
        ("filter.labels=team:w*,tier", "team=web tier=", "ship"),
        ("filter.labels=team:w*,tier", "team=web", "filter.labels"),
        ("filter.labels=", "", "ship"),
        ("filter.name=web&filter.labels=team", "team=a name=db", "filter.name"),
        ("filter.name=web&filter.labels=team", "", "filter.labels"),
        ("select.name=w*+!web-test", "", "ship"),
        ("select.name=w*+!web-test", "name=web-test", "select.name"),
        ("select.name=w*", "name=web/1", "ship"),
        ("select.id=0123", "", "ship"),
        ("select.id=!0123", "", "select.id"),
        ("select.id=123+9*", "", "select.id"),
        ("select.image=*/web:*", "", "ship"),
        ("select.image=web", "", "select.image"),
        ("select.project=sh*", COMPOSE, "ship"),
        ("select.project=sh*", SWARM, "ship"),
        ("select.project=sh*", ECS, "select.project"),
        ("select.project=!sh*", "", "ship"),
        ("select.service=cart", COMPOSE, "ship"),
        ("select.service=cart", SWARM, "ship"),
        ("select.service=cart", ECS, "ship"),
        ("select.service=shop", COMPOSE, "select.service"),
        ("select.service=!cart", ECS, "select.service"),
        ("select.driver=json-*+local", "", "ship"),
        ("select.driver=json-*+local", "driver=journald", "select.driver"),
        ("select.label=team=w*+!tier", "team=web", "ship"),
        ("select.label=team=w*+!tier", "team=web tier=1", "select.label"),
        ("select.name=web&select.image=nope*", "", "select.image"),
    ] {
        assert_eq!(decided(query, text, &rules()), wanted, "{query} and {text}");
    }
}

#[test]
fn containers_ask_for_a_route_by_label() {
    let all = rules();
    let opt_in = Rules { opt_in: true, ..rules() };
    let deaf = Rules { opt_in: true, allowed: Allowed::parse("tag").unwrap(), ..rules() };
    for (rules, query, text, wanted) in [
        (&all, "", "downspout.enable=false", "downspout.enable"),
        (&all, "", "downspout.enable=flase", "ship"),
        (&all, "name=audit", "downspout.routes=audit,eu", "ship"),
        (&all, "name=us", "downspout.routes=audit,eu", "downspout.routes"),
        (&all, "", "downspout.routes=audit,eu", "downspout.routes"),
        (&all, "opt_in=true", "", "opt_in"),
        (&all, "opt_in=true", "downspout.enable=true", "ship"),
        (&all, "opt_in=true", "downspout.enable=false", "downspout.enable"),
        (&all, "opt_in=true&name=eu", "downspout.routes=eu", "ship"),
        (
            &all,
            "opt_in=true&name=eu",
            "downspout.enable=true downspout.routes=us",
            "downspout.routes",
        ),
        (&opt_in, "", "", "opt_in"),
        (&opt_in, "", "downspout.enable=true", "ship"),
        (&opt_in, "opt_in=false", "", "ship"),
        (&opt_in, "", "downspout.enable=true logspout.exclude=true", "logspout.exclude"),
        (&deaf, "", "downspout.enable=true", "opt_in"),
        (&deaf, "opt_in=false", "downspout.enable=false", "ship"),
        (&deaf, "opt_in=false", "downspout.routes=eu", "ship"),
    ] {
        assert_eq!(decided(query, text, rules), wanted, "{query} and {text}");
    }
}

#[test]
fn before_an_inspection_only_what_is_certain_is_said() {
    let strict = Rules { terminals: Terminals::Skip, opt_in: true, ..rules() };
    for (rules, query, text, wanted) in [
        (&rules(), "", "", "unknown"),
        (&rules(), "", "var:LOGSPOUT=ignore", "LOGSPOUT"),
        (&rules(), "", "logspout.exclude=true", "logspout.exclude"),
        (&rules(), "filter.name=db", "", "filter.name"),
        (&rules(), "select.image=!*", "", "select.image"),
        (&rules(), "select.driver=local", "", "unknown"),
        (&rules(), "select.driver=local&select.label=team", "", "select.label"),
        (&strict, "", "", "opt_in"),
        (&strict, "", "downspout.enable=true", "unknown"),
    ] {
        let selection = selection(query);
        let uninspected = container(&format!("{text} uninspected"));
        assert_eq!(word(&selection.verdict("", &uninspected, rules)), wanted, "{query} {text}");
        // What was learnt since is not looked at.
        let inspected = container(&format!("{text} driver=awslogs tty=true"));
        assert_eq!(word(&selection.early("", &inspected, rules)), wanted, "{query} {text}");
    }
    // A container that needs nothing of an inspection but its variables needs one all the same.
    let follow = Rules { shipped_drivers: ShippedDrivers::Follow, ..rules() };
    assert_eq!(decided("", "uninspected", &follow), "unknown");
}

#[test]
fn each_check_that_needs_an_inspection_says_so_by_itself() {
    let unknown = |query: &str, rules: &Rules| -> Vec<_> {
        let steps = selection(query).explain("", &container("uninspected"), rules);
        let unknown = steps.into_iter().filter(|step| step.outcome == Outcome::Unknown);
        unknown.map(|step| step.setting).collect()
    };
    assert_eq!(unknown("", &rules()), ["LOGSPOUT", "DOWNSPOUT_SHIPPED_DRIVERS"]);
    let rules =
        Rules { terminals: Terminals::Skip, shipped_drivers: ShippedDrivers::Follow, ..rules() };
    assert_eq!(unknown("select.driver=x", &rules), ["select.driver", "LOGSPOUT", "ALLOW_TTY"]);
}

#[test]
fn streams_are_those_that_both_options_leave() {
    for (query, stdout, stderr) in [
        ("", true, true),
        ("filter.sources=stdout", true, false),
        ("filter.sources=stderr", false, true),
        ("filter.sources=stdout,stderr", true, true),
        ("filter.sources=stderr, stdout", true, true),
        ("select.stream=stdout", true, false),
        ("select.stream=stdout+stderr", true, true),
        ("select.stream=stderr&filter.sources=stdout,stderr", false, true),
    ] {
        let selection = selection(query);
        let Verdict::Ship(streams) = selection.verdict("", &container(""), &rules()) else {
            panic!("{query}");
        };
        assert_eq!(streams, selection.streams());
        let has = [Stream::Stdout, Stream::Stderr].map(|stream| streams.has(stream));
        assert_eq!(has, [stdout, stderr], "{query}");
    }
}

#[test]
fn bad_options_are_named_with_value_place_and_cure() {
    for (query, said) in [
        (
            "filter.sources=",
            "option 'filter.sources=': at character 1: an item is empty; write stdout, stderr or stdout,stderr, or leave the option out",
        ),
        (
            "filter.sources=stdout,stder",
            "at character 8: unknown stream 'stder'; did you mean 'stderr'?",
        ),
        ("filter.sources=all", "unknown stream 'all'; expected stdout, stderr or stdout,stderr"),
        ("select.stream=stdout,stderr", "expected stdout, stderr or stdout+stderr"),
        (
            "select.stream=stdout&filter.sources=stderr",
            "options 'filter.sources=stderr' and 'select.stream=stdout' together leave no stream",
        ),
        (
            "filter.id=01web",
            "option 'filter.id=01web': at character 3: an id has the characters 0-9 and a-f; for a name, write filter.name=",
        ),
        (
            &format!("filter.id={}", "a".repeat(65)),
            "at character 65: an id has 64 characters at most",
        ),
        (
            "filter.name=web[",
            "option 'filter.name=web[': at character 4: the class is not closed; write it as [a-c], or write \\[ for a bracket",
        ),
        (
            "filter.labels=a:b,c:[",
            "option 'filter.labels=a:b,c:[': at character 7: the class is not closed",
        ),
        ("select.name=a++b", "option 'select.name=a++b': at character 3: an item is empty"),
        ("select.id=[", "option 'select.id=[': at character 1"),
        ("select.image=[", "option 'select.image=[': at character 1"),
        ("select.project=[", "option 'select.project=[': at character 1"),
        ("select.service=[", "option 'select.service=[': at character 1"),
        ("select.driver=[", "option 'select.driver=[': at character 1"),
        (
            "select.label=com.*",
            "option 'select.label=com.*': at character 5: a label is written out",
        ),
        ("opt_in=maybe", "option 'opt_in=maybe': expected true or false"),
        ("name=a b", "option 'name=a b': the name 'a b' has something else"),
        ("filter.nmae=x", "unknown option 'filter.nmae'; did you mean 'filter.name'?"),
    ] {
        let (selection, problems) = taken(query);
        let [problem] = problems.as_slice() else {
            panic!("{query}: {problems:?}");
        };
        assert!(problem.contains(said), "{query}: {problem}");
        assert_eq!(selection.is_none(), !query.contains("nmae"), "{query}");
    }
    let (_, problems) = taken("filter.name=[&select.name=&opt_in=x&filter.sources=y");
    assert_eq!(problems.len(), 4, "all at once: {problems:?}");
}

const TWO_PROJECTS: &str = "com.docker.compose.project=a com.docker.stack.namespace=b";

/// Options, a container, and why it is not shipped.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "",
        "logspout.exclude=True",
        "it has the label logspout.exclude=True; remove the label to ship it",
    ),
    (
        "",
        "k8s-app=canal",
        "it has the label k8s-app=canal, which EXCLUDE_LABELS excludes; remove the label, or take it out of EXCLUDE_LABELS",
    ),
    (
        "",
        "var:LOGSPOUT=ignore",
        "its environment has LOGSPOUT=ignore; start it without the variable to ship it",
    ),
    (
        "",
        "downspout.enable=no",
        "it has the label downspout.enable=false; remove the label to ship it, or take 'enable' out of DOWNSPOUT_LABELS",
    ),
    (
        "name=us",
        "downspout.routes=audit,eu",
        "its label downspout.routes=audit,eu does not name the route us; add us to the label",
    ),
    (
        "",
        "downspout.routes=eu",
        "its label downspout.routes=eu does not name this route, which has no name; give the route one by name=, and add it to the label",
    ),
    (
        "opt_in=true",
        "",
        "opt_in=true, and it does not ask to be shipped; set its label downspout.enable=true",
    ),
    (
        "opt_in=true&name=eu",
        "",
        "opt_in=true, and it does not ask to be shipped; set its label downspout.enable=true or downspout.routes=eu",
    ),
    ("filter.name=web*", "name=db", "filter.name=web* does not match the name db"),
    ("filter.name=web*", "name=", "filter.name=web* does not match the name ''"),
    ("filter.id=ff", "id=0a", "filter.id=ff does not match the id 0a"),
    (
        "filter.labels=tier,team:web",
        "team=db tier=1",
        "filter.labels=team:web does not match the label team=db",
    ),
    ("select.label=team=web", "", "select.label=team=web does not match: it has no label team"),
    ("select.label=!team", "team=db", "!team in select.label excludes the label team=db"),
    ("select.name=w*+!web", "", "!web in select.name excludes the name web"),
    ("select.project=x", "", "select.project=x does not match: it has no project"),
    ("select.project=x", TWO_PROJECTS, "select.project=x does not match the project a or b"),
    ("select.driver=local", "", "select.driver=local does not match the log driver json-file"),
    ("filter.name=w", "name=\u{1b}[2J", r"filter.name=w does not match the name \u{1b}[2J"),
    (
        "",
        "tty=true",
        "it has a terminal, and ALLOW_TTY=false or DOWNSPOUT_TTY=skip leaves those out; without that it is shipped, each line as standard output",
    ),
    (
        "",
        "driver=awslogs",
        "its log driver awslogs ships already; DOWNSPOUT_SHIPPED_DRIVERS=follow to follow it",
    ),
];

#[test]
fn a_reason_names_the_thing_the_value_and_the_cure() {
    let exclusions = Exclusions::parse(Some("k8s-app:canal"), None).unwrap();
    let rules = Rules { exclusions, terminals: Terminals::Skip, ..rules() };
    for (query, text, said) in REASONS {
        let selection = selection(query);
        match selection.verdict(selection.name(), &container(text), &rules) {
            Verdict::Skip(reason) => assert_eq!(reason.to_string(), *said, "{query} and {text}"),
            verdict => panic!("{query} and {text}: {verdict:?}"),
        }
    }
}

#[test]
fn an_explanation_lists_every_check_and_agrees_with_the_verdict() {
    let query = "name=eu&opt_in=false&filter.name=web&select.label=team+!tier&select.driver=local\
                 &select.name=w*&filter.id=01&filter.labels=team";
    let selection = selection(query);
    let container = container("team=a tier=1 downspout.enable=true downspout.routes=eu");
    let steps = selection.explain("eu", &container, &rules());
    let shown: Vec<_> = steps
        .iter()
        .map(|step| {
            let outcome = match &step.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed(_) => "failed",
                Outcome::Unknown => "unknown",
            };
            let value = step.value.as_deref().unwrap_or("-");
            format!("{} {value} {} {outcome}", step.setting, step.origin)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "EXCLUDE_LABELS - all routes passed",
            "logspout.exclude - the container passed",
            "downspout.enable true the container passed",
            "downspout.routes eu the container passed",
            "opt_in false the route passed",
            "filter.id 01 the route passed",
            "filter.name web the route passed",
            "filter.labels team the route passed",
            "select.name w* the route passed",
            "select.driver local the route failed",
            "select.label team+!tier the route failed",
            "LOGSPOUT - the container passed",
            "ALLOW_TTY true all routes passed",
            "DOWNSPOUT_SHIPPED_DRIVERS skip all routes passed",
        ]
    );
    let first = steps.into_iter().find_map(|step| match step.outcome {
        Outcome::Failed(reason) => Some(reason),
        _ => None,
    });
    let verdict = selection.verdict("eu", &container, &rules());
    assert_eq!(first.map(Verdict::Skip), Some(verdict));
}
