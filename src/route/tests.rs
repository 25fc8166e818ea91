use proptest::prelude::*;

use super::*;
use crate::output::{DRIVERS, TargetKind, driver};

const QUIET: Terminal = Terminal { attached: false, colour: false };

fn parse(uri: &str) -> Result<Route, Vec<Problem>> {
    let metrics = Metrics::new();
    let (logspout, allowed) = (Inherited::nothing(), Allowed::default());
    let opening = Opening {
        terminal: QUIET,
        metrics: &metrics,
        fallbacks: &BTreeMap::new(),
        logspout: &logspout,
        allowed: &allowed,
    };
    Route::parse(uri, &opening)
}

fn name(uri: &str) -> String {
    parse(uri).unwrap_or_else(|problems| panic!("{uri}: {problems:?}")).name
}

fn problems(uri: &str) -> Vec<String> {
    parse(uri).map(|route| route.name).unwrap_err().iter().map(ToString::to_string).collect()
}

// The only problem of a URI.
fn problem(uri: &str) -> String {
    let problems = problems(uri);
    assert_eq!(problems.len(), 1, "{uri}: {problems:?}");
    problems.into_iter().next().unwrap()
}

fn example(scheme: &str) -> &'static str {
    driver(scheme).unwrap().example
}

#[test]
fn a_route_is_named_by_what_identifies_it() {
    let TargetKind::Host { default_port } = driver("syslog+tcp").unwrap().target else { panic!() };
    for (uri, expected) in [
        ("syslog+tcp://logs.example.com:1514", "syslog+tcp://logs.example.com:1514".to_owned()),
        ("syslog+tcp://logs", format!("syslog+tcp://logs:{default_port}")),
        ("SYSLOG+TCP://Logs.Example.com:1/", "syslog+tcp://logs.example.com:1".to_owned()),
        ("syslog+udp://[2001:DB8::1]:514?format=rfc3164", "syslog+udp://[2001:db8::1]:514".into()),
        ("syslog+udp://[fe80::1%25eth0]:514", "syslog+udp://[fe80::1%eth0]:514".into()),
        ("syslog+udp://10.0.0.1:65535", "syslog+udp://10.0.0.1:65535".into()),
        ("syslog+tls://A:1|[::1]|b", "syslog+tls://a:1|[::1]:6514|b:6514".into()),
        ("syslog+tls://a?failover=b:1&failover=[::1]", "syslog+tls://a:6514|b:1|[::1]:6514".into()),
        ("syslog+tcp://a:1|b:1/?failback=off&failover=c:1", "syslog+tcp://a:1|b:1|c:1".into()),
        ("syslog+unix:///run/my%20log", "syslog+unix:///run/my log".into()),
        ("stdout://", "stdout://".into()),
        ("stdout:///?format=json", "stdout://".into()),
    ] {
        assert_eq!(name(uri), expected, "{uri}");
    }
}

#[test]
fn equal_routes_get_names_and_counters_of_their_own() {
    let metrics = Metrics::new();
    let uris = ["syslog+tcp://a:1", "syslog+tcp://b:1", "syslog+tcp://a:1?window=1m"];
    let routes = Route::parse_all(
        &uris.map(str::to_owned),
        &Opening {
            terminal: QUIET,
            metrics: &metrics,
            fallbacks: &BTreeMap::new(),
            logspout: &Inherited::nothing(),
            allowed: &Allowed::default(),
        },
    )
    .unwrap();
    let names: Vec<_> = routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["syslog+tcp://a:1", "syslog+tcp://b:1", "syslog+tcp://a:1#2"]);
    for name in names {
        assert!(metrics.render().contains(&format!("destination=\"{name}\"")), "{name}");
    }
}

#[test]
fn what_cannot_be_a_place_is_refused_with_an_example() {
    for (uri, expected) in [
        ("syslog+tcp://:514", "the host is missing"),
        ("syslog+tcp://", "the host is missing"),
        ("syslog+tcp://host:0", "port '0' is not a number from 1 to 65535"),
        ("syslog+tcp://host:65536", "port '65536' is not a number from 1 to 65535"),
        ("syslog+tcp://host:+5", "port '+5' is not a number from 1 to 65535"),
        ("syslog+tcp://::1:514", "an IPv6 address needs brackets: [::1:514]"),
        ("syslog+tcp://1.2.3.400", "'1.2.3.400' is not an IPv4 address"),
        ("syslog+tcp://host:514/app", "a path has no place here"),
        ("syslog+unix://dev/log", "the path must be absolute, with a third '/'"),
        ("syslog+unix://", "the path names no file"),
    ] {
        let example = example(uri.split(':').next().unwrap());
        assert_eq!(problem(uri), format!("{uri}: {expected}; for example {example}"));
    }
    assert_eq!(
        problem("stdout://host?window=1m"),
        "stdout://host: neither host nor path has a place here; write stdout://"
    );
}

#[test]
fn hosts_ports_and_paths_are_checked_character_by_character() {
    for (uri, part) in [
        ("syslog+tcp://host:", "port ''"),
        ("syslog+tcp://[::1", "no closing ']'"),
        ("syslog+tcp://[::1]514", "after ']' comes ':'"),
        ("syslog+tcp://[::g]:514", "not an IPv6 address"),
        ("syslog+tcp://[fe80::1%]:514", "not an IPv6 address"),
        ("syslog+tcp://a..b:514", "not a host name"),
        ("syslog+tcp://ho st:514", "the host holds ' '"),
        ("syslog+tcp://bücher:514", "the host holds 'ü'"),
        ("syslog+unix://", "the path names no file"),
        ("syslog+unix:///run/", "the path names no file"),
        ("syslog+unix:///a%00b", "NUL"),
        ("syslog+unix:///a%zz", "without two hexadecimal digits"),
        ("syslog+unix:///a%ff", "is not UTF-8"),
    ] {
        let problem = problem(uri);
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn a_scheme_that_is_unknown_or_lacks_its_slashes_is_shown_right() {
    let known: Vec<_> = DRIVERS.iter().flat_map(|driver| driver.schemes).copied().collect();
    let known = known.join(", ");
    assert_eq!(
        problem("syslog+tpc://host:514"),
        format!(
            "syslog+tpc://host:514: unknown scheme 'syslog+tpc'; did you mean 'syslog+tcp'? \
             known: {known}; for example {}",
            example("syslog+tcp")
        )
    );
    assert!(problem("kafka://host").contains(&format!("known: {known}; for example syslog+")));
    assert_eq!(
        problem("syslog+tcp:host:514?window=1m"),
        "syslog+tcp:host:514: '//' is missing after the scheme; write syslog+tcp://host:514"
    );
    assert!(problem("syslog+unix:/dev/log").ends_with("write syslog+unix:///dev/log"));
    assert!(problem("stdout").ends_with("not a route URI; write one like stdout://"));
    assert!(problem("").contains("not a route URI"));
    // The closest by its letters is not encrypted.
    assert!(problem("syslog+ssl://host").contains("did you mean 'syslog+tls'?"));
}

#[test]
fn what_a_comma_has_cut_off_a_route_is_told_from_a_scheme() {
    for piece in ["tier:web", "stderr", "*:prod", "web-*", "::1"] {
        let said = problem(piece);
        assert!(said.starts_with(&format!("{piece}: not a route URI; ")), "{said}");
        assert!(said.ends_with("the comma between them as %2C"), "{said}");
    }
    assert!(problem("syslog+tpc:host:1").contains("did you mean 'syslog+tcp'?"));
}

#[test]
fn every_problem_of_a_route_is_reported_at_once() {
    let found = problems("syslog+tcp://me@host:99999?window=1&format&x=%4#end");
    for part in ["before '@'", "'99999'", "'format' has no value", "option 'x'", "fragment"] {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part}: {found:?}");
    }
    let found =
        problems("syslog+tcp://host:514?window=1&fromat=raw&nonsense=1&NOEC2&format=x&format=y");
    for part in [
        "option 'window=1': expected 16KiB to 64MiB",
        "unknown option 'fromat'; did you mean 'format'?",
        "unknown option 'nonsense'; known here: ",
        "unknown option 'NOEC2'; known here: ",
        "option 'format=x'",
        "option 'format' is given twice",
    ] {
        let expected = format!("syslog+tcp://host:514: {part}");
        assert!(found.iter().any(|problem| problem.starts_with(&expected)), "{part}: {found:?}");
    }
}

#[test]
fn a_password_is_never_repeated() {
    for uri in [
        "syslog+tcp://user:s3cret@host:514",
        "syslog+tcp://s3cret@host:514?s3cret=1",
        "syslog+tcp://user:s3cret/x@host:99999",
        "syslog+tcp://user:s3cret?x@host",
        "syslog+tcp://user:#s3cret@host",
        "syslog+tcp://user:1/s3cret@host",
        "syslog+tcp://user:1/x/s3cret@host:514/y?z=1",
        "syslog+tcp://user:1?s3cret@host",
        "syslog+tcp://user:1?x=1&s3cret@host",
        "syslog+tcp://a:1|user:1/s3cret@host",
        "syslog+tcp://a:1|user:s3cret?x=1@host",
        "syslog+tcp://user/s3cret@host",
        "syslog+unix://user:1/s3cret@host",
        "sislog+tcp://user:1/s3cret@host",
        "syslog+tcp:user:1/s3cret@host",
        "syslog+tcp:user:s3cret@host",
        "sislog+tcp://user:s3cret@host",
        "user:s3cret@host",
        "stdout://user:s3cret@",
    ] {
        for problem in problems(uri) {
            assert!(!problem.contains("s3cret"), "{problem}");
            assert!(problem.contains("***@"), "{problem}");
        }
    }
    let said = problem("syslog+tcp://host?failover=user:s3cret@host");
    assert!(said.contains("option 'failover'") && !said.contains("s3cret"), "{said}");
    // An '@' in an option or a path is nobody's password.
    assert!(problem("syslog+tcp://a:1|b:2?x=a@b").starts_with("syslog+tcp://a:1|b:2: unknown"));
    assert!(problem("syslog+tcp://host:514?x=a@b").starts_with("syslog+tcp://host:514: unknown"));
    assert_eq!(name("syslog+unix:///run/log@2"), "syslog+unix:///run/log@2");
}

#[test]
fn a_list_of_addresses_is_checked_address_by_address() {
    let nine: Vec<_> = (1..=9).map(|host| format!("h{host}")).collect();
    for (uri, part) in [
        ("syslog+tcp://a||b", "the host is missing"),
        ("syslog+tcp://a|b:x", "port 'x'"),
        ("syslog+tcp://a|::1", "needs brackets: [::1]"),
        ("syslog+tcp://a?failover=b:0", "option 'failover=b:0': port '0'"),
        ("syslog+tcp://a?failover=b|c", "the host holds '|'"),
        ("syslog+tcp://a:514|b|A", "the address a:514 is given twice"),
        ("syslog+tcp://a|b?failover=b:514", "the address b:514 is given twice"),
        (&format!("syslog+tcp://{}", nine.join("|")), "9 addresses, 8 at most"),
        ("syslog+udp://a|b", "a sender of datagrams"),
        ("syslog+udp://a?failover=b", "or use syslog+tcp"),
        ("syslog+udp://a?failback=1m", "unknown option 'failback'"),
        ("syslog+unix:///a?failover=b", "unknown option 'failover'"),
        ("syslog+tcp://a?failback=1m", "option 'failback' needs several addresses"),
        ("syslog+tcp://a|b?failback=25h", "expected 1s to 24h, or off"),
    ] {
        let problem = problem(uri);
        assert!(problem.contains(part), "{problem}");
    }
    let eight = nine.get(..8).unwrap().join("|");
    assert_eq!(name(&format!("syslog+tcp://{eight}")).matches(":514").count(), 8);
}

#[test]
fn a_problem_that_all_addresses_share_is_told_once() {
    let found = problems("syslog+tls://a|b?user_timeout=x&tls_ca=/nowhere.pem&window=1&typo=1");
    assert_eq!(found.len(), 4, "{found:?}");
    for part in ["'user_timeout=x'", "/nowhere.pem", "'window=1'", "'typo'"] {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part}: {found:?}");
    }
    assert_eq!(name("syslog+tls://a|b?tls_server_name=c&user_timeout=3s").matches('|').count(), 1);
}

#[test]
fn the_window_is_taken_within_its_limits() {
    let window = |uri: &str| parse(uri).unwrap().window_bytes;
    assert_eq!(window("syslog+tcp://a"), 256 << 10);
    assert_eq!(Ok(256 << 10), parse_bytes(WINDOW.default));
    assert_eq!(window("syslog+tcp://a?window=16KiB"), 16 << 10);
    assert_eq!(window("syslog+tcp://a?window=64%4diB"), 64 << 20);
    assert!(problem("syslog+tcp://a?window=16383").contains("expected 16KiB to 64MiB"));
    assert!(problem("syslog+tcp://a?window=65MiB").contains("expected 16KiB to 64MiB"));
}

#[test]
fn the_pattern_of_a_first_line_is_compiled_or_refused_with_the_place_of_its_fault() {
    let joins = |uri: &str| parse(uri).unwrap().joining.by_default().is_some();
    assert!(!joins("syslog+tcp://a"));
    for driver in DRIVERS {
        let sign = if driver.example.contains('?') { '&' } else { '?' };
        let uri = format!(
            "{}{sign}multiline_pattern=^\\d{{4%2C}}|x?y&multiline_flush=10ms",
            driver.example
        );
        assert!(check(&uri).is_ok(), "{uri}: {:?}", check(&uri));
    }
    assert!(joins("stdout://?multiline_pattern=^(a|b%26)&multiline_flush=1h"));
    for (query, part) in [
        ("multiline_pattern=", "option 'multiline_pattern=': the pattern is empty"),
        (
            "multiline_pattern=a(b[",
            "option 'multiline_pattern=a(b[': not a regular expression, at character 4: ",
        ),
        ("multiline_pattern=a&multiline_flush=9ms", "'multiline_flush=9ms': expected 10ms to 1h"),
        ("multiline_pattern=a&multiline_flush=61m", "'multiline_flush=61m': expected 10ms to 1h"),
        ("multiline_flush=2s", "option 'multiline_flush' needs multiline_pattern"),
    ] {
        let uri = format!("syslog+tcp://a:1?{query}");
        assert!(problem(&uri).contains(part), "{}", problem(&uri));
        let checked = check(&uri).unwrap_err();
        assert!(checked.len() == 1 && checked[0].to_string().contains(part), "{checked:?}");
    }
}

#[test]
fn a_plus_in_a_value_stays_and_percent_signs_are_decoded() {
    let address = Address::parse("syslog+tcp://a?zone=+02:00&b%26=%C3%BC%2C&empty=&&").unwrap();
    let expected = [("zone", "+02:00"), ("b&", "ü,"), ("empty", "")];
    let given: Vec<_> = address.options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(given, expected);
}

#[test]
fn lists_are_split_at_commas_and_line_ends() {
    let parts: Vec<_> = split_list(" a://b , ,c://d?x=1%2C2\r\ne://f,\n").collect();
    assert_eq!(parts, ["a://b", "c://d?x=1%2C2", "e://f"]);
}

#[test]
fn no_option_has_two_owners() {
    for driver in DRIVERS {
        let mut seen = BTreeSet::new();
        for row in known(driver).into_iter().flatten() {
            assert!(seen.insert(row.name), "{} {}", driver.example, row.name);
        }
        assert!(check(driver.example).is_ok(), "{}", driver.example);
    }
}

// Texts that come near to a route, so that every branch is met.
fn nearly() -> impl Strategy<Value = String> {
    let schemes = DRIVERS.iter().flat_map(|driver| driver.schemes).copied().collect::<Vec<_>>();
    let scheme = prop_oneof![prop::sample::select(schemes).prop_map(str::to_owned), ".{0,6}"];
    let place = prop_oneof![r"[a-c.:@/|\[\]%0-9-]{0,12}", r"\[[0-9a-f:%]{0,9}\]?(:[0-9]{0,6})?"];
    let options = prop::collection::vec(
        r"(window|format|failover|failback|ca|[a-z%]{0,3})=?[0-9a-zK%+é]{0,6}",
        0..4,
    );
    let slashes = prop::sample::select(vec!["://", ":", "", ":///"]);
    let query = prop::sample::select(vec!["?", "#", "&", ""]);
    (scheme, slashes, place, query, options).prop_map(|(scheme, slashes, place, query, options)| {
        format!("{scheme}{slashes}{place}{query}{}", options.join("&"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_the_parser(uri in prop_oneof![any::<String>(), nearly()]) {
        match check(&uri) {
            Ok(name) => prop_assert_eq!(
                Address::parse(&name.replace('%', "%25")).is_ok(),
                !name.contains(['?', '#']),
                "{} is not understood itself", name
            ),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
        if let Err(problems) = parse(&uri) {
            prop_assert!(!problems.is_empty());
        }
    }
}
