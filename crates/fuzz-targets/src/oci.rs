//! What registries and images are made of: manifests, configurations, references, ranges; Dockerfiles.

use longshore_image::fuzzing as image;
use longshore_registry::{Manifest, RepositoryName, Tag, fuzzing as registry};

use crate::input::{FIELD, Input};

/// A declared media type and a manifest.
///
/// Holds: what the registry takes in, the garbage collector and the node can read, and all three name the same content; a
/// configuration written and read again is the same.
pub fn manifest(data: &[u8]) {
    let mut input = Input::new(data);
    let declared = input.text(FIELD);
    let bytes = input.rest();
    if let Some(written) = image::config(bytes) {
        assert_eq!(image::config(&written).as_deref(), Some(&written[..]));
    }
    let pulled = image::document(bytes);
    let Ok(taken) = Manifest::parse(bytes, Some(&declared).filter(|text| !text.is_empty()).map(|text| &**text)) else {
        return;
    };
    let kept = registry::references(bytes).expect("what was taken in can be collected");
    for descriptor in taken.config.iter().chain(&taken.layers).chain(&taken.manifests) {
        assert!(kept.contains(&descriptor.digest), "the collector would take {}", descriptor.digest);
    }
    let _ = taken.size_bytes();
    if let Some(pulled) = pulled {
        let named = if taken.kind.is_index() { &taken.manifests } else { &taken.layers };
        let named: Vec<String> = named.iter().map(|descriptor| descriptor.digest.to_string()).collect();
        let pulled: Vec<String> = pulled.iter().map(|digest| digest.to_string()).collect();
        assert_eq!(named, pulled, "registry and node read the same manifest differently");
    }
}

/// Names, references, digests and ranges.
///
/// Holds: what is taken is printed as it was read, names cannot climb out of a directory, ranges lie inside the blob.
pub fn references(data: &[u8]) {
    let mut input = Input::new(data);
    let text = input.text(FIELD);
    if let Ok(name) = RepositoryName::parse(&text) {
        assert_eq!(name.as_str(), text);
        assert!(text.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{text}");
    }
    if let Ok(tag) = Tag::parse(&text) {
        assert!(!tag.as_str().contains('/') && tag.as_str() != "..");
    }
    if let Ok(reference) = text.parse::<longshore_image::ImageRef>() {
        let again: longshore_image::ImageRef = reference.as_str().parse().expect("a canonical name is one");
        assert_eq!(again, reference);
    }
    if let Ok(digest) = longshore_registry::Digest::parse(&text) {
        assert_eq!(digest.to_string(), text);
        if let Ok(theirs) = text.parse::<longshore_image::Digest>() {
            assert_eq!(theirs.to_string(), text);
        }
    }
    if let Ok(digest) = text.parse::<longshore_image::Digest>() {
        assert!(longshore_registry::Digest::parse(&digest.to_string()).is_ok());
    }
    let length = u64::from(input.number());
    let range = input.rest_text();
    if let Some((first, last)) = registry::download_range(&range, length) {
        assert!(first <= last && last < length, "{range} of {length}");
    }
    if let Some(length) = registry::chunk_length(&range) {
        assert!(length > 0);
    }
}

/// A Dockerfile.
///
/// Holds: reading ends, a WORKDIR is absolute and does not climb.
pub fn dockerfile(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some((_, workdir)) = image::dockerfile(&text) {
        assert!(workdir.starts_with('/'), "{workdir:?}");
        assert!(workdir.split('/').all(|part| part != ".."), "{workdir:?}");
    }
}

/// Value of a variable and a text with it.
///
/// Holds: a text without special characters stays as it is; quoting a value in single quotes gives it back.
pub fn expansion(data: &[u8]) {
    let mut input = Input::new(data);
    let value: String = input.text(FIELD).chars().take(200).collect();
    let text = input.rest_text();
    if let Ok(expanded) = image::expand(&text, "v", &value) {
        let growth = text.len().saturating_mul(value.len() + 1).saturating_mul(text.len() + 1);
        assert!(expanded.len() <= growth.saturating_add(16), "{} from {}", expanded.len(), text.len());
        if !text.contains(['$', '\\', '"', '\'']) {
            assert_eq!(expanded, text);
        }
    }
    if !value.contains('\'') {
        assert_eq!(image::expand(&format!("'{value}'"), "v", "").as_deref(), Ok(&*value));
    }
    assert_eq!(image::expand("\"${v}\"", "v", &value).as_deref(), Ok(&*value));
    if let Ok(words) = image::words(&text) {
        let kept: usize = words.iter().map(|word| word.len()).sum();
        assert!(kept <= text.len());
    }
}
