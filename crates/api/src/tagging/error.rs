//! The tagging API's errors.

use longshore_aws_model::AwsError;

pub fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

pub fn bad_token() -> AwsError {
    invalid("The PaginationToken is not valid.")
}

pub fn unsupported(parameter: &str) -> AwsError {
    invalid(format!("{parameter} is not supported by Longshore yet."))
}
