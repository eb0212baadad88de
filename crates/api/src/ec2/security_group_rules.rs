//! AuthorizeSecurityGroupIngress and Egress, RevokeSecurityGroupIngress and Egress: one story for both directions.

use super::error::{self, Kind};
use super::permission::{self, Flat, Permission, peer_fields};
use super::view::some;
use super::{prefix_lists, security_groups, tags};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2 as wire;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{Destination, RulePeer, SecurityGroup, SecurityGroupRule};
use longshore_types::id::SecurityGroupRuleId;
use longshore_types::{Scope, Tags, arn};
use std::sync::Arc;

/// EC2's hard limit of rules that apply to one interface; a group alone may have no more.
const RULES_MAX: usize = 1000;

pub fn authorize_security_group_ingress(
    tx: &mut Tx,
    cx: &Cx,
    input: AuthorizeSecurityGroupIngressInput,
) -> Result<AuthorizeSecurityGroupIngressOutput, AwsError> {
    let flat = Flat {
        protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr: input.cidr_ip,
        source_group_name: input.source_security_group_name,
        source_group_owner: input.source_security_group_owner_id,
    };
    let group = security_groups::named(tx, cx, input.group_id.as_deref(), input.group_name.as_deref())?;
    let permissions = permission::parse(tx, cx, &group, flat, input.ip_permissions)?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "security-group-rule")?;
    let rules = authorize(tx, cx, &group, false, permissions, &tags)?;
    let output = AuthorizeSecurityGroupIngressOutput { r#return: Some(true), security_group_rules: Some(rules) };
    error::finish(input.dry_run, output)
}

pub fn authorize_security_group_egress(
    tx: &mut Tx,
    cx: &Cx,
    input: AuthorizeSecurityGroupEgressInput,
) -> Result<AuthorizeSecurityGroupEgressOutput, AwsError> {
    let flat = Flat {
        protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr: input.cidr_ip,
        source_group_name: input.source_security_group_name,
        source_group_owner: input.source_security_group_owner_id,
    };
    let group = security_groups::by_id(tx, cx, &input.group_id)?;
    let permissions = permission::parse(tx, cx, &group, flat, input.ip_permissions)?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "security-group-rule")?;
    let rules = authorize(tx, cx, &group, true, permissions, &tags)?;
    let output = AuthorizeSecurityGroupEgressOutput { r#return: Some(true), security_group_rules: Some(rules) };
    error::finish(input.dry_run, output)
}

/// Adds all permissions, or none if one of them is there already.
fn authorize(
    tx: &mut Tx,
    cx: &Cx,
    group: &SecurityGroup,
    egress: bool,
    permissions: Vec<Permission>,
    tags: &Tags,
) -> Result<Vec<wire::SecurityGroupRule>, AwsError> {
    let twice = |permission: &&Permission| group.rules.iter().any(|rule| rule.egress == egress && permission.is(rule));
    if let Some(permission) = permissions.iter().find(twice) {
        return Err(error::duplicate_permission(&permission.describe()));
    }
    let rules: Vec<_> = permissions
        .into_iter()
        .map(|permission| SecurityGroupRule {
            id: SecurityGroupRuleId(cx.ids().ec2("sgr")),
            egress,
            protocol: permission.protocol,
            from_port: permission.from_port,
            to_port: permission.to_port,
            peer: permission.peer,
            description: permission.description,
            tags: tags.clone(),
        })
        .collect();
    let all: Vec<_> = group.rules.iter().chain(&rules).cloned().collect();
    check_count(tx, cx, &all)?;
    let sent = rules.iter().map(|rule| view(&cx.scope, group, rule)).collect();
    tx.security_groups().update(&(cx.scope.clone(), group.id.clone()), |group| group.rules.extend(rules));
    Ok(sent)
}

/// A rule of a prefix list counts for as many as the list may have entries.
pub fn check_count(state: &Snapshot, cx: &Cx, rules: &[SecurityGroupRule]) -> Result<(), AwsError> {
    let weight = |rule: &SecurityGroupRule| match &rule.peer {
        RulePeer::PrefixList(id) => prefix_lists::weight(state, cx, &Destination::PrefixList(id.clone())),
        _ => 1,
    };
    if rules.iter().map(weight).sum::<usize>() > RULES_MAX {
        let message = "The maximum number of rules per security group has been reached.";
        return Err(AwsError::new("RulesPerSecurityGroupLimitExceeded", message));
    }
    Ok(())
}

pub fn revoke_security_group_ingress(
    tx: &mut Tx,
    cx: &Cx,
    input: RevokeSecurityGroupIngressInput,
) -> Result<RevokeSecurityGroupIngressOutput, AwsError> {
    let flat = Flat {
        protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr: input.cidr_ip,
        source_group_name: input.source_security_group_name,
        source_group_owner: input.source_security_group_owner_id,
    };
    let group = security_groups::named(tx, cx, input.group_id.as_deref(), input.group_name.as_deref())?;
    let what = ToRevoke { rule_ids: input.security_group_rule_ids, flat, permissions: input.ip_permissions };
    let revoked = revoke(tx, cx, &group, false, what)?;
    let output = RevokeSecurityGroupIngressOutput {
        r#return: Some(true),
        unknown_ip_permissions: Some(revoked.unknown),
        revoked_security_group_rules: Some(revoked.rules),
    };
    error::finish(input.dry_run, output)
}

pub fn revoke_security_group_egress(
    tx: &mut Tx,
    cx: &Cx,
    input: RevokeSecurityGroupEgressInput,
) -> Result<RevokeSecurityGroupEgressOutput, AwsError> {
    let flat = Flat {
        protocol: input.ip_protocol,
        from_port: input.from_port,
        to_port: input.to_port,
        cidr: input.cidr_ip,
        source_group_name: input.source_security_group_name,
        source_group_owner: input.source_security_group_owner_id,
    };
    let group = security_groups::by_id(tx, cx, &input.group_id)?;
    let what = ToRevoke { rule_ids: input.security_group_rule_ids, flat, permissions: input.ip_permissions };
    let revoked = revoke(tx, cx, &group, true, what)?;
    let output = RevokeSecurityGroupEgressOutput {
        r#return: Some(true),
        unknown_ip_permissions: Some(revoked.unknown),
        revoked_security_group_rules: Some(revoked.rules),
    };
    error::finish(input.dry_run, output)
}

/// Rules by id, or by what they say.
struct ToRevoke {
    rule_ids: Option<Vec<String>>,
    flat: Flat,
    permissions: Option<Vec<IpPermission>>,
}

struct Revoked {
    rules: Vec<RevokedSecurityGroupRule>,
    unknown: Vec<IpPermission>,
}

fn revoke(tx: &mut Tx, cx: &Cx, group: &SecurityGroup, egress: bool, what: ToRevoke) -> Result<Revoked, AwsError> {
    let rule_ids = what.rule_ids.unwrap_or_default();
    let (ids, unknown) = match (rule_ids.is_empty(), what.permissions) {
        (false, Some(_)) => {
            let message = "The parameter ipPermissions cannot be used with the parameter securityGroupRuleIds";
            return Err(error::invalid_combination(message));
        }
        (false, None) => (known_ids(group, egress, &rule_ids)?, Vec::new()),
        (true, permissions) => {
            let permissions = permission::parse(tx, cx, group, what.flat, permissions).map_err(missing_both)?;
            find_rules(tx, cx, group, egress, permissions)?
        }
    };
    let is_revoked = |rule: &SecurityGroupRule| ids.contains(&rule.id);
    let rules = group.rules.iter().filter(|rule| is_revoked(rule)).map(|rule| revoked_view(group, rule)).collect();
    let key = (cx.scope.clone(), group.id.clone());
    tx.security_groups().update(&key, |group| group.rules.retain(|rule| !is_revoked(rule)));
    Ok(Revoked { rules, unknown: permission::view(&cx.scope, unknown.into_iter()) })
}

/// A request with nothing to revoke could have had either form.
fn missing_both(error: AwsError) -> AwsError {
    match error.code.as_ref() {
        "MissingParameter" if error.message.ends_with(" ipPermissions") => {
            let message = "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.";
            AwsError::new("MissingParameter", message)
        }
        _ => error,
    }
}

fn known_ids(group: &SecurityGroup, egress: bool, ids: &[String]) -> Result<Vec<SecurityGroupRuleId>, AwsError> {
    let find = |id: &String| {
        let rule = group.rules.iter().find(|rule| rule.egress == egress && rule.id.as_str() == id);
        rule.map(|rule| rule.id.clone()).ok_or_else(|| Kind::SecurityGroupRule.not_found(&[id]))
    };
    ids.iter().map(find).collect()
}

/// The rules that say what the permissions say. Of those that match none, EC2 tells in a default VPC, and makes an error
/// in any other.
fn find_rules(
    state: &Snapshot,
    cx: &Cx,
    group: &SecurityGroup,
    egress: bool,
    permissions: Vec<Permission>,
) -> Result<(Vec<SecurityGroupRuleId>, Vec<Permission>), AwsError> {
    let (mut ids, mut unknown) = (Vec::new(), Vec::new());
    for permission in permissions {
        match group.rules.iter().find(|rule| rule.egress == egress && permission.is(rule)) {
            Some(rule) => ids.push(rule.id.clone()),
            None => unknown.push(permission),
        }
    }
    let vpc = state.vpcs().get(&(cx.scope.clone(), group.vpc.clone()));
    if !unknown.is_empty() && !vpc.is_some_and(|vpc| vpc.is_default) {
        return Err(error::permission_not_found());
    }
    Ok((ids, unknown))
}

/// A rule as it is sent.
pub fn view(scope: &Scope, group: &SecurityGroup, rule: &SecurityGroupRule) -> wire::SecurityGroupRule {
    let peer = peer_fields(&rule.peer);
    wire::SecurityGroupRule {
        security_group_rule_id: some(&rule.id),
        security_group_rule_arn: Some(arn::ec2(scope, "security-group-rule", rule.id.as_str())),
        group_id: some(&group.id),
        group_owner_id: some(&scope.account),
        is_egress: Some(rule.egress),
        ip_protocol: some(&rule.protocol),
        from_port: Some(rule.from_port),
        to_port: Some(rule.to_port),
        cidr_ipv4: peer.cidr_ipv4,
        cidr_ipv6: peer.cidr_ipv6,
        prefix_list_id: peer.prefix_list_id,
        referenced_group_info: peer.group_id.map(|id| ReferencedSecurityGroup {
            group_id: Some(id),
            user_id: some(&scope.account),
            ..Default::default()
        }),
        description: rule.description.clone(),
        tags: tags::view(&rule.tags),
    }
}

fn revoked_view(group: &SecurityGroup, rule: &SecurityGroupRule) -> RevokedSecurityGroupRule {
    let peer = peer_fields(&rule.peer);
    RevokedSecurityGroupRule {
        security_group_rule_id: some(&rule.id),
        group_id: some(&group.id),
        is_egress: Some(rule.egress),
        ip_protocol: some(&rule.protocol),
        from_port: Some(rule.from_port),
        to_port: Some(rule.to_port),
        cidr_ipv4: peer.cidr_ipv4,
        cidr_ipv6: peer.cidr_ipv6,
        prefix_list_id: peer.prefix_list_id,
        referenced_group_id: peer.group_id,
        description: rule.description.clone(),
    }
}

/// The group that has a rule, and the rule.
pub fn find(state: &Snapshot, scope: &Scope, id: &str) -> Option<(Arc<SecurityGroup>, SecurityGroupRule)> {
    state.security_groups().prefix(scope).find_map(|group| {
        let rule = group.rules.iter().find(|rule| rule.id.as_str() == id)?.clone();
        Some((group, rule))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_security_group::create_security_group;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;

    fn group_in(fixture: &Fixture, vpc_id: Option<String>) -> String {
        let input = CreateSecurityGroupInput {
            group_name: "web".to_owned(),
            description: "a".to_owned(),
            vpc_id,
            ..Default::default()
        };
        write(fixture, create_security_group, input).expect("a group").group_id.expect("an id")
    }

    fn permission(protocol: &str, ports: (i32, i32), cidrs: &[&str]) -> IpPermission {
        let range =
            |cidr: &&str| IpRange { cidr_ip: Some(cidr.to_string()), description: Some("from there".to_owned()) };
        IpPermission {
            ip_protocol: Some(protocol.to_owned()),
            from_port: Some(ports.0),
            to_port: Some(ports.1),
            ip_ranges: Some(cidrs.iter().map(range).collect()),
            ..Default::default()
        }
    }

    fn ingress(group_id: &str, permissions: Vec<IpPermission>) -> AuthorizeSecurityGroupIngressInput {
        AuthorizeSecurityGroupIngressInput {
            group_id: Some(group_id.to_owned()),
            ip_permissions: Some(permissions),
            ..Default::default()
        }
    }

    fn revoke_ingress(group_id: &str, permissions: Vec<IpPermission>) -> RevokeSecurityGroupIngressInput {
        RevokeSecurityGroupIngressInput {
            group_id: Some(group_id.to_owned()),
            ip_permissions: Some(permissions),
            ..Default::default()
        }
    }

    fn rule_count(fixture: &Fixture, group_id: &str) -> usize {
        fixture.read(|state, cx| security_groups::by_id(state, cx, group_id).expect("the group").rules.len())
    }

    #[test]
    fn rules_are_added_one_for_each_peer_and_told() {
        let fixture = Fixture::new();
        let group = group_in(&fixture, None);
        let given = vec![permission("tcp", (80, 81), &["10.0.0.1/8", "0.0.0.0/0"])];
        let output = write(&fixture, authorize_security_group_ingress, ingress(&group, given)).expect("rules");
        let rules = output.security_group_rules.expect("rules");
        let cidrs: Vec<_> = rules.iter().map(|rule| rule.cidr_ipv4.as_deref().expect("IPv4")).collect();
        assert_eq!(cidrs, ["10.0.0.0/8", "0.0.0.0/0"]);
        assert_eq!((rules[0].from_port, rules[0].to_port, rules[0].is_egress), (Some(80), Some(81), Some(false)));
        assert_eq!(rules[0].description.as_deref(), Some("from there"));

        let given = vec![permission("tcp", (80, 81), &["0.0.0.0/0"])];
        assert_eq!(
            refusal(write(&fixture, authorize_security_group_ingress, ingress(&group, given))),
            "InvalidPermission.Duplicate: the specified rule \"peer: 0.0.0.0/0, TCP, from port: 80, to port: 81, ALLOW\" \
             already exists"
        );
        assert_eq!(rule_count(&fixture, &group), 3);
    }

    #[test]
    fn the_old_form_names_one_peer() {
        let fixture = Fixture::new();
        let group = group_in(&fixture, None);
        let input = AuthorizeSecurityGroupIngressInput {
            group_name: Some("web".to_owned()),
            ip_protocol: Some("tcp".to_owned()),
            from_port: Some(8080),
            to_port: Some(8080),
            source_security_group_name: Some("web".to_owned()),
            ..Default::default()
        };
        let output = write(&fixture, authorize_security_group_ingress, input).expect("a rule");
        let info = output.security_group_rules.expect("rules").remove(0).referenced_group_info.expect("a group");
        assert_eq!((info.group_id, info.user_id.as_deref()), (Some(group), Some("123456789012")));
    }

    #[test]
    fn what_is_wrong_is_told_and_nothing_is_added() {
        let fixture = Fixture::new();
        let group = group_in(&fixture, None);
        let other_vpc = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        let other_vpc = write(&fixture, create_vpc, other_vpc).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id);
        let elsewhere = group_in(&fixture, other_vpc);
        let of_group = |id: &str| IpPermission {
            ip_protocol: Some("-1".to_owned()),
            user_id_group_pairs: Some(vec![UserIdGroupPair { group_id: Some(id.to_owned()), ..Default::default() }]),
            ..Default::default()
        };
        let list = PrefixListId { prefix_list_id: Some("pl-1".to_owned()), description: None };
        let of_list = IpPermission { prefix_list_ids: Some(vec![list]), ..permission("tcp", (80, 80), &[]) };
        for (given, expected) in [
            (vec![], "MissingParameter: The request must contain the parameter ipPermissions"),
            (
                vec![permission("tcp", (80, 80), &["10.0.0.0"])],
                "InvalidParameterValue: CIDR block 10.0.0.0 is malformed",
            ),
            (
                vec![permission("tcp", (80, 80), &["10.0.0.0/8"]), permission("6", (80, 80), &["10.0.0.0/8"])],
                "InvalidParameterValue: The same permission must not appear multiple times",
            ),
            (vec![of_group("sg-1")], "InvalidGroup.NotFound: The security group 'sg-1' does not exist"),
            (
                vec![of_group(&elsewhere)],
                "InvalidGroup.NotFound: You have specified two resources that belong to different networks.",
            ),
            (vec![of_list], "InvalidPrefixListID.NotFound: The prefix list ID 'pl-1' does not exist"),
        ] {
            assert_eq!(refusal(write(&fixture, authorize_security_group_ingress, ingress(&group, given))), expected);
        }
        assert_eq!(rule_count(&fixture, &group), 1);
    }

    #[test]
    fn rules_are_revoked_by_what_they_say_or_by_id() {
        let fixture = Fixture::new();
        let group = group_in(&fixture, None);
        let given = vec![permission("tcp", (80, 80), &["10.0.0.0/8", "0.0.0.0/0"])];
        let output = write(&fixture, authorize_security_group_ingress, ingress(&group, given)).expect("rules");
        let id = output.security_group_rules.expect("rules").remove(0).security_group_rule_id.expect("an id");

        let given = vec![permission("tcp", (80, 80), &["0.0.0.0/0"])];
        let output = write(&fixture, revoke_security_group_ingress, revoke_ingress(&group, given)).expect("revoked");
        assert_eq!(output.revoked_security_group_rules.map(|rules| rules.len()), Some(1));
        let by_id = RevokeSecurityGroupIngressInput {
            group_id: Some(group.clone()),
            security_group_rule_ids: Some(vec![id.clone()]),
            ..Default::default()
        };
        write(&fixture, revoke_security_group_ingress, by_id.clone()).expect("revoked");
        assert_eq!(rule_count(&fixture, &group), 1);
        assert_eq!(
            refusal(write(&fixture, revoke_security_group_ingress, by_id)),
            format!("InvalidSecurityGroupRuleId.NotFound: The security group rule ID '{id}' does not exist")
        );
        assert_eq!(
            refusal(write(&fixture, revoke_security_group_ingress, revoke_ingress(&group, vec![]))),
            "MissingParameter: Either 'ipPermissions' or 'securityGroupRuleIds' should be provided."
        );
    }

    #[test]
    fn unknown_rules_are_told_in_the_default_vpc_and_an_error_elsewhere() {
        let fixture = Fixture::new();
        let group = group_in(&fixture, None);
        let given = || vec![permission("tcp", (80, 80), &["10.0.0.0/8"])];
        let output = write(&fixture, revoke_security_group_ingress, revoke_ingress(&group, given())).expect("told");
        assert_eq!(output.unknown_ip_permissions.map(|unknown| unknown.len()), Some(1));

        let vpc = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        let vpc = write(&fixture, create_vpc, vpc).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id);
        let elsewhere = group_in(&fixture, vpc);
        assert_eq!(
            refusal(write(&fixture, revoke_security_group_ingress, revoke_ingress(&elsewhere, given()))),
            "InvalidPermission.NotFound: The specified rule does not exist in this security group."
        );
    }

    #[test]
    fn egress_is_a_list_of_its_own() {
        let fixture = Fixture::new();
        let group_id = group_in(&fixture, None);
        let everything = vec![permission("-1", (0, 0), &["0.0.0.0/0"])];
        let input = AuthorizeSecurityGroupEgressInput {
            group_id: group_id.clone(),
            ip_permissions: Some(everything.clone()),
            ..Default::default()
        };
        assert_eq!(
            refusal(write(&fixture, authorize_security_group_egress, input.clone())),
            "InvalidPermission.Duplicate: the specified rule \"peer: 0.0.0.0/0, ALL, ALLOW\" already exists"
        );
        let revoke = RevokeSecurityGroupEgressInput {
            group_id: group_id.clone(),
            ip_permissions: Some(everything),
            ..Default::default()
        };
        write(&fixture, revoke_security_group_egress, revoke).expect("revoked");
        assert_eq!(rule_count(&fixture, &group_id), 0);
        write(&fixture, authorize_security_group_egress, input).expect("added");
        assert_eq!(rule_count(&fixture, &group_id), 1);
    }
}
