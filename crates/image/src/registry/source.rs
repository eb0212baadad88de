//! Another registry as something to copy from: manifests and blobs as they come, for whoever keeps them elsewhere than in an
//! [`crate::ImageStore`].

use std::io;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use oci_client::RegistryOperation;

use super::client::{Clients, Remote};
use super::{Auth, Cause};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::manifest::Descriptor;
use crate::reference::ImageRef;

/// Connections to other registries, kept between copies.
#[derive(Default)]
pub struct Sources(Clients);

/// One repository of another registry. Nothing it gives is verified.
pub struct Source(Remote);

impl Sources {
    /// The repository of `image`; proves who is asking.
    pub async fn open(&self, image: &ImageRef, auth: &Auth) -> Result<Source, Cause> {
        let remote = self.0.remote(image, auth, None)?;
        if let Err(cause) = remote.authorize(RegistryOperation::Pull).await {
            self.0.forget(image.host());
            return Err(cause);
        }
        Ok(Source(remote))
    }
}

impl Source {
    /// The manifest or index that the reference names, or `digest` in the same repository.
    pub async fn manifest(&self, digest: Option<Digest>) -> Result<Bytes, Cause> {
        self.0.manifest(digest, Limits::default().manifest_bytes_max).await
    }

    /// A blob's bytes. The stream may end early without an error.
    pub async fn blob(&self, digest: Digest, size: u64) -> Result<BoxStream<'static, io::Result<Bytes>>, Cause> {
        self.0.blob(&Descriptor::new("application/octet-stream", digest, size), 0).await
    }
}
