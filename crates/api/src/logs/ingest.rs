//! The `awslogs` driver's way in, and the way out of everything.

use super::{error, leftovers, names};
use crate::routes::{Backend, write};
use longshore_aws_model::AwsError;
use longshore_telemetry::logs::Event;
use longshore_types::logs::{LogGroup, LogStream};
use longshore_types::{Scope, Tags, Timestamp};

/// Stores a container's lines durably. Makes the stream, and the group if `create_group` says so.
pub async fn ingest(
    backend: &Backend,
    scope: &Scope,
    group: &str,
    stream: &str,
    create_group: bool,
    events: Vec<(Timestamp, String)>,
    now: Timestamp,
) -> Result<(), AwsError> {
    let key = (scope.clone(), group.to_owned(), stream.to_owned());
    if backend.store.read(|state| state.log_streams().get(&key).is_none()) {
        make(backend, key, create_group, now).await?;
    }
    let events = events.into_iter().map(|(at, message)| Event { timestamp_ms: at.0, message }).collect();
    backend.logs.append(&names::key(scope, group), stream, events, now.0).await.map_err(error::stored)
}

async fn make(
    backend: &Backend,
    key: (Scope, String, String),
    create_group: bool,
    now: Timestamp,
) -> Result<(), AwsError> {
    let (scope, group, stream) = &key;
    leftovers::of_group(backend, scope, group).await?;
    leftovers::of_stream(backend, scope, group, stream).await?;
    write(&backend.store, move |tx| {
        let (scope, group, stream) = key;
        let group_key = (scope.clone(), group.clone());
        if tx.log_groups().get(&group_key).is_none() {
            if !create_group {
                return Err(error::no_group());
            }
            names::check_group(&group)?;
            let row = LogGroup {
                name: group.clone(),
                created_at: now,
                retention_days: None,
                deletion_protection: false,
                tags: Tags::default(),
            };
            tx.log_groups().put(group_key, row);
        }
        let row = LogStream { group: group.clone(), name: stream.clone(), created_at: now };
        tx.log_streams().put((scope, group, stream), row);
        Ok(())
    })
    .await
}

/// Deletes the events of groups whose rows are gone; for a reset.
pub async fn forget(backend: &Backend, groups: Vec<(Scope, String)>) -> Result<(), AwsError> {
    for (scope, group) in groups {
        backend.logs.delete_group(&names::key(&scope, &group)).await.map_err(error::stored)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    #[test]
    fn the_group_is_made_only_when_asked_for() {
        let bench = Bench::new();
        let scope = bench.cx().scope;
        let put = |create_group| {
            let events = vec![(bench.now, "hello".to_owned())];
            bench.wait(ingest(&bench.backend, &scope, "app", "web/1", create_group, events, bench.now))
        };
        assert_eq!(refusal(put(false)), "ResourceNotFoundException: The specified log group does not exist.");
        put(true).expect("stored");
        put(false).expect("stored again");
        let stats = bench.backend.logs.stream_stats(&names::key(&scope, "app"), "web/1").expect("a stream");
        assert_eq!((stats.events, stats.last_event_ms), (2, Some(bench.now.0)));
        assert!(bench.read(|state, _| state.log_streams().contains(&(
            scope.clone(),
            "app".to_owned(),
            "web/1".to_owned()
        ))));
    }
}
