//! Who gets in, and what the others learn.

use http::Method;
use longshore_registry::Digest;

use crate::images::push_image;
use crate::site::{PULLER, PUSHER, STRANGER, Site, basic, repository};

const ECR_HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

#[tokio::test]
async fn without_credentials_the_client_is_asked_for_them() {
    let site = Site::start().await;
    for target in ["/v2/", "/v2/app/tags/list", "/v2/absent/tags/list", "/v2/BAD/tags/list", "/v2/nonsense"] {
        let reply = site.raw(Method::GET, target, &[("host", ECR_HOST)], "").await.expect_error(401, "UNAUTHORIZED");
        let challenge = format!(r#"Basic realm="https://{ECR_HOST}/",service="ecr.amazonaws.com""#);
        assert_eq!(reply.header("www-authenticate"), challenge);
        assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0");
    }
}

#[tokio::test]
async fn a_host_that_is_none_does_not_get_into_the_challenge() {
    let site = Site::start().await;
    for host in [r#"x",service="evil"#, "a/b", "a b", "user@host"] {
        let reply = site.raw(Method::GET, "/v2/", &[("host", host)], "").await.expect(401);
        let challenge = r#"Basic realm="https://ecr.amazonaws.com/",service="ecr.amazonaws.com""#;
        assert_eq!(reply.header("www-authenticate"), challenge);
    }
}

#[tokio::test]
async fn bad_credentials_are_as_good_as_none() {
    let site = Site::start().await;
    let good = basic(PUSHER);
    let wrong = basic("guess");
    let bearer = good.replace("Basic", "Bearer");
    for authorization in [wrong.as_str(), "Basic", "Basic %%%", bearer.as_str(), ""] {
        let headers = [("host", ECR_HOST), ("authorization", authorization)];
        site.raw(Method::GET, "/v2/", &headers, "").await.expect_error(401, "UNAUTHORIZED");
    }
    let twice = [("host", ECR_HOST), ("authorization", good.as_str()), ("authorization", wrong.as_str())];
    site.raw(Method::GET, "/v2/", &twice, "").await.expect(401);
    site.raw(Method::GET, "/v2/", &twice[..2], "").await.expect(200);
}

#[tokio::test]
async fn a_puller_cannot_push_or_delete() {
    let site = Site::start().await;
    let manifest = push_image(&site, "app", "v1", "a").await;
    let digest = Digest::of(&manifest);
    let as_puller = |method, target: String| {
        let site = &site;
        async move { site.call_as(PULLER, method, &target, &[], "x").await }
    };
    as_puller(Method::GET, "/v2/app/manifests/v1".into()).await.expect(200);
    for (method, target) in [
        (Method::POST, "/v2/app/blobs/uploads/".to_owned()),
        (Method::POST, format!("/v2/team/app/blobs/uploads/?mount={digest}&from=app")),
        (Method::PUT, "/v2/app/manifests/v2".into()),
        (Method::DELETE, "/v2/app/manifests/v1".into()),
    ] {
        as_puller(method, target).await.expect_error(403, "DENIED");
    }
    let location = site.begin("app").await;
    for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
        as_puller(method, location.clone()).await.expect_error(403, "DENIED");
    }
}

#[tokio::test]
async fn a_puller_gets_what_was_imported_and_imports_nothing() {
    let site = Site::start().await;
    let cached = repository("cached/app");
    site.catalogue.add_upstream(cached.clone());
    let get = |who, target: &'static str| site.call_as(who, Method::GET, target, &[], "");
    get(PULLER, "/v2/cached/app/manifests/v1").await.expect_error(403, "DENIED");
    get(PUSHER, "/v2/cached/app/tags/list").await.expect_error(404, "NAME_UNKNOWN");
    assert_eq!(site.catalogue.imports(&cached), 0);

    get(PUSHER, "/v2/cached/app/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(site.catalogue.imports(&cached), 1, "and the repository is there");
    push_image(&site, "cached/app", "v1", "a").await;
    get(PULLER, "/v2/cached/app/manifests/v1").await.expect(200);
    get(PULLER, "/v2/cached/app/manifests/v2").await.expect_error(403, "DENIED");
    assert_eq!(site.catalogue.imports(&cached), 1);
    // Where nothing is imported, that right makes no difference.
    get(PULLER, "/v2/app/manifests/v2").await.expect_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn repositories_of_another_account_are_out_of_reach() {
    let site = Site::start().await;
    let manifest = push_image(&site, "app", "v1", "secret").await;
    let layer = Digest::of(b"layer of secret");
    let location = site.begin("app").await;
    let digest = Digest::of(&manifest);

    // With the victim's host.
    let authorization = basic(STRANGER);
    let headers = [("host", ECR_HOST), ("authorization", authorization.as_str())];
    site.raw(Method::GET, "/v2/app/manifests/v1", &headers, "").await.expect_error(403, "DENIED");
    site.raw(Method::GET, "/v2/", &headers, "").await.expect_error(403, "DENIED");
    // With its own: the names are the same, the repositories are not.
    for target in [
        "/v2/app/manifests/v1".to_owned(),
        format!("/v2/app/manifests/{digest}"),
        format!("/v2/app/blobs/{layer}"),
        location.clone(),
    ] {
        site.call_as(STRANGER, Method::GET, &target, &[], "").await.expect(404);
    }
    site.call_as(STRANGER, Method::PATCH, &location, &[], "x").await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    // A mount does not reach over, and neither does a manifest that names a blob one does not have.
    let target = format!("/v2/app/blobs/uploads/?mount={layer}&from=app");
    site.call_as(STRANGER, Method::POST, &target, &[], "").await.expect(202);
    let headers = [("content-type", crate::images::OCI)];
    let put = site.call_as(STRANGER, Method::PUT, "/v2/app/manifests/v1", &headers, manifest).await;
    put.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    site.call_as(STRANGER, Method::GET, &format!("/v2/app/blobs/{layer}"), &[], "").await.expect(404);
}

#[tokio::test]
async fn a_repository_that_does_not_exist_is_not_made_by_pushing() {
    let site = Site::start().await;
    let reply = site.call(Method::POST, "/v2/absent/blobs/uploads/", &[], "").await.expect_error(404, "NAME_UNKNOWN");
    let message = "The repository with name 'absent' does not exist in the registry with id '123456789012'";
    assert_eq!(reply.json()["errors"][0]["message"], message);
    site.get("/v2/absent/tags/list").await.expect_error(404, "NAME_UNKNOWN");
    site.get("/v2/absent/manifests/v1").await.expect_error(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn paths_out_of_the_directory_are_not_names() {
    let site = Site::start().await;
    for target in [
        "/v2/../../../etc/passwd/tags/list",
        "/v2/..%2f..%2fetc/tags/list",
        "/v2/app/../team/tags/list",
        "/v2/app%00/tags/list",
        "/v2/app/blobs/sha256:..%2f..%2f..%2fregistry",
        "/v2/app/blobs/uploads/..%2flock",
        "/v2/app/blobs/uploads/../../lock",
        "/v2/.app/tags/list",
        "/v2/app+x/tags/list",
    ] {
        let reply = site.get(target).await;
        assert!(matches!(reply.status.as_u16(), 400 | 404), "{target}: {reply:?}");
    }
}
