//! Certificate Manager's errors.

use longshore_aws_model::AwsError;
use longshore_aws_model::acm::codes;

pub fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::VALIDATION_EXCEPTION, message)
}

pub fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::INVALID_PARAMETER_EXCEPTION, message)
}

pub fn unsupported(what: impl std::fmt::Display) -> AwsError {
    invalid_parameter(format!("{what} is not supported by Longshore yet."))
}

pub fn not_found(arn: &str, account: &str) -> AwsError {
    let text = format!("Could not find certificate {arn} in account {account}.");
    AwsError::new(codes::RESOURCE_NOT_FOUND_EXCEPTION, text)
}

pub fn in_use(arn: &str) -> AwsError {
    AwsError::new(codes::RESOURCE_IN_USE_EXCEPTION, format!("Certificate {arn} is in use."))
}
