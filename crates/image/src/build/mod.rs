//! Builds images from Dockerfiles.
//!
//! ```text
//! text ──lines──► logical lines ──instruction──► instructions ──stage──► layers + configuration ──► image, tags
//!                                    words: quoting, variables    │
//!                                                                 ├─ copy: plan, digest, write an upper directory
//!                                                                 ├─ run: the caller's RunStep, on an overlay
//!                                                                 └─ layer: upper directory ─► archive ─► blob + unpacked layer
//! ```
//! Reproducible: archives are deterministic, so the same files give the same digest, as far as the commands of RUN do. Dates
//! are part of that: copied files keep theirs, as with Docker, because what serves them to browsers derives from it whether they
//! changed. With `source_date_epoch` all files have that date, and every checkout gives the same digest. Each step's result is
//! kept under a key of all that it depends on (`cache`), dates not included.
//!
//! Refused by name, because silence would build another image than was asked for: `RUN --mount=type=ssh`,
//! `RUN --network=none`, `RUN --security=insecure`, `COPY --parents`, `COPY --exclude`, ADD of Git repositories, other platforms.

mod cache;
mod copy;
mod error;
pub(crate) mod fuzzing;
mod ignore;
mod instruction;
mod layer;
mod lines;
mod mount;
mod pattern;
mod remote;
mod run;
mod settings;
mod stage;
mod substitution;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use cache::CachedStep;
pub use error::{BuildError, DockerfileError};
pub use run::{MountSource, OutputStream, RunError, RunFuture, RunMount, RunRequest, RunStep};

use crate::config::ConfigFile;
use crate::digest::ImageId;
use crate::image::Image;
use crate::manifest::{Manifest, OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_TAR, OCI_MANIFEST};
use crate::reference::ImageRef;
use crate::registry::{PullOptions, blocking};
use crate::store::record::Record;
use crate::store::{ImageStore, StoreError, blobs};
use instruction::{Instruction, StageSource, Step};
use stage::{Builder, Built};

/// How to build.
#[derive(Clone, Default)]
pub struct BuildOptions {
    /// The Dockerfile; `Dockerfile` in the context unless given.
    pub dockerfile: Option<PathBuf>,
    /// The names of the new image.
    pub tags: Vec<ImageRef>,
    /// Values for ARG.
    pub args: BTreeMap<String, String>,
    /// The stage to build, by name or number; the last one unless given.
    pub target: Option<String>,
    /// Runs every step, whatever the cache has.
    pub no_cache: bool,
    /// Date of the image and of copied files, in seconds since 1970; what RUN wrote is dated no later either. Without it, all
    /// files keep their dates, those that are copied too, and the image and directories that are only implied have 0.
    pub source_date_epoch: Option<i64>,
    /// Values for `RUN --mount=type=secret`, by id. They reach neither the image nor the cache.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Asks registries for base images even when they are in the store.
    pub pull_always: bool,
    /// How to pull a base image that is not in the store; nothing is pulled without it.
    pub pull: Option<PullFor>,
    /// Told what happens, output of commands included.
    pub events: Option<BuildEvents>,
}

/// Receives [`BuildEvent`]; should return at once.
pub type BuildEvents = Arc<dyn Fn(BuildEvent<'_>) + Send + Sync>;

/// Credentials and endpoint for an image.
pub type PullFor = Arc<dyn Fn(&ImageRef) -> PullOptions + Send + Sync>;

/// What a build tells.
#[derive(Debug, Clone, Copy)]
pub enum BuildEvent<'a> {
    /// Instruction `number` of `total` starts; `line` is its first line in the Dockerfile.
    Step { number: usize, total: usize, line: usize, text: &'a str, cached: bool },
    /// A command of RUN wrote this.
    Output { stream: OutputStream, bytes: &'a [u8] },
    /// Something that is probably not what was meant.
    Warning(&'a str),
}

impl ImageStore {
    /// Builds the image that the Dockerfile describes from the directory `context`, and tags it.
    ///
    /// Commands of RUN are executed by `runner`, one at a time. A process that ends after the build should wait for
    /// [`ImageStore::flush`] first: unlike a pulled image, a built one is nowhere else.
    pub async fn build(
        &self,
        context: &Path,
        options: &BuildOptions,
        runner: &dyn RunStep,
    ) -> Result<Arc<Image>, BuildError> {
        let path = options.dockerfile.clone().unwrap_or_else(|| context.join("Dockerfile"));
        let text =
            std::fs::read_to_string(&path).map_err(|source| BuildError::Dockerfile { path: path.clone(), source })?;
        let file = instruction::parse(&text)?;
        let target = file.target(options.target.as_deref())?;
        let _activity = self.inner.enter().await?;
        let mut builder = Builder::new(self, context, &path, options, runner, &file)?;
        let needed = file.needed(target, &builder.images);
        builder.total = needed.iter().map(|stage| file.stages[*stage].steps.len() + 1).sum();
        for stage in needed {
            builder.stage(stage).await?;
        }
        builder.warn_of_unused_args();
        let built = builder.take(target);
        self.finish(built, options).await
    }

    /// Stores the image of a finished stage and names it.
    async fn finish(&self, built: Built, options: &BuildOptions) -> Result<Arc<Image>, BuildError> {
        let (inner, tags) = (self.inner.clone(), options.tags.clone());
        let epoch = options.source_date_epoch.unwrap_or(0);
        blocking(move || {
            let mut config: ConfigFile = built.config;
            config.created = Some(layer::rfc3339(epoch));
            config.rootfs.diff_ids = built.layers.iter().map(|layer| layer.diff_id).collect();
            let bytes = to_json(&config)?;
            let config_digest = blobs::put(&inner.layout, &inner.session, &bytes)?;
            let descriptor = crate::manifest::Descriptor::new(OCI_CONFIG, config_digest, bytes.len() as u64);
            let mut layers = built.layers;
            for layer in &mut layers {
                // A base image may have Docker's words for the same things.
                match layer.blob.media_type.as_str() {
                    crate::manifest::DOCKER_LAYER_GZIP => layer.blob.media_type = OCI_LAYER_GZIP.to_owned(),
                    crate::manifest::DOCKER_LAYER_TAR => layer.blob.media_type = OCI_LAYER_TAR.to_owned(),
                    _ => {}
                }
            }
            let manifest = Manifest {
                schema_version: 2,
                media_type: OCI_MANIFEST.to_owned(),
                config: descriptor.clone(),
                layers: layers.iter().map(|layer| layer.blob.clone()).collect(),
            };
            let id = ImageId(blobs::put(&inner.layout, &inner.session, &to_json(&manifest)?)?);
            let chain: Vec<_> = layers.iter().map(|layer| layer.chain).collect();
            let record = Record { id, media_type: OCI_MANIFEST.to_owned(), config: descriptor, layers };
            let image = inner.put_image(&record, config)?;
            for tag in &tags {
                inner.put_ref(tag, id.0, id)?;
            }
            inner.flush_later(chain);
            Ok(image)
        })
        .await
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|source| StoreError::Json { what: "image".to_owned(), source })
}

impl instruction::Dockerfile {
    /// The stage to build.
    fn target(&self, name: Option<&str>) -> Result<usize, BuildError> {
        match name {
            None => Ok(self.stages.len() - 1),
            Some(name) => self
                .stage_named(name, self.stages.len())
                .or_else(|| name.parse().ok().filter(|n| *n < self.stages.len()))
                .ok_or_else(|| BuildError::NoStage(name.to_owned())),
        }
    }

    /// The stages that `target` needs, itself included, in order. `images` are the expanded images of FROM.
    fn needed(&self, target: usize, images: &[String]) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut open = vec![target];
        while let Some(stage) = open.pop() {
            if !needed.insert(stage) {
                continue;
            }
            open.extend(self.stage_named(&images[stage], stage));
            for Step { instruction, .. } in &self.stages[stage].steps {
                let sources: Vec<&String> = match instruction {
                    Instruction::Copy(copy) => copy.from.iter().collect(),
                    Instruction::Run { mounts, .. } => mounts.iter().filter_map(|mount| mount.from.as_ref()).collect(),
                    _ => Vec::new(),
                };
                for from in sources {
                    if let StageSource::Stage(source) = self.source(from, stage) {
                        open.push(source);
                    }
                }
            }
        }
        needed
    }
}
