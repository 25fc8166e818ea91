//! Pipelines, commands and operands to values. A method of `Rendering`; never writes output.

use std::borrow::Cow;

use super::functions::{Call, Function, Run};
use super::node::{Command, Operand, Pipe, Span, Target, Term};
use super::render::{Outcome, Rendering, trouble};
use super::value::Value;

/// Arguments that need no allocation.
const FEW: usize = 4;

impl<'a> Rendering<'a, '_> {
    pub(super) fn pipe(&mut self, pipe: &'a Pipe, dot: &Value<'a>) -> Outcome<Value<'a>> {
        let mut value = None;
        for command in &pipe.commands {
            self.step(command.span)?;
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::NoValue);
        if let Target::Declare(slots) | Target::Assign(slots) = &pipe.target {
            // What blocks before this one declared ends here, as slots are given again.
            if let (Target::Declare(_), Some(first)) = (&pipe.target, slots.first()) {
                self.variables.truncate(first.saturating_sub(1));
            }
            for slot in slots {
                let copy = self.scope.copy(&value).map_err(|what| trouble(pipe.span, what))?;
                self.set(*slot, copy);
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Value<'a>,
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        if let Term::Function(Function { run: run @ (Run::And | Run::Or), .. }) =
            &command.first.term
        {
            return self.choose(command, dot, last, matches!(run, Run::Or));
        }
        if command.arguments.is_empty() && last.is_none() {
            return self.operand(&command.first, dot, &[], command);
        }
        let count = command.arguments.len() + usize::from(last.is_some());
        let mut few = [const { Value::Nil }; FEW];
        let mut many = Vec::new();
        let arguments = if count <= FEW {
            few.get_mut(..count).unwrap_or_default()
        } else {
            many.resize_with(count, || Value::Nil);
            many.as_mut_slice()
        };
        let mut places = arguments.iter_mut();
        for (operand, place) in command.arguments.iter().zip(places.by_ref()) {
            *place = self.argument(operand, dot, command)?;
        }
        if let (Some(last), Some(place)) = (last, places.next()) {
            *place = last;
        }
        self.operand(&command.first, dot, arguments, command)
    }

    fn argument(
        &mut self,
        operand: &'a Operand,
        dot: &Value<'a>,
        command: &'a Command,
    ) -> Outcome<Value<'a>> {
        self.operand(operand, dot, &[], command)
    }

    // Go's `and` and `or`, which evaluate no more than they need.
    fn choose(
        &mut self,
        command: &'a Command,
        dot: &Value<'a>,
        last: Option<Value<'a>>,
        wanted: bool,
    ) -> Outcome<Value<'a>> {
        let mut value = Value::NoValue;
        for operand in &command.arguments {
            value = self.argument(operand, dot, command)?;
            if value.truth() == wanted {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn operand(
        &mut self,
        operand: &'a Operand,
        dot: &Value<'a>,
        arguments: &[Value<'a>],
        command: &'a Command,
    ) -> Outcome<Value<'a>> {
        let Operand { term, chain, span } = operand;
        let failed = |what: String| trouble(*span, what);
        let layout = command.layout.as_ref();
        let Some((first, rest)) = chain.split_first() else {
            return self.term(term, dot, arguments, *span);
        };
        let call_of = |rest: &[Box<str>]| {
            let arguments = if rest.is_empty() { arguments } else { &[] };
            Call { arguments, layout }
        };
        let mut value = match term {
            Term::Dot => dot.field(first, &call_of(rest)),
            Term::Variable(0) => self.root.field(first, &call_of(rest)),
            _ => self.term(term, dot, &[], *span)?.field(first, &call_of(rest)),
        }
        .map_err(failed)?;
        let mut rest = rest;
        while let Some((name, more)) = rest.split_first() {
            value = value.field(name, &call_of(more)).map_err(failed)?;
            rest = more;
        }
        Ok(value)
    }

    fn term(
        &mut self,
        term: &'a Term,
        dot: &Value<'a>,
        arguments: &[Value<'a>],
        span: Span,
    ) -> Outcome<Value<'a>> {
        let failed = |what: String| trouble(span, what);
        match term {
            Term::Dot => self.scope.copy(dot).map_err(failed),
            Term::Variable(0) => Ok(self.root.clone()),
            Term::Variable(slot) => match self.variables.get(slot - 1) {
                Some(value) => self.scope.copy(value).map_err(failed),
                None => Ok(Value::NoValue),
            },
            Term::Function(function) => {
                function.check_count(arguments.len()).map_err(failed)?;
                let Run::Plain(run) = function.run else { return Ok(Value::NoValue) };
                run(&self.scope, arguments)
                    .map_err(|why| failed(format!("error calling {}: {why}", function.name)))
            }
            Term::Pipe(pipe) => self.pipe(pipe, dot),
            Term::Nil => Ok(Value::Nil),
            Term::Bool(bool) => Ok(Value::Bool(*bool)),
            Term::Int(int) => Ok(Value::Int(*int)),
            Term::Float(float) => Ok(Value::Float(*float)),
            Term::Text(text) => Ok(Value::Text(Cow::Borrowed(text))),
        }
    }
}
