//! PutLogEvents: sequence tokens are ignored, as on AWS since 2023; events that are too old or too new are rejected and told.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{
    InputLogEvent, PutLogEventsInput, PutLogEventsOutput, RejectedEntityInfo, RejectedLogEventsInfo,
};
use longshore_telemetry::logs::Event;
use longshore_types::Timestamp;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// Each event counts this much more than its bytes.
const EVENT_OVERHEAD: usize = 26;
const BATCH_BYTES_MAX: usize = 1_048_576;
const EVENT_BYTES_MAX: usize = 1_048_576;
const NEXT_TOKEN: &str = "49039859588887188422586666187664123661";

pub async fn put_log_events(
    backend: Backend,
    cx: Cx,
    input: PutLogEventsInput,
) -> Result<PutLogEventsOutput, AwsError> {
    let group = backend.store.read(|state| {
        names::stream(state, &cx.scope, &input.log_group_name, &input.log_stream_name)?;
        names::group(state, &cx.scope, &input.log_group_name)
    })?;
    check(&input.log_events)?;
    let (kept, rejected) = split(input.log_events, group.retention_days, cx.now)?;
    if !kept.is_empty() {
        let key = names::key(&cx.scope, &input.log_group_name);
        backend.logs.append(&key, &input.log_stream_name, kept, cx.now.0).await.map_err(error::stored)?;
    }
    Ok(PutLogEventsOutput {
        next_sequence_token: Some(NEXT_TOKEN.to_owned()),
        rejected_log_events_info: rejected,
        // Events are kept; what they are about is not, and the caller is told so.
        rejected_entity_info: input
            .entity
            .map(|_| RejectedEntityInfo { error_type: Some("UnsupportedLogGroupType".to_owned()) }),
    })
}

fn check(events: &[InputLogEvent]) -> Result<(), AwsError> {
    let times: Vec<i64> = events.iter().map(|event| event.timestamp.unwrap_or(0)).collect();
    if !times.is_sorted() {
        return Err(error::invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    let sizes = events.iter().map(|event| event.message.as_ref().map_or(0, String::len) + EVENT_OVERHEAD);
    if let Some(size) = sizes.clone().find(|size| *size > EVENT_BYTES_MAX) {
        return Err(error::invalid(format!("Log event too large: {size} bytes exceeds limit of {EVENT_BYTES_MAX}")));
    }
    let size: usize = sizes.sum();
    if size > BATCH_BYTES_MAX {
        return Err(error::invalid(format!("Upload too large: {size} bytes exceeds limit of {BATCH_BYTES_MAX}")));
    }
    Ok(())
}

/// Events to keep, and which were not: at the start those that are too old, at the end those of the future. What is in
/// between may span a day.
fn split(
    events: Vec<InputLogEvent>,
    retention_days: Option<i32>,
    now: Timestamp,
) -> Result<(Vec<Event>, Option<RejectedLogEventsInfo>), AwsError> {
    let too_old = now - 14 * DAY;
    let expired = retention_days.map(|days| now - days.unsigned_abs() * DAY);
    let too_new = now + Duration::from_secs(2 * 3600);
    let (mut kept, mut rejected) = (Vec::with_capacity(events.len()), RejectedLogEventsInfo::default());
    for (index, event) in events.into_iter().enumerate() {
        let at = Timestamp(event.timestamp.unwrap_or(0));
        let index = index as i32;
        if expired.is_some_and(|expired| at < expired) {
            rejected.expired_log_event_end_index = Some(index + 1);
        } else if at < too_old {
            rejected.too_old_log_event_end_index = Some(index + 1);
        } else if at > too_new {
            rejected.too_new_log_event_start_index.get_or_insert(index);
        } else {
            kept.push(Event { timestamp_ms: at.0, message: event.message.unwrap_or_default() });
        }
    }
    if let (Some(first), Some(last)) = (kept.first(), kept.last())
        && Timestamp(last.timestamp_ms).since(Timestamp(first.timestamp_ms)) > DAY
    {
        return Err(error::invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    let rejected = (rejected != RejectedLogEventsInfo::default()).then_some(rejected);
    Ok((kept, rejected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::filter_log_events::filter_log_events;
    use crate::logs::prune;
    use crate::logs::retention::{delete_retention_policy, put_retention_policy};
    use crate::logs::testing::{Bench, refusal};
    use longshore_aws_model::logs::{DeleteRetentionPolicyInput, FilterLogEventsInput, PutRetentionPolicyInput};

    fn event(at: i64) -> InputLogEvent {
        InputLogEvent { timestamp: Some(at), message: Some("x".into()) }
    }

    #[test]
    fn events_out_of_time_are_told() {
        let now = Timestamp(100 * 86_400_000);
        let day = 86_400_000;
        let events = vec![event(now.0 - 20 * day), event(now.0 - 8 * day), event(now.0), event(now.0 + day)];
        let (kept, rejected) = split(events, Some(7), now).expect("the valid ones are of one day");
        let rejected = rejected.expect("some are");
        assert_eq!(kept.len(), 1);
        assert_eq!((rejected.expired_log_event_end_index, rejected.too_new_log_event_start_index), (Some(2), Some(3)));
    }

    #[test]
    fn order_and_size_are_checked() {
        assert!(check(&[event(1), event(1), event(2)]).is_ok());
        assert!(check(&[event(2), event(1)]).is_err());
        let of = |bytes: usize| InputLogEvent { timestamp: Some(1), message: Some("x".repeat(bytes)) };
        let text = |events: &[InputLogEvent]| check(events).expect_err("too large").message;
        assert_eq!(text(&[of(EVENT_BYTES_MAX)]), "Log event too large: 1048602 bytes exceeds limit of 1048576");
        assert_eq!(text(&[of(600_000), of(500_000)]), "Upload too large: 1100052 bytes exceeds limit of 1048576");
        assert!(check(&[of(EVENT_BYTES_MAX - EVENT_OVERHEAD)]).is_ok());
        let now = Timestamp(100 * 86_400_000);
        let hour = 3_600_000;
        assert!(split(vec![event(now.0 - 25 * hour), event(now.0)], None, now).is_err());
        assert!(split(vec![event(now.0 - 24 * hour), event(now.0)], None, now).is_ok());
    }

    #[test]
    fn an_old_event_stays_when_its_group_keeps_more_than_at_the_last_pruning() {
        let bench = Bench::app(&["a"]);
        let day = 86_400_000;
        bench.say("a", &[(-6 * day, "pruned")]);
        let policy = PutRetentionPolicyInput { log_group_name: "app".to_owned(), retention_in_days: 1 };
        bench.try_write(|tx, cx| put_retention_policy(tx, cx, policy)).expect("set");
        bench.wait(prune(&bench.backend, bench.now)).expect("pruned");
        let policy = DeleteRetentionPolicyInput { log_group_name: "app".to_owned() };
        bench.try_write(|tx, cx| delete_retention_policy(tx, cx, policy)).expect("taken back");
        let (log_group_name, log_stream_name) = ("app".to_owned(), "a".to_owned());
        let log_events = vec![event(bench.now.0 - 5 * day)];
        let input = PutLogEventsInput { log_group_name, log_stream_name, log_events, ..Default::default() };
        assert_eq!(bench.call(put_log_events, input).expect("stored").rejected_log_events_info, None);
        let input = FilterLogEventsInput { log_group_name: Some("app".to_owned()), ..Default::default() };
        let found = bench.call(filter_log_events, input).expect("a page").events.unwrap_or_default();
        assert_eq!(found.iter().map(|event| event.timestamp).collect::<Vec<_>>(), [Some(bench.now.0 - 5 * day)]);
    }

    #[test]
    fn events_are_stored_and_a_stranger_is_refused() {
        let bench = Bench::app(&["a"]);
        let now = bench.now.0;
        let put = |stream: &str, times: &[i64]| {
            let log_events = times.iter().map(|at| event(now + at)).collect();
            let (log_group_name, log_stream_name) = ("app".to_owned(), stream.to_owned());
            bench.call(
                put_log_events,
                PutLogEventsInput { log_group_name, log_stream_name, log_events, ..Default::default() },
            )
        };
        let output = put("a", &[0, 1]).expect("stored");
        assert!(output.next_sequence_token.is_some() && output.rejected_log_events_info.is_none());
        let stats = bench.backend.logs.stream_stats(&names::key(&bench.cx().scope, "app"), "a");
        assert_eq!(stats.map(|stats| stats.events), Some(2));
        assert_eq!(refusal(put("b", &[0])), "ResourceNotFoundException: The specified log stream does not exist.");
        assert_eq!(
            refusal(put("a", &[1, 0])),
            "InvalidParameterException: Log events in a single PutLogEvents request must be in chronological order."
        );
    }
}
