//! Path patterns of COPY and `.dockerignore`: `*`, `?`, `[a-z]`, `\x`, and `**` for any number of directories.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// Any character but `/`.
    One,
    /// Any run of characters but `/`.
    Run,
    /// `**/`: nothing, or directories up to and with a slash.
    Dirs,
    /// `**` at the end, or within a name: anything.
    All,
    /// `[…]`; the flag is true for `[^…]`.
    Class(Vec<(char, char)>, bool),
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, String> {
        let wrong = || format!("malformed pattern `{text}`");
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    while chars.next_if_eq(&'*').is_some() {}
                    let at_start = matches!(tokens.last(), None | Some(Token::Char('/')));
                    if at_start && chars.next_if_eq(&'/').is_some() { Token::Dirs } else { Token::All }
                }
                '*' => Token::Run,
                '?' => Token::One,
                '\\' => Token::Char(chars.next().ok_or_else(wrong)?),
                '[' => {
                    let negated = chars.next_if(|c| matches!(c, '^' | '!')).is_some();
                    let mut ranges = Vec::new();
                    let bound = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| match chars.next() {
                        Some('\\') => chars.next().ok_or_else(wrong),
                        Some(c) => Ok(c),
                        None => Err(wrong()),
                    };
                    while chars.peek() != Some(&']') || ranges.is_empty() {
                        let low = bound(&mut chars)?;
                        let high = if chars.next_if_eq(&'-').is_some() { bound(&mut chars)? } else { low };
                        ranges.push((low, high));
                    }
                    chars.next();
                    Token::Class(ranges, negated)
                }
                c => Token::Char(c),
            });
        }
        Ok(Self { tokens })
    }

    /// True if `text` has a special character.
    pub fn is_special(text: &str) -> bool {
        text.contains(['*', '?', '[', '\\'])
    }

    /// True if the pattern describes all of `path`. Takes time proportional to both, whatever the pattern.
    pub fn matches(&self, path: &str) -> bool {
        let chars: Vec<char> = path.chars().collect();
        // reachable[i]: the tokens so far can have used up the first i characters.
        let mut reachable = vec![false; chars.len() + 1];
        reachable[0] = true;
        for token in &self.tokens {
            let mut next = vec![false; chars.len() + 1];
            let mut running = false;
            for i in 0..=chars.len() {
                match token {
                    Token::Run | Token::All | Token::Dirs => {
                        let stops = i > 0 && matches!(token, Token::Run) && chars[i - 1] == '/';
                        running = (running && !stops) || reachable[i];
                        let ends_well = !matches!(token, Token::Dirs) || reachable[i] || (i > 0 && chars[i - 1] == '/');
                        next[i] = running && ends_well;
                    }
                    _ if i < chars.len() && reachable[i] => next[i + 1] = token.is(chars[i]),
                    _ => {}
                }
            }
            reachable = next;
        }
        reachable[chars.len()]
    }
}

impl Token {
    fn is(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::One => c != '/',
            Self::Class(ranges, negated) => {
                c != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            Self::Run | Self::All | Self::Dirs => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_dockers() {
        let check = |pattern: &str, path: &str, expected: bool| {
            assert_eq!(Pattern::new(pattern).expect("valid").matches(path), expected, "{pattern} {path}");
        };
        for (pattern, yes, no) in [
            ("*.rs", vec!["a.rs", ".rs"], vec!["a/b.rs", "a.rsx", ""]),
            ("a/*/c", vec!["a/b/c"], vec!["a/c", "a/b/b/c"]),
            ("**/x", vec!["x", "a/x", "a/b/x"], vec!["ax", "x/a"]),
            ("a/**", vec!["a/b", "a/b/c"], vec!["b/a"]),
            ("a/**/z", vec!["a/z", "a/b/c/z"], vec!["az"]),
            ("**/*.o", vec!["x.o", "a/b.o"], vec!["x.c"]),
            ("[a-c]?[^z]", vec!["bxy"], vec!["dxy", "bxz", "b/y"]),
            ("\\*", vec!["*"], vec!["a"]),
            ("[]]", vec!["]"], vec!["["]),
        ] {
            yes.into_iter().for_each(|path| check(pattern, path, true));
            no.into_iter().for_each(|path| check(pattern, path, false));
        }
        // Exponential for a backtracking matcher.
        check(&"*a".repeat(30), &"a".repeat(29), false);
        for wrong in ["[", "[a", "a\\", "[a-"] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }
}
