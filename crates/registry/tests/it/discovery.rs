//! Tags and referrers.

use http::Method;
use longshore_registry::Digest;
use serde_json::{Value, json};

use crate::images::{INDEX, OCI, bytes, descriptor, image, index, push_image};
use crate::site::Site;

#[tokio::test]
async fn tags_come_in_order_and_in_pages() {
    let site = Site::start().await;
    let manifest = push_image(&site, "app", "t0", "a").await;
    for tag in ["t3", "t1", "T9", "t2"] {
        site.put_manifest("app", tag, OCI, &manifest).await.expect(201);
    }
    let all = json!({ "name": "app", "tags": ["T9", "t0", "t1", "t2", "t3"] });
    assert_eq!(site.get("/v2/app/tags/list").await.expect(200).json(), all);

    let mut target = "/v2/app/tags/list?n=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let reply = site.get(&target).await.expect(200);
        pages.push(reply.json()["tags"].clone());
        let Some(link) = reply.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        target = link.strip_prefix('<').unwrap().split_once(">; rel=\"next\"").unwrap().0.to_owned();
    }
    assert_eq!(pages, [json!(["T9", "t0"]), json!(["t1", "t2"]), json!(["t3"])]);
    assert_eq!(site.get("/v2/app/tags/list?last=t1").await.json()["tags"], json!(["t2", "t3"]));
    assert_eq!(site.get("/v2/app/tags/list?last=t11&n=1").await.json()["tags"], json!(["t2"]));
    let none = site.get("/v2/app/tags/list?n=0").await.expect(200);
    assert_eq!(none.json()["tags"], json!([]));
    assert!(none.headers.get("link").is_none());
    site.get("/v2/app/tags/list?n=x").await.expect(400);
    assert_eq!(site.get("/v2/team/app/tags/list").await.json(), json!({ "name": "team/app", "tags": [] }));
}

#[tokio::test]
async fn the_catalog_has_the_repositories_of_the_registry_in_pages() {
    let site = Site::start().await;
    let all = site.get("/v2/_catalog").await.expect(200).json()["repositories"].clone();
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"app") && names.contains(&"team/app") && names.is_sorted(), "{names:?}");
    let first = site.get("/v2/_catalog?n=1").await.expect(200);
    assert_eq!(first.json()["repositories"], json!([names[0]]));
    assert_eq!(first.header("link"), format!("</v2/_catalog?n=1&last={}>; rel=\"next\"", names[0]));
    assert_eq!(site.get(&format!("/v2/_catalog?last={}", names[0])).await.json()["repositories"], json!(names[1..]));
    site.call(Method::POST, "/v2/_catalog", &[], "").await.expect(405);
}

async fn push_referrer(site: &Site, subject: &[u8], mut manifest: Value) -> (Digest, usize) {
    manifest["subject"] = descriptor(OCI, subject);
    let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
    let content = bytes(&manifest);
    let digest = Digest::of(&content);
    let reply = site.put_manifest("app", &digest.to_string(), &media_type, &content).await.expect(201);
    assert_eq!(reply.header("oci-subject"), Digest::of(subject).to_string());
    (digest, content.len())
}

#[tokio::test]
async fn referrers_are_listed_with_what_their_manifests_say() {
    let site = Site::start().await;
    let subject = push_image(&site, "app", "v1", "a").await;
    let target = format!("/v2/app/referrers/{}", Digest::of(&subject));
    let empty = site.get(&target).await.expect(200);
    assert_eq!(empty.header("content-type"), INDEX);
    assert_eq!(empty.json(), json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }));

    site.push_blob("app", b"{}").await;
    let mut typed = image(b"{}", &[]);
    typed["artifactType"] = json!("application/vnd.example.sbom+json");
    typed["annotations"] = json!({ "a": "1" });
    let (typed, typed_size) = push_referrer(&site, &subject, typed).await;
    let (plain, plain_size) = push_referrer(&site, &subject, image(b"{}", &[])).await;
    let (list, list_size) = push_referrer(&site, &subject, index(&[])).await;

    let mut expected = [
        (
            typed,
            json!({ "mediaType": OCI, "digest": typed.to_string(), "size": typed_size,
            "artifactType": "application/vnd.example.sbom+json", "annotations": { "a": "1" } }),
        ),
        (
            plain,
            json!({ "mediaType": OCI, "digest": plain.to_string(), "size": plain_size,
            "artifactType": "application/vnd.oci.image.config.v1+json" }),
        ),
        (list, json!({ "mediaType": INDEX, "digest": list.to_string(), "size": list_size })),
    ];
    expected.sort_by_key(|(digest, _)| *digest);
    let expected: Vec<Value> = expected.into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(site.get(&target).await.json()["manifests"], json!(expected));

    for filter in ["application/vnd.example.sbom%2Bjson", "application/vnd.example.sbom+json"] {
        let reply = site.get(&format!("{target}?artifactType={filter}")).await.expect(200);
        assert_eq!(reply.header("oci-filters-applied"), "artifactType");
        assert_eq!(reply.json()["manifests"].as_array().unwrap().len(), 1);
    }
    site.call(Method::DELETE, &format!("/v2/app/manifests/{typed}"), &[], "").await.expect(202);
    assert_eq!(site.get(&target).await.json()["manifests"].as_array().unwrap().len(), 2);
    site.get("/v2/app/referrers/v1").await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_referrer_may_come_before_its_subject() {
    let site = Site::start().await;
    site.push_blob("app", b"{}").await;
    let (digest, _) = push_referrer(&site, b"not there", image(b"{}", &[])).await;
    let reply = site.get(&format!("/v2/app/referrers/{}", Digest::of(b"not there"))).await.expect(200);
    assert_eq!(reply.json()["manifests"][0]["digest"], digest.to_string());
    // Another repository does not show it.
    let other = site.get(&format!("/v2/team/app/referrers/{}", Digest::of(b"not there"))).await.expect(200);
    assert_eq!(other.json()["manifests"], json!([]));
}

#[tokio::test]
async fn long_lists_of_referrers_come_in_pages() {
    let site = Site::start().await;
    site.push_blob("app", b"{}").await;
    for i in 0..5 {
        let mut manifest = image(b"{}", &[]);
        manifest["artifactType"] = json!("a/b");
        manifest["annotations"] = json!({ "long": "x".repeat(1 << 20), "i": i.to_string() });
        push_referrer(&site, b"subject", manifest).await;
    }
    let mut target = format!("/v2/app/referrers/{}?artifactType=a/b", Digest::of(b"subject"));
    let mut counts = Vec::new();
    loop {
        let reply = site.get(&target).await.expect(200);
        assert!(reply.body.len() < 4 << 20);
        counts.push(reply.json()["manifests"].as_array().unwrap().len());
        let Some(link) = reply.headers.get("link") else { break };
        target = link.to_str().unwrap().trim_start_matches('<').split_once('>').unwrap().0.to_owned();
    }
    assert_eq!(counts, [2, 2, 1]);
}
