//! Conditions: operators over the context's keys.

use crate::context::{Context, Values};
use crate::pattern::Pattern;
use crate::time;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

/// `{"StringLike": {"aws:PrincipalArn": […]}}`, one key of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub operator: Operator,
    pub key: String,
    pub values: Vec<Pattern>,
}

/// An operator with its set prefix and `IfExists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    set: Set,
    test: Test,
    /// Turns the test round: `StringNotEquals`, `NotIpAddress`.
    negated: bool,
    if_exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    None,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Numeric(Compare),
    Date(Compare),
    Bool,
    Binary,
    IpAddress,
    Arn,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equals,
    Less,
    LessOrEquals,
    Greater,
    GreaterOrEquals,
}

impl Compare {
    fn holds(self, ordering: Option<Ordering>) -> bool {
        ordering.is_some_and(|ordering| match self {
            Self::Equals => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEquals => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEquals => ordering.is_ge(),
        })
    }
}

impl Operator {
    /// `ForAnyValue:StringLikeIfExists`; names are told apart without regard to case.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (set, name) = match name.split_once(':') {
            None => (Set::None, name.as_str()),
            Some(("forallvalues", name)) => (Set::All, name),
            Some(("foranyvalue", name)) => (Set::Any, name),
            Some(_) => return None,
        };
        let (name, if_exists) = match name.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let compare = |name: &str| {
            Some(match name {
                "equals" => (Compare::Equals, false),
                "notequals" => (Compare::Equals, true),
                "lessthan" => (Compare::Less, false),
                "lessthanequals" => (Compare::LessOrEquals, false),
                "greaterthan" => (Compare::Greater, false),
                "greaterthanequals" => (Compare::GreaterOrEquals, false),
                _ => return None,
            })
        };
        let (test, negated) = match name {
            "stringequals" => (Test::StringEquals, false),
            "stringnotequals" => (Test::StringEquals, true),
            "stringequalsignorecase" => (Test::StringEqualsIgnoreCase, false),
            "stringnotequalsignorecase" => (Test::StringEqualsIgnoreCase, true),
            "stringlike" => (Test::StringLike, false),
            "stringnotlike" => (Test::StringLike, true),
            "bool" => (Test::Bool, false),
            "binaryequals" => (Test::Binary, false),
            "ipaddress" => (Test::IpAddress, false),
            "notipaddress" => (Test::IpAddress, true),
            "arnequals" | "arnlike" => (Test::Arn, false),
            "arnnotequals" | "arnnotlike" => (Test::Arn, true),
            // It asks whether the key is there: "if it is there" would be no question.
            "null" if !if_exists => (Test::Null, false),
            _ => {
                let number = name.strip_prefix("numeric").and_then(compare);
                let date = || name.strip_prefix("date").and_then(compare);
                match number {
                    Some((compare, negated)) => (Test::Numeric(compare), negated),
                    None => date().map(|(compare, negated)| (Test::Date(compare), negated))?,
                }
            }
        };
        Some(Self { set, test, negated, if_exists })
    }
}

impl Condition {
    pub fn holds(&self, context: &dyn Context) -> bool {
        let given = context.get(&self.key);
        let given = given.as_ref().map(Values::as_slice).filter(|values| !values.is_empty());
        let Operator { set, test, negated, if_exists } = self.operator;
        if test == Test::Null {
            let wants_none = self.values.iter().any(|value| text_is(value, context, "true"));
            return given.is_none() == wants_none;
        }
        let Some(given) = given else { return if_exists || (negated && set != Set::Any) || set == Set::All };
        // A negated test is met by a value that is none of the policy's.
        let meets = |value: &Cow<'_, str>| self.values.iter().any(|own| is_met(test, own, value, context)) != negated;
        match set {
            Set::Any => given.iter().any(meets),
            Set::All => given.iter().all(meets),
            Set::None if negated => given.iter().all(meets),
            Set::None => given.iter().any(meets),
        }
    }
}

fn text_is(pattern: &Pattern, context: &dyn Context, text: &str) -> bool {
    pattern.text(context).is_some_and(|own| own.eq_ignore_ascii_case(text))
}

fn is_met(test: Test, own: &Pattern, given: &str, context: &dyn Context) -> bool {
    match test {
        Test::StringLike => return own.is_like(given, context),
        Test::Arn => return own.is_like_arn(given, context),
        _ => {}
    }
    let Some(own_text) = own.text(context) else { return false };
    match test {
        Test::StringEquals | Test::Binary => own_text == given,
        Test::StringEqualsIgnoreCase => own_text.to_lowercase() == given.to_lowercase(),
        Test::Bool => own_text.eq_ignore_ascii_case(given),
        Test::Numeric(compare) => {
            let number = |text: &str| text.trim().parse::<f64>().ok();
            compare.holds(number(given).zip(number(&own_text)).and_then(|(given, own)| given.partial_cmp(&own)))
        }
        Test::Date(compare) => {
            compare.holds(time::parse(given).zip(time::parse(&own_text)).map(|(given, own)| given.cmp(&own)))
        }
        Test::IpAddress => is_within(given, &own_text),
        Test::StringLike | Test::Arn | Test::Null => unreachable!("they are decided above"),
    }
}

/// `203.0.113.0/24`, `2001:db8::/32`, or one address.
fn is_within(address: &str, network: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let (network, length) = match network.split_once('/') {
        Some((network, length)) => (network, length.parse::<u32>().ok()),
        None => (network, Some(128)),
    };
    let (Ok(network), Some(length)) = (network.parse::<IpAddr>(), length) else { return false };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let mask = u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0);
            u32::from(a) & mask == u32::from(n) & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let mask = u128::MAX.checked_shl(128 - length.min(128)).unwrap_or(0);
            u128::from(a) & mask == u128::from(n) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MapContext;

    fn context() -> MapContext {
        let mut context = MapContext::default();
        let mut set = |key: &str, values: &[&str]| {
            context.set(key, values.iter().map(|value| (*value).to_owned()).collect());
        };
        set("aws:username", &["Ann"]);
        set("aws:TagKeys", &["a", "b"]);
        set("aws:SourceIp", &["203.0.113.7"]);
        set("aws:CurrentTime", &["2026-01-02T03:04:05Z"]);
        set("aws:SecureTransport", &["false"]);
        set("s:n", &["10"]);
        set("s:arn", &["arn:aws:ecs:us-east-1:1:cluster/web"]);
        context
    }

    fn holds(operator: &str, key: &str, values: &[&str]) -> bool {
        let operator = Operator::parse(operator).expect("an operator");
        let values = values.iter().map(|value| Pattern::compile(value, true)).collect();
        Condition { operator, key: key.to_owned(), values }.holds(&context())
    }

    #[test]
    fn operators_compare_as_their_names_say() {
        for (operator, key, values, expected) in [
            ("StringEquals", "aws:UserName", &["Bob", "Ann"][..], true),
            ("StringEquals", "aws:username", &["A*"], false),
            ("StringEquals", "aws:username", &["${aws:username}"], true),
            ("StringNotEquals", "aws:username", &["Bob", "Ann"], false),
            ("StringNotEquals", "aws:username", &["Bob"], true),
            ("StringEqualsIgnoreCase", "aws:username", &["ANN"], true),
            ("StringNotEqualsIgnoreCase", "aws:username", &["ANN"], false),
            ("StringLike", "aws:username", &["A*"], true),
            ("StringNotLike", "aws:username", &["A*"], false),
            ("NumericEquals", "s:n", &["10.0"], true),
            ("NumericNotEquals", "s:n", &["10.0"], false),
            ("NumericLessThan", "s:n", &["10"], false),
            ("NumericLessThanEquals", "s:n", &["10"], true),
            ("NumericGreaterThan", "s:n", &["9"], true),
            ("NumericGreaterThanEquals", "s:n", &["11"], false),
            ("NumericEquals", "aws:username", &["10"], false),
            ("DateLessThan", "aws:CurrentTime", &["2026-01-03"], true),
            ("DateGreaterThan", "aws:CurrentTime", &["1767323046"], false),
            ("DateNotEquals", "aws:CurrentTime", &["2026-01-03"], true),
            ("Bool", "aws:SecureTransport", &["False"], true),
            ("Bool", "aws:SecureTransport", &["true"], false),
            ("IpAddress", "aws:SourceIp", &["10.0.0.0/8", "203.0.113.0/24"], true),
            ("IpAddress", "aws:SourceIp", &["203.0.113.7"], true),
            ("IpAddress", "aws:SourceIp", &["2001:db8::/32", "203.0.113.8/31"], false),
            ("NotIpAddress", "aws:SourceIp", &["0.0.0.0/0"], false),
            ("ArnLike", "s:arn", &["arn:aws:ecs:*:*:cluster/*"], true),
            ("ArnEquals", "s:arn", &["arn:aws:ecs:*:cluster/*"], false),
            ("ArnLike", "s:arn", &["*"], true),
            ("ArnNotLike", "s:arn", &["arn:aws:ecs:*:*:cluster/w?b"], false),
            ("BinaryEquals", "aws:username", &["Ann"], true),
        ] {
            assert_eq!(holds(operator, key, values), expected, "{operator} {key} {values:?}");
        }
    }

    #[test]
    fn wildcards_in_a_variables_value_are_mere_characters() {
        let mut context = MapContext::default();
        context.set("aws:username", vec!["a*".to_owned()]);
        context.set("aws:PrincipalTag/part", vec!["a:b".to_owned()]);
        let holds = |operator: &str, pattern: &str, given: &str| {
            let mut context = context.clone();
            context.set("s:given", vec![given.to_owned()]);
            let operator = Operator::parse(operator).expect("an operator");
            Condition { operator, key: "s:given".to_owned(), values: vec![Pattern::compile(pattern, true)] }
                .holds(&context)
        };
        for operator in ["ArnLike", "ArnEquals", "StringLike"] {
            let pattern = "arn:aws:ecs:*:1:task/${aws:username}/*";
            assert!(holds(operator, pattern, "arn:aws:ecs:r:1:task/a*/b"), "{operator}");
            assert!(!holds(operator, pattern, "arn:aws:ecs:r:1:task/ab/b"), "{operator}");
            assert!(!holds(operator, "${aws:none}", "arn:aws:ecs:r:1:task/a"), "{operator}");
        }
        assert!(!holds("ArnNotLike", "arn:aws:ecs:*:*:task/a${*}", "arn:aws:ecs:r:1:task/a*"));
        assert!(holds("ArnNotLike", "arn:aws:ecs:*:*:task/a${*}", "arn:aws:ecs:r:1:task/ab"));
        // A colon of a value parts an ARN as one of the policy does.
        assert!(holds("ArnLike", "arn:aws:${aws:PrincipalTag/part}:1:*", "arn:aws:a:b:1:task/x"));
    }

    #[test]
    fn a_missing_key_meets_only_negations_and_if_exists() {
        assert!(!holds("StringEquals", "no:key", &["a"]));
        assert!(holds("StringNotEquals", "no:key", &["a"]));
        assert!(holds("StringEqualsIfExists", "no:key", &["a"]));
        assert!(!holds("StringEqualsIfExists", "aws:username", &["a"]));
        assert!(!holds("NumericLessThan", "no:key", &["1"]));
        assert!(holds("Null", "no:key", &["true"]));
        assert!(!holds("Null", "no:key", &["false"]));
        assert!(holds("Null", "aws:username", &["false"]));
    }

    #[test]
    fn sets_are_compared_value_by_value() {
        assert!(holds("ForAllValues:StringEquals", "aws:TagKeys", &["a", "b", "c"]));
        assert!(!holds("ForAllValues:StringEquals", "aws:TagKeys", &["a"]));
        assert!(holds("ForAllValues:StringEquals", "no:key", &["a"]));
        assert!(holds("ForAnyValue:StringEquals", "aws:TagKeys", &["b"]));
        assert!(!holds("ForAnyValue:StringEquals", "aws:TagKeys", &["c"]));
        assert!(!holds("ForAnyValue:StringEquals", "no:key", &["a"]));
        assert!(!holds("ForAnyValue:StringNotEquals", "no:key", &["a"]));
        assert!(holds("ForAnyValue:StringNotLike", "aws:TagKeys", &["a"]));
        assert!(!holds("ForAllValues:StringNotLike", "aws:TagKeys", &["a"]));
    }

    #[test]
    fn unknown_operators_are_told() {
        for name in ["StringIsh", "ForSome:StringEquals", "NullIfExists", "NumericLike", ""] {
            assert_eq!(Operator::parse(name), None, "{name}");
        }
    }
}
