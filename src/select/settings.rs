//! What a container asks for by its labels under `downspout.`, as far as the operator lets it.
//! Never a destination: no label sends a line where no route goes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use super::rate::Rate;
use super::shown::Shown;
use crate::options::{did_you_mean, parse_facility, parse_flag, parse_severity};
use crate::record::Container;

/// What all labels of the agent begin with.
const PREFIX: &str = "downspout.";
/// Labels under the prefix that belong to an output, which reads them by itself.
const OF_OUTPUTS: [&str; 1] = ["stream"];
/// Longest tag in bytes.
const MOST_TAG_BYTES: usize = 256;
/// Longest value of a setting that is one word, in bytes.
const MOST_WORD_BYTES: usize = 64;
/// Most routes that a label may name.
const MOST_ROUTES: usize = 16;
/// Longest name of a route in bytes.
const MOST_NAME_BYTES: usize = 64;
/// Most problems that one container may cause.
const MOST_PROBLEMS: usize = 16;

/// The settings that a label may hold.
pub const SETTINGS: [&str; 8] = [
    "enable",
    "routes",
    "tag",
    "facility",
    "severity_stdout",
    "severity_stderr",
    "multiline",
    "rate",
];

/// Which settings the operator lets containers choose by label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed(Vec<&'static str>);

impl Default for Allowed {
    /// All of them: none says where lines go.
    fn default() -> Self {
        Self(SETTINGS.to_vec())
    }
}

impl Allowed {
    /// `all`, `none`, or settings with commas between, such as `enable,tag`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "all" => return Ok(Self::default()),
            "none" => return Ok(Self(Vec::new())),
            _ => {}
        }
        let mut allowed = Vec::new();
        let mut before = 0;
        for item in text.split(',') {
            let word = item.trim();
            let Some(setting) = SETTINGS.iter().find(|setting| **setting == word) else {
                let at = before + item.chars().take_while(|c| c.is_whitespace()).count() + 1;
                return Err(unknown_setting(word, at));
            };
            if !allowed.contains(setting) {
                allowed.push(*setting);
            }
            before += item.chars().count() + 1;
        }
        Ok(Self(allowed))
    }

    /// None of them.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether a label may hold this setting.
    pub fn allows(&self, setting: &str) -> bool {
        self.0.contains(&setting)
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("none"),
            settings if settings.len() == SETTINGS.len() => f.write_str("all"),
            settings => f.write_str(&settings.join(",")),
        }
    }
}

fn unknown_setting(word: &str, at: usize) -> String {
    if word == "all" || word == "none" {
        return format!("at character {at}: '{word}' stands alone; leave the others out");
    }
    let hint = did_you_mean(word, SETTINGS.into_iter())
        .unwrap_or_else(|| format!("expected all, none, or some of {}", SETTINGS.join(",")));
    format!("at character {at}: unknown setting '{}'; {hint}", Shown(word))
}

/// What one container asks for. `None` where it asks for nothing, or for something wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether it is shipped at all.
    pub enable: Option<bool>,
    /// The names of the routes that ship it, and no others; 16 at most.
    pub routes: Option<Vec<String>>,
    /// What it is called in the lines; 1 to 256 bytes. Hostile input.
    pub tag: Option<String>,
    /// The syslog facility, 0 to 23.
    pub facility: Option<u8>,
    /// The syslog severity of standard output, 0 to 7.
    pub severity_stdout: Option<u8>,
    /// The syslog severity of standard error, 0 to 7.
    pub severity_stderr: Option<u8>,
    /// How its lines are joined: whoever joins them knows the names. 64 bytes at most.
    pub multiline: Option<String>,
    /// How many lines it may send.
    pub rate: Option<Rate>,
    /// Labels that do nothing, each with its cure; 17 at most.
    pub problems: Vec<String>,
}

impl Settings {
    /// Reads the labels of a container.
    pub fn of(container: &Container, allowed: &Allowed) -> Self {
        let mut settings = Self::default();
        let mut left_out = 0_usize;
        for (name, value) in under_prefix(&container.labels) {
            if OF_OUTPUTS.contains(&name) {
                continue;
            }
            // Thousands of labels must not cost a search for what each may have meant.
            if settings.problems.len() == MOST_PROBLEMS && !SETTINGS.contains(&name) {
                left_out += 1;
                continue;
            }
            let Err(why) = settings.set(name, value, allowed) else {
                continue;
            };
            if settings.problems.len() == MOST_PROBLEMS {
                left_out += 1;
                continue;
            }
            let (name, value) = (Shown(name), Shown(value));
            settings.problems.push(format!("label {PREFIX}{name}={value}: {why}"));
        }
        if left_out > 0 {
            settings.problems.push(format!("{left_out} more labels under {PREFIX} do nothing"));
        }
        settings
    }

    /// What is wrong with the routes that it names, where a route has none of these names: such a
    /// container may be shipped nowhere.
    pub fn unknown_routes(&self, known: &[&str]) -> Vec<String> {
        let named = self.routes.iter().flatten().map(String::as_str);
        let unknown = named.filter(|name| !known.contains(name));
        let problem = |name: &str| {
            let hint = did_you_mean(name, known.iter().copied())
                .unwrap_or_else(|| format!("give a route the option name={name}"));
            format!("label {PREFIX}routes: no route has the name '{name}'; {hint}")
        };
        unknown.map(problem).collect()
    }

    fn set(&mut self, name: &str, value: &str, allowed: &Allowed) -> Result<(), String> {
        if !SETTINGS.contains(&name) {
            let known = SETTINGS.into_iter().chain(OF_OUTPUTS);
            let hint = did_you_mean(name, known)
                .unwrap_or_else(|| format!("known are {}", SETTINGS.join(", ")));
            return Err(format!("no such setting; {hint}"));
        }
        if !allowed.allows(name) {
            return Err(format!(
                "not allowed by DOWNSPOUT_LABELS={allowed}; add '{name}' there, or remove the label"
            ));
        }
        match name {
            "enable" => self.enable = Some(parse_flag(value)?),
            "routes" => self.routes = Some(parse_routes(value)?),
            "tag" => self.tag = Some(bounded(value, MOST_TAG_BYTES)?),
            "facility" => self.facility = Some(parse_facility(value)?),
            "severity_stdout" => self.severity_stdout = Some(parse_severity(value)?),
            "severity_stderr" => self.severity_stderr = Some(parse_severity(value)?),
            "multiline" => self.multiline = Some(bounded(value, MOST_WORD_BYTES)?),
            "rate" => self.rate = Some(Rate::parse(value)?),
            _ => {}
        }
        Ok(())
    }
}

fn under_prefix(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    labels
        .range::<str, _>((Bound::Included(PREFIX), Bound::Unbounded))
        .map_while(|(label, value)| Some((label.strip_prefix(PREFIX)?, value.as_str())))
}

fn bounded(value: &str, most: usize) -> Result<String, String> {
    match value.len() {
        0 => Err("the value is empty; remove the label, or give it one".into()),
        bytes if bytes > most => {
            Err(format!("the value has {bytes} bytes, {most} at most; write a shorter one"))
        }
        _ => Ok(value.to_owned()),
    }
}

fn parse_routes(text: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    let mut before = 0;
    for item in text.split(',') {
        let name = item.trim();
        let blanks = item.chars().take_while(|character| character.is_whitespace()).count();
        parse_name(name).map_err(|why| format!("at character {}: {why}", before + blanks + 1))?;
        if names.len() == MOST_ROUTES {
            return Err(format!("more than {MOST_ROUTES} routes; name fewer"));
        }
        names.push(name.to_owned());
        before += item.chars().count() + 1;
    }
    Ok(names)
}

/// The name of a route: 1 to 64 of the characters A to Z, a to z, 0 to 9, `_`, `.` and `-`.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let is_fine =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-');
    if text.is_empty() {
        return Err("a name is empty; write one such as audit or eu-west.1".into());
    }
    if let Some(place) = text.chars().position(|character| !is_fine(character)) {
        let (name, at) = (Shown(text), place + 1);
        return Err(format!(
            "the name '{name}' has something else than A-Z, a-z, 0-9, '_', '.' and '-' as its \
             character {at}; write one such as audit or eu-west.1"
        ));
    }
    if text.len() > MOST_NAME_BYTES {
        let bytes = text.len();
        return Err(format!(
            "the name has {bytes} characters, {MOST_NAME_BYTES} at most; write a shorter one"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(labels: &[(&str, &str)]) -> Container {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Container { labels: labels.collect(), ..Container::default() }
    }

    fn of(labels: &[(&str, &str)]) -> Settings {
        Settings::of(&container(labels), &Allowed::default())
    }

    #[test]
    fn every_label_sets_its_own_setting() {
        let settings = of(&[
            ("a", "1"),
            ("downspout", "x"),
            ("downspout-x", "x"),
            ("downspout.enable", "TRUE"),
            ("downspout.routes", "audit, eu-west.1"),
            ("downspout.tag", "shop/{x}"),
            ("downspout.facility", "local3"),
            ("downspout.severity_stdout", "notice"),
            ("downspout.severity_stderr", "crit"),
            ("downspout.multiline", "java"),
            ("downspout.rate", "6000/m"),
            ("downspout.stream", "of the output"),
            ("downspouts.tag", "x"),
        ]);
        let wanted = Settings {
            enable: Some(true),
            routes: Some(vec!["audit".into(), "eu-west.1".into()]),
            tag: Some("shop/{x}".into()),
            facility: Some(19),
            severity_stdout: Some(5),
            severity_stderr: Some(2),
            multiline: Some("java".into()),
            rate: Some(Rate::parse("6000/m").unwrap()),
            problems: Vec::new(),
        };
        assert_eq!(settings, wanted);
        assert_eq!(of(&[]), Settings::default());
    }

    #[test]
    fn a_label_that_does_nothing_is_a_problem_with_its_cure() {
        let many = vec!["a"; 17].join(",");
        let long = "é".repeat(129);
        let hour = format!("5/\u{1b}{}", "h".repeat(1 << 20));
        for (label, value, said) in [
            (
                "enbale",
                "true",
                "label downspout.enbale=true: no such setting; did you mean 'enable'?",
            ),
            ("steram", "x", "did you mean 'stream'?"),
            ("test", "1", "known are enable, routes, tag,"),
            ("destination", "tcp://evil:1", "no such setting"),
            ("", "1", "label downspout.=1: no such setting"),
            ("enable", "ja", "label downspout.enable=ja: expected true or false"),
            ("enable", "", "expected true or false"),
            ("routes", "", "at character 1: a name is empty"),
            ("routes", "a,", "at character 3: a name is empty"),
            ("routes", "a, b/c", "at character 4: the name 'b/c' has something else"),
            ("routes", &many, "more than 16 routes"),
            ("tag", "", "the value is empty"),
            ("tag", &long, "258 bytes, 256 at most"),
            ("facility", &long, "expected 0 to 23"),
            ("severity_stdout", "", "expected 0 to 7"),
            ("severity_stderr", &long, "expected 0 to 7"),
            ("multiline", "", "is empty"),
            ("rate", "5/h", "unknown unit 'h'"),
            ("rate", &hour, r"unknown unit '\u{1b}h"),
        ] {
            let settings = of(&[(&format!("downspout.{label}"), value)]);
            let [problem] = settings.problems.as_slice() else {
                panic!("{label}={value}: {settings:?}");
            };
            assert!(problem.len() < 500, "{label}: {} bytes", problem.len());
            assert!(problem.contains(said), "{label}={value}: {problem}");
            let nothing = Settings { problems: settings.problems.clone(), ..Settings::default() };
            assert_eq!(settings, nothing, "{label}={value}");
        }
    }

    #[test]
    fn the_problems_of_one_container_are_bounded() {
        let names: Vec<_> = (0..1000).map(|n| format!("downspout.\u{7}{n}")).collect();
        let labels: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let problems = of(&labels).problems;
        assert_eq!(problems.len(), MOST_PROBLEMS + 1);
        assert!(problems[0].starts_with(r"label downspout.\u{7}0=x: "), "{}", problems[0]);
        assert_eq!(problems[16], "984 more labels under downspout. do nothing");
    }

    #[test]
    fn a_setting_that_the_operator_does_not_allow_does_nothing() {
        let asks = container(&[("downspout.enable", "true"), ("downspout.tag", "x")]);
        let settings = Settings::of(&asks, &Allowed::parse("routes,enable").unwrap());
        assert_eq!((settings.enable, settings.tag), (Some(true), None));
        let said = "label downspout.tag=x: not allowed by DOWNSPOUT_LABELS=routes,enable; \
                    add 'tag' there, or remove the label";
        assert_eq!(settings.problems, [said]);
        let settings = Settings::of(&asks, &Allowed::parse("none").unwrap());
        assert!(settings.problems[0].contains("DOWNSPOUT_LABELS=none"), "{settings:?}");
        assert_eq!((settings.enable, settings.tag), (None, None));
    }

    #[test]
    fn the_operators_list_is_read_whole_or_refused_with_the_place() {
        for (text, shown) in [
            ("all", "all"),
            (" all ", "all"),
            ("none", "none"),
            ("tag", "tag"),
            ("tag, rate,tag", "tag,rate"),
            ("enable,routes,tag,facility,severity_stdout,severity_stderr,multiline,rate", "all"),
        ] {
            let allowed = Allowed::parse(text).unwrap();
            assert_eq!(allowed.to_string(), shown, "{text}");
            for setting in SETTINGS {
                let wanted = shown == "all" || text.split([',', ' ']).any(|word| word == setting);
                assert_eq!(allowed.allows(setting), wanted, "{text}: {setting}");
            }
        }
        for (text, said) in [
            ("", "at character 1: unknown setting ''; expected all, none, or some of enable,"),
            ("tag,, rate", "at character 5: unknown setting ''"),
            ("tag, rat", "at character 6: unknown setting 'rat'; did you mean 'rate'?"),
            ("tag,all", "at character 5: 'all' stands alone"),
            ("stream", "unknown setting 'stream'"),
        ] {
            let error = Allowed::parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_route_that_no_route_is_called_is_a_problem() {
        let settings = of(&[("downspout.routes", "audit,adit,zzz")]);
        let known = ["audit", "eu"];
        assert_eq!(
            settings.unknown_routes(&known),
            [
                "label downspout.routes: no route has the name 'adit'; did you mean 'audit'?",
                "label downspout.routes: no route has the name 'zzz'; give a route the option name=zzz",
            ]
        );
        assert!(of(&[]).unknown_routes(&known).is_empty());
    }

    #[test]
    fn a_name_is_short_and_plain() {
        for fine in ["a", "eu-west.1_B", &"a".repeat(64)] {
            assert_eq!(parse_name(fine).as_deref(), Ok(fine));
        }
        for (bad, said) in [
            ("", "is empty"),
            ("a b", "character 2"),
            ("é", "character 1"),
            (&*"a".repeat(65), "65 characters, 64 at most"),
        ] {
            let error = parse_name(bad).unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }
}
