//! DescribeImages: those identified, or all.

use super::{error, names, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{DescribeImagesInput, DescribeImagesOutput};
use longshore_store::Snapshot;

pub fn describe_images(state: &Snapshot, cx: &Cx, input: DescribeImagesInput) -> Result<DescribeImagesOutput, AwsError> {
    let repository = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    if let Some(wanted) = input.image_ids.filter(|list| !list.is_empty()) {
        let find = |id| {
            names::image(state, &cx.scope, &repository.name, id).map_err(|_| {
                let text = format!(
                    "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{}' in the registry with id '{}'",
                    id.image_digest.as_deref().unwrap_or("null"), id.image_tag.as_deref().unwrap_or("null"), repository.name, cx.scope.account
                );
                AwsError::new("ImageNotFoundException", text)
            })
        };
        let found = wanted.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let details = found.iter().map(|row| view::image_detail(&cx.scope, row)).collect();
        return Ok(DescribeImagesOutput { image_details: Some(details), next_token: None });
    }
    let status = input.filter.and_then(|filter| filter.tag_status);
    let rows = state.images().prefix(&(cx.scope.clone(), repository.name.clone()));
    let rows = rows.filter(|row| names::passes(row, status.as_deref()));
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 1000) as usize);
    let page = page::page(rows, |row| row.digest.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid("Invalid parameter at 'nextToken' failed to satisfy constraint."))?;
    let details = page.items.iter().map(|row| view::image_detail(&cx.scope, row)).collect();
    Ok(DescribeImagesOutput { image_details: Some(details), next_token: page.next_token })
}
