//! Actions of listeners and rules: read, checked, and what they refer to.

use super::authenticate::{self, Owner};
use super::{error, limits, names, usage};
use crate::Cx;
use crate::vault::Vault;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{self as wire, codes};
use longshore_store::Snapshot;
use longshore_types::elbv2::{Action, LoadBalancer};

const CONTENT_TYPES: [&str; 5] = ["text/plain", "text/css", "text/html", "application/javascript", "application/json"];

/// The actions of a listener or a rule of `load_balancer`, and the order that they were given: one decides, one that lets
/// requests in may be before it.
pub fn parse(
    state: &Snapshot,
    cx: &Cx,
    load_balancer: &LoadBalancer,
    owner: Owner<'_>,
    mut given: Vec<wire::Action>,
) -> Result<(Vec<Action>, Vec<i32>), AwsError> {
    let scope = &cx.scope;
    if given.len() > 1 {
        sort(&mut given)?;
    }
    let order = given.iter().filter_map(|action| action.order).collect();
    let actions: Vec<Action> =
        given.into_iter().map(|given| action(&cx.settings.vault, owner, given)).collect::<Result<_, _>>()?;
    let guards = actions.iter().filter(|action| action.guard().is_some()).count();
    match (guards, actions.len() - guards) {
        (0, 0) => return Err(error::validation("You must specify at least one action")),
        (0 | 1, 0 | 1) => {}
        (0 | 1, _) => {
            let text = "Only one action of type 'forward', 'redirect' or 'fixed-response' can be specified";
            return Err(AwsError::new(codes::TOO_MANY_ACTIONS, text));
        }
        _ => {
            let text = "Only one action of type 'authenticate-oidc' or 'jwt-validation' can be specified";
            return Err(AwsError::new(codes::TOO_MANY_ACTIONS, text));
        }
    }
    if actions.last().is_some_and(|action| action.guard().is_some()) {
        return Err(error::invalid_action(
            "The last action must be one of the following types: forward, fixed-response, redirect",
        ));
    }
    authenticate::check_protocol(owner.protocol, &actions)?;
    for arn in actions.iter().flat_map(Action::target_groups) {
        let group = names::target_group(state, scope, arn)?;
        if group.vpc != load_balancer.vpc {
            return Err(error::invalid_configuration(format!(
                "The target group '{arn}' is not in the VPC '{}' of the load balancer",
                load_balancer.vpc
            )));
        }
        if usage::load_balancers(state, scope, arn).iter().any(|used| *used != load_balancer.arn) {
            let text =
                format!("The following target groups cannot be associated with more than one load balancer: {arn}");
            return Err(AwsError::new(codes::TARGET_GROUP_ASSOCIATION_LIMIT, text));
        }
    }
    let mut groups = usage::target_groups(state, scope, &load_balancer.arn);
    groups.extend(actions.iter().flat_map(Action::target_groups).map(str::to_owned));
    limits::check(&limits::TARGET_GROUPS_PER_LOAD_BALANCER, groups.len())?;
    Ok((actions, order))
}

/// Into the order in which they are performed, which several actions have to say.
fn sort(given: &mut [wire::Action]) -> Result<(), AwsError> {
    // Those that nothing but a decision is asked of are refused for that.
    if given.iter().all(|action| is_decision(action.r#type.as_deref())) {
        return Ok(());
    }
    given.sort_by_key(|action| action.order);
    let is_clear = given.iter().all(|action| action.order.is_some())
        && given.windows(2).all(|pair| pair[0].order != pair[1].order);
    if is_clear { Ok(()) } else { Err(error::invalid_action("Each of several actions must have an Order of its own")) }
}

fn is_decision(kind: Option<&str>) -> bool {
    matches!(kind, Some("forward" | "redirect" | "fixed-response"))
}

fn action(vault: &Vault, owner: Owner<'_>, given: wire::Action) -> Result<Action, AwsError> {
    if given.order.is_some_and(|order| !(1..=50_000).contains(&order)) {
        return Err(error::validation("The order of an action must be from 1 to 50000"));
    }
    let kind = given.r#type.as_deref();
    if kind == Some("authenticate-cognito") || given.authenticate_cognito_config.is_some() {
        return Err(error::validation(
            "The action type 'authenticate-cognito' is not supported: Longshore has no Cognito user pools. \
             Use 'authenticate-oidc' with the endpoints of an OpenID Connect provider",
        ));
    }
    for (of, name, is_given) in [
        ("authenticate-oidc", "AuthenticateOidcConfig", given.authenticate_oidc_config.is_some()),
        ("jwt-validation", "JwtValidationConfig", given.jwt_validation_config.is_some()),
    ] {
        if is_given != (kind == Some(of)) {
            let text = if is_given { "can only" } else { "must" };
            return Err(error::invalid_action(format!("{name} {text} be specified for actions of type '{of}'")));
        }
    }
    match kind {
        Some("forward") => forward(given.target_group_arn, given.forward_config),
        Some("redirect") => redirect(given.redirect_config.unwrap_or_default()),
        Some("fixed-response") => fixed_response(given.fixed_response_config.unwrap_or_default()),
        Some("authenticate-oidc") => {
            authenticate::oidc(vault, owner, given.authenticate_oidc_config.unwrap_or_default())
        }
        Some("jwt-validation") => authenticate::jwt(given.jwt_validation_config.unwrap_or_default()),
        kind => Err(error::invalid_action(format!("Action type '{}' is not valid", kind.unwrap_or_default()))),
    }
}

/// One group by its ARN alone, or up to five with weights. Where both are given they must agree.
fn forward(single: Option<String>, config: Option<wire::ForwardActionConfig>) -> Result<Action, AwsError> {
    let config = config.unwrap_or_default();
    let tuples = config.target_groups.unwrap_or_default();
    let target_groups: Vec<(String, u32)> = match (single, &tuples[..]) {
        (Some(arn), []) => vec![(arn, 1)],
        (Some(arn), [only]) if only.target_group_arn.as_ref() == Some(&arn) => vec![weighted(only)?],
        (Some(_), _) => {
            return Err(error::invalid_action(
                "You cannot specify both a target group ARN and a different list of target groups",
            ));
        }
        (None, []) => return Err(error::validation("A target group ARN must be specified for a forward action")),
        (None, tuples) => tuples.iter().map(weighted).collect::<Result<_, _>>()?,
    };
    limits::check(&limits::TARGET_GROUPS_PER_ACTION, target_groups.len())?;
    if (1..target_groups.len()).any(|n| target_groups[..n].iter().any(|(arn, _)| *arn == target_groups[n].0)) {
        return Err(error::validation("A forward action cannot have the same target group twice"));
    }
    let stickiness = config.target_group_stickiness_config.unwrap_or_default();
    let is_sticky = stickiness.enabled == Some(true);
    let seconds = match stickiness.duration_seconds.map(u32::try_from) {
        Some(Ok(seconds)) if (1..=604_800).contains(&seconds) => Some(seconds),
        None if !is_sticky => None,
        _ => return Err(error::validation("Target group stickiness duration must be from 1 to 604800 seconds")),
    };
    let (stickiness_seconds, unused_stickiness_seconds) = if is_sticky { (seconds, None) } else { (None, seconds) };
    Ok(Action::Forward { target_groups, stickiness_seconds, unused_stickiness_seconds })
}

fn weighted(tuple: &wire::TargetGroupTuple) -> Result<(String, u32), AwsError> {
    let arn = tuple.target_group_arn.clone();
    let arn = arn.ok_or_else(|| error::validation("A target group ARN must be specified for a forward action"))?;
    match u32::try_from(tuple.weight.unwrap_or(1)) {
        Ok(weight) if weight <= 999 => Ok((arn, weight)),
        _ => Err(error::validation("The weight of a target group must be from 0 to 999")),
    }
}

/// Components that are not given stay as in the request; one besides the query must change, or it would redirect to
/// itself.
fn redirect(given: wire::RedirectActionConfig) -> Result<Action, AwsError> {
    let status_code = match given.status_code.as_deref() {
        Some("HTTP_301") => 301,
        Some("HTTP_302") => 302,
        _ => return Err(error::validation("The status code of a redirect must be 'HTTP_301' or 'HTTP_302'")),
    };
    let or = |given: Option<String>, default: &str| given.unwrap_or_else(|| default.to_owned());
    let protocol = or(given.protocol, "#{protocol}");
    let port = or(given.port, "#{port}");
    let host = or(given.host, "#{host}");
    let path = or(given.path, "/#{path}");
    let query = or(given.query, "#{query}");
    let problem = if !matches!(protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
        "protocol must be 'HTTP', 'HTTPS' or '#{protocol}'"
    } else if port != "#{port}" && !port.parse().is_ok_and(|port: u16| port > 0) {
        "port must be from 1 to 65535 or '#{port}'"
    } else if host.is_empty() || host.len() > 128 {
        "host must have 1 to 128 characters"
    } else if !path.starts_with('/') || path.len() > 128 {
        "path must begin with '/' and have at most 128 characters"
    } else if query.starts_with('?') || query.len() > 128 {
        "query must not begin with '?' and must have at most 128 characters"
    } else if [&protocol, &port, &host, &path] == ["#{protocol}", "#{port}", "#{host}", "/#{path}"] {
        "configuration is not valid because it creates a loop"
    } else {
        return Ok(Action::Redirect { protocol, port, host, path, query, status_code });
    };
    Err(error::invalid_action(format!("The redirect {problem}")))
}

fn fixed_response(given: wire::FixedResponseActionConfig) -> Result<Action, AwsError> {
    let text = given.status_code.unwrap_or_default();
    let status_code = text.parse().ok().filter(|code: &u16| text.len() == 3 && matches!(code / 100, 2 | 4 | 5));
    let status_code =
        status_code.ok_or_else(|| error::validation("The status code of a fixed response must be 2XX, 4XX or 5XX"))?;
    if let Some(other) = given.content_type.as_deref().filter(|kind| !CONTENT_TYPES.contains(kind)) {
        return Err(error::validation(format!(
            "The content type '{other}' of a fixed response must be one of {}",
            CONTENT_TYPES.join(", ")
        )));
    }
    if given.message_body.as_ref().is_some_and(|body| body.len() > 1024) {
        return Err(error::validation("The message body of a fixed response can have at most 1024 characters"));
    }
    Ok(Action::FixedResponse { status_code, content_type: given.content_type, body: given.message_body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn message(result: Result<Action, AwsError>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn forwards_have_one_group_or_weights() {
        let tuple = |arn: &str, weight| wire::TargetGroupTuple { target_group_arn: text(arn), weight };
        let config = |tuples| {
            Some(wire::ForwardActionConfig { target_groups: Some(tuples), target_group_stickiness_config: None })
        };
        let one = Action::Forward {
            target_groups: vec![("a".to_owned(), 1)],
            stickiness_seconds: None,
            unused_stickiness_seconds: None,
        };
        assert_eq!(forward(text("a"), None), Ok(one.clone()));
        assert_eq!(forward(text("a"), config(vec![tuple("a", None)])), Ok(one));
        let two = Action::Forward {
            target_groups: vec![("a".to_owned(), 0), ("b".to_owned(), 999)],
            stickiness_seconds: None,
            unused_stickiness_seconds: None,
        };
        assert_eq!(forward(None, config(vec![tuple("a", Some(0)), tuple("b", Some(999))])), Ok(two));
        assert!(message(forward(text("c"), config(vec![tuple("a", None)]))).starts_with("InvalidLoadBalancerAction"));
        assert!(message(forward(None, config(vec![tuple("a", Some(1000))]))).contains("0 to 999"));
        assert!(message(forward(None, config(vec![tuple("a", None), tuple("a", None)]))).contains("twice"));
        assert!(message(forward(None, None)).starts_with("ValidationError: A target group ARN"));
    }

    #[test]
    fn redirects_change_something() {
        let given = |config: wire::RedirectActionConfig| {
            redirect(wire::RedirectActionConfig { status_code: text("HTTP_301"), ..config })
        };
        let https =
            given(wire::RedirectActionConfig { protocol: text("HTTPS"), port: text("443"), ..Default::default() });
        let Ok(Action::Redirect { protocol, path, status_code: 301, .. }) = https else { panic!("{https:?}") };
        assert_eq!((protocol.as_str(), path.as_str()), ("HTTPS", "/#{path}"));
        assert_eq!(
            message(given(wire::RedirectActionConfig::default())),
            "InvalidLoadBalancerAction: The redirect configuration is not valid because it creates a loop"
        );
        for bad in [
            wire::RedirectActionConfig { port: text("0"), ..Default::default() },
            wire::RedirectActionConfig { path: text("a"), ..Default::default() },
            wire::RedirectActionConfig { query: text("?a"), ..Default::default() },
            wire::RedirectActionConfig { protocol: text("FTP"), ..Default::default() },
        ] {
            assert!(given(bad.clone()).is_err(), "{bad:?}");
        }
        assert!(
            redirect(wire::RedirectActionConfig {
                port: text("1"),
                status_code: text("HTTP_303"),
                ..Default::default()
            })
            .is_err()
        );
    }

    #[test]
    fn fixed_responses_have_a_code_and_a_known_type() {
        let given = |code: &str, kind: Option<&str>| {
            fixed_response(wire::FixedResponseActionConfig {
                status_code: text(code),
                content_type: kind.and_then(text),
                message_body: None,
            })
        };
        assert_eq!(given("404", None), Ok(Action::FixedResponse { status_code: 404, content_type: None, body: None }));
        for bad in ["", "302", "4040", "+04"] {
            assert!(given(bad, None).is_err(), "{bad}");
        }
        assert!(given("200", Some("image/png")).is_err());
    }
}
