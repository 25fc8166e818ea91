//! What a template is after parsing. Plain data: never evaluates anything.

use super::functions::Function;
use super::layout::Layout;

/// The bytes of the text from which something was read, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) at: usize,
    pub(super) end: usize,
}

pub(super) type Block = Vec<Node>;

#[derive(Debug)]
pub(super) enum Node {
    Text(String, Span),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
}

/// The first arm whose pipeline is true, or what stands behind `else`. `range` has one arm.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) arms: Vec<(Pipe, Block)>,
    pub(super) otherwise: Block,
}

/// Commands, each of which gives its value to the next as the last argument.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) span: Span,
    pub(super) target: Target,
    pub(super) commands: Vec<Command>,
}

/// Slots of the variables that a pipeline sets. 0 is `$`, the root.
#[derive(Debug)]
pub(super) enum Target {
    Nothing,
    Declare(Vec<usize>),
    Assign(Vec<usize>),
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) span: Span,
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
    /// Of `.Format "layout"`.
    pub(super) layout: Option<Layout>,
}

#[derive(Debug)]
pub(super) struct Operand {
    pub(super) span: Span,
    pub(super) term: Term,
    /// Names behind the term: `.A.B`.
    pub(super) chain: Vec<Box<str>>,
}

#[derive(Debug)]
pub(super) enum Term {
    Dot,
    Variable(usize),
    Function(&'static Function),
    Pipe(Box<Pipe>),
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Vec<u8>),
}
