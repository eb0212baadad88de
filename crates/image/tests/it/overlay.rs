//! What overlayfs makes of the unpacked layers: the proof that whiteouts and marks mean what they should.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use longshore_image::{Image, PullOptions, Writable};
use tar::EntryType;

use crate::registry::Registry;
use crate::support::{Layer, TestImage, gzip, names, store, with_overlay};

/// Runs `look` on the mounted image.
fn mounted(image: &Image, writable: &Writable, look: impl FnOnce(&Path) + Send) {
    with_overlay(&image.lower_dirs(), &writable.upper, &writable.work, look);
}

async fn pulled(archives: &[Vec<u8>], tmp: &Path) -> (longshore_image::ImageStore, std::sync::Arc<Image>) {
    let registry = Registry::start().await;
    registry.add("web", "v1", &TestImage::new(archives, gzip));
    let store = store(tmp);
    let options = PullOptions { endpoint: Some(registry.endpoint()), ..PullOptions::default() };
    let image = store.pull("registry.example/web:v1", options).await.expect("pulled");
    (store, image)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mounted_image_shows_what_the_layers_say() {
    let tmp = tempfile::tempdir().expect("tmp");
    let base = Layer::new()
        .dir("etc")
        .file("etc/kept", "1")
        .file("etc/gone", "1")
        .dir("opaque")
        .file("opaque/old", "1")
        .dir("again")
        .file("again/old", "1")
        .owned(EntryType::Directory, "tmp", "", 0o1777, (0, 0), b"")
        .owned(EntryType::Directory, "srv", "", 0o750, (33, 44), b"")
        .archive();
    let middle = Layer::new()
        .file("etc/.wh.gone", "")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/new", "2")
        .file(".wh.again", "")
        .file("again/new", "2")
        // Neither `tmp` nor `srv` is described by this layer.
        .file("tmp/x", "2")
        .file("srv/deep/x", "2")
        .archive();
    let top = Layer::new().file("etc/kept", "3").archive();
    let (store, image) = pulled(&[base, middle, top], tmp.path()).await;
    let writable = store.create_writable("task-1_web", &image).expect("made");
    mounted(&image, &writable, |root| {
        assert_eq!(names(&root.join("etc")), ["kept"]);
        assert_eq!(fs::read_to_string(root.join("etc/kept")).expect("file"), "3");
        assert_eq!(names(&root.join("opaque")), ["new"]);
        assert_eq!(names(&root.join("again")), ["new"]);
        assert_eq!(fs::metadata(root.join("tmp")).expect("there").mode() & 0o7777, 0o1777);
        let srv = fs::metadata(root.join("srv")).expect("there");
        assert_eq!((srv.mode() & 0o7777, srv.uid(), srv.gid()), (0o750, 33, 44));
        fs::write(root.join("etc/written"), "by the container").expect("writable");
        fs::remove_file(root.join("etc/kept")).expect("writable");
    });
    assert_eq!(names(&writable.upper.join("etc")), ["kept", "written"]);
    assert_eq!(store.list_writable().expect("list"), ["task-1_web"]);
    store.remove_writable("task-1_web").expect("removed");
    store.remove_writable("task-1_web").expect("removed twice");
    assert_eq!(store.list_writable().expect("list"), [""; 0]);
    for wrong in ["", "..", "a/b", ".hidden"] {
        assert!(store.create_writable(wrong, &image).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_and_twenty_layers_mount() {
    let tmp = tempfile::tempdir().expect("tmp");
    let layers: Vec<_> = (0..120).map(|n| Layer::new().file(&format!("f{n}"), "x").archive()).collect();
    let (store, image) = pulled(&layers, tmp.path()).await;
    let writable = store.create_writable("many", &image).expect("made");
    mounted(&image, &writable, |root| assert_eq!(names(root).len(), 120));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_layers_mounts_empty_with_the_roots_mode() {
    let tmp = tempfile::tempdir().expect("tmp");
    let (store, image) = pulled(&[], tmp.path()).await;
    let writable = store.create_writable("empty", &image).expect("made");
    mounted(&image, &writable, |root| {
        assert_eq!(names(root), [""; 0]);
        assert_eq!(fs::metadata(root).expect("there").permissions().mode() & 0o777, 0o755);
    });
}
