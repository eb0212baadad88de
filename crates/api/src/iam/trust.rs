//! Trust policies: who may assume a role.

use crate::ec2::filter::is_like;
use serde_json::Value;

/// Who asks for a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal<'a> {
    /// `ecs-tasks.amazonaws.com`.
    Service(&'a str),
    /// A caller in an account: by its ARNs (a session has its own and its role's), and what it says of itself.
    Aws { arns: &'a [String], account: &'a str, external_id: Option<&'a str> },
}

/// Whether a trust policy (JSON text) lets a service such as `ecs-tasks.amazonaws.com` assume its role.
pub fn may_be_assumed_by(trust_policy: &str, service_principal: &str) -> bool {
    may_assume(trust_policy, Principal::Service(service_principal))
}

/// Whether a trust policy (JSON text) lets `principal` assume its role: a statement allows it and none denies it. A
/// policy that does not read as one allows nothing.
///
/// A service's conditions (`aws:SourceArn`, `aws:SourceAccount`) hold by themselves: whatever asks for a role here asks
/// for a resource of the role's own account. Of a caller's conditions only `sts:ExternalId` can be checked; any other
/// one does not hold for an Allow, and holds for a Deny.
pub fn may_assume(trust_policy: &str, principal: Principal<'_>) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(trust_policy) else { return false };
    let mut allowed = false;
    for statement in one_or_many(&policy["Statement"]) {
        if !covers_assume_role(statement) || !covers_principal(statement, principal) {
            continue;
        }
        let holds = statement.get("Condition").map(|condition| holds(condition, principal));
        match (statement["Effect"].as_str(), holds) {
            (Some("Allow"), None | Some(Holds::Yes)) => allowed = true,
            (Some("Deny"), None | Some(Holds::Yes | Holds::Unknown)) => return false,
            _ => {}
        }
    }
    allowed
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    No,
    Unknown,
    Yes,
}

/// All operators of a condition, and all keys of an operator, must hold.
fn holds(condition: &Value, principal: Principal<'_>) -> Holds {
    let Principal::Aws { external_id, .. } = principal else { return Holds::Yes };
    let one = |operator: &str, key: &str, values: &Value| {
        if !key.eq_ignore_ascii_case("sts:ExternalId") {
            return Holds::Unknown;
        }
        let fits: fn(&str, &str) -> bool = match operator {
            "StringEquals" => |pattern, text| pattern == text,
            "StringLike" => is_like,
            _ => return Holds::Unknown,
        };
        let given = external_id.unwrap_or_default();
        let any = one_or_many(values).iter().filter_map(Value::as_str).any(|pattern| fits(pattern, given));
        if external_id.is_some() && any { Holds::Yes } else { Holds::No }
    };
    let operators = condition.as_object().into_iter().flatten();
    let keys = operators.flat_map(|(operator, keys)| {
        keys.as_object().into_iter().flatten().map(move |(key, values)| (operator, key, values))
    });
    keys.map(|(operator, key, values)| one(operator, key, values)).min().unwrap_or(Holds::Yes)
}

fn covers_assume_role(statement: &Value) -> bool {
    let is_assume_role =
        |action: &Value| action.as_str().is_some_and(|action| is_like(&action.to_lowercase(), "sts:assumerole"));
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
        Principal::Aws { arns, account, .. } => among("AWS", &|name| {
            arns.iter().any(|arn| arn == name) || name == account || name == format!("arn:aws:iam::{account}:root")
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
        assert!(allows(
            json!({"Effect": "Allow", "Principal": {"Service": ["a", TASKS]}, "Action": ["sts:TagSession", "sts:AssumeRole"]})
        ));
        assert!(allows(json!({"Effect": "Allow", "Principal": "*", "Action": "sts:*"})));
        assert!(!allows(
            json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
        ));
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
        let arns = ["arn:aws:iam::123456789012:role/a".to_owned()];
        let caller = Principal::Aws { arns: &arns, account: "123456789012", external_id: None };
        for (named, expected) in [
            ("123456789012", true),
            ("arn:aws:iam::123456789012:root", true),
            ("arn:aws:iam::123456789012:role/a", true),
            ("*", true),
            ("arn:aws:iam::210987654321:root", false),
        ] {
            let policy =
                json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": named}, "Action": "sts:AssumeRole"}});
            assert_eq!(may_assume(&policy.to_string(), caller), expected, "{named}");
        }
    }

    #[test]
    fn a_callers_conditions_hold_only_where_they_can_be_checked() {
        let may = |condition: Value, external_id: Option<&str>| {
            let policy = json!({"Statement": {
                "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole", "Condition": condition,
            }});
            may_assume(&policy.to_string(), Principal::Aws { arns: &[], account: "123456789012", external_id })
        };
        let external = json!({"StringEquals": {"sts:ExternalId": ["a", "b"]}});
        assert!(may(external.clone(), Some("b")));
        assert!(!may(external.clone(), Some("c")));
        assert!(!may(external, None));
        assert!(may(json!({"StringLike": {"sts:externalid": "a*"}}), Some("ab")));
        assert!(!may(json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}), Some("b")));
    }

    #[test]
    fn a_services_conditions_hold() {
        assert!(allows(json!({
            "Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:AssumeRole",
            "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:ecs:us-east-1:123456789012:*"}},
        })));
    }
}
