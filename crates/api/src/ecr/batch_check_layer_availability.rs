//! BatchCheckLayerAvailability.

use super::{error, names};
use crate::Cx;
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{BatchCheckLayerAvailabilityInput, BatchCheckLayerAvailabilityOutput, Layer, LayerFailure};

pub async fn batch_check_layer_availability(
    backend: Backend,
    cx: Cx,
    input: BatchCheckLayerAvailabilityInput,
) -> Result<BatchCheckLayerAvailabilityOutput, AwsError> {
    backend.store.read(|state| names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name))?;
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
        let size = backend.manifests.blob_size(&cx.scope, &input.repository_name, &digest).await.map_err(error::server)?;
        layers.push(Layer {
            layer_digest: Some(digest),
            layer_availability: Some(if size.is_some() { "AVAILABLE" } else { "UNAVAILABLE" }.to_owned()),
            layer_size: size.map(|bytes| bytes as i64),
            media_type: None,
        });
    }
    Ok(BatchCheckLayerAvailabilityOutput { layers: Some(layers), failures: Some(failures) })
}
