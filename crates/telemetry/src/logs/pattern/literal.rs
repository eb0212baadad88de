//! Values in comparisons, shared by JSON and field patterns: texts with `*`, numbers, regular expressions.

use super::PatternError;
use super::cursor::Cursor;
use regex::{Regex, RegexBuilder};

/// Regular expressions in one JSON or field pattern.
pub(super) const REGEXES_MAX: usize = 2;
/// Bytes of a compiled expression.
const REGEX_SIZE_MAX: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(super) enum Literal {
    /// The number, and how it was written.
    Number(f64, String),
    Text(Glob),
    Regex(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operator with the literal it compares to; orders are with numbers only.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    operator: Operator,
    literal: Literal,
}

impl Comparison {
    /// `None` when no operator comes next. `stop` says which characters end an unquoted value.
    pub(super) fn parse(cursor: &mut Cursor<'_>, stop: fn(char) -> bool) -> Result<Option<Self>, PatternError> {
        cursor.skip_blanks();
        let start = cursor.clone();
        let operators = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
            ("=", Operator::Equal),
        ];
        let Some((_, operator)) = operators.into_iter().find(|(token, _)| cursor.eat(token)) else { return Ok(None) };
        if cursor.peek() == Some('=') {
            return Err(start.error("equality is written with one `=`"));
        }
        cursor.skip_blanks();
        let at_value = cursor.clone();
        let literal = Literal::parse(cursor, stop)?;
        let is_order = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if is_order && !matches!(literal, Literal::Number(..)) {
            return Err(at_value.error("only numbers can be compared with <, <=, > and >="));
        }
        Ok(Some(Self { operator, literal }))
    }

    /// Compares a text, which counts as a number when it reads as one.
    pub(super) fn holds_for_text(&self, text: &str) -> bool {
        match self.operator {
            Operator::Equal => self.literal.equals_text(text),
            Operator::NotEqual => !self.literal.equals_text(text),
            _ => text.parse().is_ok_and(|number| self.holds_for_number(number, text)),
        }
    }

    /// Compares a number; `text` is how it is written.
    pub(super) fn holds_for_number(&self, number: f64, text: &str) -> bool {
        let is_equal = match &self.literal {
            Literal::Number(literal, _) => number == *literal,
            other => other.equals_text(text),
        };
        match (self.operator, &self.literal) {
            (Operator::Equal, _) => is_equal,
            (Operator::NotEqual, _) => !is_equal,
            (Operator::Less, Literal::Number(literal, _)) => number < *literal,
            (Operator::LessOrEqual, Literal::Number(literal, _)) => number <= *literal,
            (Operator::Greater, Literal::Number(literal, _)) => number > *literal,
            (Operator::GreaterOrEqual, Literal::Number(literal, _)) => number >= *literal,
            _ => false,
        }
    }

    /// True for `= *`, which asks only whether something is there.
    pub(super) fn is_anything(&self) -> bool {
        self.operator == Operator::Equal && matches!(&self.literal, Literal::Text(glob) if glob.is_anything())
    }

    /// Compares a text that is never a number.
    pub(super) fn holds_for_plain_text(&self, text: &str) -> bool {
        match self.operator {
            Operator::Equal => self.literal.equals_plain_text(text),
            Operator::NotEqual => !self.literal.equals_plain_text(text),
            _ => false,
        }
    }
}

impl Literal {
    fn parse(cursor: &mut Cursor<'_>, stop: fn(char) -> bool) -> Result<Self, PatternError> {
        if cursor.eat("\"") {
            return Ok(Self::Text(Glob::new(&cursor.quoted('"')?)));
        }
        if cursor.peek() == Some('%') {
            return parse_regex(cursor).map(Self::Regex);
        }
        let start = cursor.clone();
        let text = cursor.take_while(|c| !c.is_whitespace() && !stop(c));
        if text.is_empty() {
            return Err(start.error(format!("a value is missing before {}", start.found())));
        }
        // `inf` and `nan` are words here.
        let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        match text.parse::<f64>() {
            Ok(number) if is_number && number.is_finite() => Ok(Self::Number(number, text.to_owned())),
            _ => Ok(Self::Text(Glob::new(text))),
        }
    }

    fn equals_text(&self, text: &str) -> bool {
        match self {
            Self::Number(number, written) => text == written || text.parse::<f64>() == Ok(*number),
            _ => self.equals_plain_text(text),
        }
    }

    fn equals_plain_text(&self, text: &str) -> bool {
        match self {
            Self::Number(_, written) => text == written,
            Self::Text(glob) => glob.matches(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Reads `%...%`.
pub(super) fn parse_regex(cursor: &mut Cursor<'_>) -> Result<Regex, PatternError> {
    let start = cursor.clone();
    cursor.next();
    let mut text = String::new();
    loop {
        let at = cursor.clone();
        match cursor.next() {
            None => return Err(start.error("the closing % of the regular expression is missing")),
            Some('%') => break,
            Some(c) if c.is_ascii_alphanumeric() || ":_#=@/;,-^$?[]{}|\\*+.".contains(c) => text.push(c),
            Some(c) => return Err(at.error(format!("`{c}` is not supported in a regular expression"))),
        }
    }
    if text.is_empty() {
        return Err(start.error("the regular expression is empty"));
    }
    cursor.regexes += 1;
    RegexBuilder::new(&text).size_limit(REGEX_SIZE_MAX).build().map_err(|error| {
        let text = error.to_string();
        // The last line of the library's drawing says what is wrong.
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        start.error(format!("the regular expression is invalid: {reason}"))
    })
}

/// A text in which `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// What is between the stars; one part means no star.
    parts: Vec<String>,
}

impl Glob {
    fn new(text: &str) -> Self {
        Self { parts: text.split('*').map(str::to_owned).collect() }
    }

    fn is_anything(&self) -> bool {
        self.parts.len() > 1 && self.parts.iter().all(String::is_empty)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &self.parts[..] else {
            return self.parts.first().is_some_and(|part| part == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str())) else {
            return false;
        };
        // The earliest place of each part leaves the most room for the next.
        middle.iter().all(|part| match rest.find(part.as_str()) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (glob, text, matches) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("", "", true),
            ("*", "", true),
            ("4*", "404", true),
            ("4*", "504", false),
            ("*.html*", "GET /index.html HTTP/1.0", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("aa*aa", "aaa", false),
            ("123.123.*", "123.123.4.5", true),
        ] {
            assert_eq!(Glob::new(glob).matches(text), matches, "{glob} on {text}");
        }
    }
}
