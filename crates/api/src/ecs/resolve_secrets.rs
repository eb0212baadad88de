//! Reads the values of a task's secrets when it starts, as its execution role. Nothing of it is stored.

use super::environment_files::{self, ReadObject};
use super::secrets::{SecretSource, Source, source};
use crate::Cx;
use crate::{identity, secretsmanager, ssm};
use longshore_aws_model::secretsmanager::{GetSecretValue, GetSecretValueInput, GetSecretValueOutput};
use longshore_aws_model::ssm::{GetParameters, GetParametersInput};
use longshore_aws_model::{AwsError, Operation as _};
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::ecs::ContainerDefinition;
use longshore_types::launch::{ContainerSecrets, TaskSecrets};
use serde_json::Value;
use std::collections::BTreeMap;

const FAILED: &str =
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed";
const RETRIED: &str = "service call has been retried 1 time(s)";
/// GetParameters takes no more names.
const NAMES_MAX: usize = 10;

/// A context in which the execution role acts in a scope.
pub type Acting<'a> = &'a dyn Fn(Scope) -> Cx;

/// Values of all secrets of a task's containers and what is in their environment files, or the reason that the task is stopped for.
pub fn resolve(
    state: &Snapshot,
    acting: Acting<'_>,
    scope: &Scope,
    read_object: ReadObject<'_>,
    definitions: &[ContainerDefinition],
) -> Result<TaskSecrets, String> {
    let run = |error: String| format!("{FAILED}: {error}");
    let parameters = parameters(state, acting, scope, definitions).map_err(run)?;
    let mut fetched = Fetched { state, acting, values: BTreeMap::new() };
    let mut containers = Vec::new();
    for container in definitions.iter().filter(|container| container.needs_secrets()) {
        let registry_auth = container
            .repository_credentials
            .as_deref()
            .map(|id| fetched.registry_auth(scope, id))
            .transpose()
            .map_err(|error| run(format!("unable to get registry auth from asm: {RETRIED}: {error}")))?;
        let mut environment = environment_files::variables(state, acting, scope, read_object, container)?;
        for secret in &container.secrets {
            let value = match source(&secret.value_from, scope) {
                Ok(Source::Parameter { name, .. }) => parameters.get(name).cloned().unwrap_or_default(),
                Ok(Source::Secret(source)) => fetched
                    .secret(&source)
                    .map_err(|error| run(format!("unable to retrieve secret from asm: {RETRIED}: {error}")))?,
                Err(error) => return Err(run(error)),
            };
            environment.push((secret.name.clone(), value));
        }
        containers.push(ContainerSecrets { name: container.name.clone(), environment, registry_auth });
    }
    Ok(TaskSecrets { containers })
}

/// All parameters, each asked for once: `valueFrom` to value.
fn parameters<'a>(
    state: &Snapshot,
    acting: Acting<'_>,
    here: &Scope,
    containers: &'a [ContainerDefinition],
) -> Result<BTreeMap<&'a str, String>, String> {
    let mut wanted: BTreeMap<Scope, Vec<&'a str>> = BTreeMap::new();
    for secret in containers.iter().flat_map(|container| &container.secrets) {
        if let Source::Parameter { scope, name } = source(&secret.value_from, here)? {
            let names = wanted.entry(scope).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let mut values = BTreeMap::new();
    let mut invalid: Vec<&str> = Vec::new();
    for (scope, names) in wanted {
        let cx = acting(scope);
        for names in names.chunks(NAMES_MAX) {
            for name in names {
                match parameter(state, &cx, name) {
                    Ok(Some(value)) => drop(values.insert(*name, value)),
                    Ok(None) => invalid.push(name),
                    Err(error) => {
                        let error = told("SSM", "GetParameters", &cx, &error);
                        return Err(format!("unable to retrieve secrets from ssm: {RETRIED}: {error}"));
                    }
                }
            }
        }
    }
    if invalid.is_empty() {
        return Ok(values);
    }
    let names: Vec<&str> =
        invalid.iter().map(|name| name.split_once(":parameter").map_or(*name, |(_, path)| path)).collect();
    Err(format!("unable to retrieve secrets from ssm: {RETRIED}: invalid ssm parameters: {}", names.join(",")))
}

fn parameter(state: &Snapshot, cx: &Cx, name: &str) -> Result<Option<String>, AwsError> {
    let input = GetParametersInput { names: vec![name.to_owned()], with_decryption: Some(true) };
    identity::check(state, cx, GetParameters::SCHEMA, &input)?;
    let output = ssm::get_parameters(state, cx, input)?;
    Ok(output.parameters.into_iter().flatten().next().and_then(|parameter| parameter.value))
}

/// Secrets that were read for this task: one that several containers name is read once, and is the same for all.
struct Fetched<'a> {
    state: &'a Snapshot,
    acting: Acting<'a>,
    values: BTreeMap<String, GetSecretValueOutput>,
}

impl Fetched<'_> {
    fn read(&mut self, scope: &Scope, input: GetSecretValueInput) -> Result<&GetSecretValueOutput, String> {
        let key = format!("{input:?}");
        if !self.values.contains_key(&key) {
            let cx = (self.acting)(scope.clone());
            let output = identity::check(self.state, &cx, GetSecretValue::SCHEMA, &input)
                .and_then(|()| secretsmanager::get_secret_value(self.state, &cx, &input))
                .map_err(|error| told("Secrets Manager", "GetSecretValue", &cx, &error))?;
            self.values.insert(key.clone(), output);
        }
        Ok(&self.values[&key])
    }

    fn secret(&mut self, source: &SecretSource<'_>) -> Result<String, String> {
        let input = GetSecretValueInput {
            secret_id: source.arn.to_owned(),
            version_id: source.version.map(str::to_owned),
            version_stage: source.stage.map(str::to_owned),
        };
        let fetched = self
            .read(&source.scope, input)
            .map_err(|error| format!("failed to fetch secret {} from secrets manager: {error}", source.arn))?;
        let text = fetched.secret_string.as_deref().ok_or_else(|| {
            format!("secret {} has no SecretString: binary secrets cannot be environment variables", source.arn)
        })?;
        match source.json_key {
            None => Ok(text.to_owned()),
            Some(key) => json_value(text, key),
        }
    }

    /// User and password of a registry.
    fn registry_auth(&mut self, here: &Scope, id: &str) -> Result<(String, String), String> {
        let scope = longshore_types::arn::Arn::parse(id).map(|arn| Scope::new(arn.account, arn.region));
        let input = GetSecretValueInput { secret_id: id.to_owned(), ..Default::default() };
        let fetched = self
            .read(&scope.unwrap_or_else(|| here.clone()), input)
            .map_err(|error| format!("asm fetching secret from the service for {id}: {error}"))?;
        let text = fetched.secret_string.as_deref().ok_or("asm fetching authorization data: empty SecretString")?;
        let fields: Value = serde_json::from_str(text)
            .ok()
            .filter(Value::is_object)
            .ok_or("asm fetching authorization data: unable to unmarshal SecretString as JSON")?;
        let field = |name: &str| {
            let text = fields[name].as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| format!("asm fetching {name}: AuthorizationData is malformed, empty field"))
        };
        Ok((field("username")?, field("password")?))
    }
}

/// The value of a key of a JSON object. What is no text is given as its JSON.
fn json_value(text: &str, key: &str) -> Result<String, String> {
    let fields: Value = serde_json::from_str(text).map_err(|error| match text.trim_start().chars().next() {
        None => "unexpected end of JSON input".to_owned(),
        Some(first) if !first.is_ascii_digit() && !"{[\"-tfn".contains(first) => {
            let quoted = if first == '\'' { "\\'".to_owned() } else { first.to_string() };
            format!("invalid character '{quoted}' looking for beginning of value")
        }
        // Its own words, which hold nothing of the secret.
        Some(_) => error.to_string(),
    })?;
    let Value::Object(fields) = fields else {
        return Err("the secret's value is not a JSON object".to_owned());
    };
    match fields.get(key) {
        None => Err(format!("retrieved secret from Secrets Manager did not contain json key {key}")),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
    }
}

/// An API error as the node's SDK tells it.
fn told(service: &str, operation: &str, cx: &Cx, error: &AwsError) -> String {
    // Errors that the service's model has go by their own name.
    let generic = if error.code == "AccessDeniedException" { "api error " } else { "" };
    format!(
        "operation error {service}: {operation}, https response error StatusCode: 400, RequestID: {}, {generic}{}: {}",
        cx.request_id, error.code, error.message
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;
    use longshore_aws_model::secretsmanager::{CreateSecretInput, PutSecretValueInput};
    use longshore_aws_model::ssm::PutParameterInput;
    use longshore_types::ecs::SecretReference;

    const SECRET: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret";

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        for (name, kind, value) in [("/db/host", "String", "db.local"), ("/db/password", "SecureString", "pw")] {
            let input = PutParameterInput {
                name: name.to_owned(),
                r#type: Some(kind.to_owned()),
                value: value.to_owned(),
                ..Default::default()
            };
            fixture.try_write(|tx, cx| crate::ssm::put_parameter(tx, cx, input)).expect("stored");
        }
        for (name, value) in [
            ("login", r#"{"username": "ann", "password": "s3cret", "port": 5432, "on": true, "empty": null}"#),
            ("plain", "just text"),
            ("list", "[1]"),
        ] {
            let input = CreateSecretInput {
                name: name.to_owned(),
                secret_string: Some(value.to_owned()),
                ..Default::default()
            };
            fixture.try_write(|tx, cx| crate::secretsmanager::create_secret(tx, cx, input)).expect("stored");
        }
        fixture
    }

    fn container(secrets: &[&str]) -> ContainerDefinition {
        let reference =
            |(n, from): (usize, &&str)| SecretReference { name: format!("S{n}"), value_from: (*from).to_owned() };
        ContainerDefinition {
            name: "app".to_owned(),
            secrets: secrets.iter().enumerate().map(reference).collect(),
            ..Default::default()
        }
    }

    fn run(fixture: &Fixture, containers: &[ContainerDefinition]) -> Result<TaskSecrets, String> {
        let acting = |scope: Scope| {
            let mut cx = fixture.cx();
            cx.scope = scope;
            cx
        };
        let no_objects = |_: &str, _: &str| Err(environment_files::ObjectError::NoSuchBucket);
        fixture.read(|state, cx| resolve(state, &acting, &cx.scope, &no_objects, containers))
    }

    fn values(fixture: &Fixture, secrets: &[&str]) -> Vec<String> {
        let resolved = run(fixture, &[container(secrets)]).expect("all are there");
        resolved.containers[0].environment.iter().map(|(_, value)| value.clone()).collect()
    }

    /// What follows the words that all failures begin with.
    fn failure(fixture: &Fixture, secrets: &[&str]) -> String {
        let reason = run(fixture, &[container(secrets)]).expect_err("it fails");
        reason.strip_prefix(&format!("{FAILED}: ")).expect("it begins as all do").to_owned()
    }

    #[test]
    fn parameters_and_secrets_become_values() {
        let fixture = fixture();
        assert_eq!(
            values(
                &fixture,
                &[
                    "/db/host",
                    "arn:aws:ssm:us-east-1:123456789012:parameter/db/password",
                    &format!("{SECRET}:plain"),
                    &format!("{SECRET}:login:password::"),
                    &format!("{SECRET}:login:port::"),
                    &format!("{SECRET}:login:on::"),
                ]
            ),
            ["db.local", "pw", "just text", "s3cret", "5432", "true"]
        );
        let none = run(&fixture, &[ContainerDefinition::default()]).expect("nothing is asked");
        assert_eq!(none, TaskSecrets::default());
    }

    #[test]
    fn stages_and_versions_choose() {
        let fixture = fixture();
        let token = "v".repeat(32);
        let input = PutSecretValueInput {
            secret_id: "plain".to_owned(),
            secret_string: Some("new text".to_owned()),
            client_request_token: Some(token.clone()),
            ..Default::default()
        };
        fixture.try_write(|tx, cx| crate::secretsmanager::put_secret_value(tx, cx, input)).expect("stored");
        assert_eq!(
            values(
                &fixture,
                &[
                    &format!("{SECRET}:plain"),
                    &format!("{SECRET}:plain::AWSPREVIOUS:"),
                    &format!("{SECRET}:plain:::{token}")
                ]
            ),
            ["new text", "just text", "new text"]
        );
    }

    #[test]
    fn what_lacks_is_told_as_fargate_tells_it() {
        let fixture = fixture();
        assert_eq!(
            failure(&fixture, &["/db/host", "/no", "arn:aws:ssm:us-east-1:123456789012:parameter/neither"]),
            "unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: /no,/neither"
        );
        assert_eq!(
            failure(&fixture, &[&format!("{SECRET}:login:token::")]),
            "unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret from Secrets Manager did not contain json key token"
        );
        assert_eq!(
            failure(&fixture, &[&format!("{SECRET}:plain:k::")]),
            "unable to retrieve secret from asm: service call has been retried 1 time(s): invalid character 'j' looking for beginning of value"
        );
        assert!(failure(&fixture, &[&format!("{SECRET}:list:k::")]).contains("is not a JSON object"));
        let missing = failure(&fixture, &[&format!("{SECRET}:none-AbCdEf")]);
        let expected = format!(
            "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {SECRET}:none-AbCdEf from secrets manager: operation error Secrets Manager: GetSecretValue, https response error StatusCode: 400, RequestID: "
        );
        assert!(missing.starts_with(&expected), "{missing}");
        assert!(
            missing.ends_with(", ResourceNotFoundException: Secrets Manager can't find the specified secret."),
            "{missing}"
        );
        assert!(failure(&fixture, &[&format!("{SECRET}:login:key")]).starts_with("an invalid ARN format"));
    }

    #[test]
    fn a_registrys_login_is_a_secret_with_two_fields() {
        let fixture = fixture();
        let private = |id: &str| {
            let repository_credentials = Some(id.to_owned());
            [ContainerDefinition { repository_credentials, ..container(&[]) }]
        };
        let resolved = run(&fixture, &private("login")).expect("there");
        assert_eq!(resolved.containers[0].registry_auth, Some(("ann".to_owned(), "s3cret".to_owned())));
        let failure = |id: &str| run(&fixture, &private(id)).expect_err("it fails");
        let begin = format!("{FAILED}: unable to get registry auth from asm: {RETRIED}: ");
        assert!(
            failure("no").starts_with(&format!("{begin}asm fetching secret from the service for no: operation error"))
        );
        assert_eq!(
            failure("plain"),
            format!("{begin}asm fetching authorization data: unable to unmarshal SecretString as JSON")
        );
    }

    #[test]
    fn values_stay_out_of_debug_texts() {
        let resolved = run(&fixture(), &[container(&["/db/password"])]).expect("there");
        assert_eq!(resolved.containers[0].environment[0].1, "pw");
        assert!(!format!("{resolved:?}").contains("pw"));
    }
}
