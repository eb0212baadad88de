//! ECS's errors, with its words.

use longshore_aws_model::AwsError;

pub fn client(message: impl Into<String>) -> AwsError {
    AwsError::new("ClientException", message)
}

pub fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

pub fn cluster_not_found() -> AwsError {
    AwsError::new("ClusterNotFoundException", "Cluster not found.")
}

pub fn service_not_found() -> AwsError {
    AwsError::new("ServiceNotFoundException", "Service not found.")
}

pub fn service_not_active() -> AwsError {
    AwsError::new("ServiceNotActiveException", "Service was not ACTIVE.")
}

pub fn bad_token() -> AwsError {
    invalid("Invalid token.")
}

/// A parameter that AWS itself refuses for Fargate.
pub fn not_on_fargate(parameter: &str) -> AwsError {
    client(format!("Fargate compatible task definitions do not support {parameter}"))
}

/// A parameter that AWS has and Longshore does not obey yet: refused, never ignored.
pub fn unsupported(parameter: &str) -> AwsError {
    invalid(format!("{parameter} is not supported by Longshore yet."))
}
