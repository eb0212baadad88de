//! SetSubnets: moves the load balancer's nodes; those in subnets that stay keep their addresses.

use super::error::refuse;
use super::{error, names, placement, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{SetSubnetsInput, SetSubnetsOutput};
use longshore_store::Tx;

pub fn set_subnets(tx: &mut Tx, cx: &Cx, input: SetSubnetsInput) -> Result<SetSubnetsOutput, AwsError> {
    refuse!(input; enable_prefix_for_ipv6_source_nat);
    if let Some(other) = input.ip_address_type.as_deref().filter(|kind| *kind != "ipv4") {
        return Err(error::unsupported(format_args!("The IP address type '{other}'")));
    }
    let row = names::load_balancer(tx, &cx.scope, &input.load_balancer_arn)?;
    let subnets = placement::subnets(tx, &cx.scope, input.subnets, input.subnet_mappings)?;
    if subnets[0].vpc != row.vpc {
        return Err(error::invalid_configuration("All subnets must belong to the load balancer's VPC"));
    }
    let mut row = (*row).clone();
    placement::place(tx, cx, &mut row, &subnets)?;
    let availability_zones = Some(view::zones(&row));
    tx.load_balancers().put((cx.scope.clone(), input.load_balancer_arn), row);
    Ok(SetSubnetsOutput { availability_zones, ip_address_type: Some("ipv4".to_owned()), ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn nodes_that_stay_keep_their_interface() {
        let fixture = Fixture::new();
        let arn = load_balancer(&fixture, "web");
        let all = all_subnets(&fixture);
        let before = fixture.read(|state, _| state.load_balancers().all().next().expect("a row").nodes.clone());
        let set = |subnets: &[String]| {
            let input = SetSubnetsInput {
                load_balancer_arn: arn.clone(),
                subnets: Some(subnets.to_vec()),
                ..Default::default()
            };
            write(&fixture, set_subnets, input)
        };
        let zones = set(&all[1..3]).expect("set").availability_zones.expect("zones");
        assert_eq!(zones.len(), 2);
        fixture.read(|state, _| {
            let nodes = state.load_balancers().all().next().expect("a row").nodes.clone();
            assert_eq!(nodes[0], before[1]);
            assert_eq!(state.network_interfaces().len(), 2);
        });
        assert_eq!(
            refusal(set(&all[..1])),
            "ValidationError: At least two subnets in two different Availability Zones must be specified"
        );
    }
}
