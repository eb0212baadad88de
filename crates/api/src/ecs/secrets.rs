//! `secrets` and `repositoryCredentials` of container definitions: what they may be, and what they refer to. Values are
//! read when a task starts: see [`super::resolve_secrets`].
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specifying-sensitive-data.html>

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs as wire;
use longshore_types::Scope;
use longshore_types::arn::Arn;
use longshore_types::ecs::{ContainerDefinition, SecretReference};

/// Where a value comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A parameter, in the region of its ARN or else the task's.
    Parameter {
        scope: Scope,
        name: &'a str,
    },
    Secret(SecretSource<'a>),
}

/// `…:secret:<name>:<json key>:<version stage>:<version id>`; the last three may be empty, or all be left out.
#[derive(Debug, PartialEq, Eq)]
pub struct SecretSource<'a> {
    pub scope: Scope,
    /// Without what follows the name.
    pub arn: &'a str,
    pub json_key: Option<&'a str>,
    pub stage: Option<&'a str>,
    pub version: Option<&'a str>,
}

const BAD_ARN: &str =
    "an invalid ARN format for the AWS Secrets Manager secret was specified. Specify a valid ARN and try again.";

/// What `valueFrom` refers to, or why it refers to nothing.
pub fn source<'a>(value_from: &'a str, here: &Scope) -> Result<Source<'a>, String> {
    let Some(arn) = Arn::parse(value_from) else {
        return Ok(Source::Parameter { scope: here.clone(), name: value_from });
    };
    let scope = Scope::new(arn.account, arn.region);
    match arn.service {
        // By its own name, so that errors name it as Parameter Store does.
        "ssm" => match arn.resource.strip_prefix("parameter") {
            Some(name) if name.starts_with('/') => Ok(Source::Parameter { scope, name: value_from }),
            _ => Err(format!("invalid ssm parameters: {value_from}")),
        },
        "secretsmanager" => {
            secret(value_from, arn.resource, scope).map(Source::Secret).ok_or_else(|| BAD_ARN.to_owned())
        }
        other => Err(format!("the service {other} has no secrets: {value_from}")),
    }
}

fn secret<'a>(text: &'a str, resource: &'a str, scope: Scope) -> Option<SecretSource<'a>> {
    let rest = resource.strip_prefix("secret:")?;
    let parts: Vec<&str> = rest.split(':').collect();
    let given = |part: &&'a str| Some(*part).filter(|part| !part.is_empty());
    let [name, ref more @ ..] = parts[..] else { return None };
    if name.is_empty() {
        return None;
    }
    let [json_key, stage, version] = match more {
        [] => [None; 3],
        [key, stage, version] => [given(key), given(stage), given(version)],
        _ => return None,
    };
    let arn = &text[..text.len() - (rest.len() - name.len())];
    Some(SecretSource { scope, arn, json_key, stage, version })
}

/// The references of a container definition.
pub fn references(given: Option<Vec<wire::Secret>>, container: &str) -> Result<Vec<SecretReference>, AwsError> {
    let mut references: Vec<SecretReference> = Vec::new();
    for secret in given.unwrap_or_default() {
        let name = secret.name.unwrap_or_default();
        let value_from = secret.value_from.unwrap_or_default();
        if name.is_empty() || name.contains('=') {
            return Err(error::client("Secret names must not be empty or contain '='."));
        }
        if value_from.is_empty() {
            return Err(error::client(format!(
                "The secret '{name}' of container '{container}' must have a valueFrom."
            )));
        }
        references.push(SecretReference { name, value_from });
    }
    Ok(references)
}

/// A secret's name or ARN.
pub fn repository_credentials(
    given: Option<wire::RepositoryCredentials>,
    container: &str,
) -> Result<Option<String>, AwsError> {
    let Some(given) = given else { return Ok(None) };
    let id = given.credentials_parameter.unwrap_or_default();
    let is_name = (1..=255).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b));
    let is_arn =
        Arn::parse(&id).is_some_and(|arn| arn.service == "secretsmanager" && arn.resource.starts_with("secret:"));
    if is_name || is_arn {
        return Ok(Some(id));
    }
    Err(error::client(format!(
        "The repository credentials parameter specified for container '{container}' is invalid. Parameter names can include up to 255 (uppercase and lowercase), numbers, hyphens, and underscores are allowed. Spaces are not allowed."
    )))
}

/// What holds for all containers of a definition together.
pub fn check(containers: &[ContainerDefinition], execution_role: Option<&str>) -> Result<(), AwsError> {
    for container in containers {
        let mut names: Vec<&str> = container.environment.iter().map(|(name, _)| name.as_str()).collect();
        for secret in &container.secrets {
            if names.contains(&secret.name.as_str()) {
                return Err(error::client(format!(
                    "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '{}'.",
                    secret.name
                )));
            }
            names.push(&secret.name);
        }
    }
    match execution_role {
        None if containers.iter().any(|c| !c.environment_files.is_empty()) => Err(needed("environmentFiles")),
        None if containers.iter().any(|c| !c.secrets.is_empty()) => Err(needed("container secrets")),
        None if containers.iter().any(|c| c.repository_credentials.is_some()) => Err(needed("repository credentials")),
        _ => Ok(()),
    }
}

/// What only an execution role can read was asked for, and there is none.
pub fn needed(what: &str) -> AwsError {
    error::client(format!("When you are specifying {what}, you must also specify a value for 'executionRoleArn'."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf";

    fn here() -> Scope {
        Scope::new("123456789012", "us-east-1")
    }

    #[test]
    fn a_name_is_a_parameter_and_an_arn_says_what_it_is() {
        assert_eq!(source("/a", &here()), Ok(Source::Parameter { scope: here(), name: "/a" }));
        let text = "arn:aws:ssm:eu-west-1:123456789012:parameter/a/b";
        let scope = Scope::new("123456789012", "eu-west-1");
        assert_eq!(source(text, &here()), Ok(Source::Parameter { scope, name: text }));
        assert!(source("arn:aws:s3:::bucket", &here()).is_err());
        assert!(source("arn:aws:ssm:us-east-1:123456789012:document/a", &here()).is_err());
    }

    #[test]
    fn a_secrets_arn_may_go_on_with_key_stage_and_version() {
        let parsed = |text: &str| match source(text, &here()) {
            Ok(Source::Secret(s)) => {
                Some((s.arn.to_owned(), [s.json_key, s.stage, s.version].map(|p| p.map(str::to_owned))))
            }
            _ => None,
        };
        let text = |s: &str| Some(s.to_owned());
        for (more, expected) in [
            ("", [None, None, None]),
            (":password::", [text("password"), None, None]),
            ("::AWSPREVIOUS:", [None, text("AWSPREVIOUS"), None]),
            (":k:s:v", [text("k"), text("s"), text("v")]),
        ] {
            assert_eq!(parsed(&format!("{SECRET}{more}")), Some((SECRET.to_owned(), expected)), "{more}");
        }
        for bad in [":password", ":password:", ":a:b:c:d"] {
            assert_eq!(source(&format!("{SECRET}{bad}"), &here()), Err(BAD_ARN.to_owned()), "{bad}");
        }
    }
}
