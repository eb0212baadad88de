//! `GET`, `HEAD`, `PUT` and `DELETE` of manifests.

use http::{StatusCode, header};

use super::failure::{Code, Failure};
use super::reply::{CONTENT_DIGEST, OCI_SUBJECT, OCI_TAG, Reply};
use super::{Cx, access};
use crate::body::{self, Incoming};
use crate::catalogue::{Action, Direction};
use crate::manifest::ManifestType;
use crate::name::{Reference, Tag};
use crate::put_manifest::PutManifest;
use crate::storage::off_reactor;

const TAGS_AT_ONCE_MAX: usize = 100;

pub(super) async fn read(cx: &Cx<'_>, parts: &http::request::Parts, reference: &Reference) -> Result<Reply, Failure> {
    let catalogue = &cx.registry.inner.catalogue;
    let missing = import(cx, parts, reference).await.err();
    // What is here already is served to whoever may pull, whether it could be compared with its source or not.
    let image = catalogue.image(&cx.repository, reference);
    let image = image.ok_or_else(|| missing.unwrap_or_else(Failure::manifest_unknown))?;
    if !accepts(cx, image.manifest_type) {
        let message = format!("The image is of type {}, which the Accept header does not allow", image.manifest_type);
        return Err(Failure::new(Code::ManifestUnknown, message));
    }
    let etag = format!("\"{}\"", image.digest);
    let reply = |status| {
        Reply::new(status)
            .header(CONTENT_DIGEST, image.digest)
            .header(header::ETAG, &etag)
            .header(header::CONTENT_TYPE, image.manifest_type)
    };
    if cx.has_current(&etag) {
        return Ok(reply(StatusCode::NOT_MODIFIED));
    }
    if cx.head {
        let blobs = cx.registry.inner.blobs.clone();
        let size_bytes = off_reactor(move || blobs.stored_size(&image.digest)).await?;
        let size_bytes = size_bytes.ok_or_else(Failure::manifest_unknown)?;
        return Ok(reply(StatusCode::OK).header(header::CONTENT_LENGTH, size_bytes));
    }
    // By digest, as the tag may move meanwhile.
    let by_digest = Reference::Digest(image.digest);
    let manifest = cx.registry.manifest(&cx.repository, &by_digest).await?;
    let manifest = manifest.ok_or_else(Failure::manifest_unknown)?;
    catalogue.pulled(&cx.repository, &image.digest);
    Ok(reply(StatusCode::OK).content(manifest.bytes))
}

/// Copies the image from where its repository comes from, if it comes from somewhere and the caller may do that.
async fn import(cx: &Cx<'_>, parts: &http::request::Parts, reference: &Reference) -> Result<(), Failure> {
    let catalogue = &cx.registry.inner.catalogue;
    if !catalogue.provides(&cx.repository, Direction::Pull) {
        return Ok(());
    }
    access::authorize(cx.registry, parts, Action::ImportImage, Some(cx.name()))?;
    let provided = catalogue.provide_image(cx.registry, &cx.repository, reference).await;
    provided.map_err(|message| Failure::new(Code::ManifestUnknown, message))
}

/// Whether the client takes this type. One that names no manifest type at all (`curl`, or no header) takes any.
fn accepts(cx: &Cx<'_>, manifest_type: ManifestType) -> bool {
    let values = cx.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let types =
        values.flat_map(|value| value.split(',')).map(|entry| entry.split(';').next().unwrap_or_default().trim());
    let mut names_manifests = false;
    for accepted in types {
        let is_manifest = ManifestType::parse(accepted);
        names_manifests |= is_manifest.is_some();
        if is_manifest == Some(manifest_type) || accepted == "*/*" || accepted.eq_ignore_ascii_case("application/*") {
            return true;
        }
    }
    !names_manifests
}

pub(super) async fn put(cx: &Cx<'_>, reference: Reference, mut body: Incoming) -> Result<Reply, Failure> {
    let media_type = match cx.headers.get(header::CONTENT_TYPE) {
        Some(value) => {
            let text =
                value.to_str().map_err(|_| Failure::new(Code::ManifestInvalid, "the content type is not text"))?;
            Some(text.to_owned())
        }
        None => None,
    };
    let mut tags: Vec<Tag> = Vec::new();
    for text in cx.query.all("tag") {
        let tag = Tag::parse(text).map_err(|error| Failure::new(Code::TagInvalid, error.to_string()))?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > TAGS_AT_ONCE_MAX {
            return Err(Failure::new(Code::TagInvalid, "too many tags").with_status(StatusCode::URI_TOO_LONG));
        }
    }
    let digest = match &reference {
        Reference::Digest(digest) => Some(*digest),
        // Tags as parameters belong to a push by digest.
        Reference::Tag(tag) => {
            tags = vec![tag.clone()];
            None
        }
    };

    let registry = cx.registry;
    let limits = &registry.inner.limits;
    let permits = &registry.inner.large_manifests;
    let collected = body::collect(&mut body, limits.manifest_bytes_max, limits.body_idle_max, permits).await;
    let (bytes, _permit) = collected.map_err(|end| Failure::of_manifest_body(end, limits.manifest_bytes_max))?;
    let put = PutManifest { bytes, media_type, tags: tags.clone(), digest };
    let put = registry.put_manifest(&cx.repository, put).await;
    let put = put.map_err(|error| Failure::of_put_manifest(error, &cx.repository))?;

    let mut reply = Reply::new(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{}/manifests/{}", cx.name(), put.digest))
        .header(CONTENT_DIGEST, put.digest)
        .header(header::CONTENT_LENGTH, 0);
    if let Some(subject) = put.subject {
        reply = reply.header(OCI_SUBJECT, subject);
    }
    if matches!(reference, Reference::Digest(_)) {
        reply = tags.iter().fold(reply, |reply, tag| reply.header(OCI_TAG, tag));
    }
    Ok(reply)
}

pub(super) async fn delete(cx: &Cx<'_>, reference: &Reference) -> Result<Reply, Failure> {
    let deleted = cx.registry.delete_manifest(&cx.repository, reference).await;
    deleted.map_err(|error| Failure::of_delete(error, &cx.repository))?;
    Ok(Reply::new(StatusCode::ACCEPTED).header(header::CONTENT_LENGTH, 0))
}
