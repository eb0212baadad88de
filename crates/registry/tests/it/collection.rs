//! Garbage collection, alone and against pushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use longshore_registry::{Digest, GcReport, Limits};

use crate::images::push_image;
use crate::site::{Site, repository};

fn at_once() -> Limits {
    Limits { unreferenced_grace: Duration::ZERO, ..Limits::default() }
}

fn blobs_on_disk(site: &Site) -> usize {
    let shards = std::fs::read_dir(site.path().join("blobs/sha256")).unwrap();
    shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

#[tokio::test]
async fn what_images_refer_to_stays_and_the_rest_goes() {
    let site = Site::start_with(at_once()).await;
    let kept = push_image(&site, "app", "v1", "kept").await;
    let gone = push_image(&site, "app", "v2", "gone").await;
    let stray = site.push_blob("app", b"stray").await;
    site.call(Method::DELETE, &format!("/v2/app/manifests/{}", Digest::of(&gone)), &[], "").await.expect(202);
    let report = site.registry.gc().await.unwrap();
    let bytes = gone.len() + "stray".len() + "config of gone".len() + "layer of gone".len();
    assert_eq!(report, GcReport { uploads: 0, links: 3, blobs: 4, bytes: bytes as u64 });
    site.get(&format!("/v2/app/blobs/{stray}")).await.expect_error(404, "BLOB_UNKNOWN");
    assert_eq!(site.get("/v2/app/manifests/v1").await.expect(200).body, kept);
    site.get(&format!("/v2/app/blobs/{}", Digest::of(b"layer of kept"))).await.expect(200);
    assert_eq!(site.registry.gc().await.unwrap(), GcReport::default());
}

#[tokio::test]
async fn a_blob_shared_by_repositories_goes_with_its_last_image() {
    let site = Site::start_with(at_once()).await;
    let manifest = push_image(&site, "app", "v1", "shared").await;
    push_image(&site, "team/app", "v1", "shared").await;
    let layer = Digest::of(b"layer of shared");
    for (name, left) in [("app", 3), ("team/app", 0)] {
        site.call(Method::DELETE, &format!("/v2/{name}/manifests/{}", Digest::of(&manifest)), &[], "")
            .await
            .expect(202);
        site.registry.gc().await.unwrap();
        site.get(&format!("/v2/{name}/blobs/{layer}")).await.expect(404);
        assert_eq!(blobs_on_disk(&site), left);
    }
}

#[tokio::test]
async fn blobs_whose_manifest_is_still_to_come_stay_for_the_grace_time() {
    let site = Site::start_with(Limits { upload_idle_max: Duration::ZERO, ..Limits::default() }).await;
    let stray = site.push_blob("app", b"stray").await;
    let location = site.begin("app").await;
    assert_eq!(site.registry.gc().await.unwrap(), GcReport { uploads: 1, ..GcReport::default() });
    site.get(&format!("/v2/app/blobs/{stray}")).await.expect(200);
    site.get(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn asking_for_an_old_blob_makes_it_young() {
    let site = Site::start_with(Limits { unreferenced_grace: Duration::from_secs(3600), ..Limits::default() }).await;
    let (asked, forgotten) = (site.push_blob("app", b"asked").await, site.push_blob("app", b"forgotten").await);
    let old = std::time::SystemTime::now() - Duration::from_secs(7200);
    for digest in [asked, forgotten] {
        let hex = digest.hex();
        let link = site.path().join("links/123456789012/eu-west-1/app").join(&hex);
        for path in [link, site.path().join("blobs/sha256").join(&hex[..2]).join(&hex)] {
            std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
    }
    site.call(Method::HEAD, &format!("/v2/app/blobs/{asked}"), &[], "").await.expect(200);
    let report = site.registry.gc().await.unwrap();
    assert_eq!((report.links, report.blobs), (1, 1));
    site.get(&format!("/v2/app/blobs/{asked}")).await.expect(200);
}

#[tokio::test]
async fn links_of_a_repository_that_is_gone_go_too() {
    let site = Site::start_with(at_once()).await;
    push_image(&site, "app", "v1", "a").await;
    site.catalogue.remove_repository(&repository("app"));
    let report = site.registry.gc().await.unwrap();
    assert_eq!((report.links, report.blobs), (2, 3));
    assert_eq!(blobs_on_disk(&site), 0);
}

/// Without any grace a blob may go between its push and its manifest's, and the push fails. But what was acknowledged
/// must be whole.
#[tokio::test(flavor = "multi_thread")]
async fn collections_never_break_an_acknowledged_image() {
    let site = Arc::new(Site::start_with(at_once()).await);
    let stop = Arc::new(AtomicBool::new(false));
    let collector = {
        let (site, stop) = (site.clone(), stop.clone());
        tokio::spawn(async move {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                site.registry.gc().await.unwrap();
                rounds += 1;
            }
            rounds
        })
    };
    let mut pushers = tokio::task::JoinSet::new();
    for pusher in 0..4 {
        let site = site.clone();
        pushers.spawn(async move {
            let name = if pusher % 2 == 0 { "app" } else { "team/app" };
            let mut acknowledged = 0;
            for round in 0..40 {
                // All share the configuration, so that deleting one image makes it garbage for a moment.
                let layer = format!("layer {pusher} {round}");
                let manifest = crate::images::bytes(&crate::images::image(b"shared", &[layer.as_bytes()]));
                let target = format!("/v2/{name}/manifests/{}", Digest::of(&manifest));
                site.push_blob(name, b"shared").await;
                site.push_blob(name, layer.as_bytes()).await;
                let put =
                    site.put_manifest(name, &Digest::of(&manifest).to_string(), crate::images::OCI, &manifest).await;
                if put.status != 201 {
                    put.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
                    continue;
                }
                acknowledged += 1;
                for _ in 0..3 {
                    assert_eq!(site.get(&target).await.expect(200).body, manifest);
                    for blob in [b"shared".as_slice(), layer.as_bytes()] {
                        let reply = site.get(&format!("/v2/{name}/blobs/{}", Digest::of(blob))).await.expect(200);
                        assert_eq!(reply.body, blob);
                    }
                }
                site.call(Method::DELETE, &target, &[], "").await.expect(202);
            }
            acknowledged
        });
    }
    let acknowledged: usize = pushers.join_all().await.into_iter().sum();
    stop.store(true, Ordering::Relaxed);
    let rounds: usize = collector.await.unwrap();
    assert!(acknowledged > 0 && rounds > 10, "{acknowledged} pushes, {rounds} collections");
}
