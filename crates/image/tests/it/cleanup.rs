//! Removing images that nothing uses any more.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use longshore_image::{CleanupPolicy, ImageStore, StoreError};
use serde_json::json;

use crate::import::layout;
use crate::support::{Layer, TestImage, gzip, names, store};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Makes a run of this test binary the child of [`a_cleanup_that_is_killed_leaves_every_image_whole`].
const CHILD: &str = "LONGSHORE_TEST_CLEANUP_CHILD";

/// An archive of an image of two layers, the first of which all have in common.
fn archive(n: usize) -> Vec<u8> {
    let common = Layer::new().file("common", "1").archive();
    let own = (0..40).fold(Layer::new().file("own", &n.to_string()), |l, i| l.file(&format!("f{i}"), "x")).archive();
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let image = TestImage::with(&[common, own], gzip, oci, |_| {});
    layout(&image, json!({ "io.containerd.image.name": format!("registry.example/app:{n}") }))
}

async fn import(store: &ImageStore, n: usize) {
    store.import(std::io::Cursor::new(archive(n))).await.expect("imported");
}

fn used_ago(root: &Path, store: &ImageStore, n: usize, ago: Duration) {
    let id = store.resolve(&format!("registry.example/app:{n}")).expect("there").id;
    let path = root.join("images").join(format!("{}.json", id.0.hex()));
    fs::File::open(path).and_then(|f| f.set_modified(SystemTime::now() - ago)).expect("dated");
}

fn tags(store: &ImageStore) -> Vec<String> {
    let names = store.list().expect("a list").into_iter().flat_map(|image| image.references);
    names.map(|(name, _)| name.rsplit(':').next().unwrap_or_default().to_owned()).collect()
}

/// Watermarks that no disk is above, so that only age counts.
fn by_age() -> CleanupPolicy {
    CleanupPolicy { used_high_percent: 100, used_low_percent: 100, ..CleanupPolicy::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_unused_for_long_go_and_those_of_containers_stay() {
    let tmp = tempfile::tempdir().expect("tmp");
    let store = store(tmp.path());
    for n in 0..4 {
        import(&store, n).await;
    }
    let running = store.resolve("registry.example/app:1").expect("there");
    store.create_writable("task-app", &running).expect("made");
    for n in [0, 1, 3] {
        used_ago(tmp.path(), &store, n, DAY * 8);
    }
    used_ago(tmp.path(), &store, 2, DAY * 6);
    // Somebody starts from it: it is as good as new.
    store.resolve("registry.example/app:3").expect("there");
    let report = store.clean_up(&by_age()).expect("cleaned");
    assert_eq!((report.images, report.layers), (1, 1), "{report:?}");
    assert_eq!(tags(&store), ["1", "2", "3"]);
    assert!(store.resolve("registry.example/app:0").is_none());
    store.remove_writable("task-app").expect("removed");
    used_ago(tmp.path(), &store, 1, DAY * 8);
    assert_eq!(store.clean_up(&by_age()).expect("cleaned").images, 1);
    import(&store, 0).await;
    assert_eq!(tags(&store), ["0", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_of_a_container_whose_layer_is_elsewhere_stays() {
    let tmp = tempfile::tempdir().expect("tmp");
    let store = store(tmp.path());
    import(&store, 0).await;
    let name = "registry.example/app:0".parse().expect("valid");
    let image = store.resolve("registry.example/app:0").expect("there");
    store.hold_image("task-sized", &image).expect("held");
    assert_eq!(names(&tmp.path().join("writable/task-sized")), ["image"], "no layer is made");
    // Nameless and unused for long: nothing but the container keeps it.
    assert!(store.untag(&name).expect("untagged"));
    let path = tmp.path().join("images").join(format!("{}.json", image.id.0.hex()));
    let age = || fs::File::open(&path).and_then(|f| f.set_modified(SystemTime::now() - DAY * 8)).expect("dated");
    age();
    assert_eq!(store.clean_up(&by_age()).expect("cleaned").images, 0);
    assert_eq!(store.gc(&[]).expect("collected").images, 0);
    assert_eq!(store.list_writable().expect("a list"), ["task-sized"]);
    store.remove_writable("task-sized").expect("removed");
    assert_eq!(store.clean_up(&by_age()).expect("cleaned").images, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_the_image_that_was_unused_longest() {
    let tmp = tempfile::tempdir().expect("tmp");
    let store = store(tmp.path());
    for (n, hours) in [(0, 3), (1, 5), (2, 0)] {
        import(&store, n).await;
        used_ago(tmp.path(), &store, n, Duration::from_secs(3600 * hours));
    }
    // Every disk is above nothing; one byte less than now is wanted back.
    let disk = store.disk().expect("a disk");
    let low = (100 - disk.available * 100 / disk.total).saturating_sub(1) as u8;
    let policy = CleanupPolicy { used_high_percent: 0, used_low_percent: low, ..CleanupPolicy::default() };
    store.clean_up(&policy).expect("cleaned");
    assert_eq!(tags(&store), ["2"], "what was used within the hour stays, however full the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_knew_an_image_learns_that_another_removed_it() {
    let tmp = tempfile::tempdir().expect("tmp");
    let (one, other) = (store(tmp.path()), store(tmp.path()));
    import(&one, 0).await;
    let image = other.resolve("registry.example/app:0").expect("both know it");
    used_ago(tmp.path(), &other, 0, DAY * 8);
    one.clean_up(&by_age()).expect("cleaned");
    assert!(other.resolve("registry.example/app:0").is_none() && other.get(image.id).is_none());
    assert!(matches!(other.create_writable("late", &image), Err(StoreError::NoImage(_))));
    assert_eq!(other.list_writable().expect("a list"), [""; 0]);
}

#[test]
fn a_cleanup_that_is_killed_leaves_every_image_whole() {
    if let Ok(root) = std::env::var(CHILD) {
        return import_and_clean_up_for_ever(Path::new(&root));
    }
    let tmp = tempfile::tempdir().expect("tmp");
    for round in 0..8 {
        let name = "cleanup::a_cleanup_that_is_killed_leaves_every_image_whole";
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, tmp.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("started");
        // A different moment each time; how far the child gets by then does not matter.
        std::thread::sleep(Duration::from_millis(150 + 37 * round));
        child.kill().expect("killed");
        child.wait().expect("gone");
        let store = store(tmp.path());
        for summary in store.list().expect("a list") {
            let read = |layer: usize, file: &str| fs::read_to_string(summary.image.layers[layer].join(file));
            assert_eq!(read(1, "common").expect("whole"), "1");
            assert_eq!(read(0, "f39").expect("whole"), "x");
        }
        for name in tags(&store) {
            assert!(store.resolve(&format!("registry.example/app:{name}")).is_some(), "{name}");
        }
    }
    let store = store(tmp.path());
    for tag in tags(&store) {
        store.untag(&format!("registry.example/app:{tag}").parse().expect("valid")).expect("untagged");
    }
    store.gc(&[]).expect("collected");
    for dir in ["layers", "images", "refs", "blobs/sha256"] {
        assert_eq!(names(&tmp.path().join(dir)), [""; 0], "{dir}");
    }
}

fn import_and_clean_up_for_ever(root: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = store(root);
    let all = CleanupPolicy { unused_max: Duration::ZERO, unused_min: Duration::ZERO, ..by_age() };
    for n in (0..7).cycle() {
        runtime.block_on(import(&store, n));
        if n % 3 == 2 {
            store.clean_up(&all).expect("nobody else uses the store");
        }
    }
}
