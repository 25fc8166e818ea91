//! A template's text to tokens, with Go's trim markers and comments already applied. Never knows
//! which tokens make sense beside each other.

use super::fault::Fault;

/// A token and the bytes of the text from which it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) at: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind<'t> {
    Text(&'t str),
    Open,
    Close,
    Space,
    Pipe,
    LeftParen,
    RightParen,
    Declare,
    Assign,
    Comma,
    Dot,
    /// Without its dot.
    Field(&'t str),
    /// With its dollar sign.
    Variable(&'t str),
    /// A keyword, a constant or a function.
    Word(&'t str),
    Number(&'t str),
    /// With its quotes.
    Quoted(&'t str),
    /// Without its backquotes.
    Raw(&'t str),
    /// With its quotes.
    Char(&'t str),
    End,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token<'t>>,
}

/// All tokens of a text; the last one is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    let mut trim = false;
    while !lexer.rest().is_empty() {
        trim = lexer.text_and_action(trim)?;
    }
    lexer.push(0, Kind::End);
    Ok(lexer.tokens)
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, len: usize, kind: Kind<'t>) {
        self.tokens.push(Token { kind, at: self.at, end: self.at + len });
        self.at += len;
    }

    // Text up to an action, and the action. `trim`: the action before ended with a trim marker;
    // the result says the same of this one.
    fn text_and_action(&mut self, trim: bool) -> Result<bool, Fault> {
        let rest = self.rest();
        let (raw, action) = match rest.split_once("{{") {
            Some((text, after)) => (text, Some(after)),
            None => (rest, None),
        };
        let trims_before = action.is_some_and(opens_with_trim);
        let text = if trim { raw.trim_start_matches(SPACES) } else { raw };
        let skipped = raw.len() - text.len();
        let text = if trims_before { text.trim_end_matches(SPACES) } else { text };
        let start = self.at;
        self.at += skipped;
        if !text.is_empty() {
            self.push(text.len(), Kind::Text(text));
        }
        self.at = start + raw.len();
        let Some(action) = action else { return Ok(false) };
        let open = self.at;
        let comment = if trims_before { action.trim_start_matches('-') } else { action };
        let comment = if trims_before { comment.trim_start_matches(SPACES) } else { comment };
        if let Some(comment) = comment.strip_prefix("/*") {
            return self.comment(open, comment);
        }
        self.push(2, Kind::Open);
        self.at += usize::from(trims_before);
        self.action(open)
    }

    fn comment(&mut self, open: usize, comment: &'t str) -> Result<bool, Fault> {
        let Some((_, after)) = comment.split_once("*/") else {
            return Err(Fault::at(open, "unclosed comment", "close it with */}}"));
        };
        let trimmed = after.trim_start_matches(SPACES);
        let (trim, end) = match (after.strip_prefix("}}"), trimmed.strip_prefix("-}}")) {
            (Some(end), _) => (false, end),
            (None, Some(end)) if trimmed.len() < after.len() => (true, end),
            _ => {
                let what = "comment ends before closing delimiter";
                return Err(Fault::at(self.text.len() - after.len(), what, "write */}}"));
            }
        };
        self.at = self.text.len() - end.len();
        Ok(trim)
    }

    fn action(&mut self, open: usize) -> Result<bool, Fault> {
        loop {
            let rest = self.rest();
            let spaces = rest.len() - rest.trim_start_matches(SPACES).len();
            let after = rest.get(spaces..).unwrap_or_default();
            if spaces > 0 && after.starts_with("-}}") {
                self.at += spaces;
                self.push(3, Kind::Close);
                return Ok(true);
            }
            if spaces > 0 {
                self.push(spaces, Kind::Space);
                continue;
            }
            if rest.starts_with("}}") {
                self.push(2, Kind::Close);
                return Ok(false);
            }
            let Some(first) = rest.chars().next() else {
                return Err(Fault::at(open, "unclosed action", "close it with }}"));
            };
            self.inside(first, rest)?;
        }
    }

    fn inside(&mut self, first: char, rest: &'t str) -> Result<(), Fault> {
        let second = rest.chars().nth(1).unwrap_or(' ');
        match first {
            '|' => self.push(1, Kind::Pipe),
            '(' => self.push(1, Kind::LeftParen),
            ')' => self.push(1, Kind::RightParen),
            ',' => self.push(1, Kind::Comma),
            '=' => self.push(1, Kind::Assign),
            ':' if second == '=' => self.push(2, Kind::Declare),
            '"' => self.quoted('"', "unterminated quoted string")?,
            '\'' => self.quoted('\'', "unterminated character constant")?,
            '`' => self.raw()?,
            '$' => {
                let name = split_name(rest, 1);
                self.push(name.len(), Kind::Variable(name));
                self.terminated()?;
            }
            '.' if !second.is_ascii_digit() => {
                let name = split_name(rest, 1);
                match name.strip_prefix('.').filter(|name| !name.is_empty()) {
                    Some(field) => self.push(name.len(), Kind::Field(field)),
                    None => self.push(1, Kind::Dot),
                }
                self.terminated()?;
            }
            '+' | '-' | '.' | '0'..='9' => self.number(),
            _ if is_name(first) => {
                let name = split_name(rest, 0);
                self.push(name.len(), Kind::Word(name));
                self.terminated()?;
            }
            _ => {
                let what = format!("unexpected character {first:?} in an action");
                return Err(Fault::at(self.at, what, "write {{.Data}} or {{.Container.Name}}"));
            }
        }
        Ok(())
    }

    fn quoted(&mut self, quote: char, what: &str) -> Result<(), Fault> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => {
                    let text = rest.get(..=at).unwrap_or_default();
                    let kind = if quote == '"' { Kind::Quoted(text) } else { Kind::Char(text) };
                    self.push(text.len(), kind);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Fault::at(self.at, what, format!("close it with {quote} on the same line")))
    }

    fn raw(&mut self) -> Result<(), Fault> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let Some((text, _)) = inside.split_once('`') else {
            let what = "unterminated raw quoted string";
            return Err(Fault::at(self.at, what, "close it with `"));
        };
        self.push(text.len() + 2, Kind::Raw(text));
        Ok(())
    }

    fn number(&mut self) {
        let rest = self.rest();
        let is_hex = rest.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("0x");
        let mut before = ' ';
        let len = rest
            .char_indices()
            .find(|(at, c)| {
                let exponent = if is_hex { 'p' } else { 'e' };
                let sign =
                    matches!(c, '+' | '-') && (*at == 0 || before.eq_ignore_ascii_case(&exponent));
                let belongs = sign || *c == '.' || is_name(*c);
                before = *c;
                !belongs
            })
            .map_or(rest.len(), |(at, _)| at);
        self.push(len, Kind::Number(rest.get(..len).unwrap_or_default()));
    }

    // As Go's atTerminator: what may follow a name.
    fn terminated(&self) -> Result<(), Fault> {
        match self.rest().chars().next() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | '(' | ')' | '=') => {
                Ok(())
            }
            Some('}') if self.rest().starts_with("}}") => Ok(()),
            Some(c) => {
                let cure = "write names of letters, digits and _; other keys with \
                            index, as {{index .Container.Config.Labels \"a-b\"}}";
                Err(Fault::at(self.at, format!("bad character {c:?} in a name"), cure))
            }
        }
    }
}

fn opens_with_trim(action: &str) -> bool {
    action.strip_prefix('-').is_some_and(|after| after.starts_with(SPACES))
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

// The name at the start of `rest`, together with `before` bytes in front of it.
fn split_name(rest: &str, before: usize) -> &str {
    let name = rest.get(before..).unwrap_or_default();
    let len = name.find(|c: char| !is_name(c)).unwrap_or(name.len());
    rest.get(..before + len).unwrap_or_default()
}
