//! Field patterns: `[ip, user, ..., status = 4* || status = 5*, bytes > 1000]`.
//!
//! A message's fields are what stands between blanks; what is in `[]` or in `""` is one field. `...` stands for any number
//! of fields. Without it, fields of the message after the last of the pattern are free.

use super::PatternError;
use super::cursor::Cursor;
use super::literal::{Comparison, REGEXES_MAX};

#[derive(Debug, Clone)]
pub(super) struct Fields {
    /// Fields counted from the start.
    first: Vec<Field>,
    /// With `...`: fields counted from the end.
    last: Option<Vec<Field>>,
}

/// One of these must hold, all of its parts; none at all means any value.
#[derive(Debug, Clone)]
struct Field(Vec<Vec<Comparison>>);

impl Field {
    fn holds(&self, text: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|all| all.iter().all(|comparison| comparison.holds_for_text(text)))
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
                None if any.is_empty() && all.is_empty() => return Ok(Field(any)),
                None => return Err(cursor.error(format!("a comparison is expected, not {}", cursor.found()))),
            }
            cursor.skip_blanks();
            if !cursor.eat("&&") {
                break;
            }
        }
        any.push(all);
        if !cursor.eat("||") {
            return Ok(Field(any));
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
    fn errors_say_where_and_what() {
        for (pattern, position, reason) in [
            ("[a, b", 6, "`,` or `]`"),
            ("[a, , b]", 5, "name is missing"),
            ("[]", 2, "name is missing"),
            ("[..., a, ...]", 10, "one place"),
            ("[a = 1 || b = 2]", 11, "one name"),
            ("[a = 1 && a]", 12, "comparison is expected"),
            ("[a > x]", 6, "only numbers"),
            ("[a] b", 5, "nothing can follow"),
        ] {
            let error = Pattern::parse(pattern).expect_err(pattern);
            assert_eq!(error.position, position, "{pattern}: {error}");
            assert!(error.reason.contains(reason), "{pattern}: {error}");
        }
    }
}
