//! Pulling: what works, what is shared, what fails and in which words.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use longshore_image::{
    Auth, Digest, Endpoint, ImageStore, Limits, Progress, PullErrorKind, PullOptions, RetryPolicy, StoreOptions,
};
use serde_json::json;

use crate::registry::Registry;
use crate::support::{Layer, TestImage, gzip, names, store};

const HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

fn options(registry: &Registry) -> PullOptions {
    PullOptions { endpoint: Some(registry.endpoint()), ..PullOptions::default() }
}

fn two_layers() -> TestImage {
    let base = Layer::new().dir("etc").file("etc/name", "base").file("etc/old", "x").archive();
    let top = Layer::new().file("etc/name", "top").file("etc/.wh.old", "").archive();
    TestImage::new(&[base, top], gzip)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_a_power_cut_damaged_is_there_again_after_a_pull() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let image = two_layers();
    registry.add("web", "v1", &image);
    let name = format!("{HOST}/web:v1");
    store(tmp.path()).pull(&name, options(&registry)).await.expect("pulled");
    let path = tmp.path().join("blobs/sha256").join(image.digest().hex());
    for damage in [&image.manifest[..20], b""] {
        fs::write(&path, damage).expect("damaged");
        store(tmp.path()).pull(&name, options(&registry)).await.expect("pulled");
        assert_eq!(fs::read(&path).expect("file"), image.manifest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_by_its_public_name_through_a_local_endpoint() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let image = two_layers();
    registry.add("web", "v1", &image);
    let store = store(tmp.path());
    let name = format!("{HOST}/web:v1");
    assert!(store.resolve(&name).is_none());

    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let progress = Arc::new(move |p: Progress| tell.lock().expect("told").push(p));
    let pulled =
        store.pull(&name, PullOptions { progress: Some(progress), ..options(&registry) }).await.expect("pulled");

    assert_eq!(pulled.id.0, image.digest());
    assert_eq!(pulled.config.cmd, ["/bin/sh"]);
    assert_eq!(pulled.layers.len(), 2);
    assert_eq!(fs::read_to_string(pulled.layers[0].join("etc/name")).expect("file"), "top", "top first");
    assert_eq!(fs::read_to_string(pulled.layers[1].join("etc/name")).expect("file"), "base");
    assert_eq!(registry.state.lock().expect("state").host, HOST, "the registry can tell whose it is");
    assert!(told.lock().expect("told").iter().any(|p| matches!(p, Progress::Resolved { layers: 2, .. })));
    assert_eq!(told.lock().expect("told").iter().filter(|p| matches!(p, Progress::Ready { .. })).count(), 2);

    let by_tag = store.resolve(&name).expect("known");
    let by_digest = store.resolve(&format!("{HOST}/web@{}", image.digest())).expect("known");
    assert!(Arc::ptr_eq(&by_tag, &pulled) && Arc::ptr_eq(&by_digest, &pulled));
    store.flush().await;
    // Nothing is left of the making.
    let session = names(&tmp.path().join("tmp"));
    assert_eq!(names(&tmp.path().join("tmp").join(&session[0])), ["lock"]);

    let before = registry.count("/blobs/");
    store.pull(&name, options(&registry)).await.expect("pulled again");
    assert_eq!(registry.count("/blobs/"), before, "only the manifest is asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_finds_the_image_and_sees_a_tag_move() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let (first, second) = (two_layers(), TestImage::new(&[Layer::new().file("a", "b").archive()], gzip));
    registry.add("web", "latest", &first);
    let agent = store(tmp.path());
    let cli = store(tmp.path());
    let name = format!("{HOST}/web");
    agent.pull(&name, options(&registry)).await.expect("pulled");
    assert_eq!(cli.resolve(&name).expect("seen").id.0, first.digest());
    registry.add("web", "latest", &second);
    cli.pull(&name, options(&registry)).await.expect("pulled");
    assert_eq!(agent.resolve(&name).expect("seen").id.0, second.digest());
    drop((agent, cli));
    let reopened = store(tmp.path());
    assert_eq!(reopened.resolve(&name).expect("kept").id.0, second.digest());
    assert_eq!(reopened.list().expect("list").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_leads_to_the_image_of_this_platform_and_both_digests_resolve() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let image = TestImage::with(
        &[Layer::new().file("a", "zstd").archive()],
        |bytes| zstd::encode_all(bytes, 3).expect("memory"),
        "application/vnd.oci.image.manifest.v1+json",
        |_| {},
    );
    registry.add("web", "amd", &image);
    let entry = |digest: Digest, arch: &str| json!({ "mediaType": image.media_type, "digest": digest, "size": 1, "platform": { "os": "linux", "architecture": arch } });
    let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry(Digest::of(b"arm"), "arm64"), entry(image.digest(), "amd64")] });
    let index = TestImage {
        manifest: index.to_string().into_bytes(),
        media_type: "application/vnd.oci.image.index.v1+json".into(),
        blobs: vec![],
    };
    registry.add("web", "multi", &index);
    let store = store(tmp.path());
    let pulled = store.pull(&format!("{HOST}/web@{}", index.digest()), options(&registry)).await.expect("pulled");
    assert_eq!(pulled.id.0, image.digest());
    assert!(store.resolve(&format!("{HOST}/web@{}", index.digest())).is_some());
    assert!(store.resolve(&format!("{HOST}/web@{}", image.digest())).is_some());
    assert_eq!(fs::read_to_string(pulled.layers[0].join("a")).expect("file"), "zstd");

    let mut other = StoreOptions::default();
    other.platform.architecture = "riscv64".into();
    let elsewhere = ImageStore::open(&tmp.path().join("other"), other).expect("store");
    let error = elsewhere.pull(&format!("{HOST}/web:multi"), options(&registry)).await.expect_err("no such platform");
    assert_eq!(
        error.to_string(),
        "pull image manifest has been retried 1 time(s): image Manifest does not contain descriptor matching platform 'linux/riscv64'"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_pulls_share_each_layer() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let base = Layer::new().file("base", "shared").archive();
    for n in 0..4 {
        let top = Layer::new().file("top", &format!("{n}")).archive();
        registry.add("web", &format!("v{n}"), &TestImage::new(&[base.clone(), top], gzip));
    }
    registry.state.lock().expect("state").blob_delay = 50;
    let store = store(tmp.path());
    let pulls = (0..8).map(|n| {
        let (store, options) = (store.clone(), options(&registry));
        tokio::spawn(async move { store.pull(&format!("{HOST}/web:v{}", n % 4), options).await })
    });
    for pull in pulls.collect::<Vec<_>>() {
        pull.await.expect("joined").expect("pulled");
    }
    let base_blob = Digest::of(&gzip(&base));
    assert_eq!(registry.count(&format!("GET /v2/web/blobs/{base_blob}")), 1);
    assert_eq!(names(&tmp.path().join("layers")).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_blob_in_several_places_is_downloaded_once() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let same = Layer::new().file("same", "content").archive();
    registry.add("web", "v1", &TestImage::new(&[same.clone(), same.clone(), same.clone()], gzip));
    let image = store(tmp.path()).pull(&format!("{HOST}/web:v1"), options(&registry)).await.expect("pulled");
    assert_eq!(registry.count(&format!("GET /v2/web/blobs/{}", Digest::of(&gzip(&same)))), 1);
    assert_eq!(image.layers.iter().collect::<std::collections::HashSet<_>>().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_is_resumed_where_it_broke() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let noise: String =
        (0..200_000u32).map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 26)).collect();
    registry.add("web", "v1", &TestImage::new(&[Layer::new().file("noise", &noise).archive()], |b| b.to_vec()));
    registry.state.lock().expect("state").cut_blobs = (50_000, 3);
    let image = store(tmp.path()).pull(&format!("{HOST}/web:v1"), options(&registry)).await.expect("pulled");
    assert_eq!(fs::read_to_string(image.layers[0].join("noise")).expect("file"), noise);
    assert_eq!(registry.count("bytes="), 3, "{:?}", registry.state.lock().expect("state").requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_pull_leaves_nothing_believed_and_the_next_one_succeeds() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    registry.add("web", "v1", &two_layers());
    registry.state.lock().expect("state").blob_delay = 200;
    let store = store(tmp.path());
    let name = format!("{HOST}/web:v1");
    let cut = tokio::time::timeout(Duration::from_millis(300), store.pull(&name, options(&registry))).await;
    assert!(cut.is_err() && store.resolve(&name).is_none());
    registry.state.lock().expect("state").blob_delay = 0;
    store.pull(&name, options(&registry)).await.expect("pulled");
}

/// Pulls and returns the error's kind and text.
async fn failure(store: &ImageStore, name: &str, options: PullOptions) -> (PullErrorKind, String) {
    let error = store.pull(name, options).await.expect_err("must fail");
    (error.kind(), error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_reported_in_the_words_of_ecs() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let store = store(tmp.path());
    let name = format!("{HOST}/web:nope");
    let (kind, text) = failure(&store, &name, options(&registry)).await;
    assert_eq!(kind, PullErrorKind::NotFound);
    assert_eq!(
        text,
        format!("pull image manifest has been retried 1 time(s): failed to resolve ref {name}: {name}: not found")
    );
    let (kind, text) = failure(&store, "UPPER", options(&registry)).await;
    assert_eq!(kind, PullErrorKind::Invalid);
    assert!(text.starts_with("invalid reference format"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_registry_is_retried_and_named() {
    let tmp = tempfile::tempdir().expect("tmp");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("bound").port();
    let endpoint = Endpoint::plain_http(&format!("http://127.0.0.1:{port}")).expect("valid");
    let store = store(tmp.path());
    let refused = PullOptions { endpoint: Some(endpoint), ..PullOptions::default() };
    let (kind, text) = failure(&store, &format!("{HOST}/web"), refused).await;
    assert_eq!(kind, PullErrorKind::Unreachable);
    assert!(text.starts_with("pull image manifest has been retried 3 time(s): failed to resolve ref"), "{text}");
    assert!(text.contains(&format!("connection refused: 127.0.0.1:{port}")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_an_address_is_named_at_once() {
    let tmp = tempfile::tempdir().expect("tmp");
    // By HTTPS, as every registry that has no endpoint of its own; the name is reserved for never existing (RFC 2606).
    let (kind, text) = failure(&store(tmp.path()), "registry.invalid/web:1", PullOptions::default()).await;
    assert_eq!(kind, PullErrorKind::Unreachable);
    assert!(text.contains("retried 1 time(s)") && text.contains("no such host: registry.invalid"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sent_and_their_absence_and_refusal_are_told_apart() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    registry.add("web", "v1", &two_layers());
    let store = store(tmp.path());
    let name = format!("{HOST}/web:v1");
    let with = |password: &str| PullOptions {
        auth: Auth::Basic { username: "AWS".into(), password: password.into() },
        ..options(&registry)
    };
    for bearer in [false, true] {
        {
            let mut state = registry.state.lock().expect("state");
            state.basic = (!bearer).then(|| "AWS:secret".to_owned());
            state.bearer = bearer.then(|| "AWS:secret".to_owned());
        }
        let (kind, text) = failure(&store, &name, options(&registry)).await;
        assert_eq!(kind, PullErrorKind::Auth);
        assert!(text.contains("repository does not exist or may require authorization"), "{text}");
        let (kind, text) = failure(&store, &name, with("wrong")).await;
        assert_eq!(kind, PullErrorKind::Auth);
        assert!(!text.contains("wrong"), "{text}");
        store.pull(&name, with("secret")).await.expect("pulled");
        store.untag(&name.parse().expect("valid")).expect("untagged");
        store.gc(&[]).expect("collected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_and_broken_registries_are_asked_again() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    registry.add("web", "v1", &two_layers());
    let store = store(tmp.path());
    let fail = |part: &str, status, times| {
        let mut state = registry.state.lock().expect("state");
        state.failures = vec![(part.to_owned(), status, "come back later".to_owned()); times];
    };
    let name = format!("{HOST}/web:v1");
    fail("/manifests/", StatusCode::TOO_MANY_REQUESTS, 9);
    let (kind, text) = failure(&store, &name, options(&registry)).await;
    assert_eq!(kind, PullErrorKind::RateLimited);
    assert!(
        text.starts_with("pull image manifest has been retried 3 time(s)") && text.contains("come back later"),
        "{text}"
    );
    fail("/blobs/", StatusCode::FORBIDDEN, 9);
    let (kind, text) = failure(&store, &name, options(&registry)).await;
    assert_eq!(kind, PullErrorKind::Auth);
    assert!(text.starts_with("ref pull has been retried 1 time(s)"), "{text}");
    fail("/blobs/", StatusCode::BAD_GATEWAY, 2);
    store.pull(&name, options(&registry)).await.expect("the third try works");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let archive = Layer::new().file("a", "good").archive();
    let evil = Layer::new().file("a", "evil").archive();
    let image = TestImage::new(std::slice::from_ref(&archive), |b| b.to_vec());
    registry.add("web", "v1", &image);
    let store = store(tmp.path());
    let name = format!("{HOST}/web:v1");
    let blob = Digest::of(&archive).to_string();
    registry.state.lock().expect("state").swapped.insert(blob.clone(), evil.clone());
    let (kind, text) = failure(&store, &name, options(&registry)).await;
    assert_eq!(kind, PullErrorKind::Invalid);
    assert!(text.contains("verification failed") && text.contains(&Digest::of(&evil).to_string()), "{text}");
    // Longer than stated: stopped at the stated size.
    registry.state.lock().expect("state").swapped.insert(blob.clone(), vec![b'x'; archive.len() + 1]);
    let (_, text) = failure(&store, &name, options(&registry)).await;
    assert!(text.contains("longer than"), "{text}");
    registry.state.lock().expect("state").swapped.clear();
    assert!(names(&tmp.path().join("layers")).is_empty() && !names(&tmp.path().join("blobs/sha256")).contains(&blob));

    // The right blob, but not the layer that the configuration promises.
    let lying = TestImage::with(
        &[archive],
        |b| b.to_vec(),
        &image.media_type,
        |config| {
            config["rootfs"]["diff_ids"] = json!([Digest::of(b"other")]);
        },
    );
    registry.add("web", "lying", &lying);
    let (kind, text) = failure(&store, &format!("{HOST}/web:lying"), options(&registry)).await;
    assert_eq!(kind, PullErrorKind::Invalid);
    assert!(text.contains("uncompressed digest"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_stopped_at_the_limit() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let zeros = Layer::new().entry(tar::EntryType::Regular, "zeros", "", 0o644, &vec![0; 5 << 20]).archive();
    registry.add("web", "bomb", &TestImage::new(&[zeros], gzip));
    let limits = Limits { layer_bytes_max: 1 << 20, ..Limits::default() };
    let retry = RetryPolicy { attempts: 1, backoff: Duration::ZERO };
    let store = ImageStore::open(tmp.path(), StoreOptions { limits, retry, ..StoreOptions::default() }).expect("store");
    let (kind, text) = failure(&store, &format!("{HOST}/web:bomb"), options(&registry)).await;
    assert_eq!(kind, PullErrorKind::Invalid);
    assert!(text.contains("exceeds the limit of 1048576 uncompressed bytes"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_disk_is_found_and_pulled_again() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let image = two_layers();
    registry.add("web", "v1", &image);
    let name = format!("{HOST}/web:v1");
    let first = store(tmp.path());
    let pulled = first.pull(&name, options(&registry)).await.expect("pulled");
    let chain = pulled.chain[1].0.hex();
    first.flush().await;
    drop((first, pulled));
    // As after a power cut: the top layer was never flushed, and its blob holds zeros.
    let marker = tmp.path().join("layers").join(&chain).join("layer.json");
    let text = fs::read_to_string(&marker).expect("marker").replace("\"durable\":true", "\"durable\":false");
    let mut json: serde_json::Value = serde_json::from_str(&text).expect("json");
    json["boot"] = json!("another boot");
    fs::write(&marker, json.to_string()).expect("written");
    let blob = tmp.path().join("blobs/sha256").join(Digest::of(&image.blobs[1]).hex());
    fs::write(&blob, vec![0; image.blobs[1].len()]).expect("written");

    let second = store(tmp.path());
    assert!(second.resolve(&name).is_none(), "an image without one of its layers is not offered");
    let again = second.pull(&name, options(&registry)).await.expect("pulled");
    assert_eq!(fs::read_to_string(again.layers[0].join("etc/name")).expect("file"), "top");
    assert_eq!(Digest::of(&fs::read(&blob).expect("blob")), Digest::of(&image.blobs[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_become_durable_in_the_background() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    registry.add("web", "v1", &two_layers());
    let store = store(tmp.path());
    let image = store.pull(&format!("{HOST}/web:v1"), options(&registry)).await.expect("pulled");
    store.flush().await;
    for chain in &image.chain {
        let marker = tmp.path().join("layers").join(chain.0.hex()).join("layer.json");
        assert!(fs::read_to_string(marker).expect("marker").contains("\"durable\":true"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_what_no_reference_and_no_caller_keeps() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let base = Layer::new().file("base", "shared").archive();
    let image = |n: &str| TestImage::new(&[base.clone(), Layer::new().file("top", n).archive()], gzip);
    let store = store(tmp.path());
    let mut ids = Vec::new();
    for n in ["a", "b", "c"] {
        registry.add("web", n, &image(n));
        ids.push(store.pull(&format!("{HOST}/web:{n}"), options(&registry)).await.expect("pulled").id);
    }
    for n in ["b", "c"] {
        assert!(store.untag(&format!("{HOST}/web:{n}").parse().expect("valid")).expect("untagged"));
    }
    let report = store.gc(&[ids[2]]).expect("collected");
    assert_eq!((report.images, report.layers), (1, 1), "{report:?}");
    assert!(store.get(ids[0]).is_some() && store.get(ids[1]).is_none() && store.get(ids[2]).is_some());
    assert_eq!(names(&tmp.path().join("layers")).len(), 3);
    assert_eq!(names(&tmp.path().join("l")).len(), 4, "three layers and the empty one");
    store.untag(&format!("{HOST}/web:a").parse().expect("valid")).expect("untagged");
    store.gc(&[]).expect("collected");
    for dir in ["layers", "images", "refs", "blobs/sha256"] {
        assert_eq!(names(&tmp.path().join(dir)), [""; 0], "{dir}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warm_path_takes_microseconds() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    registry.add("web", "v1", &two_layers());
    let store = store(tmp.path());
    let name = format!("{HOST}/web:v1");
    store.pull(&name, options(&registry)).await.expect("pulled");
    let reference = name.parse().expect("valid");
    let start = Instant::now();
    for _ in 0..1000 {
        assert!(store.resolve_ref(&reference).is_some());
    }
    let parsed = start.elapsed() / 1000;
    let start = Instant::now();
    for _ in 0..1000 {
        assert!(store.resolve(&name).is_some());
    }
    println!("resolve_ref {parsed:?}, resolve {:?}", start.elapsed() / 1000);
    assert!(parsed < Duration::from_millis(1), "{parsed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_without_an_end_is_refused_at_the_limit() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    registry.state.lock().expect("state").endless = Some("/manifests/");
    let pull = store(tmp.path()).pull("registry.example/web:1", options(&registry)).await;
    let error = pull.expect_err("refused").to_string();
    assert!(error.contains("exceeds 4194304 bytes"), "{error}");
    assert_eq!(registry.count("/manifests/"), 1, "asking again would not help");
}
