//! Lines as logspout's JSON objects: `Container` in the form of Docker's inspection, `Source`,
//! `Data`, `Time`. Never holds anything of a container's environment.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::text::notice;
use crate::json::escape;
use crate::record::{Chunk, Container, Line, Timestamp};

/// How one viewer's objects are made. Remembers the container that was shown last.
#[derive(Debug, Default)]
pub(super) struct Json {
    last: Option<(Arc<Container>, String)>,
}

impl Json {
    pub(super) fn line(&mut self, chunk: &Chunk, line: &Line, out: &mut Vec<u8>) {
        let container = self.container(&chunk.container);
        object(container, line.stream.name(), (chunk.text(line), line.time), None, out);
    }

    pub(super) fn left_out(lines: u64, out: &mut Vec<u8>) {
        let agent = indented(&json!({ "Name": "/downspout" }));
        let said = (notice(lines), Timestamp::now());
        object(&agent, "downspout", (said.0.as_bytes(), said.1), Some(lines), out);
    }

    fn container(&mut self, container: &Arc<Container>) -> &str {
        if !self.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, container)) {
            self.last = Some((container.clone(), indented(&inspection(container))));
        }
        self.last.as_ref().map_or("{}", |(_, text)| text)
    }
}

fn object(
    container: &str,
    source: &str,
    (data, time): (&[u8], Timestamp),
    left_out: Option<u64>,
    out: &mut Vec<u8>,
) {
    // Writing to a vector cannot fail.
    write!(out, "{{\n  \"Container\": {container},\n  \"Source\": \"{source}\",\n  \"Data\": \"")
        .ok();
    escape(data, out);
    write!(out, "\",\n  \"Time\": \"{time}\"").ok();
    if let Some(lines) = left_out {
        write!(out, ",\n  \"LinesLeftOut\": {lines}").ok();
    }
    out.extend_from_slice(b"\n}\n");
}

// Line ends within strings are escaped: those that are left stand between the parts.
fn indented(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default().replace('\n', "\n  ")
}

/// What is known of a container in the form of Docker's inspection.
fn inspection(container: &Container) -> Value {
    let details = container.details.as_deref();
    let known = details.and_then(|details| details.inspection.clone());
    let mut whole = object_of(known);
    let mut config = object_of(whole.remove("Config"));
    config.remove("Env");
    config.insert("Image".to_owned(), json!(container.image));
    config.insert("Labels".to_owned(), json!(container.labels));
    if let Some(details) = details {
        config.insert("Tty".to_owned(), json!(details.tty));
        if !details.driver.is_empty() {
            let host = json!({ "LogConfig": { "Type": details.driver } });
            whole.entry("HostConfig").or_insert(host);
        }
    }
    whole.insert("Id".to_owned(), json!(container.id));
    whole.insert("Name".to_owned(), json!(format!("/{}", container.name)));
    whole.entry("Image").or_insert_with(|| json!(container.image));
    whole.insert("Config".to_owned(), Value::Object(config));
    Value::Object(whole)
}

fn object_of(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tail::tests::chunk_of;
    use super::*;
    use crate::record::Details;

    #[test]
    fn an_object_has_what_is_known_of_the_container_and_nothing_of_its_environment() {
        let details = Details {
            driver: "json-file".into(),
            tty: true,
            inspection: Some(json!({
                "Config": { "Hostname": "h", "Env": ["A=secret"] }, "State": { "Pid": 7 }
            })),
        };
        let container = Container {
            id: "0123".into(),
            name: "web".into(),
            image: "nginx:1".into(),
            labels: [("a".to_owned(), "b\"\n".to_owned())].into(),
            variables: [("LOGSPOUT".to_owned(), "secret".to_owned())].into(),
            details: Some(Arc::new(details)),
            ..Container::default()
        };
        let chunk = chunk_of(container, b"say \"hi\"\t\xff");
        let (mut json, mut out) = (Json::default(), Vec::new());
        json.line(&chunk, &chunk.lines()[0], &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(text.starts_with("{\n  \"Container\": {\n    \"Config\": {\n      \"Hostname\""));
        assert!(text.ends_with("\n}\n"), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["Container"]["Id"], "0123");
        assert_eq!(value["Container"]["Name"], "/web");
        assert_eq!(value["Container"]["State"]["Pid"], 7);
        assert_eq!(value["Container"]["HostConfig"]["LogConfig"]["Type"], "json-file");
        assert_eq!(
            value["Container"]["Config"],
            json!({ "Hostname": "h", "Image": "nginx:1", "Labels": { "a": "b\"\n" }, "Tty": true })
        );
        assert_eq!(
            (&value["Source"], &value["Data"]),
            (&json!("stdout"), &json!("say \"hi\"\t\u{fffd}"))
        );
        let time = value["Time"].as_str().unwrap();
        assert!(Timestamp::parse(time.as_bytes()).is_some(), "{time}");
        let keys = ["\"Container\"", "\"Source\"", "\"Data\"", "\"Time\""];
        assert!(keys.map(|key| text.find(&format!("\n  {key}")).unwrap()).is_sorted(), "{text}");
    }

    #[test]
    fn a_gap_is_an_object_with_a_field_of_its_own() {
        let mut out = Vec::new();
        Json::left_out(120, &mut out);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["Source"], &value["LinesLeftOut"]), (&json!("downspout"), &json!(120)));
        assert_eq!(value["Container"]["Name"], "/downspout");
    }
}
