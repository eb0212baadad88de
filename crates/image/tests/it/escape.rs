//! Archives that try to leave the layer's root, or to bring the extraction down.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use longshore_image::{Limits, UnpackError, unpack};
use tar::EntryType;

use crate::support::Layer;

/// A root in a directory with a file beside it that no archive may reach.
struct Sandbox {
    tmp: tempfile::TempDir,
    root: PathBuf,
}

impl Sandbox {
    fn new() -> Self {
        let tmp = tempfile::tempdir().expect("tmp");
        let root = tmp.path().join("root");
        fs::create_dir(&root).expect("root");
        fs::create_dir(tmp.path().join("outside")).expect("dir");
        fs::write(tmp.path().join("outside/secret"), "secret").expect("file");
        Self { tmp, root }
    }

    fn outside(&self) -> String {
        self.tmp.path().join("outside").to_str().expect("ascii").to_owned()
    }

    fn unpack(&self, layer: Layer) -> Result<(), UnpackError> {
        let result = unpack(&layer.archive()[..], &self.root, &Limits::default()).map(drop);
        // Whatever the archive said and however it ended.
        assert_eq!(names(self.tmp.path()), ["outside", "root"]);
        assert_eq!(names(&self.tmp.path().join("outside")), ["secret"]);
        let secret = self.tmp.path().join("outside/secret");
        assert_eq!(fs::read_to_string(&secret).expect("there"), "secret");
        let meta = fs::metadata(&secret).expect("there");
        assert_eq!((meta.nlink(), meta.mode() & 0o7777), (1, 0o644));
        result
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root.join(name)).expect(name)
    }
}

fn names(dir: &Path) -> Vec<String> {
    crate::support::names(dir)
}

#[test]
fn climbing_names_are_refused() {
    for name in ["../outside/secret", "a/../../outside/secret", "/../outside/secret", "..", "a/..", "./../x"] {
        let sandbox = Sandbox::new();
        let error = sandbox.unpack(Layer::new().file(name, "evil")).expect_err(name);
        assert!(matches!(error, UnpackError::Refused { .. }), "{name}: {error}");
    }
}

#[test]
fn absolute_names_are_taken_within_the_root() {
    let sandbox = Sandbox::new();
    let inside = format!("{}/secret", sandbox.outside());
    sandbox.unpack(Layer::new().file(&inside, "harmless")).expect("unpacked");
    assert_eq!(sandbox.read(inside.trim_start_matches('/')), "harmless");
}

#[test]
fn a_link_in_place_of_a_parent_directory_leads_nowhere_outside() {
    let sandbox = Sandbox::new();
    let out = sandbox.outside();
    sandbox.unpack(Layer::new().symlink("d", &out).file("d/secret", "evil")).expect("resolved within the root");
    assert_eq!(sandbox.read(&format!("{}/secret", &out[1..])), "evil");
    // Relative and climbing.
    let sandbox = Sandbox::new();
    sandbox.unpack(Layer::new().symlink("d", "../outside").file("d/secret", "evil")).expect("resolved within the root");
    assert_eq!(sandbox.read("outside/secret"), "evil");
    // Through two links, each harmless by itself.
    let sandbox = Sandbox::new();
    let layer = Layer::new().dir("a").symlink("a/up", "..").symlink("b", "a/up/../../outside").file("b/secret", "evil");
    sandbox.unpack(layer).expect("resolved within the root");
}

#[test]
fn a_directory_swapped_for_a_link_between_two_entries_leads_nowhere_outside() {
    let sandbox = Sandbox::new();
    let out = sandbox.outside();
    let layer = Layer::new().dir("d").file("d/first", "1").symlink("d", &out).file("d/secret", "evil");
    sandbox.unpack(layer).expect("resolved within the root");
    assert_eq!(sandbox.read(&format!("{}/secret", &out[1..])), "evil");
}

#[test]
fn the_last_component_is_replaced_and_never_followed() {
    for write in [
        |l: Layer| l.file("x", "evil"),
        |l: Layer| l.dir("x"),
        |l: Layer| l.entry(EntryType::Fifo, "x", "", 0o777, b""),
        |l: Layer| l.symlink("x", "elsewhere"),
        |l: Layer| l.file("y", "evil").hard_link("x", "y"),
    ] {
        let sandbox = Sandbox::new();
        let secret = format!("{}/secret", sandbox.outside());
        sandbox.unpack(write(Layer::new().symlink("x", &secret))).expect("unpacked");
        assert_ne!(fs::read_link(sandbox.root.join("x")).ok(), Some(PathBuf::from(secret)));
    }
}

#[test]
fn hard_links_reach_only_what_the_archive_brought() {
    let sandbox = Sandbox::new();
    let secret = format!("{}/secret", sandbox.outside());
    for target in [secret.as_str(), "../outside/secret", "missing", "", "/"] {
        let error = sandbox.unpack(Layer::new().hard_link("x", target)).expect_err(target);
        assert!(matches!(error, UnpackError::Refused { .. }), "{target}: {error}");
    }
    // Through a link that points outside: resolved within the root, where there is nothing.
    let layer = Layer::new().symlink("d", "../outside").hard_link("x", "d/secret");
    assert!(sandbox.unpack(layer).is_err());
    // A link to a link is the link itself; writing to it afterwards replaces it.
    let sandbox = Sandbox::new();
    let layer = Layer::new().symlink("s", &secret).hard_link("x", "s").file("x", "evil");
    sandbox.unpack(layer).expect("unpacked");
    assert_eq!(sandbox.read("x"), "evil");
    let error = sandbox.unpack(Layer::new().dir("dir").hard_link("y", "dir")).expect_err("a directory");
    assert!(matches!(error, UnpackError::Refused { .. }), "{error}");
}

#[test]
fn a_link_that_was_in_the_root_before_is_not_followed_either() {
    let sandbox = Sandbox::new();
    symlink(sandbox.outside(), sandbox.root.join("d")).expect("link");
    let layer = Layer::new().file("d/secret", "evil").entry(EntryType::Directory, "d", "", 0o777, b"");
    sandbox.unpack(layer).expect("unpacked");
    assert!(fs::symlink_metadata(sandbox.root.join("d")).expect("there").is_dir());
}

#[test]
fn whiteouts_hide_only_names_of_their_own_directory() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..."] {
        let sandbox = Sandbox::new();
        let error = sandbox.unpack(Layer::new().file(name, "")).expect_err(name);
        assert!(matches!(error, UnpackError::Refused { .. }), "{name}: {error}");
    }
    let sandbox = Sandbox::new();
    sandbox.unpack(Layer::new().symlink("d", "../outside").file("d/.wh.secret", "")).expect("within the root");
    // What a later entry brings again is not a whiteout any more, and a directory shows nothing of below.
    let layer =
        Layer::new().file(".wh.f", "").file("f", "back").file(".wh.e", "").dir("e").file(".wh.g", "").file("g/h", "");
    sandbox.unpack(layer).expect("unpacked");
    assert_eq!(sandbox.read("f"), "back");
    for dir in ["e", "g"] {
        let mut value = [0; 8];
        let len = rustix::fs::lgetxattr(sandbox.root.join(dir), "trusted.overlay.opaque", &mut value).expect("opaque");
        assert_eq!(&value[..len], b"y");
    }
}

#[test]
fn device_nodes_are_left_out_and_odd_entries_are_refused() {
    let sandbox = Sandbox::new();
    let layer = Layer::new()
        .entry(EntryType::Char, "dev/null", "", 0o666, b"")
        .entry(EntryType::Block, "dev/sda", "", 0o666, b"")
        .file("after", "x");
    sandbox.unpack(layer).expect("unpacked");
    assert_eq!(names(&sandbox.root.join("dev")), [""; 0]);
    assert_eq!(sandbox.read("after"), "x");
    let error = sandbox.unpack(Layer::new().entry(EntryType::GNUSparse, "s", "", 0o644, b"")).expect_err("sparse");
    assert!(matches!(error, UnpackError::Unsupported(_)), "{error}");
    let error = sandbox.unpack(Layer::new().entry(EntryType::Regular, ".", "", 0o644, b"")).expect_err("the root");
    assert!(matches!(error, UnpackError::Refused { .. }), "{error}");
}

#[test]
fn long_names_work_up_to_the_kernels_limit_and_fail_cleanly_beyond() {
    let sandbox = Sandbox::new();
    let deep = "d/".repeat(1000) + "file";
    sandbox.unpack(Layer::new().file(&deep, "deep")).expect("unpacked");
    let component = "c".repeat(255);
    sandbox.unpack(Layer::new().file(&component, "long")).expect("unpacked");
    for name in ["c".repeat(256), "d/".repeat(3000)] {
        assert!(matches!(sandbox.unpack(Layer::new().file(&name, "")), Err(UnpackError::Refused { .. })));
    }
    assert!(sandbox.unpack(Layer::new().symlink("l", &"t".repeat(5000))).is_err());
}

#[test]
fn owners_modes_and_times_are_the_archives_whatever_the_umask() {
    let sandbox = Sandbox::new();
    let layer = Layer::new()
        .owned(EntryType::Directory, "d", "", 0o1777, (1000, 2000), b"")
        .owned(EntryType::Regular, "d/suid", "", 0o4755, (0, 50), b"x")
        .owned(EntryType::Symlink, "d/link", "suid", 0o777, (7, 8), b"")
        .owned(EntryType::Fifo, "d/fifo", "", 0o622, (9, 9), b"");
    sandbox.unpack(layer).expect("unpacked");
    let look = |name: &str| {
        let meta = fs::symlink_metadata(sandbox.root.join(name)).expect(name);
        assert_eq!(meta.mtime(), 1_000_000_000, "{name}");
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    assert_eq!(look("d"), (0o1777, 1000, 2000));
    assert_eq!(look("d/suid"), (0o4755, 0, 50));
    assert_eq!(look("d/link"), (0o777, 7, 8));
    assert_eq!(look("d/fifo"), (0o622, 9, 9));
}

#[test]
fn entries_are_counted() {
    let sandbox = Sandbox::new();
    let layer = (0..20).fold(Layer::new(), |layer, n| layer.file(&format!("f{n}"), ""));
    let limits = Limits { layer_entries_max: 10, ..Limits::default() };
    let error = unpack(&layer.archive()[..], &sandbox.root, &limits).expect_err("too many");
    assert!(matches!(error, UnpackError::TooLarge { max: 10, unit: "entries" }), "{error}");
}

#[test]
fn mutated_archives_never_panic_and_never_escape() {
    let good = Layer::new()
        .dir("d")
        .file("d/f", "content")
        .symlink("d/l", "f")
        .hard_link("d/h", "d/f")
        .file("d/.wh.gone", "")
        .file(&"long/".repeat(40), "x")
        .archive();
    // A small generator of our own: the same cases each time.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..400 {
        let sandbox = Sandbox::new();
        let mut bytes = good.clone();
        for _ in 0..=next() % 4 {
            let block = (next() as usize % (bytes.len() / 512)) * 512;
            let at = block + next() as usize % 512;
            bytes[at] = [b'/', b'.', 0, 0xff, b'5', b'2', next() as u8][next() as usize % 7];
            // Right the checksum, or nearly every case would end there.
            let sum: u32 =
                (0..512).map(|i| if (148..156).contains(&i) { 32 } else { u32::from(bytes[block + i]) }).sum();
            bytes[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        if next() % 3 == 0 {
            bytes.truncate(next() as usize % bytes.len());
        }
        let _ = unpack(&bytes[..], &sandbox.root, &Limits::default());
        assert_eq!(names(sandbox.tmp.path()), ["outside", "root"]);
        assert_eq!(names(&sandbox.tmp.path().join("outside")), ["secret"]);
    }
}
