//! What a task asks of its own protection at `$ECS_AGENT_URI`: an API call as its task role.

use crate::serve::{Server, now, seed};
use longshore_api::identity::{Enforced, Source};
use longshore_api::{Cx, routes, sts};
use longshore_aws_model::{AwsError, Operation, Protocol, ecs};
use longshore_aws_wire::Head;
use longshore_types::id::TaskId;
use longshore_types::link::{ApiAnswer, ProtectionUpdate};
use longshore_types::{Scope, arn};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

pub async fn call(server: &Server, scope: &Scope, task: &TaskId, update: Option<ProtectionUpdate>) -> ApiAnswer {
    let found = server.backend.store.read(|state| {
        let row = state.tasks().get(&(scope.clone(), task.clone()))?;
        let session = sts::session::find(state, row.access_key_id.as_ref()?, now())?;
        Some((sts::session::caller(state, session), row.cluster.clone(), row.network.address))
    });
    let Some((caller, cluster, address)) = found else {
        let error = AwsError::new("ExpiredTokenException", "The security token included in the request is expired");
        let body = json!({"__type": error.code, "message": error.message}).to_string();
        return ApiAnswer { status: 400, request_id: longshore_types::IdSource::new(seed()).uuid(), body };
    };
    let mut cx = Cx::new(scope.clone(), now(), caller, Arc::clone(&server.settings), seed());
    cx.enforced = server
        .settings
        .authority
        .as_ref()
        .map(|authority| Arc::new(Enforced::new(authority, Source::Task(IpAddr::V4(address)))));
    let mut input = json!({"cluster": cluster, "tasks": [arn::task(scope, &cluster, task)]});
    let operation = match update {
        None => ecs::GetTaskProtection::SCHEMA,
        Some(update) => {
            input["protectionEnabled"] = json!(update.enabled);
            if let Some(minutes) = update.minutes {
                input["expiresInMinutes"] = json!(minutes);
            }
            ecs::UpdateTaskProtection::SCHEMA
        }
    };
    let request_id = cx.request_id.clone();
    let payload = input.to_string().into_bytes();
    let request = routes::Request { operation, protocol: Protocol::Json11, payload, head: Head::default() };
    let response = server.routes.run(server.backend.clone(), cx, request).await;
    ApiAnswer { status: response.status, request_id, body: String::from_utf8_lossy(&response.body).into_owned() }
}
