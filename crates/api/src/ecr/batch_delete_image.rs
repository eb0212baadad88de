//! BatchDeleteImage: by tag the tag goes, and the image with its last one; by digest the image with all its tags.

use super::names;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{BatchDeleteImageInput, BatchDeleteImageOutput, ImageFailure, ImageIdentifier};
use longshore_store::Tx;

pub fn batch_delete_image(
    tx: &mut Tx,
    cx: &Cx,
    input: BatchDeleteImageInput,
) -> Result<BatchDeleteImageOutput, AwsError> {
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
        let listed = tx
            .images()
            .prefix(&(cx.scope.clone(), repository.name.clone()))
            .any(|other| other.children.contains(&row.digest));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{by_digest, by_tag, image, web};
    use crate::logs::testing::Bench;

    fn delete(bench: &Bench, id: ImageIdentifier) -> BatchDeleteImageOutput {
        let input =
            BatchDeleteImageInput { repository_name: "web".to_owned(), image_ids: vec![id], ..Default::default() };
        bench.try_write(|tx, cx| batch_delete_image(tx, cx, input)).expect("an answer")
    }

    fn images(bench: &Bench) -> usize {
        bench.read(|state, _| state.images().len())
    }

    #[test]
    fn an_image_goes_with_its_last_tag_or_by_its_digest() {
        let (bench, _) = web();
        let first = image(&bench, '1', &["v1", "latest"], &[]);
        let second = image(&bench, '2', &["a", "b"], &[]);
        delete(&bench, by_tag("v1"));
        assert_eq!(images(&bench), 2);
        let output = delete(&bench, by_tag("latest"));
        let expected = ImageIdentifier { image_digest: Some(first), ..by_tag("latest") };
        assert_eq!((output.image_ids, images(&bench)), (Some(vec![expected]), 1));
        let output = delete(&bench, by_digest(&second));
        assert_eq!((output.image_ids.map(|ids| ids.len()), images(&bench)), (Some(2), 0));
        let failures = delete(&bench, by_tag("a")).failures.expect("one");
        assert_eq!(failures[0].failure_code.as_deref(), Some("ImageNotFound"));
    }

    #[test]
    fn what_a_manifest_list_names_stays() {
        let (bench, _) = web();
        let child = image(&bench, '1', &[], &[]);
        let list = image(&bench, '2', &["v1"], std::slice::from_ref(&child));
        let failures = delete(&bench, by_digest(&child)).failures.expect("one");
        assert_eq!(failures[0].failure_code.as_deref(), Some("ImageReferencedByManifestList"));
        delete(&bench, by_digest(&list));
        delete(&bench, by_digest(&child));
        assert_eq!(images(&bench), 0);
    }
}
