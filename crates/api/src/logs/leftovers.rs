//! Events without a row: what a crash between the two steps of a deletion left, or a write that crossed it.
//!
//! Nobody sees them until the name is used again, so whoever makes a row clears them away first.

use super::{error, names};
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_types::Scope;

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
