//! The functions of templates: one table, from which the reference is made as well. Go's own
//! behave as in Go; the others take their arguments in the order of Go's package `strings`.

mod collection;
mod compare;
mod escape;
mod text;

use std::cell::Cell;

use super::Data;
use super::layout::Layout;
use super::out::{Full, Out, Written};
use super::value::Value;
use super::{json, print, printf};

/// A function that a template may call.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// As it is written.
    pub name: &'static str,
    /// Its arguments and what it gives, in one sentence.
    pub help: &'static str,
    least: usize,
    most: usize,
    pub(super) run: Run,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// Gives the first argument that is false, and evaluates no more.
    And,
    /// Gives the first argument that is true, and evaluates no more.
    Or,
    Plain(Plain),
}

pub(super) type Plain = for<'a> fn(&Scope<'a>, &[Value<'a>]) -> Result<Value<'a>, String>;

/// The arguments of a method, and the layout among them if it was compiled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'c, 'a> {
    pub(super) arguments: &'c [Value<'a>],
    pub(super) layout: Option<&'c Layout>,
}

/// What functions work with.
pub(super) struct Scope<'a> {
    pub(super) data: &'a dyn Data,
    /// Bytes that may still be made on the way, beside the output.
    spare: Cell<usize>,
    /// Bytes that may still be looked through.
    unread: Cell<usize>,
}

/// Most bytes that one rendering looks through: one of the longest lines some dozen times.
const MOST_READ_BYTES: usize = 64 << 20;

const ANY: usize = usize::MAX;

const fn row(
    name: &'static str,
    (least, most): (usize, usize),
    run: Plain,
    help: &'static str,
) -> Function {
    Function { name, help, least, most, run: Run::Plain(run) }
}

/// All functions: Go's own first, then those that only this agent has.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "and",
        help: "and A B …: the first argument that is false, or the last one.",
        least: 1,
        most: ANY,
        run: Run::And,
    },
    Function {
        name: "or",
        help: "or A B …: the first argument that is true, or the last one.",
        least: 1,
        most: ANY,
        run: Run::Or,
    },
    row("not", (1, 1), compare::not, "not A: whether A is false, zero or empty."),
    row("eq", (2, ANY), compare::eq, "eq A B …: whether A equals one of the others."),
    row("ne", (2, 2), compare::ne, "ne A B: whether they differ."),
    row("lt", (2, 2), compare::lt, "lt A B: whether A is less than B."),
    row("le", (2, 2), compare::le, "le A B: whether A is at most B."),
    row("gt", (2, 2), compare::gt, "gt A B: whether A is more than B."),
    row("ge", (2, 2), compare::ge, "ge A B: whether A is at least B."),
    row("len", (1, 1), collection::len, "len A: bytes of a text, items of a list or map."),
    row(
        "index",
        (1, ANY),
        collection::index,
        "index A KEY …: the entry of a map or the item of a list, from 0; empty if a map has none.",
    ),
    row(
        "slice",
        (1, 4),
        collection::slice,
        "slice A FROM TO: a part of a text, in bytes, or of a list.",
    ),
    row("print", (0, ANY), print, "print A …: the arguments as one text, as Go's Sprint."),
    row("printf", (1, ANY), printf, "printf FORMAT A …: the arguments as Go's Sprintf."),
    row("println", (0, ANY), println, "println A …: with spaces between and a line end."),
    row("html", (0, ANY), escape::html, "html A …: a text that is safe in HTML."),
    row("js", (0, ANY), escape::js, "js A …: a text that is safe in JavaScript's strings."),
    row("urlquery", (0, ANY), escape::urlquery, "urlquery A …: a text that is safe in a query."),
    row("call", (1, ANY), call, "call F …: refused, as no field is a function."),
    row("json", (1, 1), to_json, "json A: A as JSON, as Go writes it."),
    row("toJSON", (1, 1), to_json, "toJSON A: the same as json."),
    row("join", (2, 2), text::join, "join LIST SEPARATOR: the items as one text."),
    row("split", (2, 2), text::split, "split TEXT SEPARATOR: the parts between as a list."),
    row(
        "splitN",
        (3, 3),
        text::split_n,
        "splitN TEXT SEPARATOR N: N parts at most; the last one is the rest.",
    ),
    row(
        "replace",
        (3, 4),
        text::replace,
        "replace TEXT OLD NEW: OLD becomes NEW everywhere, or N times with a fourth argument N.",
    ),
    row("upper", (1, 1), text::upper, "upper TEXT: in upper case."),
    row("toUpper", (1, 1), text::upper, "toUpper TEXT: the same as upper."),
    row("lower", (1, 1), text::lower, "lower TEXT: in lower case."),
    row("toLower", (1, 1), text::lower, "toLower TEXT: the same as lower."),
    row("title", (1, 1), text::title, "title TEXT: each word with a capital, as in Docker."),
    row("pad", (3, 3), text::pad, "pad TEXT N M: N spaces before it and M behind, as in Docker."),
    row("truncate", (2, 2), text::truncate, "truncate TEXT N: the first N bytes, as in Docker."),
    row(
        "trim",
        (1, 2),
        text::trim,
        "trim TEXT: without blanks at both ends, or without the characters of a second argument.",
    ),
    row("trimPrefix", (2, 2), text::trim_prefix, "trimPrefix TEXT PREFIX: without PREFIX."),
    row("trimSuffix", (2, 2), text::trim_suffix, "trimSuffix TEXT SUFFIX: without SUFFIX."),
    row("hasPrefix", (2, 2), text::has_prefix, "hasPrefix TEXT PREFIX: whether it begins so."),
    row("hasSuffix", (2, 2), text::has_suffix, "hasSuffix TEXT SUFFIX: whether it ends so."),
    row("contains", (2, 2), text::contains, "contains TEXT PART: whether PART is in TEXT."),
    row(
        "default",
        (2, 2),
        default,
        "default FALLBACK A: A, or FALLBACK if A is false, empty or not there.",
    ),
    row("env", (1, 1), env, "env NAME: a variable of the container's environment."),
    row("label", (1, 1), label, "label KEY: a label of the container, empty if it has none."),
];

impl Function {
    /// Whether it takes so many arguments; in Go's words if not.
    pub(super) fn check_count(&self, given: usize) -> Result<(), String> {
        let Self { name, least, most, .. } = self;
        if (*least..=*most).contains(&given) {
            return Ok(());
        }
        let want = match *most {
            most if most == *least => least.to_string(),
            ANY => format!("at least {least}"),
            most => format!("{least} to {most}"),
        };
        Err(format!("wrong number of args for {name}: want {want} got {given}"))
    }
}

impl<'a> Scope<'a> {
    /// `spare`: bytes that may be made on the way.
    pub(super) fn new(data: &'a dyn Data, spare: usize) -> Self {
        Self { data, spare: Cell::new(spare), unread: Cell::new(MOST_READ_BYTES) }
    }

    /// Takes note of bytes that were made.
    pub(super) fn charge(&self, bytes: usize) -> Result<(), String> {
        let left = self.spare.get().checked_sub(bytes).ok_or_else(too_much)?;
        self.spare.set(left);
        Ok(())
    }

    /// Takes note of bytes that are looked through, and of which nothing is made.
    pub(super) fn read(&self, bytes: usize) -> Result<(), String> {
        let left = self.unread.get().checked_sub(bytes);
        let left = left.ok_or("the template looks through too much")?;
        self.unread.set(left);
        Ok(())
    }

    /// A text that `write` writes.
    pub(super) fn written(
        &self,
        write: impl FnOnce(&mut Out<'_>) -> Written,
    ) -> Result<Value<'a>, String> {
        let mut text = Vec::new();
        write(&mut Out::new(&mut text, self.spare.get())).map_err(|Full| too_much())?;
        self.charge(text.len())?;
        Ok(text.into())
    }

    /// A copy; what it owns is charged.
    pub(super) fn copy(&self, value: &Value<'a>) -> Result<Value<'a>, String> {
        if let Value::Text(std::borrow::Cow::Owned(text)) = value {
            self.charge(text.len())?;
        }
        Ok(value.clone())
    }
}

fn too_much() -> String {
    "the template makes too much text on the way".into()
}

/// A text among the arguments. An entry that is not there is empty.
fn text_of<'v>(values: &'v [Value<'_>], place: usize) -> Result<&'v [u8], String> {
    match values.get(place) {
        Some(Value::Text(text)) => Ok(text),
        Some(Value::NoValue) => Ok(b""),
        Some(other) => {
            Err(format!("wrong type for value; expected string; got {}", other.type_name()))
        }
        None => Err("an argument is missing".into()),
    }
}

fn int_of(values: &[Value<'_>], place: usize) -> Result<i64, String> {
    match values.get(place) {
        Some(Value::Int(int)) => Ok(*int),
        Some(other) => {
            Err(format!("wrong type for value; expected int; got {}", other.type_name()))
        }
        None => Err("an argument is missing".into()),
    }
}

fn print<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    scope.written(|out| print::sprint(out, values))
}

fn println<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    scope.written(|out| print::sprintln(out, values))
}

fn printf<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let format = text_of(values, 0)?;
    let arguments = values.get(1..).unwrap_or_default();
    scope.written(|out| printf::sprintf(out, format, arguments))
}

fn to_json<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    scope.written(|out| values.iter().try_for_each(|value| json::write(out, value)))
}

fn default<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let mut last_first = values.iter().rev();
    let given = last_first.next().filter(|value| value.truth());
    given.or(last_first.next()).map_or(Ok(Value::NoValue), |value| scope.copy(value))
}

fn call<'a>(_: &Scope<'a>, _: &[Value<'a>]) -> Result<Value<'a>, String> {
    Err("no field is a function".into())
}

fn env<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    of_root(scope, "env", values)
}

fn label<'a>(scope: &Scope<'a>, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    of_root(scope, "label", values)
}

fn of_root<'a>(scope: &Scope<'a>, name: &str, values: &[Value<'a>]) -> Result<Value<'a>, String> {
    text_of(values, 0)?;
    scope.data.method(name, values).unwrap_or_else(|| Err("it cannot be used here".into()))
}
