//! DescribeLogStreams: by name or by the time of the last event.

use super::{error, names};
use crate::routes::Backend;
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{DescribeLogStreamsInput, DescribeLogStreamsOutput, LogStream};

pub async fn describe_log_streams(
    backend: Backend,
    cx: Cx,
    input: DescribeLogStreamsInput,
) -> Result<DescribeLogStreamsOutput, AwsError> {
    let group = names::chosen(&cx.scope, input.log_group_name, input.log_group_identifier)?;
    let by_time = input.order_by.as_deref() == Some("LastEventTime");
    if by_time && input.log_stream_name_prefix.is_some() {
        return Err(error::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let state = backend.store.snapshot();
    names::group(&state, &cx.scope, &group)?;
    let key = names::key(&cx.scope, &group);
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    let rows =
        state.log_streams().prefix(&(cx.scope.clone(), group.clone())).filter(|row| row.name.starts_with(&prefix));
    let mut streams: Vec<LogStream> = rows
        .map(|row| {
            let stats = backend.logs.stream_stats(&key, &row.name);
            LogStream {
                arn: Some(names::stream_arn(&cx.scope, &group, &row.name)),
                log_stream_name: Some(row.name.clone()),
                creation_time: Some(row.created_at.0),
                first_event_timestamp: stats.and_then(|s| s.first_event_ms),
                last_event_timestamp: stats.and_then(|s| s.last_event_ms),
                last_ingestion_time: stats.and_then(|s| s.last_ingestion_ms),
                upload_sequence_token: Some("49039859588887188422586666187664123661".to_owned()),
                // AWS has said 0 here since 2019.
                stored_bytes: Some(0),
            }
        })
        .collect();
    if by_time {
        streams.sort_by_key(|stream| (stream.last_event_timestamp, stream.log_stream_name.clone()));
    }
    if input.descending == Some(true) {
        streams.reverse();
    }
    let limit = input.limit.map_or(50, |n| n.clamp(1, 50) as usize);
    // Positions order the pages, because the order is the caller's.
    let page =
        page::page(streams.into_iter().enumerate(), |(n, _)| format!("{n:012}"), input.next_token.as_deref(), limit)
            .map_err(|_| error::bad_token())?;
    let streams = page.items.into_iter().map(|(_, stream)| stream).collect();
    Ok(DescribeLogStreamsOutput { log_streams: Some(streams), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    fn input() -> DescribeLogStreamsInput {
        DescribeLogStreamsInput { log_group_name: Some("app".to_owned()), ..Default::default() }
    }

    fn names(bench: &Bench, input: DescribeLogStreamsInput) -> Vec<String> {
        let output = bench.call(describe_log_streams, input).expect("a list");
        output.log_streams.into_iter().flatten().filter_map(|stream| stream.log_stream_name).collect()
    }

    #[test]
    fn streams_are_ordered_by_name_or_last_event() {
        let bench = Bench::app(&["a", "b", "c"]);
        bench.say("a", &[(5, "late")]);
        bench.say("b", &[(1, "early")]);
        assert_eq!(names(&bench, input()), ["a", "b", "c"]);
        assert_eq!(names(&bench, DescribeLogStreamsInput { descending: Some(true), ..input() }), ["c", "b", "a"]);
        let order_by = Some("LastEventTime".to_owned());
        let latest = DescribeLogStreamsInput { order_by: order_by.clone(), descending: Some(true), ..input() };
        assert_eq!(names(&bench, latest), ["a", "b", "c"]);
        let log_stream_name_prefix = Some("b".to_owned());
        let prefixed = DescribeLogStreamsInput { log_stream_name_prefix, ..input() };
        assert_eq!(names(&bench, prefixed.clone()), ["b"]);
        assert_eq!(
            refusal(bench.call(describe_log_streams, DescribeLogStreamsInput { order_by, ..prefixed })),
            "InvalidParameterException: Cannot order by LastEventTime with a logStreamNamePrefix."
        );
    }

    #[test]
    fn pages_follow_each_other_and_times_are_shown() {
        let bench = Bench::app(&["a", "b", "c"]);
        bench.say("a", &[(1, "x"), (2, "y")]);
        let first =
            bench.call(describe_log_streams, DescribeLogStreamsInput { limit: Some(2), ..input() }).expect("a page");
        let stream = &first.log_streams.as_ref().expect("two")[0];
        assert_eq!(
            (stream.first_event_timestamp, stream.last_event_timestamp),
            (Some(bench.now.0 + 1), Some(bench.now.0 + 2))
        );
        assert_eq!(stream.arn.as_deref(), Some("arn:aws:logs:us-east-1:123456789012:log-group:app:log-stream:a"));
        assert_eq!(names(&bench, DescribeLogStreamsInput { next_token: first.next_token, ..input() }), ["c"]);
        let stranger = DescribeLogStreamsInput { log_group_name: Some("other".to_owned()), ..Default::default() };
        assert_eq!(
            refusal(bench.call(describe_log_streams, stranger)),
            "ResourceNotFoundException: The specified log group does not exist."
        );
    }
}
