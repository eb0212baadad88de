//! DescribeCapacityReservation and ModifyCapacityReservation.
//!
//! A reservation promises capacity units ahead of the traffic. A machine has the capacity it has, so none is ever
//! made: describing shows that there is none, and resetting one that is not there changes nothing.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{
    DescribeCapacityReservationInput, DescribeCapacityReservationOutput, ModifyCapacityReservationInput,
    ModifyCapacityReservationOutput,
};
use longshore_store::Snapshot;

pub fn describe_capacity_reservation(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeCapacityReservationInput,
) -> Result<DescribeCapacityReservationOutput, AwsError> {
    names::load_balancer(state, &cx.scope, &input.load_balancer_arn)?;
    Ok(DescribeCapacityReservationOutput { capacity_reservation_state: Some(vec![]), ..Default::default() })
}

pub fn modify_capacity_reservation(
    state: &Snapshot,
    cx: &Cx,
    input: ModifyCapacityReservationInput,
) -> Result<ModifyCapacityReservationOutput, AwsError> {
    names::load_balancer(state, &cx.scope, &input.load_balancer_arn)?;
    error::refuse!(input; minimum_load_balancer_capacity);
    if input.reset_capacity_reservation != Some(true) {
        return Err(error::validation(
            "Either 'MinimumLoadBalancerCapacity' or 'ResetCapacityReservation' must be specified",
        ));
    }
    Ok(ModifyCapacityReservationOutput { capacity_reservation_state: Some(vec![]), ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::MinimumLoadBalancerCapacity;

    #[test]
    fn there_is_no_reservation_and_none_can_be_made() {
        let fixture = Fixture::new();
        let arn = load_balancer(&fixture, "web");
        let input = DescribeCapacityReservationInput { load_balancer_arn: arn.clone() };
        let shown = read(&fixture, describe_capacity_reservation, input).expect("none");
        assert_eq!((shown.minimum_load_balancer_capacity, shown.capacity_reservation_state), (None, Some(vec![])));
        let modify = |capacity_units, reset_capacity_reservation| {
            let input = ModifyCapacityReservationInput {
                load_balancer_arn: arn.clone(),
                minimum_load_balancer_capacity: Some(MinimumLoadBalancerCapacity { capacity_units }),
                reset_capacity_reservation,
            };
            read(&fixture, modify_capacity_reservation, input)
        };
        assert_eq!(
            refusal(modify(Some(100), None)),
            "ValidationError: MinimumLoadBalancerCapacity is not supported by Longshore yet."
        );
        assert!(refusal(modify(None, None)).starts_with("ValidationError: Either 'MinimumLoadBalancerCapacity'"));
        modify(None, Some(true)).expect("nothing to reset");
    }
}
