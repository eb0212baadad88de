//! DeleteRepository: an empty one, or any with `force`.

use super::{names, view};
use crate::Cx;
use crate::routes::{Backend, write};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{DeleteRepositoryInput, DeleteRepositoryOutput};

pub async fn delete_repository(
    backend: Backend,
    cx: Cx,
    input: DeleteRepositoryInput,
) -> Result<DeleteRepositoryOutput, AwsError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{image, web};
    use crate::logs::testing::refusal;

    #[test]
    fn images_keep_a_repository_unless_forced() {
        let (bench, registry) = web();
        image(&bench, '1', &["v1"], &[]);
        let delete = |force| {
            let input = DeleteRepositoryInput { repository_name: "web".to_owned(), force, ..Default::default() };
            bench.call(delete_repository, input)
        };
        assert_eq!(
            refusal(delete(None)),
            "RepositoryNotEmptyException: The repository with name 'web' in registry with id '123456789012' cannot be deleted because it still contains images"
        );
        assert!(registry.forgotten().is_empty());
        delete(Some(true)).expect("deleted");
        assert_eq!(registry.forgotten(), ["web"]);
        assert!(bench.read(|state, _| state.repositories().is_empty() && state.images().is_empty()));
        assert_eq!(
            refusal(delete(None)),
            "RepositoryNotFoundException: The repository with name 'web' does not exist in the registry with id '123456789012'"
        );
    }
}
