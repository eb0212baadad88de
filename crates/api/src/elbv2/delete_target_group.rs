//! DeleteTargetGroup: with its targets. Deleting one that is gone succeeds.

use super::{error, names, usage};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DeleteTargetGroupInput, DeleteTargetGroupOutput, codes};
use longshore_store::Tx;

pub fn delete_target_group(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteTargetGroupInput,
) -> Result<DeleteTargetGroupOutput, AwsError> {
    let arn = &input.target_group_arn;
    match names::target_group(tx, &cx.scope, arn) {
        Ok(_) => {}
        Err(error) if error.code == codes::TARGET_GROUP_NOT_FOUND => return Ok(DeleteTargetGroupOutput {}),
        Err(error) => return Err(error),
    }
    if usage::is_used(tx, &cx.scope, arn) {
        return Err(error::resource_in_use(format!(
            "Target group '{arn}' is currently in use by a listener or a rule"
        )));
    }
    let key = (cx.scope.clone(), arn.clone());
    let targets: Vec<_> = tx.targets().prefix(&key).keys().collect();
    for target in targets {
        tx.targets().remove(&target);
    }
    tx.target_groups().remove(&key);
    Ok(DeleteTargetGroupOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn a_group_in_use_stays_and_another_goes_with_its_targets() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let delete = |arn: &str| {
            write(&fixture, delete_target_group, DeleteTargetGroupInput { target_group_arn: arn.to_owned() })
        };
        let arn = &stack.target_group;
        assert_eq!(
            refusal(delete(arn)),
            format!("ResourceInUse: Target group '{arn}' is currently in use by a listener or a rule")
        );
        let other = target_group(&fixture, "other");
        register(&fixture, &other, "172.31.0.10");
        delete(&other).expect("deleted");
        delete(&other).expect("deleted again");
        fixture.read(|state, _| assert_eq!((state.target_groups().len(), state.targets().len()), (1, 0)));
    }
}
