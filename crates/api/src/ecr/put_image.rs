//! PutImage: a manifest whose layers are there.

use super::{error, names};
use crate::Cx;
use crate::routes::{Backend, NewImage, PutImageError};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{Image, ImageIdentifier, PutImageInput, PutImageOutput};

pub async fn put_image(backend: Backend, cx: Cx, input: PutImageInput) -> Result<PutImageOutput, AwsError> {
    backend
        .store
        .read(|state| names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name))?;
    let new = NewImage {
        manifest: input.image_manifest.clone().into_bytes(),
        media_type: input.image_manifest_media_type,
        tag: input.image_tag.clone(),
        digest: input.image_digest,
    };
    let name = &input.repository_name;
    let account = &cx.scope.account;
    let put = backend.manifests.put(&cx.scope, name, new).await.map_err(|error| match error {
        PutImageError::RepositoryNotFound => error::no_repository(&cx.scope, name),
        PutImageError::LayersNotFound(digests) => {
            AwsError::new("LayersNotFoundException", format!("The layers with digest(s) '{}' required for pushing image into repository with name '{name}' in the registry with id '{account}' do not exist", digests.join("', '")))
        }
        PutImageError::ImagesNotFound(digests) => {
            AwsError::new("ReferencedImagesNotFoundException", format!("Images with digests '{}' required for pushing image into repository with name '{name}' in the registry with id '{account}' do not exist", digests.join("', '")))
        }
        PutImageError::DigestMismatch => AwsError::new("ImageDigestDoesNotMatchException", "The specified digest does not match the digest calculated for the image"),
        PutImageError::TagImmutable(tag) => AwsError::new("ImageTagAlreadyExistsException", format!("The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the repository is immutable.")),
        PutImageError::Invalid(text) => error::invalid(text),
        PutImageError::Failed(text) => error::server(text),
    })?;
    if !put.changed {
        let tag = input.image_tag.as_deref().unwrap_or("null");
        let text = format!(
            "Image with digest '{}' and tag '{tag}' already exists in the repository with name '{name}' in registry with id '{account}'",
            put.digest
        );
        return Err(AwsError::new("ImageAlreadyExistsException", text));
    }
    Ok(PutImageOutput {
        image: Some(Image {
            registry_id: Some(account.to_string()),
            repository_name: Some(name.clone()),
            image_id: Some(ImageIdentifier { image_digest: Some(put.digest), image_tag: input.image_tag }),
            image_manifest: Some(input.image_manifest),
            image_manifest_media_type: Some(put.media_type),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{digest, web};
    use crate::logs::testing::refusal;
    use crate::routes::PutImage;

    #[test]
    fn the_registry_takes_the_manifest_in_or_says_why_not() {
        let (bench, registry) = web();
        let input = || PutImageInput {
            repository_name: "web".to_owned(),
            image_manifest: "{}".to_owned(),
            image_tag: Some("v1".to_owned()),
            ..Default::default()
        };
        let put = |answer| {
            registry.answer_put(answer);
            bench.call(put_image, input())
        };
        let taken = |changed| Ok(PutImage { digest: digest('1'), media_type: "type".to_owned(), changed });
        let made = put(taken(true)).expect("taken in").image.expect("it is shown");
        let id = made.image_id.expect("an id");
        assert_eq!((id.image_digest, id.image_tag.as_deref()), (Some(digest('1')), Some("v1")));
        for (answer, expected) in [
            (
                taken(false),
                format!("ImageAlreadyExistsException: Image with digest '{}' and tag 'v1' already exists in the repository with name 'web' in registry with id '123456789012'", digest('1')),
            ),
            (
                Err(PutImageError::TagImmutable("v1".to_owned())),
                "ImageTagAlreadyExistsException: The image tag 'v1' already exists in the 'web' repository and cannot be overwritten because the repository is immutable.".to_owned(),
            ),
            (
                Err(PutImageError::DigestMismatch),
                "ImageDigestDoesNotMatchException: The specified digest does not match the digest calculated for the image".to_owned(),
            ),
        ] {
            assert_eq!(refusal(put(answer)), expected);
        }
        assert!(
            refusal(put(Err(PutImageError::LayersNotFound(vec![digest('2')]))))
                .starts_with("LayersNotFoundException: ")
        );
        let elsewhere = PutImageInput { repository_name: "z".to_owned(), ..input() };
        assert!(refusal(bench.call(put_image, elsewhere)).starts_with("RepositoryNotFoundException: "));
    }
}
