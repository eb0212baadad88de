//! Deleting, and the direct methods that the ECR API uses.

use bytes::Bytes;
use http::Method;
use longshore_registry::{Digest, PutImageOutcome, PutManifest, PutManifestError, Reference, Tag, UploadError};

use crate::images::{INDEX, OCI, bytes, descriptor, image, index, push_image};
use crate::site::{Site, repository};

#[tokio::test]
async fn a_tag_goes_alone_and_a_digest_takes_its_tags() {
    let site = Site::start().await;
    let manifest = push_image(&site, "app", "v1", "a").await;
    site.put_manifest("app", "v2", OCI, &manifest).await.expect(201);
    let digest = Digest::of(&manifest);
    let delete = |reference: String| {
        let site = &site;
        async move { site.call(Method::DELETE, &format!("/v2/app/manifests/{reference}"), &[], "").await }
    };
    delete("v1".into()).await.expect(202);
    delete("v1".into()).await.expect_error(404, "MANIFEST_UNKNOWN");
    site.get("/v2/app/manifests/v1").await.expect(404);
    site.get("/v2/app/manifests/v2").await.expect(200);
    delete(digest.to_string()).await.expect(202);
    for reference in ["v2".to_owned(), digest.to_string()] {
        site.get(&format!("/v2/app/manifests/{reference}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    }
}

#[tokio::test]
async fn an_image_of_an_index_stays_while_the_index_does() {
    let site = Site::start().await;
    let manifest = push_image(&site, "app", "v1", "a").await;
    let list = bytes(&index(&[descriptor(OCI, &manifest)]));
    site.put_manifest("app", "list", INDEX, &list).await.expect(201);
    let target = format!("/v2/app/manifests/{}", Digest::of(&manifest));
    site.call(Method::DELETE, &target, &[], "").await.expect_error(403, "DENIED");
    site.call(Method::DELETE, &format!("/v2/app/manifests/{}", Digest::of(&list)), &[], "").await.expect(202);
    site.call(Method::DELETE, &target, &[], "").await.expect(202);
}

#[tokio::test]
async fn the_direct_methods_push_and_read_an_image() {
    let site = Site::start().await;
    let (registry, app) = (&site.registry, repository("app"));
    let id = registry.begin_upload(&app).await.unwrap();
    assert_eq!(registry.append_upload(&app, id, 0, Bytes::from("lay")).await.unwrap(), 3);
    let early = registry.append_upload(&app, id, 2, Bytes::from("x")).await;
    assert!(matches!(early, Err(UploadError::OutOfOrder { offset: 3 })), "{early:?}");
    assert_eq!(registry.append_upload(&app, id, 3, Bytes::from("er")).await.unwrap(), 5);
    let layer = Digest::of(b"layer");
    assert_eq!(registry.finish_upload(&app, id, &layer).await.unwrap(), 5);
    assert_eq!(registry.blob_size(&app, &layer).await.unwrap(), Some(5));
    assert_eq!(registry.blob_size(&repository("team/app"), &layer).await.unwrap(), None);

    let manifest = Bytes::from(bytes(&image(b"config", &[b"layer"])));
    let tag = Tag::parse("v1").unwrap();
    let put = || PutManifest { bytes: manifest.clone(), media_type: None, tags: vec![tag.clone()], digest: None };
    let missing = registry.put_manifest(&app, put()).await;
    assert!(matches!(missing, Err(PutManifestError::LayersNotFound { digests }) if digests == [Digest::of(b"config")]));
    site.push_blob("app", b"config").await;
    let done = registry.put_manifest(&app, put()).await.unwrap();
    assert_eq!((done.digest, done.outcome), (Digest::of(&manifest), PutImageOutcome::Changed));
    assert_eq!(registry.put_manifest(&app, put()).await.unwrap().outcome, PutImageOutcome::Unchanged);
    let absent = registry.put_manifest(&repository("absent"), put()).await;
    assert!(matches!(absent, Err(PutManifestError::RepositoryNotFound)));

    let by_tag = Reference::Tag(tag);
    assert_eq!(registry.manifest(&app, &by_tag).await.unwrap().unwrap().bytes, manifest);
    let ranged = [(http::header::RANGE, http::HeaderValue::from_static("bytes=1-2"))].into_iter().collect();
    assert_eq!(registry.serve_blob(&app, &layer, &ranged, false).await.status(), 206);
    registry.delete_manifest(&app, &by_tag).await.unwrap();
    assert_eq!(registry.manifest(&app, &by_tag).await.unwrap(), None);
}

#[tokio::test]
async fn a_repository_made_again_begins_empty() {
    let site = Site::start().await;
    push_image(&site, "app", "v1", "a").await;
    let layer = Digest::of(b"layer of a");
    let location = site.begin("app").await;
    site.catalogue.remove_repository(&repository("app"));
    site.get(&format!("/v2/app/blobs/{layer}")).await.expect_error(404, "NAME_UNKNOWN");
    site.registry.forget_repository(&repository("app")).await.unwrap();
    site.catalogue.add_repository(repository("app"), false);
    site.get(&format!("/v2/app/blobs/{layer}")).await.expect_error(404, "BLOB_UNKNOWN");
    site.get("/v2/app/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    site.get(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}
