//! The process is killed while clients push: what was acknowledged is there afterwards.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_registry::memory::MemoryCatalogue;
use longshore_registry::{
    AccessRequest, Answer, Catalogue, DeleteImageError, Denied, Digest, Grant, Image, ImageRecord, Limits,
    ManifestType, PutImageError, PutImageOutcome, Reference, Registry, RepositoryId, Scope, Tag,
};
use serde_json::{Value, json};

use crate::images::{OCI, bytes, image};
use crate::site::{Client, PUSHER, repository, scope, serve};

/// Where the child keeps its registry, and writes its address.
const DIRECTORY: &str = "LONGSHORE_REGISTRY_TEST_DIRECTORY";

/// A catalogue in memory whose images are written to a file before they are acknowledged.
struct FileCatalogue {
    memory: MemoryCatalogue,
    log: Mutex<File>,
}

impl FileCatalogue {
    async fn open(path: &Path) -> FileCatalogue {
        let memory = MemoryCatalogue::new();
        memory.add_token(PUSHER, &scope(), true);
        memory.add_repository(repository("app"), false);
        memory.add_repository(repository("team/app"), false);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut whole = 0;
        // A line that the kill cut off was not acknowledged.
        for line in text.split_inclusive('\n').take_while(|line| line.ends_with('\n')) {
            let entry: Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| entry[name].as_str().unwrap();
            let image = Image {
                digest: Digest::parse(field("digest")).unwrap(),
                manifest_type: ManifestType::parse(field("type")).unwrap(),
                manifest_bytes: 0,
                size_bytes: 0,
                tags: entry["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|tag| Tag::parse(tag.as_str().unwrap()).unwrap())
                    .collect(),
                config_media_type: None,
                artifact_type: None,
                subject: None,
                children: Vec::new(),
            };
            memory.put_image(&repository(field("repository")), image).await.unwrap();
            whole += line.len();
        }
        let mut log = File::options().create(true).truncate(false).write(true).open(path).unwrap();
        log.set_len(whole as u64).unwrap();
        log.seek(std::io::SeekFrom::End(0)).unwrap();
        FileCatalogue { memory, log: Mutex::new(log) }
    }
}

impl Catalogue for FileCatalogue {
    fn authorize(&self, request: AccessRequest<'_>) -> Result<Grant, Denied> {
        self.memory.authorize(request)
    }

    fn repository_exists(&self, repository: &RepositoryId) -> bool {
        self.memory.repository_exists(repository)
    }

    fn image(&self, repository: &RepositoryId, reference: &Reference) -> Option<ImageRecord> {
        self.memory.image(repository, reference)
    }

    fn repositories(&self, scope: &Scope, after: &str, count_max: usize) -> Vec<String> {
        self.memory.repositories(scope, after, count_max)
    }

    fn tags(&self, repository: &RepositoryId, after: &str, count_max: usize) -> Vec<Tag> {
        self.memory.tags(repository, after, count_max)
    }

    fn referrers(&self, repository: &RepositoryId, subject: &Digest) -> Vec<ImageRecord> {
        self.memory.referrers(repository, subject)
    }

    fn images(&self) -> Vec<(RepositoryId, Digest)> {
        self.memory.images()
    }

    fn put_image<'a>(
        &'a self,
        repository: &'a RepositoryId,
        image: Image,
    ) -> Answer<'a, Result<PutImageOutcome, PutImageError>> {
        Box::pin(async move {
            let entry = json!({
                "repository": repository.name.as_str(), "digest": image.digest, "type": image.manifest_type.as_str(),
                "tags": image.tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
            });
            {
                let mut log = self.log.lock().unwrap();
                log.write_all(format!("{entry}\n").as_bytes()).unwrap();
                log.sync_data().unwrap();
            }
            self.memory.put_image(repository, image).await
        })
    }

    fn delete_image<'a>(
        &'a self,
        repository: &'a RepositoryId,
        reference: &'a Reference,
    ) -> Answer<'a, Result<(), DeleteImageError>> {
        self.memory.delete_image(repository, reference)
    }
}

/// Not a test: the process that is killed. Also useful by hand, with the directory in the environment.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves until it is killed"]
async fn serve_until_killed() {
    let directory = std::env::var_os(DIRECTORY).expect("the directory is given");
    let directory = Path::new(&directory);
    let catalogue = Arc::new(FileCatalogue::open(&directory.join("catalogue")).await);
    let limits = Limits { unreferenced_grace: Duration::from_secs(3600), ..Limits::default() };
    let registry = Registry::open(&directory.join("registry"), catalogue, limits).unwrap();
    let (address, mut server) = serve(registry.clone()).await;
    std::fs::write(directory.join("address.new"), address.to_string()).unwrap();
    std::fs::rename(directory.join("address.new"), directory.join("address")).unwrap();
    server.spawn(async move {
        loop {
            registry.gc().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    server.join_next().await;
}

/// The child dies with this.
struct Server(Child);

impl Server {
    async fn start(directory: &Path) -> (Server, Client) {
        let _ = std::fs::remove_file(directory.join("address"));
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["kill::serve_until_killed", "--ignored", "--exact", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server(child);
        for _ in 0..500 {
            if let Ok(address) = std::fs::read_to_string(directory.join("address")) {
                return (server, Client { address: address.parse::<SocketAddr>().unwrap() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server did not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Pushes an image; its manifest if that was acknowledged. Any error is the kill.
async fn push(client: Client, name: &'static str, content: String) -> Option<Vec<u8>> {
    let layer = content.repeat(20_000);
    for blob in [content.as_bytes(), layer.as_bytes()] {
        let target = format!("/v2/{name}/blobs/uploads/?digest={}", Digest::of(blob));
        let reply = client.try_call("POST", &target, &[], blob.to_vec()).await.ok()?;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    let manifest = bytes(&image(content.as_bytes(), &[layer.as_bytes()]));
    let target = format!("/v2/{name}/manifests/{}", content.replace(' ', "-"));
    let reply = client.try_call("PUT", &target, &[("content-type", OCI)], manifest.clone()).await.ok()?;
    assert_eq!(reply.status, 201, "{reply:?}");
    Some(manifest)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_images_survive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(&'static str, String, Vec<u8>)> = Vec::new();
    for round in 0..8u64 {
        let (server, client) = Server::start(directory.path()).await;
        let mut pushers = tokio::task::JoinSet::new();
        for pusher in 0..4 {
            pushers.spawn(async move {
                let name = if pusher % 2 == 0 { "app" } else { "team/app" };
                let mut pushed = Vec::new();
                for count in 0.. {
                    let content = format!("image {round} {pusher} {count}");
                    let Some(manifest) = push(client, name, content.clone()).await else { break };
                    pushed.push((name, content, manifest));
                }
                pushed
            });
        }
        tokio::time::sleep(Duration::from_millis(300 + round * 37)).await;
        drop(server);
        acknowledged.extend(pushers.join_all().await.into_iter().flatten());
    }
    let (_server, client) = Server::start(directory.path()).await;
    assert!(acknowledged.len() >= 8, "{}", acknowledged.len());
    for (name, content, manifest) in acknowledged {
        let tag = content.replace(' ', "-");
        let reply = client.try_call("GET", &format!("/v2/{name}/manifests/{tag}"), &[], Vec::new()).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, manifest.as_slice()));
        for blob in [content.clone(), content.repeat(20_000)] {
            let target = format!("/v2/{name}/blobs/{}", Digest::of(blob.as_bytes()));
            let reply = client.try_call("GET", &target, &[], Vec::new()).await.unwrap();
            assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, blob.as_bytes()));
        }
    }
}
