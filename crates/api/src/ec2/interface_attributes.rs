//! ModifyNetworkInterfaceAttribute, DescribeNetworkInterfaceAttribute, ResetNetworkInterfaceAttribute.

use super::error::{self, Kind};
use super::{create_network_interface, subnets, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2 as stored;
use longshore_types::id::EniId;
use std::sync::Arc;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::NetworkInterface>, AwsError> {
    let key = (cx.scope.clone(), EniId::from(id));
    state.network_interfaces().get(&key).ok_or_else(|| Kind::NetworkInterface.not_found(&[id]))
}

/// Groups and description change; the groups of an interface in use are in effect at once, for new connections.
pub fn modify_network_interface_attribute(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyNetworkInterfaceAttributeInput,
) -> Result<ModifyNetworkInterfaceAttributeOutput, AwsError> {
    error::refuse_all!(input;
        ena_srd_specification = "EnaSrdSpecification", connection_tracking_specification = "ConnectionTrackingSpecification",
        attachment = "Attachment", associated_subnet_ids = "AssociatedSubnetIds",
        associate_public_ip_address = "AssociatePublicIpAddress",
    );
    error::refuse_true("EnablePrimaryIpv6", input.enable_primary_ipv6)?;
    // Sources are always checked: no interface may send as somebody else.
    if input.source_dest_check.is_some_and(|check| check.value == Some(false)) {
        return Err(error::unsupported("SourceDestCheck"));
    }
    let eni = find(tx, cx, &input.network_interface_id)?;
    check_owner(&eni)?;
    let groups = match input.groups {
        Some(groups) if groups.is_empty() => {
            let message = "You must specify at least one security group.";
            return Err(error::invalid_parameter(message));
        }
        Some(groups) => {
            let subnet = subnets::find(tx, cx, eni.subnet.as_str())?;
            Some(create_network_interface::groups(tx, cx, &subnet, Some(groups))?)
        }
        None => None,
    };
    let description = input.description.map(|description| description.value.unwrap_or_default());
    tx.network_interfaces().update(&(cx.scope.clone(), eni.id.clone()), |eni| {
        eni.security_groups = groups.unwrap_or_else(|| eni.security_groups.clone());
        eni.description = description.unwrap_or_else(|| eni.description.clone());
    });
    error::finish(input.dry_run, ModifyNetworkInterfaceAttributeOutput {})
}

/// An interface that a service made is that service's to change.
pub fn check_owner(eni: &stored::NetworkInterface) -> Result<(), AwsError> {
    match eni.owner {
        stored::EniOwner::User => Ok(()),
        _ => Err(AwsError::new("AuthFailure", "You do not have permission to access the specified resource.")),
    }
}

pub fn describe_network_interface_attribute(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeNetworkInterfaceAttributeInput,
) -> Result<DescribeNetworkInterfaceAttributeOutput, AwsError> {
    let eni = find(state, cx, &input.network_interface_id)?;
    let shown = view::interface(state, &cx.scope, &eni);
    let mut output = DescribeNetworkInterfaceAttributeOutput {
        network_interface_id: shown.network_interface_id,
        ..Default::default()
    };
    match input.attribute.as_deref() {
        Some("description") => output.description = Some(AttributeValue { value: shown.description }),
        Some("groupSet") => output.groups = shown.groups,
        Some("sourceDestCheck") => {
            output.source_dest_check = Some(AttributeBooleanValue { value: shown.source_dest_check });
        }
        Some("attachment") => output.attachment = shown.attachment,
        Some("associatePublicIpAddress") => output.associate_public_ip_address = Some(eni.public_address.is_some()),
        None => return Err(error::missing_parameter("attribute")),
        Some(other) => return Err(error::invalid_value(other, "attribute", "Unknown attribute.")),
    }
    error::finish(input.dry_run, output)
}

/// The one attribute that can be reset is always as it would be reset to.
pub fn reset_network_interface_attribute(
    tx: &mut Tx,
    cx: &Cx,
    input: ResetNetworkInterfaceAttributeInput,
) -> Result<ResetNetworkInterfaceAttributeOutput, AwsError> {
    check_owner(&*find(tx, cx, &input.network_interface_id)?)?;
    error::finish(input.dry_run, ResetNetworkInterfaceAttributeOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_network_interface::create_network_interface;
    use crate::ec2::create_security_group::create_security_group;
    use crate::ec2::testing::{default_subnet, default_vpc, read, refusal, write};
    use crate::testing::Fixture;

    #[test]
    fn groups_and_description_are_changed_and_told() {
        let fixture = Fixture::new();
        let input = CreateNetworkInterfaceInput { subnet_id: default_subnet(&fixture), ..Default::default() };
        let output = write(&fixture, create_network_interface, input).expect("an interface");
        let id = output.network_interface.and_then(|eni| eni.network_interface_id).expect("an id");
        let group = CreateSecurityGroupInput {
            group_name: "web".to_owned(),
            description: "a".to_owned(),
            vpc_id: Some(default_vpc(&fixture)),
            ..Default::default()
        };
        let group = write(&fixture, create_security_group, group).expect("a group").group_id.expect("an id");
        let input = ModifyNetworkInterfaceAttributeInput {
            network_interface_id: id.clone(),
            groups: Some(vec![group.clone()]),
            description: Some(AttributeValue { value: Some("mine".to_owned()) }),
            ..Default::default()
        };
        write(&fixture, modify_network_interface_attribute, input).expect("it is free");
        let told = |attribute: &str| {
            let input = DescribeNetworkInterfaceAttributeInput {
                dry_run: None,
                network_interface_id: id.clone(),
                attribute: Some(attribute.to_owned()),
            };
            read(&fixture, describe_network_interface_attribute, input).expect("an attribute")
        };
        assert_eq!(told("groupSet").groups.expect("groups")[0].group_id, Some(group));
        assert_eq!(told("description").description.and_then(|text| text.value).as_deref(), Some("mine"));
        assert_eq!(told("sourceDestCheck").source_dest_check.and_then(|check| check.value), Some(true));
        let input = ModifyNetworkInterfaceAttributeInput {
            network_interface_id: id,
            source_dest_check: Some(AttributeBooleanValue { value: Some(false) }),
            ..Default::default()
        };
        assert_eq!(
            refusal(write(&fixture, modify_network_interface_attribute, input)),
            "UnsupportedOperation: The parameter SourceDestCheck is not supported by Longshore."
        );
    }
}
