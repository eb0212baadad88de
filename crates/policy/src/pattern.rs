//! Texts with wildcards (`*`, `?`) and policy variables (`${aws:username}`), compiled once.

use crate::context::Context;
use std::borrow::Cow;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// `*`
    Any,
    /// `?`
    One,
    /// `${key}` or `${key, 'default'}`.
    Variable {
        key: String,
        default: Option<String>,
    },
}

impl Pattern {
    /// Variables are known since version 2012-10-17 of the language; before, they are text.
    pub fn compile(text: &str, has_variables: bool) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if has_variables
                && let Some(inner) = rest.strip_prefix("${")
                && let Some((name, after)) = inner.split_once('}')
            {
                match name {
                    // `${*}` and its kind stand for the character.
                    "*" | "?" | "$" => push_text(&mut parts, name),
                    _ => parts.push(variable(name)),
                }
                rest = after;
                continue;
            }
            match c {
                '*' if parts.last() == Some(&Part::Any) => {}
                '*' => parts.push(Part::Any),
                '?' => parts.push(Part::One),
                _ => push_text(&mut parts, &rest[..c.len_utf8()]),
            }
            rest = &rest[c.len_utf8()..];
        }
        Self { parts }
    }

    /// Whether this is `*` alone.
    pub fn is_any(&self) -> bool {
        self.parts == [Part::Any]
    }

    /// The keys of its variables.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable { key, .. } => Some(key.as_str()),
            _ => None,
        })
    }

    /// Whether `text` is like this. A variable without a value is like nothing.
    pub fn is_like(&self, text: &str, context: &dyn Context) -> bool {
        match &self.parts[..] {
            [Part::Any] => true,
            [Part::Text(own)] => own == text,
            parts => resolve(parts, context).is_some_and(|tokens| matches(&tokens, text)),
        }
    }

    /// Whether `arn` is like this, part by part between the first five colons; `*` alone is every ARN.
    pub fn is_like_arn(&self, arn: &str, context: &dyn Context) -> bool {
        if self.is_any() {
            return true;
        }
        let Some(tokens) = resolve(&self.parts, context) else { return false };
        let (patterns, parts) = (split_arn(&tokens), arn.splitn(ARN_PARTS, ':'));
        patterns.len() == parts.clone().count() && patterns.iter().zip(parts).all(|(own, part)| matches(own, part))
    }

    /// The text it stands for when wildcards are mere characters; `None` for a variable without a value.
    pub fn text<'a>(&'a self, context: &'a dyn Context) -> Option<Cow<'a, str>> {
        if let [Part::Text(text)] = &self.parts[..] {
            return Some(Cow::Borrowed(text));
        }
        let mut out = String::new();
        for token in resolve(&self.parts, context)? {
            match token {
                Token::Text(text) => out.push_str(&text),
                Token::Any => out.push('*'),
                Token::One => out.push('?'),
            }
        }
        Some(Cow::Owned(out))
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

fn variable(name: &str) -> Part {
    let (key, default) = match name.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\'').to_owned())),
        None => (name.trim(), None),
    };
    Part::Variable { key: key.to_owned(), default }
}

enum Token<'a> {
    Text(Cow<'a, str>),
    Any,
    One,
}

/// A variable's value is text: a wildcard in it is a mere character.
fn resolve<'a>(parts: &'a [Part], context: &'a dyn Context) -> Option<Vec<Token<'a>>> {
    let token = |part: &'a Part| {
        Some(match part {
            Part::Text(text) => Token::Text(Cow::Borrowed(text.as_str())),
            Part::Any => Token::Any,
            Part::One => Token::One,
            Part::Variable { key, default } => {
                let value = context.get(key).and_then(|values| match values.as_slice() {
                    [one] => Some(one.clone().into_owned()),
                    _ => None,
                });
                Token::Text(Cow::Owned(value.or_else(|| default.clone())?))
            }
        })
    };
    parts.iter().map(token).collect()
}

/// The resource, which may have colons itself, is the last of them.
const ARN_PARTS: usize = 6;

/// The tokens of each part of an ARN.
fn split_arn<'a>(tokens: &'a [Token<'_>]) -> Vec<Vec<Token<'a>>> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    for token in tokens {
        match token {
            Token::Any => part.push(Token::Any),
            Token::One => part.push(Token::One),
            Token::Text(text) => {
                let mut rest = text.as_ref();
                while parts.len() + 1 < ARN_PARTS
                    && let Some((head, tail)) = rest.split_once(':')
                {
                    part.push(Token::Text(Cow::Borrowed(head)));
                    parts.push(std::mem::take(&mut part));
                    rest = tail;
                }
                part.push(Token::Text(Cow::Borrowed(rest)));
            }
        }
    }
    parts.push(part);
    parts
}

/// Greedy with one place to come back to: after a later `*` fits, no earlier one has to be tried again.
fn matches(tokens: &[Token<'_>], text: &str) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let rest = &text[at..];
        let step = match tokens.get(token) {
            Some(Token::Any) => {
                retry = Some((token + 1, at));
                token += 1;
                continue;
            }
            Some(Token::Text(literal)) => rest.starts_with(literal.as_ref()).then_some(literal.len()),
            Some(Token::One) => rest.chars().next().map(char::len_utf8),
            None if rest.is_empty() => return true,
            None => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                token += 1;
                at += length;
            }
            (None, Some((after, from))) => {
                let Some(next) = text[from..].chars().next() else { return false };
                let from = from + next.len_utf8();
                retry = Some((after, from));
                (token, at) = (after, from);
            }
            (None, None) => return false,
        }
    }
}

/// Whether `text` is like `pattern`, in which `*` and `?` are wildcards.
pub fn is_like(pattern: &str, text: &str) -> bool {
    Pattern::compile(pattern, false).is_like(text, &crate::NoContext)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MapContext;

    #[test]
    fn wildcards_stand_for_any_text_and_for_one_character() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("a?c", "aäc", true),
            ("a?c", "ac", false),
            ("*ab*ab", "ababab", true),
            ("*ab*ab", "aab", false),
            ("arn:aws:ecs:*:*:cluster/web", "arn:aws:ecs:us-east-1:1:cluster/web", true),
            ("**a**", "bab", true),
            ("${aws:username}", "${aws:username}", true),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn variables_are_texts_whatever_is_in_them() {
        let mut context = MapContext::default();
        context.set("aws:username", vec!["a*".to_owned()]);
        context.set("aws:TagKeys", vec!["a".to_owned(), "b".to_owned()]);
        let is_like = |pattern: &str, text: &str| Pattern::compile(pattern, true).is_like(text, &context);
        assert!(is_like("home/${AWS:UserName}/*", "home/a*/b"));
        assert!(!is_like("home/${aws:username}/*", "home/ab/b"));
        assert!(!is_like("${aws:none}", ""));
        assert!(is_like("${aws:none, 'x'}-y", "x-y"));
        assert!(!is_like("${aws:TagKeys}", "a"));
        assert!(is_like("a${*}b${?}${$}", "a*b?$"));
        assert!(!is_like("a${*}b", "axb"));
        assert!(is_like("a${b", "a${b"));
        assert_eq!(Pattern::compile("a${*}*", true).text(&context).as_deref(), Some("a**"));
    }
}
