//! What can go wrong with a build.

use std::io;
use std::path::PathBuf;

use crate::pack::PackError;
use crate::registry::PullError;
use crate::store::StoreError;
use crate::unpack::UnpackError;

/// A mistake in a Dockerfile, with the line where its instruction starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Dockerfile:{line}: {message}")]
pub struct DockerfileError {
    pub line: usize,
    pub message: String,
}

impl DockerfileError {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot read {}: {source}", path.display())]
    Dockerfile { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Syntax(#[from] DockerfileError),
    #[error("there is no build stage `{0}`")]
    NoStage(String),
    #[error("Dockerfile:{line}: cannot use image `{image}`: {source}")]
    Pull { line: usize, image: String, source: Box<PullError> },
    #[error("Dockerfile:{line}: image `{image}` is not on this machine")]
    NoImage { line: usize, image: String },
    #[error("Dockerfile:{line}: command failed with exit code {code}: {command}")]
    Command { line: usize, command: String, code: i32 },
    #[error("Dockerfile:{line}: cannot run `{command}`: {source}")]
    Run { line: usize, command: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("Dockerfile:{line}: {message}")]
    Copy { line: usize, message: String },
    #[error("Dockerfile:{line}: cannot {doing} {}: {source}", path.display())]
    Io { line: usize, doing: &'static str, path: PathBuf, source: io::Error },
    #[error("Dockerfile:{line}: cannot extract `{path}`: {source}")]
    Archive { line: usize, path: String, source: UnpackError },
    #[error("cannot make a layer: {0}")]
    Layer(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PackError> for BuildError {
    fn from(error: PackError) -> Self {
        Self::Layer(Box::new(error))
    }
}
