//! GetLogEvents: a page of one stream, either way. At the end the same token comes back.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{GetLogEventsInput, GetLogEventsOutput, OutputLogEvent};
use longshore_telemetry::logs::{GetRequest, Start};

const EVENTS_MAX: i32 = 10_000;
const BYTES_MAX: usize = 1 << 20;

pub async fn get_log_events(backend: Backend, cx: Cx, input: GetLogEventsInput) -> Result<GetLogEventsOutput, AwsError> {
    let group = names::chosen(input.log_group_name, input.log_group_identifier)?;
    backend.store.read(|state| names::stream(state, &cx.scope, &group, &input.log_stream_name))?;
    let start = match &input.next_token {
        Some(token) => parse(token).ok_or_else(|| error::invalid("The specified nextToken is invalid."))?,
        None if input.start_from_head == Some(true) => Start::Head,
        None => Start::Tail,
    };
    let key = names::key(&cx.scope, &group);
    let page = tokio::task::spawn_blocking(move || {
        backend.logs.get(&GetRequest {
            group: &key,
            stream: &input.log_stream_name,
            from_ms: input.start_time,
            to_ms: input.end_time,
            start,
            limit: input.limit.unwrap_or(EVENTS_MAX).clamp(1, EVENTS_MAX) as usize,
            bytes_max: BYTES_MAX,
        })
    });
    let page = page.await.expect("reading events does not panic").map_err(error::stored)?;
    let event = |e: longshore_telemetry::logs::StoredEvent| OutputLogEvent {
        timestamp: Some(e.timestamp_ms),
        message: Some(e.message),
        ingestion_time: Some(e.ingestion_ms),
    };
    Ok(GetLogEventsOutput {
        events: Some(page.events.into_iter().map(event).collect()),
        next_forward_token: Some(format!("f/{}", page.forward)),
        next_backward_token: Some(format!("b/{}", page.backward)),
    })
}

fn parse(token: &str) -> Option<Start> {
    match token.split_once('/')? {
        ("f", position) => position.parse().ok().map(Start::Forward),
        ("b", position) => position.parse().ok().map(Start::Backward),
        _ => None,
    }
}
