//! JSON patterns: `{ ($.user.id = 1 || $.tags[*] = "a*") && $.error NOT EXISTS }`.
//!
//! A comparison is false for a property that is not there, `!=` too; a property that holds `null` is there but equals
//! nothing and differs from nothing. With `[*]` one of the elements must satisfy it. A message that is no JSON never
//! matches.

use super::PatternError;
use super::cursor::Cursor;
use super::document::{Node, Wanted};
use super::literal::{Comparison, REGEXES_MAX};
use std::collections::BTreeMap;

/// Parentheses inside parentheses.
const DEPTH_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Json {
    expression: Expression,
    /// What of a message the expression looks at.
    wanted: Wanted,
}

#[derive(Debug, Clone)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Test(Selector, Test),
}

/// The way from the message to a value, and how it was written.
#[derive(Debug, Clone)]
struct Selector {
    steps: Vec<Step>,
    text: String,
}

/// One step from a value into it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Property(String),
    Element(usize),
    Each,
}

#[derive(Debug, Clone)]
enum Test {
    Compare(Comparison),
    IsNull,
    IsBool(bool),
    Exists,
    NotExists,
}

impl Json {
    pub(super) fn matches(&self, message: &str) -> bool {
        self.read(message).is_some_and(|node| holds(&self.expression, &node))
    }

    pub(super) fn extract(&self, message: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        if let Some(node) = self.read(message) {
            self.expression.each_selector(&mut |selector| {
                any_at(&selector.steps, &node, &mut |value| {
                    let text = value.text();
                    found.extend(text.map(|text| (selector.text.clone(), text.into_owned())));
                    true
                });
            });
        }
        found
    }

    fn read<'m>(&self, message: &'m str) -> Option<Node<'m>> {
        // Most messages that are no JSON show it at once.
        message.trim_start().starts_with(['{', '[']).then(|| self.wanted.read(message)).flatten()
    }
}

impl Expression {
    fn each_selector<'e>(&'e self, see: &mut dyn FnMut(&'e Selector)) {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().for_each(|part| part.each_selector(see)),
            Self::Test(selector, _) => see(selector),
        }
    }
}

fn holds(expression: &Expression, value: &Node<'_>) -> bool {
    let any = |selector: &Selector, test: &dyn Fn(&Node<'_>) -> bool| {
        any_at(&selector.steps, value, &mut |found| test(found))
    };
    match expression {
        Expression::Any(parts) => parts.iter().any(|part| holds(part, value)),
        Expression::All(parts) => parts.iter().all(|part| holds(part, value)),
        Expression::Test(selector, Test::NotExists) => !any(selector, &|_| true),
        Expression::Test(selector, Test::Exists) => any(selector, &|_| true),
        Expression::Test(selector, Test::IsNull) => any(selector, &|found| matches!(found, Node::Null)),
        Expression::Test(selector, Test::IsBool(wanted)) => {
            any(selector, &|found| matches!(found, Node::Bool(bool) if bool == wanted))
        }
        Expression::Test(selector, Test::Compare(comparison)) => any(selector, &|found| compare(comparison, found)),
    }
}

/// Whether `test` holds for a value that the steps lead to.
fn any_at(steps: &[Step], value: &Node<'_>, test: &mut dyn FnMut(&Node<'_>) -> bool) -> bool {
    match (steps, value) {
        ([], value) => test(value),
        ([Step::Property(name), rest @ ..], Node::Object(properties)) => {
            // The last one counts, as in most readers of JSON.
            let found = properties.iter().rev().find(|(own, _)| own == name);
            found.is_some_and(|(_, value)| any_at(rest, value, test))
        }
        ([Step::Element(index), rest @ ..], Node::Array(elements)) => {
            let found = elements.iter().find(|(own, _)| own == index);
            found.is_some_and(|(_, value)| any_at(rest, value, test))
        }
        ([Step::Each, rest @ ..], Node::Array(elements)) => elements.iter().any(|(_, value)| any_at(rest, value, test)),
        ([Step::Each, rest @ ..], Node::Object(properties)) => {
            properties.iter().any(|(_, value)| any_at(rest, value, test))
        }
        _ => false,
    }
}

fn compare(comparison: &Comparison, value: &Node<'_>) -> bool {
    match value {
        Node::Text(text) => comparison.holds_for_plain_text(text),
        Node::Number(number) => {
            number.as_f64().is_some_and(|float| comparison.holds_for_number(float, &number.to_string()))
        }
        Node::Bool(bool) => comparison.holds_for_plain_text(if *bool { "true" } else { "false" }),
        Node::Null => false,
        Node::Array(_) | Node::Object(_) => comparison.is_anything(),
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
    let mut ways = Vec::new();
    expression.each_selector(&mut |selector| ways.push(&selector.steps[..]));
    let wanted = Wanted::by(&ways);
    Ok(Json { expression, wanted })
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
        let selector = selector(cursor)?;
        Expression::Test(selector, test(cursor)?)
    };
    cursor.skip_blanks();
    Ok(expression)
}

fn selector(cursor: &mut Cursor<'_>) -> Result<Selector, PatternError> {
    let before = cursor.rest();
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
            let text = before[..before.len() - cursor.rest().len()].to_owned();
            return Ok(Selector { steps, text });
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
        let values = [("NULL", Test::IsNull), ("TRUE", Test::IsBool(true)), ("FALSE", Test::IsBool(false))];
        let value = values.into_iter().find(|(word, _)| cursor.eat_word(word));
        return match value {
            Some((_, test)) => Ok(test),
            None => {
                Err(cursor.error(format!("`NULL`, `TRUE` or `FALSE` is expected after `IS`, not {}", cursor.found())))
            }
        };
    }
    Err(cursor.error(format!("a comparison, `IS` or `NOT EXISTS` is expected, not {}", cursor.found())))
}

#[cfg(test)]
mod tests {
    use super::Step;
    use crate::logs::pattern::Pattern;
    use serde_json::{Value, json};

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
    fn extracted_values_are_named_as_the_pattern_names_them() {
        let pattern = "{ $.code = 4* && ($.deep.er.n < 0 || $.no = 1) && $['cluster.name'] = c && $.arrayKey[1] = * }";
        let found = Pattern::parse(pattern).unwrap().extract(EVENT);
        let shown: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected = [
            ("$.arrayKey[1]", "another value"),
            ("$.code", "404"),
            ("$.deep.er.n", "-300.0"),
            ("$['cluster.name']", "c"),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_pattern_that_is_not_closed_is_refused_in_cloudwatchs_words() {
        for (pattern, open, close) in [("{ $.a = 1", '{', '}'), ("[a, b", '[', ']')] {
            let expected =
                format!("Invalid filter pattern: If a filter pattern starts with '{open}' it must end with '{close}'");
            assert_eq!(Pattern::parse(pattern).expect_err(pattern).to_string(), expected);
        }
    }

    #[test]
    fn what_is_not_asked_for_is_skipped_but_must_be_json() {
        let pattern = Pattern::parse(r#"{ $.a.b = "x" || $.list[*].k = 2 }"#).unwrap();
        for (message, matches) in [
            (r#"{"z":{"a":{"b":"y"}},"a":{"c":[1,2,{"d":null}],"b":"x"}}"#, true),
            (r#"{"a":{"b":"x"},"z":tru}"#, false),
            (r#"{"a":{"b":"x"}} trailing"#, false),
            (r#"{"a":"b","list":[{"k":1},7,{"k":2}]}"#, true),
            (r#"{"a":{"b":"w"},"a":{"b":"x"}}"#, true),
            (r#"{"a":{"b":"\u0078"}}"#, true),
        ] {
            assert_eq!(pattern.matches(message), matches, "{message}");
        }
    }

    /// A value four deep, of few names, so that selectors meet it.
    fn any_value(next: &mut dyn FnMut(u64) -> u64, depth: u64) -> Value {
        match next(if depth == 0 { 2 } else { 5 }) {
            0 => json!(next(3)),
            1 => json!("x"),
            2 => Value::Array((0..next(4)).map(|_| any_value(next, depth - 1)).collect()),
            _ => Value::Object((0..next(4)).map(|_| (name(next), any_value(next, depth - 1))).collect()),
        }
    }

    fn name(next: &mut dyn FnMut(u64) -> u64) -> String {
        ["a", "b", "c"][next(3) as usize].to_owned()
    }

    /// What a selector leads to, in a whole document.
    fn walk<'v>(value: &'v Value, steps: &[Step], found: &mut Vec<&'v Value>) {
        match (steps, value) {
            ([], value) => found.push(value),
            ([Step::Property(name), rest @ ..], Value::Object(map)) => {
                map.get(name).into_iter().for_each(|value| walk(value, rest, found));
            }
            ([Step::Element(index), rest @ ..], Value::Array(list)) => {
                list.get(*index).into_iter().for_each(|value| walk(value, rest, found));
            }
            ([Step::Each, rest @ ..], Value::Array(list)) => list.iter().for_each(|value| walk(value, rest, found)),
            ([Step::Each, rest @ ..], Value::Object(map)) => map.values().for_each(|value| walk(value, rest, found)),
            _ => {}
        }
    }

    #[test]
    fn reading_a_part_finds_what_reading_the_whole_finds() {
        let mut number = 7u64;
        let mut next = |below: u64| {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (number >> 33) % below
        };
        let mut hits = 0;
        for _ in 0..20_000 {
            let document = Value::Object((0..3).map(|_| (name(&mut next), any_value(&mut next, 3))).collect());
            let selectors: Vec<Vec<Step>> = (0..3)
                .map(|_| {
                    let number_of_steps = next(3);
                    let step = |_| match next(5) {
                        0 => Step::Each,
                        1 => Step::Element(next(3) as usize),
                        _ => Step::Property(name(&mut next)),
                    };
                    (0..=number_of_steps).map(step).collect()
                })
                .collect();
            let text = |steps: &[Step]| {
                let part = |step: &Step| match step {
                    Step::Each => "[*]".to_owned(),
                    Step::Element(index) => format!("[{index}]"),
                    Step::Property(name) => format!(".{name}"),
                };
                format!("${}", steps.iter().map(part).collect::<String>())
            };
            let tests: Vec<String> = selectors.iter().map(|steps| format!("{} = \"x\"", text(steps))).collect();
            for (glue, all) in [(" || ", false), (" && ", true)] {
                let pattern = Pattern::parse(&format!("{{ {} }}", tests.join(glue))).unwrap();
                let is_x = |steps: &Vec<Step>| {
                    let mut found = Vec::new();
                    walk(&document, steps, &mut found);
                    found.iter().any(|value| **value == "x")
                };
                let expected = if all { selectors.iter().all(is_x) } else { selectors.iter().any(is_x) };
                assert_eq!(pattern.matches(&document.to_string()), expected, "{} on {document}", tests.join(glue));
                hits += u32::from(expected);
            }
        }
        assert!(hits > 1000, "the test would show nothing: {hits}");
    }

    #[test]
    fn errors_say_where_and_what() {
        let deep = format!("{{ {} }}", "(".repeat(100));
        for (pattern, position, reason) in [
            ("{ $.a = \"x\" y }", 13, "`}` is expected, not `y`"),
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
            ("{ $.a = 1 } x}", 13, "nothing can follow"),
            ("{ $.a = 1 & $.b = 2 }", 11, "`&&`"),
            ("{ $.a=%x% || $.b=%y% || $.c=%z% }", 34, "at most 2"),
            (&deep, 67, "too many"),
        ] {
            let error = Pattern::parse(pattern).expect_err(pattern);
            assert_eq!(error.position, Some(position), "{pattern}: {error}");
            assert!(error.reason.contains(reason), "{pattern}: {error}");
        }
    }
}
