//! DeleteRepository: an empty one, or any with `force`.

use super::{names, view};
use crate::Cx;
use crate::routes::{Backend, write};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{DeleteRepositoryInput, DeleteRepositoryOutput};

pub async fn delete_repository(backend: Backend, cx: Cx, input: DeleteRepositoryInput) -> Result<DeleteRepositoryOutput, AwsError> {
    let (scope, name) = (cx.scope.clone(), input.repository_name.clone());
    let repository = write(&backend.store, move |tx| {
        let row = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
        let images: Vec<_> = tx.snapshot().images().prefix(&(cx.scope.clone(), row.name.clone())).keys().collect();
        if !images.is_empty() && input.force != Some(true) {
            let text = format!(
                "The repository with name '{}' in registry with id '{}' cannot be deleted because it still contains images",
                row.name, cx.scope.account
            );
            return Err(AwsError::new("RepositoryNotEmptyException", text));
        }
        for image in images {
            tx.images().remove(&image);
        }
        tx.repositories().remove(&(cx.scope.clone(), row.name.clone()));
        Ok(view::repository(&cx.scope, &row))
    })
    .await?;
    if let Err(error) = backend.manifests.forget_repository(&scope, &name).await {
        // Its bytes go with the next collection instead.
        tracing::warn!(%error, name, "the bytes of a deleted repository could not be removed");
    }
    Ok(DeleteRepositoryOutput { repository: Some(repository) })
}
