//! BatchGetSecretValue: current values by a list of ids or by filters; each failure, also of a secret that the caller may not
//! read, is told beside the others' values.

use super::get_secret_value::read;
use super::{access, error, list_secrets};
use crate::routes::Backend;
use crate::{Cx, identity, page};
use longshore_aws_model::secretsmanager::*;
use longshore_aws_model::{AwsError, Operation};
use longshore_store::Snapshot;

const PAGE_MAX: i32 = 20;

pub async fn batch_get_secret_value(
    backend: Backend,
    cx: Cx,
    input: BatchGetSecretValueInput,
) -> Result<BatchGetSecretValueOutput, AwsError> {
    let output = backend.store.read(|state| batch(state, &cx, input))?;
    let entries = output.secret_values.iter().flatten();
    let read = entries.filter_map(|entry| Some((entry.name.clone()?, entry.version_id.clone()?))).collect();
    access::note(&backend.store, cx.scope, cx.now, read).await;
    Ok(output)
}

fn batch(state: &Snapshot, cx: &Cx, input: BatchGetSecretValueInput) -> Result<BatchGetSecretValueOutput, AwsError> {
    let ids = input.secret_id_list.unwrap_or_default();
    let filters = input.filters.unwrap_or_default();
    if ids.is_empty() == filters.is_empty() {
        return Err(error::invalid_parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both."));
    }
    if !ids.is_empty() && input.max_results.is_some() {
        return Err(error::invalid_parameter(
            "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.",
        ));
    }
    let (ids, next_token) = if filters.is_empty() {
        // A list of ids is one page.
        if input.next_token.is_some() {
            return Err(error::bad_token());
        }
        (ids, None)
    } else {
        let secrets = list_secrets::chosen(state, cx, &filters, false)?;
        let limit = input.max_results.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX) as usize;
        let names = secrets.iter().map(|secret| secret.name.clone());
        let page =
            page::page(names, String::clone, input.next_token.as_deref(), limit).map_err(|_| error::bad_token())?;
        (page.items, page.next_token)
    };
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        let input = GetSecretValueInput { secret_id: id.clone(), ..Default::default() };
        match identity::check(state, cx, GetSecretValue::SCHEMA, &input).and_then(|()| read(state, cx, &input)) {
            Ok(found) => values.push(SecretValueEntry {
                arn: found.arn,
                name: found.name,
                version_id: found.version_id,
                secret_binary: found.secret_binary,
                secret_string: found.secret_string,
                version_stages: found.version_stages,
                created_date: found.created_date,
            }),
            Err(error) => errors.push(APIErrorType {
                secret_id: Some(id),
                error_code: Some(error.code.to_string()),
                message: Some(error.message),
            }),
        }
    }
    Ok(BatchGetSecretValueOutput { secret_values: Some(values), next_token, errors: Some(errors) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::testing::{create, refusal};
    use crate::testing::Fixture;

    #[test]
    fn a_secret_that_the_caller_may_not_read_is_a_failure_beside_the_others() {
        let fixture = Fixture::new();
        for name in ["app/a", "app/b", "app/c"] {
            fixture.try_write(|tx, cx| create_secret(tx, cx, create(name, name))).expect("made");
        }
        fixture.write(|tx, cx| {
            let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#;
            let key = (cx.scope.clone(), "app/c".to_owned());
            tx.secrets().update(&key, |row| row.resource_policy = Some(policy.to_owned()));
        });
        let cx = fixture.user(
            r#"{"Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"},
                {"Effect":"Deny","Action":"secretsmanager:GetSecretValue","Resource":"*:secret:app/b-*"}]}"#,
        );
        let filter = Filter { key: Some("name".to_owned()), values: Some(vec!["app/".to_owned()]) };
        let by_filter = BatchGetSecretValueInput { filters: Some(vec![filter]), ..Default::default() };
        let ids = ["app/a", "app/b", "app/c"].map(str::to_owned).to_vec();
        let by_id = BatchGetSecretValueInput { secret_id_list: Some(ids), ..Default::default() };
        for input in [by_filter, by_id] {
            let output = fixture.read(|state, _| {
                identity::check(state, &cx, BatchGetSecretValue::SCHEMA, &input).expect("the call is allowed");
                batch(state, &cx, input).expect("a list")
            });
            let names = |list: Option<Vec<SecretValueEntry>>| list.into_iter().flatten().filter_map(|entry| entry.name);
            assert_eq!(names(output.secret_values).collect::<Vec<_>>(), ["app/a"]);
            let errors = output.errors.expect("a list");
            let ids: Vec<_> = errors.iter().filter_map(|error| error.secret_id.as_deref()).collect();
            assert_eq!(ids, ["app/b", "app/c"]);
            assert!(errors.iter().all(|error| error.error_code.as_deref() == Some("AccessDeniedException")));
        }
    }

    #[test]
    fn values_and_failures_come_together() {
        let fixture = Fixture::new();
        for name in ["a", "b"] {
            fixture.try_write(|tx, cx| create_secret(tx, cx, create(name, name))).expect("made");
        }
        let run = |input| fixture.read(|state, cx| batch(state, cx, input));
        let ids = Some(["a", "z"].map(str::to_owned).to_vec());
        let output =
            run(BatchGetSecretValueInput { secret_id_list: ids.clone(), ..Default::default() }).expect("a list");
        assert_eq!(output.secret_values.map(|list| list.len()), Some(1));
        let errors = output.errors.unwrap_or_default();
        assert_eq!(errors[0].error_code.as_deref(), Some("ResourceNotFoundException"));
        let filter = Filter { key: Some("name".to_owned()), values: Some(vec!["a".to_owned(), "b".to_owned()]) };
        let filters = Some(vec![filter]);
        let by_filter =
            BatchGetSecretValueInput { filters: filters.clone(), max_results: Some(1), ..Default::default() };
        let output = run(by_filter.clone()).expect("a list");
        let next_token = output.next_token;
        let by_id = BatchGetSecretValueInput {
            secret_id_list: ids.clone(),
            next_token: next_token.clone(),
            ..Default::default()
        };
        assert_eq!(refusal(run(by_id)), "InvalidNextTokenException: The NextToken value is invalid.");
        fixture.write(|tx, cx| tx.secrets().remove(&(cx.scope.clone(), "a".to_owned())));
        let output = run(BatchGetSecretValueInput { next_token, ..by_filter }).expect("a list");
        let names: Vec<_> = output.secret_values.into_iter().flatten().filter_map(|entry| entry.name).collect();
        assert_eq!((names, output.next_token), (vec!["b".to_owned()], None));
        for input in [
            BatchGetSecretValueInput::default(),
            BatchGetSecretValueInput { secret_id_list: ids, filters, ..Default::default() },
        ] {
            assert!(refusal(run(input)).contains("must be provided, but not both"));
        }
    }
}
