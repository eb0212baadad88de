//! DescribeLogStreams: by name or by the time of the last event.

use super::{error, names};
use crate::routes::Backend;
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{DescribeLogStreamsInput, DescribeLogStreamsOutput, LogStream};
use longshore_types::logs::LogStream as Row;
use std::collections::HashMap;
use std::sync::Arc;

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
    let known = if by_time { backend.logs.streams(&key) } else { Vec::new() };
    let last_events: HashMap<_, _> = known.into_iter().map(|(name, stats)| (name, stats.last_event_ms)).collect();
    let order = |row: &Arc<Row>| match by_time {
        true => page::timed_key(last_events.get(row.name.as_str()).copied().flatten(), &row.name),
        false => row.name.clone(),
    };
    let limit = input.limit.map_or(50, |n| n.clamp(1, 50) as usize);
    let descending = input.descending == Some(true);
    let page = page::sorted(rows.collect(), order, descending, input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    let stream = |row: &Arc<Row>| {
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
    };
    Ok(DescribeLogStreamsOutput {
        log_streams: Some(page.items.iter().map(stream).collect()),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::delete_log_stream::delete_log_stream;
    use crate::logs::testing::{Bench, refusal};
    use longshore_aws_model::logs::DeleteLogStreamInput;

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
    fn pages_neither_skip_nor_repeat_while_streams_come_and_go() {
        let by_time = Some("LastEventTime".to_owned());
        for (order_by, descending, limit) in [(None, false, 2), (by_time.clone(), false, 2), (by_time, true, 3)] {
            let bench = Bench::app(&["a", "b", "c", "d", "e"]);
            for (at, name) in ["b", "c", "d", "e"].into_iter().enumerate() {
                bench.say(name, &[(at as i64, "x")]);
            }
            let input = DescribeLogStreamsInput { order_by, descending: Some(descending), ..input() };
            let first = DescribeLogStreamsInput { limit: Some(limit), ..input.clone() };
            let first = bench.call(describe_log_streams, first).expect("a page");
            let last = if descending { "c" } else { "b" };
            assert_eq!(
                first.log_streams.iter().flatten().last().and_then(|s| s.log_stream_name.as_deref()),
                Some(last)
            );
            let (log_group_name, log_stream_name) = ("app".to_owned(), last.to_owned());
            bench.call(delete_log_stream, DeleteLogStreamInput { log_group_name, log_stream_name }).expect("deleted");
            let rest = names(&bench, DescribeLogStreamsInput { next_token: first.next_token, ..input });
            assert_eq!(rest, if descending { vec!["b", "a"] } else { vec!["c", "d", "e"] });
        }
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
