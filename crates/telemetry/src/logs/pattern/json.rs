//! JSON patterns: `{ ($.user.id = 1 || $.tags[*] = "a*") && $.error NOT EXISTS }`.
//!
//! A comparison is false for a property that is not there, `!=` too; a property that holds `null` is there but equals
//! nothing and differs from nothing. With `[*]` one of the elements must satisfy it. A message that is no JSON never
//! matches.

use super::PatternError;
use super::cursor::Cursor;
use super::literal::{Comparison, REGEXES_MAX};
use serde_json::Value;

/// Parentheses inside parentheses.
const DEPTH_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Json(Expression);

#[derive(Debug, Clone)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Test(Vec<Step>, Test),
}

/// One step from a value into it.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Property(String),
    Element(usize),
    Each,
}

#[derive(Debug, Clone)]
enum Test {
    Compare(Comparison),
    Is(Value),
    Exists,
    NotExists,
}

impl Json {
    pub(super) fn matches(&self, message: &str) -> bool {
        // Most messages that are no JSON show it at once.
        message.trim_start().starts_with(['{', '['])
            && serde_json::from_str(message).is_ok_and(|value| holds(&self.0, &value))
    }
}

fn holds(expression: &Expression, value: &Value) -> bool {
    match expression {
        Expression::Any(parts) => parts.iter().any(|part| holds(part, value)),
        Expression::All(parts) => parts.iter().all(|part| holds(part, value)),
        Expression::Test(steps, Test::NotExists) => !any_at(steps, value, &|_| true),
        Expression::Test(steps, Test::Exists) => any_at(steps, value, &|_| true),
        Expression::Test(steps, Test::Is(wanted)) => any_at(steps, value, &|found| found == wanted),
        Expression::Test(steps, Test::Compare(comparison)) => any_at(steps, value, &|found| compare(comparison, found)),
    }
}

fn any_at(steps: &[Step], value: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
    match (steps, value) {
        ([], value) => test(value),
        ([Step::Property(name), rest @ ..], Value::Object(properties)) => {
            properties.get(name).is_some_and(|value| any_at(rest, value, test))
        }
        ([Step::Element(index), rest @ ..], Value::Array(elements)) => {
            elements.get(*index).is_some_and(|value| any_at(rest, value, test))
        }
        ([Step::Each, rest @ ..], Value::Array(elements)) => elements.iter().any(|value| any_at(rest, value, test)),
        ([Step::Each, rest @ ..], Value::Object(properties)) => {
            properties.values().any(|value| any_at(rest, value, test))
        }
        _ => false,
    }
}

fn compare(comparison: &Comparison, value: &Value) -> bool {
    match value {
        Value::String(text) => comparison.holds_for_plain_text(text),
        Value::Number(number) => {
            number.as_f64().is_some_and(|float| comparison.holds_for_number(float, &number.to_string()))
        }
        Value::Bool(bool) => comparison.holds_for_plain_text(if *bool { "true" } else { "false" }),
        Value::Null => false,
        Value::Array(_) | Value::Object(_) => comparison.is_anything(),
    }
}

pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Json, PatternError> {
    cursor.eat("{");
    let expression = any(cursor, 0)?;
    if !cursor.eat("}") {
        return Err(cursor.error(format!("`&&`, `||` or `}}` is expected, not {}", cursor.found())));
    }
    if cursor.regexes > REGEXES_MAX {
        return Err(cursor.error(format!("a pattern has at most {REGEXES_MAX} regular expressions")));
    }
    cursor.end("`}`")?;
    Ok(Json(expression))
}

fn any(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, PatternError> {
    let mut parts = vec![all(cursor, depth)?];
    while cursor.eat("||") {
        parts.push(all(cursor, depth)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
}

fn all(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, PatternError> {
    let mut parts = vec![one(cursor, depth)?];
    while cursor.eat("&&") {
        parts.push(one(cursor, depth)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
}

/// A test, or an expression in parentheses; and the blanks after it.
fn one(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, PatternError> {
    cursor.skip_blanks();
    let start = cursor.clone();
    let expression = if cursor.eat("(") {
        if depth == DEPTH_MAX {
            return Err(start.error("too many parentheses in parentheses"));
        }
        let expression = any(cursor, depth + 1)?;
        if !cursor.eat(")") {
            return Err(start.error("the closing `)` is missing"));
        }
        expression
    } else {
        let steps = selector(cursor)?;
        Expression::Test(steps, test(cursor)?)
    };
    cursor.skip_blanks();
    Ok(expression)
}

fn selector(cursor: &mut Cursor<'_>) -> Result<Vec<Step>, PatternError> {
    if !cursor.eat("$") {
        return Err(cursor.error(format!("a property such as `$.name` is expected, not {}", cursor.found())));
    }
    let mut steps = Vec::new();
    loop {
        let has_dot = cursor.eat(".");
        if cursor.eat("[") {
            steps.push(subscript(cursor)?);
        } else if has_dot && cursor.eat("*") {
            steps.push(Step::Each);
        } else if has_dot {
            let name = cursor.take_while(|c| !c.is_whitespace() && !".[]=!<>()&|{}\"".contains(c));
            if name.is_empty() {
                return Err(cursor.error(format!("a property's name is missing before {}", cursor.found())));
            }
            steps.push(Step::Property(name.to_owned()));
        } else {
            return Ok(steps);
        }
    }
}

fn subscript(cursor: &mut Cursor<'_>) -> Result<Step, PatternError> {
    let start = cursor.clone();
    let step = match cursor.peek() {
        Some('*') => {
            cursor.next();
            Step::Each
        }
        Some(quote @ ('\'' | '"')) => {
            cursor.next();
            Step::Property(cursor.quoted(quote)?)
        }
        _ => {
            let digits = cursor.take_while(|c| c.is_ascii_digit());
            Step::Element(
                digits.parse().map_err(|_| start.error("an index, `*` or a quoted name is expected after `[`"))?,
            )
        }
    };
    if !cursor.eat("]") {
        return Err(cursor.error(format!("`]` is expected, not {}", cursor.found())));
    }
    Ok(step)
}

fn test(cursor: &mut Cursor<'_>) -> Result<Test, PatternError> {
    if let Some(comparison) = Comparison::parse(cursor, |c| ")}&|".contains(c))? {
        return Ok(Test::Compare(comparison));
    }
    if cursor.eat_word("EXISTS") {
        return Ok(Test::Exists);
    }
    if cursor.eat_word("NOT") {
        cursor.skip_blanks();
        if cursor.eat_word("EXISTS") {
            return Ok(Test::NotExists);
        }
        return Err(cursor.error(format!("`EXISTS` is expected after `NOT`, not {}", cursor.found())));
    }
    if cursor.eat_word("IS") {
        cursor.skip_blanks();
        let values = [("NULL", Value::Null), ("TRUE", Value::Bool(true)), ("FALSE", Value::Bool(false))];
        let value = values.into_iter().find(|(word, _)| cursor.eat_word(word));
        return match value {
            Some((_, value)) => Ok(Test::Is(value)),
            None => {
                Err(cursor.error(format!("`NULL`, `TRUE` or `FALSE` is expected after `IS`, not {}", cursor.found())))
            }
        };
    }
    Err(cursor.error(format!("a comparison, `IS` or `NOT EXISTS` is expected, not {}", cursor.found())))
}

#[cfg(test)]
mod tests {
    use crate::logs::pattern::Pattern;

    const EVENT: &str = r#"{
        "eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "ThisFlag": true,
        "off": false, "latency": 12.5, "code": 404, "codeText": "404", "cluster.name": "c", "deep": {"er": {"n": -3e2}}
    }"#;

    #[test]
    fn comparisons_follow_the_type_of_the_value() {
        for (pattern, matches) in [
            (r#"{ $.eventType = "UpdateTrail" }"#, true),
            (r#"{$.eventType="UpdateTrail"}"#, true),
            ("{ $.eventType = UpdateTrail }", true),
            (r#"{ $.eventType = "Update*" }"#, true),
            (r#"{ $.eventType = "update*" }"#, false),
            ("{ $.eventType = %^Up.*Trail$% }", true),
            ("{ $.eventType != %Trail% }", false),
            ("{ $.sourceIPAddress != 123.123.* }", true),
            ("{ $.sourceIPAddress = 111.111.* }", true),
            (r#"{ $.arrayKey[0] = "value" }"#, true),
            (r#"{ $.arrayKey[2] = "value" }"#, false),
            (r#"{ $.arrayKey[*] = "another value" }"#, true),
            (r#"{ $.arrayKey = "value" }"#, false),
            ("{ $.objectList[1].id = 2 }", true),
            ("{ $.objectList[*].id > 1 }", true),
            ("{ $.objectList[*].id > 2 }", false),
            ("{ $.latency > 12 }", true),
            ("{ $.latency >= 12.5 && $.latency <= 1.25e1 }", true),
            ("{ $.latency < 12.5 }", false),
            ("{ $.code = 404 }", true),
            ("{ $.code = 404.0 }", true),
            ("{ $.code = 4* }", true),
            ("{ $.code != 404 }", false),
            ("{ $.codeText = 404 }", true),
            ("{ $.codeText > 400 }", false),
            ("{ $.deep.er.n = -300 }", true),
            ("{ $['cluster.name'] = c }", true),
            (r#"{ $.["cluster.name"] = c }"#, true),
            ("{ $.cluster.name = c }", false),
            ("{ $.ThisFlag IS TRUE }", true),
            ("{ $.ThisFlag = true }", true),
            ("{ $.off is false }", true),
            ("{ $.SomeObject IS NULL }", true),
            ("{ $.eventType IS NULL }", false),
            ("{ $.SomeObject = x }", false),
            ("{ $.SomeObject != x }", false),
            ("{ $.SomeOtherObject NOT EXISTS }", true),
            ("{ $.SomeObject NOT EXISTS }", false),
            ("{ $.deep EXISTS }", true),
            ("{ $.deep = * }", true),
            ("{ $.missing = * }", false),
            ("{ $.missing != x }", false),
            ("{ $.off = x || $.code = 404 && $.latency > 100 }", false),
            ("{ $.code = 404 || $.off = x && $.latency > 100 }", true),
            ("{ ($.code = 404 || $.off = x) && $.latency > 100 }", false),
            ("{ (($.code=404)&&($.off=false)) }", true),
        ] {
            let parsed = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(parsed.matches(EVENT), matches, "{pattern}");
        }
    }

    #[test]
    fn messages_that_are_no_json_never_match() {
        let pattern = Pattern::parse("{ $.a NOT EXISTS }").unwrap();
        for (message, matches) in
            [("", false), ("text", false), ("{\"b\":1", false), ("{\"b\":1}", true), (" [1]", true), ("1", false)]
        {
            assert_eq!(pattern.matches(message), matches, "{message}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        let deep = format!("{{ {} ", "(".repeat(100));
        for (pattern, position, reason) in [
            ("{ $.a = \"x\"", 12, "`}` is expected, not the end"),
            ("{ }", 3, "property"),
            ("{ a = 1 }", 3, "property"),
            ("{ $.a == 1 }", 7, "one `=`"),
            ("{ $.a > x }", 9, "only numbers"),
            ("{ $.a = }", 9, "value is missing before `}`"),
            ("{ $.a ~ 1 }", 7, "comparison"),
            ("{ $.a IS 1 }", 10, "`NULL`"),
            ("{ $.a NOT x }", 11, "`EXISTS`"),
            ("{ $.a[x] = 1 }", 7, "index"),
            ("{ $.a[1 = 1 }", 8, "`]`"),
            ("{ $. = 1 }", 5, "name is missing"),
            ("{ ($.a = 1 }", 3, "closing `)`"),
            ("{ $.a = 1 } x", 13, "nothing can follow"),
            ("{ $.a = 1 & $.b = 2 }", 11, "`&&`"),
            ("{ $.a=%x% || $.b=%y% || $.c=%z% }", 34, "at most 2"),
            (&deep, 67, "too many"),
        ] {
            let error = Pattern::parse(pattern).expect_err(pattern);
            assert_eq!(error.position, position, "{pattern}: {error}");
            assert!(error.reason.contains(reason), "{pattern}: {error}");
        }
    }
}
