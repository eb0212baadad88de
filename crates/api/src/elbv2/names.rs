//! ARNs of load balancing, and finding what they name.

use super::error;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_store::tables::Rules;
use longshore_types::elbv2::{Listener, LoadBalancer, Rule, TargetGroup};
use longshore_types::{Scope, arn};
use std::sync::Arc;

/// `…:loadbalancer/app/<name>/<id>`.
pub fn load_balancer_arn(scope: &Scope, name: &str, id: &str) -> String {
    arn::elbv2(scope, &format!("loadbalancer/app/{name}/{id}"))
}

/// `…:targetgroup/<name>/<id>`.
pub fn target_group_arn(scope: &Scope, name: &str, id: &str) -> String {
    arn::elbv2(scope, &format!("targetgroup/{name}/{id}"))
}

/// `…:listener/app/<name>/<load balancer's id>/<id>`.
pub fn listener_arn(load_balancer: &str, id: &str) -> String {
    format!("{}/{id}", load_balancer.replacen(":loadbalancer/", ":listener/", 1))
}

/// `…:listener-rule/app/<name>/<load balancer's id>/<listener's id>/<id>`.
pub fn rule_arn(listener: &str, id: &str) -> String {
    format!("{}/{id}", listener.replacen(":listener/", ":listener-rule/", 1))
}

/// The ARN of a listener's default rule. It has no row, so its id is made of the listener's: read backwards.
pub fn default_rule_arn(listener: &str) -> String {
    let id = listener.rsplit('/').next().unwrap_or_default();
    rule_arn(listener, &id.chars().rev().collect::<String>())
}

/// `app/<name>/<id>` of a load balancer's ARN, as descriptions of interfaces have it.
pub fn path(load_balancer: &str) -> &str {
    load_balancer.split_once(":loadbalancer/").map_or(load_balancer, |(_, path)| path)
}

pub fn load_balancer(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Arc<LoadBalancer>, AwsError> {
    check(arn, "loadbalancer", "load balancer")?;
    state.load_balancers().get(&(scope.clone(), arn.to_owned())).ok_or_else(error::load_balancer_not_found)
}

pub fn target_group(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Arc<TargetGroup>, AwsError> {
    check(arn, "targetgroup", "target group")?;
    state.target_groups().get(&(scope.clone(), arn.to_owned())).ok_or_else(error::target_group_not_found)
}

pub fn listener(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Arc<Listener>, AwsError> {
    check(arn, "listener", "listener")?;
    state.listeners().get(&(scope.clone(), arn.to_owned())).ok_or_else(error::listener_not_found)
}

/// A rule that was made by CreateRule, or the default one of a listener.
pub enum NamedRule {
    Own(Arc<Rule>),
    Default(Arc<Listener>),
}

pub fn rule(state: &Snapshot, scope: &Scope, arn: &str) -> Result<NamedRule, AwsError> {
    check(arn, "listener-rule", "listener rule")?;
    if let Some(rule) = state.rules().get(&(scope.clone(), arn.to_owned())) {
        return Ok(NamedRule::Own(rule));
    }
    let (listener, _) = arn.rsplit_once('/').unwrap_or_default();
    let listener = listener.replacen(":listener-rule/", ":listener/", 1);
    match state.listeners().get(&(scope.clone(), listener)) {
        Some(listener) if default_rule_arn(&listener.arn) == arn => Ok(NamedRule::Default(listener)),
        _ => Err(error::rule_not_found()),
    }
}

/// The rules of a listener by priority, without the default one.
pub fn rules_of(state: &Snapshot, scope: &Scope, listener: &str) -> Vec<Arc<Rule>> {
    let mut rules: Vec<_> =
        state.rules().by_index(&Rules::BY_LISTENER, &(scope.clone(), listener.to_owned())).collect();
    rules.sort_by_key(|rule| rule.priority);
    rules
}

/// What is no ARN of this kind could never be found.
fn check(given: &str, kind: &str, noun: &str) -> Result<(), AwsError> {
    let resource = arn::Arn::parse(given).filter(|arn| arn.service == "elasticloadbalancing").map(|arn| arn.resource);
    match resource.and_then(|resource| resource.split_once('/')) {
        Some((found, _)) if found == kind => Ok(()),
        _ => Err(error::validation(format!("'{given}' is not a valid {noun} ARN"))),
    }
}

/// Names of load balancers and target groups: 1 to 32 letters, digits and hyphens, no hyphen at an end.
pub fn check_name(noun: &str, name: &str) -> Result<(), AwsError> {
    let problem = if name.is_empty() {
        "cannot be blank"
    } else if name.len() > 32 {
        "cannot be longer than '32' characters"
    } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        "can only contain characters that are alphanumeric characters and hyphens(-)"
    } else if name.starts_with('-') || name.ends_with('-') {
        "cannot begin or end with '-'"
    } else {
        return Ok(());
    };
    Err(error::validation(format!("The {noun} name '{name}' {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_made_of_their_parents() {
        let scope = Scope::new("123456789012", "us-east-1");
        let lb = load_balancer_arn(&scope, "web", "50dc6c495c0c9188");
        let listener = listener_arn(&lb, "f2f7dc8efc522ab2");
        assert_eq!(path(&lb), "app/web/50dc6c495c0c9188");
        assert_eq!(
            rule_arn(&listener, "9683b2d02a6cabee"),
            "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"
        );
        assert!(default_rule_arn(&listener).ends_with("/f2f7dc8efc522ab2/2ba225cfe8cd7f2f"));
        assert!(check(&lb, "loadbalancer", "load balancer").is_ok());
        let error = check("web", "loadbalancer", "load balancer").expect_err("a name");
        assert_eq!(error.message, "'web' is not a valid load balancer ARN");
    }

    #[test]
    fn names_have_letters_digits_and_hyphens_inside() {
        assert!(check_name("load balancer", "web-1").is_ok());
        for (name, problem) in
            [("-web", "begin or end"), ("we_b", "alphanumeric"), (&"w".repeat(33), "longer"), ("", "blank")]
        {
            assert!(check_name("load balancer", name).expect_err("bad").message.contains(problem), "{name}");
        }
    }
}
