//! DeleteSubnet: not while an interface is in it.

use super::error::{self, Kind};
use super::subnets;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DeleteSubnetInput, DeleteSubnetOutput};
use longshore_store::Tx;
use longshore_store::tables::NetworkInterfaces;
use longshore_types::id::SubnetId;

pub fn delete_subnet(tx: &mut Tx, cx: &Cx, input: DeleteSubnetInput) -> Result<DeleteSubnetOutput, AwsError> {
    let key = (cx.scope.clone(), SubnetId(input.subnet_id));
    let subnet = subnets::remove(tx, &cx.scope, &key.1).ok_or_else(|| Kind::Subnet.not_found(&[key.1.as_str()]))?;
    if tx.network_interfaces().find(&NetworkInterfaces::BY_SUBNET, &key).is_some() {
        return Err(error::has_dependencies("subnet", subnet.id.as_str()));
    }
    error::finish(input.dry_run, DeleteSubnetOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_network_interface::create_network_interface;
    use crate::ec2::testing::{default_subnet, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::CreateNetworkInterfaceInput;

    fn input(subnet_id: &str) -> DeleteSubnetInput {
        DeleteSubnetInput { subnet_id: subnet_id.to_owned(), dry_run: None }
    }

    #[test]
    fn an_empty_subnet_goes() {
        let fixture = Fixture::new();
        let id = default_subnet(&fixture);
        write(&fixture, delete_subnet, input(&id)).expect("it is empty");
        let expected = format!("InvalidSubnetID.NotFound: The subnet ID '{id}' does not exist");
        assert_eq!(refusal(write(&fixture, delete_subnet, input(&id))), expected);
    }

    #[test]
    fn a_subnet_with_an_interface_stays() {
        let fixture = Fixture::new();
        let subnet_id = default_subnet(&fixture);
        let given = CreateNetworkInterfaceInput { subnet_id: subnet_id.clone(), ..Default::default() };
        write(&fixture, create_network_interface, given).expect("an interface");
        let expected = format!("DependencyViolation: The subnet '{subnet_id}' has dependencies and cannot be deleted.");
        assert_eq!(refusal(write(&fixture, delete_subnet, input(&subnet_id))), expected);
        fixture.read(|state, _| assert_eq!(state.subnets().len(), 3));
    }
}
