//! ListSecrets: newest first unless asked otherwise.

use super::{describe_secret, error, filter, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{Filter, ListSecretsInput, ListSecretsOutput};
use longshore_store::Snapshot;
use longshore_types::Timestamp;
use longshore_types::secretsmanager::Secret;
use std::sync::Arc;

pub fn list_secrets(state: &Snapshot, cx: &Cx, input: ListSecretsInput) -> Result<ListSecretsOutput, AwsError> {
    let filters = input.filters.unwrap_or_default();
    let deleted = input.include_planned_deletion == Some(true);
    let secrets = chosen(state, cx, &filters, deleted)?;
    let by = input.sort_by.as_deref().unwrap_or("created-date");
    let descending = input.sort_order.as_deref() != Some("asc");
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 100) as usize);
    let page = page::sorted(secrets, |secret| key(by, secret), descending, input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    Ok(ListSecretsOutput {
        secret_list: Some(page.items.iter().map(|secret| describe_secret::entry(state, cx, secret)).collect()),
        next_token: page.next_token,
    })
}

/// Secrets that meet the filters, by name.
pub fn chosen(state: &Snapshot, cx: &Cx, filters: &[Filter], deleted: bool) -> Result<Vec<Arc<Secret>>, AwsError> {
    filter::check(filters)?;
    let rows = state.secrets().prefix(&cx.scope);
    Ok(rows
        .filter(|secret| !names::is_gone(secret, cx.now) && (deleted || secret.deleted_from.is_none()))
        .filter(|secret| filter::allow(filters, secret, &cx.scope.region))
        .collect())
}

/// What a secret is ordered by.
fn key(by: &str, secret: &Secret) -> String {
    let at = |time: Option<Timestamp>| page::timed_key(time.map(|time| time.0), &secret.name);
    match by {
        "last-accessed-date" => at(secret.accessed_at),
        "last-changed-date" => at(Some(secret.changed_at)),
        "name" => secret.name.clone(),
        _ => at(Some(secret.created_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::testing::{create, refusal};
    use crate::testing::Fixture;
    use longshore_aws_model::secretsmanager::{CreateSecretInput, Tag};
    use std::time::Duration;

    fn fixture() -> Fixture {
        let mut fixture = Fixture::new();
        let tag = Tag { key: Some("team".to_owned()), value: Some("blue".to_owned()) };
        for input in [
            CreateSecretInput { description: Some("The first".to_owned()), ..create("prod/a", "1") },
            CreateSecretInput { tags: Some(vec![tag]), ..create("prod/b", "2") },
            create("test/a", "3"),
        ] {
            fixture.now = fixture.now + Duration::from_secs(1);
            fixture.try_write(|tx, cx| create_secret(tx, cx, input)).expect("made");
        }
        fixture
    }

    fn names(fixture: &Fixture, input: ListSecretsInput) -> String {
        let output = fixture.read(|state, cx| list_secrets(state, cx, input)).expect("a list");
        output.secret_list.into_iter().flatten().filter_map(|s| s.name).collect::<Vec<_>>().join(" ")
    }

    fn by(key: &str, values: &[&str]) -> ListSecretsInput {
        let values = Some(values.iter().map(|value| (*value).to_owned()).collect());
        let filter = Filter { key: Some(key.to_owned()), values };
        ListSecretsInput { filters: Some(vec![filter]), ..Default::default() }
    }

    #[test]
    fn filters_look_at_beginnings_and_may_be_negated() {
        let fixture = fixture();
        for (input, expected) in [
            (by("name", &["prod"]), "prod/b prod/a"),
            (by("name", &["Prod"]), ""),
            (by("name", &["!prod"]), "test/a"),
            (by("name", &["prod/a", "test"]), "test/a prod/a"),
            (by("description", &["the FIRST"]), "prod/a"),
            (by("tag-key", &["te"]), "prod/b"),
            (by("tag-value", &["blue"]), "prod/b"),
            (by("all", &["BLUE prod"]), "prod/b"),
            (by("primary-region", &["us-"]), "test/a prod/b prod/a"),
            (by("owning-service", &["rds"]), ""),
        ] {
            assert_eq!(names(&fixture, input.clone()), expected, "{input:?}");
        }
    }

    #[test]
    fn pages_go_on_when_the_last_secret_given_out_is_deleted() {
        for by in ["created-date", "last-accessed-date", "last-changed-date", "name"] {
            let fixture = fixture();
            let input =
                |next_token| ListSecretsInput { sort_by: Some(by.to_owned()), next_token, ..Default::default() };
            let first = ListSecretsInput { max_results: Some(2), ..input(None) };
            let output = fixture.read(|state, cx| list_secrets(state, cx, first)).expect("a list");
            fixture.write(|tx, cx| tx.secrets().remove(&(cx.scope.clone(), "prod/b".to_owned())));
            assert_eq!(names(&fixture, input(output.next_token)), "prod/a", "{by}");
        }
    }

    #[test]
    fn order_and_pages_are_as_asked() {
        let fixture = fixture();
        let sorted = |by: &str, order: &str| ListSecretsInput {
            sort_by: Some(by.to_owned()),
            sort_order: Some(order.to_owned()),
            ..Default::default()
        };
        assert_eq!(names(&fixture, ListSecretsInput::default()), "test/a prod/b prod/a");
        assert_eq!(names(&fixture, sorted("name", "asc")), "prod/a prod/b test/a");
        let first = ListSecretsInput { max_results: Some(2), ..Default::default() };
        let output = fixture.read(|state, cx| list_secrets(state, cx, first)).expect("a list");
        let next = ListSecretsInput { next_token: output.next_token, ..Default::default() };
        assert_eq!(names(&fixture, next), "prod/a");
        let bad = ListSecretsInput { next_token: Some("%".to_owned()), ..Default::default() };
        let refused = refusal(fixture.read(|state, cx| list_secrets(state, cx, bad)));
        assert_eq!(refused, "InvalidNextTokenException: The NextToken value is invalid.");
    }
}
