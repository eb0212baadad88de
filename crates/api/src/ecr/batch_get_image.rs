//! BatchGetImage: manifests.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{BatchGetImageInput, BatchGetImageOutput, Image, ImageFailure, ImageIdentifier};

pub async fn batch_get_image(backend: Backend, cx: Cx, input: BatchGetImageInput) -> Result<BatchGetImageOutput, AwsError> {
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
        match backend.manifests.read(&cx.scope, &repository.name, &row.digest).await.map_err(error::server)? {
            Some(bytes) => images.push(Image {
                registry_id: Some(cx.scope.account.to_string()),
                repository_name: Some(repository.name.clone()),
                image_id: Some(ImageIdentifier { image_digest: Some(row.digest.clone()), image_tag: id.image_tag.clone() }),
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
