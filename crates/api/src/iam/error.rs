//! IAM's error codes and texts.

use longshore_aws_model::AwsError;
use longshore_aws_model::iam::codes;

fn no_such_entity(message: String) -> AwsError {
    AwsError::new(codes::NO_SUCH_ENTITY, message)
}

/// `kind` is `user`, `role`, `group`.
pub fn no_such(kind: &str, name: &str) -> AwsError {
    no_such_entity(format!("The {kind} with name {name} cannot be found."))
}

pub fn no_such_role(name: &str) -> AwsError {
    no_such("role", name)
}

pub fn no_such_boundary(arn: &str) -> AwsError {
    no_such_entity(format!("Scope ARN: {arn} does not exist or is not attachable."))
}

pub fn no_such_alias(alias: &str) -> AwsError {
    no_such_entity(format!("The Account Alias with name {alias} cannot be found."))
}

pub fn no_such_entity_of(text: &str) -> AwsError {
    no_such_entity(text.to_owned())
}

pub fn no_such_instance_profile(name: &str) -> AwsError {
    no_such_entity(format!("Instance Profile {name} cannot be found."))
}

pub fn no_such_access_key(id: &str) -> AwsError {
    no_such_entity(format!("The Access Key with id {id} cannot be found."))
}

pub fn no_such_version(arn: &str, version: &str) -> AwsError {
    no_such_entity(format!("Policy {arn} version {version} does not exist or is not attachable."))
}

/// `kind` is `user`, `role`, `group`.
pub fn no_such_inline_policy(kind: &str, name: &str) -> AwsError {
    no_such_entity(format!("The {kind} policy with name {name} cannot be found."))
}

/// A managed policy that is to be attached.
pub fn not_attachable(arn: &str) -> AwsError {
    no_such_entity(format!("Policy {arn} does not exist or is not attachable."))
}

/// A managed policy that is to be told or detached.
pub fn policy_not_found(arn: &str) -> AwsError {
    no_such_entity(format!("Policy {arn} was not found."))
}

/// `kind` is `User`, `Role`, `Group`.
pub fn exists(kind: &str, name: &str) -> AwsError {
    already_exists(format!("{kind} with name {name} already exists."))
}

pub fn already_exists(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::ENTITY_ALREADY_EXISTS, message)
}

/// What AWS keeps to itself: its managed policies, service-linked roles.
pub fn unmodifiable(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::UNMODIFIABLE_ENTITY, message)
}

pub fn delete_conflict(message: &str) -> AwsError {
    AwsError::new(codes::DELETE_CONFLICT, message)
}

pub fn limit_exceeded(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::LIMIT_EXCEEDED, message)
}

pub fn malformed_policy(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::MALFORMED_POLICY_DOCUMENT, message)
}

pub fn invalid_input(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::INVALID_INPUT, message)
}

pub fn invalid_marker(marker: &str) -> AwsError {
    AwsError::new("ValidationError", format!("Invalid Marker: {marker}"))
}
