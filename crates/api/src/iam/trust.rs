//! Trust policies: who may assume a role.

use serde_json::Value;

/// Who asks for a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal<'a> {
    /// `ecs-tasks.amazonaws.com`.
    Service(&'a str),
    /// A caller by ARN, in an account.
    Aws { arn: &'a str, account: &'a str },
}

/// Whether a trust policy (JSON text) lets a service such as `ecs-tasks.amazonaws.com` assume its role.
pub fn may_be_assumed_by(trust_policy: &str, service_principal: &str) -> bool {
    may_assume(trust_policy, Principal::Service(service_principal))
}

/// Whether a trust policy (JSON text) lets `principal` assume its role: a statement allows it and none denies it. A
/// policy that does not read as one allows nothing.
///
/// Conditions are not evaluated, because a task's start or a local session has nothing to compare with
/// `aws:SourceArn` and its like: an Allow counts with its conditions met, and a conditional Deny does not apply.
pub fn may_assume(trust_policy: &str, principal: Principal<'_>) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(trust_policy) else { return false };
    let mut allowed = false;
    for statement in one_or_many(&policy["Statement"]) {
        if !covers_assume_role(statement) || !covers_principal(statement, principal) {
            continue;
        }
        match statement["Effect"].as_str() {
            Some("Allow") => allowed = true,
            Some("Deny") if statement.get("Condition").is_none() => return false,
            _ => {}
        }
    }
    allowed
}

fn covers_assume_role(statement: &Value) -> bool {
    let is_assume_role = |action: &Value| {
        action.as_str().is_some_and(|action| crate::ec2::filter::is_like(&action.to_lowercase(), "sts:assumerole"))
    };
    match (statement.get("Action"), statement.get("NotAction")) {
        (Some(actions), _) => one_or_many(actions).iter().any(is_assume_role),
        (None, Some(actions)) => !one_or_many(actions).iter().any(is_assume_role),
        (None, None) => false,
    }
}

fn covers_principal(statement: &Value, principal: Principal<'_>) -> bool {
    match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(named), _) => names(named, principal),
        (None, Some(named)) => !names(named, principal),
        (None, None) => false,
    }
}

fn names(named: &Value, principal: Principal<'_>) -> bool {
    if named.as_str() == Some("*") {
        return true;
    }
    let among = |kind: &str, fits: &dyn Fn(&str) -> bool| {
        one_or_many(&named[kind]).iter().filter_map(Value::as_str).any(|name| name == "*" || fits(name))
    };
    match principal {
        Principal::Service(service) => among("Service", &|name| name == service),
        Principal::Aws { arn, account } => among("AWS", &|name| {
            name == arn || name == account || name == format!("arn:aws:iam::{account}:root")
        }),
    }
}

/// IAM takes a single value for a list of one.
fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(values) => values,
        value => std::slice::from_ref(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TASKS: &str = "ecs-tasks.amazonaws.com";

    fn allows(statements: Value) -> bool {
        may_be_assumed_by(&json!({"Version": "2012-10-17", "Statement": statements}).to_string(), TASKS)
    }

    #[test]
    fn a_service_is_allowed_by_name() {
        let allow = json!({"Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:AssumeRole"});
        assert!(allows(allow.clone()));
        assert!(allows(json!([allow])));
        assert!(allows(json!({"Effect": "Allow", "Principal": {"Service": ["a", TASKS]}, "Action": ["sts:TagSession", "sts:AssumeRole"]})));
        assert!(allows(json!({"Effect": "Allow", "Principal": "*", "Action": "sts:*"})));
        assert!(!allows(json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})));
        assert!(!allows(json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})));
        assert!(!allows(json!({"Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:TagSession"})));
        assert!(!allows(json!([])));
        assert!(!may_be_assumed_by("not json", TASKS));
    }

    #[test]
    fn a_denial_wins_wherever_it_stands() {
        let allow = json!({"Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:AssumeRole"});
        let deny = json!({"Effect": "Deny", "Principal": {"Service": TASKS}, "Action": "*"});
        assert!(!allows(json!([deny, allow])));
        assert!(!allows(json!([allow, deny])));
        let deny_others = json!({"Effect": "Deny", "NotPrincipal": {"Service": TASKS}, "Action": "sts:AssumeRole"});
        assert!(allows(json!([allow, deny_others])));
    }

    #[test]
    fn callers_are_allowed_by_arn_or_by_their_account() {
        let arn = "arn:aws:iam::123456789012:role/a";
        let caller = Principal::Aws { arn, account: "123456789012" };
        for (named, expected) in [
            ("123456789012", true),
            ("arn:aws:iam::123456789012:root", true),
            (arn, true),
            ("*", true),
            ("arn:aws:iam::210987654321:root", false),
        ] {
            let policy = json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": named}, "Action": "sts:AssumeRole"}});
            assert_eq!(may_assume(&policy.to_string(), caller), expected, "{named}");
        }
    }
}
