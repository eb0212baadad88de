//! Removing trees.

use std::fs;
use std::io::ErrorKind;

use longshore_image::remove_tree;

use crate::support::with_mounts;

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
