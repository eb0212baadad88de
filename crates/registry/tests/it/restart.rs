//! What survives the end of the process.

use std::sync::Arc;

use http::Method;
use longshore_registry::{Digest, Limits, OpenError, Registry};

use crate::images::push_image;
use crate::site::Site;

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let site = Site::start().await;
    let content: Vec<u8> = (0..1_500_000u32).map(|i| (i % 239) as u8).collect();
    let location = site.begin("app").await;
    site.call(Method::PATCH, &location, &[("content-range", "0-999999")], content[..1_000_000].to_vec())
        .await
        .expect(202);
    let site = site.restart().await;
    assert_eq!(site.get(&location).await.expect(204).header("range"), "0-999999");
    let headers = [("content-range", "1000000-1499999")];
    site.call(Method::PATCH, &location, &headers, content[1_000_000..].to_vec()).await.expect(202);
    let site = site.restart().await;
    let digest = Digest::of(&content);
    site.call(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
    assert_eq!(site.get(&format!("/v2/app/blobs/{digest}")).await.expect(200).body, content);
}

#[tokio::test]
async fn an_acknowledged_image_can_be_pulled_after_a_restart() {
    let site = Site::start().await;
    let manifest = push_image(&site, "app", "v1", "a").await;
    let site = site.restart().await;
    assert_eq!(site.get("/v2/app/manifests/v1").await.expect(200).body, manifest);
    for blob in ["config of a", "layer of a"] {
        let reply = site.get(&format!("/v2/app/blobs/{}", Digest::of(blob.as_bytes()))).await.expect(200);
        assert_eq!(reply.body, blob);
    }
}

#[tokio::test]
async fn leftovers_of_a_crash_are_swept() {
    let site = Site::start().await;
    std::fs::write(site.path().join("staging/half"), "x").unwrap();
    std::fs::write(site.path().join("trash/old"), "x").unwrap();
    std::fs::write(site.path().join("uploads/nonsense"), "x").unwrap();
    let site = site.restart().await;
    for directory in ["staging", "trash", "uploads"] {
        assert_eq!(std::fs::read_dir(site.path().join(directory)).unwrap().count(), 0, "{directory}");
    }
}

#[tokio::test]
async fn a_damaged_manifest_is_not_served_and_a_damaged_blob_heals() {
    let site = Site::start().await;
    let manifest = push_image(&site, "app", "v1", "a").await;
    let path = |digest: Digest| site.path().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
    let layer = Digest::of(b"layer of a");
    std::fs::write(path(Digest::of(&manifest)), "damaged").unwrap();
    std::fs::write(path(layer), "LAYER of a").unwrap();
    site.get("/v2/app/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    push_image(&site, "app", "v1", "a").await;
    assert_eq!(site.get("/v2/app/manifests/v1").await.expect(200).body, manifest);
    assert_eq!(site.get(&format!("/v2/app/blobs/{layer}")).await.expect(200).body, "layer of a");
}

#[tokio::test]
async fn a_directory_has_one_registry_at_a_time() {
    let site = Site::start().await;
    let second = Registry::open(site.path(), Arc::clone(&site.catalogue) as _, Limits::default());
    assert!(matches!(second, Err(OpenError::InUse { .. })));
}
