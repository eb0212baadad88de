//! Patterns with `*` (any run) and `?` (exactly one byte), compiled to tokens.

use super::gate::Beginning;

/// Whether a comparison looks at case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Sensitive,
    /// ASCII letters compare equal in either case.
    Insensitive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Run,
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Glob {
    tokens: Box<[Token]>,
    case: Case,
}

impl Glob {
    /// Compiles a pattern; with `escapes`, a backslash takes the next byte literally.
    pub(crate) fn compile(pattern: &str, case: Case, escapes: bool) -> Glob {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut bytes = pattern.bytes();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'*' if tokens.last() == Some(&Token::Run) => continue,
                b'*' => Token::Run,
                b'?' => Token::One,
                b'\\' if escapes => Token::Byte(fold(bytes.next().unwrap_or(b'\\'), case)),
                other => Token::Byte(fold(other, case)),
            });
        }
        Glob { tokens: tokens.into(), case }
    }

    /// What every text that matches begins with.
    pub(super) fn beginning(&self) -> Beginning {
        let literal = self.tokens.iter().map_while(|token| match token {
            Token::Byte(byte) => Some(*byte),
            _ => None,
        });
        let literal: Vec<u8> = literal.collect();
        Beginning::new(&literal, literal.len() == self.tokens.len())
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        // Greedy with one point of return: after a mismatch, the latest `*` takes one byte more. Earlier
        // stars never need another try, since the latest one can take over whatever they gave up.
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.tokens.get(token) {
                Some(Token::Run) => {
                    retry = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                Some(Token::One) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                Some(Token::Byte(byte)) if *byte == fold(text[at], self.case) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            match &mut retry {
                Some((after_run, from)) => {
                    *from += 1;
                    token = *after_run;
                    at = *from;
                }
                None => return false,
            }
        }
        self.tokens[token..].iter().all(|token| *token == Token::Run)
    }
}

fn fold(byte: u8, case: Case) -> u8 {
    match case {
        Case::Sensitive => byte,
        Case::Insensitive => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_written() {
        let cases: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcd", false),
            ("*ab*ab*", "xabyabz", true),
            ("*ab*ab*", "xabyaz", false),
            ("?", "", false),
            ("?*?", "ab", true),
            ("?*?", "a", false),
            ("a?b", "aab", true),
        ];
        for (pattern, text, expected) in cases {
            let glob = Glob::compile(pattern, Case::Sensitive, false);
            assert_eq!(glob.matches(text.as_bytes()), *expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_stay_polynomial() {
        let glob = Glob::compile("*a*a*a*a*b", Case::Sensitive, false);
        assert!(!glob.matches("a".repeat(16 * 1024).as_bytes()));
    }

    #[test]
    fn a_backslash_escapes_only_when_asked() {
        assert!(Glob::compile(r"a\*", Case::Sensitive, true).matches(b"a*"));
        assert!(!Glob::compile(r"a\*", Case::Sensitive, true).matches(b"ab"));
        assert!(Glob::compile(r"a\*", Case::Sensitive, false).matches(br"a\b"));
    }
}
