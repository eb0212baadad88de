//! ECR's errors, with its words.

use longshore_aws_model::AwsError;
use longshore_types::Scope;

pub fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

pub fn no_repository(scope: &Scope, name: &str) -> AwsError {
    let text = format!("The repository with name '{name}' does not exist in the registry with id '{}'", scope.account);
    AwsError::new("RepositoryNotFoundException", text)
}

pub fn server(error: impl std::fmt::Display) -> AwsError {
    tracing::error!(%error, "the registry's files could not be used");
    AwsError::fault("ServerException", "The registry cannot complete the request.").with_status(500)
}
