//! DeleteVpc: with what EC2 put into it; not while anything else is in it.

use super::{error, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DeleteVpcInput, DeleteVpcOutput};
use longshore_store::Tx;
use longshore_store::tables::{
    InternetGateways, NatGateways, NetworkAcls, NetworkInterfaces, RouteTables, SecurityGroups, Subnets,
};

/// What EC2 put into it goes with it: its default security group, main route table and default network ACL.
pub fn delete_vpc(tx: &mut Tx, cx: &Cx, input: DeleteVpcInput) -> Result<DeleteVpcOutput, AwsError> {
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    let key = (cx.scope.clone(), vpc.id.clone());
    let groups: Vec<_> = tx.security_groups().by_index(&SecurityGroups::BY_VPC, &key).collect();
    let tables: Vec<_> = tx.route_tables().by_index(&RouteTables::BY_VPC, &key).collect();
    let acls: Vec<_> = tx.network_acls().by_index(&NetworkAcls::BY_VPC, &key).collect();
    let in_use = tx.subnets().find(&Subnets::BY_VPC, &key).is_some()
        || tx.network_interfaces().find(&NetworkInterfaces::BY_VPC, &key).is_some()
        || tx.internet_gateways().find(&InternetGateways::BY_VPC, &key).is_some()
        || tx.nat_gateways().by_index(&NatGateways::BY_VPC, &key).any(|gateway| gateway.is_available())
        || tables.iter().any(|table| !table.is_main())
        || acls.iter().any(|acl| !acl.is_default)
        || groups.iter().any(|group| group.name != "default");
    if in_use {
        return Err(error::has_dependencies("vpc", vpc.id.as_str()));
    }
    for group in groups {
        tx.security_groups().remove(&(cx.scope.clone(), group.id.clone()));
    }
    for table in tables {
        tx.route_tables().remove(&(cx.scope.clone(), table.id.clone()));
    }
    for acl in acls {
        tx.network_acls().remove(&(cx.scope.clone(), acl.id.clone()));
    }
    tx.vpcs().remove(&key);
    error::finish(input.dry_run, DeleteVpcOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::testing::{default_vpc, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::CreateVpcInput;

    fn input(vpc_id: &str) -> DeleteVpcInput {
        DeleteVpcInput { vpc_id: vpc_id.to_owned(), dry_run: None }
    }

    #[test]
    fn an_empty_vpc_goes_with_its_default_group() {
        let fixture = Fixture::new();
        let given = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        let id = write(&fixture, create_vpc, given).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id).expect("an id");
        write(&fixture, delete_vpc, input(&id)).expect("it is empty");
        fixture.read(|state, _| assert_eq!((state.vpcs().len(), state.security_groups().len()), (1, 1)));
        let expected = format!("InvalidVpcID.NotFound: The vpc ID '{id}' does not exist");
        assert_eq!(refusal(write(&fixture, delete_vpc, input(&id))), expected);
    }

    #[test]
    fn a_vpc_with_subnets_stays() {
        let fixture = Fixture::new();
        let id = default_vpc(&fixture);
        let expected = format!("DependencyViolation: The vpc '{id}' has dependencies and cannot be deleted.");
        assert_eq!(refusal(write(&fixture, delete_vpc, input(&id))), expected);
    }
}
