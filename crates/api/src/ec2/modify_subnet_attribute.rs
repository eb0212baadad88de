//! ModifySubnetAttribute: whether interfaces get public addresses when they ask for nothing else. How instances are named is
//! kept and shown.

use super::error::{self, Kind};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{AttributeBooleanValue, ModifySubnetAttributeInput, ModifySubnetAttributeOutput};
use longshore_store::Tx;
use longshore_types::id::SubnetId;

pub fn modify_subnet_attribute(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifySubnetAttributeInput,
) -> Result<ModifySubnetAttributeOutput, AwsError> {
    let off = |name: &str, attribute: &Option<AttributeBooleanValue>| {
        error::refuse_true(name, attribute.as_ref().and_then(|attribute| attribute.value))
    };
    off("AssignIpv6AddressOnCreation", &input.assign_ipv6_address_on_creation)?;
    off("MapCustomerOwnedIpOnLaunch", &input.map_customer_owned_ip_on_launch)?;
    off("EnableDns64", &input.enable_dns64)?;
    off("EnableResourceNameDnsAAAARecordOnLaunch", &input.enable_resource_name_dns_aaaa_record_on_launch)?;
    off("DisableLniAtDeviceIndex", &input.disable_lni_at_device_index)?;
    error::refuse("CustomerOwnedIpv4Pool", &input.customer_owned_ipv4_pool)?;
    error::refuse("EnableLniAtDeviceIndex", &input.enable_lni_at_device_index)?;
    let by_id = match input.private_dns_hostname_type_on_launch.as_deref() {
        None => None,
        Some("ip-name") => Some(false),
        Some("resource-name") => Some(true),
        Some(other) => {
            let why = "Expecting 'ip-name' or 'resource-name'.";
            return Err(error::invalid_value(other, "PrivateDnsHostnameTypeOnLaunch", why));
        }
    };
    let key = (cx.scope.clone(), SubnetId(input.subnet_id));
    let given = |attribute: Option<AttributeBooleanValue>| attribute.map(|attribute| attribute.value.unwrap_or(false));
    let public = given(input.map_public_ip_on_launch);
    let id_is_resolved = given(input.enable_resource_name_dns_a_record_on_launch);
    let changed = tx.subnets().update(&key, |subnet| {
        subnet.map_public_ip_on_launch = public.unwrap_or(subnet.map_public_ip_on_launch);
        let names = &mut subnet.instance_names;
        names.by_id = by_id.unwrap_or(names.by_id);
        names.id_is_resolved = id_is_resolved.unwrap_or(names.id_is_resolved);
    });
    changed.ok_or_else(|| Kind::Subnet.not_found(&[key.1.as_str()]))?;
    Ok(ModifySubnetAttributeOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::describe_subnets::describe_subnets;
    use crate::ec2::testing::{default_subnet, read, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::DescribeSubnetsInput;

    fn yes() -> Option<AttributeBooleanValue> {
        Some(AttributeBooleanValue { value: Some(true) })
    }

    #[test]
    fn public_addresses_are_switched() {
        let fixture = Fixture::new();
        let subnet_id = default_subnet(&fixture);
        let input = ModifySubnetAttributeInput {
            subnet_id: subnet_id.clone(),
            map_public_ip_on_launch: Some(AttributeBooleanValue { value: Some(false) }),
            ..Default::default()
        };
        write(&fixture, modify_subnet_attribute, input).expect("it is changed");
        fixture.read(|state, cx| {
            let subnet = state.subnets().get(&(cx.scope.clone(), SubnetId(subnet_id))).expect("the subnet");
            assert!(!subnet.map_public_ip_on_launch);
        });
    }

    #[test]
    fn names_of_instances_are_kept_and_shown() {
        let fixture = Fixture::new();
        let subnet_id = default_subnet(&fixture);
        let change = |kind: Option<&str>, record| {
            let input = ModifySubnetAttributeInput {
                subnet_id: subnet_id.clone(),
                private_dns_hostname_type_on_launch: kind.map(str::to_owned),
                enable_resource_name_dns_a_record_on_launch: record,
                ..Default::default()
            };
            write(&fixture, modify_subnet_attribute, input).expect("it is changed");
            let input = DescribeSubnetsInput { subnet_ids: Some(vec![subnet_id.clone()]), ..Default::default() };
            let subnet = read(&fixture, describe_subnets, input).expect("a list").subnets.expect("a list").remove(0);
            let shown = subnet.private_dns_name_options_on_launch.expect("options");
            (shown.hostname_type.expect("a type"), shown.enable_resource_name_dns_a_record)
        };
        assert_eq!(change(Some("resource-name"), None), ("resource-name".to_owned(), Some(false)));
        assert_eq!(change(None, yes()), ("resource-name".to_owned(), Some(true)));
        assert_eq!(change(Some("ip-name"), None), ("ip-name".to_owned(), Some(true)));
    }

    #[test]
    fn what_is_not_obeyed_is_refused() {
        let fixture = Fixture::new();
        let aaaa =
            ModifySubnetAttributeInput { enable_resource_name_dns_aaaa_record_on_launch: yes(), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, modify_subnet_attribute, aaaa)),
            "UnsupportedOperation: The parameter EnableResourceNameDnsAAAARecordOnLaunch is not supported by Longshore."
        );
        let colour = ModifySubnetAttributeInput {
            private_dns_hostname_type_on_launch: Some("colour".to_owned()),
            ..Default::default()
        };
        assert_eq!(
            refusal(write(&fixture, modify_subnet_attribute, colour)),
            "InvalidParameterValue: Value (colour) for parameter PrivateDnsHostnameTypeOnLaunch is invalid. Expecting 'ip-name' or 'resource-name'."
        );
        let ipv6 = ModifySubnetAttributeInput { assign_ipv6_address_on_creation: yes(), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, modify_subnet_attribute, ipv6)),
            "UnsupportedOperation: The parameter AssignIpv6AddressOnCreation is not supported by Longshore."
        );
        let unknown = ModifySubnetAttributeInput { subnet_id: "subnet-1".to_owned(), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, modify_subnet_attribute, unknown)),
            "InvalidSubnetID.NotFound: The subnet ID 'subnet-1' does not exist"
        );
    }
}
