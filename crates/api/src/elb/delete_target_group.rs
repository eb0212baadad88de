//! DeleteTargetGroup: one that nothing forwards to, with its targets.

use super::find;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DeleteTargetGroupInput, DeleteTargetGroupOutput};
use longshore_store::Tx;

pub fn delete_target_group(tx: &mut Tx, cx: &Cx, input: DeleteTargetGroupInput) -> Result<DeleteTargetGroupOutput, AwsError> {
    let arn = input.target_group_arn;
    let key = (cx.scope.clone(), arn.clone());
    if tx.target_groups().get(&key).is_none() {
        return Ok(DeleteTargetGroupOutput::default());
    }
    if !find::users(tx, &cx.scope, &arn).is_empty() {
        let text = format!("Target group '{arn}' is currently in use by a listener or a rule");
        return Err(AwsError::new("ResourceInUse", text));
    }
    let targets: Vec<_> = tx.snapshot().targets().prefix(&key).keys().collect();
    for target in targets {
        tx.targets().remove(&target);
    }
    tx.target_groups().remove(&key);
    Ok(DeleteTargetGroupOutput::default())
}
