//! What a template computes with. Texts keep their bytes and are borrowed where they come from;
//! nothing here knows how a value is printed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::tree::Tree;
use super::zone::Zone;
use super::{Data, functions::Call};
use crate::record::Timestamp;

/// A value of a template.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// Go's nil: a pointer to nothing, JSON's null. A field of it is an error.
    Nil,
    /// An entry that a map does not have; printed as `<no value>`.
    NoValue,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is printed as a name: a month, a weekday.
    Named(i64, &'static str),
    /// Any other number.
    Float(f64),
    /// Bytes, UTF-8 or not.
    Text(Cow<'a, [u8]>),
    /// Values in order.
    List(Arc<[Value<'a>]>),
    /// Go's `map[string]string`, such as the labels of a container.
    Labels(&'a BTreeMap<String, String>),
    /// A JSON array or object; made by [`Value::structure`] and [`Value::map`].
    Json(Tree<'a>),
    /// A moment, and the zone in which it is shown.
    Time(Timestamp, &'a Zone),
    /// The message as a whole.
    Root(Root<'a>),
}

/// The message as a value.
#[derive(Clone, Copy)]
pub struct Root<'a>(pub(super) &'a dyn Data);

impl fmt::Debug for Root<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root")
    }
}

/// What a value is to Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nil,
    Bool,
    Int,
    Float,
    Text,
    List,
    Map,
    Struct,
    Time,
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(text: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(text: Vec<u8>) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> Value<'a> {
    /// JSON that came from a Go struct, such as an inspected container: a field that is not there
    /// is an error, and names are found whatever their case. What lies below is a struct as well,
    /// except for the members that Docker calls maps, such as `Labels` and `Networks`.
    pub fn structure(json: &'a serde_json::Value) -> Self {
        Tree::structure(json)
    }

    /// JSON that is a map, as all that lies below it: what is not there is no value.
    pub fn map(json: &'a serde_json::Value) -> Self {
        Tree::map(json)
    }

    /// A list of values.
    pub fn list(items: impl IntoIterator<Item = Value<'a>>) -> Self {
        Self::List(items.into_iter().collect())
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Nil | Self::NoValue => Kind::Nil,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) | Self::Named(..) => Kind::Int,
            Self::Float(_) => Kind::Float,
            Self::Text(_) => Kind::Text,
            Self::List(_) => Kind::List,
            Self::Labels(_) => Kind::Map,
            Self::Json(tree) => tree.kind(),
            Self::Time(..) => Kind::Time,
            Self::Root(_) => Kind::Struct,
        }
    }

    /// The name of its type as Go would say it, as far as that is known.
    pub(super) fn type_name(&self) -> &'static str {
        match (self, self.kind()) {
            (Self::Named(_, name), _) if name.ends_with("day") => "time.Weekday",
            (Self::Named(..), _) => "time.Month",
            (Self::Labels(_), _) => "map[string]string",
            (_, Kind::Nil) => "nil",
            (_, Kind::Bool) => "bool",
            (_, Kind::Int) => "int",
            (_, Kind::Float) => "float64",
            (_, Kind::Text) => "string",
            (_, Kind::List) => "[]string",
            (_, Kind::Map) => "map[string]interface {}",
            (_, Kind::Struct) => "struct",
            (_, Kind::Time) => "time.Time",
        }
    }

    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil | Self::NoValue => false,
            Self::Bool(bool) => *bool,
            Self::Int(int) | Self::Named(int, _) => *int != 0,
            Self::Float(float) => *float != 0.0,
            Self::Time(..) | Self::Root(_) => true,
            _ => self.kind() == Kind::Struct || self.len().is_some_and(|len| len > 0),
        }
    }

    /// Bytes of a text, items of a list, entries of a map.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.len()),
            Self::List(items) => Some(items.len()),
            Self::Labels(labels) => Some(labels.len()),
            Self::Json(tree) => tree.len(),
            _ => None,
        }
    }

    /// An item of a list.
    pub(super) fn item(&self, place: usize) -> Option<Self> {
        match self {
            Self::List(items) => items.get(place).cloned(),
            Self::Json(tree) => tree.item(place),
            _ => None,
        }
    }

    /// The entries of a map by key, or the fields of a struct in their order.
    pub(super) fn pairs(&self) -> Vec<(&'a str, Self)> {
        match self {
            Self::Labels(labels) => {
                labels.iter().map(|(key, value)| (key.as_str(), value.as_str().into())).collect()
            }
            Self::Json(tree) => tree.pairs(),
            Self::Root(root) => root.0.members(),
            _ => Vec::new(),
        }
    }

    /// The entry of a map; `None` if it has none of this key.
    pub(super) fn entry(&self, key: &[u8]) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?;
        match self {
            Self::Labels(labels) => labels.get(key).map(|value| value.as_str().into()),
            Self::Json(tree) => tree.entry(key),
            _ => None,
        }
    }

    /// What Go gives for an entry that is not there: empty if the entries are texts.
    pub(super) fn zero_entry(&self) -> Self {
        match self {
            Self::Json(tree) if !tree.holds_texts() => Self::NoValue,
            _ => "".into(),
        }
    }

    /// `.NAME` of this value, with arguments if it is called as a method.
    pub(super) fn field(&self, name: &str, call: &Call<'_, 'a>) -> Result<Self, String> {
        let has_arguments = !call.arguments.is_empty();
        match (self, self.kind()) {
            (Self::Root(root), _) => root.field(name, call),
            (Self::Time(at, zone), _) => super::moment::method(*at, zone, name, call),
            (Self::NoValue, _) => Ok(Self::NoValue),
            (_, Kind::Nil) => Err(format!("nil pointer evaluating {name}")),
            (_, Kind::Map) if has_arguments => {
                Err(format!("{name} is not a method but has arguments"))
            }
            (_, Kind::Map) => Ok(self.entry(name.as_bytes()).unwrap_or(Self::NoValue)),
            (Self::Json(tree), Kind::Struct) => match tree.entry(name) {
                Some(_) if has_arguments => {
                    Err(format!("{name} has arguments but cannot be invoked as function"))
                }
                Some(value) => Ok(value),
                None => Err(format!("can't evaluate field {name} in type struct")),
            },
            _ => Err(format!("can't evaluate field {name} in type {}", self.type_name())),
        }
    }
}

impl<'a> Root<'a> {
    fn field(self, name: &str, call: &Call<'_, 'a>) -> Result<Value<'a>, String> {
        let arguments = call.arguments;
        let field = if arguments.is_empty() { self.0.field(name) } else { None };
        if let Some(value) = field {
            return Ok(value);
        }
        match self.0.method(name, arguments) {
            Some(result) => result.map_err(|why| format!("error calling {name}: {why}")),
            None if self.0.field(name).is_some() => {
                Err(format!("{name} has arguments but cannot be invoked as function"))
            }
            None => Err(format!("can't evaluate field {name} in type message")),
        }
    }
}
