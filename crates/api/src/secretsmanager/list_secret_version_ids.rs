//! ListSecretVersionIds: labelled versions, and deprecated ones on request.

use super::secrets::{self, time};
use super::{error, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::*;
use longshore_store::Snapshot;

pub fn list_secret_version_ids(
    state: &Snapshot,
    cx: &Cx,
    input: ListSecretVersionIdsInput,
) -> Result<ListSecretVersionIdsOutput, AwsError> {
    let secret = names::find(state, &cx.scope, &input.secret_id, cx.now).ok_or_else(error::no_secret)?;
    let all = input.include_deprecated == Some(true);
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 100) as usize);
    let versions = secrets::versions(state, cx, &secret.name).filter(|v| all || !v.stages.is_empty());
    let page = page::page(versions, |version| version.id.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    let key = secret.kms_key_id.clone().unwrap_or_else(|| "DefaultEncryptionKey".to_owned());
    let entry = |version: &std::sync::Arc<longshore_types::secretsmanager::SecretVersion>| SecretVersionsListEntry {
        version_id: Some(version.id.clone()),
        version_stages: Some(version.stages.iter().cloned().collect()).filter(|list: &Vec<_>| !list.is_empty()),
        last_accessed_date: version.accessed_at.map(time),
        created_date: Some(time(version.created_at)),
        kms_key_ids: Some(vec![key.clone()]),
    };
    Ok(ListSecretVersionIdsOutput {
        versions: Some(page.items.iter().map(entry).collect()),
        next_token: page.next_token,
        arn: Some(names::arn(&cx.scope, &secret)),
        name: Some(secret.name.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::put_secret_value::put_secret_value;
    use crate::secretsmanager::testing::{create, put};
    use crate::testing::Fixture;

    #[test]
    fn deprecated_versions_are_listed_on_request() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "1"))).expect("made");
        for token in ['b', 'c'] {
            fixture.try_write(move |tx, cx| put_secret_value(tx, cx, put("db", "v", token))).expect("stored");
        }
        let count = |include_deprecated| {
            let input =
                ListSecretVersionIdsInput { secret_id: "db".to_owned(), include_deprecated, ..Default::default() };
            let output = fixture.read(|state, cx| list_secret_version_ids(state, cx, input)).expect("a list");
            output.versions.map_or(0, |list| list.len())
        };
        assert_eq!((count(None), count(Some(true))), (2, 3));
    }
}
