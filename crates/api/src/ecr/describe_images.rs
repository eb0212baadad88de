//! DescribeImages: those identified, or all.

use super::{error, names, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{DescribeImagesInput, DescribeImagesOutput};
use longshore_store::Snapshot;

pub fn describe_images(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeImagesInput,
) -> Result<DescribeImagesOutput, AwsError> {
    let repository = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    if let Some(wanted) = input.image_ids.filter(|list| !list.is_empty()) {
        let find = |id| {
            names::image(state, &cx.scope, &repository.name, id)
                .map_err(|_| error::no_image(&cx.scope, &repository.name, id))
        };
        let found = wanted.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let details = found.iter().map(|row| view::image_detail(&cx.scope, &repository, row)).collect();
        return Ok(DescribeImagesOutput { image_details: Some(details), next_token: None });
    }
    let (tagged, status) = input.filter.map_or((None, None), |filter| (filter.tag_status, filter.image_status));
    let rows = state.images().prefix(&(cx.scope.clone(), repository.name.clone()));
    let rows = rows.filter(|row| names::passes(row, tagged.as_deref(), status.as_deref()));
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 1000) as usize);
    let page = page::page(rows, |row| row.digest.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid("Invalid parameter at 'nextToken' failed to satisfy constraint."))?;
    let details = page.items.iter().map(|row| view::image_detail(&cx.scope, &repository, row)).collect();
    Ok(DescribeImagesOutput { image_details: Some(details), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{by_tag, digest, image, web};
    use crate::logs::testing::refusal;
    use longshore_aws_model::ecr::{DescribeImagesFilter, ImageDetail};

    #[test]
    fn images_are_named_or_all_are_shown() {
        let (bench, _) = web();
        image(&bench, '1', &["v1", "latest"], &[]);
        image(&bench, '2', &[], &[]);
        let describe = |input| bench.read(|state, cx| describe_images(state, cx, input));
        let input = || DescribeImagesInput { repository_name: "web".to_owned(), ..Default::default() };
        let details = |input| -> Vec<ImageDetail> { describe(input).expect("a list").image_details.expect("some") };
        let named = details(DescribeImagesInput { image_ids: Some(vec![by_tag("v1")]), ..input() });
        assert_eq!(named[0].image_digest, Some(digest('1')));
        assert_eq!(named[0].image_tags, Some(vec!["latest".to_owned(), "v1".to_owned()]));
        assert_eq!((named[0].image_size_in_bytes, details(input()).len()), (Some(1234), 2));
        let archived = DescribeImagesFilter { image_status: Some("ARCHIVED".to_owned()), tag_status: None };
        assert!(details(DescribeImagesInput { filter: Some(archived), ..input() }).is_empty());
        assert_eq!(
            refusal(describe(DescribeImagesInput { image_ids: Some(vec![by_tag("z")]), ..input() })),
            "ImageNotFoundException: The image with imageId {imageDigest:'null', imageTag:'z'} does not exist within the repository with name 'web' in the registry with id '123456789012'"
        );
    }
}
