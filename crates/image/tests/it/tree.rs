//! Removing trees, however deep they are.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use longshore_image::remove_tree;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::import::layout;
use crate::support::{Layer, TestImage, gzip, names, store, with_mounts};

/// Makes `levels` directories called `name` in each other, with a file in each, and returns the last one.
fn make_deep(top: &Path, name: &str, levels: u32) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(top, flags, Mode::empty()).expect("top");
    for _ in 0..levels {
        rustix::fs::mkdirat(&at, name, Mode::RWXU).expect("made");
        let make = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&at, "file", make, Mode::RWXU).expect("file");
        at = rustix::fs::openat(&at, name, flags, Mode::empty()).expect("opened");
    }
    at
}

/// Gives this process as many descriptors as most have, if it has more: the tests would see nothing.
fn limit_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.map_or(1024, |current| current.min(1024));
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit }).expect("lowered");
}

#[test]
fn a_tree_deeper_than_the_table_of_descriptors_goes() {
    limit_descriptors();
    let scratch = tempfile::tempdir().expect("tmp");
    let outside = scratch.path().join("outside");
    fs::create_dir(&outside).expect("dir");
    fs::write(outside.join("kept"), "1").expect("file");
    let top = scratch.path().join("top");
    fs::create_dir(&top).expect("dir");
    let bottom = make_deep(&top, "a", 5000);
    rustix::fs::symlinkat(&outside, &bottom, "link").expect("link");
    drop(bottom);
    // Names that are wanted for what is moved.
    make_deep(&top, "removed-0", 100);
    symlink(&outside, top.join("removed-1")).expect("link");
    remove_tree(&top).expect("removed");
    assert!(!top.exists());
    assert_eq!(fs::read_to_string(outside.join("kept")).expect("file"), "1");
}

#[test]
fn files_and_links_go_and_what_links_lead_to_stays() {
    let scratch = tempfile::tempdir().expect("tmp");
    let (dir, link) = (scratch.path().join("dir"), scratch.path().join("link"));
    fs::create_dir(&dir).expect("dir");
    fs::write(dir.join("file"), "1").expect("file");
    symlink(&dir, &link).expect("link");
    remove_tree(&link).expect("removed");
    assert!(dir.join("file").exists() && link.symlink_metadata().is_err());
    remove_tree(&dir.join("file")).expect("removed");
    assert!(!dir.join("file").exists());
    for missing in [link.clone(), link.join("deeper")] {
        remove_tree(&missing).expect("nothing to remove");
    }
    assert!(remove_tree(Path::new("/")).is_err() && remove_tree(&dir.join("..")).is_err());
}

#[test]
fn what_is_mounted_in_a_tree_stays() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    let scratch = tempfile::tempdir().expect("tmp");
    let top = scratch.path().join("top");
    let place = top.join("deeper/mount");
    fs::create_dir_all(&place).expect("dirs");
    with_mounts(|| {
        mount("tmpfs", &place, "tmpfs", MountFlags::empty(), None).expect("mounted");
        fs::write(place.join("kept"), "1").expect("file");
        let error = remove_tree(&top).expect_err("a mount");
        assert_eq!(error.kind(), ErrorKind::CrossesDevices);
        assert!(place.join("kept").exists());
        unmount(&place, UnmountFlags::empty()).expect("unmounted");
    });
    remove_tree(&top).expect("removed");
    assert!(!top.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_layer_goes_however_deep_its_tree_is() {
    limit_descriptors();
    let tmp = tempfile::tempdir().expect("tmp");
    let store = store(tmp.path());
    let image = TestImage::new(&[Layer::new().file("a", "1").archive()], gzip);
    store.import(std::io::Cursor::new(layout(&image, serde_json::json!({})))).await.expect("imported");
    let image = store.list().expect("a list").remove(0).image;
    let writable = store.create_writable("task-app", &image).expect("made");
    make_deep(&writable.upper, "a", 3000);
    store.remove_writable("task-app").expect("removed");
    let session = names(&tmp.path().join("tmp")).remove(0);
    assert_eq!(names(&tmp.path().join("tmp").join(session)), ["lock"]);
}
