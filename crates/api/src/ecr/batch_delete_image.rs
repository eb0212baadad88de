//! BatchDeleteImage: by tag the tag goes, and the image with its last one; by digest the image with all its tags.

use super::names;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{BatchDeleteImageInput, BatchDeleteImageOutput, ImageFailure, ImageIdentifier};
use longshore_store::Tx;

pub fn batch_delete_image(tx: &mut Tx, cx: &Cx, input: BatchDeleteImageInput) -> Result<BatchDeleteImageOutput, AwsError> {
    let repository = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for id in &input.image_ids {
        let row = match names::image(tx, &cx.scope, &repository.name, id) {
            Ok(row) => row,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        let key = (cx.scope.clone(), repository.name.clone(), row.digest.clone());
        if let Some(tag) = id.image_tag.as_ref().filter(|_| row.image_tags.len() > 1) {
            tx.images().update(&key, |row| row.image_tags.remove(tag));
            deleted.push(ImageIdentifier { image_digest: Some(row.digest.clone()), image_tag: Some(tag.clone()) });
            continue;
        }
        let listed = tx.images().prefix(&(cx.scope.clone(), repository.name.clone())).any(|other| other.children.contains(&row.digest));
        if listed {
            failures.push(ImageFailure {
                image_id: Some(id.clone()),
                failure_code: Some("ImageReferencedByManifestList".to_owned()),
                failure_reason: Some("Requested image referenced by manifest list".to_owned()),
            });
            continue;
        }
        tx.images().remove(&key);
        deleted.extend(names::identifiers(&row));
    }
    Ok(BatchDeleteImageOutput { image_ids: Some(deleted), failures: Some(failures) })
}
