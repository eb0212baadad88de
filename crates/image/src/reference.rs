//! Image references: `nginx`, `host:5000/team/app:1.2`, `repo@sha256:…`.
//!
//! A reference is canonical once parsed: host and tag are always spelled out (`docker.io/library/nginx:latest`), so two
//! spellings of one image are one key.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

use crate::digest::Digest;

/// A parsed, canonical image reference.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImageRef {
    inner: Reference,
    digest: Option<Digest>,
    canonical: String,
}

/// A text that is no image reference.
#[derive(Debug, Clone, thiserror::Error)]
#[error("invalid reference format: `{text}`: {reason}")]
pub struct ParseReferenceError {
    text: String,
    reason: String,
}

impl ImageRef {
    /// The registry's public host name, with the port when it has one.
    pub fn host(&self) -> &str {
        self.inner.registry()
    }

    /// The repository's name within its registry.
    pub fn repository(&self) -> &str {
        self.inner.repository()
    }

    /// The tag, if any. A reference without tag and digest has the tag `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.inner.tag()
    }

    /// The digest that pins the content, if any.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The canonical text: `HOST/NAME:TAG`, `HOST/NAME@DIGEST` or `HOST/NAME:TAG@DIGEST`.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// The same image, named by `digest`.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self::from_inner(self.inner.clone_with_digest(digest.to_string()), Some(digest))
    }

    pub(crate) fn inner(&self) -> &Reference {
        &self.inner
    }

    fn from_inner(inner: Reference, digest: Option<Digest>) -> Self {
        let canonical = inner.whole();
        Self { inner, digest, canonical }
    }
}

impl FromStr for ImageRef {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: String| ParseReferenceError { text: text.chars().take(300).collect(), reason };
        let inner = Reference::from_str(text).map_err(|e| wrong(e.to_string()))?;
        // A first component in capitals passes as a host name and then turns out to be none.
        if inner.repository().bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong("repository name must be lowercase".to_owned()));
        }
        let digest = match inner.digest() {
            Some(digest) => Some(digest.parse().map_err(|e: crate::digest::ParseDigestError| wrong(e.to_string()))?),
            None => None,
        };
        Ok(Self::from_inner(inner, digest))
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_become_canonical() {
        let check = |text: &str, canonical: &str| {
            assert_eq!(text.parse::<ImageRef>().expect("a reference").as_str(), canonical);
        };
        check("nginx", "docker.io/library/nginx:latest");
        check("team/app:2", "docker.io/team/app:2");
        check("localhost:5000/a/b", "localhost:5000/a/b:latest");
        check(
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:v1",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:v1",
        );
        let digest = Digest::of(b"x");
        check(&format!("a/b@{digest}"), &format!("docker.io/a/b@{digest}"));
    }

    #[test]
    fn what_is_no_reference_is_refused_with_its_text() {
        for wrong in ["", "UPPER/case", "a b", "a:b:c/d", "../etc", "a@sha256:12"] {
            let error = wrong.parse::<ImageRef>().expect_err(wrong).to_string();
            assert!(error.starts_with("invalid reference format"), "{error}");
        }
    }
}
