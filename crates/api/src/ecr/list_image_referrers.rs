//! ListImageReferrers: what is attached to an image, such as signatures and bills of materials.

use super::{error, names};
use crate::routes::Backend;
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{ImageReferrer, ListImageReferrersInput, ListImageReferrersOutput};
use std::collections::BTreeMap;

pub async fn list_image_referrers(
    backend: Backend,
    cx: Cx,
    input: ListImageReferrersInput,
) -> Result<ListImageReferrersOutput, AwsError> {
    let state = backend.store.snapshot();
    let repository = names::repository(&state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let subject = input.subject_id.image_digest;
    let (types, status) = input.filter.map_or((None, None), |filter| (filter.artifact_types, filter.artifact_status));
    let types = types.unwrap_or_default();
    let rows = state.images().prefix(&(cx.scope.clone(), repository.name.clone())).filter(|row| {
        let is_wanted = types.is_empty() || row.artifact_media_type.as_ref().is_some_and(|kind| types.contains(kind));
        // Nothing is ever archived.
        row.subject == subject && is_wanted && names::passes(row, None, status.as_deref())
    });
    let limit = input.max_results.map_or(50, |n| n.clamp(1, 50) as usize);
    let page = page::page(rows, |row| row.digest.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid_at("nextToken", "it is not a token of this operation"))?;
    let mut referrers = Vec::new();
    for row in page.items {
        let read = backend.manifests.read(&cx.scope, &repository.name, &row.digest).await.map_err(error::server)?;
        let manifest = read.unwrap_or_default();
        referrers.push(ImageReferrer {
            digest: Some(row.digest.clone()),
            media_type: Some(row.manifest_media_type.clone()),
            artifact_type: row.artifact_media_type.clone(),
            size: Some(manifest.len() as i64),
            annotations: annotations(&manifest),
            artifact_status: Some("ACTIVE".to_owned()),
        });
    }
    Ok(ListImageReferrersOutput { referrers: Some(referrers), next_token: page.next_token })
}

fn annotations(manifest: &[u8]) -> Option<BTreeMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Annotated {
        annotations: Option<BTreeMap<String, String>>,
    }
    serde_json::from_slice::<Annotated>(manifest).ok()?.annotations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{digest, image, web};
    use longshore_aws_model::ecr::{ListImageReferrersFilter, SubjectIdentifier};

    #[test]
    fn referrers_are_those_that_name_the_subject() {
        let (bench, registry) = web();
        let subject = image(&bench, '1', &["v1"], &[]);
        let signature = image(&bench, '2', &[], &[]);
        let named = subject.clone();
        bench.write(move |tx, cx| {
            tx.images().update(&(cx.scope.clone(), "web".to_owned(), digest('2')), |row| {
                row.subject = Some(named);
                row.artifact_media_type = Some("sig".to_owned());
            });
        });
        registry.have(&signature, br#"{"annotations":{"by":"me"}}"#);
        let list = |kind: &str| {
            let filter =
                ListImageReferrersFilter { artifact_types: Some(vec![kind.to_owned()]), artifact_status: None };
            let subject_id = SubjectIdentifier { image_digest: Some(subject.clone()) };
            let input = ListImageReferrersInput {
                repository_name: "web".to_owned(),
                subject_id,
                filter: Some(filter),
                ..Default::default()
            };
            bench.call(list_image_referrers, input).expect("a list").referrers.expect("a list")
        };
        let found = list("sig");
        assert_eq!(found[0].digest, Some(signature));
        assert_eq!(found[0].annotations.as_ref().and_then(|a| a.get("by")).map(String::as_str), Some("me"));
        assert!(list("sbom").is_empty());
    }
}
