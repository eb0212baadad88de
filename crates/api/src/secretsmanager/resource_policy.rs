//! Resource policies of secrets: put, get, delete and validate.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::*;
use longshore_store::{Snapshot, Tx};
use serde_json::Value;

const PUBLIC: &str = "This resource policy contains a principal that allows broad access to the secret.";

pub fn put_resource_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: PutResourcePolicyInput,
) -> Result<PutResourcePolicyOutput, AwsError> {
    refuse_name(input.policy_name.as_deref())?;
    let secret = names::usable(tx, &cx.scope, &input.secret_id, cx.now)?;
    let document = parse(&input.resource_policy).map_err(malformed)?;
    if input.block_public_policy == Some(true) && is_public(&document) {
        return Err(AwsError::new(codes::PUBLIC_POLICY_EXCEPTION, PUBLIC));
    }
    tx.secrets().update(&(cx.scope.clone(), secret.name.clone()), |row| {
        row.resource_policy = Some(input.resource_policy);
    });
    Ok(PutResourcePolicyOutput {
        arn: Some(names::arn(&cx.scope, &secret)),
        name: Some(secret.name.clone()),
        ..Default::default()
    })
}

pub fn get_resource_policy(
    state: &Snapshot,
    cx: &Cx,
    input: GetResourcePolicyInput,
) -> Result<GetResourcePolicyOutput, AwsError> {
    refuse_name(input.policy_name.as_deref())?;
    let secret = names::usable(state, &cx.scope, &input.secret_id, cx.now)?;
    Ok(GetResourcePolicyOutput {
        arn: Some(names::arn(&cx.scope, &secret)),
        name: Some(secret.name.clone()),
        resource_policy: secret.resource_policy.clone(),
        ..Default::default()
    })
}

pub fn delete_resource_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteResourcePolicyInput,
) -> Result<DeleteResourcePolicyOutput, AwsError> {
    refuse_name(input.policy_name.as_deref())?;
    let secret = names::usable(tx, &cx.scope, &input.secret_id, cx.now)?;
    tx.secrets().update(&(cx.scope.clone(), secret.name.clone()), |row| row.resource_policy = None);
    Ok(DeleteResourcePolicyOutput {
        arn: Some(names::arn(&cx.scope, &secret)),
        name: Some(secret.name.clone()),
        ..Default::default()
    })
}

pub fn validate_resource_policy(
    state: &Snapshot,
    cx: &Cx,
    input: ValidateResourcePolicyInput,
) -> Result<ValidateResourcePolicyOutput, AwsError> {
    if let Some(id) = &input.secret_id {
        names::usable(state, &cx.scope, id, cx.now)?;
    }
    let failures = match parse(&input.resource_policy) {
        Err(reason) => vec![("Syntax", reason)],
        Ok(document) if is_public(&document) => vec![("PublicPolicy", PUBLIC.to_owned())],
        Ok(_) => vec![],
    };
    let entry = |(name, text): (&str, String)| ValidationErrorsEntry {
        check_name: Some(name.to_owned()),
        error_message: Some(text),
    };
    Ok(ValidateResourcePolicyOutput {
        policy_validation_passed: Some(failures.is_empty()),
        validation_errors: Some(failures.into_iter().map(entry).collect()),
    })
}

fn refuse_name(name: Option<&str>) -> Result<(), AwsError> {
    name.map_or(Ok(()), |_| Err(error::unsupported("PolicyName")))
}

fn malformed(reason: String) -> AwsError {
    let text = format!("This resource policy contains a syntax error: {reason}");
    AwsError::new(codes::MALFORMED_POLICY_DOCUMENT_EXCEPTION, text)
}

/// The document, or what is wrong with it.
fn parse(text: &str) -> Result<Value, String> {
    let document: Value = serde_json::from_str(text).map_err(|_| "it is not JSON.".to_owned())?;
    if !document.get("Version").is_none_or(|version| version == "2012-10-17" || version == "2008-10-17") {
        return Err("its Version is not 2012-10-17.".to_owned());
    }
    let statements = statements(&document);
    if statements.is_empty() {
        return Err("it has no Statement.".to_owned());
    }
    for statement in statements {
        let has = |field: &str| statement.get(field).is_some();
        if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
            return Err("a statement's Effect is not Allow or Deny.".to_owned());
        }
        for pair in [("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource")] {
            if has(pair.0) == has(pair.1) {
                return Err(format!("a statement needs one of {} and {}.", pair.0, pair.1));
            }
        }
        if has("NotPrincipal") && statement["Effect"] == "Allow" {
            return Err("a statement with NotPrincipal needs the Effect Deny.".to_owned());
        }
    }
    Ok(document)
}

fn statements(document: &Value) -> Vec<&Value> {
    match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => vec![],
    }
}

/// Whether some statement lets everybody in, without a condition.
fn is_public(document: &Value) -> bool {
    let everybody = |principal: &Value| match principal {
        Value::String(all) => all == "*",
        Value::Object(kinds) => kinds.get("AWS").is_some_and(|names| match names {
            Value::Array(list) => list.iter().any(|name| name == "*"),
            name => name == "*",
        }),
        _ => false,
    };
    statements(document).into_iter().any(|statement| {
        statement["Effect"] == "Allow" && statement.get("Condition").is_none() && everybody(&statement["Principal"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::testing::{create, refusal};
    use crate::testing::Fixture;

    const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;

    fn put(policy: &str, block: bool) -> PutResourcePolicyInput {
        PutResourcePolicyInput {
            secret_id: "db".to_owned(),
            resource_policy: policy.to_owned(),
            block_public_policy: Some(block),
            ..Default::default()
        }
    }

    #[test]
    fn a_policy_is_put_read_and_deleted() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "1"))).expect("made");
        let policy = |fixture: &Fixture| {
            let input = GetResourcePolicyInput { secret_id: "db".to_owned(), ..Default::default() };
            fixture.read(|state, cx| get_resource_policy(state, cx, input)).expect("read").resource_policy
        };
        fixture.try_write(|tx, cx| put_resource_policy(tx, cx, put(OPEN, false))).expect("stored");
        assert_eq!(policy(&fixture).as_deref(), Some(OPEN));
        let input = DeleteResourcePolicyInput { secret_id: "db".to_owned(), ..Default::default() };
        fixture.try_write(|tx, cx| delete_resource_policy(tx, cx, input)).expect("deleted");
        assert_eq!(policy(&fixture), None);
        let refused = |input| refusal(fixture.try_write(|tx, cx| put_resource_policy(tx, cx, input)));
        assert!(refused(put(OPEN, true)).starts_with("PublicPolicyException: "));
        assert!(refused(put("{", false)).starts_with("MalformedPolicyDocumentException: "));
        assert!(refused(put(r#"{"Statement":{"Effect":"allow"}}"#, false)).contains("Effect"));
        assert!(refused(put(&OPEN.replace("Principal", "NotPrincipal"), false)).contains("NotPrincipal"));
    }

    #[test]
    fn validation_tells_what_it_found() {
        let fixture = Fixture::new();
        let checks = |policy: &str| {
            let input = ValidateResourcePolicyInput { secret_id: None, resource_policy: policy.to_owned() };
            let output = fixture.read(|state, cx| validate_resource_policy(state, cx, input)).expect("an answer");
            let names = output.validation_errors.into_iter().flatten().filter_map(|entry| entry.check_name);
            (output.policy_validation_passed, names.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(checks(OPEN), (Some(false), "PublicPolicy".to_owned()));
        assert_eq!(checks("nonsense"), (Some(false), "Syntax".to_owned()));
        let closed = OPEN.replace(r#""*","Action""#, r#"{"AWS":"arn:aws:iam::123456789012:root"},"Action""#);
        assert_eq!(checks(&closed), (Some(true), String::new()));
    }
}
