//! DeleteLoadBalancer: with its listeners, rules and interfaces. Deleting one that is gone succeeds.

use super::delete_listener::remove;
use super::{error, names};
use crate::Cx;
use crate::ec2::network::delete_interface;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DeleteLoadBalancerInput, DeleteLoadBalancerOutput, codes};
use longshore_store::Tx;
use longshore_store::tables::Listeners;

pub fn delete_load_balancer(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteLoadBalancerInput,
) -> Result<DeleteLoadBalancerOutput, AwsError> {
    let arn = &input.load_balancer_arn;
    let row = match names::load_balancer(tx, &cx.scope, arn) {
        Ok(row) => row,
        Err(error) if error.code == codes::LOAD_BALANCER_NOT_FOUND => return Ok(DeleteLoadBalancerOutput {}),
        Err(error) => return Err(error),
    };
    if row.attributes.get("deletion_protection.enabled").is_some_and(|value| value == "true") {
        let text = format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
        return Err(error::not_permitted(text));
    }
    let key = (cx.scope.clone(), arn.clone());
    let listeners: Vec<_> = tx.listeners().by_index(&Listeners::BY_LOAD_BALANCER, &key).collect();
    for listener in listeners {
        remove(tx, &cx.scope, &listener.arn);
    }
    for node in &row.nodes {
        delete_interface(tx, &cx.scope, &node.eni);
    }
    tx.load_balancers().remove(&key);
    Ok(DeleteLoadBalancerOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::load_balancer_attributes::modify_load_balancer_attributes;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::{LoadBalancerAttribute, ModifyLoadBalancerAttributesInput};

    #[test]
    fn all_of_it_goes_and_going_twice_is_fine() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        path_rule(&fixture, &stack, 1, "/a");
        let input = DeleteLoadBalancerInput { load_balancer_arn: stack.load_balancer };
        write(&fixture, delete_load_balancer, input.clone()).expect("deleted");
        fixture.read(|state, _| {
            assert!(state.load_balancers().is_empty() && state.listeners().is_empty() && state.rules().is_empty());
            assert!(state.network_interfaces().is_empty());
            assert_eq!(state.target_groups().len(), 1, "a target group has a life of its own");
        });
        write(&fixture, delete_load_balancer, input).expect("deleted again");
    }

    #[test]
    fn protection_holds() {
        let fixture = Fixture::new();
        let arn = load_balancer(&fixture, "web");
        let protect = |value: &str| {
            let attribute = LoadBalancerAttribute {
                key: Some("deletion_protection.enabled".to_owned()),
                value: Some(value.to_owned()),
            };
            let input =
                ModifyLoadBalancerAttributesInput { load_balancer_arn: arn.clone(), attributes: vec![attribute] };
            write(&fixture, modify_load_balancer_attributes, input).expect("set");
        };
        protect("true");
        let delete =
            || write(&fixture, delete_load_balancer, DeleteLoadBalancerInput { load_balancer_arn: arn.clone() });
        assert_eq!(
            refusal(delete()),
            format!(
                "OperationNotPermitted: Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
            )
        );
        protect("false");
        delete().expect("deleted");
    }
}
