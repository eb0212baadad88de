//! DeleteSecurityGroup: not while an interface has it or a rule of another group names it.

use super::{error, security_groups};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DeleteSecurityGroupInput, DeleteSecurityGroupOutput};
use longshore_store::Tx;
use longshore_store::tables::{NetworkInterfaces, SecurityGroups};
use longshore_types::ec2::RulePeer;

pub fn delete_security_group(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteSecurityGroupInput,
) -> Result<DeleteSecurityGroupOutput, AwsError> {
    let group = security_groups::named(tx, cx, input.group_id.as_deref(), input.group_name.as_deref())?;
    if group.name == "default" {
        return Err(error::group_not_deletable(group.id.as_str(), &group.name));
    }
    let key = (cx.scope.clone(), group.id.clone());
    let in_use = tx.network_interfaces().find(&NetworkInterfaces::BY_SECURITY_GROUP, &key).is_some();
    let named = RulePeer::Group(group.id.clone());
    let is_named = tx
        .security_groups()
        .by_index(&SecurityGroups::BY_VPC, &(cx.scope.clone(), group.vpc.clone()))
        .any(|other| other.id != group.id && other.rules.iter().any(|rule| rule.peer == named));
    if in_use || is_named {
        return Err(error::dependent_object(group.id.as_str()));
    }
    tx.security_groups().remove(&key);
    let output = DeleteSecurityGroupOutput { r#return: Some(true), group_id: Some(group.id.to_string()) };
    error::finish(input.dry_run, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_network_interface::create_network_interface;
    use crate::ec2::create_security_group::create_security_group;
    use crate::ec2::security_group_rules::authorize_security_group_ingress;
    use crate::ec2::testing::{default_subnet, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::*;

    fn by_id(id: &str) -> DeleteSecurityGroupInput {
        DeleteSecurityGroupInput { group_id: Some(id.to_owned()), ..Default::default() }
    }

    fn by_name(name: &str) -> DeleteSecurityGroupInput {
        DeleteSecurityGroupInput { group_name: Some(name.to_owned()), ..Default::default() }
    }

    fn group(fixture: &Fixture, name: &str) -> String {
        let input =
            CreateSecurityGroupInput { group_name: name.to_owned(), description: "a".to_owned(), ..Default::default() };
        write(fixture, create_security_group, input).expect("a group").group_id.expect("an id")
    }

    #[test]
    fn a_group_that_nothing_uses_goes_by_id_or_name() {
        let fixture = Fixture::new();
        let id = group(&fixture, "a");
        group(&fixture, "b");
        assert_eq!(write(&fixture, delete_security_group, by_id(&id)).expect("unused").group_id, Some(id.clone()));
        write(&fixture, delete_security_group, by_name("b")).expect("unused");
        let expected = format!("InvalidGroup.NotFound: The security group '{id}' does not exist");
        assert_eq!(refusal(write(&fixture, delete_security_group, by_id(&id))), expected);
        assert_eq!(
            refusal(write(&fixture, delete_security_group, by_id("i-1"))),
            "InvalidGroupId.Malformed: Invalid id: \"i-1\" (expecting \"sg-...\")"
        );
    }

    #[test]
    fn the_default_group_stays() {
        let fixture = Fixture::new();
        let refused = refusal(write(&fixture, delete_security_group, by_name("default")));
        assert!(refused.starts_with("CannotDelete: the specified group: \"sg-"), "{refused}");
        assert!(refused.ends_with("\" name: \"default\" cannot be deleted by a user"), "{refused}");
    }

    #[test]
    fn a_group_in_use_stays() {
        let fixture = Fixture::new();
        let (of_interface, of_rule, other) = (group(&fixture, "a"), group(&fixture, "b"), group(&fixture, "c"));
        let interface = CreateNetworkInterfaceInput {
            subnet_id: default_subnet(&fixture),
            groups: Some(vec![of_interface.clone()]),
            ..Default::default()
        };
        write(&fixture, create_network_interface, interface).expect("an interface");
        let permission = IpPermission {
            ip_protocol: Some("-1".to_owned()),
            user_id_group_pairs: Some(vec![UserIdGroupPair { group_id: Some(of_rule.clone()), ..Default::default() }]),
            ..Default::default()
        };
        let rule = AuthorizeSecurityGroupIngressInput {
            group_id: Some(other),
            ip_permissions: Some(vec![permission]),
            ..Default::default()
        };
        write(&fixture, authorize_security_group_ingress, rule).expect("a rule");
        for id in [of_interface, of_rule] {
            let expected = format!("DependencyViolation: resource {id} has a dependent object");
            assert_eq!(refusal(write(&fixture, delete_security_group, by_id(&id))), expected);
        }
    }
}
