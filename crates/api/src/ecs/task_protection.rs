//! UpdateTaskProtection and GetTaskProtection: tasks of services that scale-in and deployments leave alone for a while.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::Timestamp as WireTime;
use longshore_aws_model::ecs::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ecs::{Cluster, Task as Row};
use longshore_types::id::TaskId;
use longshore_types::{Scope, Timestamp, arn};
use std::time::Duration;

const UPDATED_MAX: usize = 10;
const SHOWN_MAX: usize = 100;
const DEFAULT_MINUTES: i32 = 120;
const MINUTES_MAX: i32 = 2880;

pub fn update_task_protection(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateTaskProtectionInput,
) -> Result<UpdateTaskProtectionOutput, AwsError> {
    let cluster = names::cluster(tx, &cx.scope, Some(&input.cluster))?;
    check_number(input.tasks.len(), UPDATED_MAX)?;
    let minutes = input.expires_in_minutes.unwrap_or(DEFAULT_MINUTES);
    if !(1..=MINUTES_MAX).contains(&minutes) {
        return Err(error::invalid(format!("expiresInMinutes must be between 1 and {MINUTES_MAX}.")));
    }
    let until = cx.now + Duration::from_secs(60 * u64::from(minutes.unsigned_abs()));
    let until = input.protection_enabled.then_some(until);
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for given in &input.tasks {
        match find(tx, &cx.scope, &cluster, given)? {
            Ok(id) => {
                let key = (cx.scope.clone(), id);
                let task = tx.tasks().update(&key, |task| {
                    task.protected_until = until;
                    view(&cx.scope, task, cx.now)
                });
                tasks.extend(task);
            }
            Err(failure) => failures.push(failure),
        }
    }
    Ok(UpdateTaskProtectionOutput { protected_tasks: Some(tasks), failures: Some(failures) })
}

pub fn get_task_protection(
    state: &Snapshot,
    cx: &Cx,
    input: GetTaskProtectionInput,
) -> Result<GetTaskProtectionOutput, AwsError> {
    let cluster = names::cluster(state, &cx.scope, Some(&input.cluster))?;
    let given = input.tasks.unwrap_or_default();
    check_number(given.len(), SHOWN_MAX)?;
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for given in &given {
        match find(state, &cx.scope, &cluster, given)? {
            Ok(id) => {
                let task = state.tasks().get(&(cx.scope.clone(), id));
                tasks.extend(task.map(|task| view(&cx.scope, &task, cx.now)));
            }
            Err(failure) => failures.push(failure),
        }
    }
    Ok(GetTaskProtectionOutput { protected_tasks: Some(tasks), failures: Some(failures) })
}

fn check_number(given: usize, most: usize) -> Result<(), AwsError> {
    match given {
        0 => Err(error::invalid("Tasks cannot be empty.")),
        n if n > most => Err(error::invalid(format!("Tasks can have at most {most} items."))),
        _ => Ok(()),
    }
}

/// A task of a service that has not been stopped.
fn find(state: &Snapshot, scope: &Scope, cluster: &Cluster, given: &str) -> Result<Result<TaskId, Failure>, AwsError> {
    let id = names::task_id(given, scope, &cluster.name)?;
    let failure = |reason: &str, detail: Option<&str>| {
        Ok(Err(Failure {
            arn: Some(arn::task(scope, &cluster.name, &id)),
            reason: Some(reason.to_owned()),
            detail: detail.map(str::to_owned),
        }))
    };
    let task = state.tasks().get(&(scope.clone(), id.clone()));
    let Some(task) = task.filter(|task| task.cluster == cluster.name) else { return failure("MISSING", None) };
    if task.service.is_none() {
        return failure("TASK_NOT_VALID", Some("The task is not part of an Amazon ECS service."));
    }
    if !task.is_live() {
        return failure("TASK_NOT_VALID", Some("The task is stopping or stopped."));
    }
    Ok(Ok(id))
}

fn view(scope: &Scope, task: &Row, now: Timestamp) -> ProtectedTask {
    let until = task.protected_until.filter(|until| *until > now);
    ProtectedTask {
        task_arn: Some(arn::task(scope, &task.cluster, &task.id)),
        protection_enabled: Some(until.is_some()),
        expiration_date: until.map(|until| WireTime(until.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_protection_ends_by_itself_and_is_for_tasks_of_services() {
        let mut world = World::new();
        let alone = world.run_task(|_| {}).expect("it runs")[0].task_arn.clone().expect("an ARN");
        let task = world.service_task();
        let update = |tasks: &[&str], minutes| UpdateTaskProtectionInput {
            cluster: "web".into(),
            tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
            protection_enabled: true,
            expires_in_minutes: minutes,
        };
        let nobody = "0123456789abcdef0123456789abcdef";
        let input = update(&[&task, &alone, nobody], Some(1));
        let seen = world.write(|tx, cx| update_task_protection(tx, cx, input)).expect("an answer");
        let protected = seen.protected_tasks.expect("a list");
        assert_eq!(protected[0].expiration_date, Some(WireTime(world.fixture.now.0 + 60_000)));
        let reasons: Vec<_> = seen.failures.iter().flatten().filter_map(|f| f.reason.as_deref()).collect();
        assert_eq!(reasons, ["TASK_NOT_VALID", "MISSING"]);
        for bad in [Some(0), Some(2881)] {
            let input = update(&[&task], bad);
            assert!(world.write(|tx, cx| update_task_protection(tx, cx, input)).is_err());
        }
        world.fixture.now = world.fixture.now + Duration::from_secs(60);
        let input = GetTaskProtectionInput { cluster: "web".into(), tasks: Some(vec![task]) };
        let seen = world.read(|state, cx| get_task_protection(state, cx, input)).expect("an answer");
        assert_eq!(seen.protected_tasks.expect("a list")[0].protection_enabled, Some(false));
    }
}
