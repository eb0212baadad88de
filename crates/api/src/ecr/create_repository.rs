//! CreateRepository.

use super::{error, mutability, names, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{CreateRepositoryInput, CreateRepositoryOutput};
use longshore_store::Tx;
use longshore_types::ecr::Repository;

pub fn create_repository(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateRepositoryInput,
) -> Result<CreateRepositoryOutput, AwsError> {
    names::check_registry(&cx.scope, input.registry_id.as_deref())?;
    if let Some(kind) = input.encryption_configuration.and_then(|c| c.encryption_type).filter(|kind| kind != "AES256") {
        return Err(error::unsupported(&format!("encryptionConfiguration.encryptionType {kind}")));
    }
    let filters = input.image_tag_mutability_exclusion_filters.unwrap_or_default();
    let (immutable_tags, mutability_exclusions) = mutability::read(input.image_tag_mutability.as_deref(), filters)?;
    let name = input.repository_name;
    let row = Repository {
        name: name.clone(),
        created_at: cx.now,
        immutable_tags,
        mutability_exclusions,
        scan_on_push: input.image_scanning_configuration.and_then(|c| c.scan_on_push).unwrap_or_default(),
        lifecycle: None,
        lifecycle_preview: None,
        policy: None,
        tags: tags::parse(input.tags)?,
    };
    let sent = view::repository(&cx.scope, &row);
    tx.repositories().insert((cx.scope.clone(), name.clone()), row).map_err(|_| {
        let text =
            format!("The repository with name '{name}' already exists in the registry with id '{}'", cx.scope.account);
        AwsError::new("RepositoryAlreadyExistsException", text)
    })?;
    Ok(CreateRepositoryOutput { repository: Some(sent) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn a_repository_has_the_name_that_docker_pushes_to() {
        let fixture = Fixture::new();
        let create = |fixture: &Fixture| {
            fixture.try_write(|tx, cx| {
                create_repository(tx, cx, CreateRepositoryInput { repository_name: "web".into(), ..Default::default() })
            })
        };
        let made = create(&fixture).expect("it is new").repository.expect("it is shown");
        assert_eq!(made.repository_uri.as_deref(), Some("123456789012.dkr.ecr.us-east-1.amazonaws.com/web"));
        let again = create(&fixture).expect_err("it is there").to_string();
        assert_eq!(
            again,
            "RepositoryAlreadyExistsException: The repository with name 'web' already exists in the registry with id '123456789012'"
        );
    }
}
