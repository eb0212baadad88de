//! Repositories and the images in them. Bytes live in `registry`.

use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Key: scope and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    pub name: String,
    pub created_at: Timestamp,
    pub immutable_tags: bool,
    /// Patterns of tags for which the opposite of `immutable_tags` holds. `*` stands for anything.
    #[serde(default)]
    pub mutability_exclusions: Vec<String>,
    #[serde(default)]
    pub scan_on_push: bool,
    #[serde(default)]
    pub lifecycle: Option<LifecyclePolicy>,
    /// What StartLifecyclePolicyPreview asked about last.
    #[serde(default)]
    pub lifecycle_preview: Option<LifecyclePreview>,
    /// The repository policy's text.
    #[serde(default)]
    pub policy: Option<String>,
    pub tags: Tags,
}

impl Repository {
    /// Whether a tag that names an image may not be moved to another.
    pub fn is_immutable(&self, tag: &str) -> bool {
        self.immutable_tags != self.mutability_exclusions.iter().any(|pattern| matches(pattern, tag))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LifecyclePolicy {
    pub text: String,
    pub last_evaluated_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LifecyclePreview {
    pub text: String,
    pub started_at: Timestamp,
}

/// Where images below a prefix come from when they are not here. Key: scope and prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PullThroughRule {
    /// Of repository names here, without a slash at the end; `ROOT` for all.
    pub prefix: String,
    /// A host, with a port if need be.
    pub upstream_url: String,
    /// Of repository names there, if it differs from none.
    pub upstream_prefix: Option<String>,
    pub upstream_registry: Option<String>,
    /// A secret of Secrets Manager with `username` and `accessToken`.
    pub credential_arn: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a repository is like that nobody created by name. Key: scope and prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreationTemplate {
    /// Of repository names, without a slash at the end; `ROOT` for all.
    pub prefix: String,
    pub description: Option<String>,
    pub immutable_tags: bool,
    pub mutability_exclusions: Vec<String>,
    pub policy: Option<String>,
    pub lifecycle_policy: Option<String>,
    pub tags: Tags,
    pub for_pull_through: bool,
    pub for_push: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Key: scope, repository and digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    pub repository: String,
    /// `sha256:` and 64 hexadecimal digits, of the manifest.
    pub digest: String,
    pub manifest_media_type: String,
    pub artifact_media_type: Option<String>,
    /// Layers and configuration together.
    pub size_bytes: u64,
    pub pushed_at: Timestamp,
    pub image_tags: BTreeSet<String>,
    /// Digests of the images that this index lists.
    pub children: Vec<String>,
    /// The manifest that this one refers to.
    pub subject: Option<String>,
    /// To the hour.
    #[serde(default)]
    pub pulled_at: Option<Timestamp>,
}

/// Whether a pattern in which `*` stands for any characters, or none, covers all of a text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    // The first place where what is between two stars fits leaves the most for what follows.
    let mut parts = rest.split('*').peekable();
    let mut left = text;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// The most specific of the prefixes that a repository's name lies below; `ROOT` is below all others.
pub fn longest_prefix<'a>(prefixes: impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let covers =
        |prefix: &&str| *prefix == "ROOT" || name.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with('/'));
    prefixes.filter(covers).max_by_key(|prefix| if *prefix == "ROOT" { 0 } else { prefix.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text) in
            [("a", "a"), ("*", ""), ("*", "x"), ("v*", "v1"), ("*-dev", "a-dev-dev"), ("a*b*c", "aXbbXc"), ("**", "q")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a", "ab"), ("v*", "w"), ("*-dev", "a-dev1"), ("a*b*c", "ac"), ("ab*ba", "aba"), ("", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn the_longest_prefix_counts() {
        let of = |name| longest_prefix(["ROOT", "a", "a/b"].into_iter(), name);
        assert_eq!((of("a/b/c"), of("a/bc"), of("ab/c")), (Some("a/b"), Some("a"), Some("ROOT")));
        assert_eq!(longest_prefix(["a"].into_iter(), "a"), None);
    }
}
