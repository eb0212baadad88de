//! SetSubnets: keeps the addresses in subnets that stay.

use super::create_load_balancer::{nodes, subnets};
use super::{error, find, view};
use crate::Cx;
use crate::ec2::network::delete_interface;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{SetSubnetsInput, SetSubnetsOutput};
use longshore_store::Tx;

pub fn set_subnets(tx: &mut Tx, cx: &Cx, input: SetSubnetsInput) -> Result<SetSubnetsOutput, AwsError> {
    if let Some(other) = input.ip_address_type.filter(|kind| kind != "ipv4") {
        return Err(error::unsupported(&format!("IpAddressType {other}")));
    }
    let mut row = (*find::load_balancer(tx, &cx.scope, &input.load_balancer_arn)?).clone();
    let wanted = subnets(tx, &cx.scope, input.subnets, input.subnet_mappings)?;
    if wanted[0].vpc != row.vpc {
        return Err(AwsError::new("InvalidConfigurationRequest", format!("The subnets must belong to {}", row.vpc)));
    }
    let (kept, gone): (Vec<_>, Vec<_>) = row.nodes.drain(..).partition(|node| wanted.iter().any(|subnet| subnet.id == node.subnet));
    for node in &gone {
        delete_interface(tx, &cx.scope, &node.eni);
    }
    let new: Vec<_> = wanted.into_iter().filter(|subnet| !kept.iter().any(|node| node.subnet == subnet.id)).collect();
    row.nodes = kept;
    row.nodes.extend(nodes(tx, cx, &row.arn, &new, &row.security_groups)?);
    let availability_zones = Some(view::zones(&row));
    tx.load_balancers().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(SetSubnetsOutput { availability_zones, ip_address_type: Some("ipv4".to_owned()), ..Default::default() })
}
