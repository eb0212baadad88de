//! PutLifecyclePolicy, GetLifecyclePolicy, DeleteLifecyclePolicy. `controllers::images` runs what is put here.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::ecr::*;
use longshore_aws_model::{AwsError, Timestamp as WireTime};
use longshore_planner::lifecycle::{Candidate, Policy};
use longshore_store::{Snapshot, Tx};
use longshore_types::Scope;
use longshore_types::ecr::{Image, LifecyclePolicy};
use std::collections::HashSet;
use std::sync::Arc;

pub fn put_lifecycle_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: PutLifecyclePolicyInput,
) -> Result<PutLifecyclePolicyOutput, AwsError> {
    let row = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let text = input.lifecycle_policy_text;
    parse(&text)?;
    let policy = LifecyclePolicy { text: text.clone(), last_evaluated_at: None };
    tx.repositories().update(&(cx.scope.clone(), row.name.clone()), |row| row.lifecycle = Some(policy));
    Ok(PutLifecyclePolicyOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        lifecycle_policy_text: Some(text),
    })
}

pub fn get_lifecycle_policy(
    state: &Snapshot,
    cx: &Cx,
    input: GetLifecyclePolicyInput,
) -> Result<GetLifecyclePolicyOutput, AwsError> {
    let row = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let policy = row.lifecycle.as_ref().ok_or_else(|| error::no_lifecycle_policy(&cx.scope, &row.name))?;
    Ok(GetLifecyclePolicyOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        lifecycle_policy_text: Some(policy.text.clone()),
        last_evaluated_at: policy.last_evaluated_at.map(|at| WireTime(at.0)),
    })
}

pub fn delete_lifecycle_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteLifecyclePolicyInput,
) -> Result<DeleteLifecyclePolicyOutput, AwsError> {
    let row = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let policy = row.lifecycle.as_ref().ok_or_else(|| error::no_lifecycle_policy(&cx.scope, &row.name))?;
    tx.repositories().update(&(cx.scope.clone(), row.name.clone()), |row| row.lifecycle = None);
    Ok(DeleteLifecyclePolicyOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        lifecycle_policy_text: Some(policy.text.clone()),
        last_evaluated_at: policy.last_evaluated_at.map(|at| WireTime(at.0)),
    })
}

/// Reads a policy, refusing with ECR's words.
pub fn parse(text: &str) -> Result<Policy, AwsError> {
    Policy::parse(text).map_err(|why| {
        error::invalid(format!(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: {why}'"
        ))
    })
}

/// The images of a repository, for [`candidates`].
pub fn images(state: &Snapshot, scope: &Scope, repository: &str) -> Vec<Arc<Image>> {
    state.images().prefix(&(scope.clone(), repository.to_owned())).collect()
}

/// Images as the policy's rules see them.
pub fn candidates(images: &[Arc<Image>]) -> Vec<Candidate<'_>> {
    let here: HashSet<&str> = images.iter().map(|row| row.digest.as_str()).collect();
    let listed: HashSet<&str> = images.iter().flat_map(|row| row.children.iter().map(String::as_str)).collect();
    images
        .iter()
        .map(|row| Candidate {
            digest: &row.digest,
            tags: row.image_tags.iter().map(String::as_str).collect(),
            pushed_at: row.pushed_at,
            pulled_at: row.pulled_at,
            is_part: listed.contains(row.digest.as_str())
                || row.subject.as_deref().is_some_and(|subject| here.contains(subject)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::web;
    use crate::logs::testing::refusal;

    #[test]
    fn a_policy_is_kept_as_written_or_refused_with_the_reason() {
        let (bench, _) = web();
        let put = |text: &str| {
            let input = PutLifecyclePolicyInput {
                repository_name: "web".to_owned(),
                lifecycle_policy_text: text.to_owned(),
                ..Default::default()
            };
            bench.try_write(|tx, cx| put_lifecycle_policy(tx, cx, input))
        };
        let get = || {
            let input = GetLifecyclePolicyInput { repository_name: "web".to_owned(), ..Default::default() };
            bench.read(|state, cx| get_lifecycle_policy(state, cx, input))
        };
        assert_eq!(
            refusal(get()),
            "LifecyclePolicyNotFoundException: Lifecycle policy does not exist for the repository with name 'web' in the registry with id '123456789012'"
        );
        let text = r#"{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5}, "action": {"type": "expire"}}]}"#;
        put(text).expect("put");
        assert_eq!(get().expect("there").lifecycle_policy_text.as_deref(), Some(text));
        assert!(refusal(put(&text.replace('5', "0"))).contains("Lifecycle policy validation failure"));
        assert_eq!(get().expect("still there").lifecycle_policy_text.as_deref(), Some(text));
        let input = DeleteLifecyclePolicyInput { repository_name: "web".to_owned(), ..Default::default() };
        bench.try_write(|tx, cx| delete_lifecycle_policy(tx, cx, input)).expect("deleted");
        assert!(refusal(get()).starts_with("LifecyclePolicyNotFoundException"));
    }
}
