//! ListImages: digests and tags.

use super::{error, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{ListImagesInput, ListImagesOutput};
use longshore_store::Snapshot;

pub fn list_images(state: &Snapshot, cx: &Cx, input: ListImagesInput) -> Result<ListImagesOutput, AwsError> {
    let repository = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let status = input.filter.and_then(|filter| filter.tag_status);
    let rows = state.images().prefix(&(cx.scope.clone(), repository.name.clone()));
    let ids = rows.filter(|row| names::passes(row, status.as_deref())).flat_map(|row| names::identifiers(&row));
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 1000) as usize);
    let key = |id: &longshore_aws_model::ecr::ImageIdentifier| format!("{} {}", id.image_digest.as_deref().unwrap_or_default(), id.image_tag.as_deref().unwrap_or_default());
    let page = page::page(ids, key, input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid("Invalid parameter at 'nextToken' failed to satisfy constraint."))?;
    Ok(ListImagesOutput { image_ids: Some(page.items), next_token: page.next_token })
}
