//! StartLifecyclePolicyPreview, GetLifecyclePolicyPreview.
//!
//! A preview is kept as its policy and its time, and evaluated when it is looked at: over the images that were there when
//! it began and still are. So it is always complete, and costs nothing to keep.

use super::{error, lifecycle_policy, names};
use crate::{Cx, page};
use longshore_aws_model::ecr::*;
use longshore_aws_model::{AwsError, Timestamp as WireTime};
use longshore_store::{Snapshot, Tx};
use longshore_types::ecr::LifecyclePreview;

pub fn start_lifecycle_policy_preview(
    tx: &mut Tx,
    cx: &Cx,
    input: StartLifecyclePolicyPreviewInput,
) -> Result<StartLifecyclePolicyPreviewOutput, AwsError> {
    let row = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let text = match (input.lifecycle_policy_text, &row.lifecycle) {
        (Some(text), _) => text,
        (None, Some(policy)) => policy.text.clone(),
        (None, None) => return Err(error::no_lifecycle_policy(&cx.scope, &row.name)),
    };
    lifecycle_policy::parse(&text)?;
    let preview = LifecyclePreview { text: text.clone(), started_at: cx.now };
    tx.repositories().update(&(cx.scope.clone(), row.name.clone()), |row| row.lifecycle_preview = Some(preview));
    Ok(StartLifecyclePolicyPreviewOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        lifecycle_policy_text: Some(text),
        status: Some("IN_PROGRESS".to_owned()),
    })
}

pub fn get_lifecycle_policy_preview(
    state: &Snapshot,
    cx: &Cx,
    input: GetLifecyclePolicyPreviewInput,
) -> Result<GetLifecyclePolicyPreviewOutput, AwsError> {
    let row = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let preview = row.lifecycle_preview.as_ref().ok_or_else(|| {
        let text = format!(
            "There is no dry run associated with the repository with name '{}' in the registry with id '{}'",
            row.name, cx.scope.account
        );
        AwsError::new("LifecyclePolicyPreviewNotFoundException", text)
    })?;
    let policy = lifecycle_policy::parse(&preview.text)?;
    let mut images = lifecycle_policy::images(state, &cx.scope, &row.name);
    images.retain(|image| image.pushed_at <= preview.started_at);
    let expired = policy.evaluate(&lifecycle_policy::candidates(&images), preview.started_at);
    let total = expired.len();

    let asked = input.image_ids.unwrap_or_default();
    let tag_status = input.filter.and_then(|filter| filter.tag_status);
    let mut shown: Vec<_> = expired
        .iter()
        .filter_map(|one| Some((one.priority, images.iter().find(|image| image.digest == one.digest)?)))
        .filter(|(_, image)| names::passes(image, tag_status.as_deref(), None))
        .filter(|(_, image)| asked.is_empty() || asked.iter().any(|id| names::is_named(image, id)))
        .collect();
    shown.sort_by(|(_, a), (_, b)| a.digest.cmp(&b.digest));
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 100) as usize);
    let page = page::page(shown.into_iter(), |(_, image)| image.digest.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid_at("nextToken", "it is not a token of this operation"))?;
    let result =
        |(priority, image): &(u32, &std::sync::Arc<longshore_types::ecr::Image>)| LifecyclePolicyPreviewResult {
            image_tags: (!image.image_tags.is_empty()).then(|| image.image_tags.iter().cloned().collect()),
            image_digest: Some(image.digest.clone()),
            image_pushed_at: Some(WireTime(image.pushed_at.0)),
            action: Some(LifecyclePolicyRuleAction { r#type: Some("EXPIRE".to_owned()), target_storage_class: None }),
            applied_rule_priority: Some(*priority as i32),
            storage_class: None,
        };
    Ok(GetLifecyclePolicyPreviewOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        lifecycle_policy_text: Some(preview.text.clone()),
        status: Some("COMPLETE".to_owned()),
        next_token: page.next_token,
        preview_results: Some(page.items.iter().map(result).collect()),
        summary: Some(LifecyclePolicyPreviewSummary {
            expiring_image_total_count: Some(total as i32),
            transitioning_image_total_counts: None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{by_tag, digest, image, web};
    use crate::logs::testing::refusal;

    #[test]
    fn a_preview_shows_what_would_go_and_changes_nothing() {
        let (bench, _) = web();
        image(&bench, '1', &["v1"], &[]);
        image(&bench, '2', &["v2"], &[]);
        image(&bench, '3', &[], &[]);
        let text = r#"{"rules": [{"rulePriority": 7, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]}"#;
        let get = |input: GetLifecyclePolicyPreviewInput| {
            let input = GetLifecyclePolicyPreviewInput { repository_name: "web".to_owned(), ..input };
            bench.read(|state, cx| get_lifecycle_policy_preview(state, cx, input))
        };
        assert!(refusal(get(Default::default())).starts_with("LifecyclePolicyPreviewNotFoundException: "));
        let start = |text: Option<&str>| {
            let lifecycle_policy_text = text.map(str::to_owned);
            let input = StartLifecyclePolicyPreviewInput {
                repository_name: "web".to_owned(),
                lifecycle_policy_text,
                ..Default::default()
            };
            bench.try_write(|tx, cx| start_lifecycle_policy_preview(tx, cx, input))
        };
        assert!(refusal(start(None)).starts_with("LifecyclePolicyNotFoundException: "));
        start(Some(text)).expect("started");
        let output = get(Default::default()).expect("a preview");
        let gone: Vec<_> = output
            .preview_results
            .into_iter()
            .flatten()
            .map(|r| (r.image_digest.unwrap_or_default(), r.applied_rule_priority))
            .collect();
        assert_eq!(gone, [(digest('1'), Some(7)), (digest('2'), Some(7))]);
        assert_eq!(output.summary.and_then(|s| s.expiring_image_total_count), Some(2));
        let one = get(GetLifecyclePolicyPreviewInput { image_ids: Some(vec![by_tag("v2")]), ..Default::default() });
        assert_eq!(one.expect("a preview").preview_results.map(|r| r.len()), Some(1));
        assert_eq!(bench.read(|state, _| state.images().len()), 3);
    }
}
