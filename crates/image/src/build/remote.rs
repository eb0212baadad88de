//! ADD of a URL: a download, into a file of the session.

use std::fs::File;
use std::io::Write;

use futures_util::StreamExt;

use super::DockerfileError;
use crate::digest::{Digest, Hasher};
use crate::registry::provide_cryptography;
use crate::store::session::TempPath;
use crate::store::{Inner, StoreError};

/// Whether a source is a URL to download.
pub(super) fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// The name a URL gives to what it leads to.
pub(super) fn file_name(url: &str) -> Option<&str> {
    let path = url.split_once("://")?.1.split(['?', '#']).next()?;
    path.split_once('/')?.1.rsplit('/').next().filter(|name| !name.is_empty() && *name != "." && *name != "..")
}

/// Downloads `url`, of at most `bytes_max`, and checks its digest if one was given.
pub(super) async fn download(
    inner: &Inner,
    url: &str,
    checksum: Option<&str>,
    bytes_max: u64,
) -> Result<TempPath, DownloadError> {
    let expected = checksum
        .map(|text| {
            text.parse::<Digest>().map_err(|_| refused(format!("invalid --checksum `{text}`: expected sha256:…")))
        })
        .transpose()?;
    let failed = |e: reqwest::Error| refused(format!("cannot download {url}: {}", chain(&e)));
    provide_cryptography();
    let client = reqwest::Client::builder()
        .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(std::time::Duration::from_secs(10))
        .read_timeout(std::time::Duration::from_secs(60))
        .build()
        .map_err(failed)?;
    let answer = client.get(url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(refused(format!("cannot download {url}: {}", answer.status())));
    }
    let temp = inner.session.path("download");
    let mut file = File::create_new(temp.as_path()).map_err(StoreError::io("make", temp.as_path()))?;
    let mut hasher = Hasher::default();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(failed)?;
        hasher.update(&chunk);
        if hasher.bytes() > bytes_max {
            return Err(refused(format!("{url} has more than {bytes_max} bytes")));
        }
        file.write_all(&chunk).map_err(StoreError::io("write", temp.as_path()))?;
    }
    match (hasher.finish(), expected) {
        (actual, Some(expected)) if actual != expected => {
            Err(refused(format!("{url} has digest {actual}, not {expected} as --checksum says")))
        }
        _ => Ok(temp),
    }
}

/// Why a download is not there.
pub(super) enum DownloadError {
    Refused(String),
    Store(StoreError),
}

impl From<StoreError> for DownloadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl DownloadError {
    pub fn at(self, line: usize) -> super::BuildError {
        match self {
            Self::Refused(message) => DockerfileError::new(line, message).into(),
            Self::Store(error) => error.into(),
        }
    }
}

fn refused(message: String) -> DownloadError {
    DownloadError::Refused(message)
}

/// An error with its causes: what a client says alone ("error sending request") helps nobody.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files() {
        assert_eq!(file_name("https://host/a/b.tar.gz?x=1#y"), Some("b.tar.gz"));
        for none in ["https://host", "https://host/", "https://host/a/", "https://host/.."] {
            assert_eq!(file_name(none), None, "{none}");
        }
    }
}
