//! Settings of the whole registry. It stands alone: what concerns other registries and accounts is refused by name.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::*;
use longshore_store::{Snapshot, Tx};

pub fn describe_registry(_: &Snapshot, cx: &Cx, _: DescribeRegistryInput) -> Result<DescribeRegistryOutput, AwsError> {
    Ok(DescribeRegistryOutput {
        registry_id: Some(cx.scope.account.to_string()),
        replication_configuration: Some(ReplicationConfiguration { rules: Some(vec![]) }),
    })
}

pub fn put_replication_configuration(
    _: &mut Tx,
    _: &Cx,
    input: PutReplicationConfigurationInput,
) -> Result<PutReplicationConfigurationOutput, AwsError> {
    let configuration = input.replication_configuration;
    if configuration.rules.as_ref().is_some_and(|rules| !rules.is_empty()) {
        return Err(error::unsupported("replicationConfiguration.rules"));
    }
    Ok(PutReplicationConfigurationOutput { replication_configuration: Some(configuration) })
}

/// Name, value, and the other values that AWS has or had. Nothing is scanned, there is no registry policy, and the registry
/// mounts layers of other repositories for whoever may read them: what is so stays so.
const ACCOUNT_SETTINGS: &[(&str, &str, &[&str])] = &[
    ("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE", &["CLAIR"]),
    ("REGISTRY_POLICY_SCOPE", "V2", &["V1"]),
    ("BLOB_MOUNTING", "ENABLED", &["DISABLED"]),
];

/// The value of an account setting, and what else AWS takes for it.
fn account_setting(name: &str) -> Result<(&'static str, &'static [&'static str]), AwsError> {
    let found = ACCOUNT_SETTINGS.iter().find(|(own, ..)| *own == name);
    let (_, value, others) = found.ok_or_else(|| {
        let names: Vec<_> = ACCOUNT_SETTINGS.iter().map(|(name, ..)| *name).collect();
        error::invalid_at("name", format!("Member must satisfy enum value set: [{}]", names.join(", ")))
    })?;
    Ok((value, others))
}

pub fn get_account_setting(
    _: &Snapshot,
    _: &Cx,
    input: GetAccountSettingInput,
) -> Result<GetAccountSettingOutput, AwsError> {
    let (value, _) = account_setting(&input.name)?;
    Ok(GetAccountSettingOutput { name: Some(input.name), value: Some(value.to_owned()) })
}

pub fn put_account_setting(
    _: &mut Tx,
    _: &Cx,
    input: PutAccountSettingInput,
) -> Result<PutAccountSettingOutput, AwsError> {
    let (value, others) = account_setting(&input.name)?;
    if others.contains(&input.value.as_str()) {
        return Err(error::unsupported(&format!("{} {}", input.name, input.value)));
    }
    if input.value != value {
        let values = [&[value], others].concat().join(", ");
        return Err(error::invalid_at("value", format!("Member must satisfy enum value set: [{values}]")));
    }
    Ok(PutAccountSettingOutput { name: Some(input.name), value: Some(input.value) })
}

pub fn describe_image_replication_status(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeImageReplicationStatusInput,
) -> Result<DescribeImageReplicationStatusOutput, AwsError> {
    let repository = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    names::image(state, &cx.scope, &repository.name, &input.image_id)
        .map_err(|_| error::no_image(&cx.scope, &repository.name, &input.image_id))?;
    Ok(DescribeImageReplicationStatusOutput {
        repository_name: Some(repository.name.clone()),
        image_id: Some(input.image_id),
        replication_statuses: Some(vec![]),
    })
}

pub fn get_registry_scanning_configuration(
    _: &Snapshot,
    cx: &Cx,
    _: GetRegistryScanningConfigurationInput,
) -> Result<GetRegistryScanningConfigurationOutput, AwsError> {
    Ok(GetRegistryScanningConfigurationOutput {
        registry_id: Some(cx.scope.account.to_string()),
        scanning_configuration: Some(basic_scanning()),
    })
}

pub fn put_registry_scanning_configuration(
    _: &mut Tx,
    _: &Cx,
    input: PutRegistryScanningConfigurationInput,
) -> Result<PutRegistryScanningConfigurationOutput, AwsError> {
    if input.scan_type.is_some_and(|kind| kind != "BASIC") {
        return Err(error::unsupported("scanType ENHANCED"));
    }
    if input.rules.is_some_and(|rules| !rules.is_empty()) {
        return Err(error::unsupported("rules"));
    }
    Ok(PutRegistryScanningConfigurationOutput { registry_scanning_configuration: Some(basic_scanning()) })
}

fn basic_scanning() -> RegistryScanningConfiguration {
    RegistryScanningConfiguration { scan_type: Some("BASIC".to_owned()), rules: Some(vec![]) }
}

/// A registry policy lets other accounts replicate into this registry: there are none.
pub fn put_registry_policy(_: &mut Tx, _: &Cx, _: PutRegistryPolicyInput) -> Result<PutRegistryPolicyOutput, AwsError> {
    Err(error::unsupported("policyText"))
}

pub fn get_registry_policy(
    _: &Snapshot,
    cx: &Cx,
    _: GetRegistryPolicyInput,
) -> Result<GetRegistryPolicyOutput, AwsError> {
    Err(no_registry_policy(cx))
}

pub fn delete_registry_policy(
    _: &mut Tx,
    cx: &Cx,
    _: DeleteRegistryPolicyInput,
) -> Result<DeleteRegistryPolicyOutput, AwsError> {
    Err(no_registry_policy(cx))
}

fn no_registry_policy(cx: &Cx) -> AwsError {
    let text = format!("Registry policy does not exist in the registry with id '{}'", cx.scope.account);
    AwsError::new("RegistryPolicyNotFoundException", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::web;
    use crate::logs::testing::refusal;

    #[test]
    fn account_settings_are_as_they_are() {
        let (bench, _) = web();
        for (name, value, other) in [
            ("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE", "CLAIR"),
            ("REGISTRY_POLICY_SCOPE", "V2", "V1"),
            ("BLOB_MOUNTING", "ENABLED", "DISABLED"),
        ] {
            let input = GetAccountSettingInput { name: name.to_owned() };
            let output = bench.read(|state, cx| get_account_setting(state, cx, input)).expect("a value");
            assert_eq!((output.name.as_deref(), output.value.as_deref()), (Some(name), Some(value)));
            let put = |value: &str| {
                let input = PutAccountSettingInput { name: name.to_owned(), value: value.to_owned() };
                bench.try_write(|tx, cx| put_account_setting(tx, cx, input))
            };
            assert_eq!(put(value).expect("it is so").value.as_deref(), Some(value));
            let refused = format!("InvalidParameterException: {name} {other} is not supported by Longshore yet.");
            assert_eq!(refusal(put(other)), refused);
            assert!(refusal(put("MAYBE")).ends_with(&format!("enum value set: [{value}, {other}]'")));
        }
        let input = GetAccountSettingInput { name: "COLOUR".to_owned() };
        let refused = refusal(bench.read(|state, cx| get_account_setting(state, cx, input)));
        assert!(refused.contains("[BASIC_SCAN_TYPE_VERSION, REGISTRY_POLICY_SCOPE, BLOB_MOUNTING]"), "{refused}");
    }

    #[test]
    fn what_concerns_other_registries_is_refused_by_name() {
        let (bench, _) = web();
        let rules = |rules| PutReplicationConfigurationInput {
            replication_configuration: ReplicationConfiguration { rules: Some(rules) },
        };
        bench
            .try_write(move |tx, cx| put_replication_configuration(tx, cx, rules(vec![])))
            .expect("nothing is asked for");
        let refused = refusal(
            bench.try_write(move |tx, cx| put_replication_configuration(tx, cx, rules(vec![Default::default()]))),
        );
        assert_eq!(
            refused,
            "InvalidParameterException: replicationConfiguration.rules is not supported by Longshore yet."
        );
        let enhanced = PutRegistryScanningConfigurationInput { scan_type: Some("ENHANCED".to_owned()), rules: None };
        assert!(
            refusal(bench.try_write(|tx, cx| put_registry_scanning_configuration(tx, cx, enhanced)))
                .contains("ENHANCED")
        );
        assert!(
            refusal(bench.read(|state, cx| get_registry_policy(state, cx, Default::default())))
                .starts_with("RegistryPolicyNotFoundException: ")
        );
    }
}
