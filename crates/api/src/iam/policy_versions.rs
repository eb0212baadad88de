//! Versions of managed policies: CreatePolicyVersion, GetPolicyVersion, ListPolicyVersions, SetDefaultPolicyVersion and
//! DeletePolicyVersion.

use super::managed_policies::check_document;
use super::policies::{self, AnyPolicy};
use super::{error, roles, view};
use crate::Cx;
use longshore_aws_model::iam::*;
use longshore_aws_model::{AwsError, Timestamp};
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::{ManagedPolicy, PolicyVersion as Version};

/// A policy keeps five versions at most.
const VERSIONS_MAX: usize = 5;

pub fn create_policy_version(
    tx: &mut Tx,
    cx: &Cx,
    input: CreatePolicyVersionInput,
) -> Result<CreatePolicyVersionOutput, AwsError> {
    let policy = policies::get_own(tx, cx, &input.policy_arn)?;
    check_document(&input.policy_document)?;
    if policy.versions.len() >= VERSIONS_MAX {
        let message = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.";
        return Err(error::limit_exceeded(message));
    }
    let is_default = input.set_as_default.unwrap_or(false);
    let number = update(tx, cx, &policy, |row| {
        row.last_version += 1;
        row.versions.insert(row.last_version, Version { document: input.policy_document, created_at: cx.now });
        row.updated_at = cx.now;
        if is_default {
            row.default_version = row.last_version;
        }
        row.last_version
    });
    Ok(CreatePolicyVersionOutput { policy_version: Some(sent(number, is_default, cx.now.0, None)) })
}

fn update<R>(tx: &mut Tx, cx: &Cx, policy: &ManagedPolicy, change: impl FnOnce(&mut ManagedPolicy) -> R) -> R {
    let key = (cx.scope.account.clone(), policy.name.clone());
    tx.policies().update(&key, change).expect("it was found in this transaction")
}

fn sent(number: u32, is_default: bool, created_at: i64, document: Option<&str>) -> PolicyVersion {
    PolicyVersion {
        document: document.map(view::document),
        version_id: Some(format!("v{number}")),
        is_default_version: Some(is_default),
        create_date: Some(Timestamp(created_at)),
    }
}

/// `v3` is 3.
fn number(arn: &str, version: &str) -> Result<u32, AwsError> {
    let number = version.strip_prefix('v').and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| error::no_such_version(arn, version))
}

pub fn get_policy_version(
    state: &Snapshot,
    cx: &Cx,
    input: GetPolicyVersionInput,
) -> Result<GetPolicyVersionOutput, AwsError> {
    let arn = &input.policy_arn;
    let missing = || error::no_such_version(arn, &input.version_id);
    let name = Some(format!("v{}", number(arn, &input.version_id)?));
    let versions = all(&policies::get(state, cx, arn)?);
    let version = versions.into_iter().find(|version| version.version_id == name).ok_or_else(missing)?;
    Ok(GetPolicyVersionOutput { policy_version: Some(version) })
}

/// All versions with their documents, the latest first.
pub fn all(policy: &AnyPolicy) -> Vec<PolicyVersion> {
    match policy {
        // Of AWS's policies the version in force is all that we know.
        AnyPolicy::Aws(policy) => vec![sent(policy.version, true, policy.updated_at.0, Some(policy.document))],
        AnyPolicy::Own(policy) => {
            let latest_first = policy.versions.iter().rev();
            let one = |(number, version): (&u32, &Version)| {
                sent(*number, *number == policy.default_version, version.created_at.0, Some(&version.document))
            };
            latest_first.map(one).collect()
        }
    }
}

/// The latest comes first.
pub fn list_policy_versions(
    state: &Snapshot,
    cx: &Cx,
    input: ListPolicyVersionsInput,
) -> Result<ListPolicyVersionsOutput, AwsError> {
    let policy = policies::get(state, cx, &input.policy_arn)?;
    let versions = all(&policy).into_iter().map(|version| PolicyVersion { document: None, ..version });
    // At most five, whose order is not that of their names: pages go by how far from the first they are.
    let key = |(i, _): &(usize, PolicyVersion)| i.to_string();
    let page = roles::list(versions.enumerate(), key, input.marker.as_deref(), input.max_items)?;
    Ok(ListPolicyVersionsOutput {
        versions: Some(page.items.into_iter().map(|(_, version)| version).collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

pub fn set_default_policy_version(
    tx: &mut Tx,
    cx: &Cx,
    input: SetDefaultPolicyVersionInput,
) -> Result<SetDefaultPolicyVersionOutput, AwsError> {
    let policy = policies::get_own(tx, cx, &input.policy_arn)?;
    let wanted = number(&input.policy_arn, &input.version_id)?;
    if !policy.versions.contains_key(&wanted) {
        return Err(error::no_such_version(&input.policy_arn, &input.version_id));
    }
    update(tx, cx, &policy, |row| {
        row.default_version = wanted;
        row.updated_at = cx.now;
    });
    Ok(SetDefaultPolicyVersionOutput {})
}

pub fn delete_policy_version(
    tx: &mut Tx,
    cx: &Cx,
    input: DeletePolicyVersionInput,
) -> Result<DeletePolicyVersionOutput, AwsError> {
    let policy = policies::get_own(tx, cx, &input.policy_arn)?;
    let wanted = number(&input.policy_arn, &input.version_id)?;
    if policy.default_version == wanted {
        return Err(error::delete_conflict("Cannot delete the default version of a policy."));
    }
    if !policy.versions.contains_key(&wanted) {
        return Err(error::no_such_version(&input.policy_arn, &input.version_id));
    }
    update(tx, cx, &policy, |row| row.versions.remove(&wanted));
    Ok(DeletePolicyVersionOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::managed_policies::create_policy;
    use crate::iam::managed_policies::tests::{DOCUMENT, input};
    use crate::testing::Fixture;

    const ARN: &str = "arn:aws:iam::123456789012:policy/p";

    fn versions(fixture: &Fixture) -> Vec<(String, bool)> {
        let input = ListPolicyVersionsInput { policy_arn: ARN.to_owned(), ..Default::default() };
        let output = read(fixture, list_policy_versions, input).expect("a list");
        let versions = output.versions.expect("a list").into_iter();
        versions.map(|v| (v.version_id.expect("an id"), v.is_default_version.expect("told"))).collect()
    }

    #[test]
    fn versions_come_become_the_default_and_go() {
        let fixture = Fixture::new();
        write(&fixture, create_policy, input("p")).expect("a policy");
        let add = |set_as_default| CreatePolicyVersionInput {
            policy_arn: ARN.to_owned(),
            policy_document: DOCUMENT.replace("s3", "ecs"),
            set_as_default: Some(set_as_default),
        };
        write(&fixture, create_policy_version, add(true)).expect("a version");
        assert_eq!(versions(&fixture), [("v2".to_owned(), true), ("v1".to_owned(), false)]);
        let one = |version: &str| (ARN.to_owned(), version.to_owned());
        let delete = |version: &str| {
            let (policy_arn, version_id) = one(version);
            write(&fixture, delete_policy_version, DeletePolicyVersionInput { policy_arn, version_id })
        };
        assert_eq!(refusal(delete("v2")), "DeleteConflict: Cannot delete the default version of a policy.");
        assert_eq!(
            refusal(delete("v9")),
            format!("NoSuchEntity: Policy {ARN} version v9 does not exist or is not attachable.")
        );
        let (policy_arn, version_id) = one("v1");
        write(&fixture, set_default_policy_version, SetDefaultPolicyVersionInput { policy_arn, version_id })
            .expect("set");
        delete("v2").expect("deleted");
        // A number is not given twice.
        for _ in 0..4 {
            write(&fixture, create_policy_version, add(false)).expect("a version");
        }
        assert_eq!(versions(&fixture)[0].0, "v6");
        assert!(refusal(write(&fixture, create_policy_version, add(false))).starts_with("LimitExceeded: A managed"));
        let (policy_arn, version_id) = one("v6");
        let got = read(&fixture, get_policy_version, GetPolicyVersionInput { policy_arn, version_id });
        let document = got.expect("a version").policy_version.expect("a version").document.expect("a document");
        assert!(document.contains("ecs%3A%2A"), "{document}");
    }
}
