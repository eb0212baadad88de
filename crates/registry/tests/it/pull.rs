//! Getting blobs and manifests.

use http::Method;
use longshore_registry::Digest;
use serde_json::json;

use crate::images::{DOCKER, INDEX, LIST, OCI, bytes, descriptor, image, index, push_image};
use crate::site::Site;

#[tokio::test]
async fn the_root_says_which_protocol_this_is() {
    let site = Site::start().await;
    for target in ["/v2/", "/v2"] {
        let reply = site.get(target).await.expect(200);
        assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0");
    }
}

#[tokio::test]
async fn a_blob_comes_back_as_pushed() {
    let site = Site::start().await;
    let content: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let digest = site.push_blob("team/app", &content).await;
    let target = format!("/v2/team/app/blobs/{digest}");
    let reply = site.get(&target).await.expect(200);
    assert_eq!(reply.body, content);
    assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    let head = site.call(Method::HEAD, &target, &[], "").await.expect(200);
    assert_eq!(head.header("content-length"), content.len().to_string());
    assert_eq!(head.header("docker-content-digest"), digest.to_string());
    assert!(head.body.is_empty());
    let etag = reply.header("etag").to_owned();
    site.call(Method::GET, &target, &[("if-none-match", &etag)], "").await.expect(304);
    // Another repository of the same account does not have it.
    site.get(&format!("/v2/app/blobs/{digest}")).await.expect_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn the_empty_blob_is_a_blob() {
    let site = Site::start().await;
    let digest = site.push_blob("app", b"").await;
    let reply = site.get(&format!("/v2/app/blobs/{digest}")).await.expect(200);
    assert_eq!((reply.header("content-length"), reply.body.len()), ("0", 0));
}

#[tokio::test]
async fn parts_of_a_blob() {
    let site = Site::start().await;
    let digest = site.push_blob("app", b"0123456789").await;
    let target = format!("/v2/app/blobs/{digest}");
    let part = |range: &'static str| {
        let (site, target) = (&site, &target);
        async move { site.call(Method::GET, target, &[("range", range)], "").await }
    };
    for (range, content, content_range) in
        [("bytes=0-3", "0123", "bytes 0-3/10"), ("bytes=7-", "789", "bytes 7-9/10"), ("bytes=-2", "89", "bytes 8-9/10")]
    {
        let reply = part(range).await.expect(206);
        assert_eq!((&reply.body[..], reply.header("content-range")), (content.as_bytes(), content_range));
    }
    let reply = part("bytes=10-12").await.expect(416);
    assert_eq!(reply.header("content-range"), "bytes */10");
    assert_eq!(part("bytes=0-1,4-5").await.expect(200).body, "0123456789");
    let headers = [("range", "bytes=0-0"), ("if-range", "\"sha256:other\"")];
    assert_eq!(site.call(Method::GET, &target, &headers, "").await.expect(200).body, "0123456789");
}

#[tokio::test]
async fn unknown_things_are_told_by_their_codes() {
    let site = Site::start().await;
    let absent = Digest::of(b"absent");
    site.get(&format!("/v2/app/blobs/{absent}")).await.expect_error(404, "BLOB_UNKNOWN");
    site.get("/v2/app/blobs/sha256:abc").await.expect_error(400, "DIGEST_INVALID");
    site.get(&format!("/v2/app/blobs/sha512:{0}{0}", absent.hex())).await.expect_error(400, "DIGEST_INVALID");
    site.get("/v2/app/manifests/absent").await.expect_error(404, "MANIFEST_UNKNOWN");
    site.get("/v2/app/manifests/.INVALID_MANIFEST_NAME").await.expect_error(404, "MANIFEST_UNKNOWN");
    site.get(&format!("/v2/app/manifests/{absent}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    site.get("/v2/App/tags/list").await.expect_error(400, "NAME_INVALID");
    let head = site.call(Method::HEAD, &format!("/v2/app/blobs/{absent}"), &[], "").await.expect(404);
    assert!(head.body.is_empty());
    site.call(Method::DELETE, &format!("/v2/app/blobs/{absent}"), &[], "").await.expect_error(405, "UNSUPPORTED");
}

#[tokio::test]
async fn a_manifest_comes_back_by_tag_and_digest() {
    let site = Site::start().await;
    let manifest = push_image(&site, "app", "v1", "a").await;
    let digest = Digest::of(&manifest);
    for reference in ["v1".to_owned(), digest.to_string(), digest.to_string().replace(':', "%3A")] {
        let target = format!("/v2/app/manifests/{reference}");
        let reply = site.get(&target).await.expect(200);
        assert_eq!(reply.body, manifest);
        assert_eq!(reply.header("docker-content-digest"), digest.to_string());
        assert_eq!(reply.header("content-type"), OCI);
        let head = site.call(Method::HEAD, &target, &[], "").await.expect(200);
        assert_eq!(head.header("content-length"), manifest.len().to_string());
        assert_eq!(head.header("content-type"), OCI);
    }
    // A manifest is not a blob of its repository.
    site.get(&format!("/v2/app/blobs/{digest}")).await.expect(404);
}

#[tokio::test]
async fn all_four_types_are_stored_and_accept_is_obeyed() {
    let site = Site::start().await;
    site.push_blob("app", b"c").await;
    site.push_blob("app", b"l").await;
    let oci = image(b"c", &[b"l"]);
    let mut docker = oci.clone();
    docker["mediaType"] = json!(DOCKER);
    let (oci, docker) = (bytes(&oci), bytes(&docker));
    let list = index(&[descriptor(OCI, &oci), descriptor(DOCKER, &docker)]);
    let mut docker_list = list.clone();
    docker_list["mediaType"] = json!(LIST);
    let (list, docker_list) = (bytes(&list), bytes(&docker_list));
    let all = [(OCI, "oci", &oci), (DOCKER, "docker", &docker), (INDEX, "index", &list), (LIST, "list", &docker_list)];
    for (media_type, tag, manifest) in all {
        site.put_manifest("app", tag, media_type, manifest).await.expect(201);
    }
    for (media_type, tag, manifest) in all {
        let target = format!("/v2/app/manifests/{tag}");
        let accepts = |accept: String| {
            let (site, target) = (&site, &target);
            async move { site.call(Method::GET, target, &[("accept", &accept)], "").await }
        };
        for accept in [media_type.to_owned(), format!("text/x, {media_type};q=0.5"), "*/*".into(), "text/html".into()] {
            let reply = accepts(accept).await.expect(200);
            assert_eq!((reply.header("content-type"), &reply.body[..]), (media_type, &manifest[..]));
        }
        let other = if media_type == OCI { DOCKER } else { OCI };
        accepts(other.to_owned()).await.expect_error(404, "MANIFEST_UNKNOWN");
    }
}
