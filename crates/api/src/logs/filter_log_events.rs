//! FilterLogEvents: events of many streams in order of time, those that match a pattern.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{FilterLogEventsInput, FilterLogEventsOutput, FilteredLogEvent};
use longshore_telemetry::logs::pattern::Pattern;
use longshore_telemetry::logs::{FilterRequest, Streams};

const EVENTS_MAX: i32 = 10_000;
const BYTES_MAX: usize = 1 << 20;
/// Read at most for one page; a page may be empty and have a token, as on AWS.
const SCAN_BYTES_MAX: u64 = 64 << 20;

pub async fn filter_log_events(backend: Backend, cx: Cx, input: FilterLogEventsInput) -> Result<FilterLogEventsOutput, AwsError> {
    let group = names::chosen(input.log_group_name, input.log_group_identifier)?;
    let named = input.log_stream_names.unwrap_or_default();
    if !named.is_empty() && input.log_stream_name_prefix.is_some() {
        return Err(error::invalid("logStreamNames and logStreamNamePrefix cannot be given together."));
    }
    backend.store.read(|state| {
        names::group(state, &cx.scope, &group)?;
        named.iter().try_for_each(|name| names::stream(state, &cx.scope, &group, name).map(|_| ()))
    })?;
    let pattern = match input.filter_pattern.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => Some(Pattern::parse(text).map_err(|e| error::invalid(format!("Invalid filter pattern: {e}")))?),
        None => None,
    };
    let start = match &input.next_token {
        Some(token) => Some(token.parse().map_err(|_| error::invalid("The specified nextToken is invalid."))?),
        None => None,
    };
    let key = names::key(&cx.scope, &group);
    let page = tokio::task::spawn_blocking(move || {
        let streams = match (&input.log_stream_name_prefix, named.is_empty()) {
            (Some(prefix), _) => Streams::Prefix(prefix),
            (None, false) => Streams::Named(&named),
            (None, true) => Streams::All,
        };
        backend.logs.filter(&FilterRequest {
            group: &key,
            streams,
            from_ms: input.start_time,
            // The end is inclusive here, as CloudWatch documents it for this operation only.
            to_ms: input.end_time.map(|end| end.saturating_add(1)),
            pattern: pattern.as_ref(),
            start,
            newest_first: input.start_from_head == Some(false),
            limit: input.limit.unwrap_or(EVENTS_MAX).clamp(1, EVENTS_MAX) as usize,
            bytes_max: BYTES_MAX,
            scan_bytes_max: SCAN_BYTES_MAX,
        })
    });
    let page = page.await.expect("reading events does not panic").map_err(error::stored)?;
    let event = |e: longshore_telemetry::logs::StoredEvent| FilteredLogEvent {
        log_stream_name: Some(e.stream.to_string()),
        timestamp: Some(e.timestamp_ms),
        message: Some(e.message),
        ingestion_time: Some(e.ingestion_ms),
        event_id: Some(e.id.to_string()),
    };
    Ok(FilterLogEventsOutput {
        events: Some(page.events.into_iter().map(event).collect()),
        searched_log_streams: Some(vec![]),
        next_token: page.next.map(|position| position.to_string()),
    })
}
