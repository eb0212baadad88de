//! GetDownloadUrlForLayer: a signed address of our own that serves the layer for an hour.

use super::{error, names, token};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{GetDownloadUrlForLayerInput, GetDownloadUrlForLayerOutput};
use std::time::Duration;

const GOOD_FOR: Duration = Duration::from_secs(3600);

pub async fn get_download_url_for_layer(
    backend: Backend,
    cx: Cx,
    input: GetDownloadUrlForLayerInput,
) -> Result<GetDownloadUrlForLayerOutput, AwsError> {
    let find = |state: &longshore_store::Snapshot| {
        names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)
    };
    let name = &backend.store.read(find)?.name;
    let digest = input.layer_digest;
    let size = backend.manifests.blob_size(&cx.scope, name, &digest).await.map_err(error::server)?;
    if size.is_none() {
        let text = format!(
            "The layer with digest '{digest}' does not exist in the repository with name '{name}' in the registry with id '{}'",
            cx.scope.account
        );
        return Err(AwsError::new("LayersNotFoundException", text));
    }
    let layer = token::Layer { scope: cx.scope.clone(), repository: name.clone(), digest: digest.clone() };
    let signed = token::issue_layer(&cx.settings.registry_secret, &layer, cx.now + GOOD_FOR);
    let url = format!("{}/_longshore/layers/{signed}", cx.settings.api_url);
    Ok(GetDownloadUrlForLayerOutput { download_url: Some(url), layer_digest: Some(digest) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{LAYER, digest, web};
    use crate::logs::testing::refusal;

    #[test]
    fn the_address_names_the_layer_and_is_signed() {
        let (bench, _) = web();
        let url = |digest: &str| {
            let input = GetDownloadUrlForLayerInput {
                repository_name: "web".to_owned(),
                layer_digest: digest.to_owned(),
                registry_id: None,
            };
            bench.call(get_download_url_for_layer, input)
        };
        let given = url(LAYER).expect("a layer").download_url.expect("an address");
        let signed = given.strip_prefix("http://127.0.0.1:4566/_longshore/layers/").expect("our own");
        let layer = token::verify_layer(&bench.settings.registry_secret, signed, bench.now).expect("it is ours");
        assert_eq!((layer.repository.as_str(), layer.digest.as_str()), ("web", LAYER));
        assert_eq!(token::verify_layer(&bench.settings.registry_secret, signed, bench.now + GOOD_FOR), None);
        assert!(refusal(url(&digest('9'))).starts_with("LayersNotFoundException: "));
    }
}
