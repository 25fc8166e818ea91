//! Tokens to nodes: text, actions and the blocks of `if`, `with` and `range`. What stands inside
//! of an action is read by `pipeline`. Never looks at data.

use super::fault::Fault;
use super::lexer::{Kind, Token, tokens};
use super::node::{Block, Branch, Node, Pipe, Span, Target};
use super::{MOST_DEPTH, MOST_NODES};

/// Reads the tokens of a text from left to right.
pub(super) struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
    /// Names of variables, from the outside to the inside. The place is the slot.
    pub(super) variables: Vec<&'t str>,
    depth: usize,
    nodes: usize,
    loops: usize,
}

/// How a block ended.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Text,
    End,
    Else,
}

#[derive(Clone, Copy, PartialEq)]
enum Control {
    If,
    With,
    Range,
}

const END: Token<'static> = Token { kind: Kind::End, at: 0, end: 0 };

/// The nodes of a text. Positions in a fault count bytes.
pub(super) fn parse(text: &str) -> Result<Block, Fault> {
    let tokens = tokens(text)?;
    let variables = vec!["$"];
    let mut parser = Parser { tokens, next: 0, variables, depth: 0, nodes: 0, loops: 0 };
    let (block, ending, at) = parser.block()?;
    let stray = match ending {
        Ending::Text => return Ok(block),
        Ending::End => "{{end}}",
        Ending::Else => "{{else}}",
    };
    let cure = "take it away, or begin a block such as {{if .Data}} before it";
    Err(Fault::at(at, format!("unexpected {stray}"), cure))
}

impl<'t> Parser<'t> {
    pub(super) fn peek(&self) -> Token<'t> {
        self.tokens.get(self.next).or(self.tokens.last()).copied().unwrap_or(END)
    }

    pub(super) fn advance(&mut self) -> Token<'t> {
        let token = self.peek();
        self.next += 1;
        token
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    /// The token at some distance behind the next one.
    pub(super) fn ahead(&self, distance: usize) -> Kind<'t> {
        self.tokens.get(self.next + distance).map_or(Kind::End, |token| token.kind)
    }

    /// Where the token before the next one ends.
    pub(super) fn end_of_last(&self) -> usize {
        let last = self.next.checked_sub(1).and_then(|last| self.tokens.get(last));
        last.map_or(0, |token| token.end)
    }

    pub(super) fn count_node(&mut self) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            let what = format!("the template has more than {MOST_NODES} parts");
            return Err(Fault::at(self.peek().at, what, "write a shorter one"));
        }
        Ok(())
    }

    /// One level deeper for as long as `inside` reads.
    pub(super) fn deeper<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth >= MOST_DEPTH {
            let what = format!("nested deeper than {MOST_DEPTH} levels");
            return Err(Fault::at(self.peek().at, what, "write fewer blocks in each other"));
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    // Nodes up to the end of the text, or behind an `{{end}}` or `{{else`, which begins at the
    // offset in the result.
    fn block(&mut self) -> Result<(Block, Ending, usize), Fault> {
        let mut block = Block::new();
        let known = self.variables.len();
        loop {
            let token = self.advance();
            match token.kind {
                Kind::Text(text) => {
                    let span = Span { at: token.at, end: token.end };
                    self.text(text, span, &mut block)?;
                }
                Kind::Open => {
                    if let Some(ending) = self.action(token.at, &mut block)? {
                        self.variables.truncate(known);
                        return Ok((block, ending, token.at));
                    }
                }
                _ => return Ok((block, Ending::Text, token.at)),
            }
        }
    }

    // Texts on both sides of a comment are one.
    fn text(&mut self, text: &str, span: Span, block: &mut Block) -> Result<(), Fault> {
        if let Some(Node::Text(before, _)) = block.last_mut() {
            before.push_str(text);
            return Ok(());
        }
        self.count_node()?;
        block.push(Node::Text(text.to_owned(), span));
        Ok(())
    }

    fn action(&mut self, open: usize, block: &mut Block) -> Result<Option<Ending>, Fault> {
        self.count_node()?;
        self.skip_spaces();
        let Token { kind: Kind::Word(word), at, .. } = self.peek() else {
            block.push(self.pipe_action()?);
            return Ok(None);
        };
        let node = match word {
            "if" => Node::If(self.branch(open, Control::If)?),
            "with" => Node::With(self.branch(open, Control::With)?),
            "range" => Node::Range(self.branch(open, Control::Range)?),
            "end" | "else" => {
                self.advance();
                if word == "else" {
                    return Ok(Some(Ending::Else));
                }
                self.close("end")?;
                return Ok(Some(Ending::End));
            }
            "break" | "continue" => {
                self.advance();
                if self.loops == 0 {
                    let what = format!("{{{{{word}}}}} outside {{{{range}}}}");
                    return Err(Fault::at(at, what, "write it between {{range …}} and {{end}}"));
                }
                self.close(word)?;
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "define" | "template" | "block" => {
                let what = format!("{{{{{word}}}}} is not supported: a template stands alone");
                return Err(Fault::at(at, what, "write its text where it is used"));
            }
            _ => self.pipe_action()?,
        };
        block.push(node);
        Ok(None)
    }

    fn pipe_action(&mut self) -> Result<Node, Fault> {
        let pipe = self.pipeline("command", Kind::Close)?;
        Ok(Node::Action(pipe))
    }

    fn close(&mut self, context: &str) -> Result<(), Fault> {
        self.skip_spaces();
        let token = self.advance();
        if token.kind == Kind::Close {
            return Ok(());
        }
        let what = format!("unexpected {} in {context}", shown(token.kind));
        Err(Fault::at(token.at, what, format!("write {{{{{context}}}}}")))
    }

    fn branch(&mut self, open: usize, control: Control) -> Result<Branch, Fault> {
        let known = self.variables.len();
        let branch = self.deeper(|parser| parser.arms(open, control));
        self.variables.truncate(known);
        branch
    }

    fn arms(&mut self, open: usize, control: Control) -> Result<Branch, Fault> {
        let name = control.name();
        let mut arms = Vec::new();
        loop {
            self.advance();
            let pipe = self.pipeline(name, Kind::Close)?;
            check_targets(&pipe, control)?;
            let is_loop = usize::from(control == Control::Range);
            self.loops += is_loop;
            let (body, ending, at) = self.block()?;
            self.loops -= is_loop;
            arms.push((pipe, body));
            match ending {
                Ending::End => return Ok(Branch { arms, otherwise: Block::new() }),
                Ending::Text => return Err(unclosed(open, name)),
                Ending::Else => {}
            }
            self.skip_spaces();
            let token = self.peek();
            match token.kind {
                Kind::Word(word) if word == name && control != Control::Range => {
                    self.count_node()?;
                    continue;
                }
                Kind::Close => self.advance(),
                _ => {
                    let what = format!("unexpected {} in else", shown(token.kind));
                    return Err(Fault::at(token.at, what, "write {{else}} or {{else if .Data}}"));
                }
            };
            let (otherwise, ending, second) = self.block()?;
            return match ending {
                Ending::End => Ok(Branch { arms, otherwise }),
                Ending::Text => Err(unclosed(open, name)),
                Ending::Else => {
                    let what = "expected end; found {{else}}";
                    let at = at.max(second);
                    Err(Fault::at(at, what, "write one {{else}}, then {{end}}"))
                }
            };
        }
    }
}

impl Control {
    fn name(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::With => "with",
            Self::Range => "range",
        }
    }
}

fn check_targets(pipe: &Pipe, control: Control) -> Result<(), Fault> {
    let (Target::Declare(slots) | Target::Assign(slots)) = &pipe.target else { return Ok(()) };
    if slots.len() > 1 && control != Control::Range {
        let what = format!("too many declarations in {}", control.name());
        return Err(Fault::at(pipe.span.at, what, "only {{range $i, $e := …}} takes two"));
    }
    Ok(())
}

fn unclosed(open: usize, name: &str) -> Fault {
    Fault::at(open, format!("unexpected EOF: {{{{{name}}}}} has no end"), "close it with {{end}}")
}

/// A token in words of a message.
pub(super) fn shown(kind: Kind<'_>) -> String {
    match kind {
        Kind::Text(text) | Kind::Word(text) | Kind::Number(text) => format!("\"{text}\""),
        Kind::Quoted(text) | Kind::Variable(text) | Kind::Char(text) => text.to_owned(),
        Kind::Raw(text) => format!("`{text}`"),
        Kind::Field(name) => format!("<.{name}>"),
        Kind::Open => "\"{{\"".into(),
        Kind::Close => "\"}}\"".into(),
        Kind::Space => "space".into(),
        Kind::Pipe => "\"|\"".into(),
        Kind::LeftParen => "\"(\"".into(),
        Kind::RightParen => "\")\"".into(),
        Kind::Declare => "\":=\"".into(),
        Kind::Assign => "\"=\"".into(),
        Kind::Comma => "\",\"".into(),
        Kind::Dot => "<.>".into(),
        Kind::End => "EOF".into(),
    }
}
