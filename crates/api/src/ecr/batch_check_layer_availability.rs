//! BatchCheckLayerAvailability.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{
    BatchCheckLayerAvailabilityInput, BatchCheckLayerAvailabilityOutput, Layer, LayerFailure,
};

pub async fn batch_check_layer_availability(
    backend: Backend,
    cx: Cx,
    input: BatchCheckLayerAvailabilityInput,
) -> Result<BatchCheckLayerAvailabilityOutput, AwsError> {
    backend
        .store
        .read(|state| names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name))?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for digest in input.layer_digests {
        if !digest.starts_with("sha256:") {
            failures.push(LayerFailure {
                layer_digest: Some(digest),
                failure_code: Some("InvalidLayerDigest".to_owned()),
                failure_reason: Some("The layer digest is not a sha256 digest".to_owned()),
            });
            continue;
        }
        let size =
            backend.manifests.blob_size(&cx.scope, &input.repository_name, &digest).await.map_err(error::server)?;
        layers.push(Layer {
            layer_digest: Some(digest),
            layer_availability: Some(if size.is_some() { "AVAILABLE" } else { "UNAVAILABLE" }.to_owned()),
            layer_size: size.map(|bytes| bytes as i64),
            media_type: None,
        });
    }
    Ok(BatchCheckLayerAvailabilityOutput { layers: Some(layers), failures: Some(failures) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{LAYER, digest, web};

    #[test]
    fn a_layer_is_there_or_not_or_no_layer() {
        let (bench, _) = web();
        let layer_digests = vec![LAYER.to_owned(), digest('1'), "md5:1".to_owned()];
        let input =
            BatchCheckLayerAvailabilityInput { repository_name: "web".to_owned(), layer_digests, ..Default::default() };
        let output = bench.call(batch_check_layer_availability, input).expect("an answer");
        let layers = output.layers.into_iter().flatten();
        let layers: Vec<_> =
            layers.map(|layer| (layer.layer_availability.unwrap_or_default(), layer.layer_size)).collect();
        assert_eq!(layers, [("AVAILABLE".to_owned(), Some(42)), ("UNAVAILABLE".to_owned(), None)]);
        let failures = output.failures.expect("one");
        assert_eq!(failures[0].failure_code.as_deref(), Some("InvalidLayerDigest"));
    }
}
