//! Secrets Manager's errors, with its words.

use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::codes;

pub fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

pub fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::INVALID_PARAMETER_EXCEPTION, message)
}

pub fn invalid_request(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::INVALID_REQUEST_EXCEPTION, message)
}

pub fn unsupported(parameter: &str) -> AwsError {
    invalid_parameter(format!("{parameter} is not supported by Longshore yet."))
}

pub fn no_secret() -> AwsError {
    not_found("Secrets Manager can't find the specified secret.")
}

pub fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::RESOURCE_NOT_FOUND_EXCEPTION, message)
}

pub fn marked_for_deletion() -> AwsError {
    invalid_request("You can't perform this operation on the secret because it was marked for deletion.")
}

pub fn exists(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::RESOURCE_EXISTS_EXCEPTION, message)
}

/// The token is a version's id already, and that version is not what the request would make.
pub fn token_in_use(token: &str, secret_arn: &str) -> AwsError {
    exists(format!(
        "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {secret_arn}."
    ))
}

pub fn bad_token() -> AwsError {
    AwsError::new(codes::INVALID_NEXT_TOKEN_EXCEPTION, "The NextToken value is invalid.")
}

/// There is no KMS here: the account's default key is the only one.
pub fn invalid_key(key_id: &str) -> AwsError {
    invalid_parameter(format!("KmsKeyId {key_id}: Longshore has no KMS, and alias/aws/secretsmanager is the only key."))
}

/// The data directory's key is not the one that sealed the value.
pub fn cannot_decrypt() -> AwsError {
    let text = "Secrets Manager can't decrypt the protected secret text using the provided KMS key.";
    AwsError::new(codes::DECRYPTION_FAILURE, text)
}
