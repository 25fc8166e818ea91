//! Go's `text/template` as far as log lines need it: parsed once, rendered for each line. Texts
//! keep their bytes, whatever they are; output and work are bounded. Never reads the environment,
//! the clock or a file, but for a zone when that is asked for.
//!
//! Left out are `define`, `template` and `block`, complex numbers and functions as values.

mod analysis;
mod evaluate;
mod fault;
mod float;
mod functions;
mod json;
mod layout;
mod lexer;
mod literal;
mod moment;
mod node;
mod out;
mod parser;
mod pipeline;
mod print;
mod printf;
mod quote;
mod render;
mod subject;
mod tree;
mod value;
mod verb;
mod zone;

use std::fmt;

pub use analysis::Invocation;
pub use fault::Fault;
pub use functions::{FUNCTIONS, Function};
pub use layout::{Layout, format_time};
pub use render::MOST_STEPS;
pub use subject::{NAMES, Needs, Subject, Surroundings, WHOLE_SECONDS};
pub use tree::Tree;
pub use value::{Root, Value};
pub use zone::Zone;

/// Longest text of a template, in bytes.
pub const MOST_TEXT_BYTES: usize = 16 << 10;
/// How deep blocks and parentheses may lie in each other.
pub const MOST_DEPTH: usize = 32;
/// Texts, actions, commands and operands of a template at most.
pub const MOST_NODES: usize = 2_000;
/// So much of a template is shown in an error, in characters.
const SHOWN_CHARACTERS: usize = 40;

/// What a template is rendered over: the message at its root.
pub trait Data {
    /// `.NAME`; `None` if the message has no such field.
    fn field(&self, name: &str) -> Option<Value<'_>>;

    /// `.NAME` with arguments, and the functions `env` and `label` under these names; `None` if
    /// there is no such method. The error says what is wrong with the arguments.
    fn method(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        let _ = (name, arguments);
        None
    }

    /// All fields in their order, for a template that shows the message as a whole.
    fn members(&self) -> Vec<(&str, Value<'_>)> {
        Vec::new()
    }
}

/// A template that can be rendered: its syntax and its functions are right.
#[derive(Debug)]
pub struct Template {
    text: Box<str>,
    block: node::Block,
    fields: Vec<Vec<String>>,
    calls: Vec<Invocation>,
}

/// A rendering that failed, in Go's words. Shown as `at character 3, <.A.B>: WHAT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// The character of the template at which it happened, counted from 1.
    pub position: usize,
    part: String,
    what: String,
}

impl Template {
    /// Parses a text of at most [`MOST_TEXT_BYTES`]. `names`, if given, are all fields and methods
    /// of the message: another one is a fault.
    pub fn parse(text: &str, names: Option<&[&str]>) -> Result<Self, Fault> {
        if text.len() > MOST_TEXT_BYTES {
            let what = format!("the template has {} bytes, {MOST_TEXT_BYTES} at most", text.len());
            return Err(Fault::at(0, what, "write a shorter one").in_characters_of(text));
        }
        let block = parser::parse(text).map_err(|fault| fault.in_characters_of(text))?;
        let found = analysis::look(&block);
        if let Some(names) = names {
            check_names(&found, names).map_err(|fault| fault.in_characters_of(text))?;
        }
        let analysis::Found { fields, calls, .. } = found;
        Ok(Self { text: text.into(), block, fields, calls })
    }

    /// Appends what the template makes of the data: `limit` bytes at most, in at most
    /// [`MOST_STEPS`] steps. After an error `out` is as it was.
    pub fn render(
        &self,
        data: &dyn Data,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let before = out.len();
        render::render(&self.block, data, limit, out).map_err(|trouble| {
            out.truncate(before);
            self.error(trouble)
        })
    }

    /// The text that it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it always gives, if it depends on nothing.
    pub fn constant(&self) -> Option<&str> {
        match self.block.as_slice() {
            [] => Some(""),
            [node::Node::Text(text, _)] => Some(text),
            _ => None,
        }
    }

    /// The fields that it may read, as chains from the message: `.Container.Name` is `Container`,
    /// `Name`. A chain stands for all that lies below it; the empty one for the whole message.
    pub fn fields(&self) -> &[Vec<String>] {
        &self.fields
    }

    /// The functions that it calls, and the methods that it calls with arguments, of whatever
    /// value.
    pub fn calls(&self) -> &[Invocation] {
        &self.calls
    }

    fn error(&self, trouble: render::Trouble) -> RenderError {
        let render::Trouble { span, what } = trouble;
        let part = self.text.get(span.at..span.end).unwrap_or_default();
        let mut shown: String = part.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < part.len() {
            shown.push('…');
        }
        RenderError { position: fault::character(&self.text, span.at), part: shown, what }
    }
}

fn check_names(found: &analysis::Found, names: &[&str]) -> Result<(), Fault> {
    for (chain, span) in found.fields.iter().zip(&found.places) {
        let Some(name) = chain.first() else { continue };
        if !names.contains(&name.as_str()) {
            let what = format!("can't evaluate field {name}: the message has none of this name");
            return Err(Fault::at(span.at, what, fault::hint(name, names.iter().copied())));
        }
    }
    Ok(())
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}, <{}>: {}", self.position, self.part, self.what)
    }
}

impl std::error::Error for RenderError {}

#[cfg(test)]
mod tests;
