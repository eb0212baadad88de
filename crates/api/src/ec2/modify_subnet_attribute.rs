//! ModifySubnetAttribute: whether interfaces get public addresses when they ask for nothing else.

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
    off("EnableResourceNameDnsARecordOnLaunch", &input.enable_resource_name_dns_a_record_on_launch)?;
    off("EnableResourceNameDnsAAAARecordOnLaunch", &input.enable_resource_name_dns_aaaa_record_on_launch)?;
    off("DisableLniAtDeviceIndex", &input.disable_lni_at_device_index)?;
    error::refuse("CustomerOwnedIpv4Pool", &input.customer_owned_ipv4_pool)?;
    error::refuse("EnableLniAtDeviceIndex", &input.enable_lni_at_device_index)?;
    match input.private_dns_hostname_type_on_launch.as_deref() {
        None | Some("ip-name") => {}
        Some(_) => return Err(error::unsupported("PrivateDnsHostnameTypeOnLaunch")),
    }
    let key = (cx.scope.clone(), SubnetId(input.subnet_id));
    let public = input.map_public_ip_on_launch.map(|attribute| attribute.value.unwrap_or(false));
    let changed = tx.subnets().update(&key, |subnet| {
        subnet.map_public_ip_on_launch = public.unwrap_or(subnet.map_public_ip_on_launch);
    });
    changed.ok_or_else(|| Kind::Subnet.not_found(&[key.1.as_str()]))?;
    Ok(ModifySubnetAttributeOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_subnet, refusal, write};
    use crate::testing::Fixture;

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
    fn what_is_not_obeyed_is_refused() {
        let fixture = Fixture::new();
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
