//! Rust source as tokens, and what the rules of the house ask of it: paths, functions, test parts.
//! Knows no rule itself, and is no compiler: it reads what rustfmt has formatted.

use std::collections::BTreeSet;

/// An identifier, a lifetime, a single character of punctuation, or a literal (its text is `""`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Differs from `line` for literals of several lines.
    last_line: usize,
}

/// A path that starts at `crate`, `self`, `super` or the name of a crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Lines between the braces that hold code, as clippy's `too_many_lines` counts.
    pub(crate) lines: usize,
}

/// The tokens of `text`, without comments.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    Lexer { rest: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() }.run()
}

struct Lexer {
    rest: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn run(mut self) -> Vec<Token> {
        while let Some(character) = self.peek(0) {
            match (character, self.peek(1)) {
                ('/', Some('/')) => self.skip_while(|character| character != '\n'),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(0),
                ('\'', _) => self.quote(),
                _ if character.is_whitespace() => self.advance(1),
                _ if character.is_alphanumeric() || character == '_' => self.word(),
                _ => {
                    self.push(character.to_string(), self.line);
                    self.advance(1);
                }
            }
        }
        self.tokens
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn advance(&mut self, characters: usize) {
        for _ in 0..characters {
            if self.peek(0) == Some('\n') {
                self.line += 1;
            }
            self.at += 1;
        }
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.advance(1);
        }
    }

    fn push(&mut self, text: String, line: usize) {
        self.tokens.push(Token { text, line, last_line: self.line });
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.advance(2);
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.advance(2);
                    if depth == 0 {
                        return;
                    }
                }
                (Some(_), _) => self.advance(1),
                (None, _) => return,
            }
        }
    }

    /// An identifier, a number, or the prefix of a string.
    fn word(&mut self) {
        let (start, line) = (self.at, self.line);
        self.skip_while(|character| character.is_alphanumeric() || character == '_');
        let text: String = self.rest.iter().take(self.at).skip(start).collect();
        let after = self.rest.iter().skip(self.at);
        let hashes = after.take_while(|character| **character == '#').count();
        match (text.as_str(), self.peek(0), self.peek(hashes)) {
            ("r" | "br" | "cr", _, Some('"')) => self.raw_string(hashes),
            ("b" | "c", Some('"'), _) => self.string(0),
            ("b", Some('\''), _) => self.quote(),
            // A raw identifier: the word itself follows.
            ("r", Some('#'), _) => self.advance(1),
            _ => self.push(text, line),
        }
    }

    fn string(&mut self, opening: usize) {
        let line = self.line;
        self.advance(opening + 1);
        while let Some(character) = self.peek(0) {
            self.advance(if character == '\\' { 2 } else { 1 });
            if character == '"' {
                break;
            }
        }
        self.push("\"\"".to_owned(), line);
    }

    fn raw_string(&mut self, hashes: usize) {
        let line = self.line;
        self.advance(hashes + 1);
        while self.peek(0).is_some() {
            let ends = self.peek(0) == Some('"')
                && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if ends {
                self.advance(hashes + 1);
                break;
            }
            self.advance(1);
        }
        self.push("\"\"".to_owned(), line);
    }

    /// A character, or a lifetime.
    fn quote(&mut self) {
        let line = self.line;
        if self.peek(1) == Some('\\') {
            self.advance(3);
            self.skip_while(|character| character != '\'');
            self.advance(1);
            self.push("\"\"".to_owned(), line);
        } else if self.peek(2) == Some('\'') {
            self.advance(3);
            self.push("\"\"".to_owned(), line);
        } else {
            self.advance(1);
            self.skip_while(|character| character.is_alphanumeric() || character == '_');
            self.push("'".to_owned(), line);
        }
    }
}

fn texts(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

/// Where the bracket that opens at `open` is closed.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

/// The source of one file without its inline test modules.
#[derive(Debug)]
pub(crate) struct Production {
    pub(crate) tokens: Vec<Token>,
    /// Lines of all kinds, comments included.
    pub(crate) lines: usize,
    /// The modules declared as `#[cfg(test)] mod name;`.
    pub(crate) test_modules: Vec<String>,
}

impl Production {
    pub(crate) fn of(text: &str) -> Self {
        let all = tokens(text);
        let words = texts(&all);
        let mut production =
            Self { tokens: Vec::new(), lines: text.lines().count(), test_modules: Vec::new() };
        let mut at = 0;
        while at < all.len() {
            match test_module(&all, &words, at) {
                Some((name, end)) if words.get(end) == Some(&";") => {
                    production.test_modules.push(name);
                    at = end + 1;
                }
                Some((_, open)) => {
                    let end = closing(&all, open);
                    production.lines -= all[end].last_line - all[at].line + 1;
                    at = end + 1;
                }
                None => {
                    production.tokens.push(all[at].clone());
                    at += 1;
                }
            }
        }
        production
    }
}

/// The name of the test module whose attribute starts at `at`, and where its `{` or `;` is.
fn test_module(all: &[Token], words: &[&str], mut at: usize) -> Option<(String, usize)> {
    if !words.get(at..)?.starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
        return None;
    }
    // All attributes, then a visibility.
    while words.get(at) == Some(&"#") {
        at = closing(all, at + 1) + 1;
    }
    if words.get(at) == Some(&"pub") {
        at += 1;
        if words.get(at) == Some(&"(") {
            at = closing(all, at) + 1;
        }
    }
    (words.get(at) == Some(&"mod")).then(|| (words[at + 1].to_owned(), at + 2))
}

/// Every path that starts with one of `roots`, groups taken apart.
pub(crate) fn paths(tokens: &[Token], roots: &[&str]) -> Vec<Path> {
    let words = texts(tokens);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let inside_a_path = at > 0
            && matches!(words[at - 1], ":" | "." | "$")
            && (words[at - 1] != ":" || (at > 1 && words[at - 2] == ":"));
        if roots.contains(word) && !inside_a_path && separator(&words, at + 1) {
            let mut expanded = Vec::new();
            expand(&words, at + 3, &[(*word).to_owned()], &mut expanded);
            let line = tokens[at].line;
            found.extend(expanded.into_iter().map(|segments| Path { segments, line }));
        }
    }
    found
}

fn separator(words: &[&str], at: usize) -> bool {
    words.get(at) == Some(&":") && words.get(at + 1) == Some(&":")
}

/// Adds the paths of the use tree at `at` to `into`; returns where the tree ends.
fn expand(words: &[&str], mut at: usize, prefix: &[String], into: &mut Vec<Vec<String>>) -> usize {
    match words.get(at) {
        Some(&"{") => {
            at += 1;
            while at < words.len() && words[at] != "}" {
                at = if words[at] == "," { at + 1 } else { expand(words, at, prefix, into) };
            }
            at + 1
        }
        // A turbofish: the path has ended.
        Some(&"<") | None => {
            into.push(prefix.to_vec());
            at + 1
        }
        Some(word) => {
            let mut path = prefix.to_vec();
            if *word != "self" {
                path.push((*word).to_owned());
            }
            if separator(words, at + 1) {
                return expand(words, at + 3, &path, into);
            }
            into.push(path);
            if words.get(at + 1) == Some(&"as") { at + 3 } else { at + 1 }
        }
    }
}

/// Every function that has a body.
pub(crate) fn functions(tokens: &[Token]) -> Vec<Function> {
    let words = texts(tokens);
    let mut found = Vec::new();
    for (at, pair) in words.windows(2).enumerate() {
        let ["fn", name] = pair else { continue };
        if *name == "(" {
            continue;
        }
        let mut open = at + 2;
        while open < words.len() && !matches!(words[open], "{" | ";") {
            let nested = matches!(words[open], "(" | "[");
            open = if nested { closing(tokens, open) + 1 } else { open + 1 };
        }
        if words.get(open) != Some(&"{") {
            continue;
        }
        let close = closing(tokens, open);
        let (first, last) = (tokens[open].line, tokens[close].line);
        let code: BTreeSet<usize> = tokens[open..close]
            .iter()
            .flat_map(|token| token.line..=token.last_line)
            .filter(|line| (first + 1..last).contains(line))
            .collect();
        found.push(Function { name: (*name).to_owned(), line: tokens[at].line, lines: code.len() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, roots: &[&str]) -> Vec<String> {
        paths(&tokens(text), roots).iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn comments_strings_and_characters_are_not_code() {
        let text = r##"
            // crate::a
            /* crate::b /* crate::c */ crate::d */
            let s = "crate::e \" crate::f"; let r = r#"crate::"g"#; let b = b"crate::h";
            let quotes = ('"', '\'', b'"', '\u{22}'); let after: &'static str = crate::i;
        "##;
        assert_eq!(found(text, &["crate"]), ["crate::i"]);
    }

    #[test]
    fn groups_are_taken_apart() {
        let text = "use crate::{a, b::{self, C as D, e::*}, f::G};\nlet x = crate::h::<u8>();";
        let expected =
            ["crate::a", "crate::b", "crate::b::C", "crate::b::e::*", "crate::f::G", "crate::h"];
        assert_eq!(found(text, &["crate"]), expected);
    }

    #[test]
    fn a_root_counts_only_at_the_start_of_a_path() {
        let text = "let a: std::fmt::Result = x::std::y(); pub(crate) fn f() { $crate::m!() }";
        assert_eq!(found(text, &["std", "crate"]), ["std::fmt::Result"]);
    }

    #[test]
    fn inline_test_modules_are_no_production() {
        let text = "use a;\n\n#[cfg(test)]\nmod fake;\n\nfn f() {}\n\n#[cfg(test)]\n\
                    #[expect(x)]\nmod tests {\n    fn g() {}\n}\n";
        let production = Production::of(text);
        assert_eq!(production.test_modules, ["fake"]);
        assert_eq!(production.lines, 7);
        let names = functions(&production.tokens);
        assert_eq!(names.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["f"]);
    }

    #[test]
    fn only_lines_with_code_count_for_a_function() {
        let text = "trait T { fn no_body(&self) -> [u8; 2]; }\nfn f(g: fn(u8)) -> u8\nwhere\n    X: Y,\n\
                    {\n    // why\n\n    let s = \"a\n    b\";\n    g(1)\n}\n";
        let expected = Function { name: "f".to_owned(), line: 2, lines: 3 };
        assert_eq!(functions(&tokens(text)), [expected]);
    }
}
