//! ModifySecurityGroupRules, UpdateSecurityGroupRuleDescriptionsIngress and Egress.

use super::error::{self, Kind};
use super::permission::{self, Flat, Permission};
use super::{security_group_rules, security_groups};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2 as wire;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{SecurityGroup, SecurityGroupRule as Rule};

/// Each rule is replaced whole, as the request describes it, and keeps its id, direction and tags.
pub fn modify_security_group_rules(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifySecurityGroupRulesInput,
) -> Result<ModifySecurityGroupRulesOutput, AwsError> {
    let group = security_groups::by_id(tx, cx, &input.group_id)?;
    let mut rules = group.rules.clone();
    for update in input.security_group_rules {
        let id = update.security_group_rule_id.unwrap_or_default();
        let Some(at) = rules.iter().position(|rule| rule.id.as_str() == id) else {
            return Err(Kind::SecurityGroupRule.not_found(&[&id]));
        };
        let request = update.security_group_rule.ok_or_else(|| error::missing_parameter("SecurityGroupRule"))?;
        let permission = permission_of(tx, cx, &group, request)?;
        let egress = rules[at].egress;
        let is_other = |(n, rule): (usize, &Rule)| n != at && rule.egress == egress && permission.is(rule);
        if rules.iter().enumerate().any(is_other) {
            return Err(error::duplicate_permission(&permission.describe()));
        }
        let rule = &mut rules[at];
        rule.protocol = permission.protocol;
        rule.from_port = permission.from_port;
        rule.to_port = permission.to_port;
        rule.peer = permission.peer;
        rule.description = permission.description;
    }
    security_group_rules::check_count(tx, cx, &rules)?;
    tx.security_groups().update(&(cx.scope.clone(), group.id.clone()), |group| group.rules = rules);
    error::finish(input.dry_run, ModifySecurityGroupRulesOutput { r#return: Some(true) })
}

/// A rule's request is a permission with one peer.
fn permission_of(
    state: &Snapshot,
    cx: &Cx,
    group: &SecurityGroup,
    rule: SecurityGroupRuleRequest,
) -> Result<Permission, AwsError> {
    let peers = [&rule.cidr_ipv4, &rule.cidr_ipv6, &rule.prefix_list_id, &rule.referenced_group_id];
    if peers.into_iter().flatten().count() != 1 {
        let message = "Exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId must be given.";
        return Err(error::invalid_combination(message));
    }
    let description = rule.description;
    let given = wire::IpPermission {
        ip_protocol: rule.ip_protocol,
        from_port: rule.from_port,
        to_port: rule.to_port,
        ip_ranges: rule.cidr_ipv4.map(|cidr| vec![IpRange { cidr_ip: Some(cidr), description: description.clone() }]),
        ipv6_ranges: rule
            .cidr_ipv6
            .map(|cidr| vec![Ipv6Range { cidr_ipv6: Some(cidr), description: description.clone() }]),
        prefix_list_ids: rule
            .prefix_list_id
            .map(|id| vec![PrefixListId { prefix_list_id: Some(id), description: description.clone() }]),
        user_id_group_pairs: rule.referenced_group_id.map(|id| {
            vec![UserIdGroupPair { group_id: Some(id), description: description.clone(), ..Default::default() }]
        }),
    };
    let mut parsed = permission::parse(state, cx, group, Flat::default(), Some(vec![given]))?;
    parsed.pop().ok_or_else(|| error::missing_parameter("SecurityGroupRule"))
}

pub fn update_security_group_rule_descriptions_ingress(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateSecurityGroupRuleDescriptionsIngressInput,
) -> Result<UpdateSecurityGroupRuleDescriptionsIngressOutput, AwsError> {
    let group = security_groups::named(tx, cx, input.group_id.as_deref(), input.group_name.as_deref())?;
    describe(tx, cx, &group, false, input.ip_permissions, input.security_group_rule_descriptions)?;
    error::finish(input.dry_run, UpdateSecurityGroupRuleDescriptionsIngressOutput { r#return: Some(true) })
}

pub fn update_security_group_rule_descriptions_egress(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateSecurityGroupRuleDescriptionsEgressInput,
) -> Result<UpdateSecurityGroupRuleDescriptionsEgressOutput, AwsError> {
    let group = security_groups::named(tx, cx, input.group_id.as_deref(), input.group_name.as_deref())?;
    describe(tx, cx, &group, true, input.ip_permissions, input.security_group_rule_descriptions)?;
    error::finish(input.dry_run, UpdateSecurityGroupRuleDescriptionsEgressOutput { r#return: Some(true) })
}

/// Changes descriptions, of rules named by what they say or by id. One without a description loses its own.
fn describe(
    tx: &mut Tx,
    cx: &Cx,
    group: &SecurityGroup,
    egress: bool,
    permissions: Option<Vec<IpPermission>>,
    descriptions: Option<Vec<SecurityGroupRuleDescription>>,
) -> Result<(), AwsError> {
    let mut rules = group.rules.clone();
    match (permissions.unwrap_or_default(), descriptions.unwrap_or_default()) {
        (permissions, descriptions) if descriptions.is_empty() && !permissions.is_empty() => {
            for permission in permission::parse(tx, cx, group, Flat::default(), Some(permissions))? {
                let rule = rules.iter_mut().find(|rule| rule.egress == egress && permission.is(rule));
                rule.ok_or_else(error::permission_not_found)?.description = permission.description;
            }
        }
        (permissions, descriptions) if permissions.is_empty() && !descriptions.is_empty() => {
            for one in descriptions {
                permission::check_description(one.description.as_deref())?;
                let id = one.security_group_rule_id.unwrap_or_default();
                let rule = rules.iter_mut().find(|rule| rule.egress == egress && rule.id.as_str() == id);
                rule.ok_or_else(|| Kind::SecurityGroupRule.not_found(&[&id]))?.description = one.description;
            }
        }
        (permissions, _) if permissions.is_empty() => {
            return Err(error::missing_parameter("ipPermissions or securityGroupRuleDescriptions"));
        }
        _ => {
            let message = "The parameter ipPermissions cannot be used with the parameter securityGroupRuleDescriptions";
            return Err(error::invalid_combination(message));
        }
    }
    tx.security_groups().update(&(cx.scope.clone(), group.id.clone()), |group| group.rules = rules);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_security_group::create_security_group;
    use crate::ec2::prefix_lists::{create_managed_prefix_list, delete_managed_prefix_list};
    use crate::ec2::security_group_rules::authorize_security_group_ingress;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;
    use longshore_types::ec2::RulePeer;

    fn web_rule(fixture: &Fixture) -> (String, String) {
        let input = CreateSecurityGroupInput {
            group_name: "web".to_owned(),
            description: "a".to_owned(),
            ..Default::default()
        };
        let group = write(fixture, create_security_group, input).expect("a group").group_id.expect("an id");
        let input = AuthorizeSecurityGroupIngressInput {
            group_id: Some(group.clone()),
            ip_protocol: Some("tcp".to_owned()),
            from_port: Some(80),
            to_port: Some(80),
            cidr_ip: Some("0.0.0.0/0".to_owned()),
            ..Default::default()
        };
        let output = write(fixture, authorize_security_group_ingress, input).expect("a rule");
        (group, output.security_group_rules.expect("rules").remove(0).security_group_rule_id.expect("an id"))
    }

    fn rule(fixture: &Fixture, id: &str) -> Rule {
        fixture.read(|state, cx| security_group_rules::find(state, &cx.scope, id).expect("the rule").1)
    }

    fn modify(group: &str, id: &str, request: SecurityGroupRuleRequest) -> ModifySecurityGroupRulesInput {
        ModifySecurityGroupRulesInput {
            group_id: group.to_owned(),
            security_group_rules: vec![SecurityGroupRuleUpdate {
                security_group_rule_id: Some(id.to_owned()),
                security_group_rule: Some(request),
            }],
            dry_run: None,
        }
    }

    #[test]
    fn a_rule_is_changed_by_its_id_to_any_kind_of_peer() {
        let fixture = Fixture::new();
        let (group, id) = web_rule(&fixture);
        let list = CreateManagedPrefixListInput {
            prefix_list_name: "offices".to_owned(),
            address_family: "IPv4".to_owned(),
            max_entries: 2,
            ..Default::default()
        };
        let list = write(&fixture, create_managed_prefix_list, list).expect("a list").prefix_list;
        let list = list.and_then(|list| list.prefix_list_id).expect("an id");
        let request = SecurityGroupRuleRequest {
            ip_protocol: Some("tcp".to_owned()),
            from_port: Some(443),
            to_port: Some(443),
            prefix_list_id: Some(list.clone()),
            description: Some("offices".to_owned()),
            ..Default::default()
        };
        write(&fixture, modify_security_group_rules, modify(&group, &id, request.clone())).expect("changed");
        let changed = rule(&fixture, &id);
        assert_eq!((changed.from_port, &changed.peer), (443, &RulePeer::PrefixList(list.as_str().into())));
        let delete = DeleteManagedPrefixListInput { dry_run: None, prefix_list_id: list };
        assert!(refusal(write(&fixture, delete_managed_prefix_list, delete)).starts_with("PrefixListInUse"));
        let two = SecurityGroupRuleRequest { cidr_ipv4: Some("10.0.0.0/8".to_owned()), ..request.clone() };
        let refused = refusal(write(&fixture, modify_security_group_rules, modify(&group, &id, two)));
        assert!(refused.starts_with("InvalidParameterCombination"), "{refused}");
        assert_eq!(
            refusal(write(&fixture, modify_security_group_rules, modify(&group, "sgr-1", request))),
            "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-1' does not exist"
        );
    }

    #[test]
    fn descriptions_change_by_id_and_by_what_a_rule_says() {
        let fixture = Fixture::new();
        let (group, id) = web_rule(&fixture);
        let by_id = UpdateSecurityGroupRuleDescriptionsIngressInput {
            group_id: Some(group.clone()),
            security_group_rule_descriptions: Some(vec![SecurityGroupRuleDescription {
                security_group_rule_id: Some(id.clone()),
                description: Some("everyone".to_owned()),
            }]),
            ..Default::default()
        };
        write(&fixture, update_security_group_rule_descriptions_ingress, by_id.clone()).expect("described");
        assert_eq!(rule(&fixture, &id).description.as_deref(), Some("everyone"));
        let permission = IpPermission {
            ip_protocol: Some("tcp".to_owned()),
            from_port: Some(80),
            to_port: Some(80),
            ip_ranges: Some(vec![IpRange { cidr_ip: Some("0.0.0.0/0".to_owned()), description: None }]),
            ..Default::default()
        };
        let by_rule = UpdateSecurityGroupRuleDescriptionsIngressInput {
            group_id: Some(group),
            ip_permissions: Some(vec![permission]),
            ..Default::default()
        };
        write(&fixture, update_security_group_rule_descriptions_ingress, by_rule).expect("described");
        assert_eq!(rule(&fixture, &id).description, None);
        let egress = UpdateSecurityGroupRuleDescriptionsEgressInput {
            group_id: by_id.group_id,
            security_group_rule_descriptions: by_id.security_group_rule_descriptions,
            ..Default::default()
        };
        let refused = refusal(write(&fixture, update_security_group_rule_descriptions_egress, egress));
        assert!(refused.starts_with("InvalidSecurityGroupRuleId.NotFound"), "{refused}");
    }
}
