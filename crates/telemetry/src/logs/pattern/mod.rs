//! CloudWatch Logs filter patterns. Pure: a text becomes a [`Pattern`], which says yes or no to a message.
//!
//! | begins with | kind | example |
//! |---|---|---|
//! | nothing | all events | |
//! | `{` | JSON | `{ $.status >= 500 && $.path = "/api/*" }` |
//! | `[` | fields between spaces | `[ip, ..., status = 5*, bytes > 1000]` |
//! | else | terms | `ERROR -"health check"`, `?ERROR ?WARN`, `%time.?out%` |

mod cursor;
mod document;
mod fields;
mod json;
mod literal;
mod terms;

use cursor::Cursor;
use fields::Fields;
use json::Json;
use std::collections::BTreeMap;
use terms::Terms;

/// A parsed filter pattern.
#[derive(Debug, Clone)]
pub struct Pattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    All,
    Terms(Terms),
    Json(Json),
    Fields(Fields),
}

/// Why a text is not a filter pattern. The words around a reason are CloudWatch's; so are the reasons without a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter pattern: {reason}{}", position.map(|at| format!(" (character {at})")).unwrap_or_default())]
pub struct PatternError {
    /// Which character of the text, counted from 1; one past the last for its end.
    pub position: Option<usize>,
    pub reason: String,
}

impl PatternError {
    /// In CloudWatch's own words.
    fn told(reason: impl Into<String>) -> Self {
        Self { position: None, reason: reason.into() }
    }
}

impl Pattern {
    /// Parses a pattern. A text of blanks matches everything.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        for (open, close) in [('{', '}'), ('[', ']')] {
            if text.trim_start().starts_with(open) && !text.trim_end().ends_with(close) {
                let reason = format!("If a filter pattern starts with '{open}' it must end with '{close}'");
                return Err(PatternError::told(reason));
            }
        }
        let mut cursor = Cursor::new(text);
        cursor.skip_blanks();
        let kind = match cursor.peek() {
            None => Kind::All,
            Some('{') => Kind::Json(json::parse(&mut cursor)?),
            Some('[') => Kind::Fields(fields::parse(&mut cursor)?),
            Some(_) => Kind::Terms(terms::parse(&mut cursor)?),
        };
        Ok(Self(kind))
    }

    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Terms(terms) => terms.matches(message),
            Kind::Json(json) => json.matches(message),
            Kind::Fields(fields) => fields.matches(message),
        }
    }

    /// What the pattern names in a message that matches, as TestMetricFilter shows it: `$.property` of JSON patterns,
    /// `$field` of field patterns, nothing for terms.
    pub fn extract(&self, message: &str) -> BTreeMap<String, String> {
        match &self.0 {
            Kind::All | Kind::Terms(_) => BTreeMap::new(),
            Kind::Json(json) => json.extract(message),
            Kind::Fields(fields) => fields.extract(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_character_decides_the_kind() {
        for (pattern, message, matches) in [
            ("", "anything", true),
            ("  ", "anything", true),
            ("ERROR", "an ERROR here", true),
            (r#"{ $.level = "x" }"#, r#"{"level":"x"}"#, true),
            (r#"{ $.level = "x" }"#, "not json", false),
            ("[a, b=2]", "1 2", true),
            ("[a, b=2]", "1 3", false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(message), matches, "{pattern} on {message}");
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic() {
        let alphabet = [
            '{', '}', '[', ']', '(', ')', '$', '.', '=', '!', '<', '&', '|', '"', '%', '\\', ',', '*', '?', '-', ' ',
            'a', '1', 'é',
        ];
        let mut number = 1u64;
        for _ in 0..50_000 {
            let mut text = String::new();
            for _ in 0..12 {
                number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                text.push(alphabet[(number >> 40) as usize % alphabet.len()]);
            }
            match Pattern::parse(&text) {
                Ok(pattern) => {
                    for message in [text.as_str(), r#"{"a":[1,{"a":null}]}"#] {
                        let _ = (pattern.matches(message), pattern.extract(message));
                    }
                }
                Err(error) => {
                    let position = error.position.unwrap_or(1);
                    assert!((1..=text.chars().count() + 1).contains(&position), "{text}: {error}");
                }
            }
        }
    }
}
