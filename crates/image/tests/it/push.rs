//! Pushing what was pulled, to another repository.

use longshore_image::{PullOptions, PushOptions};

use crate::registry::Registry;
use crate::support::{Layer, TestImage, gzip, store};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pushed_unchanged_and_blobs_that_are_there_are_not_sent() {
    let (from, to, tmp) = (Registry::start().await, Registry::start().await, tempfile::tempdir().expect("tmp"));
    let shared = Layer::new().file("shared", &"s".repeat(1_000_000)).archive();
    let image = TestImage::new(&[shared.clone(), Layer::new().file("own", "o").archive()], gzip);
    from.add("web", "v1", &image);
    to.state
        .lock()
        .expect("state")
        .blobs
        .insert(longshore_image::Digest::of(&gzip(&shared)).to_string(), gzip(&shared));
    to.state.lock().expect("state").bearer = Some("me:secret".into());
    let store = store(tmp.path());
    let options = PullOptions { endpoint: Some(from.endpoint()), ..PullOptions::default() };
    let pulled = store.pull("registry.example/web:v1", options).await.expect("pulled");

    let auth = longshore_image::Auth::Basic { username: "me".into(), password: "secret".into() };
    let options = PushOptions { auth, endpoint: Some(to.endpoint()) };
    let digest = store.push(pulled.id, "registry.example/team/web:v2", options).await.expect("pushed");
    assert_eq!(digest, image.digest());
    let state = to.state.lock().expect("state");
    assert_eq!(state.manifests[&("team/web".to_owned(), "v2".to_owned())].1, image.manifest);
    assert_eq!(state.requests.iter().filter(|r| r.starts_with("PUT") && r.contains("/blobs/uploads/")).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_says_what_the_registry_said() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    registry.add("web", "v1", &TestImage::new(&[Layer::new().file("a", "b").archive()], gzip));
    let store = store(tmp.path());
    let options = PullOptions { endpoint: Some(registry.endpoint()), ..PullOptions::default() };
    let pulled = store.pull("registry.example/web:v1", options).await.expect("pulled");
    registry.state.lock().expect("state").failures =
        vec![("/manifests/".into(), hyper::StatusCode::BAD_REQUEST, "tag is immutable".into())];
    let options = PushOptions { endpoint: Some(registry.endpoint()), ..PushOptions::default() };
    let error = store.push(pulled.id, "registry.example/web:v1", options).await.expect_err("refused").to_string();
    assert!(error.starts_with("cannot push registry.example/web:v1") && error.contains("tag is immutable"), "{error}");
}
