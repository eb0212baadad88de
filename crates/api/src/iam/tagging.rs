//! Tag…, Untag… and List…Tags of roles, users, policies and instance profiles.

use super::{error, policies, roles, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::Tags;

/// What has tags.
#[derive(Clone, Copy)]
enum Tagged<'a> {
    Role(&'a str),
    User(&'a str),
    /// By ARN.
    Policy(&'a str),
    InstanceProfile(&'a str),
}

fn find(state: &Snapshot, cx: &Cx, of: Tagged<'_>) -> Result<Tags, AwsError> {
    let key = |name: &str| (cx.scope.account.clone(), name.to_owned());
    match of {
        Tagged::Role(name) => Ok(roles::find(state, cx, name)?.tags.clone()),
        Tagged::User(name) => {
            let user = state.users().get(&key(name)).ok_or_else(|| error::no_such("user", name))?;
            Ok(user.tags.clone())
        }
        Tagged::Policy(arn) => {
            Ok(policies::get(state, cx, arn)?.own().map(|policy| policy.tags.clone()).unwrap_or_default())
        }
        Tagged::InstanceProfile(name) => {
            let row = state.instance_profiles().get(&key(name)).ok_or_else(|| error::no_such_instance_profile(name))?;
            Ok(row.tags.clone())
        }
    }
}

fn store(tx: &mut Tx, cx: &Cx, of: Tagged<'_>, tags: Tags) -> Result<(), AwsError> {
    let key = |name: &str| (cx.scope.account.clone(), name.to_owned());
    match of {
        Tagged::Role(name) => tx.roles().update(&key(name), |row| row.tags = tags),
        Tagged::User(name) => tx.users().update(&key(name), |row| row.tags = tags),
        Tagged::Policy(arn) => {
            let policy = policies::get_own(tx, cx, arn)?;
            tx.policies().update(&key(&policy.name), |row| row.tags = tags)
        }
        Tagged::InstanceProfile(name) => tx.instance_profiles().update(&key(name), |row| row.tags = tags),
    };
    Ok(())
}

fn tag(tx: &mut Tx, cx: &Cx, of: Tagged<'_>, new: &[Tag]) -> Result<(), AwsError> {
    let new = tags::parse(new)?;
    let mut all = find(tx, cx, of)?;
    tags::merge(&mut all, new)?;
    store(tx, cx, of, all)
}

fn untag(tx: &mut Tx, cx: &Cx, of: Tagged<'_>, keys: &[String]) -> Result<(), AwsError> {
    let mut all = find(tx, cx, of)?;
    all.0.retain(|key, _| !keys.iter().any(|unwanted| unwanted.eq_ignore_ascii_case(key)));
    store(tx, cx, of, all)
}

macro_rules! operations {
    (
        $kind:ident, $name:ident,
        $tag:ident($tag_input:ty) -> $tag_output:ident,
        $untag:ident($untag_input:ty) -> $untag_output:ident,
        $list:ident($list_input:ty) -> $list_output:ident
    ) => {
        pub fn $tag(tx: &mut Tx, cx: &Cx, input: $tag_input) -> Result<$tag_output, AwsError> {
            tag(tx, cx, Tagged::$kind(&input.$name), &input.tags)?;
            Ok($tag_output {})
        }

        pub fn $untag(tx: &mut Tx, cx: &Cx, input: $untag_input) -> Result<$untag_output, AwsError> {
            untag(tx, cx, Tagged::$kind(&input.$name), &input.tag_keys)?;
            Ok($untag_output {})
        }

        pub fn $list(state: &Snapshot, cx: &Cx, input: $list_input) -> Result<$list_output, AwsError> {
            let all = view::tags(&find(state, cx, Tagged::$kind(&input.$name))?);
            let key = |tag: &Tag| tag.key.clone().unwrap_or_default();
            let page = roles::list(all.into_iter(), key, input.marker.as_deref(), input.max_items)?;
            Ok($list_output {
                tags: Some(page.items),
                is_truncated: Some(page.next_token.is_some()),
                marker: page.next_token,
            })
        }
    };
}

operations!(
    Role, role_name,
    tag_role(TagRoleInput) -> TagRoleOutput,
    untag_role(UntagRoleInput) -> UntagRoleOutput,
    list_role_tags(ListRoleTagsInput) -> ListRoleTagsOutput
);
operations!(
    User, user_name,
    tag_user(TagUserInput) -> TagUserOutput,
    untag_user(UntagUserInput) -> UntagUserOutput,
    list_user_tags(ListUserTagsInput) -> ListUserTagsOutput
);
operations!(
    Policy, policy_arn,
    tag_policy(TagPolicyInput) -> TagPolicyOutput,
    untag_policy(UntagPolicyInput) -> UntagPolicyOutput,
    list_policy_tags(ListPolicyTagsInput) -> ListPolicyTagsOutput
);
operations!(
    InstanceProfile, instance_profile_name,
    tag_instance_profile(TagInstanceProfileInput) -> TagInstanceProfileOutput,
    untag_instance_profile(UntagInstanceProfileInput) -> UntagInstanceProfileOutput,
    list_instance_profile_tags(ListInstanceProfileTagsInput) -> ListInstanceProfileTagsOutput
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::create_role::tests::with_role;

    #[test]
    fn tags_come_and_go() {
        let fixture = with_role();
        let tag = |key: &str, value: &str| Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        let add = |name: &str, tags| TagRoleInput { role_name: name.to_owned(), tags };
        write(&fixture, tag_role, add("web", vec![tag("a", "1"), tag("b", "2")])).expect("tagged");
        write(&fixture, tag_role, add("web", vec![tag("A", "3")])).expect("tagged");
        let untag = UntagRoleInput { role_name: "web".to_owned(), tag_keys: vec!["b".to_owned()] };
        write(&fixture, untag_role, untag).expect("untagged");
        let list = ListRoleTagsInput { role_name: "web".to_owned(), ..Default::default() };
        assert_eq!(read(&fixture, list_role_tags, list).expect("a list").tags, Some(vec![tag("A", "3")]));
        assert_eq!(
            refusal(write(&fixture, tag_role, add("none", vec![tag("a", "1")]))),
            "NoSuchEntity: The role with name none cannot be found."
        );
        let many = (0..50).map(|n| tag(&n.to_string(), "")).collect();
        assert_eq!(
            refusal(write(&fixture, tag_role, add("web", many))),
            "LimitExceeded: The number of tags has reached the maximum limit."
        );
    }
}
