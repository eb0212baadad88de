//! Manifests for tests.

use longshore_registry::Digest;
use serde_json::{Value, json};

use crate::site::Site;

pub const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(content).to_string(), "size": content.len() })
}

pub fn image(config: &[u8], layers: &[&[u8]]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
    json!({ "schemaVersion": 2, "mediaType": OCI, "config": descriptor(CONFIG, config), "layers": layers })
}

pub fn index(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

pub fn bytes(manifest: &Value) -> Vec<u8> {
    serde_json::to_vec(manifest).unwrap()
}

/// Pushes blobs and manifest of a small image of its own content; the manifest's bytes.
pub async fn push_image(site: &Site, name: &str, tag: &str, content: &str) -> Vec<u8> {
    let (config, layer) = (format!("config of {content}"), format!("layer of {content}"));
    site.push_blob(name, config.as_bytes()).await;
    site.push_blob(name, layer.as_bytes()).await;
    let manifest = bytes(&image(config.as_bytes(), &[layer.as_bytes()]));
    site.put_manifest(name, tag, OCI, &manifest).await.expect(201);
    manifest
}
