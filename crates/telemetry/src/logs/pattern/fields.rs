//! Field patterns: `[ip, user, ..., status = 4* || status = 5*, bytes > 1000]`.
//!
//! A message's fields are what stands between blanks; what is in `[]` or in `""` is one field. `...` stands for any number
//! of fields. Without it, fields of the message after the last of the pattern are free.

use super::PatternError;
use super::cursor::Cursor;
use super::literal::{Comparison, REGEXES_MAX};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(super) struct Fields {
    /// Fields counted from the start.
    first: Vec<Field>,
    /// With `...`: fields counted from the end.
    last: Option<Vec<Field>>,
}

/// One of these must hold, all of its parts; none at all means any value.
#[derive(Debug, Clone)]
struct Field {
    name: String,
    any: Vec<Vec<Comparison>>,
}

impl Field {
    fn holds(&self, text: &str) -> bool {
        self.any.is_empty() || self.any.iter().any(|all| all.iter().all(|comparison| comparison.holds_for_text(text)))
    }
}

impl Fields {
    pub(super) fn matches(&self, message: &str) -> bool {
        let fields: Vec<&str> = split(message).collect();
        let last = self.last.as_deref().unwrap_or_default();
        if fields.len() < self.first.len() + last.len() {
            return false;
        }
        let tail = &fields[fields.len() - last.len()..];
        let hold = |wanted: &[Field], found: &[&str]| wanted.iter().zip(found).all(|(field, text)| field.holds(text));
        hold(&self.first, &fields) && hold(last, tail)
    }

    /// Every field of the message by its name, or by its number where the pattern has none for it.
    pub(super) fn extract(&self, message: &str) -> BTreeMap<String, String> {
        let fields: Vec<&str> = split(message).collect();
        let last = self.last.as_deref().unwrap_or_default();
        let tail_at = fields.len().saturating_sub(last.len());
        let name = |index: usize| match index.checked_sub(tail_at).and_then(|index| last.get(index)) {
            Some(field) => format!("${}", field.name),
            None => self.first.get(index).map_or_else(|| format!("${}", index + 1), |field| format!("${}", field.name)),
        };
        fields.iter().enumerate().map(|(index, text)| (name(index), (*text).to_owned())).collect()
    }
}

fn split(message: &str) -> impl Iterator<Item = &str> {
    let mut rest = message;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let close = match rest.chars().next()? {
            '[' => Some(']'),
            '"' => Some('"'),
            _ => None,
        };
        if let Some(close) = close
            && let Some((inside, after)) = rest[1..].split_once(close)
        {
            rest = after;
            return Some(inside);
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (field, after) = rest.split_at(end);
        rest = after;
        Some(field)
    })
}

pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Fields, PatternError> {
    cursor.eat("[");
    let mut fields = Fields { first: Vec::new(), last: None };
    loop {
        cursor.skip_blanks();
        let start = cursor.clone();
        if cursor.eat("...") {
            if fields.last.is_some() {
                return Err(start.error("`...` can stand in one place only"));
            }
            fields.last = Some(Vec::new());
        } else {
            let field = field(cursor)?;
            fields.last.as_mut().unwrap_or(&mut fields.first).push(field);
        }
        cursor.skip_blanks();
        if cursor.eat("]") {
            break;
        }
        if !cursor.eat(",") {
            return Err(cursor.error(format!("`,` or `]` is expected, not {}", cursor.found())));
        }
    }
    if cursor.regexes > REGEXES_MAX {
        return Err(cursor.error(format!("a pattern has at most {REGEXES_MAX} regular expressions")));
    }
    cursor.end("`]`")?;
    Ok(fields)
}

/// `name`, or comparisons of that name joined by `&&` and `||`.
fn field(cursor: &mut Cursor<'_>) -> Result<Field, PatternError> {
    let mut name = None;
    let mut any = Vec::new();
    loop {
        let mut all = Vec::new();
        loop {
            cursor.skip_blanks();
            let start = cursor.clone();
            let this = cursor.take_while(|c| c.is_alphanumeric() || "_-$.@".contains(c));
            if this.is_empty() {
                return Err(start.error(format!("a field's name is missing before {}", start.found())));
            }
            if *name.get_or_insert(this) != this {
                return Err(start.error("the comparisons of one field have one name"));
            }
            match Comparison::parse(cursor, |c| ",]&|".contains(c))? {
                Some(comparison) => all.push(comparison),
                None if any.is_empty() && all.is_empty() => return Ok(Field { name: this.to_owned(), any }),
                None => return Err(cursor.error(format!("a comparison is expected, not {}", cursor.found()))),
            }
            cursor.skip_blanks();
            if !cursor.eat("&&") {
                break;
            }
        }
        any.push(all);
        if !cursor.eat("||") {
            return Ok(Field { name: name.unwrap_or_default().to_owned(), any });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::logs::pattern::Pattern;

    const LINE: &str = r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;

    #[test]
    fn fields_are_counted_from_both_ends() {
        for (pattern, matches) in [
            ("[ip, user, username, timestamp, request, status_code, bytes]", true),
            ("[ip, user, username, timestamp, request, status_code = 404, bytes]", true),
            ("[ip, user, username, timestamp, request, status_code = 4*, bytes > 1000]", true),
            ("[ip, user, username, timestamp, request, status_code = 5*, bytes]", false),
            ("[ip, user, username, timestamp, request = *.html*, status_code = 4*, bytes]", true),
            ("[..., request = *.html*, status_code = 4*, bytes]", true),
            ("[ip = %^127%, ..., bytes < 1000]", false),
            ("[ip, ..., bytes >= 1534]", true),
            ("[ip, user = Prod || user = Test, ...]", true),
            ("[ip, user != Prod && user != Test, ...]", false),
            ("[ip, user, username, timestamp = \"10/Oct/*\", ...]", true),
            ("[a, b, c, d, e, f, g, h]", false),
            ("[ip = 127.0.0.1, user]", true),
            ("[...]", true),
        ] {
            let parsed = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(parsed.matches(LINE), matches, "{pattern}");
        }
        assert!(Pattern::parse("[w1=ERROR, w2]").unwrap().matches("ERROR code 500"));
        assert!(!Pattern::parse("[w1=ERROR, w2]").unwrap().matches("WARN code 500"));
        assert!(Pattern::parse("[a, b]").unwrap().matches("[open \"quote"));
    }

    #[test]
    fn fields_are_named_or_numbered() {
        let extract = |pattern: &str| Pattern::parse(pattern).unwrap().extract(LINE);
        let named = extract("[ip, ..., status = 4*, bytes]");
        let shown: Vec<_> = named.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("$2", "Prod"),
                ("$3", "frank"),
                ("$4", "10/Oct/2000:13:25:15 -0700"),
                ("$5", "GET /index.html HTTP/1.0"),
                ("$bytes", "1534"),
                ("$ip", "127.0.0.1"),
                ("$status", "404")
            ]
        );
        assert_eq!(extract("[a, b]").len(), 7);
    }

    #[test]
    fn errors_say_where_and_what() {
        for (pattern, position, reason) in [
            ("[a, b (]", 7, "`,` or `]`"),
            ("[a, , b]", 5, "name is missing"),
            ("[]", 2, "name is missing"),
            ("[..., a, ...]", 10, "one place"),
            ("[a = 1 || b = 2]", 11, "one name"),
            ("[a = 1 && a]", 12, "comparison is expected"),
            ("[a > x]", 6, "only numbers"),
            ("[a] b]", 5, "nothing can follow"),
        ] {
            let error = Pattern::parse(pattern).expect_err(pattern);
            assert_eq!(error.position, Some(position), "{pattern}: {error}");
            assert!(error.reason.contains(reason), "{pattern}: {error}");
        }
    }
}
