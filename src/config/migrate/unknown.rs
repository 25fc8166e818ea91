//! Variables that look like logspout's or its modules' and that nobody reads here. Never shows a
//! value.

use super::table::ROWS;
use crate::config::env::Env;
use crate::options::did_you_mean;

/// Variables of modules, and of what people believe logspout to have: what they belong to, and the cure.
#[rustfmt::skip]
const MODULES: &[(&[&str], &str)] = &[
    (&["LOGSTASH_TAGS", "LOGSTASH_FIELDS", "DECODE_JSON_LOGS", "DOCKER_LABELS", "RETRY_STARTUP", "RETRY_SEND"],
     "of logspout-logstash, which has no counterpart; format=json over syslog+tcp:// is close to it"),
    (&["INCLUDE_CONTAINERS", "INCLUDE_CONTAINERS_REGEX", "INCLUDE_LABEL"],
     "says which containers are shipped; the options select.name and select.label of a route do that"),
    (&["FILTER_NAME", "FILTER_ID", "FILTER_SOURCES", "FILTER_LABELS"],
     "of a fork of logspout's; the options filter.name, filter.id, filter.sources and filter.labels of a route do that"),
    (&["DELAY"], "of a module for CloudWatch; DOWNSPOUT_CLOUDWATCH_FLUSH does that"),
    (&["NOEC2"], "of a module for CloudWatch; AWS_EC2_METADATA_DISABLED=true does that"),
    (&["DEDOT_LABELS", "MUTE_ERRORS"], "of logspout-redis-logstash, which has no counterpart"),
    (&["LOGSPOUT_NAME"], "is read by nobody, in logspout neither"),
];
/// What the variables of modules begin with.
const PREFIXES: [(&str, &str); 6] = [
    ("KAFKA_", "of logspout-kafka, which has no counterpart"),
    ("KINESIS_", "of logspout-kinesis, which has no counterpart"),
    ("REDIS_", "of logspout-redis-logstash, which has no counterpart"),
    ("GELF_", "of logspout-gelf, which has no counterpart"),
    ("LOGSTASH_", "of logspout-logstash, which has no counterpart"),
    ("LOGDNA_", "of LogDNA's logspout, which has no counterpart"),
];
/// What logspout's own begin with: others are misspelt.
const OWN: [&str; 6] =
    ["SYSLOG_", "MULTILINE_", "LOGSPOUT_", "RAW_", "EXCLUDE_LABEL", "INACTIVITY_"];
/// Variables that are named at most.
const MOST: usize = 50;

/// The names, in their order, and what is to be said of each.
pub(super) fn of(env: &dyn Env) -> Vec<(String, String)> {
    let mut names = env.names();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| env.get(name).is_some_and(|value| !value.is_empty()))
        .filter(|name| !ROWS.iter().any(|row| is_of(row.name, name)) && !of_a_link(name))
        .filter_map(|name| {
            let words = words(&name)?;
            Some((name, words))
        })
        .take(MOST)
        .collect()
}

// The variable itself, or the one that names its file.
fn is_of(known: &str, name: &str) -> bool {
    name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest == "_FILE")
}

// Docker and Kubernetes set these for a service that happens to have such a name.
fn of_a_link(name: &str) -> bool {
    ["_PORT", "_SERVICE_"].iter().any(|part| name.contains(part)) || name.ends_with("_ENV")
}

fn words(name: &str) -> Option<String> {
    let listed = MODULES.iter().find(|(names, _)| names.contains(&name));
    let by_prefix = || PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix));
    if let Some((_, words)) = listed {
        return Some((*words).to_owned());
    }
    if let Some((_, words)) = by_prefix() {
        return Some((*words).to_owned());
    }
    OWN.iter().any(|prefix| name.starts_with(prefix)).then(|| {
        let hint = did_you_mean(name, ROWS.iter().map(|row| row.name))
            .unwrap_or_else(|| "remove it".into());
        format!("is no variable of logspout's; {hint}")
    })
}
