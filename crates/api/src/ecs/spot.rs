//! Spot interruption, on demand: AWS takes FARGATE_SPOT capacity back when it likes, a developer when it suits the test.

use super::error;
use longshore_aws_model::AwsError;
use longshore_store::Tx;
use longshore_types::Scope;
use longshore_types::ecs::{CapacityProvider, DesiredStatus, StopCode};
use longshore_types::id::TaskId;

/// Interrupts a task: the stop signal comes at once, and after `stopTimeout` (at most 120 s) the end. Its service starts
/// another one.
pub fn interrupt(tx: &mut Tx, scope: &Scope, id: &str) -> Result<(), AwsError> {
    let key = (scope.clone(), TaskId::from(id));
    let task =
        tx.tasks().get(&key).ok_or_else(|| error::invalid("The referenced task was not found.").with_status(404))?;
    if task.capacity_provider != Some(CapacityProvider::FargateSpot) {
        return Err(error::invalid("The task does not run on FARGATE_SPOT capacity.").with_status(409));
    }
    if !task.is_live() {
        return Err(error::invalid("The task is stopping or stopped.").with_status(409));
    }
    tx.tasks().update(&key, |task| {
        task.desired_status = DesiredStatus::Stopped;
        task.stop_code = Some(StopCode::SpotInterruption);
        task.stopped_reason = Some("Your Spot Task was interrupted.".to_owned());
        task.version += 1;
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn only_a_spot_task_is_interrupted_and_only_once() {
        let world = World::new();
        let plain = world.run_task(|_| {}).expect("it runs")[0].task_arn.clone().expect("an ARN");
        let spot = world.spot_task();
        let interrupt = |arn: &str| {
            let id = arn.rsplit('/').next().expect("an id").to_owned();
            world.write(move |tx, cx| interrupt(tx, &cx.scope, &id))
        };
        assert_eq!(interrupt(&plain).expect_err("not Spot").http_status, Some(409));
        assert_eq!(interrupt(&spot), Ok(()));
        let id = TaskId::from(spot.rsplit('/').next().expect("an id"));
        let row = world.read(|state, cx| state.tasks().get(&(cx.scope.clone(), id))).expect("a row");
        assert_eq!((row.stop_code, row.desired_status), (Some(StopCode::SpotInterruption), DesiredStatus::Stopped));
        assert!(interrupt(&spot).is_err());
    }
}
