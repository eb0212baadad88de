//! FilterLogEvents: events of many streams in order of time, those that match a pattern.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{FilterLogEventsInput, FilterLogEventsOutput, FilteredLogEvent};
use longshore_store::Snapshot;
use longshore_telemetry::logs::pattern::Pattern;
use longshore_telemetry::logs::{FilterRequest, Position, Streams};

const EVENTS_MAX: i32 = 10_000;
const BYTES_MAX: usize = 1 << 20;
/// Read at most for one page; a page may be empty and have a token, as on AWS.
const SCAN_BYTES_MAX: u64 = 64 << 20;
/// 1 January 2024: CloudWatch reads older events from their beginning only.
const NEWEST_FIRST_SINCE_MS: i64 = 1_704_067_200_000;

pub async fn filter_log_events(
    backend: Backend,
    cx: Cx,
    input: FilterLogEventsInput,
) -> Result<FilterLogEventsOutput, AwsError> {
    let group = names::chosen(&cx.scope, input.log_group_name, input.log_group_identifier)?;
    let named = input.log_stream_names.unwrap_or_default();
    if !named.is_empty() && input.log_stream_name_prefix.is_some() {
        return Err(error::invalid("logStreamNames and logStreamNamePrefix cannot be given together."));
    }
    let prefix = input.log_stream_name_prefix.as_deref().unwrap_or_default();
    let streams = backend.store.read(|state| chosen(state, &cx, &group, named, prefix))?;
    let pattern = match input.filter_pattern.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => Some(Pattern::parse(text).map_err(|e| error::invalid(e.to_string()))?),
        None => None,
    };
    let (newest_first, start) = match &input.next_token {
        // The direction of the first request is every later one's.
        Some(token) => parse(token).ok_or_else(error::bad_token)?,
        None => (input.start_from_head == Some(false), None),
    };
    if newest_first && input.start_time.is_some_and(|start| start < NEWEST_FIRST_SINCE_MS) {
        return Err(error::invalid(
            "startFromHead can be false only when startTime is on or after 2024-01-01T00:00:00Z.",
        ));
    }
    let key = names::key(&cx.scope, &group);
    let page = tokio::task::spawn_blocking(move || {
        backend.logs.filter(&FilterRequest {
            group: &key,
            streams: Streams::Named(&streams),
            from_ms: input.start_time,
            // The end is inclusive here, as CloudWatch documents it for this operation only.
            to_ms: input.end_time.map(|end| end.saturating_add(1)),
            pattern: pattern.as_ref(),
            start,
            newest_first,
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
        next_token: page.next.map(|position| format!("{}/{position}", if newest_first { "b" } else { "f" })),
    })
}

/// The streams of these names, or all with the prefix. They are those with a row: events may be left of others.
fn chosen(state: &Snapshot, cx: &Cx, group: &str, named: Vec<String>, prefix: &str) -> Result<Vec<String>, AwsError> {
    names::group(state, &cx.scope, group)?;
    if named.is_empty() {
        let rows = state.log_streams().prefix(&(cx.scope.clone(), group.to_owned()));
        return Ok(rows.filter(|row| row.name.starts_with(prefix)).map(|row| row.name.clone()).collect());
    }
    named.iter().try_for_each(|name| names::stream(state, &cx.scope, group, name).map(|_| ()))?;
    Ok(named)
}

/// Whether newest first, and from where.
fn parse(token: &str) -> Option<(bool, Option<Position>)> {
    let (direction, position) = token.split_once('/')?;
    let newest_first = match direction {
        "f" => false,
        "b" => true,
        _ => return None,
    };
    Some((newest_first, Some(position.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    fn input() -> FilterLogEventsInput {
        let arn = "arn:aws:logs:us-east-1:123456789012:log-group:app:*";
        FilterLogEventsInput { log_group_identifier: Some(arn.to_owned()), ..Default::default() }
    }

    fn lines(bench: &Bench, input: FilterLogEventsInput) -> Vec<String> {
        let output = bench.call(filter_log_events, input).expect("a page");
        output.events.into_iter().flatten().filter_map(|event| event.message).collect()
    }

    fn bench() -> Bench {
        let bench = Bench::app(&["web/1", "web/2", "db/1"]);
        bench.say("web/1", &[(1, "GET /a"), (4, "ERROR b")]);
        bench.say("web/2", &[(2, "ERROR a")]);
        bench.say("db/1", &[(3, "ready")]);
        bench
    }

    #[test]
    fn streams_are_merged_by_time_and_chosen_by_name_prefix_and_pattern() {
        let bench = bench();
        assert_eq!(lines(&bench, input()), ["GET /a", "ERROR a", "ready", "ERROR b"]);
        let errors = FilterLogEventsInput { filter_pattern: Some("ERROR".to_owned()), ..input() };
        assert_eq!(lines(&bench, errors), ["ERROR a", "ERROR b"]);
        let web = FilterLogEventsInput { log_stream_name_prefix: Some("web/".to_owned()), ..input() };
        assert_eq!(lines(&bench, web), ["GET /a", "ERROR a", "ERROR b"]);
        let named = FilterLogEventsInput { log_stream_names: Some(vec!["db/1".to_owned()]), ..input() };
        assert_eq!(lines(&bench, named), ["ready"]);
        let until = FilterLogEventsInput { end_time: Some(bench.now.0 + 2), ..input() };
        assert_eq!(lines(&bench, until), ["GET /a", "ERROR a"], "the end is inclusive");
    }

    #[test]
    fn pages_follow_each_other() {
        let bench = bench();
        let first = bench.call(filter_log_events, FilterLogEventsInput { limit: Some(3), ..input() }).expect("a page");
        assert_eq!(first.events.as_ref().map(Vec::len), Some(3));
        assert!(first.next_token.is_some());
        assert_eq!(lines(&bench, FilterLogEventsInput { next_token: first.next_token, ..input() }), ["ERROR b"]);
    }

    #[test]
    fn the_first_request_gives_the_direction() {
        let bench = bench();
        let latest = FilterLogEventsInput { limit: Some(3), start_from_head: Some(false), ..input() };
        let first = bench.call(filter_log_events, latest.clone()).expect("a page");
        let shown: Vec<_> = first.events.iter().flatten().filter_map(|event| event.message.as_deref()).collect();
        assert_eq!(shown, ["ERROR b", "ready", "ERROR a"]);
        let on = FilterLogEventsInput { next_token: first.next_token, start_from_head: Some(true), ..input() };
        assert_eq!(lines(&bench, on), ["GET /a"]);
        let early = FilterLogEventsInput { start_time: Some(0), ..latest };
        assert!(refusal(bench.call(filter_log_events, early)).starts_with("InvalidParameterException: startFromHead"));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let bench = bench();
        let refused = |input| refusal(bench.call(filter_log_events, input));
        let names = |name: &str| Some(vec![name.to_owned()]);
        let both = FilterLogEventsInput {
            log_stream_names: names("db/1"),
            log_stream_name_prefix: Some("d".to_owned()),
            ..input()
        };
        assert!(refused(both).starts_with("InvalidParameterException: "));
        assert_eq!(
            refused(FilterLogEventsInput { log_stream_names: names("z"), ..input() }),
            "ResourceNotFoundException: The specified log stream does not exist."
        );
        let pattern = FilterLogEventsInput { filter_pattern: Some("{ $.a = ".to_owned()), ..input() };
        assert_eq!(
            refused(pattern),
            "InvalidParameterException: Invalid filter pattern: If a filter pattern starts with '{' it must end with '}'"
        );
        let term = FilterLogEventsInput { filter_pattern: Some("GET /a".to_owned()), ..input() };
        assert_eq!(
            refused(term),
            "InvalidParameterException: Invalid filter pattern: Invalid character(s) in term '/a'"
        );
        assert_eq!(
            refused(FilterLogEventsInput { next_token: Some("x".to_owned()), ..input() }),
            "InvalidParameterException: The specified nextToken is invalid."
        );
    }
}
