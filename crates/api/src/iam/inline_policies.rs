//! PutRolePolicy, GetRolePolicy, DeleteRolePolicy and ListRolePolicies: policies that are a role's own.

use super::document::{self, Purpose};
use super::{error, roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};

/// Characters of all inline policies of a role, white space left out.
const INLINE_POLICIES_MAX: usize = 10_240;

pub fn put_role_policy(tx: &mut Tx, cx: &Cx, input: PutRolePolicyInput) -> Result<PutRolePolicyOutput, AwsError> {
    document::check(&input.policy_document, Purpose::Permissions)?;
    let size = |text: &String| text.chars().filter(|c| !c.is_whitespace()).count();
    let total = roles::update(tx, cx, &input.role_name, |role| {
        role.inline_policies.insert(input.policy_name, input.policy_document);
        role.inline_policies.values().map(size).sum::<usize>()
    })?;
    if total > INLINE_POLICIES_MAX {
        let message =
            format!("Maximum policy size of {INLINE_POLICIES_MAX} bytes exceeded for role {}", input.role_name);
        return Err(error::limit_exceeded(message));
    }
    Ok(PutRolePolicyOutput {})
}

pub fn get_role_policy(state: &Snapshot, cx: &Cx, input: GetRolePolicyInput) -> Result<GetRolePolicyOutput, AwsError> {
    let role = roles::find(state, cx, &input.role_name)?;
    let text = role.inline_policies.get(&input.policy_name);
    let text = text.ok_or_else(|| error::no_such_inline_policy(&input.policy_name))?;
    Ok(GetRolePolicyOutput {
        role_name: Some(role.name.clone()),
        policy_document: Some(view::document(text)),
        policy_name: Some(input.policy_name),
    })
}

pub fn delete_role_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteRolePolicyInput,
) -> Result<DeleteRolePolicyOutput, AwsError> {
    let removed = roles::update(tx, cx, &input.role_name, |role| role.inline_policies.remove(&input.policy_name))?;
    removed.ok_or_else(|| error::no_such_inline_policy(&input.policy_name))?;
    Ok(DeleteRolePolicyOutput {})
}

pub fn list_role_policies(
    state: &Snapshot,
    cx: &Cx,
    input: ListRolePoliciesInput,
) -> Result<ListRolePoliciesOutput, AwsError> {
    let role = roles::find(state, cx, &input.role_name)?;
    let names = role.inline_policies.keys().cloned();
    let page = roles::list(names, String::clone, input.marker.as_deref(), input.max_items)?;
    Ok(ListRolePoliciesOutput {
        policy_names: Some(page.items),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::create_role::tests::with_role;

    const DOCUMENT: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

    fn put(document: &str) -> PutRolePolicyInput {
        PutRolePolicyInput {
            role_name: "web".to_owned(),
            policy_name: "a".to_owned(),
            policy_document: document.to_owned(),
        }
    }

    #[test]
    fn a_policy_is_put_told_listed_and_deleted() {
        let fixture = with_role();
        write(&fixture, put_role_policy, put(DOCUMENT)).expect("put");
        let get = || GetRolePolicyInput { role_name: "web".to_owned(), policy_name: "a".to_owned() };
        let document = read(&fixture, get_role_policy, get()).expect("a policy").policy_document.expect("a document");
        assert!(document.starts_with("%7B%22Version%22"), "{document}");
        let list = ListRolePoliciesInput { role_name: "web".to_owned(), ..Default::default() };
        let names = read(&fixture, list_role_policies, list).expect("a list").policy_names;
        assert_eq!(names, Some(vec!["a".to_owned()]));
        let delete = DeleteRolePolicyInput { role_name: "web".to_owned(), policy_name: "a".to_owned() };
        write(&fixture, delete_role_policy, delete.clone()).expect("deleted");
        let expected = "NoSuchEntity: The role policy with name a cannot be found.";
        assert_eq!(refusal(write(&fixture, delete_role_policy, delete)), expected);
        assert_eq!(refusal(read(&fixture, get_role_policy, get())), expected);
    }

    #[test]
    fn a_text_that_is_no_policy_or_too_long_is_refused() {
        let fixture = with_role();
        let refused = refusal(write(&fixture, put_role_policy, put("{")));
        assert_eq!(refused, "MalformedPolicyDocument: Syntax errors in policy.");
        let long = DOCUMENT.replace("s3:*", &format!("s3:{}", "a".repeat(INLINE_POLICIES_MAX)));
        assert_eq!(
            refusal(write(&fixture, put_role_policy, put(&long))),
            "LimitExceeded: Maximum policy size of 10240 bytes exceeded for role web"
        );
        fixture.read(|state, cx| assert!(roles::find(state, cx, "web").expect("the role").inline_policies.is_empty()));
    }
}
