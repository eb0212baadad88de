//! ExecuteCommand: whether a task may be asked is decided as ECS does; there is no agent in tasks that would run a command.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{ExecuteCommandInput, ExecuteCommandOutput};
use longshore_store::Snapshot;
use longshore_types::ecs::{TaskDefinition, TaskOverride};

pub fn execute_command(
    state: &Snapshot,
    cx: &Cx,
    input: ExecuteCommandInput,
) -> Result<ExecuteCommandOutput, AwsError> {
    let cluster = names::cluster_name(input.cluster.as_deref())?;
    let id = names::task_id(&input.task, &cx.scope, &cluster)?;
    let cluster = names::active(state, &cx.scope, input.cluster.as_deref(), cluster)?;
    let task = state.tasks().get(&(cx.scope.clone(), id)).filter(|task| task.cluster == cluster.name);
    let task = task.ok_or_else(|| error::invalid("The referenced task was not found."))?;
    if !input.interactive {
        return Err(error::invalid("Interactive is the only mode supported currently."));
    }
    let named = |name: &String| task.containers.iter().any(|container| container.name == *name);
    if input.container.as_ref().is_some_and(|name| !named(name))
        || (input.container.is_none() && task.containers.len() > 1)
    {
        return Err(error::invalid(
            "The container name is not valid for the task, or was not given where it has several.",
        ));
    }
    Err(error::invalid(
        "The execute command failed because execute command was not enabled when the task was run or the execute command agent isn\u{2019}t running. Wait and try again or run a new task with execute command enabled and try again.",
    ))
}

/// Sessions need a task role: a service that is to have them does. `done` is what cannot be done with it.
pub fn check_service_role(is_enabled: bool, definition: &TaskDefinition, done: &str) -> Result<(), AwsError> {
    match is_enabled && definition.task_role_arn.is_none() {
        true => Err(error::invalid(format!(
            "The service couldn't be {done} because a valid taskRoleArn is not being used. Specify a valid task role in your task definition and try again."
        ))),
        false => Ok(()),
    }
}

/// As for a service, of a task by itself.
pub fn check_task_role(is_enabled: bool, definition: &TaskDefinition, given: &TaskOverride) -> Result<(), AwsError> {
    match is_enabled && given.task_role_arn.is_none() && definition.task_role_arn.is_none() {
        true => Err(error::invalid(
            "The execute command failed because a valid task role is not being used. Specify a valid task role in your task definition or as a task override and try again.",
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::super::update_service::update_service;
    use super::*;
    use longshore_aws_model::ecs::{self as wire, UpdateServiceInput};

    fn ask(world: &World, task: &str, change: impl FnOnce(&mut ExecuteCommandInput)) -> String {
        let mut input = ExecuteCommandInput {
            cluster: Some("web".into()),
            task: task.into(),
            command: "/bin/sh".into(),
            interactive: true,
            ..Default::default()
        };
        change(&mut input);
        let error = world.read(|state, cx| execute_command(state, cx, input)).expect_err("nobody runs it");
        assert_eq!(error.code, "InvalidParameterException");
        error.message.to_string()
    }

    #[test]
    fn a_task_is_asked_where_it_is_and_has_nobody_who_would_run_it() {
        let world = World::new();
        let role = world.role();
        let refused = world.run_task(|input| input.enable_execute_command = Some(true)).expect_err("no task role");
        assert!(refused.message.starts_with("The execute command failed because a valid task role"), "{refused:?}");
        let tasks = world.run_task(|input| {
            input.enable_execute_command = Some(true);
            input.overrides = Some(wire::TaskOverride { task_role_arn: Some(role), ..Default::default() });
        });
        let task = &tasks.expect("it runs")[0];
        let agents = task.containers.as_ref().and_then(|c| c[0].managed_agents.clone()).expect("an agent");
        assert_eq!((task.enable_execute_command, agents[0].last_status.as_deref()), (Some(true), Some("STOPPED")));
        let arn = task.task_arn.as_deref().expect("an ARN");
        assert!(ask(&world, arn, |_| {}).contains("the execute command agent isn\u{2019}t running"));
        assert!(ask(&world, arn, |input| input.container = Some("db".into())).contains("container name"));
        assert!(ask(&world, arn, |input| input.interactive = false).contains("Interactive"));
        let unknown = "0123456789abcdef0123456789abcdef";
        assert_eq!(ask(&world, unknown, |_| {}), "The referenced task was not found.");
    }

    #[test]
    fn a_service_keeps_what_it_was_told_if_it_has_a_task_role() {
        let world = World::new();
        let refused = world.create_service(|input| input.enable_execute_command = Some(true)).expect_err("no role");
        assert!(refused.message.starts_with("The service couldn't be created because a valid taskRoleArn"));
        let service = world.create_service(|_| {}).expect("a service");
        assert_eq!(service.enable_execute_command, Some(false));
        let role = world.role();
        world.fixture.write(move |tx, cx| {
            tx.task_definitions().update(&(cx.scope.clone(), "web".into(), 1), |d| d.task_role_arn = Some(role));
        });
        let input = UpdateServiceInput {
            cluster: Some("web".into()),
            service: "s".into(),
            enable_execute_command: Some(true),
            ..Default::default()
        };
        let output = world.write(|tx, cx| update_service(tx, cx, input)).expect("it changes");
        assert_eq!(output.service.and_then(|service| service.enable_execute_command), Some(true));
    }
}
