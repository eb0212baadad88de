//! Runs the lifecycle policies of repositories.
//!
//! ECR takes up to a day to obey one; a pass of ours comes every half minute. So that a push of several images, whose
//! index comes last, is never cut in two, an untagged image that has just arrived is left alone.

use longshore_api::ecr::lifecycle_policy::{candidates, images};
use longshore_planner::lifecycle::Policy;
use longshore_store::{Snapshot, Store};
use longshore_types::{Scope, Timestamp};
use std::collections::HashSet;
use std::time::Duration;

/// Longer than any push takes between an image and its index.
const UNTAGGED_GRACE: Duration = Duration::from_secs(600);
/// How often it is written down that a policy was looked at and had nothing to do.
const RECORD_EVERY: Duration = Duration::from_secs(3600);

/// One pass over all repositories.
pub async fn pass(store: &Store, now: Timestamp) {
    let due: Vec<Due> = {
        let state = store.snapshot();
        let keys = state.repositories().all().entries().filter(|(_, row)| row.lifecycle.is_some()).map(|(key, _)| key);
        keys.filter_map(|key| look(&state, key, now)).collect()
    };
    for Due { key, .. } in due {
        let written = store.write(move |tx| {
            // Looked at again: what was pushed or tagged meanwhile counts.
            if let Some(due) = look(tx, key, now) {
                for digest in &due.expired {
                    tx.images().remove(&(due.key.0.clone(), due.key.1.clone(), digest.clone()));
                }
                tx.repositories().update(&due.key, |row| {
                    if let Some(policy) = &mut row.lifecycle {
                        policy.last_evaluated_at = Some(now);
                    }
                });
                if !due.expired.is_empty() {
                    tracing::info!(
                        repository = due.key.1,
                        count = due.expired.len(),
                        "images expired by the lifecycle policy"
                    );
                }
            }
            Ok::<_, ()>(())
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "expired images could not be removed");
        }
    }
}

/// A repository whose policy has something to do or to record.
struct Due {
    key: (Scope, String),
    expired: Vec<String>,
}

fn look(state: &Snapshot, key: (Scope, String), now: Timestamp) -> Option<Due> {
    let row = state.repositories().get(&key)?;
    let policy = row.lifecycle.as_ref()?;
    let parsed = match Policy::parse(&policy.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            tracing::warn!(error, repository = key.1, "a stored lifecycle policy cannot be read");
            return None;
        }
    };
    let images = images(state, &key.0, &key.1);
    let is_new = |digest: &str| {
        let row = images.iter().find(|row| row.digest == digest);
        row.is_some_and(|row| row.image_tags.is_empty() && now.since(row.pushed_at) < UNTAGGED_GRACE)
    };
    let marked = parsed.evaluate(&candidates(&images), now);
    let mut expired: HashSet<&str> = marked.iter().map(|one| one.digest).filter(|digest| !is_new(digest)).collect();
    // What is attached to an image goes with it, and what is attached to that.
    loop {
        let attached = |row: &longshore_types::ecr::Image| {
            row.subject.as_deref().is_some_and(|subject| expired.contains(subject))
                && !expired.contains(row.digest.as_str())
        };
        let more: Vec<&str> = images.iter().filter(|row| attached(row)).map(|row| row.digest.as_str()).collect();
        if more.is_empty() {
            break;
        }
        expired.extend(more);
    }
    let recorded = policy.last_evaluated_at.is_some_and(|at| now.since(at) < RECORD_EVERY);
    if expired.is_empty() && recorded {
        return None;
    }
    let expired = expired.into_iter().map(str::to_owned).collect();
    Some(Due { key, expired })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_store::engine::MemoryEngine;
    use longshore_types::Tags;
    use longshore_types::ecr::{Image, LifecyclePolicy, Repository};

    fn store(policy: &str) -> (Store, Scope) {
        let store = Store::with_engine(MemoryEngine::default(), longshore_store::tables::schema()).expect("empty");
        let scope = Scope::new("123456789012", "us-east-1");
        let row = Repository {
            name: "web".to_owned(),
            created_at: Timestamp(0),
            immutable_tags: false,
            mutability_exclusions: vec![],
            scan_on_push: false,
            lifecycle: Some(LifecyclePolicy { text: policy.to_owned(), last_evaluated_at: None }),
            lifecycle_preview: None,
            policy: None,
            tags: Tags::default(),
        };
        let key = (scope.clone(), "web".to_owned());
        store
            .write_blocking(move |tx| {
                tx.repositories().put(key, row);
                Ok::<_, ()>(())
            })
            .expect("stored")
            .expect("ok");
        (store, scope)
    }

    fn push(store: &Store, scope: &Scope, digest: &str, at: i64, tags: &[&str], subject: Option<&str>) {
        let row = Image {
            repository: "web".to_owned(),
            digest: digest.to_owned(),
            manifest_media_type: String::new(),
            artifact_media_type: None,
            size_bytes: 0,
            pushed_at: Timestamp(at),
            image_tags: tags.iter().map(|tag| tag.to_string()).collect(),
            children: vec![],
            subject: subject.map(str::to_owned),
            pulled_at: None,
        };
        let key = (scope.clone(), "web".to_owned(), digest.to_owned());
        store
            .write_blocking(move |tx| {
                tx.images().put(key, row);
                Ok::<_, ()>(())
            })
            .expect("stored")
            .expect("ok");
    }

    fn left(store: &Store) -> Vec<String> {
        store.read(|state| state.images().all().map(|row| row.digest.clone()).collect())
    }

    #[test]
    fn expired_images_go_with_what_is_attached_to_them_and_new_untagged_ones_stay() {
        let any = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}"#;
        let (store, scope) = store(any);
        let minute = 60_000;
        // Not a test of tokio's: the fixture's writes block.
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("no more than memory");
        let run = |at: i64| runtime.block_on(pass(&store, Timestamp(at * minute)));
        push(&store, &scope, "a", 0, &["v1"], None);
        push(&store, &scope, "a-signature", 0, &[], Some("a"));
        push(&store, &scope, "b", 50 * minute, &[], None);
        push(&store, &scope, "c", 51 * minute, &["v2"], None);
        run(55);
        assert_eq!(left(&store), ["b", "c"]);
        let evaluated = store
            .read(|state| state.repositories().all().next().and_then(|row| row.lifecycle.clone()?.last_evaluated_at));
        assert_eq!(evaluated, Some(Timestamp(55 * minute)));
        let revision = store.snapshot().revision();
        run(56);
        assert_eq!(store.snapshot().revision(), revision, "nothing to do writes nothing");
        run(61);
        assert_eq!(left(&store), ["c"]);
    }
}
