//! What stands inside of an action: pipelines, commands and operands. A method of `Parser`, never
//! of anything else.

use super::fault::{Fault, hint};
use super::functions::{FUNCTIONS, Function};
use super::layout::Layout;
use super::lexer::{Kind, Token};
use super::literal::{self, Number};
use super::node::{Command, Operand, Pipe, Span, Target, Term};
use super::parser::{Parser, shown};

const KEYWORDS: &[&str] =
    &["if", "with", "range", "end", "else", "break", "continue", "define", "template", "block"];

impl<'t> Parser<'t> {
    /// A pipeline up to and with the token that closes it. `context` is what it stands in.
    pub(super) fn pipeline(&mut self, context: &str, close: Kind<'t>) -> Result<Pipe, Fault> {
        self.skip_spaces();
        let at = self.peek().at;
        let (names, is_new) = self.targets(context)?;
        let mut commands = Vec::new();
        loop {
            self.skip_spaces();
            let token = self.peek();
            if matches!(token.kind, Kind::Pipe | Kind::Close | Kind::End)
                || (token.kind == Kind::RightParen && close == Kind::RightParen)
            {
                let what = format!("missing value for {context}");
                return Err(Fault::at(token.at, what, "write a value such as .Data"));
            }
            let (command, is_piped) = self.command(!commands.is_empty())?;
            commands.push(command);
            if !is_piped {
                break;
            }
        }
        let end = commands.last().map_or(at, |command| command.span.end);
        let token = self.advance();
        if token.kind != close {
            let (what, cure) = match (token.kind, close) {
                (Kind::RightParen, _) => ("unexpected right paren", "take away one )"),
                (_, Kind::RightParen) => ("unclosed left paren", "close it with )"),
                _ => ("unclosed action", "close it with }}"),
            };
            return Err(Fault::at(token.at, what, cure));
        }
        let target = self.target(names, is_new);
        Ok(Pipe { span: Span { at, end }, target, commands })
    }

    // `$x :=`, `$i, $e :=` or `$x =`, if that is how the pipeline begins.
    fn targets(&mut self, context: &str) -> Result<(Vec<Token<'t>>, bool), Fault> {
        let mut names = Vec::new();
        let mut distance = 0;
        loop {
            if !matches!(self.ahead(distance), Kind::Variable(_)) {
                return Ok((Vec::new(), false));
            }
            names.push(distance);
            distance += 1;
            if self.ahead(distance) == Kind::Space {
                distance += 1;
            }
            match self.ahead(distance) {
                Kind::Comma if names.len() < 2 => distance += 1,
                Kind::Declare | Kind::Assign => break,
                _ => return Ok((Vec::new(), false)),
            }
            if self.ahead(distance) == Kind::Space {
                distance += 1;
            }
        }
        let is_new = self.ahead(distance) == Kind::Declare;
        let mut tokens = Vec::new();
        for place in 0..=distance {
            let token = self.advance();
            if names.contains(&place) {
                tokens.push(token);
            }
        }
        self.check_targets(&tokens, is_new, context)?;
        Ok((tokens, is_new))
    }

    fn check_targets(&self, names: &[Token<'t>], is_new: bool, context: &str) -> Result<(), Fault> {
        let Some(first) = names.first() else { return Ok(()) };
        if context == "parenthesized pipeline" {
            let what = "a variable cannot be set between parentheses";
            return Err(Fault::at(first.at, what, "set it before, as {{$x := .Data}}"));
        }
        if names.len() > 1 && context != "range" {
            let what = format!("too many declarations in {context}");
            return Err(Fault::at(first.at, what, "only {{range $i, $e := …}} takes two"));
        }
        for name in names {
            let is_root = name.kind == Kind::Variable("$");
            if is_root {
                let cure = "choose another name, as {{$x := .Data}}";
                return Err(Fault::at(name.at, "$ is the message itself and cannot be set", cure));
            }
            if let (Kind::Variable(variable), false) = (name.kind, is_new) {
                self.slot(variable, name.at)?;
            }
        }
        Ok(())
    }

    // Declared names are known from behind their pipeline on.
    fn target(&mut self, names: Vec<Token<'t>>, is_new: bool) -> Target {
        let mut slots = Vec::new();
        for name in names {
            let Kind::Variable(variable) = name.kind else { continue };
            if is_new {
                slots.push(self.variables.len());
                self.variables.push(variable);
            } else {
                slots.extend(self.variables.iter().rposition(|known| *known == variable));
            }
        }
        match (slots.is_empty(), is_new) {
            (true, _) => Target::Nothing,
            (false, true) => Target::Declare(slots),
            (false, false) => Target::Assign(slots),
        }
    }

    // Operands up to a closing token or a `|`, which is read, and then the result says so.
    fn command(&mut self, is_later: bool) -> Result<(Command, bool), Fault> {
        self.count_node()?;
        let at = self.peek().at;
        let first = self.operand()?;
        let mut arguments = Vec::new();
        let mut end = self.end_of_last();
        let is_piped = loop {
            let token = self.peek();
            match token.kind {
                Kind::Space => {
                    self.skip_spaces();
                    let next = self.peek().kind;
                    if !matches!(next, Kind::Pipe | Kind::Close | Kind::RightParen | Kind::End) {
                        arguments.push(self.operand()?);
                        end = self.end_of_last();
                    }
                }
                Kind::Pipe => {
                    self.advance();
                    break true;
                }
                Kind::Close | Kind::RightParen | Kind::End => break false,
                _ => {
                    let what = format!("unexpected {} in operand", shown(token.kind));
                    return Err(Fault::at(token.at, what, "write a space between operands"));
                }
            }
        };
        let span = Span { at, end };
        let layout = layout(&first, &arguments);
        let command = Command { span, first, arguments, layout };
        check_command(&command, is_later)?;
        Ok((command, is_piped))
    }

    fn operand(&mut self) -> Result<Operand, Fault> {
        self.count_node()?;
        let token = self.peek();
        let mut chain = Vec::new();
        let term = if let Kind::Field(_) = token.kind {
            Term::Dot
        } else {
            self.advance();
            self.term(token)?
        };
        while let Kind::Field(name) = self.peek().kind {
            let is_value = matches!(
                term,
                Term::Nil | Term::Bool(_) | Term::Int(_) | Term::Float(_) | Term::Text(_)
            );
            let is_dot = token.kind == Kind::Dot;
            let is_function = matches!(term, Term::Function(_));
            if is_value || is_dot || is_function {
                let what = format!("unexpected . after term {}", shown(token.kind));
                return Err(Fault::at(self.peek().at, what, "write parentheses around the term"));
            }
            self.advance();
            chain.push(name.into());
        }
        let span = Span { at: token.at, end: self.end_of_last() };
        Ok(Operand { span, term, chain })
    }

    fn term(&mut self, token: Token<'t>) -> Result<Term, Fault> {
        let bad = |what: String| Fault::at(token.at, what, "write it as in Go");
        match token.kind {
            Kind::Dot => Ok(Term::Dot),
            Kind::Variable(name) => self.slot(name, token.at).map(Term::Variable),
            Kind::Word("true") => Ok(Term::Bool(true)),
            Kind::Word("false") => Ok(Term::Bool(false)),
            Kind::Word("nil") => Ok(Term::Nil),
            Kind::Word(name) if !KEYWORDS.contains(&name) => {
                function(name, token.at).map(Term::Function)
            }
            Kind::Number(text) => match literal::number(text).map_err(bad)? {
                Number::Int(int) => Ok(Term::Int(int)),
                Number::Float(float) => Ok(Term::Float(float)),
            },
            Kind::Char(text) => literal::character(text).map(Term::Int).map_err(bad),
            Kind::Quoted(text) => literal::string(text).map(Term::Text).map_err(bad),
            Kind::Raw(text) => Ok(Term::Text(text.as_bytes().to_vec())),
            Kind::LeftParen => {
                let pipe = self
                    .deeper(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParen))?;
                Ok(Term::Pipe(Box::new(pipe)))
            }
            kind => {
                let what = format!("unexpected {} in operand", shown(kind));
                Err(Fault::at(token.at, what, "write a value such as .Data or \"text\""))
            }
        }
    }

    fn slot(&self, name: &str, at: usize) -> Result<usize, Fault> {
        self.variables.iter().rposition(|known| *known == name).ok_or_else(|| {
            let cure = format!("set it before, as {{{{{name} := .Data}}}}");
            Fault::at(at, format!("undefined variable \"{name}\""), cure)
        })
    }
}

fn function(name: &str, at: usize) -> Result<&'static Function, Fault> {
    FUNCTIONS.iter().find(|function| function.name == name).ok_or_else(|| {
        let what = format!("function \"{name}\" not defined");
        Fault::at(at, what, hint(name, FUNCTIONS.iter().map(|function| function.name)))
    })
}

fn layout(first: &Operand, arguments: &[Operand]) -> Option<Layout> {
    let [Operand { term: Term::Text(text), .. }] = arguments else { return None };
    let is_format = first.chain.last().is_some_and(|name| **name == *"Format");
    if is_format { Some(Layout::new(std::str::from_utf8(text).ok()?)) } else { None }
}

fn check_count(function: &Function, given: usize, span: Span) -> Result<(), Fault> {
    function.check_count(given).map_err(|what| Fault::at(span.at, what, function.help))
}

// What Go says of them when a template runs, said at once.
fn check_command(command: &Command, is_later: bool) -> Result<(), Fault> {
    for operand in &command.arguments {
        if let Term::Function(function) = operand.term {
            check_count(function, 0, operand.span)?;
        }
    }
    let Operand { term, chain, span } = &command.first;
    let given = command.arguments.len() + usize::from(is_later);
    match term {
        Term::Function(function) => check_count(function, given, *span),
        Term::Nil => Err(Fault::at(span.at, "nil is not a command", "write nil as an argument")),
        _ if chain.is_empty() && given > 0 => {
            let what = if is_later && !matches!(term, Term::Pipe(_)) {
                "non executable command in pipeline"
            } else {
                "can't give argument to non-function"
            };
            Err(Fault::at(span.at, what, "write a function first, as {{printf \"%s\" .Data}}"))
        }
        _ => Ok(()),
    }
}
