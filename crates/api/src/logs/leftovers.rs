//! Events without a row: what a crash between the two steps of a deletion left, or a write that crossed it.
//!
//! Nobody sees them until the name is used again, so whoever makes a row clears them away first. Since nobody prunes them,
//! either, a server that starts clears all of them away.

use super::{error, names};
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_types::Scope;
use std::collections::{HashMap, HashSet};

/// Deletes what is left of all groups and streams that have no row. To be called before anybody makes rows or events.
pub async fn sweep(backend: &Backend) -> Result<(), AwsError> {
    let rows = rows(backend);
    for group in backend.logs.groups() {
        let Some(streams) = rows.get(&*group) else {
            backend.logs.delete_group(&group).await.map_err(error::stored)?;
            continue;
        };
        for (stream, _) in backend.logs.streams(&group) {
            if !streams.contains(&*stream) {
                backend.logs.delete_stream(&group, &stream).await.map_err(error::stored)?;
            }
        }
    }
    Ok(())
}

/// Names of streams by the keys of their groups.
fn rows(backend: &Backend) -> HashMap<String, HashSet<String>> {
    backend.store.read(|state| {
        let groups = state.log_groups().all().keys();
        let mut rows: HashMap<_, HashSet<_>> =
            groups.map(|(scope, group)| (names::key(&scope, &group), HashSet::new())).collect();
        for (scope, group, stream) in state.log_streams().all().keys() {
            rows.entry(names::key(&scope, &group)).or_default().insert(stream);
        }
        rows
    })
}

/// Deletes what is left of a group that has no row.
pub async fn of_group(backend: &Backend, scope: &Scope, group: &str) -> Result<(), AwsError> {
    let has_row = backend.store.read(|state| state.log_groups().contains(&(scope.clone(), group.to_owned())));
    let key = names::key(scope, group);
    if has_row || backend.logs.streams(&key).is_empty() {
        return Ok(());
    }
    backend.logs.delete_group(&key).await.map_err(error::stored)
}

/// Deletes what is left of a stream that has no row.
pub async fn of_stream(backend: &Backend, scope: &Scope, group: &str, stream: &str) -> Result<(), AwsError> {
    let row = (scope.clone(), group.to_owned(), stream.to_owned());
    let key = names::key(scope, group);
    if backend.store.read(|state| state.log_streams().contains(&row))
        || backend.logs.stream_stats(&key, stream).is_none()
    {
        return Ok(());
    }
    backend.logs.delete_stream(&key, stream).await.map_err(error::stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::describe_log_groups::describe_log_groups;
    use crate::logs::filter_log_events::filter_log_events;
    use crate::logs::testing::Bench;
    use longshore_aws_model::logs::{DescribeLogGroupsInput, FilterLogEventsInput};

    /// As after a crash between the two steps of DeleteLogStream.
    fn bench() -> Bench {
        let bench = Bench::app(&["a", "b"]);
        bench.say("a", &[(0, "deleted")]);
        bench.say("b", &[(1, "kept")]);
        bench.write(|tx, cx| {
            tx.log_streams().remove(&(cx.scope.clone(), "app".to_owned(), "a".to_owned()));
        });
        bench
    }

    #[test]
    fn events_without_a_row_are_not_seen() {
        let bench = bench();
        let group = || Some("app".to_owned());
        let all = FilterLogEventsInput { log_group_name: group(), ..Default::default() };
        let prefixed = FilterLogEventsInput { log_stream_name_prefix: Some("a".to_owned()), ..all.clone() };
        let lines = |input| {
            let output = bench.call(filter_log_events, input).expect("a page");
            output.events.into_iter().flatten().filter_map(|event| event.message).collect::<Vec<_>>()
        };
        assert_eq!((lines(all), lines(prefixed).len()), (vec!["kept".to_owned()], 0));
        let output = bench.call(describe_log_groups, DescribeLogGroupsInput::default()).expect("a list");
        let kept = bench.backend.logs.stream_stats(&names::key(&bench.cx().scope, "app"), "b").expect("a stream");
        assert_eq!(output.log_groups.unwrap_or_default()[0].stored_bytes, Some(kept.stored_bytes as i64));
    }

    #[test]
    fn a_start_clears_away_what_has_no_row() {
        let bench = bench();
        let (logs, scope) = (&bench.backend.logs, bench.cx().scope);
        let streams = || logs.streams(&names::key(&scope, "app")).into_iter().map(|(name, _)| name.to_string());
        assert_eq!(streams().collect::<Vec<_>>(), ["a", "b"]);
        bench.wait(sweep(&bench.backend)).expect("swept");
        assert_eq!(streams().collect::<Vec<_>>(), ["b"]);
        bench.write(|tx, cx| {
            tx.log_groups().remove(&(cx.scope.clone(), "app".to_owned()));
            tx.log_streams().remove(&(cx.scope.clone(), "app".to_owned(), "b".to_owned()));
        });
        bench.wait(sweep(&bench.backend)).expect("swept");
        assert!(logs.groups().is_empty());
    }
}
