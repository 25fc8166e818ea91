//! Templates and what Go makes of them, row by row. Never a template that was not run through Go's
//! documentation or source first.

mod analysis;
mod bounds;
mod formatting;
mod language;
mod library;
mod times;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::record::Timestamp;

pub(super) const NAMES: &[&str] = &[
    "Container",
    "Source",
    "Data",
    "Time",
    "Priority",
    "ContainerName",
    "ContainerNameSplitN",
    "Lbl",
    "Labels",
    "Float",
    "Nothing",
    "Free",
    "Empty",
];

/// A message as an encoder would show it.
#[derive(Debug)]
pub(super) struct Message {
    container: serde_json::Value,
    free: serde_json::Value,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) data: Vec<u8>,
    time: Timestamp,
    zone: Zone,
}

impl Default for Message {
    fn default() -> Self {
        let labels = [("source", "shop"), ("io.kubernetes.pod.name", "pod-1"), ("empty", "")];
        let labels: BTreeMap<String, String> =
            labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Self {
            container: container(),
            free: json!({"a": {"b": {"c": 1}}, "n": null, "list": [1, 2.5, "x", null, true]}),
            labels,
            data: b"hello".to_vec(),
            time: Timestamp::parse(b"2026-01-02T15:04:05.120000000Z").unwrap(),
            zone: Zone::utc(),
        }
    }
}

fn container() -> serde_json::Value {
    json!({
        "Id": "8dfafdbc3a40ffee",
        "Name": "/shop.web.1",
        "Created": "2026-01-02T00:00:00Z",
        "State": {"Pid": 4242, "Running": true, "Dead": false, "Health": null},
        "Config": {
            "Hostname": "8dfafdbc3a40",
            "Domainname": "",
            "Image": "nginx:1",
            "Env": ["A=1", "B=2"],
            "Cmd": null,
            "Volumes": null,
            "Labels": {"source": "shop", "io.kubernetes.pod.name": "pod-1", "empty": ""},
        },
        "HostConfig": {
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
            "Memory": 0,
            "CpuShares": 0.5,
        },
        "NetworkSettings": {
            "Networks": {"bridge": {"IPAddress": "172.17.0.2"}},
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": null},
        },
    })
}

impl Data for Message {
    fn field(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "Container" => Value::structure(&self.container),
            "Free" => Value::map(&self.free),
            "Source" => "stdout".into(),
            "Data" => self.data.as_slice().into(),
            "Time" => Value::Time(self.time, &self.zone),
            "Priority" => Value::Int(14),
            "ContainerName" => "shop.web.1".into(),
            "Labels" => Value::Labels(&self.labels),
            "Float" => Value::Float(2.5),
            "Nothing" => Value::Nil,
            "Empty" => "".into(),
            _ => return None,
        })
    }

    fn method(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        let first = match arguments {
            [Value::Text(text), ..] => String::from_utf8_lossy(text).into_owned(),
            _ => return Some(Err("expected a text".into())),
        };
        Some(match (name, arguments) {
            ("ContainerNameSplitN", [_, Value::Int(most)]) => {
                let most = usize::try_from(*most).unwrap_or_default();
                Ok(Value::list("shop.web.1".splitn(most, &first).map(Value::from)))
            }
            ("Lbl" | "label", [_]) => Ok(self.labels.get(&first).map_or("", String::as_str).into()),
            ("env", [_]) => Ok(if first == "APP" { "checkout" } else { "" }.into()),
            _ => return None,
        })
    }

    fn members(&self) -> Vec<(&str, Value<'_>)> {
        ["Source", "Data", "Labels"].map(|name| (name, self.field(name).unwrap())).into()
    }
}

/// What a template gives; `!` before an error of rendering, `?` before a fault.
pub(super) fn outcome(template: &str, message: &Message) -> String {
    let template = match Template::parse(template, Some(NAMES)) {
        Ok(template) => template,
        Err(fault) => return format!("?{fault}"),
    };
    let mut out = b"before".to_vec();
    match template.render(message, 10_000, &mut out) {
        Ok(()) => String::from_utf8(out.split_off(6)).unwrap(),
        Err(error) => {
            assert_eq!(out, b"before", "what was written is taken back");
            format!("!{error}")
        }
    }
}

/// Compares outputs in full, and of errors and faults a part.
pub(super) fn check(rows: &[(&str, &str)]) {
    let message = Message::default();
    let wrong: Vec<String> = rows
        .iter()
        .map(|(template, wanted)| (template, wanted, outcome(template, &message)))
        .filter(|(_, wanted, given)| match wanted.chars().next() {
            Some(mark @ ('!' | '?')) => {
                !(given.starts_with(mark) && given.contains(wanted.trim_start_matches(mark)))
            }
            _ => given != *wanted,
        })
        .map(|(template, wanted, given)| {
            format!("{template}\n  wanted {wanted:?}\n  given  {given:?}")
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
