//! Archives of images: `docker save` and OCI layouts.

use longshore_image::{Digest, ImageStore, Limits, RetryPolicy, StoreOptions};

use crate::input::{FIELD, Input};
use crate::unpack::tar_entry;

const NAMES: [&str; 12] = [
    "manifest.json",
    "index.json",
    "oci-layout",
    "config.json",
    "layer.tar",
    "a/layer.tar",
    "blobs/sha256/x",
    "./manifest.json",
    "../index.json",
    "repositories",
    "b/layer.tar",
    "manifest.json/",
];

/// Files of an archive: kind, name by number, and content, in which `@a` stands for the hex digest of the first file so far,
/// `@b` for that of the second. By its kind a file is the content, or a layer with it (compressed, too: then its plain
/// digest comes first), or a link to it. Or the bytes of an archive.
///
/// Holds: what is imported has its layers and is found by its names; of what is refused there is no name.
pub fn archive(data: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    let mut input = Input::new(data);
    let bytes = if input.byte() & 15 == 15 { input.rest().to_vec() } else { files(&mut input) };
    RUNTIME.with(|runtime| runtime.block_on(import(bytes)));
}

async fn import(bytes: Vec<u8>) {
    let directory = crate::scratch();
    let options = StoreOptions {
        limits: Limits { layer_bytes_max: 1 << 20, layer_entries_max: 200, ..Limits::default() },
        retry: RetryPolicy { attempts: 1, ..StoreOptions::default().retry },
        ..StoreOptions::default()
    };
    let store = ImageStore::open(directory.path(), options).expect("an empty directory");
    let result = store.import(std::io::Cursor::new(bytes)).await;
    match &result {
        Ok(imported) => {
            assert!(!imported.is_empty());
            for one in imported {
                assert!(one.image.layers.iter().all(|layer| layer.is_dir()), "a layer is not there");
                assert!(store.get(one.image.id).is_some(), "what was imported is not there");
                for name in &one.references {
                    assert!(store.resolve_ref(name).is_some(), "{name}");
                }
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let named: Vec<_> = store.list().expect("a list").into_iter().flat_map(|image| image.references).collect();
            assert!(named.is_empty(), "of an archive that was refused there is {named:?}: {error}");
        }
    }
    // Its thread writes below the directory, which goes now.
    store.flush().await;
}

fn files(input: &mut Input<'_>) -> Vec<u8> {
    let (mut archive, mut digests) = (Vec::new(), Vec::<String>::new());
    for _ in 0..12 {
        if input.is_empty() {
            break;
        }
        let (kind, number) = (input.byte() % 8, usize::from(input.byte()));
        let name = NAMES[number % NAMES.len()];
        let mut content = replaced(input.until(FIELD), &digests);
        if kind == 7 {
            tar_entry(&mut archive, false, b'2', (name, &String::from_utf8_lossy(&content)), 0, &[]);
            continue;
        }
        if kind == 6 || kind == 5 {
            let file = std::mem::take(&mut content);
            tar_entry(&mut content, false, b'0', ("a", ""), 0o644, &file);
            content.resize(content.len() + 1024, 0);
        }
        digests.push(Digest::of(&content).hex());
        if kind == 5 {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &content).expect("memory takes it");
            content = encoder.finish().expect("memory takes it");
            digests.push(Digest::of(&content).hex());
        }
        tar_entry(&mut archive, false, b'0', (name, ""), 0o644, &content);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn replaced(content: &[u8], digests: &[String]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut bytes = content.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek().and_then(|letter| digests.get(usize::from(letter.wrapping_sub(b'a'))))) {
            (b'@', Some(digest)) => {
                out.extend_from_slice(digest.as_bytes());
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
    out
}
