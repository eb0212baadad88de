//! Conditions of rules, checked.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2 as wire;
use longshore_types::elbv2::Condition;

/// Values and wildcards of all conditions of a rule:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>
const VALUES_MAX: usize = 5;
const WILDCARDS_MAX: usize = 6;

pub fn parse(given: Vec<wire::RuleCondition>) -> Result<Vec<Condition>, AwsError> {
    if given.is_empty() {
        return Err(error::validation("A condition must be specified"));
    }
    let conditions = given.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let values: Vec<String> = conditions.iter().flat_map(texts).collect();
    if values.len() > VALUES_MAX {
        return Err(error::validation(format!("A rule can have at most {VALUES_MAX} condition values")));
    }
    let wildcards: usize = values.iter().map(|value| value.matches(['*', '?']).count()).sum();
    if wildcards > WILDCARDS_MAX {
        return Err(error::validation(format!("A rule can have at most {WILDCARDS_MAX} wildcards")));
    }
    Ok(conditions)
}

fn texts(condition: &Condition) -> Vec<String> {
    match condition {
        Condition::PathPattern(v) | Condition::HostHeader(v) | Condition::HttpRequestMethod(v) => v.clone(),
        Condition::HttpHeader { values, .. } => values.clone(),
        Condition::QueryString(pairs) => pairs.iter().map(|(_, value)| value.clone()).collect(),
        Condition::SourceIp(blocks) => blocks.iter().map(ToString::to_string).collect(),
    }
}

fn one(c: wire::RuleCondition) -> Result<Condition, AwsError> {
    let regex = |values: &Option<Vec<String>>| values.as_ref().is_some_and(|list| !list.is_empty());
    let in_config = c.host_header_config.as_ref().is_some_and(|h| regex(&h.regex_values))
        || c.path_pattern_config.as_ref().is_some_and(|p| regex(&p.regex_values))
        || c.http_header_config.as_ref().is_some_and(|h| regex(&h.regex_values));
    if regex(&c.regex_values) || in_config {
        return Err(error::unsupported("RegexValues"));
    }
    let field = c.field.unwrap_or_default();
    let needed = |values: Option<Vec<String>>| values.filter(|v| !v.is_empty()).ok_or_else(|| error::validation(format!("A condition of field '{field}' must have values")));
    let short = |values: Vec<String>, max: usize| match values.iter().find(|value| value.len() > max || value.is_empty()) {
        Some(value) => Err(error::validation(format!("Condition value '{value}' must have 1 to {max} characters"))),
        None => Ok(values),
    };
    match field.as_str() {
        "path-pattern" => Ok(Condition::PathPattern(short(needed(c.path_pattern_config.and_then(|p| p.values).or(c.values))?, 128)?)),
        "host-header" => Ok(Condition::HostHeader(short(needed(c.host_header_config.and_then(|h| h.values).or(c.values))?, 128)?)),
        "http-header" => {
            let config = c.http_header_config.unwrap_or_default();
            let name = config.http_header_name.filter(|name| (1..=40).contains(&name.len()));
            let name = name.ok_or_else(|| error::validation("HttpHeaderName must have 1 to 40 characters"))?;
            if name.eq_ignore_ascii_case("host") {
                return Err(error::validation("Use the host-header condition for the host header"));
            }
            Ok(Condition::HttpHeader { name, values: short(needed(config.values)?, 128)? })
        }
        "http-request-method" => {
            let values = short(needed(c.http_request_method_config.and_then(|m| m.values).or(c.values))?, 40)?;
            match values.iter().find(|value| !value.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_')) {
                Some(value) => Err(error::validation(format!("HTTP request method '{value}' must have capital letters, hyphens and underscores"))),
                None => Ok(Condition::HttpRequestMethod(values)),
            }
        }
        "query-string" => {
            let pairs = c.query_string_config.and_then(|q| q.values).unwrap_or_default();
            let pairs: Vec<(Option<String>, String)> = pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect();
            short(needed(Some(pairs.iter().map(|(_, value)| value.clone()).collect()))?, 128)?;
            Ok(Condition::QueryString(pairs))
        }
        "source-ip" => {
            let values = needed(c.source_ip_config.and_then(|s| s.values).or(c.values))?;
            let parse = |text: &String| text.parse().map_err(|_| error::validation(format!("Condition value '{text}' is not a valid CIDR block")));
            Ok(Condition::SourceIp(values.iter().map(parse).collect::<Result<_, _>>()?))
        }
        other => Err(error::validation(format!("Condition field '{other}' must be one of '[path-pattern, host-header, http-header, http-request-method, query-string, source-ip]'"))),
    }
}
