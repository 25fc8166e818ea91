//! Whether every destination can be reached, and what it promises.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::report::{Finding, Severity};
use crate::app::reach;
use crate::output::{self, Carriage};
use crate::route::Route;

/// A destination that has not answered by then is silent.
const LIMIT: Duration = Duration::from_secs(10);

/// Connects to all of them side by side and sends nothing.
pub(super) async fn findings(routes: Vec<Route>) -> Vec<Finding> {
    let only_prints = match routes.as_slice() {
        [only] if carriage(&only.name) == Some(Carriage::Text) => Some(only.name.clone()),
        _ => None,
    };
    let mut findings: Vec<_> =
        routes.iter().filter_map(|route| at_most_once(&route.name)).collect();
    findings.extend(only_prints.map(|name| {
        Finding::new(
            Severity::Note,
            "destination-prints-only",
            name,
            "no other destination is configured: lines are printed and go nowhere",
            "set DOWNSPOUT_ROUTES, such as syslog+tls://logs.example.com:6514",
        )
    }));
    let tried = routes.into_iter().map(|route| async move {
        let silent = || Err(format!("no answer within {} s", LIMIT.as_secs()));
        let reached = timeout(LIMIT, Box::pin(reach(route.peer))).await;
        Some((route.name, reached.unwrap_or_else(|_| silent()).err()?))
    });
    findings.extend(join_all(tried).await.into_iter().flatten().map(|(name, why)| {
        let cure = "mend what the message names; until then the containers' logs keep the lines, as \
                    long as rotation leaves them";
        Finding::new(Severity::Problem, "destination-unreachable", name, why, cure)
    }));
    findings
}

// A route's name is its URI without options.
fn carriage(name: &str) -> Option<Carriage> {
    let (scheme, _) = name.split_once(':')?;
    output::driver(scheme).map(|driver| driver.carriage)
}

fn at_most_once(name: &str) -> Option<Finding> {
    (carriage(name)? == Carriage::Datagram).then(|| {
        Finding::new(
            Severity::Note,
            "destination-at-most-once",
            name,
            "datagrams are sent once and nobody confirms them: lines are lost where the network or \
             the receiver has no room",
            "use syslog+tcp, syslog+tls or relp where the receiver takes them",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_promise_less_than_streams() {
        for name in ["syslog+udp://a:514", "syslog://a:514", "syslog://a:514#2"] {
            assert!(at_most_once(name).is_some(), "{name}");
        }
        for name in ["syslog+tcp://a:514", "relp://a:2514", "stdout://", "nonsense"] {
            assert!(at_most_once(name).is_none(), "{name}");
        }
    }
}
