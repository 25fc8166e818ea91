//! The methods of a time: Go's `time.Time`, as far as a template can use them. Never the clock.

use std::borrow::Cow;

use super::functions::Call;
use super::layout::{Layout, MONTHS, WEEKDAYS, day_of_year, weekday};
use super::value::Value;
use super::zone::{UTC, Zone};
use crate::record::Timestamp;

/// Enough for what most layouts give.
const USUAL_BYTES: usize = 48;
/// Most bytes of a layout that is no literal: it is read for each line, and may come from a label.
const MOST_LAYOUT_BYTES: usize = 1024;
/// How Go prints a time.
const DEFAULT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// A time as Go prints it.
pub(super) fn text(at: Timestamp, zone: &Zone) -> Vec<u8> {
    let mut text = Vec::new();
    Layout::new(DEFAULT).format(at, zone, &mut text);
    text
}

/// What a method gives.
pub(super) fn method<'a>(
    at: Timestamp,
    zone: &'a Zone,
    name: &str,
    call: &Call<'_, 'a>,
) -> Result<Value<'a>, String> {
    if name == "Format" {
        return format(at, zone, call);
    }
    let civil = at.civil(zone.offset_seconds(at));
    let value = match name {
        "Unix" => Value::Int(at.seconds()),
        "UnixMilli" => Value::Int(at.millis()),
        "UnixMicro" => Value::Int(at.nanos().div_euclid(1_000)),
        "UnixNano" => Value::Int(at.nanos()),
        "UTC" => Value::Time(at, &UTC),
        "Year" => Value::Int(civil.year.into()),
        "Month" => named(civil.month.into(), usize::from(civil.month).wrapping_sub(1), &MONTHS),
        "Day" => Value::Int(civil.day.into()),
        "Hour" => Value::Int(civil.hour.into()),
        "Minute" => Value::Int(civil.minute.into()),
        "Second" => Value::Int(civil.second.into()),
        "Nanosecond" => Value::Int(at.subsec_nanos().into()),
        "YearDay" => Value::Int(day_of_year(civil).into()),
        "Weekday" => {
            let day = weekday(at, zone.offset_seconds(at));
            named(i64::try_from(day).unwrap_or_default(), day, &WEEKDAYS)
        }
        "String" => Value::Text(Cow::Owned(text(at, zone))),
        _ => return Err(format!("can't evaluate field {name} in type time.Time")),
    };
    match call.arguments.len() {
        0 => Ok(value),
        given => Err(format!("wrong number of args for {name}: want 0 got {given}")),
    }
}

fn named<'a>(number: i64, place: usize, names: &[&'static str]) -> Value<'a> {
    Value::Named(number, names.get(place).copied().unwrap_or_default())
}

fn format<'a>(at: Timestamp, zone: &Zone, call: &Call<'_, 'a>) -> Result<Value<'a>, String> {
    let mut text = Vec::with_capacity(USUAL_BYTES);
    match (call.layout, call.arguments) {
        (Some(layout), [_]) => layout.format(at, zone, &mut text),
        (None, [Value::Text(layout)]) => {
            if layout.len() > MOST_LAYOUT_BYTES {
                let bytes = layout.len();
                return Err(format!("the layout has {bytes} bytes, {MOST_LAYOUT_BYTES} at most"));
            }
            Layout::new(&String::from_utf8_lossy(layout)).format(at, zone, &mut text);
        }
        (_, [other]) => {
            return Err(format!(
                "wrong type for value; expected string; got {}",
                other.type_name()
            ));
        }
        (_, given) => {
            return Err(format!("wrong number of args for Format: want 1 got {}", given.len()));
        }
    }
    Ok(Value::Text(Cow::Owned(text)))
}
