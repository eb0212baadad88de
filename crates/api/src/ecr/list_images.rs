//! ListImages: digests and tags.

use super::{error, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{ListImagesInput, ListImagesOutput};
use longshore_store::Snapshot;

pub fn list_images(state: &Snapshot, cx: &Cx, input: ListImagesInput) -> Result<ListImagesOutput, AwsError> {
    let repository = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let (tagged, status) = input.filter.map_or((None, None), |filter| (filter.tag_status, filter.image_status));
    let rows = state.images().prefix(&(cx.scope.clone(), repository.name.clone()));
    let ids = rows
        .filter(|row| names::passes(row, tagged.as_deref(), status.as_deref()))
        .flat_map(|row| names::identifiers(&row));
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 1000) as usize);
    let key = |id: &longshore_aws_model::ecr::ImageIdentifier| {
        format!("{} {}", id.image_digest.as_deref().unwrap_or_default(), id.image_tag.as_deref().unwrap_or_default())
    };
    let page = page::page(ids, key, input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid("Invalid parameter at 'nextToken' failed to satisfy constraint."))?;
    Ok(ListImagesOutput { image_ids: Some(page.items), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{digest, image, web};
    use longshore_aws_model::ecr::ListImagesFilter;

    #[test]
    fn each_tag_is_one_entry_and_an_untagged_image_too() {
        let (bench, _) = web();
        image(&bench, '1', &["v1", "latest"], &[]);
        image(&bench, '2', &[], &[]);
        let list = |tag_status: Option<&str>, max_results, next_token| {
            let filter = ListImagesFilter { tag_status: tag_status.map(str::to_owned), image_status: None };
            let input = ListImagesInput {
                repository_name: "web".to_owned(),
                filter: Some(filter),
                max_results,
                next_token,
                ..Default::default()
            };
            let output = bench.read(|state, cx| list_images(state, cx, input)).expect("a list");
            let ids = output.image_ids.into_iter().flatten();
            let ids: Vec<_> =
                ids.map(|id| (id.image_digest.unwrap_or_default(), id.image_tag.unwrap_or_default())).collect();
            (ids, output.next_token)
        };
        let entry = |digit, tag: &str| (digest(digit), tag.to_owned());
        let all = [entry('1', "latest"), entry('1', "v1"), entry('2', "")];
        assert_eq!(list(None, None, None).0, all);
        assert_eq!(list(Some("TAGGED"), None, None).0, all[..2]);
        assert_eq!(list(Some("UNTAGGED"), None, None).0, all[2..]);
        let (first, next_token) = list(None, Some(1), None);
        assert_eq!(first, all[..1]);
        assert_eq!(list(None, None, next_token), (all[1..].to_vec(), None));
    }
}
