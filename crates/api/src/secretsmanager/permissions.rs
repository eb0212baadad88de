//! What each operation of Secrets Manager needs (Service Authorization Reference, "AWS Secrets Manager").

use super::names;
use crate::identity::Resources::{Any, Each};
use crate::identity::{Ask, Permission, Resources, on};
use longshore_policy::Values;

macro_rules! secretsmanager {
    ($operation:literal, $resources:expr) => {
        on($operation, concat!("secretsmanager:", $operation), $resources)
    };
}

const SECRET: Resources = Each(secret);

pub const PERMISSIONS: &[Permission] = &[
    // Its handler asks for GetSecretValue of each secret, as for those that filters find.
    secretsmanager!("BatchGetSecretValue", Any),
    secretsmanager!("CancelRotateSecret", SECRET),
    secretsmanager!("CreateSecret", Each(new_secret)),
    on("CreateSecret", "secretsmanager:TagResource", Each(tagged_secret)),
    secretsmanager!("DeleteResourcePolicy", SECRET),
    secretsmanager!("DeleteSecret", SECRET),
    secretsmanager!("DescribeSecret", SECRET),
    secretsmanager!("GetRandomPassword", Any),
    secretsmanager!("GetResourcePolicy", SECRET),
    secretsmanager!("GetSecretValue", SECRET),
    secretsmanager!("ListSecretVersionIds", SECRET),
    secretsmanager!("ListSecrets", Any),
    secretsmanager!("PutResourcePolicy", SECRET),
    secretsmanager!("PutSecretValue", SECRET),
    secretsmanager!("RestoreSecret", SECRET),
    secretsmanager!("RotateSecret", SECRET),
    secretsmanager!("TagResource", SECRET),
    secretsmanager!("UntagResource", SECRET),
    secretsmanager!("UpdateSecret", SECRET),
    secretsmanager!("UpdateSecretVersionStage", SECRET),
    secretsmanager!("ValidateResourcePolicy", SECRET),
];

/// `secretsmanager:SecretId` and its kind: members of the request, each under its own name.
pub fn context<'a>(ask: &Ask<'a>, name: &str) -> Option<Values<'a>> {
    const MEMBERS: [&str; 10] = [
        "BlockPublicPolicy",
        "Description",
        "ForceDeleteWithoutRecovery",
        "ForceOverwriteReplicaSecret",
        "KmsKeyId",
        "Name",
        "RecoveryWindowInDays",
        "SecretId",
        "VersionId",
        "VersionStage",
    ];
    let member = MEMBERS.into_iter().find(|member| member.eq_ignore_ascii_case(name))?;
    ask.get(member).map(Values::one)
}

/// The whole ARN of a secret that is there; the name as it is given for one that is not.
fn arn(ask: &Ask<'_>, id: &str) -> String {
    match names::find(ask.state, &ask.cx.scope, id, ask.cx.now) {
        Some(secret) => names::arn(&ask.cx.scope, &secret),
        None if id.starts_with("arn:") => id.to_owned(),
        None => ask.arn("secretsmanager", &format!("secret:{id}")),
    }
}

fn secret(ask: &Ask<'_>) -> Vec<String> {
    match ask.get("SecretId") {
        Some(id) => vec![arn(ask, id)],
        None => vec!["*".to_owned()],
    }
}

fn new_secret(ask: &Ask<'_>) -> Vec<String> {
    vec![ask.arn("secretsmanager", &format!("secret:{}", ask.get("Name").unwrap_or_default()))]
}

fn tagged_secret(ask: &Ask<'_>) -> Vec<String> {
    if ask.get("Tags.Key").is_some() { new_secret(ask) } else { Vec::new() }
}
