//! A place in a pattern's text, and what is read from there.

use super::PatternError;

#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    /// Bytes already read.
    at: usize,
    /// Regular expressions met so far; kinds that limit them ask.
    pub(super) regexes: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, regexes: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Reads `token` if it comes next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let comes = self.rest().starts_with(token);
        if comes {
            self.at += token.len();
        }
        comes
    }

    /// Reads a word such as `IS`, in any case, if it comes next and ends there.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let Some(start) = self.rest().get(..word.len()) else { return false };
        let ends = !self.rest()[word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if start.eq_ignore_ascii_case(word) && ends {
            self.at += word.len();
            return true;
        }
        false
    }

    pub(super) fn take_while(&mut self, mut belongs: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Reads the rest of a text that `quote` began, up to and with `quote`. A backslash before either stands for it.
    pub(super) fn quoted(&mut self, quote: char) -> Result<String, PatternError> {
        let start = self.clone();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(start.error(format!("the closing {quote} is missing"))),
                Some('\\') if self.peek().is_some_and(|next| next == quote || next == '\\') => text.extend(self.next()),
                Some(c) if c == quote => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    /// Nothing but blanks may follow.
    pub(super) fn end(&mut self, what: &str) -> Result<(), PatternError> {
        self.skip_blanks();
        match self.peek() {
            None => Ok(()),
            Some(c) => Err(self.error(format!("nothing can follow {what}, but `{c}` does"))),
        }
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> PatternError {
        PatternError { position: Some(self.text[..self.at].chars().count() + 1), reason: reason.into() }
    }

    /// What comes next, for an error.
    pub(super) fn found(&self) -> String {
        self.peek().map_or_else(|| "the end".to_owned(), |c| format!("`{c}`"))
    }
}
