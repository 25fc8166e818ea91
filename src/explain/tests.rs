//! The report on containers that the tests make up. The oracle is what the settings say; the bytes of
//! examples are written down by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::judge::Around;
use super::look::{Facts, Reading};
use super::position::Positions;
use super::report::Report;
use crate::checkpoint::Snapshot;
use crate::config::{Command, SourceChoice, parse};
use crate::lane::Kept;
use crate::record::{Container, Cursor, Details, Mark, Resume, Stream, Timestamp};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A container and the positions that are kept of it.
struct Scene {
    container: Container,
    details: Details,
    is_own: bool,
    reading: Reading,
    positions: Positions,
}

impl Scene {
    fn new(labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Self {
            container: Container {
                id: ID.into(),
                name: "web".into(),
                image: "nginx:1".into(),
                host: "node".into(),
                labels: labels.collect(),
                ..Container::default()
            },
            details: Details { driver: "json-file".into(), ..Details::default() },
            is_own: false,
            reading: Reading::File(PathBuf::from("/logs/web.log")),
            positions: Positions::Off,
        }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.container.variables.insert(name.into(), value.into());
        self
    }

    fn report(self, env: &[(&str, &str)], arguments: &[&str]) -> Report {
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let words = ["explain", "web"].iter().chain(arguments);
        let words: Vec<String> = words.map(|word| (*word).to_owned()).collect();
        let Ok(Command::Explain { config, given, container, .. }) = parse(&env, &words) else {
            panic!("{env:?} {words:?}");
        };
        assert_eq!(container, "web");
        let mut config = *config;
        let SourceChoice::Docker(settings) = config.source else { panic!("no Docker") };
        let details = Some(Arc::new(self.details));
        let facts = Facts {
            container: Arc::new(Container { details, ..self.container }),
            state: "running".into(),
            is_own: self.is_own,
            reading: self.reading,
        };
        let around = Around {
            facts: &facts,
            rules: &config.rules,
            settings: &settings,
            given: &given,
            positions: &self.positions,
            plan: &config.plan,
            now: Timestamp::parse(b"2026-01-02T03:04:05.678901234Z").unwrap(),
        };
        around.report(&mut config.routes)
    }
}

fn json(report: &Report) -> Value {
    serde_json::from_str(&report.json()).unwrap()
}

/// Value and origin of a setting on the first route.
#[track_caller]
fn row(report: &Report, name: &str) -> (String, String) {
    let row = report.routes[0].settings.iter().find(|row| row.name == name);
    let row = row.unwrap_or_else(|| panic!("no {name}: {}", report.text()));
    (row.value.clone(), row.origin.clone())
}

#[test]
fn every_setting_is_told_with_where_it_comes_from() {
    let labels =
        [("downspout.tag", "shop"), ("downspout.facility", "local3"), ("downspout.rate", "100/s")];
    let syslog = "syslog+tcp://h:1";
    let report = |env: &[(&str, &str)], labels: &[(&str, &str)], uri: &str| {
        Scene::new(labels).report(env, &[uri])
    };
    for (env, labels, query, name, value, origin) in [
        (&[][..], &[][..], "", "format", "rfc5424", "default"),
        (&[], &[], "?format=rfc3164", "format", "rfc3164", "route option format"),
        (&[("SYSLOG_PID", "1")], &[], "", "format", "logspout", "variable SYSLOG_PID"),
        (&[], &[], "?append_tag=.x", "format", "logspout", "route option append_tag"),
        (&[], &[], "", "framing", "octet-counting", "default"),
        (&[], &[], "?framing=lf", "framing", "lf", "route option framing"),
        (
            &[("SYSLOG_TCP_FRAMING", "octet-counted")],
            &[],
            "",
            "framing",
            "octet-counting",
            "variable SYSLOG_TCP_FRAMING",
        ),
        (&[], &[], "", "tag", "web", "default"),
        (&[], &labels, "?tag=x", "tag", "shop", "label downspout.tag"),
        (&[], &[], "?tag={{.ID}}", "tag", "{{.ID}}", "route option tag"),
        (&[("SYSLOG_TAG", "t")], &[], "", "tag", "t", "variable SYSLOG_TAG"),
        (&[], &[], "?append_tag=.x", "tag", "web and .x", "route option append_tag"),
        (&[], &[], "", "host", "node", "Docker"),
        (&[("DOWNSPOUT_HOSTNAME", "h")], &[], "", "host", "h", "variable DOWNSPOUT_HOSTNAME"),
        (&[], &[], "?hostname=x", "host", "x", "route option hostname"),
        (&[], &[], "", "facility", "user", "default"),
        (&[], &labels, "", "facility", "19", "label downspout.facility"),
        (
            &[],
            &[],
            "?severity_stderr=crit",
            "severity_stderr",
            "crit",
            "route option severity_stderr",
        ),
        (&[("SYSLOG_PRIORITY", "9")], &[], "", "priority", "9", "variable SYSLOG_PRIORITY"),
        (&[], &labels, "", "rate", "100/s", "label downspout.rate"),
        (&[("DOWNSPOUT_LABELS", "none")], &labels, "", "rate", "no limit", "default"),
        (&[], &[], "", "streams", "stdout,stderr", "default"),
        (&[], &[], "?filter.sources=stderr", "streams", "stderr", "route option filter.sources"),
        (&[], &[], "?name=audit", "name", "audit", "route option name"),
    ] {
        let report = report(env, labels, &format!("{syslog}{query}"));
        let wanted = (value.to_owned(), origin.to_owned());
        assert_eq!(row(&report, name), wanted, "{env:?} {query} {name}");
    }
    let raw = report(&[], &labels, "udp://h:1");
    assert_eq!(row(&raw, "format"), ("raw".into(), "scheme".into()));
    assert!(!raw.routes[0].settings.iter().any(|row| row.name == "tag"), "raw has none");
    let memory = report(&[("DOWNSPOUT_MEMORY_LIMIT", "32MiB")], &[], syslog);
    let (value, origin) = row(&memory, "memory");
    assert!(value.ends_with("of 32768 KiB"), "{value}");
    assert_eq!(origin, "variable DOWNSPOUT_MEMORY_LIMIT");
    let flag = Scene::new(&[]).report(&[], &["--memory-limit=32MiB", syslog]);
    assert_eq!(row(&flag, "memory").1, "flag --memory-limit");
}

#[cfg(feature = "cloudwatch")]
#[test]
fn a_store_is_told_with_its_names() {
    let report = Scene::new(&[])
        .report(&[("LOGSPOUT_GROUP", "shop")], &["cloudwatch://eu-west-1?stream={{.ID}}"]);
    assert_eq!(row(&report, "group"), ("shop".into(), "variable LOGSPOUT_GROUP".into()));
    assert_eq!(row(&report, "stream"), ("{{.ID}}".into(), "route option stream".into()));
    assert_eq!(report.routes[0].examples[0].bytes, "example");
}

#[test]
fn joined_lines_are_told_by_who_has_asked_for_them() {
    let java = &[("downspout.multiline", "java")][..];
    let indented = r"pattern ^\s, which all lines of a record but the first match";
    for (uri, label, variable, value, origin) in [
        ("tcp://h:1", &[][..], "", "off", "default"),
        ("tcp://h:1", java, "", "java", "label downspout.multiline"),
        // Who joins no lines does not ask the variable, as in logspout.
        ("tcp://h:1", &[], "true", "off", "default"),
        ("tcp://h:1", &[("downspout.multiline", "on")], "", "auto", "label downspout.multiline"),
        ("tcp://h:1?multiline=python", &[], "", "python", "route option multiline"),
        ("tcp://h:1?multiline=python", java, "false", "java", "label downspout.multiline"),
        (
            "tcp://h:1?multiline=python",
            &[],
            "false",
            "off",
            "variable LOGSPOUT_MULTILINE of the container",
        ),
        (
            "tcp://h:1?multiline_pattern=x&multiline_match=last",
            &[],
            "",
            "pattern x, which the last line of a record matches",
            "route option multiline_pattern",
        ),
        ("multiline+tcp://h:1", &[], "", indented, "scheme multiline+"),
        ("multiline+tcp://h:1?multiline=off", &[], "", "off", "route option multiline"),
    ] {
        let report = Scene::new(label).variable("LOGSPOUT_MULTILINE", variable).report(&[], &[uri]);
        let wanted = (value.to_owned(), origin.to_owned());
        assert_eq!(row(&report, "multiline"), wanted, "{uri} {label:?} {variable}");
    }
    let env = [("MULTILINE_PATTERN", "!$"), ("MULTILINE_MATCH", "LAST")];
    let report = Scene::new(&[]).report(&env, &["multiline+tcp://h:1"]);
    let (value, origin) = row(&report, "multiline");
    assert_eq!(value, "pattern !$, which the last line of a record matches");
    assert_eq!(origin, "variable MULTILINE_PATTERN, variable MULTILINE_MATCH");
    let off = [("MULTILINE_ENABLE_DEFAULT", "false")];
    let report = Scene::new(&[]).report(&off, &["multiline+tcp://h:1"]);
    assert_eq!(
        row(&report, "multiline"),
        ("off".into(), "variable MULTILINE_ENABLE_DEFAULT".into())
    );
    let report = Scene::new(&[]).variable("LOGSPOUT_MULTILINE", "TRUE");
    let report = report.report(&off, &["multiline+tcp://h:1"]);
    let asked = "variable LOGSPOUT_MULTILINE of the container";
    assert_eq!(row(&report, "multiline"), (indented.into(), asked.into()));
    let report = Scene::new(&[("downspout.multiline", "cobol")]).report(&[], &["tcp://h:1"]);
    assert_eq!(row(&report, "multiline"), ("off".into(), "default".into()));
    assert!(report.problems[0].contains("\"cobol\" is no way to join lines"), "{report:?}");
}

#[test]
fn a_line_is_shown_as_it_goes_over_the_wire() {
    for (uri, tty, stdout, stderr) in [
        (
            "syslog+tcp://h:1",
            false,
            "67 <14>1 2026-01-02T03:04:05.678901Z node web 0123456789ab - - example",
            Some("67 <11>1 2026-01-02T03:04:05.678901Z node web 0123456789ab - - example"),
        ),
        ("tcp://h:1", true, "example\n", None),
        ("udp://h:1?filter.sources=stdout", false, "example\n", None),
    ] {
        let mut scene = Scene::new(&[]);
        scene.details.tty = tty;
        let report = scene.report(&[], &[uri]);
        let shown: Vec<_> =
            report.routes[0].examples.iter().map(|e| (e.stream, e.bytes.as_str())).collect();
        let mut wanted = vec![(Stream::Stdout, stdout)];
        wanted.extend(stderr.map(|bytes| (Stream::Stderr, bytes)));
        assert_eq!(shown, wanted, "{uri}");
    }
}

#[test]
fn a_container_that_is_kept_out_is_told_by_what_and_by_whom() {
    let tcp = "tcp://h:1";
    for (labels, env, uri, setting, origin) in [
        (
            &[("team", "x")][..],
            &[("EXCLUDE_LABELS", "team:x")][..],
            tcp,
            "EXCLUDE_LABELS",
            "variable EXCLUDE_LABELS",
        ),
        (&[("logspout.exclude", "true")], &[], tcp, "logspout.exclude", "label logspout.exclude"),
        (&[("downspout.enable", "false")], &[], tcp, "downspout.enable", "label downspout.enable"),
        (&[("downspout.routes", "a")], &[], tcp, "downspout.routes", "label downspout.routes"),
        (&[], &[("DOWNSPOUT_OPT_IN", "true")], tcp, "opt_in", "variable DOWNSPOUT_OPT_IN"),
        (&[], &[], "tcp://h:1?opt_in=true", "opt_in", "route option opt_in"),
        (&[], &[], "tcp://h:1?filter.name=db*", "filter.name", "route option filter.name"),
        (&[], &[], "tcp://h:1?select.image=x", "select.image", "route option select.image"),
        (&[], &[("ALLOW_TTY", "false")], tcp, "ALLOW_TTY", "variable ALLOW_TTY"),
        (&[], &[("DOWNSPOUT_TTY", "skip")], tcp, "ALLOW_TTY", "variable DOWNSPOUT_TTY"),
    ] {
        let mut scene = Scene::new(labels);
        scene.details.tty = true;
        let report = scene.report(env, &[uri]);
        let route = &json(&report)["routes"][0];
        let found = (&route["reason"]["setting"], &route["reason"]["origin"], &route["shipped"]);
        assert_eq!(found, (&setting.into(), &origin.into(), &false.into()), "{env:?} {uri}");
        let outcome = |check: &&Value| check["setting"] == setting;
        let checks = route["checks"].as_array().unwrap();
        assert_eq!(checks.iter().find(outcome).unwrap()["outcome"], "failed", "{route:#}");
        assert!(!report.is_shipped());
        let text = report.text();
        assert!(text.contains("h:1: NOT SHIPPED\n  Why: "), "{text}");
        assert!(text.ends_with("Shipped by 0 of 1 route.\n"), "{text}");
    }
    let ignored = Scene::new(&[]).variable("LOGSPOUT", "Ignore").report(&[], &[tcp]);
    let reason = ignored.routes[0].reason.as_ref().unwrap();
    assert_eq!(reason.origin, "variable LOGSPOUT of the container");
    let mut ships = Scene::new(&[]);
    ships.details.driver = "syslog".into();
    let ships = ships.report(&[], &[tcp]);
    assert_eq!(ships.routes[0].reason.as_ref().unwrap().setting, "DOWNSPOUT_SHIPPED_DRIVERS");
}

#[test]
fn one_route_of_two_is_enough() {
    let report = Scene::new(&[("downspout.routes", "b,zzz")])
        .report(&[], &["tcp://h:1?name=a", "tcp://h:2?name=b"]);
    let shipped: Vec<_> = report.routes.iter().map(|route| route.streams.is_some()).collect();
    assert_eq!((shipped, report.is_shipped()), (vec![false, true], true));
    assert!(report.problems[0].contains("no route has the name 'zzz'"), "{:?}", report.problems);
    assert!(report.text().ends_with("Shipped by 1 of 2 routes.\n"), "{}", report.text());
}

#[test]
fn our_own_container_and_one_without_a_log_are_shipped_by_no_route() {
    let mut own = Scene::new(&[]);
    own.is_own = true;
    let own = own.report(&[], &["tcp://h:1"]);
    assert!(!own.is_shipped() && own.text().contains("own container, which is never shipped"));
    assert_eq!(json(&own)["container"]["own"], true);
    for (reading, shipped, by, said) in [
        (Reading::Nothing, false, "nothing", "DOWNSPOUT_ATTACH=true"),
        (Reading::Attach, true, "attach", "while it is attached to"),
        (Reading::Api("x".into()), true, "api", "through Docker's API (x)"),
        (Reading::Unknown("y".into()), true, "unknown", "not known: y"),
    ] {
        let mut scene = Scene::new(&[]);
        scene.reading = reading;
        let report = scene.report(&[], &["tcp://h:1"]);
        assert_eq!((report.is_shipped(), &json(&report)["reading"]["by"]), (shipped, &by.into()));
        assert!(report.text().contains(said), "{}", report.text());
    }
    let mut both = Scene::new(&[("logspout.exclude", "true")]);
    both.reading = Reading::Nothing;
    let both = both.report(&[], &["tcp://h:1"]);
    assert_eq!(both.routes[0].reason.as_ref().unwrap().setting, "logspout.exclude");
}

#[test]
fn the_position_is_what_the_next_start_would_begin_with() {
    let at = |text: &str| Timestamp::parse(text.as_bytes()).unwrap();
    let since = at("2026-01-01T00:00:00Z");
    let mut settled = Cursor::default();
    settled.advance(Stream::Stdout, Mark { time: at("2026-01-01T00:00:07Z"), pieces: 1 });
    let resume = |floor, cursor| Resume { floor, cursor };
    let kept = |name: &str, resume: Option<Resume>| {
        let logs = resume.map(|resume| (ID.to_owned(), resume)).into_iter().collect();
        Positions::Kept(Snapshot::from([(name.to_owned(), Kept { since, logs })]))
    };
    let backlog = &[("BACKLOG", "true")][..];
    let tail = &[("BACKLOG", "true"), ("TAIL", "7")][..];
    let mine = "tcp://h:1";
    for (positions, env, said) in [
        (Positions::Off, &[][..], "DOWNSPOUT_STATE_DIR=off): begins with what is printed from the"),
        (Positions::Unreadable("why".into()), &[], "cannot be read: why"),
        (kept("tcp://other:1", None), &[], "from the start of the agent on"),
        (kept("tcp://other:1", None), backlog, "at the beginning of the log (BACKLOG)"),
        (kept("tcp://other:1", None), tail, "with the last 7 records of the log (TAIL)"),
        (kept(mine, None), &[], "printed from 2026-01-01T00:00:00.000000000Z on"),
        (kept(mine, None), backlog, "at the beginning of the log (BACKLOG)"),
        (
            kept(mine, Some(resume(Some(since), settled))),
            backlog,
            "goes on behind the last line that the destination has, of 2026-01-01T00:00:07.000000000Z",
        ),
        (
            kept(mine, Some(resume(Some(since), Cursor::default()))),
            &[],
            "no line yet, and begins with what was printed from 2026-01-01T00:00:00.000000000Z on",
        ),
        (
            kept(mine, Some(resume(None, Cursor::default()))),
            &[],
            "no line yet, and begins at the beginning",
        ),
    ] {
        let mut scene = Scene::new(&[]);
        scene.positions = positions;
        let report = scene.report(env, &[mine]);
        let position = &report.routes[0].position;
        assert!(position.contains(said), "{env:?}: {position}");
    }
}

#[test]
fn labels_that_do_nothing_are_told_with_their_cure() {
    let labels = [("downspout.tagg", "x"), ("downspout.facility", "loud")];
    let report = Scene::new(&labels).report(&[], &["tcp://h:1"]);
    let text = report.text();
    assert!(text.contains("did you mean 'tag'?"), "{text}");
    assert!(text.contains("PROBLEM: label downspout.facility=loud: expected 0 to 23"), "{text}");
    assert_eq!(json(&report)["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn hostile_names_and_labels_command_no_terminal_and_break_no_json() {
    let hostile = "a\u{1b}[2J\nPROBLEM\r\u{9b}\u{202e}\"";
    let long = hostile.repeat(100_000);
    let mut scene = Scene::new(&[
        ("com.docker.compose.project", hostile),
        ("downspout.tag", hostile),
        ("logspout.exclude", &long),
        ("downspout.x\u{1b}", hostile),
    ]);
    scene.container.name = hostile.into();
    scene.container.image = long.clone();
    let scene = scene.variable("LOGSPOUT", hostile);
    let report = scene.report(&[], &["syslog+tcp://h:1", "stdout://"]);
    let is_obeyed = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
    let text = report.text();
    assert!(!text.contains(is_obeyed) && !text.contains("\nPROBLEM\r"), "{text:?}");
    assert!(text.len() < 20_000, "{}", text.len());
    let printed = report.json();
    assert!(!printed.contains(|c: char| c != '\n' && c.is_control()));
    let read: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(read["container"]["name"], hostile);
    assert_eq!(read["container"]["image"], long);
}
