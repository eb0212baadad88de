//! Account settings: a principal's own, the root user's for all who have none, and what AWS sets.

use super::{error, names};
use crate::{Caller, Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::Scope;
use longshore_types::arn::Arn;
use longshore_types::ecs::AccountSetting;

/// What a setting may be, and what it is when nobody says.
struct Kind {
    name: &'static str,
    default: &'static str,
    values: &'static [&'static str],
    /// Values of AWS that would need something that is not here.
    refused: &'static [&'static str],
}

const KINDS: [Kind; 11] = [
    kind("awsvpcTrunking", "disabled", &["disabled"], &["enabled"]),
    kind("containerInsights", "disabled", &["disabled", "enabled", "enhanced"], &[]),
    kind("containerInstanceLongArnFormat", "enabled", &["enabled"], &[]),
    kind("defaultLogDriverMode", "non-blocking", &["non-blocking", "blocking"], &[]),
    kind("fargateEventWindows", "disabled", &["disabled"], &["enabled"]),
    kind("fargateFIPSMode", "disabled", &["disabled"], &["enabled"]),
    // Nothing is ever retired here, however long one would wait.
    kind("fargateTaskRetirementWaitPeriod", "7", &["0", "7", "14"], &[]),
    kind("guardDutyActivate", "off", &[], &[]),
    kind("serviceLongArnFormat", "enabled", &["enabled"], &[]),
    kind("tagResourceAuthorization", "off", &["off"], &["on"]),
    kind("taskLongArnFormat", "enabled", &["enabled"], &[]),
];

const fn kind(
    name: &'static str,
    default: &'static str,
    values: &'static [&'static str],
    refused: &'static [&'static str],
) -> Kind {
    Kind { name, default, values, refused }
}

fn find(name: &str) -> Result<&'static Kind, AwsError> {
    let known = KINDS.iter().find(|kind| kind.name == name);
    known.ok_or_else(|| error::invalid(format!("The setting {name} is not valid.")))
}

fn check(name: &str, value: &str) -> Result<(), AwsError> {
    let kind = find(name)?;
    if kind.refused.contains(&value) {
        return Err(error::unsupported(&format!("Account setting {name} {value}")));
    }
    if kind.values.is_empty() {
        return Err(error::invalid(format!("The setting {name} is managed by AWS and cannot be changed.")));
    }
    if !kind.values.contains(&value) {
        return Err(error::invalid(format!("Invalid value '{value}' for the setting {name}.")));
    }
    Ok(())
}

fn root(scope: &Scope) -> String {
    format!("arn:aws:iam::{}:root", scope.account)
}

/// Whose settings a caller's are: a role's, not a session's.
fn principal(scope: &Scope, caller: &Caller) -> String {
    let session = Arn::parse(&caller.arn).and_then(|arn| arn.resource.strip_prefix("assumed-role/"));
    match session.and_then(|rest| rest.split_once('/')) {
        Some((role, _)) => format!("arn:aws:iam::{}:role/{role}", scope.account),
        None => caller.arn.clone(),
    }
}

/// The value that holds for a principal: its own, the root user's, or AWS's.
pub fn effective(state: &Snapshot, scope: &Scope, principal: &str, name: &str) -> String {
    let of = |who: &str| state.account_settings().get(&(scope.clone(), who.to_owned(), name.to_owned()));
    let default = || KINDS.iter().find(|kind| kind.name == name).map(|kind| kind.default.to_owned());
    of(principal).or_else(|| of(&root(scope))).map(|row| row.value.clone()).or_else(default).unwrap_or_default()
}

/// The value that holds for whoever makes this request.
pub fn of_caller(state: &Snapshot, cx: &Cx, name: &str) -> String {
    effective(state, &cx.scope, &principal(&cx.scope, &cx.caller), name)
}

/// The value that holds when nobody in particular asks.
pub fn of_account(state: &Snapshot, scope: &Scope, name: &str) -> String {
    effective(state, scope, &root(scope), name)
}

fn setting(name: &str, value: String, principal: String) -> Setting {
    let managed = name == "guardDutyActivate";
    Setting {
        name: Some(name.to_owned()),
        value: Some(value),
        principal_arn: Some(principal),
        r#type: Some(if managed { "aws_managed" } else { "user" }.to_owned()),
    }
}

fn put(tx: &mut Tx, cx: &Cx, name: &str, value: String, principal: String) -> Result<Setting, AwsError> {
    check(name, &value)?;
    let row = AccountSetting { name: name.to_owned(), value: value.clone(), principal: principal.clone() };
    tx.account_settings().put((cx.scope.clone(), principal.clone(), name.to_owned()), row);
    Ok(setting(name, value, principal))
}

pub fn put_account_setting(
    tx: &mut Tx,
    cx: &Cx,
    input: PutAccountSettingInput,
) -> Result<PutAccountSettingOutput, AwsError> {
    let principal = input.principal_arn.unwrap_or_else(|| principal(&cx.scope, &cx.caller));
    Ok(PutAccountSettingOutput { setting: Some(put(tx, cx, &input.name, input.value, principal)?) })
}

pub fn put_account_setting_default(
    tx: &mut Tx,
    cx: &Cx,
    input: PutAccountSettingDefaultInput,
) -> Result<PutAccountSettingDefaultOutput, AwsError> {
    let setting = put(tx, cx, &input.name, input.value, root(&cx.scope))?;
    Ok(PutAccountSettingDefaultOutput { setting: Some(setting) })
}

pub fn delete_account_setting(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteAccountSettingInput,
) -> Result<DeleteAccountSettingOutput, AwsError> {
    find(&input.name)?;
    let principal = input.principal_arn.unwrap_or_else(|| principal(&cx.scope, &cx.caller));
    tx.account_settings().remove(&(cx.scope.clone(), principal.clone(), input.name.clone()));
    let value = effective(tx, &cx.scope, &principal, &input.name);
    Ok(DeleteAccountSettingOutput { setting: Some(setting(&input.name, value, principal)) })
}

pub fn list_account_settings(
    state: &Snapshot,
    cx: &Cx,
    input: ListAccountSettingsInput,
) -> Result<ListAccountSettingsOutput, AwsError> {
    if let Some(name) = &input.name {
        find(name)?;
    } else if input.value.is_some() {
        return Err(error::invalid("A value can only be given together with a setting name."));
    }
    let who = input.principal_arn.unwrap_or_else(|| principal(&cx.scope, &cx.caller));
    let all = input.effective_settings == Some(true);
    let settings = KINDS.iter().filter_map(|kind| {
        let own = state.account_settings().get(&(cx.scope.clone(), who.clone(), kind.name.to_owned()));
        let value = match own {
            Some(row) => row.value.clone(),
            None if all => effective(state, &cx.scope, &who, kind.name),
            None => return None,
        };
        let wanted = input.name.as_deref().is_none_or(|name| name == kind.name)
            && input.value.as_ref().is_none_or(|wanted| *wanted == value);
        wanted.then(|| setting(kind.name, value, who.clone()))
    });
    let limit = names::page_size(input.max_results.filter(|n| *n != 0), 10, 10)?;
    let name = |setting: &Setting| setting.name.clone().unwrap_or_default();
    let page = page::page(settings, name, input.next_token.as_deref(), limit).map_err(|_| error::bad_token())?;
    Ok(ListAccountSettingsOutput { settings: Some(page.items), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_new_cluster_takes_container_insights_from_the_setting() {
        let world = World::new();
        let input = PutAccountSettingDefaultInput { name: "containerInsights".into(), value: "enabled".into() };
        world.write(|tx, cx| put_account_setting_default(tx, cx, input)).expect("set");
        let input = CreateClusterInput { cluster_name: Some("next".into()), ..Default::default() };
        let seen = world.write(|tx, cx| super::super::create_cluster::create_cluster(tx, cx, input)).expect("made");
        let settings = seen.cluster.and_then(|c| c.settings).expect("settings");
        assert_eq!(settings[0].value.as_deref(), Some("enabled"));
    }

    #[test]
    fn a_principals_own_value_hides_the_default_until_it_is_deleted() {
        let world = World::new();
        let user = "arn:aws:iam::123456789012:user/u";
        let put = |value: &str| PutAccountSettingInput {
            name: "defaultLogDriverMode".into(),
            value: value.into(),
            principal_arn: Some(user.into()),
        };
        let blocking = put("blocking");
        world.write(|tx, cx| put_account_setting(tx, cx, blocking)).expect("set");
        let value = |world: &World| world.read(|state, cx| effective(state, &cx.scope, user, "defaultLogDriverMode"));
        assert_eq!(value(&world), "blocking");
        let input = ListAccountSettingsInput { principal_arn: Some(user.into()), ..Default::default() };
        let own = world.read(|state, cx| list_account_settings(state, cx, input)).expect("listed").settings;
        assert_eq!(own.expect("a list").len(), 1);
        let input = DeleteAccountSettingInput { name: "defaultLogDriverMode".into(), principal_arn: Some(user.into()) };
        world.write(|tx, cx| delete_account_setting(tx, cx, input)).expect("deleted");
        assert_eq!(value(&world), "non-blocking");
        let input = ListAccountSettingsInput { effective_settings: Some(true), ..Default::default() };
        let first = world.read(|state, cx| list_account_settings(state, cx, input)).expect("listed");
        assert_eq!((first.settings.map(|s| s.len()), first.next_token.is_some()), (Some(10), true));
    }

    #[test]
    fn what_would_have_no_effect_is_refused_by_name() {
        let world = World::new();
        for (name, value, text) in [
            ("fargateFIPSMode", "enabled", "Account setting fargateFIPSMode enabled is not supported"),
            ("taskLongArnFormat", "disabled", "Invalid value 'disabled'"),
            ("guardDutyActivate", "on", "managed by AWS"),
            ("nonsense", "on", "The setting nonsense is not valid."),
        ] {
            let input = PutAccountSettingInput { name: name.into(), value: value.into(), principal_arn: None };
            let error = world.write(|tx, cx| put_account_setting(tx, cx, input)).expect_err("refused");
            assert!(error.message.contains(text), "{error:?}");
        }
    }
}
