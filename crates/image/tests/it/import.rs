//! Importing archives of images: OCI layouts and `docker save`.

use std::path::Path;
use std::process::Command;

use longshore_image::{Digest, ImportError, PullOptions, UnpackError};
use serde_json::json;

use crate::registry::Registry;
use crate::support::{Layer, TestImage, gzip, store};

/// An OCI layout of `image` as an archive.
pub fn layout(image: &TestImage, annotations: serde_json::Value) -> Vec<u8> {
    let index = json!({ "schemaVersion": 2, "manifests": [
        { "mediaType": image.media_type, "digest": image.digest(), "size": image.manifest.len(), "annotations": annotations }
    ]});
    let mut archive =
        Layer::new().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#).file("index.json", &index.to_string());
    for blob in image.blobs.iter().chain([&image.manifest]) {
        let name = format!("blobs/sha256/{}", Digest::of(blob).hex());
        archive = archive.entry(tar::EntryType::Regular, &name, "", 0o644, blob);
    }
    archive.archive()
}

fn image() -> TestImage {
    let oci = "application/vnd.oci.image.manifest.v1+json";
    TestImage::with(&[Layer::new().file("a", "1").archive(), Layer::new().file("b", "2").archive()], gzip, oci, |_| {})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oci_layout_is_imported_under_its_name_and_digest() {
    let tmp = tempfile::tempdir().expect("tmp");
    let (store, image) = (store(tmp.path()), image());
    let archive = layout(&image, json!({ "io.containerd.image.name": "registry.example/app:1" }));
    let imported = store.import(std::io::Cursor::new(gzip(&archive))).await.expect("imported");
    assert_eq!(imported[0].references[0].as_str(), "registry.example/app:1");
    let found = store.resolve("registry.example/app:1").expect("named");
    assert_eq!(found.id.0, image.digest());
    assert_eq!(std::fs::read_to_string(found.layers[0].join("b")).expect("file"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_save_archive_is_imported_and_can_be_pushed() {
    let (registry, tmp) = (Registry::start().await, tempfile::tempdir().expect("tmp"));
    let layers = [Layer::new().file("a", "1").archive(), Layer::new().file("b", "2").archive()];
    let config = json!({ "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/a"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layers[0]), Digest::of(&layers[1])] } })
    .to_string();
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let saved = json!([{ "Config": config_name, "RepoTags": ["app:2"], "Layers": ["one/layer.tar", "two/layer.tar"] }]);
    let archive = Layer::new()
        .file(&config_name, &config)
        .entry(tar::EntryType::Regular, "real/layer.tar", "", 0o644, &layers[0])
        .symlink("one/layer.tar", "../real/layer.tar")
        .entry(tar::EntryType::Regular, "two/layer.tar", "", 0o644, &layers[1])
        .file("manifest.json", &saved.to_string())
        .archive();
    let store = store(tmp.path());
    store.import(std::io::Cursor::new(archive)).await.expect("imported");
    let image = store.resolve("app:2").expect("named");
    assert_eq!((image.config.cmd.as_slice(), image.layers.len()), (&["/a".to_owned()][..], 2));

    let push = longshore_image::PushOptions { endpoint: Some(registry.endpoint()), ..Default::default() };
    store.push(image.id, "registry.example/app:2", push).await.expect("pushed");
    let other = crate::support::store(&tmp.path().join("other"));
    let options = PullOptions { endpoint: Some(registry.endpoint()), ..PullOptions::default() };
    assert_eq!(other.pull("registry.example/app:2", options).await.expect("pulled").id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_archives_of_both_kinds_are_imported() {
    let tmp = tempfile::tempdir().expect("tmp");
    let dir = tmp.path().join("layout");
    let mut tar =
        tar::Archive::new(std::io::Cursor::new(layout(&image(), json!({ "org.opencontainers.image.ref.name": "x" }))));
    tar.unpack(&dir).expect("unpacked");
    for (kind, name) in [("docker-archive", "docker.io/library/app:3"), ("oci-archive", "")] {
        let file = tmp.path().join(format!("{kind}.tar"));
        let to =
            format!("{kind}:{}{}", file.display(), if name.is_empty() { String::new() } else { format!(":{name}") });
        skopeo(&dir, &to);
        let store = store(&tmp.path().join(kind));
        let imported = store.import(longshore_image::open_archive(&file).expect("open")).await.expect("imported");
        assert_eq!(imported[0].image.layers.len(), 2);
        let names: Vec<_> = imported[0].references.iter().map(|r| r.as_str().to_owned()).collect();
        assert_eq!(names.join(""), name);
        let tag = "app:tagged".parse().expect("valid");
        store.tag(&tag, imported[0].image.id).expect("tagged");
        assert!(store.resolve("app:tagged").is_some());
    }
}

fn skopeo(layout: &Path, to: &str) {
    let output = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", &format!("oci:{}:x", layout.display()), to])
        .output()
        .expect("skopeo is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_archive_is_refused() {
    let tmp = tempfile::tempdir().expect("tmp");
    let store = store(tmp.path());
    let error = store.import(std::io::Cursor::new(Layer::new().file("x", "y").archive())).await.expect_err("none");
    assert!(matches!(error, ImportError::NoImage), "{error}");
    assert!(store.import(std::io::Cursor::new(b"not an archive".repeat(100))).await.is_err());
    let mut image = image();
    image.blobs.remove(0);
    let error = store.import(std::io::Cursor::new(layout(&image, json!({})))).await.expect_err("incomplete");
    assert!(matches!(error, ImportError::Missing(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_several_images_is_imported_whole_or_not_at_all() {
    let tmp = tempfile::tempdir().expect("tmp");
    let layer = Layer::new().file("a", "1").archive();
    let config = json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] } })
    .to_string();
    for (second, tag) in [("none.json", "app:2"), ("layer.tar", "app:2"), ("config.json", "NO:2")] {
        let saved = json!([
            { "Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"] },
            { "Config": second, "RepoTags": [tag], "Layers": ["layer.tar"] },
        ]);
        let archive = Layer::new()
            .file("config.json", &config)
            .entry(tar::EntryType::Regular, "layer.tar", "", 0o644, &layer)
            .file("manifest.json", &saved.to_string())
            .archive();
        let store = store(&tmp.path().join(second));
        store.import(std::io::Cursor::new(archive)).await.expect_err("the second image is none");
        assert!(store.resolve("app:1").is_none(), "{second} {tag}");
        assert!(store.list().expect("a list").iter().all(|image| image.references.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_larger_than_a_layer_may_be_is_refused_before_it_fills_the_disk() {
    let tmp = tempfile::tempdir().expect("tmp");
    let limits = longshore_image::Limits { layer_bytes_max: 1 << 20, ..Default::default() };
    let options = longshore_image::StoreOptions { limits, ..Default::default() };
    let store = longshore_image::ImageStore::open(tmp.path(), options).expect("opens");
    let bomb = gzip(&Layer::new().file("manifest.json", &" ".repeat(2 << 20)).archive());
    let error = store.import(std::io::Cursor::new(bomb)).await.expect_err("too large");
    assert!(matches!(error, ImportError::Archive(UnpackError::TooLarge { max: 1_048_576, .. })), "{error}");
}
