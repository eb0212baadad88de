//! Policy documents: whether a text is one, in IAM's words. What a trust policy allows is decided in the `longshore-policy` crate.

use super::error::malformed_policy;
use longshore_aws_model::AwsError;
use longshore_types::arn::Arn;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What a document is for, which decides the fields it must and must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Who may assume a role.
    Trust,
    /// What a role may do.
    Permissions,
}

const SYNTAX: &str = "Syntax errors in policy.";
const TOP_FIELDS: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT_FIELDS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

/// An error if `text` is not a policy document for this purpose.
pub fn check(text: &str, purpose: Purpose) -> Result<(), AwsError> {
    let document: Value = serde_json::from_str(text).map_err(|_| match purpose {
        Purpose::Trust => malformed_policy("This policy contains invalid Json"),
        Purpose::Permissions => malformed_policy(SYNTAX),
    })?;
    let document = document.as_object().filter(|document| has_only(document, &TOP_FIELDS)).ok_or_else(syntax)?;
    let version = document.get("Version");
    if !version.is_none_or(|version| version == "2012-10-17" || version == "2008-10-17") {
        return Err(syntax());
    }
    if purpose == Purpose::Permissions && version.is_none_or(|version| version != "2012-10-17") {
        return Err(malformed_policy("Policy document must be version 2012-10-17 or greater."));
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return Err(syntax()),
    };
    let mut ids = BTreeSet::new();
    for statement in statements {
        let statement =
            statement.as_object().filter(|statement| has_only(statement, &STATEMENT_FIELDS)).ok_or_else(syntax)?;
        check_statement(statement, purpose)?;
        if let Some(id) = statement.get("Sid") {
            let id = id.as_str().ok_or_else(syntax)?;
            if !id.is_empty() && !ids.insert(id) {
                return Err(malformed_policy("Statement IDs (SID) in a single policy must be unique."));
            }
        }
    }
    // What is stored can be evaluated: conditions are read to their end.
    longshore_policy::Policy::parse(text).map(drop).map_err(|error| malformed_policy(error.0))
}

/// An error if `text` cannot narrow a session.
pub fn check_session_policy(text: &str) -> Result<(), AwsError> {
    check(text, Purpose::Permissions)
}

fn check_statement(statement: &Map<String, Value>, purpose: Purpose) -> Result<(), AwsError> {
    match statement.get("Effect").map(Value::as_str) {
        None => return Err(malformed_policy("Missing required field Effect")),
        Some(Some("Allow" | "Deny")) => {}
        Some(Some(effect)) if effect.eq_ignore_ascii_case("allow") || effect.eq_ignore_ascii_case("deny") => {
            return Err(malformed_policy("The policy failed legacy parsing"));
        }
        Some(_) => return Err(syntax()),
    }
    for pair in [("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal")] {
        if statement.contains_key(pair.0) && statement.contains_key(pair.1) {
            return Err(syntax());
        }
    }
    if !statement.get("Condition").is_none_or(Value::is_object) {
        return Err(syntax());
    }
    match purpose {
        Purpose::Trust => check_trust(statement),
        Purpose::Permissions => check_permissions(statement),
    }
}

fn check_trust(statement: &Map<String, Value>) -> Result<(), AwsError> {
    for field in ["Resource", "NotResource", "NotPrincipal"] {
        if statement.contains_key(field) {
            return Err(malformed_policy(format!("Has prohibited field {field}")));
        }
    }
    let Some(principal) = statement.get("Principal") else {
        return Err(malformed_policy("Missing required field Principal"));
    };
    check_principal(principal)?;
    let Some(actions) = one_of(statement, "Action", "NotAction")? else {
        return Err(malformed_policy("Missing required field Action"));
    };
    let is_sts = |action: &&str| action.to_ascii_lowercase().starts_with("sts:") || *action == "*";
    if !actions.iter().all(is_sts) {
        return Err(malformed_policy("AssumeRole policy may only specify STS AssumeRole actions."));
    }
    Ok(())
}

fn check_principal(principal: &Value) -> Result<(), AwsError> {
    let kinds = match principal {
        Value::String(all) if all == "*" => return Ok(()),
        Value::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err(malformed_policy("Invalid principal in policy")),
    };
    for (kind, names) in kinds {
        if !["AWS", "Service", "Federated", "CanonicalUser"].contains(&kind.as_str()) {
            return Err(malformed_policy("Invalid principal in policy"));
        }
        for name in texts(names)? {
            let is_account = name.len() == 12 && name.bytes().all(|b| b.is_ascii_digit());
            let is_valid = match kind.as_str() {
                "AWS" => name == "*" || is_account || Arn::parse(name).is_some(),
                "Service" => name == "*" || name.contains('.'),
                _ => !name.is_empty(),
            };
            if !is_valid {
                let kind = if kind == "Service" { "SERVICE" } else { kind };
                return Err(malformed_policy(format!("Invalid principal in policy: \"{kind}\":\"{name}\"")));
            }
        }
    }
    Ok(())
}

fn check_permissions(statement: &Map<String, Value>) -> Result<(), AwsError> {
    if statement.contains_key("Principal") || statement.contains_key("NotPrincipal") {
        return Err(malformed_policy("Policy document should not specify a principal."));
    }
    let actions = one_of(statement, "Action", "NotAction")?.filter(|actions| !actions.is_empty());
    let actions = actions.ok_or_else(|| malformed_policy("Policy statement must contain actions."))?;
    if !actions.iter().all(|action| *action == "*" || action.contains(':')) {
        let message = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
        return Err(malformed_policy(message));
    }
    let resources = one_of(statement, "Resource", "NotResource")?.filter(|resources| !resources.is_empty());
    let resources = resources.ok_or_else(|| malformed_policy("Policy statement must contain resources."))?;
    let is_arn = |resource: &str| resource.starts_with("arn:") && resource.split(':').count() >= 6;
    match resources.into_iter().find(|resource| *resource != "*" && !is_arn(resource)) {
        Some(resource) => Err(malformed_policy(format!("Resource {resource} must be in ARN format or \"*\"."))),
        None => Ok(()),
    }
}

/// The texts of whichever of two fields is there.
fn one_of<'a>(statement: &'a Map<String, Value>, a: &str, b: &str) -> Result<Option<Vec<&'a str>>, AwsError> {
    statement.get(a).or_else(|| statement.get(b)).map(texts).transpose()
}

/// A text or a list of texts.
fn texts(value: &Value) -> Result<Vec<&str>, AwsError> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(values) => values.iter().map(|value| value.as_str().ok_or_else(syntax)).collect(),
        _ => Err(syntax()),
    }
}

fn has_only(object: &Map<String, Value>, fields: &[&str]) -> bool {
    object.keys().all(|key| fields.contains(&key.as_str()))
}

fn syntax() -> AwsError {
    malformed_policy(SYNTAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(purpose: Purpose, statement: Value) -> Option<String> {
        let document = json!({"Version": "2012-10-17", "Statement": statement});
        check(&document.to_string(), purpose).err().map(|error| error.message)
    }

    #[test]
    fn trust_policies_name_principals_and_no_resources() {
        let good =
            json!({"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"});
        assert_eq!(refusal(Purpose::Trust, json!([good])), None);
        assert_eq!(refusal(Purpose::Trust, good.clone()), None);
        let with = |field: &str, value: Value| {
            let mut statement = good.clone();
            match value {
                Value::Null => drop(statement.as_object_mut().expect("an object").remove(field)),
                value => statement[field] = value,
            }
            refusal(Purpose::Trust, statement).expect("it is refused")
        };
        assert_eq!(with("Resource", json!("*")), "Has prohibited field Resource");
        assert_eq!(with("Principal", Value::Null), "Missing required field Principal");
        let others = json!({"Effect": "Deny", "NotPrincipal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"});
        assert_eq!(refusal(Purpose::Trust, others).as_deref(), Some("Has prohibited field NotPrincipal"));
        assert_eq!(with("Action", Value::Null), "Missing required field Action");
        assert_eq!(with("Effect", Value::Null), "Missing required field Effect");
        assert_eq!(with("Effect", json!("allow")), "The policy failed legacy parsing");
        assert_eq!(with("Action", json!("s3:*")), "AssumeRole policy may only specify STS AssumeRole actions.");
        assert_eq!(with("Principal", json!({"AWS": "me"})), "Invalid principal in policy: \"AWS\":\"me\"");
        assert_eq!(with("Principal", json!({"Service": "ecs"})), "Invalid principal in policy: \"SERVICE\":\"ecs\"");
        assert_eq!(with("Colour", json!("red")), SYNTAX);
        assert_eq!(refusal(Purpose::Trust, json!([])).as_deref(), Some(SYNTAX));
    }

    #[test]
    fn permissions_name_actions_and_resources() {
        let good = json!({"Sid": "a", "Effect": "Allow", "Action": ["s3:*"], "Resource": "arn:aws:s3:::bucket"});
        assert_eq!(refusal(Purpose::Permissions, good.clone()), None);
        for (statement, expected) in [
            (json!({"Effect": "Allow", "Resource": "*"}), "Policy statement must contain actions."),
            (json!({"Effect": "Allow", "Action": "s3:*"}), "Policy statement must contain resources."),
            (
                json!({"Effect": "Allow", "Action": "s3", "Resource": "*"}),
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:*", "Resource": "bucket"}),
                "Resource bucket must be in ARN format or \"*\".",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"}),
                "Policy document should not specify a principal.",
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringIsh": {"a": "b"}}}),
                "Invalid Condition type : StringIsh.",
            ),
            (json!([good, good]), "Statement IDs (SID) in a single policy must be unique."),
        ] {
            assert_eq!(refusal(Purpose::Permissions, statement).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_document_is_told() {
        let message = |text: &str, purpose| check(text, purpose).expect_err("it is refused").message;
        assert_eq!(message("{", Purpose::Trust), "This policy contains invalid Json");
        assert_eq!(message("{", Purpose::Permissions), SYNTAX);
        assert_eq!(message("null", Purpose::Trust), SYNTAX);
        assert_eq!(
            message(r#"{"Statement": []}"#, Purpose::Permissions),
            "Policy document must be version 2012-10-17 or greater."
        );
    }
}
