//! The report on environments that the tests make up. The list of variables is that of logspout's own
//! source, and not that of the table.

use std::collections::BTreeMap;

use serde_json::Value;

use super::routes::read;
use super::table::{ROWS, Verdict};
use crate::config::table::SETTINGS;
use crate::config::{Command, parse};

/// logspout 3.2.14's variables, each with a value that it takes.
const LOGSPOUT: [(&str, &str); 36] = [
    ("ROUTE_URIS", "syslog+tcp://h:514"),
    ("ROUTESPATH", "/mnt/routes"),
    ("BACKLOG", "true"),
    ("TAIL", "100"),
    ("INACTIVITY_TIMEOUT", "1m30s"),
    ("ALLOW_TTY", "true"),
    ("EXCLUDE_LABELS", "a;b:c"),
    ("EXCLUDE_LABEL", "a:b"),
    ("DEBUG", "1"),
    ("HTTP_BIND_ADDRESS", "127.0.0.1"),
    ("PORT", "8000"),
    ("HTTP_PORT", "8001"),
    ("RETRY_COUNT", "20"),
    ("SYSLOG_FORMAT", "rfc5424"),
    ("SYSLOG_TCP_FRAMING", "octet-counted"),
    ("SYSLOG_PRIORITY", "{{.Priority}}"),
    ("SYSLOG_TIMESTAMP", "{{.Timestamp}}"),
    ("SYSLOG_HOSTNAME", "{{.Container.Config.Hostname}}"),
    ("SYSLOG_TAG", "{{.ContainerName}}"),
    ("SYSLOG_PID", "{{.Container.State.Pid}}"),
    ("SYSLOG_STRUCTURED_DATA", "s3cret@41058 tag=\"x\""),
    ("SYSLOG_DATA", "s3cret {{.Data}}"),
    ("RAW_FORMAT", "s3cret {{.Data}}\n"),
    ("MULTILINE_ENABLE_DEFAULT", "true"),
    ("MULTILINE_PATTERN", r"^\s"),
    ("MULTILINE_MATCH", "NonFirst"),
    ("MULTILINE_FLUSH_AFTER", "500"),
    ("MULTILINE_SEPARATOR", " % "),
    ("LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS", "false"),
    ("LOGSPOUT_TLS_HARDENING", "true"),
    ("DOCKER_HOST", "tcp://h:2376"),
    ("DOCKER_CERT_PATH", "/certs"),
    ("DOCKER_API_VERSION", "1.41"),
    ("DOCKER_TLS_VERIFY", "1"),
    ("TZ", "UTC"),
    ("LOGSPOUT_GROUP", "g"),
];
/// The same where the values are paths of files that have to be there.
const PATHS: [&str; 3] =
    ["LOGSPOUT_TLS_CA_CERTS", "LOGSPOUT_TLS_CLIENT_CERT", "LOGSPOUT_TLS_CLIENT_KEY"];

fn migrate(env: &[(&str, &str)], arguments: &[&str]) -> (String, Vec<String>) {
    let env: BTreeMap<String, String> =
        env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let words = ["migrate"].iter().chain(arguments).map(|word| (*word).to_owned());
    match parse(&env, &words.collect::<Vec<_>>()) {
        Ok(Command::Migrate { text, problems }) => {
            (text, problems.iter().map(ToString::to_string).collect())
        }
        other => panic!("{env:?}: {other:?}"),
    }
}

fn json(env: &[(&str, &str)], arguments: &[&str]) -> Value {
    let text = migrate(env, &[&["--json"], arguments].concat()).0;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_variable_of_logspout_has_a_row_and_every_row_is_read() {
    for name in LOGSPOUT.iter().map(|(name, _)| name).chain(&PATHS) {
        assert!(ROWS.iter().any(|row| row.name == *name), "{name} has no row");
    }
    for row in ROWS {
        let is_read = SETTINGS.iter().any(|setting| setting.name == row.name);
        assert!(is_read, "{} is read by nobody", row.name);
        assert!(row.words.ends_with(['.', 's']), "{}", row.words);
    }
}

#[test]
fn a_full_environment_is_told_variable_by_variable_and_would_start() {
    let routes = [
        "syslog+tcp://a:1,raw+udp://b:2",
        "multiline+tls://c:3?filter.labels=team:web%2Cteam,tcp://d:4?filter.sources=stdout",
    ];
    let (text, problems) = migrate(&LOGSPOUT, &routes);
    assert_eq!(problems, [] as [&str; 0]);
    // The arguments count.
    for (name, _) in LOGSPOUT.iter().filter(|(name, _)| *name != "ROUTE_URIS") {
        assert!(text.contains(&format!("\n{name}=")), "{name}: {text}");
    }
    for uri in ["syslog+tcp://a:1", "raw+udp://b:2", "multiline+tls://c:3", "tcp://d:4"] {
        assert!(text.contains(&format!("\n{uri}\n")), "{uri}: {text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
    let printed = json(&LOGSPOUT, &routes);
    assert!(!printed.to_string().contains("s3cret"), "{printed:#}");
    assert_eq!(printed["problems"].as_array().unwrap().len(), 0);
    for line in text.lines().filter(|line| !line.contains("://") && !line.contains("words: ")) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn what_is_said_in_our_own_words_can_be_said() {
    let routes = [
        "syslog+tcp://a:1,raw+udp://b:2,multiline+syslog+udp://c:3?filter.labels=x:y%2Cz",
        "multiline+tcp://d:4,syslog://e:5?append_tag=.db,syslog+tls://f:6?structured_data=a@1",
    ];
    let templates = LOGSPOUT.map(|(name, value)| match name {
        "RAW_FORMAT" => (name, "{{.Data}}\n"),
        _ => (name, value),
    });
    let off: Vec<_> = templates
        .iter()
        .copied()
        .filter(|(name, _)| *name != "SYSLOG_TAG")
        .map(
            |(name, value)| {
                if name == "MULTILINE_ENABLE_DEFAULT" { (name, "0") } else { (name, value) }
            },
        )
        .collect();
    for env in [&[][..], &templates, &off] {
        let printed = json(env, &routes);
        let routes = printed["routes"].as_array().unwrap();
        assert_eq!(routes.len(), 6);
        let mut ours: Vec<String> =
            routes.iter().map(|route| route["ours"].as_str().unwrap().replace('…', "x")).collect();
        let variables = printed["settings"].as_array().unwrap().iter();
        let variables = variables.filter_map(|setting| setting["ours"].as_str());
        let env: BTreeMap<String, String> = variables
            .filter_map(|text| text.split_once('='))
            .filter(|(name, _)| name.starts_with("DOWNSPOUT_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let started = parse(&env, &ours);
        assert!(matches!(started, Ok(Command::Run(_))), "{ours:?} {env:?}: {started:?}");
        ours.retain(|uri| uri.starts_with("syslog+") || uri.starts_with("raw+"));
        assert_eq!(ours.len(), 6, "no scheme of logspout's is left: {ours:?}");
    }
}

type Routes = &'static [(
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
    &'static str,
)];

/// Variables, a route, words that are said of it, and what it is in our own words.
const ROUTES: Routes = &[
    (&[], "syslog://h:1", "\"differs\": \"sends our own rfc5424", "syslog+udp://h:1"),
    (
        &[],
        "syslog+tcp://h:1",
        "where logspout ends it with a line feed",
        "syslog+tcp://h:1?framing=lf",
    ),
    (
        &[("SYSLOG_FORMAT", "rfc3164")],
        "syslog+tcp://h:1",
        "\"same\": \"sends logspout's bytes, by SYSLOG_FORMAT",
        "syslog+tcp://h:1?format=rfc3164&framing=lf",
    ),
    (
        &[("SYSLOG_TCP_FRAMING", "octet-counted")],
        "syslog+tcp://h:1",
        "counts the bytes of each message, by SYSLOG_TCP_FRAMING",
        "syslog+tcp://h:1?framing=octet-counting",
    ),
    (&[], "udp://h:1", "\"same\": \"sends logspout's bytes: the bare", "raw+udp://h:1"),
    (
        &[],
        "multiline+tcp://h:1",
        "joins the lines of all containers",
        r"raw+tcp://h:1?multiline_pattern=^\s&multiline_match=nonfirst",
    ),
    (
        &[("MULTILINE_ENABLE_DEFAULT", "false")],
        "multiline+tcp://h:1",
        "containers with LOGSPOUT_MULTILINE=true",
        "raw+tcp://h:1?multiline=off",
    ),
    (
        &[],
        "syslog://h:1?append_tag=.db",
        "append_tag stands behind",
        "syslog+udp://h:1?tag={{.Name}}.db",
    ),
    (
        &[("SYSLOG_TAG", "t")],
        "syslog://h:1?append_tag=.db",
        "append_tag does nothing",
        "syslog+udp://h:1?tag=t",
    ),
    (&[("SYSLOG_TAG", "{{.Source}}")], "syslog://h:1", "by SYSLOG_TAG", "syslog+udp://h:1"),
];

#[test]
fn a_route_says_which_bytes_it_sends() {
    let said = |env: &[(&str, &str)], uri: &str| {
        let printed = json(env, &[uri]);
        let notes = printed["routes"][0]["notes"].as_array().unwrap().clone();
        let words = notes.iter().map(|note| format!("{}: {}", note["verdict"], note["words"]));
        (words.collect::<Vec<_>>().join("\n"), printed["routes"][0]["ours"].clone())
    };
    for (env, uri, words, ours) in ROUTES {
        let (notes, found) = said(env, uri);
        assert!(notes.contains(words), "{uri}: {notes}");
        assert_eq!(found, *ours, "{uri}");
    }
}

#[test]
fn a_filter_whose_sense_was_mended_is_told() {
    for (value, verdict) in [
        ("team", Verdict::Differs),
        ("team:", Verdict::Differs),
        ("team:*", Verdict::Differs),
        ("a:b%2Cteam", Verdict::Differs),
        ("team:web", Verdict::Same),
        ("a:b%2Cc:d*", Verdict::Same),
    ] {
        let uri = format!("udp://h:1?filter.labels={value}");
        let env = BTreeMap::new();
        let Ok(Command::Run(config)) = parse(&env, std::slice::from_ref(&uri)) else {
            panic!("{uri}");
        };
        let words = read(&uri, config.routes.first(), &BTreeMap::new());
        let note = words.notes.iter().find(|(_, words)| words.contains("filter.labels")).unwrap();
        assert_eq!(note.0, verdict, "{value}");
    }
}

#[test]
fn what_cannot_work_is_named_and_the_rest_is_told_all_the_same() {
    let env = [("SYSLOG_FORMAT", "rfc9999"), ("TAIL", "some")];
    let (text, problems) =
        migrate(&env, &["udp://user:s3cret@h:1", "tcp://fine:1", "gelf://x:1", "syslog://h:1?x=1"]);
    for said in [
        "SYSLOG_FORMAT=rfc9999: expected",
        "TAIL=some",
        "udp://***@h:1",
        "unknown scheme 'gelf'",
        "'x'",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(said)), "{said}: {problems:?}");
    }
    assert!(!text.contains("s3cret") && !problems.concat().contains("s3cret"));
    assert!(text.contains("gelf is a module of logspout's"), "{text}");
    let (text, problems) = migrate(&[], &["udp://h:x", "tcp://fine:1"]);
    assert_eq!(problems.len(), 1);
    assert!(text.contains("it cannot be used as it is"), "{text}");
    assert!(text.contains("downspout:dev \\\n  raw+tcp://fine:1\nRoutes that cannot"), "{text}");
}

#[test]
fn variables_that_nobody_reads_are_named_without_their_values() {
    let env = [
        ("LOGSTASH_TAGS", "s3cret"),
        ("KAFKA_TEMPLATE", "s3cret"),
        ("SYSLOG_TAGG", "s3cret"),
        ("GELF_X", "s3cret"),
        ("INCLUDE_CONTAINERS", "s3cret"),
        // Of Docker's links, of Kubernetes, of nobody, and empty.
        ("REDIS_PORT", "s3cret"),
        ("KAFKA_SERVICE_HOST", "s3cret"),
        ("PATH", "s3cret"),
        ("KINESIS_DEBUG", ""),
        ("SYSLOG_TAG_FILE", ""),
    ];
    let printed = json(&env, &[]);
    let unknown = printed["unknown"].as_array().unwrap();
    let names: Vec<_> = unknown.iter().map(|one| one["name"].as_str().unwrap()).collect();
    let wanted = ["GELF_X", "INCLUDE_CONTAINERS", "KAFKA_TEMPLATE", "LOGSTASH_TAGS", "SYSLOG_TAGG"];
    assert_eq!(names, wanted);
    assert!(unknown[4]["words"].as_str().unwrap().contains("did you mean 'SYSLOG_TAG'?"));
    assert!(!printed.to_string().contains("s3cret"));
}

#[test]
fn changes_that_a_setting_prevents_are_not_told() {
    let text =
        |env: &[(&str, &str)], arguments: &[&str]| json(env, arguments)["changes"].to_string();
    for (name, value, said) in [
        ("PORT", "80", "port 9514"),
        ("HTTP_PORT", "80", "port 9514"),
        ("HTTP_BIND_ADDRESS", "::", "port 9514"),
        ("ALLOW_TTY", "false", "Containers with a terminal"),
    ] {
        assert!(text(&[], &[]).contains(said), "{said}");
        assert!(!text(&[(name, value)], &[]).contains(said), "{name}");
    }
    assert!(!text(&[], &["tcp://a:1"]).contains("takes the first"));
    assert!(text(&[], &["tcp://a:1", "tcp://b:1"]).contains("takes the first"));
}

#[test]
fn where_pages_are_served_is_told_from_all_that_says_it() {
    type Rows = [(&'static [(&'static str, &'static str)], &'static [&'static str]); 4];
    let rows: Rows = [
        (&[("PORT", "8000")], &["DOWNSPOUT_HTTP=0.0.0.0:8000"]),
        (
            &[("HTTP_BIND_ADDRESS", "127.0.0.1"), ("HTTP_PORT", "8001"), ("PORT", "8000")],
            &["DOWNSPOUT_HTTP=127.0.0.1:8000"; 3],
        ),
        (
            &[("HTTP_PORT", "8001"), ("DOWNSPOUT_HTTP", "127.0.0.1:1")],
            &["DOWNSPOUT_HTTP=127.0.0.1:1"],
        ),
        // As Kubernetes sets it: nothing of logspout's.
        (&[("HTTP_PORT", "tcp://10.0.0.1:80")], &[]),
    ];
    for (env, wanted) in rows {
        let printed = json(env, &["udp://h:1"]);
        let settings = printed["settings"].as_array().unwrap().iter();
        let ours: Vec<_> = settings.map(|setting| setting["ours"].as_str().unwrap()).collect();
        assert_eq!(ours, wanted, "{env:?}");
        let moves = printed["changes"].to_string().contains("port 9514");
        assert_eq!(moves, wanted.is_empty(), "{env:?}");
    }
}

#[test]
fn what_the_start_would_say_is_said_here_too() {
    let env = [
        ("TAIL", "5"),
        ("SYSLOG_TAG", "{{.Container.Config.Env}}"),
        ("TZ", "Nowhere/At_all"),
        ("RAW_FORMAT", r"{{toJSON .Data}}\n"),
    ];
    let printed = json(&env, &["syslog://h:1?filter.name=$NOT_SET"]);
    let notes = printed["notes"].to_string();
    for said in [
        "TAIL does nothing without BACKLOG=true",
        "NOT_SET is not set",
        "RAW_FORMAT ends with a backslash",
        "TZ=\\\"Nowhere/At_all\\\": unknown zone",
        "DOWNSPOUT_CONTAINER_VARIABLES",
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    assert_eq!(printed["problems"], serde_json::json!([]));
}

#[test]
fn the_names_of_the_module_for_cloudwatch_become_ours_and_the_route_counts() {
    let env = [("LOGSPOUT_GROUP", "g"), ("LOGSPOUT_STREAM", "s")];
    let uri = "cloudwatch://eu-west-1?LOGSPOUT_STREAM={{.Name}}&DELAY=8";
    let printed = json(&env, &[uri]);
    let ours = "cloudwatch://eu-west-1?flush=8&stream={{.Name}}&group=g";
    assert_eq!(printed["routes"][0]["ours"], ours);
    let route = [ours.to_owned()];
    assert!(matches!(parse(&BTreeMap::new(), &route), Ok(Command::Run(_))));
}

#[test]
fn the_command_says_what_it_has_nothing_for() {
    let env = [
        ("BACKLOG", "true"),
        ("SYSLOG_PID", "7"),
        ("DOCKER_HOST", "tcp://u:s3cret@h:1"),
        ("EXCLUDE_LABELS", "a b;it's"),
        ("INACTIVITY_TIMEOUT", "1m30s"),
        ("RETRY_COUNT", "1"),
        ("ROUTESPATH", "/routes"),
        ("PORT", "80"),
    ];
    let printed = json(&env, &["udp://h:1"]);
    let command = printed["command"].as_str().unwrap();
    for part in [
        "-v downspout:/var/lib/downspout ",
        "-e DOWNSPOUT_BACKLOG=true ",
        r"-e 'EXCLUDE_LABELS=a b;it'\''s' ",
        "-e DOWNSPOUT_PROBE_AFTER=90000ms ",
        "-e 'DOCKER_HOST=…' ",
        "-e ROUTESPATH=/routes ",
        "raw+udp://h:1",
    ] {
        assert!(command.contains(part), "{part}: {command}");
    }
    assert!(!command.contains("s3cret") && !command.contains("PORT="), "{command}");
    assert_eq!(printed["left_out"], serde_json::json!(["SYSLOG_PID"]));
}
