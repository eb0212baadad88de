//! DeleteLoadBalancer: with its listeners, rules and interfaces. Deleting what is not there is done already.

use super::find;
use crate::Cx;
use crate::ec2::network::delete_interface;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DeleteLoadBalancerInput, DeleteLoadBalancerOutput};
use longshore_store::Tx;

pub fn delete_load_balancer(tx: &mut Tx, cx: &Cx, input: DeleteLoadBalancerInput) -> Result<DeleteLoadBalancerOutput, AwsError> {
    let arn = input.load_balancer_arn;
    let key = (cx.scope.clone(), arn.clone());
    let Some(row) = tx.load_balancers().get(&key) else { return Ok(DeleteLoadBalancerOutput::default()) };
    if row.attributes.get("deletion_protection.enabled").is_some_and(|value| value == "true") {
        let text = format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
        return Err(AwsError::new("OperationNotPermitted", text));
    }
    for listener in find::listeners(tx, &cx.scope, &arn) {
        super::listeners::remove(tx, &cx.scope, &listener.arn);
    }
    for node in &row.nodes {
        delete_interface(tx, &cx.scope, &node.eni);
    }
    tx.load_balancers().remove(&key);
    Ok(DeleteLoadBalancerOutput::default())
}
