//! What is kept of an inspection: the variables that may be seen, and the fields that somebody asks
//! for. Never keeps an environment that the operator has not allowed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::record::KNOWN_VARIABLES;

/// What is wanted of an inspection beside what everybody needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Variables of a container's environment that may be seen, beside [`KNOWN_VARIABLES`].
    pub variables: BTreeSet<String>,
    /// Paths into the reply, by Docker's names; an empty path is all of it.
    pub fields: BTreeSet<Vec<String>>,
}

/// The environment's place in a reply.
const ENVIRONMENT: [&str; 2] = ["Config", "Env"];

impl Wanted {
    /// Whether what is wanted is another thing in the container's next run.
    pub fn changes_with_runs(&self) -> bool {
        let changes = |path: &Vec<String>| {
            path.first().is_none_or(|first| ["State", "NetworkSettings"].contains(&first.as_str()))
        };
        self.fields.iter().any(changes)
    }

    /// The variables that may be seen, out of `NAME=VALUE`.
    pub(super) fn variables<'a>(
        &self,
        environment: impl Iterator<Item = &'a str>,
    ) -> BTreeMap<String, String> {
        environment
            .filter_map(|variable| variable.split_once('='))
            .filter(|(name, _)| KNOWN_VARIABLES.contains(name) || self.variables.contains(*name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The reply with no more than the wanted fields; `None` if none is wanted.
    pub(super) fn reduced(&self, mut reply: Value) -> Option<Value> {
        if self.fields.is_empty() {
            return None;
        }
        if let Some(Value::Array(environment)) = reply.pointer_mut(&path(&ENVIRONMENT)) {
            environment.retain(|variable| {
                let name = variable.as_str().and_then(|text| text.split_once('='));
                name.is_some_and(|(name, _)| self.variables.contains(name))
            });
        }
        if self.fields.contains(&Vec::new()) {
            return Some(reply);
        }
        let mut kept = Value::Object(Map::new());
        for field in &self.fields {
            keep(&mut reply, &mut kept, field);
        }
        Some(kept)
    }
}

fn path(names: &[&str]) -> String {
    names.iter().fold(String::new(), |path, name| path + "/" + name)
}

// Moves the value at `path` over. What lies below one that is no object cannot be reached, and then
// that value itself tells so.
fn keep(from: &mut Value, to: &mut Value, path: &[String]) {
    let (Some((name, rest)), Value::Object(source)) = (path.split_first(), &mut *from) else {
        if !from.is_null() {
            *to = from.take();
        }
        return;
    };
    // Go's names differ from Docker's in their case: ID is Id.
    let key = if source.contains_key(name) {
        Some(name.clone())
    } else {
        source.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()
    };
    if let (Some(key), Value::Object(target)) = (key, to)
        && let Some(value) = source.get_mut(&key)
    {
        let below = if rest.is_empty() || !value.is_object() {
            Value::Null
        } else {
            Value::Object(Map::new())
        };
        // A longer path behind a shorter one finds everything there already.
        let place = target.entry(key).or_insert(below);
        keep(value, place, rest);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(variables: &[&str], fields: &[&str]) -> Wanted {
        let path = |field: &str| -> Vec<String> {
            field.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        Wanted {
            variables: variables.iter().map(|name| (*name).to_owned()).collect(),
            fields: fields.iter().map(|field| path(field)).collect(),
        }
    }

    fn reply() -> Value {
        json!({
            "Id": "ab", "Image": "x",
            "Config": {"Hostname": "h", "Labels": {"a": "1", "b": "2"}, "Env": ["KEY=1", "APP=web", "odd"]},
            "State": {"Pid": 7, "Status": "running"},
        })
    }

    #[test]
    fn only_what_is_asked_for_is_kept() {
        for (fields, kept) in [
            (&["ID"][..], json!({"Id": "ab"})),
            (
                &["Config.Hostname", "State.Pid"],
                json!({"Config": {"Hostname": "h"}, "State": {"Pid": 7}}),
            ),
            (
                &["Config.Labels", "Config.Labels.a"],
                json!({"Config": {"Labels": {"a": "1", "b": "2"}}}),
            ),
            (&["Config.Labels.a"], json!({"Config": {"Labels": {"a": "1"}}})),
            (&["Image.Deep"], json!({"Image": "x"})),
            (&["Node.Name", "Config.None"], json!({"Config": {}})),
        ] {
            assert_eq!(wanted(&[], fields).reduced(reply()), Some(kept), "{fields:?}");
        }
        assert_eq!(wanted(&[], &[]).reduced(reply()), None);
    }

    #[test]
    fn an_environment_is_seen_only_as_far_as_it_is_allowed() {
        let seen = |variables: &[&str], fields: &[&str]| {
            let kept = wanted(variables, fields).reduced(reply()).unwrap();
            kept.pointer("/Config/Env").cloned().unwrap()
        };
        for fields in [&[""][..], &["Config"], &["Config.Env"]] {
            assert_eq!(seen(&[], fields), json!([]), "{fields:?}");
            assert_eq!(seen(&["APP"], fields), json!(["APP=web"]), "{fields:?}");
        }
        let environment = ["KEY=1", "APP=a=b", "LOGSPOUT=ignore"];
        let seen = wanted(&["APP"], &[]).variables(environment.into_iter());
        let expected = [("APP", "a=b"), ("LOGSPOUT", "ignore")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(seen, BTreeMap::from(expected));
    }

    #[test]
    fn what_a_run_decides_is_known_to_change() {
        assert!(wanted(&[], &["State.Pid"]).changes_with_runs());
        assert!(wanted(&[], &["NetworkSettings.IPAddress"]).changes_with_runs());
        assert!(wanted(&[], &[""]).changes_with_runs());
        assert!(!wanted(&["A"], &["Config.Hostname"]).changes_with_runs());
    }
}
