//! CreateRole.

use super::document::{self, Purpose};
use super::{error, policies, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::{CreateRoleInput, CreateRoleOutput};
use longshore_store::Tx;
use longshore_types::iam::Role;

/// Characters of a trust policy, white space left out.
const TRUST_POLICY_MAX: usize = 4096;

pub fn create_role(tx: &mut Tx, cx: &Cx, input: CreateRoleInput) -> Result<CreateRoleOutput, AwsError> {
    if let Some(arn) = &input.permissions_boundary {
        policies::check_boundary(tx, cx, arn)?;
    }
    check_trust_policy(&input.assume_role_policy_document)?;
    let account = cx.scope.account.clone();
    // Names are told apart without regard to case, and kept as given.
    if tx.roles().prefix(&account).any(|role| role.name.eq_ignore_ascii_case(&input.role_name)) {
        return Err(error::exists("Role", &input.role_name));
    }
    let role = Role {
        id: format!("AROA{}", cx.ids().alphanumeric(17)),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        trust_policy: input.assume_role_policy_document,
        description: input.description,
        max_session_seconds: input.max_session_duration.unwrap_or(3600),
        created_at: cx.now,
        tags: tags::parse(input.tags.as_deref().unwrap_or_default())?,
        attached_policies: Default::default(),
        inline_policies: Default::default(),
        permissions_boundary: input.permissions_boundary,
        linked_service: None,
        last_used: None,
        name: input.role_name,
    };
    let mut sent = view::role(&account, &role);
    sent.role_last_used = None;
    tx.roles().put((account, role.name.clone()), role);
    Ok(CreateRoleOutput { role: Some(sent) })
}

/// An error if a role may not have this trust policy.
pub fn check_trust_policy(text: &str) -> Result<(), AwsError> {
    document::check(text, Purpose::Trust)?;
    if text.chars().filter(|c| !c.is_whitespace()).count() > TRUST_POLICY_MAX {
        return Err(error::limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_MAX}")));
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::iam::Tag;

    pub const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

    pub fn input(name: &str) -> CreateRoleInput {
        CreateRoleInput {
            role_name: name.to_owned(),
            assume_role_policy_document: TRUST.to_owned(),
            ..Default::default()
        }
    }

    /// A fixture with a role `web`.
    pub fn with_role() -> Fixture {
        let fixture = Fixture::new();
        write(&fixture, create_role, input("web")).expect("a role");
        fixture
    }

    #[test]
    fn a_role_is_answered_with_its_encoded_policy() {
        let fixture = Fixture::new();
        let tag = Tag { key: Some("a".to_owned()), value: Some("b".to_owned()) };
        let input = CreateRoleInput { path: Some("/app/".to_owned()), tags: Some(vec![tag.clone()]), ..input("web") };
        let role = write(&fixture, create_role, input).expect("a role").role.expect("a role");
        assert_eq!(role.arn.as_deref(), Some("arn:aws:iam::123456789012:role/app/web"));
        assert_eq!(role.max_session_duration, Some(3600));
        assert_eq!(role.tags, Some(vec![tag]));
        let id = role.role_id.expect("an id");
        assert!(id.starts_with("AROA") && id.len() == 21, "{id}");
        let document = role.assume_role_policy_document.expect("a document");
        assert!(document.starts_with("%7B%22Version%22%3A%222012-10-17%22%2C"), "{document}");
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let fixture = with_role();
        let tag = |key: &str| Tag { key: Some(key.to_owned()), value: None };
        for (given, expected) in [
            (input("Web"), "EntityAlreadyExists: Role with name Web already exists."),
            (
                CreateRoleInput { assume_role_policy_document: "{".to_owned(), ..input("a") },
                "MalformedPolicyDocument: This policy contains invalid Json",
            ),
            (
                CreateRoleInput { permissions_boundary: Some("arn".to_owned()), ..input("a") },
                "InvalidInput: ARN arn is not valid.",
            ),
            (
                CreateRoleInput {
                    permissions_boundary: Some("arn:aws:iam::123456789012:policy/none".to_owned()),
                    ..input("a")
                },
                "NoSuchEntity: Scope ARN: arn:aws:iam::123456789012:policy/none does not exist or is not attachable.",
            ),
            (
                CreateRoleInput { tags: Some(vec![tag("a"), tag("A")]), ..input("a") },
                "InvalidInput: Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ),
        ] {
            assert_eq!(refusal(write(&fixture, create_role, given)), expected);
        }
    }
}
