//! The addresses of one destination: `HOST:PORT|HOST:PORT` and the option `failover`. Never
//! opens or resolves anything.

use super::host::host_and_port;
use crate::failover::{FAILOVER, MAX_ADDRESSES};
use crate::output::{Carriage, Driver, Target};

/// The hosts of a URI and, behind them, those of its options `failover`, which are taken out of
/// `options`.
pub(super) fn targets(
    driver: &Driver,
    default_port: u16,
    authority: &str,
    options: &mut Vec<(String, String)>,
) -> Result<Vec<Target>, Vec<String>> {
    let (mut targets, mut problems) = (Vec::new(), Vec::new());
    for place in authority.split('|') {
        match host_and_port(place) {
            Ok((host, port)) => targets.push(Target::Host(host, port.unwrap_or(default_port))),
            Err(why) => problems.push(format!("{why}; for example {}", driver.example)),
        }
    }
    for (_, text) in options.extract_if(.., |(key, _)| key == FAILOVER.name) {
        match another(&text) {
            Ok((host, port)) => targets.push(Target::Host(host, port.unwrap_or(default_port))),
            Err(why) => problems.push(why),
        }
    }
    problems.extend(unfit(driver, &targets));
    if problems.is_empty() { Ok(targets) } else { Err(problems) }
}

fn another(text: &str) -> Result<(String, Option<u16>), String> {
    if text.contains('@') {
        return Err("option 'failover': a user or password has no place here; leave out what is \
                    before '@'"
            .into());
    }
    host_and_port(text).map_err(|why| format!("option 'failover={text}': {why}"))
}

fn unfit(driver: &Driver, targets: &[Target]) -> Option<String> {
    if targets.len() > 1 && driver.carriage == Carriage::Datagram {
        return Some(
            "several addresses have no place here: nothing tells a sender of datagrams that its \
             peer is down; write a route for each of them, or use syslog+tcp"
                .into(),
        );
    }
    if targets.len() > MAX_ADDRESSES {
        return Some(format!("{} addresses, {MAX_ADDRESSES} at most", targets.len()));
    }
    let mut rest = targets;
    while let Some((first, after)) = rest.split_first() {
        if after.contains(first) {
            return Some(format!("the address {first} is given twice; keep one of them"));
        }
        rest = after;
    }
    None
}
