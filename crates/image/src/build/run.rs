//! How a build asks its caller to run a command.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use crate::image::LowerDirs;

/// Runs the commands of RUN. The build knows no containers; whoever does implements this.
pub trait RunStep: Send + Sync {
    /// Runs the command in a root made of an overlay of the request's directories, and returns its exit code.
    ///
    /// The overlay must be gone when the future is done: the build then reads `upper` and makes a layer of it. Mount with
    /// [`LowerDirs::overlay_options`], which turns off what a layer cannot express. Dropping the future must end the command.
    fn run<'a>(&'a self, request: RunRequest<'a>) -> RunFuture<'a>;
}

/// The exit code of a command, once it ended.
pub type RunFuture<'a> = Pin<Box<dyn Future<Output = Result<i32, RunError>> + Send + 'a>>;

/// Why a command could not be run at all.
pub type RunError = Box<dyn std::error::Error + Send + Sync>;

/// A command to run.
#[derive(Clone, Copy)]
pub struct RunRequest<'a> {
    /// The image so far. One empty directory for a build from scratch.
    pub lower: &'a LowerDirs,
    /// Empty directory for what the command changes.
    pub upper: &'a Path,
    /// Empty directory beside `upper`, for overlayfs.
    pub work: &'a Path,
    /// The program, to be looked up in the PATH of `env`, and its arguments.
    pub argv: &'a [String],
    /// `NAME=value`.
    pub env: &'a [String],
    /// Absolute; exists in the image.
    pub cwd: &'a str,
    /// As the image's user: empty (root), `name`, `uid`, `name:group` or `uid:gid`, of the image's `/etc/passwd`.
    pub user: &'a str,
    /// To be mounted on top, in this order; mount points are made where they are missing.
    pub mounts: &'a [RunMount],
    /// Without any network but loopback, instead of the host's.
    pub is_offline: bool,
    /// To be given what the command writes, as it comes.
    pub output: &'a (dyn Fn(OutputStream, &[u8]) + Send + Sync),
}

/// Something that a command sees and the image does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMount {
    pub source: MountSource,
    /// Absolute.
    pub target: String,
    pub readonly: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A file or directory of the host.
    Path(std::path::PathBuf),
    /// Memory, of at most this size if one is given.
    Tmpfs { size_bytes: Option<u64> },
}

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    Stdout,
    Stderr,
}
