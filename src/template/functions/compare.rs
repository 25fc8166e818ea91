//! Go's comparisons: only what is of one kind is compared. Never converts a number to a text.

use std::cmp::Ordering;

use super::Scope;
use crate::template::value::{Kind, Value};

pub(super) fn not<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let Some(value) = values.first() else { return Err("an argument is missing".into()) };
    Ok(Value::Bool(!value.truth()))
}

pub(super) fn eq<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let Some((first, others)) = values.split_first() else { return Ok(Value::Bool(false)) };
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    Ok(Value::Bool(!eq(scope, values)?.truth()))
}

pub(super) fn lt<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    ordered(values, Ordering::is_lt)
}

pub(super) fn le<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    ordered(values, Ordering::is_le)
}

pub(super) fn gt<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    ordered(values, Ordering::is_gt)
}

pub(super) fn ge<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    ordered(values, Ordering::is_ge)
}

fn equal(a: &Value<'_>, b: &Value<'_>) -> Result<bool, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => return Ok(a == b),
        (Value::Time(a, _), Value::Time(b, _)) => return Ok(a == b),
        _ => {}
    }
    match (a.kind(), b.kind()) {
        (Kind::Nil, _) | (_, Kind::Nil) => Ok(a.kind() == b.kind()),
        (one, other) if one != other => Err("incompatible types for comparison".into()),
        (Kind::List | Kind::Map | Kind::Struct, _) => {
            let (one, other) = (a.type_name(), b.type_name());
            Err(format!("non-comparable types {one} and {other}"))
        }
        // What is not a number is not equal to itself.
        _ => Ok(order(a, b)?.is_some_and(Ordering::is_eq)),
    }
}

// `None` if one of them is not a number.
fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Int(a) | Value::Named(a, _), Value::Int(b) | Value::Named(b, _)) => {
            Ok(Some(a.cmp(b)))
        }
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        _ if is_basic(a) && is_basic(b) && a.kind() != b.kind() => {
            Err("incompatible types for comparison".into())
        }
        _ => Err("invalid type for comparison".into()),
    }
}

fn is_basic(value: &Value<'_>) -> bool {
    matches!(value.kind(), Kind::Bool | Kind::Int | Kind::Float | Kind::Text)
}

fn ordered<'a>(values: &[Value<'a>], is: fn(Ordering) -> bool) -> Result<Value<'a>, String> {
    let [a, b] = values else { return Err("missing argument for comparison".into()) };
    Ok(Value::Bool(order(a, b)?.is_some_and(is)))
}
