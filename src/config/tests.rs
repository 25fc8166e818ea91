use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::arguments::{SWITCHES, settings};
use super::table::{ROUTES, SETTINGS, Setting};
use super::*;

type Variables = BTreeMap<String, String>;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|word| (*word).to_owned()).collect()
}

fn run(pairs: &[(&str, &str)], arguments: &[&str]) -> Config {
    match parse(&variables(pairs), &words(arguments)) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{pairs:?} {arguments:?}: {other:?}"),
    }
}

fn problems(pairs: &[(&str, &str)], arguments: &[&str]) -> Vec<String> {
    let refused = parse(&variables(pairs), &words(arguments)).unwrap_err();
    refused.iter().map(ToString::to_string).collect()
}

fn docker_of(pairs: &[(&str, &str)]) -> docker::Settings {
    match run(pairs, &[]).source {
        SourceChoice::Docker(settings) => settings,
        other @ SourceChoice::Replay(..) => panic!("{other:?}"),
    }
}

fn names(config: &Config) -> Vec<&str> {
    config.routes.iter().map(|route| route.name.as_str()).collect()
}

#[test]
fn without_any_setting_docker_goes_to_standard_output() {
    let config = run(&[], &[]);
    assert_eq!(names(&config), ["stdout://"]);
    assert!(matches!(&config.source, SourceChoice::Docker(docker)
    if *docker == docker::Settings {
        endpoint: docker.endpoint.clone(),
        api_version: None,
        hostname: None,
        backlog: false,
        attach: false,
        overflow: Overflow::DropOldest,
        probe_after: Duration::from_secs(45),
        follow_shipped: false,
        strategy: docker::Strategy::Auto,
        containers_dir: None,
        container_series: 0,
        wanted: docker::engine::Wanted::default(),
            tail: None,
            keep_carriage_returns: false,
    }));
    assert_eq!(config.state_dir, Some("/var/lib/downspout".into()));
    assert_eq!(config.memory_limit, 64 << 20);
    assert_eq!(config.max_line_bytes, 1 << 20);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(8));
    assert_eq!(config.backoff_max, Duration::from_secs(30));
    assert_eq!(config.http, "0.0.0.0:9514".parse().ok());
    assert_eq!(config.log_level, Level::INFO);
}

#[test]
fn every_variable_reaches_its_field() {
    let config = run(
        &[
            ("DOWNSPOUT_MEMORY_LIMIT", "32MiB"),
            ("DOWNSPOUT_MAX_LINE_BYTES", "4KiB"),
            ("DOWNSPOUT_SHUTDOWN_TIMEOUT", "500ms"),
            ("DOWNSPOUT_BACKOFF_MAX", "1m"),
            ("DOWNSPOUT_HTTP", "[::1]:0"),
            ("DOWNSPOUT_LOG_LEVEL", "Debug"),
            ("DOWNSPOUT_SOURCE", "replay:/a/b"),
            ("DOWNSPOUT_STATE_DIR", "/state"),
        ],
        &[],
    );
    assert_eq!(config.state_dir, Some("/state".into()));
    assert_eq!(run(&[], &["--state-dir=off"]).state_dir, None);
    assert_eq!((config.memory_limit, config.plan.limit), (32 << 20, 32 << 20));
    assert_eq!(config.max_line_bytes, 4096);
    assert_eq!(config.shutdown_timeout, Duration::from_millis(500));
    assert_eq!(config.backoff_max, Duration::from_mins(1));
    assert_eq!(config.http, "[::1]:0".parse().ok());
    assert_eq!(config.log_level, Level::DEBUG);
    assert_eq!(config.source, SourceChoice::Replay(Input::File("/a/b".into()), String::new()));
    assert_eq!(run(&[("DOWNSPOUT_HTTP", "off")], &[]).http, None);
    let input = run(&[("DOWNSPOUT_SOURCE", "replay:-")], &[]).source;
    assert_eq!(input, SourceChoice::Replay(Input::Stdin, String::new()));
}

#[test]
fn every_variable_of_docker_reaches_its_field() {
    assert_eq!(
        docker_of(&[
            ("DOCKER_HOST", "tcp://[::1]:2376"),
            ("DOCKER_TLS_VERIFY", "0"),
            ("DOCKER_CERT_PATH", "/certs"),
            ("DOCKER_API_VERSION", "1.41"),
            ("DOWNSPOUT_HOSTNAME", "node-1"),
            ("DOWNSPOUT_BACKLOG", "true"),
            ("DOWNSPOUT_ATTACH", "yes"),
            ("DOWNSPOUT_OVERFLOW", "drop-newest"),
            ("DOWNSPOUT_PROBE_AFTER", "1m"),
            ("DOWNSPOUT_SHIPPED_DRIVERS", "follow"),
            ("DOWNSPOUT_STRATEGY", "auto"),
            ("DOWNSPOUT_CONTAINERS_DIR", "/host/containers"),
            ("DOWNSPOUT_CONTAINER_SERIES", "25"),
        ]),
        docker::Settings {
            endpoint: docker::Endpoint::Tls {
                host: "::1".into(),
                port: 2376,
                certificates: "/certs".into(),
            },
            api_version: Some("1.41".into()),
            hostname: Some("node-1".into()),
            backlog: true,
            attach: true,
            overflow: Overflow::DropNewest,
            probe_after: Duration::from_mins(1),
            follow_shipped: true,
            strategy: docker::Strategy::Auto,
            containers_dir: Some("/host/containers".into()),
            container_series: 25,
            wanted: docker::engine::Wanted::default(),
            tail: None,
            keep_carriage_returns: false,
        }
    );
}

#[test]
fn logspouts_names_stand_back_behind_our_own() {
    let probe = |pairs: &[(&str, &str)]| docker_of(pairs).probe_after.as_secs();
    assert_eq!(probe(&[("INACTIVITY_TIMEOUT", "1m30s")]), 90);
    assert_eq!(probe(&[("INACTIVITY_TIMEOUT", "0")]), 45);
    assert_eq!(probe(&[("INACTIVITY_TIMEOUT", "1m"), ("DOWNSPOUT_PROBE_AFTER", "7s")]), 7);
    let level = |pairs: &[(&str, &str)]| run(pairs, &[]).log_level;
    assert_eq!(level(&[("DEBUG", "1")]), Level::DEBUG);
    assert_eq!(level(&[("DEBUG", "1"), ("DOWNSPOUT_LOG_LEVEL", "info")]), Level::INFO);
    let problems =
        problems(&[("INACTIVITY_TIMEOUT", "30"), ("TAIL", "x"), ("ALLOW_TTY", "?")], &[]);
    for said in ["INACTIVITY_TIMEOUT=30: expected a duration", "TAIL=x:", "ALLOW_TTY=?:"] {
        let count = problems.iter().filter(|problem| problem.starts_with(said)).count();
        assert_eq!(count, 1, "{said}: {problems:?}");
    }
}

#[test]
fn what_a_template_needs_is_asked_of_the_engine_and_no_variable_that_is_not_allowed() {
    let raw = ("RAW_FORMAT", "{{.Container.Config.Hostname}} {{env \"APP\"}}");
    let route = ("ROUTE_URIS", "raw://h:1");
    let refused = problems(&[raw, route], &[]);
    assert!(refused[0].contains("DOWNSPOUT_CONTAINER_VARIABLES=APP"), "{refused:?}");
    let wanted = docker_of(&[raw, route, ("DOWNSPOUT_CONTAINER_VARIABLES", "APP,OTHER")]).wanted;
    assert_eq!(wanted.variables, ["APP", "OTHER"].map(str::to_owned).into());
    assert_eq!(wanted.fields, [vec!["Config".to_owned(), "Hostname".to_owned()]].into());
    assert!(docker_of(&[("ROUTE_URIS", "syslog://h:1")]).wanted.fields.is_empty());
}

#[test]
fn nothing_goes_to_standard_output_where_routes_or_viewers_come_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let count = |pairs: &[(&str, &str)]| {
        let config = run(&[pairs, &[("ROUTESPATH", path)]].concat(), &[]);
        assert_eq!(config.routes.is_empty(), config.notes.len() == 1, "{:?}", config.notes);
        config.routes.len()
    };
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&[("DOWNSPOUT_LIVE_TAILS", "true")]), 0);
    assert_eq!(count(&[("DOWNSPOUT_API_TOKEN", "t")]), 0);
    assert_eq!(count(&[("DOWNSPOUT_API_TOKEN", "t"), ("ROUTE_URIS", "stdout://")]), 1);
    let stored = r#"{"id":"a","adapter":"syslog","address":"h:1"}"#;
    std::fs::write(folder.path().join("a.json"), stored).unwrap();
    assert_eq!(count(&[]), 0);
}

#[test]
fn a_zone_that_is_not_there_counts_as_utc_and_is_named() {
    let config = run(&[("TZ", "Nowhere/At_all")], &["syslog+tcp://h:1"]);
    let [note] = config.notes.as_slice() else { panic!("{:?}", config.notes) };
    assert!(note.starts_with("TZ=\"Nowhere/At_all\": unknown zone"), "{note}");
    assert!(note.ends_with("are in UTC"), "{note}");
    assert!(run(&[("TZ", "EST5EDT,M3.2.0,M11.1.0")], &[]).notes.is_empty());
}

#[test]
fn who_shows_the_whole_environment_is_told_that_nothing_of_it_is_allowed() {
    let tag = ("SYSLOG_TAG", "{{range .Container.Config.Env}}{{.}}{{end}}");
    let notes = |pairs: &[(&str, &str)]| run(pairs, &["syslog://h:1", "raw://h:1"]).notes;
    let said = notes(&[tag]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("syslog://h:1: ") && said[0].contains("CONTAINER_VARIABLES"));
    assert!(notes(&[tag, ("DOWNSPOUT_CONTAINER_VARIABLES", "APP")]).is_empty());
    assert!(notes(&[("SYSLOG_TAG", "{{.Container.Config.Hostname}}")]).is_empty());
}

#[test]
fn a_variable_that_is_not_set_is_named_also_where_the_route_cannot_work_without_it() {
    let found = problems(&[], &["syslog://$A_HOST:514?append_tag=$B,syslog://$A_HOST:514?x=$C"]);
    let said = "syslog://$A_HOST:514: A_HOST, B, C are not set; what is not set counts as empty";
    assert!(found.iter().any(|problem| problem.starts_with(said)), "{found:?}");
    let found = problems(&[], &["syslog://h:0"]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn the_backlog_is_asked_for_under_either_name() {
    let backlog = |name: &str, value: &str| docker_of(&[(name, value)]).backlog;
    assert!(backlog("BACKLOG", "true"));
    assert!(!backlog("BACKLOG", "1"), "logspout takes only this one word");
    assert!(docker_of(&[("DOWNSPOUT_BACKLOG", "true"), ("BACKLOG", "false")]).backlog);
}

#[test]
fn docker_is_found_as_its_own_clients_find_it() {
    let only = |present: &'static str| default_endpoint(move |path| path == Path::new(present));
    assert_eq!(only(endpoint::SOCKET), "unix:///var/run/docker.sock");
    assert_eq!(only(endpoint::OLD_SOCKET), "unix:///tmp/docker.sock");
    assert_eq!(only("/neither"), "unix:///var/run/docker.sock");
    assert_eq!(default_endpoint(|_| true), "unix:///var/run/docker.sock");

    let tcp = ("DOCKER_HOST", "tcp://docker:2376");
    let (verify, home) = (("DOCKER_TLS_VERIFY", "1"), ("HOME", "/home/me"));
    let folder = |pairs: &[(&str, &str)]| match docker_of(pairs).endpoint {
        docker::Endpoint::Tls { certificates, .. } => Some(certificates),
        _ => None,
    };
    assert_eq!(folder(&[tcp, home]), None);
    assert_eq!(folder(&[tcp, home, verify]), Some("/home/me/.docker".into()));
    assert_eq!(folder(&[tcp, ("DOCKER_CERT_PATH", "/c")]), Some("/c".into()));
    assert_eq!(folder(&[("DOCKER_HOST", "unix:///run/d.sock"), verify]), None);
    let https = folder(&[("DOCKER_HOST", "https://docker:1"), home]);
    assert_eq!(https, Some("/home/me/.docker".into()));
    let homeless = problems(&[tcp, verify], &[]);
    assert!(homeless[0].starts_with("DOCKER_CERT_PATH: TLS to Docker needs it"), "{homeless:?}");
}

#[test]
fn arguments_win_over_variables_and_variables_over_defaults() {
    let variable = ("DOWNSPOUT_MEMORY_LIMIT", "32MiB");
    assert_eq!(run(&[variable], &["--memory-limit=48MiB"]).memory_limit, 48 << 20);
    assert_eq!(run(&[variable], &["--memory-limit", "48MiB"]).memory_limit, 48 << 20);
    assert_eq!(run(&[variable], &["--memory-limit="]).memory_limit, 32 << 20);
    assert_eq!(run(&[("DOWNSPOUT_MEMORY_LIMIT", "")], &[]).memory_limit, 64 << 20);

    let routes = [
        ("ROUTE_URIS", "syslog+tcp://a:1, syslog+tcp://b:1"),
        ("DOWNSPOUT_ROUTES", "syslog+tcp://c:1"),
    ];
    let mut both = names(&run(&routes, &[])).join(" ");
    assert!(both.contains("a:1") && both.contains("b:1") && both.contains("c:1"), "{both}");
    both = names(&run(&routes, &["stdout://,syslog+tcp://d:1", "syslog+tcp://e:1"])).join(" ");
    assert_eq!(both, "stdout:// syslog+tcp://d:1 syslog+tcp://e:1");
    assert_eq!(names(&run(&routes, &["--routes", "syslog+tcp://f:1"])), ["syslog+tcp://f:1"]);
    assert_eq!(names(&run(&routes, &["--", "stdout://"])), ["stdout://"]);
}

#[test]
fn flags_of_true_and_false_may_stand_alone() {
    let backlog = |arguments: &[&str]| match run(&[], arguments).source {
        SourceChoice::Docker(docker) => (docker.backlog, docker.attach),
        SourceChoice::Replay(..) => panic!(),
    };
    assert_eq!(backlog(&["--backlog", "stdout://"]), (true, false));
    assert_eq!(backlog(&["--backlog", "--attach"]), (true, true));
    assert_eq!(backlog(&["--backlog", "off", "--attach=yes"]), (false, true));
    // A flag that only asks for presence takes no word from the routes.
    let config = run(&[], &["--no-color", "stdout://"]);
    assert_eq!(names(&config), ["stdout://"]);
}

#[test]
fn a_value_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limit");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "32MiB\r\n").unwrap();
    let by_file = ("DOWNSPOUT_MEMORY_LIMIT_FILE", file);
    assert_eq!(run(&[by_file], &[]).memory_limit, 32 << 20);
    assert_eq!(run(&[by_file], &["--memory-limit=48MiB"]).memory_limit, 48 << 20);
    assert_eq!(
        problems(&[by_file, ("DOWNSPOUT_MEMORY_LIMIT", "48MiB")], &[]),
        ["DOWNSPOUT_MEMORY_LIMIT and DOWNSPOUT_MEMORY_LIMIT_FILE are both set; keep one of them"]
    );

    std::fs::write(&path, "s3cret\n").unwrap();
    assert_eq!(
        problems(&[by_file], &[]),
        [format!(
            "DOWNSPOUT_MEMORY_LIMIT_FILE={file}: what the file holds is wrong; expected bytes, such as 64MiB"
        )]
    );
    std::fs::write(&path, vec![b'1'; (1 << 20) + 1]).unwrap();
    assert!(problems(&[by_file], &[])[0].contains("more than 1MiB"));
    let empty = tempfile::NamedTempFile::new().unwrap();
    let name = empty.path().to_str().unwrap();
    let said = problems(&[("DOWNSPOUT_API_TOKEN_FILE", name)], &[]);
    let wanted = format!("DOWNSPOUT_API_TOKEN_FILE={name}: the file is empty; ");
    assert!(said[0].starts_with(&wanted), "nothing is open because of it: {said:?}");
    let missing = problems(&[("ROUTE_URIS_FILE", "/no/such/file")], &[]);
    assert!(missing[0].starts_with("ROUTE_URIS_FILE=/no/such/file: cannot be read"), "{missing:?}");

    std::fs::write(&path, "stdout://\nsyslog+tcp://a:1\n").unwrap();
    let config = run(&[("DOWNSPOUT_ROUTES_FILE", file)], &[]);
    assert_eq!(names(&config), ["stdout://", "syslog+tcp://a:1"]);
}

#[test]
fn what_nobody_knows_is_refused_with_a_suggestion() {
    assert_eq!(
        problems(
            &[
                ("DOWNSPOUT_MEMROY_LIMIT", "1"),
                ("DOWNSPOUT_BACKLOK_FILE", "1"),
                ("DOWNSPOUT_QQQ", "1"),
                ("DOWNSPOUT_EMPTY", ""),
                ("ELSEWHERE", "1"),
            ],
            &["--memroy-limit=1", "--hlp", "-x", "healthchek", "--check=1"]
        ),
        [
            "unknown flag --memroy-limit; did you mean --memory-limit?",
            "unknown flag --hlp; did you mean --help?",
            "unknown flag -x; downspout --help lists all",
            "unknown command 'healthchek'; did you mean 'healthcheck'? A route looks like \
             syslog+tcp://logs.example.com:514",
            "--check takes no value; write --check",
            "unknown variable DOWNSPOUT_BACKLOK_FILE; did you mean DOWNSPOUT_BACKLOG_FILE?",
            "unknown variable DOWNSPOUT_MEMROY_LIMIT; did you mean DOWNSPOUT_MEMORY_LIMIT?",
            "unknown variable DOWNSPOUT_QQQ; downspout --help lists all",
        ]
    );
    // A service called downspout in the same namespace of Kubernetes.
    run(
        &[
            ("DOWNSPOUT_PORT", "tcp://10.0.0.1:9514"),
            ("DOWNSPOUT_PORT_9514_TCP_ADDR", "10.0.0.1"),
            ("DOWNSPOUT_SERVICE_HOST", "10.0.0.1"),
            ("DOWNSPOUT_SERVICE_PORT_HTTP", "9514"),
        ],
        &[],
    );
}

#[test]
fn all_problems_of_variables_flags_and_routes_come_together() {
    let found = problems(
        &[
            ("DOWNSPOUT_MEMORY_LIMIT", "12 parsecs"),
            ("DOWNSPOUT_LOG_LEVEL", "loud"),
            ("DOWNSPOUT_NONSENSE", "1"),
            ("DOCKER_HOST", "ssh://me:s3cret@host"),
        ],
        &[
            "--backoff-max=0s",
            "--max-line-bytes",
            "--http=1",
            "--http=2",
            "syslog+tcp://a:0",
            "b:1",
        ],
    );
    let expected = [
        "--max-line-bytes needs a value; write --max-line-bytes=bytes",
        "--http is given twice; keep one of them",
        "DOCKER_HOST: ssh:// is not supported; forward the socket, then expected unix:///PATH or \
         tcp://HOST:PORT, such as unix:///var/run/docker.sock",
        "DOWNSPOUT_MEMORY_LIMIT=12 parsecs: unknown unit 'parsecs'; write bytes as 65536, 64KiB or \
         1MiB",
        "--backoff-max=0s: expected a duration above zero such as 500ms, 8s, 2m or 1h",
        "--http=2: expected an IP address and a port such as 0.0.0.0:9514 or [::]:9514, or off",
        "DOWNSPOUT_LOG_LEVEL=loud: expected error, warn, info, debug or trace",
        "unknown variable DOWNSPOUT_NONSENSE; downspout --help lists all",
    ];
    assert_eq!(found[..expected.len()], expected);
    let routes = &found[expected.len()..];
    assert_eq!(routes.len(), 2, "{routes:?}");
    assert!(routes[0].starts_with("syslog+tcp://a:0: port '0'"), "{routes:?}");
    assert!(routes[1].starts_with("b:1: not a route URI"), "{routes:?}");
}

#[test]
fn values_beyond_their_limits_are_refused_with_the_limits() {
    for (name, value, why) in [
        ("DOWNSPOUT_MEMORY_LIMIT", "15MiB", "expected 16MiB or more"),
        ("DOWNSPOUT_MAX_LINE_BYTES", "1023", "expected 1KiB to 16MiB"),
        ("DOWNSPOUT_MAX_LINE_BYTES", "17MiB", "expected 1KiB to 16MiB"),
        ("DOWNSPOUT_SHUTDOWN_TIMEOUT", "9ms", "expected 10ms to 1h"),
        ("DOWNSPOUT_BACKOFF_MAX", "2h", "expected 10ms to 1h"),
        ("DOWNSPOUT_BACKLOG", "maybe", "expected true or false"),
        ("DOWNSPOUT_ATTACH", "maybe", "expected true or false"),
        ("DOWNSPOUT_SHIPPED_DRIVERS", "true", "expected skip or follow"),
        (
            "DOWNSPOUT_SOURCE",
            "replay:",
            "expected docker, replay:PATH, or replay:- for standard input",
        ),
        (
            "DOWNSPOUT_HOSTNAME",
            "a b",
            "expected 1 to 255 printable ASCII characters without blanks",
        ),
        ("DOCKER_API_VERSION", "v1.41", "expected a version such as 1.41"),
        ("DOCKER_API_VERSION", "1", "expected a version such as 1.41"),
    ] {
        assert_eq!(problems(&[(name, value)], &[]), [format!("{name}={value}: {why}")]);
    }
    let long = "a".repeat(256);
    assert_eq!(problems(&[("DOWNSPOUT_HOSTNAME", &long)], &[]).len(), 1);
    for endpoint in ["/var/run/docker.sock", "unix://run/d", "tcp://", "tcp://a:b", "fd://"] {
        let found = problems(&[("DOCKER_HOST", endpoint)], &[]);
        assert!(found[0].starts_with("DOCKER_HOST: expected unix:///PATH or"), "{found:?}");
    }
}

#[test]
fn a_route_made_over_http_may_show_what_people_show_of_a_container() {
    let opened = |pairs: &[(&str, &str)], template: &str| {
        let openings = run(pairs, &["raw://h:1"]).api.openings;
        let uri = format!("syslog://h:2?append_tag={}", template.replace(' ', "%20"));
        let opened = openings.open(&uri, "id", &Metrics::new());
        opened.map(|route| route.name).map_err(|problems| problems[0].to_string())
    };
    let token = [("DOWNSPOUT_API_TOKEN", "t")];
    for template in [
        ".db",
        "{{.ImageID}} {{.Command}} {{.Host}}",
        "{{.Container.ID}}{{.Container.Name}}{{.Container.Created}}{{.Container.State.Pid}}",
        "{{.Container.Config.Hostname}}.{{.Container.Config.Domainname}}",
        "{{index .Container.Config.Labels \"a.b\"}} {{.Container.Config.Image}}",
        "{{.Container.HostConfig.LogConfig.Type}} {{.Container.NetworkSettings.IPAddress}}",
    ] {
        assert_eq!(opened(&token, template), Ok("syslog://h:2#id".to_owned()), "{template}");
    }
    let refused = opened(&token, "{{.Container.HostConfig.Binds}}").unwrap_err();
    assert!(refused.contains(".Container.HostConfig.Binds, which is not kept"), "{refused}");
    assert!(opened(&[], "{{.Container.Config.Image}}").is_err());
}

#[test]
fn stored_routes_have_what_they_show_and_stand_in_for_those_that_are_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let stored = [("ROUTESPATH", path)];
    assert_eq!(names(&run(&stored, &[])), ["stdout://"], "none is stored");
    let route = r#"{"id":"r","adapter":"syslog","address":"h:1","options":{"append_tag":"TAG"}}"#;
    let route = route.replace("TAG", "{{.Container.HostConfig.NetworkMode}}");
    std::fs::write(folder.path().join("r.json"), route).unwrap();
    std::fs::write(folder.path().join("torn.json"), "{").unwrap();
    let config = run(&stored, &[]);
    assert!(config.routes.is_empty(), "{:?}", names(&config));
    assert_eq!(config.api.stored.problems.len(), 1);
    let object = &config.api.stored.objects[0];
    let opened = config.api.openings.open(&object.uri().unwrap(), "r", &Metrics::new());
    assert!(opened.is_ok(), "{opened:?}");
    let SourceChoice::Docker(settings) = config.source else { panic!() };
    let fields: Vec<_> = settings.wanted.fields.iter().map(|path| path.join(".")).collect();
    assert_eq!(fields, ["Config.Hostname", "HostConfig.NetworkMode", "State.Pid"]);
    assert_eq!(names(&run(&stored, &["raw://h:1"])), ["raw://h:1"]);
}

#[test]
fn no_error_shows_a_secret() {
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        for value in
            ["s3cret", "tcp://user:s3cret@host:1", "ssh://s3cret@h", "x:s3cret@y", "a s3cret"]
        {
            let parsed = parse(&variables(&[(setting.name, value)]), &[]);
            // To a token, none of these is wrong but the one with a blank.
            assert!(parsed.is_err() || setting.name.ends_with("_TOKEN"));
            for problem in parsed.err().into_iter().flatten().map(|problem| problem.to_string()) {
                // A bare word is no URI: as a route it is shown, there is nothing to tell it by.
                let bare = !value.contains(':') && ROUTES.contains(&setting.name);
                assert!(bare || !problem.contains("s3cret"), "{problem}");
            }
        }
    }
}

#[test]
fn the_checkpoint_is_shown_and_reset_where_the_agent_keeps_it() {
    let folder = |pairs: &[(&str, &str)], word: &str| match parse(
        &variables(pairs),
        &words(&["checkpoint", word]),
    ) {
        Ok(Command::ShowCheckpoint { folder }) => ("show", folder),
        Ok(Command::ResetCheckpoint { folder }) => ("reset", folder),
        other => panic!("{other:?}"),
    };
    assert_eq!(folder(&[], "show"), ("show", "/var/lib/downspout".into()));
    // A route that can never work does not hinder them.
    let agents = [("DOWNSPOUT_STATE_DIR", "/state"), ("DOWNSPOUT_ROUTES", "nonsense://x")];
    assert_eq!(folder(&agents, "reset"), ("reset", "/state".into()));
    let off = problems(&[("DOWNSPOUT_STATE_DIR", "off")], &["checkpoint", "show"]);
    assert!(off[0].starts_with("checkpoint: DOWNSPOUT_STATE_DIR=off"), "{off:?}");
    let found = |arguments: &[&str]| problems(&[], arguments);
    assert_eq!(found(&["checkpoint"]), ["checkpoint needs a word more; write show or reset"]);
    let unknown = "unknown command 'checkpoint wipe'; write show or reset";
    assert_eq!(found(&["checkpoint", "wipe"]), [unknown]);
    let route = "checkpoint reset takes no route URI; leave it out";
    assert_eq!(found(&["checkpoint", "reset", "stdout://"]), [route]);
    let relative = problems(&[("DOWNSPOUT_STATE_DIR", "of")], &[]);
    assert!(relative[0].contains("expected an absolute path"), "{relative:?}");
}

#[test]
fn the_healthcheck_asks_where_the_agent_listens() {
    let address = |http: &str| match parse(
        &variables(&[("DOWNSPOUT_HTTP", http), ("DOWNSPOUT_ROUTES", "broken")]),
        &words(&["healthcheck"]),
    ) {
        Ok(Command::Healthcheck { address }) => address.to_string(),
        Err(problems) => problems[0].to_string(),
        Ok(other) => panic!("{other:?}"),
    };
    assert_eq!(address(""), "127.0.0.1:9514");
    assert_eq!(address("[::]:1"), "[::1]:1");
    assert_eq!(address("192.0.2.1:80"), "192.0.2.1:80");
    assert!(address("off").starts_with("healthcheck: DOWNSPOUT_HTTP=off"));
    assert!(address("127.0.0.1:0").starts_with("healthcheck: DOWNSPOUT_HTTP has port 0"));
    let found = problems(&[], &["healthcheck", "stdout://"]);
    assert_eq!(found, ["healthcheck takes no route URI; leave it out"]);
}

#[test]
fn help_version_reference_and_check_are_what_they_say() {
    let printed = |arguments: &[&str]| match parse(&variables(&[]), &words(arguments)) {
        Ok(Command::Print(text)) => text,
        other => panic!("{arguments:?}: {other:?}"),
    };
    for help in ["--help", "-h"] {
        // Whoever asks for help has often got something wrong.
        assert_eq!(printed(&["--nonsense", "healthcheck", help, "--version"]), help::text());
    }
    for version in ["--version", "-V"] {
        assert_eq!(printed(&[version]), format!("downspout {}\n", env!("CARGO_PKG_VERSION")));
    }
    assert!(printed(&["reference"]).starts_with("# Reference\n"));
    assert_eq!(problems(&[], &["reference", "--nonsense"]).len(), 1);
    let checked = parse(&variables(&[]), &words(&["stdout://", "--check"]));
    assert!(matches!(checked, Ok(Command::Check(_))));
    for (name, _) in SWITCHES {
        assert!(Arguments::parse(&words(&[name])).problems.is_empty(), "{name}");
    }
}

#[test]
fn the_table_is_sound() {
    let mut seen = BTreeSet::new();
    for Setting { name, help, apply, default, .. } in SETTINGS {
        assert!(seen.insert(*name), "{name}");
        assert!(help.ends_with('.'), "{name}");
        assert!(default.is_empty() || apply.is_some(), "{name}");
    }
    let mut flags = BTreeSet::new();
    for (flag, _) in settings() {
        assert!(!SWITCHES.iter().any(|(name, _)| name.trim_start_matches('-') == flag), "{flag}");
        assert!(flags.insert(flag.clone()), "{flag}");
    }
    assert!(flags.contains("docker-host") && !flags.contains("ssl-cert-file"));
    run(&[("SSL_CERT_FILE", "/a"), ("SSL_CERT_DIR", "/b")], &[]);
}

struct OnTerminals(Variables);

impl Env for OnTerminals {
    fn get(&self, name: &str) -> Option<String> {
        Env::get(&self.0, name)
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn terminals(&self) -> Terminals {
        Terminals { stdout: true }
    }
}

#[test]
fn colours_need_a_terminal_that_has_them_and_nobody_against_them() {
    let coloured = |pairs: &[(&str, &str)]| {
        match parse(&OnTerminals(variables(pairs)), &[]) {
            Ok(Command::Run(config)) => {
                // What the route's encoder is told.
                let encoder = format!("{:?}", config.routes[0].encoder);
                encoder.contains("colour: true")
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(coloured(&[]));
    assert!(coloured(&[("TERM", "xterm")]));
    assert!(!coloured(&[("TERM", "dumb")]));
    assert!(!coloured(&[("NO_COLOR", "0")]));
    assert!(coloured(&[("NO_COLOR", "")]));
}

// Near enough to real settings to be taken for some.
fn anything() -> impl Strategy<Value = (Variables, Vec<String>)> {
    let name = prop::sample::select(SETTINGS).prop_map(|setting| setting.name);
    let variable = (name.clone(), prop::sample::select(vec!["", "", "", "_FILE", "X"]))
        .prop_map(|(name, end)| format!("{name}{end}"));
    let value = prop_oneof![
        "[a-z0-9:/@.,%?=-]{0,20}",
        any::<String>(),
        prop::sample::select(vec!["stdout://", "syslog+tcp://a:1", "64MiB", "true", "/", "off"])
            .prop_map(str::to_owned),
    ];
    let flag = (name, prop::sample::select(vec!["=", ""])).prop_map(|(name, end)| {
        let short = name.trim_start_matches("DOWNSPOUT_").to_lowercase().replace('_', "-");
        format!("--{short}{end}")
    });
    let argument = prop_oneof![value.clone(), (flag, value.clone()).prop_map(|(a, b)| a + &b)];
    (prop::collection::btree_map(variable, value, 0..6), prop::collection::vec(argument, 0..6))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_given_breaks_the_parser((env, arguments) in anything()) {
        if let Err(problems) = parse(&env, &arguments) {
            prop_assert!(!problems.is_empty());
        }
    }
}

#[test]
fn files_are_read_unless_the_engine_is_to_be_asked() {
    let strategy = |pairs: &[(&str, &str)]| docker_of(pairs).strategy;
    let api = ("DOWNSPOUT_STRATEGY", "api");
    let folder = ("DOWNSPOUT_CONTAINERS_DIR", "/host/containers");
    assert_eq!(strategy(&[]), docker::Strategy::Auto);
    assert_eq!(strategy(&[api, folder]), docker::Strategy::Api);
}
