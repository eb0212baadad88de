//! The `awslogs` driver's way in, and the way out of everything.

use super::{error, names};
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

async fn make(backend: &Backend, key: (Scope, String, String), create_group: bool, now: Timestamp) -> Result<(), AwsError> {
    write(&backend.store, move |tx| {
        let (scope, group, stream) = key;
        let group_key = (scope.clone(), group.clone());
        if tx.log_groups().get(&group_key).is_none() {
            if !create_group {
                return Err(error::no_group());
            }
            names::check_group(&group)?;
            let row = LogGroup { name: group.clone(), created_at: now, retention_days: None, tags: Tags::default() };
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
