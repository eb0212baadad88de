//! ELBv2's errors, with its words.

use longshore_aws_model::AwsError;

pub fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

pub fn unsupported(parameter: &str) -> AwsError {
    validation(format!("{parameter} is not supported by Longshore yet"))
}

pub fn no_load_balancer() -> AwsError {
    AwsError::new("LoadBalancerNotFound", "One or more load balancers not found")
}

pub fn no_target_group() -> AwsError {
    AwsError::new("TargetGroupNotFound", "One or more target groups not found")
}

pub fn no_listener() -> AwsError {
    AwsError::new("ListenerNotFound", "One or more listeners not found")
}

pub fn no_rule() -> AwsError {
    AwsError::new("RuleNotFound", "One or more rules not found")
}

pub fn bad_marker() -> AwsError {
    validation("The specified marker is not valid")
}
