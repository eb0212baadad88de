//! Pulls an image and says how long it took and how much memory: `pull http://HOST:PORT|- REFERENCE STORE_DIR`.

use std::time::Instant;

use longshore_image::{Endpoint, ImageStore, PullOptions, StoreOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, reference, dir] = args.as_slice() else {
        return Err("usage: pull http://HOST:PORT|- REFERENCE STORE_DIR".into());
    };
    let start = Instant::now();
    let store = ImageStore::open(dir.as_ref(), StoreOptions::default())?;
    println!("open          {:?}", start.elapsed());
    let endpoint = if endpoint == "-" { None } else { Some(Endpoint::plain_http(endpoint)?) };
    let options = PullOptions { endpoint, ..PullOptions::default() };
    for round in ["pull", "pull again"] {
        let start = Instant::now();
        let image = store.pull(reference, options.clone()).await?;
        println!(
            "{round:13} {:?} ({} layers, {} bytes, {} unpacked)",
            start.elapsed(),
            image.layers.len(),
            image.compressed_bytes,
            image.unpacked_bytes
        );
    }
    let parsed = reference.parse()?;
    for (name, find) in [
        ("resolve", &(|| store.resolve(reference).is_some()) as &dyn Fn() -> bool),
        ("resolve_ref", &|| store.resolve_ref(&parsed).is_some()),
    ] {
        let start = Instant::now();
        let found = (0..10_000).filter(|_| find()).count();
        println!("{name:13} {:?} ({found} found)", start.elapsed() / 10_000);
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
    Ok(())
}
