//! Trust policies: which services may assume a role. Callers are decided by [`crate::identity::is_trusted`].

use longshore_policy::{MapContext, Policy, Principal, Request, says};
use longshore_types::Scope;
use longshore_types::arn;
use longshore_types::iam::Role;

/// Whether a role trusts a service such as `ecs-tasks.amazonaws.com`, which asks on behalf of ECS in this account and
/// region. A policy that does not read as one trusts nobody.
pub fn trusts_service(role: &Role, service: &str, scope: &Scope) -> bool {
    let Ok(policy) = Policy::parse(&role.trust_policy) else { return false };
    let resource = arn::role(&scope.account, &role.path, &role.name);
    let mut context = MapContext::default();
    // ECS does not say for which task it asks: AWS's pages have the policies of roles name all of them.
    context.set("aws:SourceArn", vec![format!("arn:aws:ecs:{}:{}:*", scope.region, scope.account)]);
    context.set("aws:SourceAccount", vec![scope.account.to_string()]);
    let principal = Principal::Service(service);
    let request = Request { action: "sts:AssumeRole", resource: &resource, principal, context: &context };
    says(&request, &policy, true).is_allowed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const TASKS: &str = "ecs-tasks.amazonaws.com";

    fn trusts(statements: Value) -> bool {
        let trust_policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        trusts_service(&role(trust_policy), TASKS, &Scope::new("123456789012", "us-east-1"))
    }

    fn role(trust_policy: String) -> Role {
        Role {
            name: "web".to_owned(),
            path: "/".to_owned(),
            id: "AROAX".to_owned(),
            trust_policy,
            description: None,
            max_session_seconds: 3600,
            created_at: Default::default(),
            tags: Default::default(),
            attached_policies: Default::default(),
            inline_policies: Default::default(),
            permissions_boundary: None,
            linked_service: None,
            last_used: None,
        }
    }

    #[test]
    fn a_service_is_trusted_by_name() {
        let allow = json!({"Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:AssumeRole"});
        assert!(trusts(allow.clone()));
        assert!(trusts(json!([allow])));
        assert!(trusts(
            json!({"Effect": "Allow", "Principal": {"Service": ["a", TASKS]}, "Action": ["sts:TagSession", "sts:AssumeRole"]})
        ));
        assert!(trusts(json!({"Effect": "Allow", "Principal": "*", "Action": "sts:*"})));
        assert!(!trusts(
            json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
        ));
        assert!(!trusts(json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})));
        assert!(!trusts(json!({"Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:TagSession"})));
        assert!(!trusts(json!([])));
        let scope = Scope::new("123456789012", "us-east-1");
        assert!(!trusts_service(&role("not json".to_owned()), TASKS, &scope));
    }

    #[test]
    fn a_denial_wins_wherever_it_stands() {
        let allow = json!({"Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:AssumeRole"});
        let deny = json!({"Effect": "Deny", "Principal": {"Service": TASKS}, "Action": "*"});
        assert!(!trusts(json!([deny, allow])));
        assert!(!trusts(json!([allow, deny])));
        let deny_others = json!({"Effect": "Deny", "NotPrincipal": {"Service": TASKS}, "Action": "sts:AssumeRole"});
        assert!(trusts(json!([allow, deny_others])));
    }

    #[test]
    fn conditions_on_the_source_are_those_of_ecs_in_the_account() {
        let with = |account: &str| {
            trusts(json!({
                "Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:AssumeRole",
                "Condition": {
                    "ArnLike": {"aws:SourceArn": format!("arn:aws:ecs:us-east-1:{account}:*")},
                    "StringEquals": {"aws:SourceAccount": account},
                },
            }))
        };
        assert!(with("123456789012"));
        assert!(!with("210987654321"));
    }
}
