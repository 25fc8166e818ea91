//! Filters and labels: any option is taken whole or refused with a reason; any container gets a
//! verdict that its explanation agrees with; and nothing that a stranger wrote comes out raw or
//! without a bound.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use downspout::options::Options;
use downspout::record::{Container, Details, Timestamp};
use downspout::select::{
    Allowed, Bucket, Exclusions, OPTIONS, Outcome, Rate, Rules, Selection, Settings,
    ShippedDrivers, Terminals, Verdict,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// A reason shows some values, of 80 characters each, and the rest are words of ours.
const MOST_REASON_CHARACTERS: usize = 1000;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    options: Vec<(u8, &'a str)>,
    exclude: Option<&'a str>,
    allowed: Option<&'a str>,
    rules: u8,
    labels: Vec<(u8, &'a str)>,
    name: &'a str,
    image: &'a str,
    logspout: Option<&'a str>,
    inspected: Option<(&'a str, bool)>,
    rate: &'a str,
    stamps: Vec<i64>,
}

const LABELS: &[&str] = &[
    "logspout.exclude",
    "downspout.enable",
    "downspout.routes",
    "downspout.tag",
    "downspout.rate",
    "downspout.typo",
    "downspout.stream",
    "com.docker.compose.project",
    "com.docker.swarm.service.name",
    "team",
];

fn pick<'a>(names: &[&'a str], choice: u8) -> &'a str {
    names[usize::from(choice) % names.len()]
}

fn selection(options: &[(u8, &str)]) -> Option<Selection> {
    let names: Vec<_> = OPTIONS.iter().map(|row| row.name).collect();
    // The last of each: one that is given twice is the table's business.
    let pairs: BTreeMap<_, _> =
        options.iter().map(|(key, value)| (pick(&names, *key), *value)).collect();
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut options = Options::new(pairs);
    let selection = Selection::take(&mut options);
    let problems = options.finish(&[OPTIONS]);
    assert_eq!(selection.is_some(), problems.is_empty(), "{problems:?}");
    selection
}

fn rules(input: &Input<'_>) -> Rules {
    let bit = |place: u8| input.rules >> place & 1 == 1;
    Rules {
        exclusions: Exclusions::parse(input.exclude, None).unwrap_or_default(),
        opt_in: bit(0),
        terminals: if bit(1) { Terminals::Ship } else { Terminals::Skip },
        shipped_drivers: if bit(2) { ShippedDrivers::Follow } else { ShippedDrivers::Skip },
        shipping: &["awslogs", "syslog"],
        allowed: input.allowed.and_then(|text| Allowed::parse(text).ok()).unwrap_or_default(),
        routes: Vec::new(),
    }
}

fn container(input: &Input<'_>) -> Container {
    let labels =
        input.labels.iter().map(|(key, value)| (pick(LABELS, *key).into(), (*value).into()));
    let variables = input.logspout.iter().map(|value| ("LOGSPOUT".into(), (*value).into()));
    let details = input
        .inspected
        .map(|(driver, tty)| Arc::new(Details { driver: driver.into(), tty, inspection: None }));
    Container {
        id: "0123456789ab".into(),
        name: input.name.into(),
        image: input.image.into(),
        labels: labels.collect(),
        variables: variables.collect(),
        details,
        ..Container::default()
    }
}

fuzz_target!(|input: Input<'_>| {
    let (rules, container) = (rules(&input), container(&input));
    let settings = Settings::of(&container, &rules.allowed);
    assert!(settings.problems.len() <= 17);
    assert!(settings.tag.is_none_or(|tag| (1..=256).contains(&tag.len())));

    if let Some(selection) = selection(&input.options) {
        let name = selection.name();
        let verdict = selection.verdict(name, &container, &rules);
        let steps = selection.explain(name, &container, &rules);
        let mut failed = steps.iter().filter_map(|step| match &step.outcome {
            Outcome::Failed(reason) => Some(reason),
            _ => None,
        });
        let unknown = steps.iter().any(|step| step.outcome == Outcome::Unknown);
        match (&verdict, failed.next()) {
            (Verdict::Skip(said), Some(first)) => {
                assert_eq!(said, first);
                let sentence = said.to_string();
                assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
                assert!(sentence.chars().count() <= MOST_REASON_CHARACTERS, "{sentence}");
            }
            (Verdict::Unknown, None) => assert!(unknown && container.details.is_none()),
            (Verdict::Ship(_), None) => assert!(!unknown),
            other => panic!("{other:?}"),
        }
        // What is refused early stays refused.
        if let Verdict::Skip(_) = selection.early(name, &container, &rules) {
            assert!(matches!(verdict, Verdict::Skip(_)));
        }
    }

    if let Ok(rate) = Rate::parse(input.rate) {
        let mut bucket = Bucket::new(rate);
        for stamp in input.stamps {
            bucket.admit(Timestamp::from_nanos(stamp));
        }
    }
});
