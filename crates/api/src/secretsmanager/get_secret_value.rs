//! GetSecretValue: by version id or staging label, AWSCURRENT by default.

use super::{access, names, secrets};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{GetSecretValueInput, GetSecretValueOutput};
use longshore_store::Snapshot;

pub async fn get_secret_value(
    backend: Backend,
    cx: Cx,
    input: GetSecretValueInput,
) -> Result<GetSecretValueOutput, AwsError> {
    let output = backend.store.read(|state| read(state, &cx, &input))?;
    if let (Some(name), Some(id)) = (&output.name, &output.version_id) {
        access::note(&backend.store, cx.scope, cx.now, vec![(name.clone(), id.clone())]).await;
    }
    Ok(output)
}

/// The answer, without a note of the access.
pub fn read(state: &Snapshot, cx: &Cx, input: &GetSecretValueInput) -> Result<GetSecretValueOutput, AwsError> {
    let secret = names::usable(state, &cx.scope, &input.secret_id, cx.now)?;
    let version = secrets::version(state, cx, &secret, input.version_id.as_deref(), input.version_stage.as_deref())?;
    let (secret_string, secret_binary) = secrets::open(cx, &secret, &version)?.sent();
    Ok(GetSecretValueOutput {
        arn: Some(names::arn(&cx.scope, &secret)),
        name: Some(secret.name.clone()),
        version_id: Some(version.id.clone()),
        secret_binary,
        secret_string,
        version_stages: Some(version.stages.iter().cloned().collect()).filter(|list: &Vec<_>| !list.is_empty()),
        created_date: Some(secrets::time(version.created_at)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::Bench;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::testing::{at, create, get, refusal};
    use longshore_aws_model::secretsmanager::CreateSecretInput;

    #[test]
    fn the_day_of_the_last_access_is_kept() {
        let bench = Bench::new();
        bench.try_write(|tx, cx| create_secret(tx, cx, create("db", "pw"))).expect("made");
        let input = || GetSecretValueInput { secret_id: "db".to_owned(), ..Default::default() };
        bench.call(get_secret_value, input()).expect("read");
        let (before, revision) = bench.read(|state, cx| {
            let secret = names::find(state, &cx.scope, "db", cx.now).expect("there");
            assert_eq!(secret.accessed_at, Some(secrets::day(cx.now)));
            (secret, state.revision())
        });
        bench.call(get_secret_value, input()).expect("read");
        let after =
            bench.read(|state, cx| (names::find(state, &cx.scope, "db", cx.now).expect("there"), state.revision()));
        assert_eq!(after, (before, revision));
    }

    #[test]
    fn what_is_not_there_is_said_exactly() {
        let bench = Bench::new();
        let empty = CreateSecretInput { secret_string: None, ..create("empty", "") };
        bench.try_write(|tx, cx| create_secret(tx, cx, empty)).expect("made");
        bench.try_write(|tx, cx| create_secret(tx, cx, create("db", "pw"))).expect("made");
        assert_eq!(
            refusal(get(&bench, "no")),
            "ResourceNotFoundException: Secrets Manager can't find the specified secret."
        );
        assert_eq!(
            refusal(get(&bench, "empty")),
            "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
        );
        assert_eq!(
            refusal(at(&bench, "db", Some("AWSPENDING"))),
            "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSPENDING"
        );
        let id = "0".repeat(32);
        let input =
            GetSecretValueInput { secret_id: "db".to_owned(), version_id: Some(id.clone()), ..Default::default() };
        assert_eq!(
            refusal(bench.read(|state, cx| read(state, cx, &input))),
            format!(
                "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: {id}"
            )
        );
    }

    #[test]
    fn bytes_come_back_as_bytes() {
        let bench = Bench::new();
        let input = CreateSecretInput { secret_binary: Some(vec![0, 255]), secret_string: None, ..create("b", "") };
        bench.try_write(|tx, cx| create_secret(tx, cx, input)).expect("made");
        let output = get(&bench, "b").expect("there");
        assert_eq!((output.secret_binary, output.secret_string), (Some(vec![0, 255]), None));
    }
}
