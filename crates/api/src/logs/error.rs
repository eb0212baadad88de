//! CloudWatch Logs' errors, with its words.

use longshore_aws_model::AwsError;
use longshore_telemetry::logs::LogError;

pub fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

pub fn no_group() -> AwsError {
    AwsError::new("ResourceNotFoundException", "The specified log group does not exist.")
}

pub fn no_stream() -> AwsError {
    AwsError::new("ResourceNotFoundException", "The specified log stream does not exist.")
}

/// Of a group that is protected, or of a stream in it.
pub fn protected(group: &str) -> AwsError {
    let text = format!("Log group {group} has deletion protection enabled. Disable it before you delete.");
    AwsError::new("ValidationException", text)
}

pub fn bad_token() -> AwsError {
    invalid("The specified nextToken is invalid.")
}

pub fn exists(what: &str) -> AwsError {
    AwsError::new("ResourceAlreadyExistsException", format!("The specified {what} already exists"))
}

pub fn unsupported(parameter: &str) -> AwsError {
    invalid(format!("{parameter} is not supported by Longshore yet."))
}

/// The disk or the files are at fault.
pub fn stored(error: LogError) -> AwsError {
    tracing::error!(%error, "log events could not be stored or read");
    AwsError::fault("ServiceUnavailableException", "The service cannot complete the request.").with_status(500)
}
