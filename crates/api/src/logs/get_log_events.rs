//! GetLogEvents: a page of one stream, either way. At the end the same token comes back.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{GetLogEventsInput, GetLogEventsOutput, OutputLogEvent};
use longshore_telemetry::logs::{GetRequest, Start};

const EVENTS_MAX: i32 = 10_000;
const BYTES_MAX: usize = 1 << 20;

pub async fn get_log_events(
    backend: Backend,
    cx: Cx,
    input: GetLogEventsInput,
) -> Result<GetLogEventsOutput, AwsError> {
    let group = names::chosen(&cx.scope, input.log_group_name, input.log_group_identifier)?;
    backend.store.read(|state| names::stream(state, &cx.scope, &group, &input.log_stream_name))?;
    let start = match &input.next_token {
        Some(token) => parse(token).ok_or_else(error::bad_token)?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    fn input() -> GetLogEventsInput {
        GetLogEventsInput {
            log_group_name: Some("app".to_owned()),
            log_stream_name: "a".to_owned(),
            ..Default::default()
        }
    }

    fn lines(output: &GetLogEventsOutput) -> Vec<&str> {
        output.events.iter().flatten().filter_map(|event| event.message.as_deref()).collect()
    }

    #[test]
    fn reading_on_ends_in_the_same_token_and_starts_again_with_new_events() {
        let bench = Bench::app(&["a"]);
        bench.say("a", &[(1, "one"), (2, "two"), (3, "three")]);
        let get = |input| bench.call(get_log_events, input).expect("a page");
        let first = get(GetLogEventsInput { start_from_head: Some(true), limit: Some(2), ..input() });
        assert_eq!(lines(&first), ["one", "two"]);
        let on = |next_token| get(GetLogEventsInput { next_token, ..input() });
        let second = on(first.next_forward_token.clone());
        assert_eq!(lines(&second), ["three"]);
        let end = on(second.next_forward_token.clone());
        assert_eq!((lines(&end).len(), &end.next_forward_token), (0, &second.next_forward_token));
        bench.say("a", &[(4, "four")]);
        assert_eq!(lines(&on(end.next_forward_token)), ["four"]);
        let back = on(second.next_backward_token);
        assert_eq!(lines(&back), ["one", "two"]);
        let start = on(back.next_backward_token.clone());
        assert_eq!((lines(&start).len(), start.next_backward_token), (0, back.next_backward_token));
    }

    #[test]
    fn the_latest_events_come_first_without_start_from_head_and_the_end_is_exclusive() {
        let bench = Bench::app(&["a"]);
        bench.say("a", &[(1, "one"), (2, "two"), (3, "three")]);
        let latest = bench.call(get_log_events, GetLogEventsInput { limit: Some(2), ..input() }).expect("a page");
        assert_eq!(lines(&latest), ["two", "three"]);
        let (start_time, end_time) = (Some(bench.now.0 + 1), Some(bench.now.0 + 3));
        let between =
            bench.call(get_log_events, GetLogEventsInput { start_time, end_time, ..input() }).expect("a page");
        assert_eq!(lines(&between), ["one", "two"]);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let bench = Bench::app(&["a"]);
        for (given, expected) in [
            (
                GetLogEventsInput { log_stream_name: "z".to_owned(), ..input() },
                "ResourceNotFoundException: The specified log stream does not exist.",
            ),
            (
                GetLogEventsInput { log_group_name: Some("z".to_owned()), ..input() },
                "ResourceNotFoundException: The specified log group does not exist.",
            ),
            (
                GetLogEventsInput { next_token: Some("x/1".to_owned()), ..input() },
                "InvalidParameterException: The specified nextToken is invalid.",
            ),
            (
                GetLogEventsInput { log_group_name: None, ..input() },
                "InvalidParameterException: Exactly one of logGroupName and logGroupIdentifier must be given.",
            ),
        ] {
            assert_eq!(refusal(bench.call(get_log_events, given)), expected);
        }
    }
}
