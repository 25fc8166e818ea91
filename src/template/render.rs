//! Runs a template over data: evaluates, decides, repeats and writes. Bounded in output, in steps
//! and in what is made on the way; whatever the data is, it ends in output or in an error.

use super::Data;
use super::functions::Scope;
use super::node::{Block, Branch, Node, Pipe, Span, Target};
use super::out::{Full, Out};
use super::print;
use super::value::{Kind, Root, Value};

/// Actions, commands and rounds of `range` that one rendering takes at most.
pub const MOST_STEPS: usize = 10_000;
/// Texts made on the way may take so many times the limit of the output, and some more.
const WORK_FACTOR: usize = 16;
const WORK_BYTES: usize = 64 << 10;

/// What went wrong, and the part of the template where.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) span: Span,
    pub(super) what: String,
}

/// How a block ended.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// A rendering on its way. How values come about is in `evaluate`.
pub(super) struct Rendering<'a, 'o> {
    pub(super) scope: Scope<'a>,
    pub(super) root: Value<'a>,
    /// By slot, from 1 on.
    pub(super) variables: Vec<Value<'a>>,
    steps: usize,
    out: Out<'o>,
}

pub(super) type Outcome<T> = Result<T, Trouble>;

/// Appends at most `limit` bytes.
pub(super) fn render<'a>(
    block: &'a Block,
    data: &'a dyn Data,
    limit: usize,
    out: &mut Vec<u8>,
) -> Outcome<()> {
    let spare = limit.saturating_mul(WORK_FACTOR).saturating_add(WORK_BYTES);
    let root = Value::Root(Root(data));
    let mut run = Rendering {
        scope: Scope::new(data, spare),
        root: root.clone(),
        variables: Vec::new(),
        steps: 0,
        out: Out::new(out, limit),
    };
    run.block(block, &root).map(|_| ())
}

pub(super) fn trouble(span: Span, what: impl Into<String>) -> Trouble {
    Trouble { span, what: what.into() }
}

fn full(span: Span) -> impl FnOnce(Full) -> Trouble {
    move |Full| trouble(span, "the output is longer than it may be")
}

impl<'a> Rendering<'a, '_> {
    pub(super) fn step(&mut self, span: Span) -> Outcome<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(trouble(span, format!("the template takes more than {MOST_STEPS} steps")));
        }
        Ok(())
    }

    fn block(&mut self, block: &'a Block, dot: &Value<'a>) -> Outcome<Flow> {
        for node in block {
            let flow = match node {
                Node::Text(text, span) => {
                    self.out.push(text.as_bytes()).map_err(full(*span))?;
                    Flow::On
                }
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if matches!(pipe.target, Target::Nothing) {
                        print::shown(&mut self.out, &value).map_err(full(pipe.span))?;
                    }
                    Flow::On
                }
                Node::If(branch) => self.branch(branch, dot, false)?,
                Node::With(branch) => self.branch(branch, dot, true)?,
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn branch(&mut self, branch: &'a Branch, dot: &Value<'a>, rebinds: bool) -> Outcome<Flow> {
        for (pipe, body) in &branch.arms {
            let value = self.pipe(pipe, dot)?;
            if value.truth() {
                return self.block(body, if rebinds { &value } else { dot });
            }
        }
        self.block(&branch.otherwise, dot)
    }

    fn range(&mut self, branch: &'a Branch, dot: &Value<'a>) -> Outcome<Flow> {
        let Some((pipe, body)) = branch.arms.first() else { return Ok(Flow::On) };
        let value = self.pipe(pipe, dot)?;
        if value.kind() == Kind::Map {
            let entries = value.len().unwrap_or_default();
            let bytes = entries.saturating_mul(size_of::<(&str, Value<'_>)>());
            self.scope.read(bytes).map_err(|what| trouble(pipe.span, what))?;
        }
        let rounds = rounds(&value).map_err(|what| trouble(pipe.span, what))?;
        let mut is_empty = true;
        for (key, item) in rounds {
            is_empty = false;
            self.step(pipe.span)?;
            self.set_round(pipe, key, &item)?;
            let flow = self.block(body, &item)?;
            if flow == Flow::Break {
                break;
            }
        }
        // What stands behind `else` may leave a loop around this one.
        if is_empty { self.block(&branch.otherwise, dot) } else { Ok(Flow::On) }
    }

    // One variable takes the item; of two, the first takes its place or key.
    fn set_round(&mut self, pipe: &Pipe, key: Value<'a>, item: &Value<'a>) -> Outcome<()> {
        let (Target::Declare(slots) | Target::Assign(slots)) = &pipe.target else { return Ok(()) };
        let item = self.scope.copy(item).map_err(|what| trouble(pipe.span, what))?;
        match slots.as_slice() {
            [only] => self.set(*only, item),
            [first, second, ..] => {
                self.set(*first, key);
                self.set(*second, item);
            }
            [] => {}
        }
        Ok(())
    }

    // Slot 0 is the root, which is never set. A declared slot is the first one that is free.
    pub(super) fn set(&mut self, slot: usize, value: Value<'a>) {
        let place = slot.saturating_sub(1);
        match self.variables.get_mut(place) {
            Some(variable) => *variable = value,
            None => self.variables.push(value),
        }
    }
}

type Rounds<'v, 'a> = Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + 'v>;

// What `range` goes through: places and items, or keys and entries.
fn rounds<'v, 'a>(value: &'v Value<'a>) -> Result<Rounds<'v, 'a>, String> {
    let number = |place: usize| Value::Int(i64::try_from(place).unwrap_or(i64::MAX));
    match (value, value.kind()) {
        (_, Kind::Nil) => Ok(Box::new(std::iter::empty())),
        (_, Kind::List) => {
            let len = value.len().unwrap_or_default();
            Ok(Box::new((0..len).filter_map(move |at| Some((number(at), value.item(at)?)))))
        }
        (_, Kind::Map) => {
            Ok(Box::new(value.pairs().into_iter().map(|(key, value)| (key.into(), value))))
        }
        // Since Go 1.22.
        (Value::Int(int), _) => {
            Ok(Box::new((0..*int).map(|int| (Value::Int(int), Value::Int(int)))))
        }
        _ => Err(format!("range can't iterate over {}", value.type_name())),
    }
}
