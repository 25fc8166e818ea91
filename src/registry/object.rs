//! One route as a JSON object: to a route URI and back. Never shows what may be a secret.

use std::collections::BTreeMap;
use std::fmt::Write;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::{Deserialize, Deserializer, Serialize};

use crate::options::Problem;
use crate::percent;

/// Longest id, in characters.
const MOST_ID_CHARACTERS: usize = 64;
/// Bytes of the hash that an id is made from where none is given: 12 digits, as in logspout.
const HASH_BYTES: usize = 6;
/// Parts of the names of options that may hold what nobody else should know.
const SECRETS: [&str; 4] = ["password", "secret", "token", "external_id"];

/// A route, with logspout's keys in logspout's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Object {
    /// By which it is known; see [`is_id`].
    #[serde(deserialize_with = "given")]
    pub id: String,
    /// The beginning of a container's id.
    #[serde(deserialize_with = "given", skip_serializing_if = "String::is_empty")]
    pub filter_id: String,
    /// A glob over a container's name.
    #[serde(deserialize_with = "given", skip_serializing_if = "String::is_empty")]
    pub filter_name: String,
    /// Which of `stdout` and `stderr`.
    #[serde(deserialize_with = "given", skip_serializing_if = "Vec::is_empty")]
    pub filter_sources: Vec<String>,
    /// Labels with globs over their values.
    #[serde(deserialize_with = "given", skip_serializing_if = "Vec::is_empty")]
    pub filter_labels: Vec<String>,
    /// The scheme of the route's URI.
    #[serde(deserialize_with = "given")]
    pub adapter: String,
    /// What stands behind the scheme.
    #[serde(deserialize_with = "given")]
    pub address: String,
    /// The other options of the URI.
    #[serde(deserialize_with = "given", skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

// `null` is nothing, as in Go.
fn given<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// Whether this may be the id of a route: 1 to 64 of `A-Z a-z 0-9 _ . -`, and no dot in front. It
/// is the name of a file too.
pub fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=MOST_ID_CHARACTERS).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('.')
}

impl Object {
    /// The route of a URI that is known under `name`, for showing it.
    pub fn of_uri(name: &str, uri: &str) -> Self {
        let (scheme, rest) = uri.split_once("://").unwrap_or((uri, ""));
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let adapter = long(&scheme.to_ascii_lowercase());
        // What is before an '@' is no address, and may be a password.
        let address = address.rsplit('@').next().unwrap_or_default().to_owned();
        let mut object = Self { id: hashed(name), adapter, address, ..Self::default() };
        let list = |text: String| text.split(',').map(str::to_owned).collect();
        for item in query.split('&').filter(|item| !item.is_empty()) {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            let (key, value) = (decoded(key), decoded(value));
            match key.as_str() {
                "filter.id" => object.filter_id = value,
                "filter.name" => object.filter_name = value,
                "filter.sources" => object.filter_sources = list(value),
                "filter.labels" => object.filter_labels = list(value),
                _ => {
                    object.options.insert(key, value);
                }
            }
        }
        object.shown()
    }

    /// The same without what may be a secret.
    #[must_use]
    pub fn shown(mut self) -> Self {
        self.options.retain(|key, _| !SECRETS.iter().any(|part| key.contains(part)));
        self
    }

    /// The same route as a URI.
    pub fn uri(&self) -> Result<String, Problem> {
        let Self { adapter, address, .. } = self;
        let scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
        if adapter.is_empty() || !adapter.bytes().all(scheme) {
            return Err(Problem::new(format!(
                "bad adapter: '{}'; write one such as syslog+tcp",
                adapter.escape_debug()
            )));
        }
        let foreign = |c: char| c.is_whitespace() || c.is_control() || "?#&".contains(c);
        if let Some(at) = address.chars().position(foreign) {
            return Err(Problem::new(format!(
                "bad address: '{}': character {} has no place there; options stand in 'options'",
                address.escape_debug(),
                at + 1,
            )));
        }
        let filters = [
            ("filter.id", self.filter_id.clone()),
            ("filter.name", self.filter_name.clone()),
            ("filter.sources", self.filter_sources.join(",")),
            ("filter.labels", self.filter_labels.join(",")),
        ];
        let filters = filters.iter().map(|(key, value)| (*key, value));
        let options = self.options.iter().map(|(key, value)| (key.as_str(), value));
        let pairs = filters.filter(|(_, value)| !value.is_empty()).chain(options);
        let pairs: Vec<String> =
            pairs.map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        Ok(format!("{adapter}://{address}{query}"))
    }

    /// The route with an id: its own, or one that is the same whenever the same is asked for. Its
    /// adapter has its long name from here on.
    pub fn identified(mut self) -> Result<Self, Problem> {
        self.adapter = long(&self.adapter);
        if self.id.is_empty() {
            self.id = hashed(&self.uri()?);
        }
        if !is_id(&self.id) {
            return Err(Problem::new(format!(
                "bad id: '{}'; expected 1 to 64 letters, digits, '_', '.' and '-', no dot in front",
                self.id.escape_debug()
            )));
        }
        Ok(self)
    }

    /// The object as logspout prints it, without a line end.
    pub fn print(&self) -> String {
        printed(self)
    }

    /// A list of objects as logspout prints it, without a line end.
    pub fn print_all(objects: &[Self]) -> String {
        printed(&objects)
    }
}

// What an adapter is called that has a short name.
fn long(adapter: &str) -> String {
    match adapter {
        "udp" | "tcp" | "tls" => format!("raw+{adapter}"),
        _ => adapter.to_owned(),
    }
}

// Go's encoder escapes what a browser could take for HTML. Outside of strings JSON has none of it.
fn printed<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn hashed(text: &str) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let mut digits = String::new();
    for byte in digest.as_ref().iter().take(HASH_BYTES) {
        // Writing to a string cannot fail.
        write!(digits, "{byte:02x}").ok();
    }
    digits
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~*:/".contains(&byte);
    let each = text.bytes().map(|byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    });
    each.collect()
}

// It is only shown: what is no encoding stays as it is.
fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent::decoded(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Object {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_object_becomes_a_uri_and_is_printed_as_logspout_prints_it() {
        let object = read(
            r#"{"adapter":"syslog+tcp","address":"logs:514","id":"abc","unknown":[1],
               "filter_name":"web*","filter_sources":["stdout","stderr"],"filter_labels":null,
               "options":{"structured_data":"<x y=\"1&2\">"}}"#,
        );
        assert_eq!(
            object.uri().unwrap(),
            "syslog+tcp://logs:514?filter.name=web*&filter.sources=stdout%2Cstderr\
             &structured_data=%3Cx%20y%3D%221%262%22%3E"
        );
        let printed = "{\n  \"id\": \"abc\",\n  \"filter_name\": \"web*\",\n  \"filter_sources\": [\
             \n    \"stdout\",\n    \"stderr\"\n  ],\n  \"adapter\": \"syslog+tcp\",\
             \n  \"address\": \"logs:514\",\n  \"options\": {\n    \"structured_data\": \
             \"\\u003cx y=\\\"1\\u00262\\\"\\u003e\"\n  }\n}";
        assert_eq!(object.print(), printed);
        assert_eq!(read(printed), object);
        assert_eq!(Object::print_all(&[]), "[]");
    }

    #[test]
    fn a_route_of_a_uri_is_shown_under_its_long_name_and_without_secrets() {
        let object =
            Object::of_uri("n", "udp://h:514?filter.labels=a:b,c:d&tls_key=/k.pem&external_id=xyz");
        assert_eq!((object.adapter.as_str(), object.address.as_str()), ("raw+udp", "h:514"));
        assert_eq!(object.filter_labels, ["a:b", "c:d"]);
        assert_eq!(object.options, BTreeMap::from([("tls_key".into(), "/k.pem".into())]));
        // echo -n n | sha1sum
        assert_eq!(object.id, "d1854cae891e");
        for uri in ["syslog", "syslog://", "://", "syslog://u:p@h:1", "x://h?%zz&%C3&=%"] {
            assert!(!Object::of_uri("n", uri).print().contains("p@"), "{uri}");
        }
    }

    #[test]
    fn what_could_leave_the_folder_or_the_uri_is_refused_with_the_place() {
        for (bad, word) in [
            (r#"{"adapter":"","address":"h:1"}"#, "bad adapter: ''"),
            (r#"{"adapter":"sys log","address":"h:1"}"#, "bad adapter"),
            (r#"{"adapter":"syslog","address":"h:1?x=y"}"#, "character 4 has no place"),
            (r#"{"adapter":"syslog","address":"h:1","id":"../x"}"#, "bad id: '../x'"),
            (r#"{"adapter":"syslog","address":"h:1","id":".x"}"#, "bad id"),
            (r#"{"source":{"filter":"db"},"target":{"type":"syslog"}}"#, "bad adapter: ''"),
        ] {
            let refused =
                read(bad).identified().and_then(|object| object.uri()).unwrap_err().to_string();
            assert!(refused.contains(word), "{bad}: {refused}");
        }
        assert!(is_id(&"x".repeat(64)) && !is_id(&"x".repeat(65)) && !is_id(""));
    }

    #[test]
    fn an_id_that_is_not_given_is_the_same_for_the_same_route() {
        let object = || read(r#"{"adapter":"syslog","address":"h:1"}"#).identified().unwrap();
        let other = read(r#"{"adapter":"syslog","address":"h:2"}"#).identified().unwrap();
        let short = read(r#"{"adapter":"tls","address":"h:2"}"#).identified().unwrap();
        assert_eq!(short.adapter, "raw+tls", "as logspout shows it");
        assert_eq!(object().id, object().id);
        assert_eq!(object().id.len(), 12);
        assert_ne!(object().id, other.id);
    }

    proptest! {
        #[test]
        fn any_option_comes_back_as_it_was(key in "[a-z_]{1,12}", value in "\\PC{0,40}") {
            prop_assume!(SECRETS.iter().all(|part| !key.contains(part)));
            let options = BTreeMap::from([(key, value)]);
            let object = Object {
                adapter: "syslog".into(), address: "h:1".into(), options, ..Object::default()
            };
            prop_assert_eq!(Object::of_uri("n", &object.uri().unwrap()).options, object.options);
        }

        #[test]
        fn no_uri_is_too_strange_to_be_shown(uri in "\\PC{0,80}") {
            let printed = Object::of_uri("n", &uri).print();
            prop_assert!(serde_json::from_str::<Object>(&printed).is_ok());
        }
    }
}
