//! When a value was last read, by day: the first reader of a day writes it down.

use super::secrets::day;
use crate::routes::write;
use longshore_store::Store;
use longshore_types::{Scope, Timestamp};

/// Notes that these versions, by name and id, were read.
pub async fn note(store: &Store, scope: Scope, now: Timestamp, read: Vec<(String, String)>) {
    let today = day(now);
    let stale: Vec<_> = store.read(|state| {
        let is_stale = |(name, id): &(String, String)| {
            let key = (scope.clone(), name.clone(), id.clone());
            state.secret_versions().get(&key).is_some_and(|row| row.accessed_at != Some(today))
        };
        read.into_iter().filter(is_stale).collect()
    });
    if stale.is_empty() {
        return;
    }
    let noted = write(store, move |tx| {
        for (name, id) in stale {
            tx.secrets().update(&(scope.clone(), name.clone()), |row| row.accessed_at = Some(today));
            tx.secret_versions().update(&(scope.clone(), name, id), |row| row.accessed_at = Some(today));
        }
        Ok(())
    });
    if let Err(error) = noted.await {
        // The value itself can be answered all the same.
        tracing::warn!(%error, "the date of access could not be stored");
    }
}
