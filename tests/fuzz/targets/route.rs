//! Route URIs: any text ends in a name or in problems that a terminal can show; a name of a host
//! is itself a route to it; and no problem shows a password.
#![no_main]

use downspout::route;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "hunter2secret";

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Any(&'a str),
    Query { scheme: u8, place: &'a str, options: Vec<(u8, &'a str)> },
    Password { scheme: u8, user: &'a str, before: &'a str, rest: &'a str },
}

const SCHEMES: &[&str] =
    &["stdout", "syslog+tcp", "syslog+udp", "syslog+tls", "syslog+unix", "nonsense"];
const OPTIONS: &[&str] = &[
    "format",
    "framing",
    "facility",
    "severity_stdout",
    "severity_stderr",
    "sd",
    "sd_labels",
    "sd_enterprise",
    "utc_offset",
    "labels",
    "max_message_bytes",
    "window",
    "connect_timeout",
    "failover",
    "failback",
    "tls_ca",
    "typo",
];

fn pick(names: &[&'static str], choice: u8) -> &'static str {
    names[usize::from(choice) % names.len()]
}

/// Checks one URI; what it said, if anything was wrong.
fn check(uri: &str) -> Vec<String> {
    match route::check(uri) {
        Ok(name) => {
            if name.contains("+tcp:") || name.contains("+tls:") || name.contains("+udp:") {
                assert_eq!(route::check(&name).as_ref(), Ok(&name), "of {uri:?}");
            }
            Vec::new()
        }
        Err(problems) => {
            let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(!said.is_empty(), "refused without a reason: {uri:?}");
            said
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Any(uri) => {
            check(uri);
            route::split_list(uri).for_each(|uri| assert!(!uri.is_empty() && !uri.contains(',')));
        }
        Input::Query { scheme, place, options } => {
            let pairs: Vec<_> = options
                .iter()
                .map(|(key, value)| format!("{}={value}", pick(OPTIONS, *key)))
                .collect();
            check(&format!("{}://{place}?{}", pick(SCHEMES, scheme), pairs.join("&")));
        }
        Input::Password { scheme, user, before, rest } => {
            // What begins the address ends the user's name.
            let user: String = user.chars().filter(|c| !"/?#:@[".contains(*c)).collect();
            // Up to here it reads as HOST:PORT?OPTION=, and nobody can tell.
            let piece = before.split(['/', '?', '#']).next().unwrap_or_default();
            let is_port = !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_digit());
            if user.is_empty() || (is_port && before.contains('?')) {
                return;
            }
            let scheme = pick(SCHEMES, scheme);
            for said in check(&format!("{scheme}://{user}:{before}{SECRET}@{rest}")) {
                assert!(!said.contains(SECRET), "a password is shown: {said}");
            }
        }
    }
});
