//! ELB's error codes and texts, and the rule that no parameter is ignored.

use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::codes;
use std::fmt::Display;

pub fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

/// A parameter, or a value of one, that AWS has and Longshore does not obey yet: refused, never ignored.
pub fn unsupported(what: impl Display) -> AwsError {
    validation(format!("{what} is not supported by Longshore yet."))
}

/// `refuse!(input; ssl_policy, certificates)`: an error that names the first of them that is set.
macro_rules! refuse {
    ($input:expr; $($field:ident),* $(,)?) => {$(
        if $crate::elbv2::error::is_set(&$input.$field) {
            return Err($crate::elbv2::error::unsupported($crate::elbv2::error::pascal_case(stringify!($field))));
        }
    )*};
}
pub(super) use refuse;

/// Given, and not the default: an empty list or `false` asks for nothing.
pub fn is_set<T: Default + PartialEq>(value: &Option<T>) -> bool {
    value.as_ref().is_some_and(|value| *value != T::default())
}

/// `ssl_policy` → `SslPolicy`.
pub fn pascal_case(field: &str) -> String {
    let capital = |part: &str| {
        part.chars().enumerate().map(|(n, c)| if n == 0 { c.to_ascii_uppercase() } else { c }).collect::<String>()
    };
    field.split('_').map(capital).collect()
}

pub fn load_balancer_not_found() -> AwsError {
    AwsError::new(codes::LOAD_BALANCER_NOT_FOUND, "One or more load balancers not found")
}

pub fn target_group_not_found() -> AwsError {
    AwsError::new(codes::TARGET_GROUP_NOT_FOUND, "One or more target groups not found")
}

pub fn listener_not_found() -> AwsError {
    AwsError::new(codes::LISTENER_NOT_FOUND, "One or more listeners not found")
}

pub fn rule_not_found() -> AwsError {
    AwsError::new(codes::RULE_NOT_FOUND, "One or more rules not found")
}

pub fn subnet_not_found(id: &str) -> AwsError {
    AwsError::new(codes::SUBNET_NOT_FOUND, format!("The subnet ID '{id}' does not exist"))
}

pub fn invalid_security_group(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::INVALID_SECURITY_GROUP, message)
}

pub fn invalid_configuration(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::INVALID_CONFIGURATION_REQUEST, message)
}

pub fn invalid_action(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::INVALID_LOAD_BALANCER_ACTION, message)
}

pub fn invalid_target(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::INVALID_TARGET, message)
}

pub fn not_permitted(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::OPERATION_NOT_PERMITTED, message)
}

pub fn resource_in_use(message: impl Into<String>) -> AwsError {
    AwsError::new(codes::RESOURCE_IN_USE, message)
}

pub fn priority_in_use(priority: u32) -> AwsError {
    AwsError::new(codes::PRIORITY_IN_USE, format!("Priority '{priority}' is currently in use"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_named_as_the_api_spells_them() {
        assert_eq!(pascal_case("ssl_policy"), "SslPolicy");
        assert!(is_set(&Some(vec![1])) && !is_set(&Some(Vec::<u8>::new())) && !is_set(&Some(false)));
    }
}
