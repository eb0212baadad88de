//! Conditions of rules: read and checked, with AWS's limits.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::RuleCondition;
use longshore_types::elbv2::Condition;

/// Values and wildcards that a rule may have over all its conditions.
pub const MAX_VALUES: usize = 5;
pub const MAX_WILDCARDS: usize = 5;

pub fn parse(given: Vec<RuleCondition>) -> Result<Vec<Condition>, AwsError> {
    if given.is_empty() {
        return Err(error::validation("A condition must be specified"));
    }
    let conditions: Vec<Condition> = given.into_iter().map(condition).collect::<Result<_, _>>()?;
    for (n, condition) in conditions.iter().enumerate() {
        let field = field(condition);
        let repeats = !matches!(field, "http-header" | "query-string");
        if repeats && conditions[..n].iter().any(|earlier| self::field(earlier) == field) {
            return Err(error::validation(format!("A rule can only have one '{field}' condition")));
        }
    }
    if conditions.iter().map(count).sum::<usize>() > MAX_VALUES {
        return Err(error::validation(format!("A rule can only have '{MAX_VALUES}' condition values")));
    }
    if conditions.iter().map(wildcards).sum::<usize>() > MAX_WILDCARDS {
        return Err(error::validation(format!("A rule can only have '{MAX_WILDCARDS}' condition wildcards")));
    }
    Ok(conditions)
}

fn field(condition: &Condition) -> &'static str {
    match condition {
        Condition::PathPattern(_) | Condition::PathRegex(_) => "path-pattern",
        Condition::HostHeader(_) | Condition::HostRegex(_) => "host-header",
        Condition::HttpHeader { .. } | Condition::HttpHeaderRegex { .. } => "http-header",
        Condition::HttpRequestMethod(_) => "http-request-method",
        Condition::QueryString(_) => "query-string",
        Condition::SourceIp(_) => "source-ip",
    }
}

fn count(condition: &Condition) -> usize {
    match condition {
        Condition::PathPattern(values)
        | Condition::HostHeader(values)
        | Condition::HttpHeader { values, .. }
        | Condition::PathRegex(values)
        | Condition::HostRegex(values)
        | Condition::HttpHeaderRegex { values, .. }
        | Condition::HttpRequestMethod(values) => values.len(),
        Condition::QueryString(pairs) => pairs.len(),
        Condition::SourceIp(blocks) => blocks.len(),
    }
}

fn wildcards(condition: &Condition) -> usize {
    let stars = |text: &str| text.bytes().filter(|b| matches!(b, b'*' | b'?')).count();
    match condition {
        Condition::PathPattern(values) | Condition::HostHeader(values) | Condition::HttpHeader { values, .. } => {
            values.iter().map(|value| stars(value)).sum()
        }
        Condition::QueryString(pairs) => {
            pairs.iter().map(|(key, value)| key.as_deref().map_or(0, stars) + stars(value)).sum()
        }
        Condition::HttpRequestMethod(_)
        | Condition::SourceIp(_)
        | Condition::PathRegex(_)
        | Condition::HostRegex(_)
        | Condition::HttpHeaderRegex { .. } => 0,
    }
}

fn condition(mut given: RuleCondition) -> Result<Condition, AwsError> {
    let field = given.field.take().unwrap_or_default();
    let plain_regexes = given.regex_values.take().filter(|values| !values.is_empty());
    if plain_regexes.is_some() && !matches!(field.as_str(), "path-pattern" | "host-header") {
        return Err(error::validation(format!("Regex values cannot be specified for the condition field '{field}'")));
    }
    let plain = given.values.take().filter(|values| !values.is_empty());
    match field.as_str() {
        "path-pattern" => {
            let config = given.path_pattern_config.take().unwrap_or_default();
            let regexes = config.regex_values.filter(|values| !values.is_empty());
            if either(&field, &plain, &config.values, &plain_regexes, &regexes)? {
                return Ok(Condition::PathRegex(values(&field, plain_regexes, regexes, is_regex)?));
            }
            Ok(Condition::PathPattern(values(&field, plain, config.values, is_path_pattern)?))
        }
        "host-header" => {
            let config = given.host_header_config.take().unwrap_or_default();
            let regexes = config.regex_values.filter(|values| !values.is_empty());
            if either(&field, &plain, &config.values, &plain_regexes, &regexes)? {
                return Ok(Condition::HostRegex(values(&field, plain_regexes, regexes, is_regex)?));
            }
            Ok(Condition::HostHeader(values(&field, plain, config.values, is_host_pattern)?))
        }
        "http-header" => {
            let config = given.http_header_config.take().unwrap_or_default();
            let regexes = config.regex_values.filter(|values| !values.is_empty());
            let name = config.http_header_name.unwrap_or_default();
            if !is_header_name(&name) {
                return Err(error::validation(format!(
                    "Condition field 'http-header' has an invalid HTTP header name '{name}'"
                )));
            }
            if either(&field, &None, &config.values, &None, &regexes)? {
                return Ok(Condition::HttpHeaderRegex { name, values: values(&field, None, regexes, is_regex)? });
            }
            let values = values(&field, None, config.values, |value| value.len() <= 128)?;
            Ok(Condition::HttpHeader { name, values })
        }
        "http-request-method" => {
            let config = given.http_request_method_config.take().unwrap_or_default();
            Ok(Condition::HttpRequestMethod(values(&field, None, config.values, is_method)?))
        }
        "query-string" => {
            let pairs = given.query_string_config.take().and_then(|config| config.values).unwrap_or_default();
            let pairs = pairs.into_iter().map(|pair| {
                let value = pair.value.filter(|value| !value.is_empty() && value.len() <= 128);
                let key = pair.key.filter(|key| !key.is_empty());
                match (value, key) {
                    (Some(value), key) if key.as_ref().is_none_or(|key| key.len() <= 128) => Ok((key, value)),
                    _ => Err(error::validation("Condition field 'query-string' has an invalid key or value")),
                }
            });
            let pairs: Vec<_> = pairs.collect::<Result<_, _>>()?;
            if pairs.is_empty() { Err(no_values(&field)) } else { Ok(Condition::QueryString(pairs)) }
        }
        "source-ip" => {
            let config = given.source_ip_config.take().unwrap_or_default();
            if let Some(other) = config.ip_address_type.filter(|kind| kind != "client" && !kind.is_empty()) {
                return Err(error::unsupported(format_args!("The source-ip address type '{other}'")));
            }
            let blocks = values(&field, None, config.values, |_| true)?;
            let parse = |block: String| {
                block
                    .parse()
                    .map_err(|_| error::validation(format!("Condition value '{block}' is not a valid IPv4 CIDR block")))
            };
            Ok(Condition::SourceIp(blocks.into_iter().map(parse).collect::<Result<_, _>>()?))
        }
        _ => Err(error::validation(format!(
            "Condition field '{field}' must be one of '[path-pattern, host-header, http-header, http-request-method, query-string, source-ip]'"
        ))),
    }
}

/// Whether a condition has regular expressions; patterns beside them are refused.
fn either(
    field: &str,
    plain: &Option<Vec<String>>,
    config: &Option<Vec<String>>,
    plain_regexes: &Option<Vec<String>>,
    regexes: &Option<Vec<String>>,
) -> Result<bool, AwsError> {
    let has_regexes = plain_regexes.is_some() || regexes.is_some();
    let has_values = plain.is_some() || config.as_ref().is_some_and(|values| !values.is_empty());
    if has_regexes && has_values {
        return Err(error::validation(format!(
            "You cannot specify both values and regex values for the condition field '{field}'"
        )));
    }
    Ok(has_regexes)
}

/// An expression that the data plane takes.
pub fn is_regex(value: &str) -> bool {
    let compiled = regex::bytes::RegexBuilder::new(value).unicode(false).size_limit(1 << 20).build();
    value.len() <= 128 && compiled.is_ok()
}

/// The values, from one of the two places where they may stand.
fn values(
    field: &str,
    plain: Option<Vec<String>>,
    config: Option<Vec<String>>,
    holds: fn(&str) -> bool,
) -> Result<Vec<String>, AwsError> {
    let config = config.filter(|values| !values.is_empty());
    let values = match (plain, config) {
        (Some(plain), Some(config)) if plain != config => {
            return Err(error::validation(format!(
                "You cannot specify both values and a configuration for the condition field '{field}'"
            )));
        }
        (plain, config) => config.or(plain).ok_or_else(|| no_values(field))?,
    };
    match values.iter().find(|value| value.is_empty() || !holds(value)) {
        Some(bad) => Err(error::validation(format!("Condition value '{bad}' is not valid for the field '{field}'"))),
        None => Ok(values),
    }
}

fn no_values(field: &str) -> AwsError {
    error::validation(format!("A condition value must be specified for the field '{field}'"))
}

fn is_path_pattern(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || br#"_-.$/~"'@:+&*?"#.contains(&b);
    value.len() <= 128 && value.bytes().all(allowed)
}

fn is_host_pattern(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-.*?".contains(&b);
    let last = value.rsplit_once('.').map(|(_, last)| last);
    value.len() <= 128
        && value.bytes().all(allowed)
        && last
            .is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_alphabetic() || b"*?".contains(&b)))
}

fn is_header_name(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&b);
    (1..=40).contains(&name.len()) && name.bytes().all(is_token) && !name.eq_ignore_ascii_case("host")
}

fn is_method(value: &str) -> bool {
    value.len() <= 40 && value.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_aws_model::elbv2::*;

    fn list(values: &[&str]) -> Option<Vec<String>> {
        Some(values.iter().map(|value| value.to_string()).collect())
    }

    fn plain(field: &str, values: &[&str]) -> RuleCondition {
        RuleCondition { field: Some(field.to_owned()), values: list(values), ..Default::default() }
    }

    fn message(given: Vec<RuleCondition>) -> String {
        parse(given).expect_err("it is refused").message
    }

    #[test]
    fn both_spellings_of_a_path_condition_are_one() {
        let config = PathPatternConditionConfig { values: list(&["/a/*"]), regex_values: None };
        let given = RuleCondition { path_pattern_config: Some(config), ..plain("path-pattern", &["/a/*"]) };
        let expected = vec![Condition::PathPattern(vec!["/a/*".to_owned()])];
        assert_eq!(parse(vec![given.clone()]), Ok(expected.clone()));
        assert_eq!(parse(vec![plain("path-pattern", &["/a/*"])]), Ok(expected));
        assert!(
            message(vec![RuleCondition { values: list(&["/b"]), ..given }]).contains("both values and a configuration")
        );
    }

    #[test]
    fn every_field_is_read() {
        let field = |field: &str| RuleCondition { field: Some(field.to_owned()), ..Default::default() };
        let header = HttpHeaderConditionConfig {
            http_header_name: Some("X-A".to_owned()),
            values: list(&["1*"]),
            regex_values: None,
        };
        let pair = QueryStringKeyValuePair { key: None, value: Some("v".to_owned()) };
        let given = vec![
            plain("host-header", &["*.example.com"]),
            RuleCondition { http_header_config: Some(header), ..field("http-header") },
            RuleCondition {
                http_request_method_config: Some(HttpRequestMethodConditionConfig { values: list(&["GET"]) }),
                ..field("http-request-method")
            },
            RuleCondition {
                query_string_config: Some(QueryStringConditionConfig { values: Some(vec![pair]) }),
                ..field("query-string")
            },
            RuleCondition {
                source_ip_config: Some(SourceIpConditionConfig {
                    values: list(&["10.0.0.0/8"]),
                    ip_address_type: None,
                }),
                ..field("source-ip")
            },
        ];
        let expected = vec![
            Condition::HostHeader(vec!["*.example.com".to_owned()]),
            Condition::HttpHeader { name: "X-A".to_owned(), values: vec!["1*".to_owned()] },
            Condition::HttpRequestMethod(vec!["GET".to_owned()]),
            Condition::QueryString(vec![(None, "v".to_owned())]),
            Condition::SourceIp(vec!["10.0.0.0/8".parse().expect("a network")]),
        ];
        assert_eq!(parse(given), Ok(expected));
    }

    #[test]
    fn regular_expressions_stand_for_patterns_and_are_compiled() {
        let config = |regexes: &[&str]| RuleCondition {
            path_pattern_config: Some(PathPatternConditionConfig { values: None, regex_values: list(regexes) }),
            ..plain("path-pattern", &[])
        };
        assert_eq!(parse(vec![config(&["^/a[0-9]+$"])]), Ok(vec![Condition::PathRegex(vec!["^/a[0-9]+$".to_owned()])]));
        assert!(message(vec![config(&["(a"])]).starts_with("Condition value '(a' is not valid"));
        let both = RuleCondition { values: list(&["/b"]), ..config(&["a"]) };
        assert!(message(vec![both]).contains("both values and regex values"));
        let plain_regexes = RuleCondition { regex_values: list(&["^api"]), ..plain("host-header", &[]) };
        assert_eq!(parse(vec![plain_regexes]), Ok(vec![Condition::HostRegex(vec!["^api".to_owned()])]));
        let method = RuleCondition { regex_values: list(&["GET"]), ..plain("http-request-method", &[]) };
        assert!(message(vec![method]).starts_with("Regex values cannot be specified"));
    }

    #[test]
    fn limits_hold_over_the_whole_rule() {
        let paths = plain("path-pattern", &["/1", "/2", "/3", "/4", "/5", "/6"]);
        assert_eq!(message(vec![paths]), "A rule can only have '5' condition values");
        assert_eq!(
            message(vec![plain("path-pattern", &["/*/*/*/*/*/*"])]),
            "A rule can only have '5' condition wildcards"
        );
        let twice = vec![plain("path-pattern", &["/1"]), plain("path-pattern", &["/2"])];
        assert_eq!(message(twice), "A rule can only have one 'path-pattern' condition");
        assert_eq!(message(vec![]), "A condition must be specified");
    }

    #[test]
    fn bad_values_are_named() {
        assert_eq!(
            message(vec![plain("path-pattern", &["/a b"])]),
            "Condition value '/a b' is not valid for the field 'path-pattern'"
        );
        assert_eq!(
            message(vec![plain("host-header", &["localhost"])]),
            "Condition value 'localhost' is not valid for the field 'host-header'"
        );
        assert_eq!(
            message(vec![plain("path-pattern", &[])]),
            "A condition value must be specified for the field 'path-pattern'"
        );
        assert!(message(vec![plain("colour", &["red"])]).starts_with("Condition field 'colour' must be one of"));
    }
}
