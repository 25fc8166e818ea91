//! What a template asks of its data, found without running it: fields of the message, and calls.
//! Never less than what a rendering may ask for, sometimes more.

use super::node::{Block, Branch, Command, Node, Operand, Pipe, Span, Term};

/// A function or a method with arguments that a template calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// As it is written, without a dot.
    pub name: String,
    /// Its first argument, if that is a text in the template.
    pub literal: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Found {
    /// Chains that start at the message, without repetition.
    pub(super) fields: Vec<Vec<String>>,
    pub(super) calls: Vec<Invocation>,
    /// Where each chain is first met.
    pub(super) places: Vec<Span>,
}

/// Whether dot is the message.
#[derive(Clone, Copy, PartialEq)]
enum Dot {
    Root,
    Other,
}

pub(super) fn look(block: &Block) -> Found {
    let mut found = Found::default();
    found.block(block, Dot::Root);
    found
}

impl Found {
    fn block(&mut self, block: &Block, dot: Dot) {
        for node in block {
            match node {
                Node::Text(..) | Node::Break | Node::Continue => {}
                Node::Action(pipe) => self.pipe(pipe, dot),
                Node::If(branch) => self.branch(branch, dot, dot),
                Node::With(branch) | Node::Range(branch) => self.branch(branch, dot, Dot::Other),
            }
        }
    }

    fn branch(&mut self, branch: &Branch, dot: Dot, inside: Dot) {
        for (pipe, body) in &branch.arms {
            self.pipe(pipe, dot);
            self.block(body, inside);
        }
        self.block(&branch.otherwise, dot);
    }

    fn pipe(&mut self, pipe: &Pipe, dot: Dot) {
        let mut before: Option<&Command> = None;
        for command in &pipe.commands {
            self.operand(&command.first, dot);
            for operand in &command.arguments {
                self.operand(operand, dot);
                self.bare_function(operand);
            }
            self.call(command, before);
            before = Some(command);
        }
    }

    fn operand(&mut self, operand: &Operand, dot: Dot) {
        let Operand { term, chain, span } = operand;
        match term {
            Term::Dot if dot == Dot::Root => self.field(chain, *span),
            Term::Variable(0) => self.field(chain, *span),
            Term::Pipe(pipe) => self.pipe(pipe, dot),
            _ => {}
        }
    }

    fn field(&mut self, chain: &[Box<str>], span: Span) {
        let chain: Vec<String> = chain.iter().map(ToString::to_string).collect();
        if !self.fields.contains(&chain) {
            self.fields.push(chain);
            self.places.push(span);
        }
    }

    // A function among the arguments has none of its own.
    fn bare_function(&mut self, operand: &Operand) {
        if let Term::Function(function) = operand.term {
            self.note(function.name, None);
        }
    }

    fn call(&mut self, command: &Command, before: Option<&Command>) {
        let Operand { term, chain, .. } = &command.first;
        let has_arguments = !command.arguments.is_empty() || before.is_some();
        let name = match (chain.last(), term) {
            (Some(name), _) if has_arguments => name,
            (None, Term::Function(function)) => function.name,
            _ => return,
        };
        let first = command.arguments.first().or(before.map(|before| &before.first));
        // What was piped is a literal only if nothing was done to it.
        let literal = first.filter(|first| first.chain.is_empty()).and_then(|first| {
            let Term::Text(text) = &first.term else { return None };
            String::from_utf8(text.clone()).ok()
        });
        self.note(name, literal);
    }

    fn note(&mut self, name: &str, literal: Option<String>) {
        let call = Invocation { name: name.to_owned(), literal };
        if !self.calls.contains(&call) {
            self.calls.push(call);
        }
    }
}
