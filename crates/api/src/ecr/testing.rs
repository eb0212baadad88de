//! What the tests of ECR's handlers share: a registry whose bytes are in memory, and images put beside it.

use super::create_repository::create_repository;
use crate::logs::testing::Bench;
use crate::routes::{Later, LayerUploadError, Manifests, NewImage, PutImage, PutImageError};
use longshore_aws_model::ecr::{CreateRepositoryInput, ImageIdentifier};
use longshore_types::Scope;
use longshore_types::ecr::{Image, PullThroughRule};
use std::io;
use std::sync::{Arc, Mutex};

/// A registry that has one layer and the manifests it is told of, and answers a put as it is told to.
#[derive(Clone, Default)]
pub struct FakeRegistry(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// Digest and bytes.
    manifests: Vec<(String, Vec<u8>)>,
    put: Option<Result<PutImage, PutImageError>>,
    forgotten: Vec<String>,
    upload: Option<Vec<u8>>,
    uploaded: Vec<(String, Vec<u8>)>,
}

pub const LAYER: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

impl FakeRegistry {
    pub fn have(&self, digest: &str, bytes: &[u8]) {
        self.known().manifests.push((digest.to_owned(), bytes.to_vec()));
    }

    pub fn answer_put(&self, answer: Result<PutImage, PutImageError>) {
        self.known().put = Some(answer);
    }

    /// Repositories whose bytes may go.
    pub fn forgotten(&self) -> Vec<String> {
        self.known().forgotten.clone()
    }

    /// Layers that were uploaded, with their bytes.
    pub fn uploaded(&self) -> Vec<(String, Vec<u8>)> {
        self.known().uploaded.clone()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().expect("no test panics while it holds this")
    }
}

impl Manifests for FakeRegistry {
    fn read<'a>(&'a self, _: &'a Scope, _: &'a str, digest: &'a str) -> Later<'a, io::Result<Option<Vec<u8>>>> {
        let found = self.known().manifests.iter().find(|(known, _)| known == digest).map(|(_, bytes)| bytes.clone());
        Box::pin(async { Ok(found) })
    }

    fn put<'a>(&'a self, _: &'a Scope, _: &'a str, _: NewImage) -> Later<'a, Result<PutImage, PutImageError>> {
        let answer = self.known().put.clone().expect("the test told what to answer");
        Box::pin(async { answer })
    }

    fn blob_size<'a>(&'a self, _: &'a Scope, _: &'a str, digest: &'a str) -> Later<'a, io::Result<Option<u64>>> {
        let size = (digest == LAYER).then_some(42);
        Box::pin(async move { Ok(size) })
    }

    fn begin_upload<'a>(&'a self, _: &'a Scope, _: &'a str) -> Later<'a, Result<String, LayerUploadError>> {
        self.known().upload = Some(Vec::new());
        Box::pin(async { Ok("00000000-0000-0000-0000-000000000001".to_owned()) })
    }

    fn append_upload<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: &'a str,
        first_byte: u64,
        bytes: Vec<u8>,
    ) -> Later<'a, Result<(), LayerUploadError>> {
        let appended = match &mut self.known().upload {
            None => Err(LayerUploadError::Unknown),
            Some(so_far) if so_far.len() as u64 != first_byte => {
                Err(LayerUploadError::OutOfOrder { offset: so_far.len() as u64 })
            }
            Some(so_far) => {
                so_far.extend(bytes);
                Ok(())
            }
        };
        Box::pin(async { appended })
    }

    fn finish_upload<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: &'a str,
        digest: &'a str,
    ) -> Later<'a, Result<(), LayerUploadError>> {
        let mut known = self.known();
        let finished = match known.upload.take() {
            None => Err(LayerUploadError::Unknown),
            Some(bytes) if bytes.is_empty() => {
                known.upload = Some(bytes);
                Err(LayerUploadError::Empty)
            }
            Some(bytes) => {
                known.uploaded.push((digest.to_owned(), bytes));
                Ok(())
            }
        };
        Box::pin(async { finished })
    }

    fn check_upstream<'a>(&'a self, _: &'a Scope, _: &'a PullThroughRule) -> Later<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn forget_repository<'a>(&'a self, _: &'a Scope, repository: &'a str) -> Later<'a, io::Result<()>> {
        self.known().forgotten.push(repository.to_owned());
        Box::pin(async { Ok(()) })
    }
}

/// A repository `web`.
pub fn web() -> (Bench, FakeRegistry) {
    let registry = FakeRegistry::default();
    let bench = Bench::with(registry.clone());
    repository(&bench, "web");
    (bench, registry)
}

pub fn repository(bench: &Bench, name: &str) {
    let input = CreateRepositoryInput { repository_name: name.to_owned(), ..Default::default() };
    bench.try_write(|tx, cx| create_repository(tx, cx, input)).expect("made");
}

/// `sha256:` and 64 times this digit.
pub fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// Puts an image into `web` as the registry does.
pub fn image(bench: &Bench, digit: char, tags: &[&str], children: &[String]) -> String {
    let row = Image {
        repository: "web".to_owned(),
        digest: digest(digit),
        manifest_media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        artifact_media_type: None,
        size_bytes: 1234,
        pushed_at: bench.now,
        image_tags: tags.iter().map(|tag| tag.to_string()).collect(),
        children: children.to_vec(),
        subject: None,
        pulled_at: None,
    };
    let digest = row.digest.clone();
    bench.write(|tx, cx| {
        tx.images().put((cx.scope.clone(), row.repository.clone(), row.digest.clone()), row);
    });
    digest
}

pub fn by_tag(tag: &str) -> ImageIdentifier {
    ImageIdentifier { image_digest: None, image_tag: Some(tag.to_owned()) }
}

pub fn by_digest(digest: &str) -> ImageIdentifier {
    ImageIdentifier { image_digest: Some(digest.to_owned()), image_tag: None }
}
