//! Sending blobs and manifests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use http::Method;
use longshore_registry::{Digest, KeptFree, Limits};
use serde_json::json;

use crate::images::{INDEX, OCI, bytes, descriptor, image, index, push_image};
use crate::site::{PUSHER, Site, basic};

#[tokio::test]
async fn a_blob_in_one_post() {
    let site = Site::start().await;
    let digest = Digest::of(b"at once");
    let target = format!("/v2/app/blobs/uploads/?digest={}", digest.to_string().replace(':', "%3A"));
    let reply = site.call(Method::POST, &target, &[], "at once").await.expect(201);
    assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    assert_eq!(site.get(reply.header("location")).await.expect(200).body, "at once");
    site.call(Method::POST, &target, &[], "something else").await.expect_error(400, "DIGEST_INVALID");
    site.call(Method::POST, "/v2/app/blobs/uploads/?digest=md5:x", &[], "x").await.expect_error(400, "DIGEST_INVALID");
    assert_eq!(uploads_on_disk(&site), 0);
}

#[tokio::test]
async fn an_upload_that_will_end_in_another_digest_is_refused_when_it_begins() {
    let site = Site::start().await;
    let begin = async |algorithm: &str| {
        site.call(Method::POST, &format!("/v2/app/blobs/uploads/?digest-algorithm={algorithm}"), &[], "").await
    };
    begin("sha256").await.expect(202);
    let begun = uploads_on_disk(&site);
    for algorithm in ["sha512", "blake3", "SHA256", ""] {
        begin(algorithm).await.expect_error(400, "DIGEST_INVALID");
    }
    assert_eq!(uploads_on_disk(&site), begun);
}

#[tokio::test]
async fn a_blob_in_chunks() {
    let site = Site::start().await;
    let mut location = site.begin("app").await;
    for (range, content, received) in [("0-3", "0123", "0-3"), ("4-4", "4", "0-4"), ("5-9", "56789", "0-9")] {
        let reply = site.call(Method::PATCH, &location, &[("content-range", range)], content).await.expect(202);
        assert_eq!(reply.header("range"), received);
        location = reply.header("location").to_owned();
        let status = site.get(&location).await.expect(204);
        assert_eq!((status.header("range"), status.header("location")), (received, location.as_str()));
    }
    let digest = Digest::of(b"0123456789ab");
    let target = format!("{location}?digest={digest}");
    let reply = site.call(Method::PUT, &target, &[("content-range", "10-11")], "ab").await.expect(201);
    assert_eq!(site.get(reply.header("location")).await.body, "0123456789ab");
    // It is over.
    site.get(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    site.call(Method::PUT, &target, &[], "").await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(uploads_on_disk(&site), 0);
}

#[tokio::test]
async fn chunks_without_a_range_are_appended() {
    let site = Site::start().await;
    let location = site.begin("app").await;
    site.call(Method::PATCH, &location, &[], "one ").await.expect(202);
    site.call(Method::PATCH, &location, &[], "two").await.expect(202);
    let target = format!("{location}?digest={}", Digest::of(b"one two"));
    site.call(Method::PUT, &target, &[], "").await.expect(201);
}

#[tokio::test]
async fn chunks_that_do_not_fit_leave_no_trace() {
    let site = Site::start().await;
    let location = site.begin("app").await;
    site.call(Method::PATCH, &location, &[("content-range", "0-3")], "0123").await.expect(202);
    let chunk = |method, target: String, range: &'static str, content: &'static str| {
        let site = &site;
        async move { site.call(method, &target, &[("content-range", range)], content).await }
    };
    for range in ["0-3", "3-6", "5-8"] {
        let reply =
            chunk(Method::PATCH, location.clone(), range, "xxxx").await.expect_error(416, "BLOB_UPLOAD_INVALID");
        assert_eq!((reply.header("range"), reply.header("location")), ("0-3", location.as_str()));
    }
    let digest = Digest::of(b"01234");
    let finish = format!("{location}?digest={digest}");
    chunk(Method::PUT, finish.clone(), "9-9", "4").await.expect(416);
    for range in ["4-8", "4-4", "4-", "x", "8-4", "4-18446744073709551615"] {
        chunk(Method::PATCH, location.clone(), range, "xx").await.expect_error(400, "SIZE_INVALID");
    }
    assert_eq!(site.get(&location).await.expect(204).header("range"), "0-3");
    chunk(Method::PUT, finish, "4-4", "4").await.expect(201);
}

#[tokio::test]
async fn chunked_transfer_is_held_to_its_range_too() {
    let site = Site::start().await;
    let location = site.begin("app").await;
    for body in ["2\r\nab\r\n0\r\n\r\n", "4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n"] {
        let request = format!(
            "PATCH {location} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-range: 0-3\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n\r\n{body}",
            basic(PUSHER),
        );
        let answer = exchange(&site, request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(site.registry.upload_offset(&crate::site::repository("app"), id_of(&location)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_chunk_that_breaks_off_can_be_gone_on_from() {
    let site = Site::start().await;
    let location = site.begin("app").await;
    let request = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: 100\r\n\r\n0123456",
        basic(PUSHER),
    );
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    // The status waits for the broken request to end.
    let status = site.get(&location).await.expect(204);
    assert_eq!(status.header("range"), "0-6");
    site.call(Method::PATCH, &location, &[("content-range", "7-9")], "789").await.expect(202);
    let target = format!("{location}?digest={}", Digest::of(b"0123456789"));
    site.call(Method::PUT, &target, &[], "").await.expect(201);
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let site = Site::start_with(Limits { body_idle_max: Duration::from_millis(100), ..Limits::default() }).await;
    let location = site.begin("app").await;
    for target in [location.as_str(), "/v2/app/manifests/v1"] {
        let method = if target == location { "PATCH" } else { "PUT" };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: 9\r\n\r\n01",
            basic(PUSHER),
        );
        let answer = exchange(&site, request).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert_eq!(site.get(&location).await.expect(204).header("range"), "0-1");
}

#[tokio::test]
async fn a_wrong_digest_ends_the_upload() {
    let site = Site::start().await;
    let location = site.begin("app").await;
    let target = format!("{location}?digest={}", Digest::of(b"meant"));
    site.call(Method::PUT, &target, &[], "sent").await.expect_error(400, "DIGEST_INVALID");
    site.call(Method::PUT, &target, &[], "meant").await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    site.get(&format!("/v2/app/blobs/{}", Digest::of(b"sent"))).await.expect(404);
    let location = site.begin("app").await;
    site.call(Method::PUT, &location, &[], "x").await.expect_error(400, "DIGEST_INVALID");
    site.call(Method::PUT, &format!("{location}?digest=sha256:x"), &[], "x").await.expect_error(400, "DIGEST_INVALID");
    assert_eq!(site.get(&location).await.expect(204).header("range"), "0-0");
}

#[tokio::test]
async fn an_upload_can_be_cancelled() {
    let site = Site::start().await;
    let location = site.begin("app").await;
    site.call(Method::PATCH, &location, &[], "some").await.expect(202);
    site.call(Method::DELETE, &location, &[], "").await.expect(204);
    site.call(Method::DELETE, &location, &[], "").await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(uploads_on_disk(&site), 0);
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let site = Site::start().await;
    let location = site.begin("app").await;
    let elsewhere = location.replace("/app/", "/team/app/");
    site.get(&elsewhere).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    let target = format!("{elsewhere}?digest={}", Digest::of(b"x"));
    site.call(Method::PUT, &target, &[], "x").await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    site.get("/v2/app/blobs/uploads/00000000000000000000000000000000").await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn blobs_and_uploads_have_limits() {
    let limits = Limits { blob_bytes_max: 10, uploads_open_max: 2, manifest_bytes_max: 1000, ..Limits::default() };
    let site = Site::start_with(limits).await;
    let location = site.begin("app").await;
    site.begin("team/app").await;
    site.call(Method::POST, "/v2/app/blobs/uploads/", &[], "").await.expect_error(429, "TOOMANYREQUESTS");
    site.call(Method::PATCH, &location, &[], "0123456").await.expect(202);
    site.call(Method::PATCH, &location, &[], "7890").await.expect_error(413, "SIZE_INVALID");
    let request = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n4\r\n7890\r\n0\r\n\r\n",
        basic(PUSHER),
    );
    let answer = exchange(&site, request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(site.get(&location).await.expect(204).header("range"), "0-6");
    site.put_manifest("app", "v1", OCI, &[b' '; 1001]).await.expect_error(413, "SIZE_INVALID");
}

#[tokio::test]
async fn uploads_stop_before_the_disk_is_full() {
    let kept_free = KeptFree { bytes: u64::MAX, percent: 200 };
    let site = Site::start_with(Limits { kept_free, ..Limits::default() }).await;
    let location = site.begin("app").await;
    let reply = site.call(Method::PATCH, &location, &[], "content").await.expect_error(507, "UNKNOWN");
    let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    let directory = site.path().display().to_string();
    let says = ["disk is full: ", &format!(" MiB are free in {directory} and "), " MiB are kept free: free some"];
    assert!(says.iter().all(|text| message.contains(text)), "{message}");
    assert_eq!(std::fs::read_dir(site.path().join("uploads")).unwrap().count(), 0, "it keeps no room itself");
    site.get(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    let manifest = bytes(&index(&[]));
    site.put_manifest("app", "v1", INDEX, &manifest).await.expect_error(507, "UNKNOWN");
    assert_eq!(std::fs::read_dir(site.path().join("staging")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trickle_of_manifests_does_not_keep_others_out() {
    let limits = Limits { large_manifests_max: 1, body_idle_max: Duration::from_millis(600), ..Limits::default() };
    let site = Site::start_with(limits).await;
    let start = std::time::Instant::now();
    let mut stream = TcpStream::connect(site.address).unwrap();
    let head = format!(
        "PUT /v2/app/manifests/v1 HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: 1000000\r\n\r\n",
        basic(PUSHER),
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[b' '; 100_000]).unwrap();
    let trickle = std::thread::spawn(move || {
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // A usual one passes by, an unusual one waits until the trickle's time is over.
    push_image(&site, "app", "v1", "a").await;
    assert!(start.elapsed() < Duration::from_millis(500));
    let config = Digest::of(b"config of a");
    let mut large = image(b"config of a", &[]);
    large["annotations"] = json!({ "a": "x".repeat(200_000) });
    site.put_manifest("app", "large", OCI, &bytes(&large)).await.expect(201);
    site.get(&format!("/v2/app/blobs/{config}")).await.expect(200);
    tokio::task::spawn_blocking(move || trickle.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_blob_is_mounted_from_another_repository() {
    let site = Site::start().await;
    let digest = site.push_blob("app", b"shared").await;
    let mount = |from: &'static str| {
        let site = &site;
        async move {
            let target = format!("/v2/team/app/blobs/uploads/?mount={digest}{from}");
            site.call(Method::POST, &target, &[], "").await
        }
    };
    // Not there, no such repository, no name, no source: an ordinary upload begins.
    for from in ["&from=frozen", "&from=absent", "&from=..", ""] {
        let reply = mount(from).await.expect(202);
        assert!(reply.header("location").contains("/uploads/"));
    }
    site.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(404);
    let reply = mount("&from=app").await.expect(201);
    assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    assert_eq!(site.get(reply.header("location")).await.expect(200).body, "shared");
    let bad = "/v2/team/app/blobs/uploads/?mount=sha256:x&from=app";
    site.call(Method::POST, bad, &[], "").await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_push_the_same_blob_at_once() {
    let site = std::sync::Arc::new(Site::start().await);
    let content: Vec<u8> = (0..2_000_000u32).map(|i| (i % 241) as u8).collect();
    let mut pushes = tokio::task::JoinSet::new();
    for i in 0..12 {
        let (site, content) = (site.clone(), content.clone());
        pushes.spawn(async move { site.push_blob(if i % 2 == 0 { "app" } else { "team/app" }, &content).await });
    }
    let digests = pushes.join_all().await;
    for name in ["app", "team/app"] {
        assert_eq!(site.get(&format!("/v2/{name}/blobs/{}", digests[0])).await.expect(200).body, content);
    }
    assert_eq!(uploads_on_disk(&site), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_on_one_upload_take_turns() {
    let site = std::sync::Arc::new(Site::start().await);
    let location = site.begin("app").await;
    let mut appends = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (site, location) = (site.clone(), location.clone());
        appends.spawn(async move { site.call(Method::PATCH, &location, &[], vec![7; 100_000]).await.expect(202) });
    }
    appends.join_all().await;
    let target = format!("{location}?digest={}", Digest::of(&vec![7; 800_000]));
    site.call(Method::PUT, &target, &[], "").await.expect(201);
}

#[tokio::test]
async fn a_manifest_needs_its_blobs() {
    let site = Site::start().await;
    let manifest = bytes(&image(b"c", &[b"l"]));
    let reply = site.put_manifest("app", "v1", OCI, &manifest).await.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with(&format!("Layers with digests '[{}, {}]'", Digest::of(b"c"), Digest::of(b"l"))),
        "{message}"
    );
    site.push_blob("app", b"c").await;
    // Having it in another repository does not help.
    site.push_blob("team/app", b"l").await;
    site.put_manifest("app", "v1", OCI, &manifest).await.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    site.push_blob("app", b"l").await;
    site.put_manifest("app", "v1", OCI, &manifest).await.expect(201);
    let list = bytes(&index(&[descriptor(OCI, &manifest), descriptor(OCI, b"absent")]));
    let reply = site.put_manifest("app", "list", INDEX, &list).await.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(reply.json()["errors"][0]["message"].as_str().unwrap().starts_with("Images with digests '["));
    let list = bytes(&index(&[descriptor(OCI, &manifest), descriptor("application/x", b"l")]));
    site.put_manifest("app", "list", INDEX, &list).await.expect(201);
}

#[tokio::test]
async fn manifests_that_are_none_are_refused() {
    let site = Site::start().await;
    site.push_blob("app", b"c").await;
    let good = image(b"c", &[]);
    let mut wrong_size = good.clone();
    wrong_size["config"]["size"] = json!(2);
    let mut both = good.clone();
    both["manifests"] = json!([]);
    for (media_type, manifest) in [
        (OCI, b"".to_vec()),
        (OCI, b"{".to_vec()),
        (OCI, bytes(&wrong_size)),
        (OCI, bytes(&both)),
        (INDEX, bytes(&good)),
        ("application/json", bytes(&good)),
        ("", bytes(&good)),
    ] {
        site.put_manifest("app", "v1", media_type, &manifest).await.expect_error(400, "MANIFEST_INVALID");
    }
    site.put_manifest("app", ".v1", OCI, &bytes(&good)).await.expect_error(400, "TAG_INVALID");
    let other = Digest::of(b"other").to_string();
    site.put_manifest("app", &other, OCI, &bytes(&good)).await.expect_error(400, "DIGEST_INVALID");
    site.put_manifest("app", "sha256:short", OCI, &bytes(&good)).await.expect_error(400, "DIGEST_INVALID");
    // Without a content type the document speaks for itself.
    site.call(Method::PUT, "/v2/app/manifests/v1", &[], bytes(&good)).await.expect(201);
}

#[tokio::test]
async fn a_manifest_by_digest_may_bring_tags() {
    let site = Site::start().await;
    site.push_blob("app", b"c").await;
    let manifest = bytes(&image(b"c", &[]));
    let digest = Digest::of(&manifest);
    let reply = site.put_manifest("app", &digest.to_string(), OCI, &manifest).await.expect(201);
    assert_eq!(reply.header("location"), format!("/v2/app/manifests/{digest}"));
    assert_eq!(site.get("/v2/app/tags/list").await.json(), json!({ "name": "app", "tags": [] }));
    let reply = site.put_manifest("app", &format!("{digest}?tag=a&tag=b"), OCI, &manifest).await.expect(201);
    let tags: Vec<_> = reply.headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["a", "b"]);
    site.get("/v2/app/manifests/b").await.expect(200);
    site.put_manifest("app", &format!("{digest}?tag=a/b"), OCI, &manifest).await.expect_error(400, "TAG_INVALID");
}

#[tokio::test]
async fn a_tag_moves_unless_tags_are_immutable() {
    let site = Site::start().await;
    push_image(&site, "app", "v1", "one").await;
    let two = push_image(&site, "app", "v1", "two").await;
    assert_eq!(site.get("/v2/app/manifests/v1").await.body, two);

    let one = push_image(&site, "frozen", "v1", "one").await;
    site.push_blob("frozen", b"c").await;
    let other = bytes(&image(b"c", &[]));
    let reply = site.put_manifest("frozen", "v1", OCI, &other).await.expect_error(400, "TAG_INVALID");
    let message = "The image tag 'v1' already exists in the 'frozen' repository and cannot be overwritten because the \
                   repository is immutable.";
    assert_eq!(reply.json()["errors"][0]["message"], message);
    assert_eq!(site.get("/v2/frozen/manifests/v1").await.body, one);
    site.put_manifest("frozen", "v1", OCI, &one).await.expect(201);
}

#[tokio::test]
async fn layers_from_elsewhere_are_not_asked_for() {
    let site = Site::start().await;
    site.push_blob("app", b"c").await;
    let mut manifest = image(b"c", &[b"foreign"]);
    manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    manifest["layers"][0]["urls"] = json!(["https://example.com/layer"]);
    site.put_manifest("app", "v1", OCI, &bytes(&manifest)).await.expect(201);
}

fn id_of(location: &str) -> longshore_registry::UploadId {
    longshore_registry::UploadId::parse(location.rsplit('/').next().unwrap()).unwrap()
}

fn uploads_on_disk(site: &Site) -> usize {
    std::fs::read_dir(site.path().join("uploads")).unwrap().count()
}

/// Sends bytes and reads the answer to the end of the connection or a second of silence.
async fn exchange(site: &Site, request: String) -> String {
    let address = site.address;
    let exchanged = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    exchanged.await.unwrap()
}
