//! BatchGetImage: manifests.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{BatchGetImageInput, BatchGetImageOutput, Image, ImageFailure, ImageIdentifier};

pub async fn batch_get_image(
    backend: Backend,
    cx: Cx,
    input: BatchGetImageInput,
) -> Result<BatchGetImageOutput, AwsError> {
    let state = backend.store.snapshot();
    let repository = names::repository(&state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in &input.image_ids {
        let row = match names::image(&state, &cx.scope, &repository.name, id) {
            Ok(row) => row,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        if input
            .accepted_media_types
            .as_ref()
            .is_some_and(|types| !types.is_empty() && !types.contains(&row.manifest_media_type))
        {
            failures.push(ImageFailure {
                image_id: Some(id.clone()),
                failure_code: Some("ImageNotFound".to_owned()),
                failure_reason: Some(format!(
                    "Requested image is of type {}, which acceptedMediaTypes does not name",
                    row.manifest_media_type
                )),
            });
            continue;
        }
        match backend.manifests.read(&cx.scope, &repository.name, &row.digest).await.map_err(error::server)? {
            Some(bytes) => images.push(Image {
                registry_id: Some(cx.scope.account.to_string()),
                repository_name: Some(repository.name.clone()),
                image_id: Some(ImageIdentifier {
                    image_digest: Some(row.digest.clone()),
                    image_tag: id.image_tag.clone(),
                }),
                image_manifest: Some(String::from_utf8_lossy(&bytes).into_owned()),
                image_manifest_media_type: Some(row.manifest_media_type.clone()),
            }),
            None => failures.push(ImageFailure {
                image_id: Some(id.clone()),
                failure_code: Some("ImageInaccessible".to_owned()),
                failure_reason: Some("The manifest's bytes are missing".to_owned()),
            }),
        }
    }
    Ok(BatchGetImageOutput { images: Some(images), failures: Some(failures) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{by_digest, by_tag, digest, image, web};

    #[test]
    fn manifests_are_read_and_what_is_missing_is_told() {
        let (bench, registry) = web();
        let known = image(&bench, '1', &["v1"], &[]);
        image(&bench, '2', &["lost"], &[]);
        registry.have(&known, b"{}");
        let mismatch = ImageIdentifier { image_digest: Some(digest('2')), ..by_tag("v1") };
        let wanted =
            [by_tag("v1"), by_digest(&known), by_tag("z"), ImageIdentifier::default(), mismatch, by_tag("lost")];
        let input =
            BatchGetImageInput { repository_name: "web".to_owned(), image_ids: wanted.to_vec(), ..Default::default() };
        let output = bench.call(batch_get_image, input).expect("an answer");
        let images = output.images.expect("two");
        assert_eq!(images[0].image_manifest.as_deref(), Some("{}"));
        assert_eq!(images[0].image_id, Some(ImageIdentifier { image_digest: Some(known), ..by_tag("v1") }));
        assert_eq!(images[1].image_id.as_ref().and_then(|id| id.image_tag.clone()), None);
        let codes: Vec<_> = output.failures.into_iter().flatten().filter_map(|failure| failure.failure_code).collect();
        assert_eq!(codes, ["ImageNotFound", "MissingDigestAndTag", "ImageTagDoesNotMatchDigest", "ImageInaccessible"]);
    }
}
