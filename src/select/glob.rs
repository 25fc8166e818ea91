//! Patterns over names and label values: parsed once with the place of every fault, matched in
//! bounded time whatever the text is. Never a regular expression.

use std::fmt;
use std::str::Chars;

/// Longest pattern in bytes.
pub(super) const MOST_PATTERN_BYTES: usize = 1024;
/// So much of a text is looked at, in bytes. Names and label values come from strangers, and a
/// match costs up to pattern times text.
const LOOK_BYTES: usize = 16 * 1024;

/// What `*` and `?` stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wildcards {
    /// Any character but `/`, as Go's `path.Match` has it, which logspout's filters use.
    Path,
    /// Any character.
    All,
}

/// A pattern that the whole of a text has to match.
///
/// `*` is any run of characters, `?` any one, `[a-c]` one of a class, `[^a]` one outside of it,
/// and a backslash takes the next character as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    wildcards: Wildcards,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Character(char),
    Any,
    Run,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// What is wrong with a text, and at which of its characters, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }

    /// The same fault in a longer text, in which `before` characters stand in front.
    pub(super) fn behind(self, before: usize) -> Self {
        Self { at: self.at + before, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.at, self.what)
    }
}

impl Glob {
    /// Reads a pattern. An empty one matches the empty text only.
    pub(super) fn parse(text: &str, wildcards: Wildcards) -> Result<Self, Fault> {
        if text.len() > MOST_PATTERN_BYTES {
            let bytes = text.len();
            let most = MOST_PATTERN_BYTES;
            let what =
                format!("the pattern has {bytes} bytes, {most} at most; write a shorter one");
            return Err(Fault::new(1, what));
        }
        let mut reader = Reader { rest: text.chars(), at: 0 };
        let mut tokens: Vec<Token> = Vec::new();
        while let Some(character) = reader.next() {
            let token = match character {
                '*' => Token::Run,
                '?' => Token::Any,
                '[' => reader.class()?,
                '\\' => Token::Character(reader.escaped()?),
                _ => Token::Character(character),
            };
            // Two runs match what one matches.
            if token != Token::Run || tokens.last() != Some(&Token::Run) {
                tokens.push(token);
            }
        }
        Ok(Self { tokens, wildcards })
    }

    /// The same pattern for a text that may go on behind it.
    pub(super) fn open_ended(mut self) -> Self {
        if self.tokens.last() != Some(&Token::Run) {
            self.tokens.push(Token::Run);
        }
        self
    }

    /// Whether the whole text matches; of a very long one its beginning is looked at.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = beginning(text).chars();
        let mut place = 0;
        // Behind the last run, and what it has not taken of the text. An earlier run has taken as
        // little as it could, and need not be asked again.
        let mut last_run: Option<(usize, Chars<'_>)> = None;
        loop {
            match self.tokens.get(place) {
                None if rest.as_str().is_empty() => return true,
                Some(Token::Run) => {
                    place += 1;
                    last_run = Some((place, rest.clone()));
                    continue;
                }
                Some(token) => {
                    let mut behind = rest.clone();
                    if behind.next().is_some_and(|character| self.takes(token, character)) {
                        rest = behind;
                        place += 1;
                        continue;
                    }
                }
                None => {}
            }
            let Some((behind, left)) = &mut last_run else {
                return false;
            };
            if !left.next().is_some_and(|character| self.crosses(character)) {
                return false;
            }
            place = *behind;
            rest = left.clone();
        }
    }

    fn takes(&self, token: &Token, character: char) -> bool {
        match token {
            Token::Character(wanted) => *wanted == character,
            Token::Any | Token::Run => self.crosses(character),
            Token::Class { negated, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
                inside != *negated
            }
        }
    }

    fn crosses(&self, character: char) -> bool {
        self.wildcards == Wildcards::All || character != '/'
    }
}

/// As much of a text as is looked at, without a character that is cut there.
fn beginning(text: &str) -> &str {
    if text.len() <= LOOK_BYTES {
        return text;
    }
    text.split_at_checked(text.floor_char_boundary(LOOK_BYTES)).map_or("", |(start, _)| start)
}

struct Reader<'a> {
    rest: Chars<'a>,
    /// Characters read.
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.next()?;
        self.at += 1;
        Some(character)
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn takes(&mut self, wanted: char) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.next();
        }
        is_next
    }

    fn escaped(&mut self) -> Result<char, Fault> {
        let at = self.at;
        self.next().ok_or_else(|| {
            Fault::new(at, r"nothing follows the backslash; write \\ for a backslash")
        })
    }

    /// A class whose bracket was read.
    fn class(&mut self) -> Result<Token, Fault> {
        let began = self.at;
        let negated = self.takes('^');
        let mut ranges = Vec::new();
        while ranges.is_empty() || !self.takes(']') {
            let low = self.member(began)?;
            let at = self.at;
            let high = if self.takes('-') { self.member(began)? } else { low };
            if high < low {
                let what = format!(
                    "the range {low}-{high} runs backwards and holds nothing; write {high}-{low}"
                );
                return Err(Fault::new(at, what));
            }
            ranges.push((low, high));
        }
        Ok(Token::Class { negated, ranges })
    }

    fn member(&mut self, began: usize) -> Result<char, Fault> {
        match self.next() {
            Some('\\') => self.escaped(),
            Some(mark @ ('-' | ']')) => {
                let what = format!(
                    r"'{mark}' cannot stand here in a class such as [a-c]; write \{mark} for the character itself"
                );
                Err(Fault::new(self.at, what))
            }
            Some(character) => Ok(character),
            None => {
                let what = r"the class is not closed; write it as [a-c], or write \[ for a bracket";
                Err(Fault::new(began, what))
            }
        }
    }
}

#[cfg(test)]
mod tests;
