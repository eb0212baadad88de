//! Actions of listeners and rules, checked.

use super::{error, find};
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2 as wire;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::elbv2::Action;

/// The one action of a rule of `load_balancer`.
pub fn parse(state: &Snapshot, scope: &Scope, load_balancer: &str, given: Vec<wire::Action>) -> Result<Vec<Action>, AwsError> {
    let actions = given.into_iter().map(|action| one(state, scope, load_balancer, action)).collect::<Result<Vec<_>, _>>()?;
    match actions.len() {
        1 => Ok(actions),
        0 => Err(error::validation("An action must be specified")),
        _ => Err(AwsError::new("TooManyActions", "You can specify only one forward, redirect or fixed-response action")),
    }
}

fn one(state: &Snapshot, scope: &Scope, load_balancer: &str, action: wire::Action) -> Result<Action, AwsError> {
    match action.r#type.as_deref() {
        Some("forward") => forward(state, scope, load_balancer, action),
        Some("redirect") => redirect(action.redirect_config.ok_or_else(|| error::validation("A redirect action must have a redirect config"))?),
        Some("fixed-response") => {
            fixed(action.fixed_response_config.ok_or_else(|| error::validation("A fixed-response action must have a fixed response config"))?)
        }
        other => Err(error::unsupported(&format!("Action type {}", other.unwrap_or("(none)")))),
    }
}

fn forward(state: &Snapshot, scope: &Scope, load_balancer: &str, action: wire::Action) -> Result<Action, AwsError> {
    let config = action.forward_config.unwrap_or_default();
    let mut groups = Vec::new();
    for tuple in config.target_groups.unwrap_or_default() {
        let weight = tuple.weight.unwrap_or(1);
        if !(0..=999).contains(&weight) {
            return Err(error::validation(format!("The weight '{weight}' must be between 0 and 999")));
        }
        groups.push((tuple.target_group_arn.unwrap_or_default(), weight.unsigned_abs()));
    }
    match action.target_group_arn {
        Some(arn) if groups.is_empty() => groups.push((arn, 1)),
        Some(arn) if groups.len() != 1 || groups[0].0 != arn => {
            return Err(error::validation("You can specify both a target group ARN and a forward config only if they name the same target group"));
        }
        _ => {}
    }
    if groups.is_empty() || groups.len() > 5 {
        return Err(error::validation("A forward action must have 1 to 5 target groups"));
    }
    for (arn, _) in &groups {
        find::target_group(state, scope, arn)?;
        if find::users(state, scope, arn).iter().any(|user| user != load_balancer) {
            let text = format!("The following target groups cannot be associated with more than one load balancer: {arn}");
            return Err(AwsError::new("TargetGroupAssociationLimit", text));
        }
    }
    let stickiness = config.target_group_stickiness_config.filter(|s| s.enabled == Some(true));
    let stickiness_seconds = match stickiness.map(|s| s.duration_seconds) {
        None => None,
        Some(Some(seconds @ 1..=604_800)) => Some(seconds.unsigned_abs()),
        Some(_) => return Err(error::validation("Target group stickiness duration must be between 1 and 604800 seconds")),
    };
    Ok(Action::Forward { target_groups: groups, stickiness_seconds })
}

fn redirect(config: wire::RedirectActionConfig) -> Result<Action, AwsError> {
    let status_code = match config.status_code.as_deref() {
        Some("HTTP_301") => 301,
        Some("HTTP_302") => 302,
        other => return Err(error::validation(format!("Redirect status code '{}' must be HTTP_301 or HTTP_302", other.unwrap_or_default()))),
    };
    let protocol = config.protocol.unwrap_or_else(|| "#{protocol}".to_owned());
    if !matches!(protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
        return Err(error::validation(format!("Redirect protocol '{protocol}' must be HTTP, HTTPS or #{{protocol}}")));
    }
    let port = config.port.unwrap_or_else(|| "#{port}".to_owned());
    if port != "#{port}" && port.parse::<u16>().is_err() {
        return Err(error::validation(format!("Redirect port '{port}' must be 1 to 65535 or #{{port}}")));
    }
    let path = config.path.unwrap_or_else(|| "/#{path}".to_owned());
    if !path.starts_with('/') {
        return Err(error::validation("The redirect path must start with '/'"));
    }
    let host = config.host.unwrap_or_else(|| "#{host}".to_owned());
    let query = config.query.unwrap_or_else(|| "#{query}".to_owned());
    if protocol == "#{protocol}" && port == "#{port}" && host == "#{host}" && path == "/#{path}" {
        let text = "A redirect action must change at least one of protocol, port, host and path, to avoid a loop";
        return Err(AwsError::new("InvalidLoadBalancerAction", text));
    }
    Ok(Action::Redirect { protocol, port, host, path, query, status_code })
}

fn fixed(config: wire::FixedResponseActionConfig) -> Result<Action, AwsError> {
    let code = config.status_code.unwrap_or_default();
    let status_code = code.parse::<u16>().ok().filter(|code| matches!(code, 200..=299 | 400..=599));
    let status_code = status_code.ok_or_else(|| error::validation(format!("Fixed response status code '{code}' must be 2XX, 4XX or 5XX")))?;
    let known = ["text/plain", "text/css", "text/html", "application/javascript", "application/json"];
    if let Some(other) = config.content_type.as_deref().filter(|kind| !known.contains(kind)) {
        return Err(error::validation(format!("Fixed response content type '{other}' must be one of: {}", known.join(", "))));
    }
    if config.message_body.as_ref().is_some_and(|body| body.len() > 1024) {
        return Err(error::validation("The fixed response body must have at most 1024 bytes"));
    }
    Ok(Action::FixedResponse { status_code, content_type: config.content_type, body: config.message_body })
}
