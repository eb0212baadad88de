//! Repositories of a registry, tags of a repository, and what refers to an image.

use std::collections::BTreeMap;
use std::ops::Bound;

use http::{StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Cx;
use super::failure::{Code, Failure};
use super::reply::{OCI_FILTERS_APPLIED, Reply};
use super::target::{Query, escape};
use crate::catalogue::ImageRecord;
use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestType};
use crate::name::{RepositoryName, Scope, Tag};
use crate::range::decimal;
use crate::registry::Registry;
use crate::storage::off_reactor;

const NAMES_PER_PAGE_MAX: usize = 1000;
/// Manifests looked at for one page, whether the filter lets them through or not.
const REFERRERS_READ_MAX: usize = 1000;
/// The specification permits a page of 4 MiB; annotations are what can make one long, but a page has at least one
/// descriptor, and annotations of one manifest are always shorter than that.
const REFERRERS_PAGE_BYTES_MAX: usize = 3 << 20;
/// What a descriptor has besides annotations, and an artifact type of usual length.
const DESCRIPTOR_BYTES: usize = 400;

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<&'a str>,
}

pub(super) fn tags(cx: &Cx<'_>) -> Result<Reply, Failure> {
    let page = Page::of(&cx.query)?;
    let found = cx.registry.inner.catalogue.tags(&cx.repository, page.after, page.most + 1);
    let (tags, next) = page.cut(found.iter().map(Tag::as_str).collect(), &format!("{}/tags/list", cx.name()));
    Ok(page_reply(&TagList { name: cx.name().as_str(), tags }, next))
}

#[derive(Serialize)]
struct Catalog<'a> {
    repositories: Vec<&'a str>,
}

/// Of the whole registry, by name.
pub(super) fn repositories(registry: &Registry, scope: &Scope, query: &Query<'_>) -> Result<Reply, Failure> {
    let page = Page::of(query)?;
    let found = registry.inner.catalogue.repositories(scope, page.after, page.most + 1);
    let (repositories, next) = page.cut(found.iter().map(String::as_str).collect(), "_catalog");
    Ok(page_reply(&Catalog { repositories }, next))
}

/// Which names are asked for.
struct Page<'a> {
    after: &'a str,
    most: usize,
}

impl<'a> Page<'a> {
    fn of(query: &'a Query<'_>) -> Result<Self, Failure> {
        let wanted = match query.first("n") {
            Some(text) => decimal(text).ok_or_else(|| {
                Failure::new(Code::Unsupported, "n is not a number").with_status(StatusCode::BAD_REQUEST)
            })?,
            None => u64::MAX,
        };
        let most = usize::try_from(wanted).unwrap_or(usize::MAX).min(NAMES_PER_PAGE_MAX);
        Ok(Self { after: query.first("last").unwrap_or_default(), most })
    }

    /// The names of this page, of one more than it may have, and the `Link` to the next one if there is any.
    fn cut<'n>(&self, mut names: Vec<&'n str>, path: &str) -> (Vec<&'n str>, Option<String>) {
        let is_more = names.len() > self.most;
        names.truncate(self.most);
        let last = names.last().filter(|_| is_more);
        let next = last.map(|last| format!("</v2/{path}?n={}&last={}>; rel=\"next\"", self.most, escape(last)));
        (names, next)
    }
}

fn page_reply(list: &impl Serialize, next: Option<String>) -> Reply {
    let reply = Reply::new(StatusCode::OK).json(serde_json::to_vec(list).expect("texts are serializable"));
    match next {
        Some(next) => reply.header(header::LINK, next),
        None => reply,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Referrer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    media_type: &'static str,
    digest: Digest,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Box<RawValue>>,
}

/// One page of an image's referrers, in the order of their digests.
///
/// A tag `sha256-<hex>` that a client keeps as a list of referrers, as it does for registries without this endpoint,
/// is an ordinary tag here: an image that such a list names has a subject, and is found by that.
pub(super) async fn referrers(cx: &Cx<'_>, subject: &Digest) -> Result<Reply, Failure> {
    let filter = cx.query.first("artifactType").filter(|text| !text.is_empty());
    let after = match cx.query.first("last") {
        Some(text) => {
            let last = Digest::parse(text).map_err(|error| Failure::new(Code::DigestInvalid, error.to_string()))?;
            Bound::Excluded(last)
        }
        None => Bound::Unbounded,
    };
    let records = cx.registry.inner.catalogue.referrers(&cx.repository, subject);
    let records: BTreeMap<Digest, ImageRecord> = records.into_iter().map(|record| (record.digest, record)).collect();

    let mut manifests = Vec::new();
    let mut page_bytes = 0;
    let mut next = None;
    for (count, (digest, record)) in records.range((after, Bound::Unbounded)).enumerate() {
        let Some(referrer) = read(cx, record).await? else { continue };
        if filter.is_none() || referrer.artifact_type.as_deref() == filter {
            let bytes = referrer.annotations.as_ref().map_or(0, |annotations| annotations.get().len());
            page_bytes += bytes + DESCRIPTOR_BYTES;
            if page_bytes > REFERRERS_PAGE_BYTES_MAX && !manifests.is_empty() {
                break;
            }
            manifests.push(referrer);
        }
        next = Some(*digest);
        if count + 1 == REFERRERS_READ_MAX {
            break;
        }
    }
    // The page ends with the last one looked at, unless that was the last of all.
    let next = next.filter(|next| records.keys().next_back() != Some(next));
    let media_type = ManifestType::OciIndex.as_str();
    let index = Index { schema_version: 2, media_type, manifests };
    let mut reply = Reply::new(StatusCode::OK)
        .header(header::CONTENT_TYPE, media_type)
        .content(serde_json::to_vec(&index).expect("texts are serializable"));
    if filter.is_some() {
        reply = reply.header(OCI_FILTERS_APPLIED, "artifactType");
    }
    if let Some(last) = next {
        reply = reply.header(header::LINK, next_page(cx.name(), subject, filter, &last));
    }
    Ok(reply)
}

fn next_page(name: &RepositoryName, subject: &Digest, filter: Option<&str>, last: &Digest) -> String {
    let filter = filter.map(|filter| format!("artifactType={}&", escape(filter))).unwrap_or_default();
    format!("</v2/{name}/referrers/{subject}?{filter}last={last}>; rel=\"next\"")
}

/// A referrer's own manifest tells the rest; `None` if it is damaged.
async fn read(cx: &Cx<'_>, record: &ImageRecord) -> Result<Option<Referrer>, Failure> {
    let (blobs, digest, manifest_type) = (cx.registry.inner.blobs.clone(), record.digest, record.manifest_type);
    let referrer = off_reactor(move || {
        let Some(bytes) = blobs.read_manifest(&digest)? else { return Ok(None) };
        let manifest = Manifest::parse(&bytes, Some(manifest_type.as_str())).ok();
        Ok::<_, crate::StorageError>(manifest.map(|manifest| Referrer {
            media_type: manifest_type.as_str(),
            digest,
            size: bytes.len(),
            artifact_type: manifest.artifact_type().map(str::to_owned),
            annotations: manifest.annotations,
        }))
    });
    Ok(referrer.await?)
}
