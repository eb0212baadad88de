//! Terms: words, `"phrases"` and `%expressions%` anywhere in the message; `?` before optional ones, `-` before excluded
//! ones.
//!
//! All required terms must be there and no excluded one. Optional terms count when they stand alone: then one of them must
//! be there; beside required or excluded ones they are ignored, as CloudWatch documents. Case counts. A term is found inside
//! words too. A term without quotes has letters, digits and `_` only.

use super::PatternError;
use super::cursor::Cursor;
use super::literal::parse_regex;
use regex::Regex;

#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    required: Vec<Term>,
    optional: Vec<Term>,
    excluded: Vec<Term>,
}

#[derive(Debug, Clone)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(message),
        }
    }
}

impl Terms {
    pub(super) fn matches(&self, message: &str) -> bool {
        let is_in = |term: &Term| term.is_in(message);
        self.required.iter().all(is_in)
            && !self.excluded.iter().any(is_in)
            && (!self.required.is_empty()
                || !self.excluded.is_empty()
                || self.optional.is_empty()
                || self.optional.iter().any(is_in))
    }
}

pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Terms, PatternError> {
    let mut terms = Terms::default();
    loop {
        cursor.skip_blanks();
        let list = match cursor.peek() {
            None => return Ok(terms),
            Some('?') => &mut terms.optional,
            Some('-') => &mut terms.excluded,
            Some(_) => &mut terms.required,
        };
        if let Some(sign @ ('?' | '-')) = cursor.peek() {
            cursor.next();
            if cursor.peek().is_none_or(char::is_whitespace) {
                return Err(bad_term(&sign.to_string()));
            }
        }
        let start = cursor.clone();
        let term = match cursor.peek() {
            Some('"') => {
                cursor.next();
                let phrase = cursor.quoted('"')?;
                if phrase.is_empty() {
                    return Err(bad_term("\"\""));
                }
                // `" "` is how a pattern that matches everything is written where one is demanded.
                Term::Text(if phrase.trim().is_empty() { String::new() } else { phrase })
            }
            Some('%') => Term::Regex(parse_regex(cursor)?),
            _ => {
                let word = cursor.take_while(|c| !c.is_whitespace());
                if !word.chars().all(|c| c.is_alphanumeric() || c == '_') {
                    return Err(bad_term(word));
                }
                Term::Text(word.to_owned())
            }
        };
        if cursor.peek().is_some_and(|c| !c.is_whitespace()) {
            let mut whole = start;
            return Err(bad_term(whole.take_while(|c| !c.is_whitespace())));
        }
        list.push(term);
    }
}

fn bad_term(term: &str) -> PatternError {
    PatternError::told(format!("Invalid character(s) in term '{term}'"))
}

#[cfg(test)]
mod tests {
    use crate::logs::pattern::Pattern;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let parsed = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        yes.iter().for_each(|message| assert!(parsed.matches(message), "{pattern} must match {message}"));
        no.iter().for_each(|message| assert!(!parsed.matches(message), "{pattern} must not match {message}"));
    }

    #[test]
    fn terms_are_all_there_one_of_or_not_there() {
        check("ERROR", &["[ERROR 400] BAD REQUEST", "ERRORS"], &["error", ""]);
        check("ERROR REQUEST", &["[ERROR 400] BAD REQUEST", "REQUEST ERROR"], &["[ERROR 400] BAD"]);
        check("?ERROR ?WARN", &["ERROR", "a WARN"], &["INFO"]);
        check("ERROR -REQUEST", &["ERROR 1"], &["ERROR REQUEST", "INFO"]);
        check("-INFO", &["ERROR", ""], &["INFO"]);
        check("?ERROR ?WARN -test", &["ERROR", "INFO"], &["WARN test"]);
        check("ERROR ?WARN", &["ERROR"], &["WARN"]);
    }

    #[test]
    fn phrases_are_exact_and_may_hold_quotes() {
        check(r#""BAD REQUEST""#, &["[ERROR 400] BAD REQUEST"], &["BAD  REQUEST", "REQUEST BAD"]);
        check(r#"-"BAD REQUEST" ERROR"#, &["ERROR"], &["ERROR BAD REQUEST"]);
        check(r#""say \"hi\" \\ ""#, &[r#"I say "hi" \ there"#], &["say hi"]);
        check(r#"" ""#, &["", "any"], &[]);
    }

    #[test]
    fn expressions_are_regular() {
        check("%AUTHORIZED%", &["[ERROR 401] UNAUTHORIZED REQUEST"], &["authorized"]);
        check(r"%10\.10\.0\.[0-9]+%", &["from 10.10.0.12"], &["from 10x10.0.1"]);
        check("%gray|grey% -no", &["a grey cat"], &["no grey cat"]);
    }

    #[test]
    fn errors_say_where_and_what() {
        for (pattern, term) in [
            ("ERROR -", "-"),
            ("? x", "?"),
            ("a\"b\"", "a\"b\""),
            ("\"a\"b", "\"a\"b"),
            ("GET /index", "/index"),
            ("me@example.com", "me@example.com"),
            ("-a-b", "a-b"),
            ("\"\"", "\"\""),
        ] {
            let error = Pattern::parse(pattern).expect_err(pattern).to_string();
            assert_eq!(error, format!("Invalid filter pattern: Invalid character(s) in term '{term}'"));
        }
        for (pattern, position, reason) in [
            ("ERROR \"BAD", 8, "closing \""),
            ("%a(b)%", 3, "`(` is not supported"),
            ("%a b%", 3, "` ` is not supported"),
            ("%é%", 2, "`é` is not supported"),
            ("%[a%", 1, "unclosed character class"),
            ("%abc", 1, "closing %"),
            ("%%", 1, "empty"),
        ] {
            let error = Pattern::parse(pattern).expect_err(pattern);
            assert_eq!(error.position, Some(position), "{pattern}: {error}");
            assert!(error.reason.contains(reason), "{pattern}: {error}");
        }
    }
}
