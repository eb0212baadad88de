//! The Parameter Store's errors, with its words.

use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::codes;

pub fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

pub fn unsupported(parameter: &str) -> AwsError {
    validation(format!("{parameter} is not supported by Longshore yet."))
}

pub fn not_found(name: &str) -> AwsError {
    AwsError::new(codes::PARAMETER_NOT_FOUND, format!("Parameter {name} not found."))
}

pub fn version_not_found(version: u64, name: &str) -> AwsError {
    let text = format!("Systems Manager could not find version {version} of {name}. Verify the version and try again.");
    AwsError::new(codes::PARAMETER_VERSION_NOT_FOUND, text)
}

pub fn label_not_found(label: &str, name: &str) -> AwsError {
    let text = format!("Systems Manager could not find label {label} of {name}. Verify the label and try again.");
    AwsError::new(codes::PARAMETER_VERSION_NOT_FOUND, text)
}

pub fn already_exists() -> AwsError {
    let text =
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
    AwsError::new(codes::PARAMETER_ALREADY_EXISTS, text)
}

pub fn bad_token() -> AwsError {
    AwsError::new(codes::INVALID_NEXT_TOKEN, "The specified token isn't valid.")
}

/// There is no KMS here: the account's default key is the only one.
pub fn invalid_key(key_id: &str) -> AwsError {
    let text = format!("Invalid keyId {key_id}: Longshore has no KMS, and alias/aws/ssm is the only key.");
    AwsError::new(codes::INVALID_KEY_ID, text)
}

/// The data directory's key is not the one that sealed the value.
pub fn cannot_decrypt() -> AwsError {
    AwsError::new(codes::INVALID_KEY_ID, "The value cannot be decrypted with the key of this data directory.")
}
