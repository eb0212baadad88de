//! ECR's errors, with its words.

use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::ImageIdentifier;
use longshore_types::Scope;

pub fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

/// What is wrong with one parameter.
pub fn invalid_at(parameter: &str, why: impl std::fmt::Display) -> AwsError {
    invalid(format!("Invalid parameter at '{parameter}' failed to satisfy constraint: '{why}'"))
}

/// A parameter that AWS has and Longshore has not.
pub fn unsupported(parameter: &str) -> AwsError {
    invalid(format!("{parameter} is not supported by Longshore yet."))
}

pub fn no_image(scope: &Scope, repository: &str, id: &ImageIdentifier) -> AwsError {
    let text = format!(
        "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{repository}' in the registry with id '{}'",
        id.image_digest.as_deref().unwrap_or("null"),
        id.image_tag.as_deref().unwrap_or("null"),
        scope.account
    );
    AwsError::new("ImageNotFoundException", text)
}

pub fn no_lifecycle_policy(scope: &Scope, name: &str) -> AwsError {
    let text = format!(
        "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{}'",
        scope.account
    );
    AwsError::new("LifecyclePolicyNotFoundException", text)
}

pub fn no_repository(scope: &Scope, name: &str) -> AwsError {
    let text = format!("The repository with name '{name}' does not exist in the registry with id '{}'", scope.account);
    AwsError::new("RepositoryNotFoundException", text)
}

pub fn server(error: impl std::fmt::Display) -> AwsError {
    tracing::error!(%error, "the registry's files could not be used");
    AwsError::fault("ServerException", "The registry cannot complete the request.").with_status(500)
}
