//! Values of a task's secrets, when its node is about to start it.

use crate::Environment;
use longshore_api::Cx;
use longshore_api::ecs::launch::role_name;
use longshore_api::ecs::resolve_secrets::{self, Reader};
use longshore_api::identity::{self, Authority, ServiceCall};
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::id::TaskId;
use longshore_types::launch::TaskSecrets;
use std::sync::Arc;

/// What the task's execution role reads, or the reason that the task is stopped for.
///
/// Its policies are asked where they are enforced, with `authority`; in open mode the role only has to be there.
pub fn resolve(
    state: &Snapshot,
    environment: &Environment,
    authority: Option<&Arc<Authority>>,
    scope: &Scope,
    task: &TaskId,
) -> Result<TaskSecrets, String> {
    let gone = || "The task is not known any more.".to_owned();
    let row = state.tasks().get(&(scope.clone(), task.clone())).ok_or_else(gone)?;
    let definition =
        state.task_definitions().get(&(scope.clone(), row.family.clone(), row.revision)).ok_or_else(gone)?;
    let role_arn = row.overrides.execution_role_arn.as_ref().or(definition.execution_role_arn.as_ref());
    let role_arn = role_arn.map_or("", String::as_str);
    let role = role_name(role_arn)
        .and_then(|name| state.roles().get(&(scope.account.clone(), name.to_owned())))
        .ok_or_else(|| {
            format!(
                "ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
            )
        })?;
    let acting = |scope: Scope| {
        let mut cx = environment.cx(scope);
        cx.caller.arn = format!("arn:aws:sts::{}:assumed-role/{}/{task}", cx.scope.account, role.name);
        cx.caller.user_id = format!("{}:{task}", role.id);
        cx
    };
    let may = |cx: &Cx, action: &str, resource: &str| match authority {
        None => Ok(()),
        Some(authority) => {
            let call = ServiceCall { session_name: task.as_str(), action, resource };
            identity::allows_role(state, cx, authority, &role, call)
        }
    };
    resolve_secrets::resolve(Reader { state, acting: &acting, may: &may }, scope, &definition.containers)
}
