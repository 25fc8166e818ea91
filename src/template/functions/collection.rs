//! Go's `len`, `index` and `slice`. Never a panic for a place that is not there.

use std::borrow::Cow;

use super::Scope;
use crate::template::value::{Kind, Value};

pub(super) fn len<'a>(_: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let Some(value) = values.first() else { return Err("an argument is missing".into()) };
    match value.len() {
        Some(len) => Ok(Value::Int(i64::try_from(len).unwrap_or(i64::MAX))),
        None if value.kind() == Kind::Nil => Err("len of nil pointer".into()),
        None => Err(format!("len of type {}", value.type_name())),
    }
}

pub(super) fn index<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let Some((value, keys)) = values.split_first() else {
        return Err("an argument is missing".into());
    };
    let Some((key, more)) = keys.split_first() else { return scope.copy(value) };
    let mut value = entry(scope, value, key)?;
    for key in more {
        value = entry(scope, &value, key)?;
    }
    Ok(value)
}

fn entry<'a>(scope: &Scope<'a>, value: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>, String> {
    match (value, value.kind()) {
        (_, Kind::Nil) => Err("index of untyped nil".into()),
        (_, Kind::Map) => match key {
            Value::Text(key) => Ok(value.entry(key).unwrap_or_else(|| value.zero_entry())),
            Value::Nil | Value::NoValue => Err("value is nil; should be of type string".into()),
            other => Err(format!("value has type {}; should be string", other.type_name())),
        },
        (Value::Text(text), _) => {
            let place = place(key, text.len(), false)?;
            Ok(text.get(place).map_or(Value::NoValue, |byte| Value::Int((*byte).into())))
        }
        (_, Kind::List) => {
            let place = place(key, value.len().unwrap_or_default(), false)?;
            value.item(place).map_or(Ok(Value::NoValue), |item| scope.copy(&item))
        }
        _ => Err(format!("can't index item of type {}", value.type_name())),
    }
}

// Go's indexArg. `or_end`: the place behind the last one will do.
fn place(key: &Value<'_>, len: usize, or_end: bool) -> Result<usize, String> {
    match key {
        Value::Int(int) | Value::Named(int, _) => usize::try_from(*int)
            .ok()
            .filter(|place| *place < len || (or_end && *place == len))
            .ok_or_else(|| format!("index out of range: {int}")),
        Value::Nil | Value::NoValue => Err("cannot index slice/array with nil".into()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

pub(super) fn slice<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let Some((value, keys)) = values.split_first() else {
        return Err("an argument is missing".into());
    };
    let len = match value.kind() {
        Kind::Nil => return Err("slice of untyped nil".into()),
        Kind::Text if keys.len() == 3 => return Err("cannot slice string with 3 indexes".into()),
        Kind::Text | Kind::List => value.len().unwrap_or_default(),
        _ => return Err(format!("can't slice item of type {}", value.type_name())),
    };
    let mut range = [0, len, len];
    for (bound, key) in range.iter_mut().zip(keys) {
        *bound = place(key, len, true)?;
    }
    let [from, to, most] = range;
    for (from, to) in [(from, to), (to, most)] {
        if from > to {
            return Err(format!("invalid slice index: {from} > {to}"));
        }
    }
    match value {
        Value::Text(Cow::Borrowed(text)) => Ok(text.get(from..to).unwrap_or_default().into()),
        Value::Text(Cow::Owned(text)) => {
            scope.charge(to - from)?;
            Ok(text.get(from..to).unwrap_or_default().to_vec().into())
        }
        _ => {
            scope.charge((to - from).saturating_mul(size_of::<Value<'_>>()))?;
            let items: Result<Vec<_>, _> =
                (from..to).filter_map(|at| value.item(at)).map(|item| scope.copy(&item)).collect();
            Ok(Value::list(items?))
        }
    }
}
