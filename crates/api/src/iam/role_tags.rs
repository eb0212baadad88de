//! TagRole, UntagRole and ListRoleTags.

use super::{roles, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};

pub fn tag_role(tx: &mut Tx, cx: &Cx, input: TagRoleInput) -> Result<TagRoleOutput, AwsError> {
    let new = tags::parse(&input.tags)?;
    roles::update(tx, cx, &input.role_name, |role| tags::merge(&mut role.tags, new))??;
    Ok(TagRoleOutput {})
}

pub fn untag_role(tx: &mut Tx, cx: &Cx, input: UntagRoleInput) -> Result<UntagRoleOutput, AwsError> {
    roles::update(tx, cx, &input.role_name, |role| {
        role.tags.0.retain(|key, _| !input.tag_keys.iter().any(|unwanted| unwanted.eq_ignore_ascii_case(key)));
    })?;
    Ok(UntagRoleOutput {})
}

pub fn list_role_tags(state: &Snapshot, cx: &Cx, input: ListRoleTagsInput) -> Result<ListRoleTagsOutput, AwsError> {
    let role = roles::find(state, cx, &input.role_name)?;
    let key = |tag: &Tag| tag.key.clone().unwrap_or_default();
    let page = roles::list(view::tags(&role.tags).into_iter(), key, input.marker.as_deref(), input.max_items)?;
    Ok(ListRoleTagsOutput {
        tags: Some(page.items),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

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
