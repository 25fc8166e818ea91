//! JSON as Go would have decoded it: which objects are structs and which are maps. Never copies
//! what it shows.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::value::{Kind, Value};

/// A JSON array or object, and what Go makes of it.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    json: &'a Json,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Struct,
    /// Docker's `HostConfig.LogConfig`, the one struct whose `Config` is a map.
    LogConfig,
    /// A map below which objects are structs.
    MapOfStructs,
    /// A map below which objects are maps.
    Map,
}

/// Members of Docker's inspection that are maps in Go.
const MAPS: &[&str] = &[
    "Annotations",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "PortBindings",
    "Ports",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// Members that are slices in Go, and null in JSON where they are empty.
const LISTS: &[&str] = &[
    "Aliases",
    "Args",
    "Binds",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GroupAdd",
    "Links",
    "Mounts",
    "OnBuild",
    "SecurityOpt",
    "Shell",
    "VolumesFrom",
];

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
static NO_ITEMS: Json = Json::Array(Vec::new());

impl<'a> Tree<'a> {
    pub(super) fn structure(json: &'a Json) -> Value<'a> {
        Self { json, shape: Shape::Struct }.value()
    }

    pub(super) fn map(json: &'a Json) -> Value<'a> {
        Self { json, shape: Shape::Map }.value()
    }

    fn value(self) -> Value<'a> {
        match self.json {
            Json::Null => Value::Nil,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => text.as_str().into(),
            Json::Array(_) | Json::Object(_) => Value::Json(self),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match (self.json, self.shape) {
            (Json::Array(_), _) => Kind::List,
            (_, Shape::Struct | Shape::LogConfig) => Kind::Struct,
            (_, Shape::Map | Shape::MapOfStructs) => Kind::Map,
        }
    }

    pub(super) fn len(&self) -> Option<usize> {
        match (self.json, self.kind()) {
            (Json::Array(items), _) => Some(items.len()),
            (Json::Object(entries), Kind::Map) => Some(entries.len()),
            _ => None,
        }
    }

    pub(super) fn item(&self, place: usize) -> Option<Value<'a>> {
        let Json::Array(items) = self.json else { return None };
        let shape = self.shape.of_entries();
        items.get(place).map(|json| Self { json, shape }.value())
    }

    pub(super) fn pairs(&self) -> Vec<(&'a str, Value<'a>)> {
        let Json::Object(entries) = self.json else { return Vec::new() };
        let mut pairs: Vec<_> =
            entries.iter().map(|(key, json)| (key.as_str(), self.member(key, json))).collect();
        if self.kind() == Kind::Map {
            pairs.sort_by_key(|(key, _)| *key);
        }
        pairs
    }

    /// A map's keys are taken as they are; a struct's name may differ in case, as `ID` does from
    /// Docker's `Id`.
    pub(super) fn entry(&self, key: &str) -> Option<Value<'a>> {
        let Json::Object(entries) = self.json else { return None };
        if let Some(json) = entries.get(key) {
            return Some(self.member(key, json));
        }
        if self.kind() == Kind::Map {
            return None;
        }
        let (key, json) = entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        Some(self.member(key, json))
    }

    pub(super) fn holds_texts(&self) -> bool {
        let Json::Object(entries) = self.json else { return false };
        entries.values().all(Json::is_string)
    }

    fn member(&self, name: &str, json: &'a Json) -> Value<'a> {
        let is_below_struct = matches!(self.shape, Shape::Struct | Shape::LogConfig);
        if !is_below_struct {
            return Self { json, shape: self.shape.of_entries() }.value();
        }
        let is_map = MAPS.contains(&name) || (name == "Config" && self.shape == Shape::LogConfig);
        match json {
            Json::Null if is_map => Value::Labels(&NO_LABELS),
            Json::Null if LISTS.contains(&name) => {
                Value::Json(Self { json: &NO_ITEMS, shape: Shape::Struct })
            }
            _ => {
                let shape = match name {
                    _ if is_map => Shape::MapOfStructs,
                    "LogConfig" => Shape::LogConfig,
                    _ => Shape::Struct,
                };
                Self { json, shape }.value()
            }
        }
    }
}

impl Shape {
    // Of the items of a list and the entries of a map.
    fn of_entries(self) -> Self {
        if self == Self::Map { Self::Map } else { Self::Struct }
    }
}
