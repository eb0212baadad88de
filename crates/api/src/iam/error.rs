//! IAM's error codes and texts.

use longshore_aws_model::AwsError;
use longshore_aws_model::iam::codes;

fn no_such_entity(message: String) -> AwsError {
    AwsError::new(codes::NO_SUCH_ENTITY, message)
}

pub fn no_such_role(name: &str) -> AwsError {
    no_such_entity(format!("The role with name {name} cannot be found."))
}

pub fn no_such_inline_policy(name: &str) -> AwsError {
    no_such_entity(format!("The role policy with name {name} cannot be found."))
}

/// A managed policy that is to be attached.
pub fn not_attachable(arn: &str) -> AwsError {
    no_such_entity(format!("Policy {arn} does not exist or is not attachable."))
}

/// A managed policy that is to be told or detached.
pub fn policy_not_found(arn: &str) -> AwsError {
    no_such_entity(format!("Policy {arn} was not found."))
}

pub fn role_exists(name: &str) -> AwsError {
    AwsError::new(codes::ENTITY_ALREADY_EXISTS, format!("Role with name {name} already exists."))
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

/// A parameter that would have no effect here.
pub fn unsupported(parameter: &str) -> AwsError {
    invalid_input(format!("The parameter {parameter} is not supported by Longshore."))
}

pub fn invalid_marker(marker: &str) -> AwsError {
    AwsError::new("ValidationError", format!("Invalid Marker: {marker}"))
}
