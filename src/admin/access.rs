//! Bearer tokens (RFC 6750): whether a request has the right one. Never shows one.

use std::fmt;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// What a request has to bring.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token as the operator has set it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether a request has it. Takes a time that does not tell how much of it was right.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
        // The word may be written in any case (RFC 9110, section 11.1).
        let (word, given) = given.split_at_checked(b"Bearer ".len()).unwrap_or_default();
        let is_bearer = word.eq_ignore_ascii_case(b"Bearer ");
        let differing = self.0.bytes().zip(given).fold(0, |sum, (one, other)| sum | (one ^ other));
        is_bearer && self.0.len() == given.len() && differing == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_behind_the_right_word_admits() {
        let token = Token::new("s3cret".to_owned());
        let admits = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            token.admits(&headers)
        };
        for wrong in
            ["Bearer s3cre", "Bearer s3cret2", "Bearer t3cret", "Basic s3cret", "s3cret", "Bearer "]
        {
            assert!(!admits(wrong), "{wrong}");
        }
        assert!(admits("Bearer s3cret") && admits("bearer s3cret"));
        assert!(!token.admits(&HeaderMap::new()));
        assert_eq!(format!("{token:?}"), "Token(***)");
    }
}
