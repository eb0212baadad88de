//! SetRepositoryPolicy, GetRepositoryPolicy, DeleteRepositoryPolicy. Obeyed where identities are (`--auth iam`).

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::Scope;
use serde_json::Value;

pub fn set_repository_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: SetRepositoryPolicyInput,
) -> Result<SetRepositoryPolicyOutput, AwsError> {
    let row = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let text = input.policy_text;
    check(&text)?;
    let stored = text.clone();
    tx.repositories().update(&(cx.scope.clone(), row.name.clone()), |row| row.policy = Some(stored));
    Ok(SetRepositoryPolicyOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        policy_text: Some(text),
    })
}

pub fn get_repository_policy(
    state: &Snapshot,
    cx: &Cx,
    input: GetRepositoryPolicyInput,
) -> Result<GetRepositoryPolicyOutput, AwsError> {
    let row = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let policy = row.policy.clone().ok_or_else(|| no_policy(&cx.scope, &row.name))?;
    Ok(GetRepositoryPolicyOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        policy_text: Some(policy),
    })
}

pub fn delete_repository_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteRepositoryPolicyInput,
) -> Result<DeleteRepositoryPolicyOutput, AwsError> {
    let row = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let policy = row.policy.clone().ok_or_else(|| no_policy(&cx.scope, &row.name))?;
    tx.repositories().update(&(cx.scope.clone(), row.name.clone()), |row| row.policy = None);
    Ok(DeleteRepositoryPolicyOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        policy_text: Some(policy),
    })
}

fn no_policy(scope: &Scope, name: &str) -> AwsError {
    let text = format!(
        "Repository policy does not exist for the repository with name '{name}' in the registry with id '{}'",
        scope.account
    );
    AwsError::new("RepositoryPolicyNotFoundException", text)
}

/// Whether a text is a policy for a resource: statements that each name an effect, principals and actions.
pub fn check(text: &str) -> Result<(), AwsError> {
    let refused = || error::invalid_at("PolicyText", "Invalid repository policy provided");
    let document: Value = serde_json::from_str(text).map_err(|_| refused())?;
    let statements = match &document["Statement"] {
        Value::Array(list) if !list.is_empty() => list.as_slice(),
        one @ Value::Object(_) => std::slice::from_ref(one),
        _ => return Err(refused()),
    };
    let one_of = |statement: &Value, either: &str, or: &str| statement[either].is_null() != statement[or].is_null();
    let valid = |statement: &Value| {
        matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"))
            && one_of(statement, "Principal", "NotPrincipal")
            // Everybody but a few can be denied, not allowed.
            && (statement["NotPrincipal"].is_null() || statement["Effect"] == "Deny")
            && one_of(statement, "Action", "NotAction")
            // A repository's policy speaks of the repository: ECR takes no other resource.
            && statement["Resource"].is_null()
            && statement["NotResource"].is_null()
    };
    if statements.iter().all(valid) { Ok(()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::web;
    use crate::logs::testing::refusal;

    #[test]
    fn a_policy_is_set_read_and_deleted() {
        let (bench, _) = web();
        let set = |text: &str| {
            let input = SetRepositoryPolicyInput {
                repository_name: "web".to_owned(),
                policy_text: text.to_owned(),
                ..Default::default()
            };
            bench.try_write(|tx, cx| set_repository_policy(tx, cx, input))
        };
        let get = || {
            let input = GetRepositoryPolicyInput { repository_name: "web".to_owned(), ..Default::default() };
            bench.read(|state, cx| get_repository_policy(state, cx, input))
        };
        assert_eq!(
            refusal(get()),
            "RepositoryPolicyNotFoundException: Repository policy does not exist for the repository with name 'web' in the registry with id '123456789012'"
        );
        let text = r#"{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage"]}]}"#;
        set(text).expect("set");
        assert_eq!(get().expect("there").policy_text.as_deref(), Some(text));
        for wrong in [
            "",
            "{}",
            "[]",
            &text.replace("Allow", "Maybe"),
            &text.replace("Principal", "Princip"),
            &text.replace("Principal", "NotPrincipal"),
            &text.replace("Sid", "NotAction"),
        ] {
            assert!(refusal(set(wrong)).contains("Invalid repository policy provided"), "{wrong}");
        }
        let input = DeleteRepositoryPolicyInput { repository_name: "web".to_owned(), ..Default::default() };
        bench.try_write(|tx, cx| delete_repository_policy(tx, cx, input)).expect("deleted");
        assert!(refusal(get()).starts_with("RepositoryPolicyNotFoundException"));
    }
}
