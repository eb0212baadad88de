//! GetAccountSummary, and the account's alias.

use super::error;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};

/// What there is, and IAM's quotas.
pub fn get_account_summary(
    state: &Snapshot,
    cx: &Cx,
    _: GetAccountSummaryInput,
) -> Result<GetAccountSummaryOutput, AwsError> {
    let account = &cx.scope.account;
    let versions = state.policies().prefix(account).map(|policy| policy.versions.len()).sum();
    let counts = [
        ("Users", state.users().prefix(account).count()),
        ("Groups", state.groups().prefix(account).count()),
        ("Roles", state.roles().prefix(account).count()),
        ("Policies", state.policies().prefix(account).count()),
        ("PolicyVersionsInUse", versions),
        ("InstanceProfiles", state.instance_profiles().prefix(account).count()),
        ("Providers", 0),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("ServerCertificates", 0),
        ("AccountMFAEnabled", 0),
        ("AccountAccessKeysPresent", 1),
        ("AccountSigningCertificatesPresent", 0),
        ("AccountPasswordPresent", 0),
        ("UsersQuota", 5000),
        ("GroupsQuota", 300),
        ("RolesQuota", 1000),
        ("PoliciesQuota", 1500),
        ("InstanceProfilesQuota", 1000),
        ("ServerCertificatesQuota", 20),
        ("GroupsPerUserQuota", 10),
        ("AccessKeysPerUserQuota", 2),
        ("SigningCertificatesPerUserQuota", 2),
        ("AttachedPoliciesPerGroupQuota", 10),
        ("AttachedPoliciesPerRoleQuota", 20),
        ("AttachedPoliciesPerUserQuota", 20),
        ("AssumeRolePolicySizeQuota", 4096),
        ("GroupPolicySizeQuota", 5120),
        ("RolePolicySizeQuota", 10_240),
        ("UserPolicySizeQuota", 2048),
        ("PolicySizeQuota", 6144),
        ("PolicyVersionsInUseQuota", 10_000),
        ("VersionsPerPolicyQuota", 5),
        ("GlobalEndpointTokenVersion", 1),
    ];
    let map = counts.into_iter().map(|(name, count)| (name.to_owned(), i32::try_from(count).unwrap_or(i32::MAX)));
    Ok(GetAccountSummaryOutput { summary_map: Some(map.collect()) })
}

pub fn create_account_alias(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateAccountAliasInput,
) -> Result<CreateAccountAliasOutput, AwsError> {
    tx.account_aliases().put(cx.scope.account.clone(), input.account_alias);
    Ok(CreateAccountAliasOutput {})
}

pub fn delete_account_alias(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteAccountAliasInput,
) -> Result<DeleteAccountAliasOutput, AwsError> {
    let own = tx.account_aliases().get(&cx.scope.account);
    if own.as_deref() != Some(&input.account_alias) {
        return Err(error::no_such_alias(&input.account_alias));
    }
    tx.account_aliases().remove(&cx.scope.account);
    Ok(DeleteAccountAliasOutput {})
}

pub fn list_account_aliases(
    state: &Snapshot,
    cx: &Cx,
    _: ListAccountAliasesInput,
) -> Result<ListAccountAliasesOutput, AwsError> {
    let alias = state.account_aliases().get(&cx.scope.account).map(|alias| String::clone(&alias));
    Ok(ListAccountAliasesOutput {
        account_aliases: Some(alias.into_iter().collect()),
        is_truncated: Some(false),
        marker: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::users::tests::with_user;

    #[test]
    fn what_there_is_is_counted() {
        let summary = read(&with_user(), get_account_summary, GetAccountSummaryInput {}).expect("a summary");
        let map = summary.summary_map.expect("a map");
        assert_eq!((map["Users"], map["Roles"], map["UsersQuota"]), (1, 0, 5000));
    }

    #[test]
    fn the_account_has_one_alias() {
        let fixture = with_user();
        let name = || "harbour".to_owned();
        write(&fixture, create_account_alias, CreateAccountAliasInput { account_alias: name() }).expect("made");
        let list = || read(&fixture, list_account_aliases, ListAccountAliasesInput::default()).expect("a list");
        assert_eq!(list().account_aliases, Some(vec![name()]));
        let delete = || DeleteAccountAliasInput { account_alias: name() };
        write(&fixture, delete_account_alias, delete()).expect("deleted");
        assert_eq!(
            refusal(write(&fixture, delete_account_alias, delete())),
            "NoSuchEntity: The Account Alias with name harbour cannot be found."
        );
    }
}
