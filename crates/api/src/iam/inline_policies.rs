//! Put…Policy, Get…Policy, Delete…Policy and List…Policies of users, groups and roles: policies of their own.

use super::document::{self, Purpose};
use super::holder::Holder;
use super::{error, roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::{Group, Role, User};

fn put<H: Holder>(tx: &mut Tx, cx: &Cx, name: &str, policy: String, document: String) -> Result<(), AwsError> {
    document::check(&document, Purpose::Permissions)?;
    let size = |text: &String| text.chars().filter(|c| !c.is_whitespace()).count();
    let total = H::update(tx, cx, name, |holder| {
        holder.inline_mut().insert(policy, document);
        holder.inline().values().map(size).sum::<usize>()
    })?;
    if total > H::INLINE_MAX {
        let message = format!("Maximum policy size of {} bytes exceeded for {} {name}", H::INLINE_MAX, H::KIND);
        return Err(error::limit_exceeded(message));
    }
    Ok(())
}

/// The policy's text as it is sent.
fn get<H: Holder>(state: &Snapshot, cx: &Cx, name: &str, policy: &str) -> Result<String, AwsError> {
    let holder = H::find(state, cx, name)?;
    let text = holder.inline().get(policy).ok_or_else(|| error::no_such_inline_policy(H::KIND, policy))?;
    Ok(view::document(text))
}

fn delete<H: Holder>(tx: &mut Tx, cx: &Cx, name: &str, policy: &str) -> Result<(), AwsError> {
    let removed = H::update(tx, cx, name, |holder| holder.inline_mut().remove(policy))?;
    removed.map(drop).ok_or_else(|| error::no_such_inline_policy(H::KIND, policy))
}

/// The four operations of one kind of holder.
macro_rules! operations {
    (
        $holder:ty, $name:ident,
        $put:ident($put_input:ty) -> $put_output:ident,
        $get:ident($get_input:ty) -> $get_output:ident,
        $delete:ident($delete_input:ty) -> $delete_output:ident,
        $list:ident($list_input:ty) -> $list_output:ident
    ) => {
        pub fn $put(tx: &mut Tx, cx: &Cx, input: $put_input) -> Result<$put_output, AwsError> {
            put::<$holder>(tx, cx, &input.$name, input.policy_name, input.policy_document)?;
            Ok($put_output {})
        }

        pub fn $get(state: &Snapshot, cx: &Cx, input: $get_input) -> Result<$get_output, AwsError> {
            let policy_document = Some(get::<$holder>(state, cx, &input.$name, &input.policy_name)?);
            Ok($get_output { $name: Some(input.$name), policy_document, policy_name: Some(input.policy_name) })
        }

        pub fn $delete(tx: &mut Tx, cx: &Cx, input: $delete_input) -> Result<$delete_output, AwsError> {
            delete::<$holder>(tx, cx, &input.$name, &input.policy_name)?;
            Ok($delete_output {})
        }

        pub fn $list(state: &Snapshot, cx: &Cx, input: $list_input) -> Result<$list_output, AwsError> {
            let holder = <$holder>::find(state, cx, &input.$name)?;
            let names = holder.inline().keys().cloned();
            let page = roles::list(names, String::clone, input.marker.as_deref(), input.max_items)?;
            Ok($list_output {
                policy_names: Some(page.items),
                is_truncated: Some(page.next_token.is_some()),
                marker: page.next_token,
            })
        }
    };
}

operations!(
    Role, role_name,
    put_role_policy(PutRolePolicyInput) -> PutRolePolicyOutput,
    get_role_policy(GetRolePolicyInput) -> GetRolePolicyOutput,
    delete_role_policy(DeleteRolePolicyInput) -> DeleteRolePolicyOutput,
    list_role_policies(ListRolePoliciesInput) -> ListRolePoliciesOutput
);
operations!(
    User, user_name,
    put_user_policy(PutUserPolicyInput) -> PutUserPolicyOutput,
    get_user_policy(GetUserPolicyInput) -> GetUserPolicyOutput,
    delete_user_policy(DeleteUserPolicyInput) -> DeleteUserPolicyOutput,
    list_user_policies(ListUserPoliciesInput) -> ListUserPoliciesOutput
);
operations!(
    Group, group_name,
    put_group_policy(PutGroupPolicyInput) -> PutGroupPolicyOutput,
    get_group_policy(GetGroupPolicyInput) -> GetGroupPolicyOutput,
    delete_group_policy(DeleteGroupPolicyInput) -> DeleteGroupPolicyOutput,
    list_group_policies(ListGroupPoliciesInput) -> ListGroupPoliciesOutput
);

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
        let long = DOCUMENT.replace("s3:*", &format!("s3:{}", "a".repeat(10_240)));
        assert_eq!(
            refusal(write(&fixture, put_role_policy, put(&long))),
            "LimitExceeded: Maximum policy size of 10240 bytes exceeded for role web"
        );
        fixture.read(|state, cx| assert!(roles::find(state, cx, "web").expect("the role").inline_policies.is_empty()));
    }
}
