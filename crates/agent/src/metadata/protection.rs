//! `$ECS_AGENT_URI/task-protection/v1/state`: GetTaskProtection and UpdateTaskProtection of a task about itself, called with
//! its task role's credentials.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html>

use super::{Reply, reply};
use crate::Node;
use hyper::{Method, StatusCode};
use longshore_types::Timestamp;
use longshore_types::link::{ApiAnswer, ProtectionUpdate};
use longshore_types::node::TaskIntent;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// As long as ECS's own agent waits.
const CALL_WAIT: Duration = Duration::from_secs(4);

/// An error before there is a call.
type Refusal = (StatusCode, Value);

/// `task` is the one that asks, if the path's id is of one of its containers.
pub async fn answer(node: &Node, task: Option<&TaskIntent>, method: &Method, body: &[u8]) -> Reply {
    let (status, body) = match call(node, task, method, body).await {
        Ok(answer) | Err(answer) => answer,
    };
    reply(status, &body)
}

async fn call(
    node: &Node,
    task: Option<&TaskIntent>,
    method: &Method,
    body: &[u8],
) -> Result<(StatusCode, Value), Refusal> {
    let update = match *method {
        Method::GET => None,
        Method::PUT => {
            let text = "UpdateTaskProtection: failed to decode request";
            Some(decode(body).ok_or_else(|| refusal(400, None, "InvalidParameterException", text))?)
        }
        _ => return Err((StatusCode::METHOD_NOT_ALLOWED, Value::Null)),
    };
    let text = "Failed to find a task for the request";
    let task = task.ok_or_else(|| refusal(404, None, "ResourceNotFoundException", text))?;
    let update = match update {
        None => None,
        Some((Some(enabled), minutes)) => Some(ProtectionUpdate { enabled, minutes }),
        Some((None, _)) => {
            let text = "Invalid request: does not contain 'ProtectionEnabled' field";
            return Err(refusal(400, Some(task), "InvalidParameterException", text));
        }
    };
    if task.credentials.is_none() {
        let text = "Invalid Request: no task IAM role credentials available for task";
        return Err(refusal(403, Some(task), "AccessDeniedException", text));
    }
    match tokio::time::timeout(CALL_WAIT, node.protection(&task.scope, &task.id, update)).await {
        Ok(answer) => Ok(shown(task, &answer)),
        Err(_) => Err(refusal(504, Some(task), "RequestCanceled", "Timed out calling ECS Task Protection API")),
    }
}

fn refusal(status: u16, task: Option<&TaskIntent>, code: &str, message: &str) -> Refusal {
    let mut error = json!({"Code": code, "Message": message});
    if let Some(task) = task {
        error["Arn"] = json!(task.arn);
    }
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), json!({"error": error}))
}

/// `ProtectionEnabled` and `ExpiresInMinutes`, in any case; nothing else.
fn decode(body: &[u8]) -> Option<(Option<bool>, Option<i64>)> {
    let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let (mut enabled, mut minutes) = (None, None);
    for (name, value) in fields {
        match (name.to_ascii_lowercase().as_str(), value) {
            ("protectionenabled" | "expiresinminutes", Value::Null) => {}
            ("protectionenabled", Value::Bool(value)) => enabled = Some(value),
            ("expiresinminutes", Value::Number(number)) => minutes = Some(number.as_i64()?),
            _ => return None,
        }
    }
    Some((enabled, minutes))
}

/// The API's answer as the endpoint tells it.
fn shown(task: &TaskIntent, answer: &ApiAnswer) -> (StatusCode, Value) {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if answer.status != 200 {
        let code = body["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        let message = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default();
        let (status, mut shown) = refusal(answer.status, Some(task), code, message);
        shown["requestID"] = json!(answer.request_id);
        return (status, shown);
    }
    if let Some(failure) = body["failures"].get(0) {
        let shown = json!({"Arn": failure["arn"], "Detail": failure["detail"], "Reason": failure["reason"]});
        return (StatusCode::OK, json!({"failure": shown}));
    }
    let protected = &body["protectedTasks"][0];
    let until = protected["expirationDate"].as_f64().map(|seconds| Timestamp((seconds * 1000.0) as i64).rfc3339());
    let shown = json!({
        "ExpirationDate": until,
        "ProtectionEnabled": protected["protectionEnabled"],
        "TaskArn": protected["taskArn"],
    });
    (StatusCode::OK, json!({"protection": shown}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_two_fields_in_any_case_and_no_others() {
        let read = |text: &str| decode(text.as_bytes());
        assert_eq!(read(r#"{"ProtectionEnabled":true}"#), Some((Some(true), None)));
        assert_eq!(read(r#"{"protectionEnabled":false,"ExpiresInMinutes":60}"#), Some((Some(false), Some(60))));
        assert_eq!(read(r#"{"ExpiresInMinutes":null}"#), Some((None, None)));
        for bad in ["", "[]", r#"{"ProtectionEnabled":"true"}"#, r#"{"ExpiresInMinutes":1.5}"#, r#"{"Other":1}"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
