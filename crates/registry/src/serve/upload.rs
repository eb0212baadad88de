//! Uploads: `POST` begins one (or mounts, or takes a blob at once), `PATCH` appends, `PUT` ends, `GET` asks, `DELETE`
//! gives up.

use http::request::Parts;
use http::{StatusCode, header};
use hyper::body::Body as _;

use super::Cx;
use super::access;
use super::failure::{Code, Failure, received_range};
use super::reply::{CONTENT_DIGEST, Reply, UPLOAD_UUID};
use crate::body::{self, End, Incoming};
use crate::catalogue::Action;
use crate::digest::{Digest, DigestError};
use crate::name::{RepositoryId, RepositoryName};
use crate::range::ChunkRange;
use crate::storage::off_reactor;
use crate::uploads::{UploadError, UploadId, Writer};

pub(super) async fn begin(cx: &Cx<'_>, parts: &Parts, body: Incoming) -> Result<Reply, Failure> {
    if cx.query.first("digest-algorithm").is_some_and(|algorithm| algorithm != "sha256") {
        // Said now: what the client would send could never be taken under the digest it has in mind.
        return Err(Failure::new(Code::DigestInvalid, DigestError::Algorithm.to_string()));
    }
    if let Some(digest) = cx.query.first("mount") {
        let digest = Digest::parse(digest).map_err(|error| Failure::new(Code::DigestInvalid, error.to_string()))?;
        if mount(cx, parts, &digest).await? {
            return Ok(created(cx, &digest));
        }
    } else if let Some(digest) = cx.digest_parameter()? {
        for action in [Action::UploadPart, Action::FinishUpload] {
            access::authorize(cx.registry, parts, action, Some(&cx.repository.name))?;
        }
        return at_once(cx, digest, body).await;
    }
    let id =
        cx.registry.begin_upload(&cx.repository).await.map_err(|error| Failure::of_upload(error, &cx.repository))?;
    Ok(in_progress(cx, StatusCode::ACCEPTED, id, 0))
}

/// Whether the blob could be taken from the other repository. If not, for whatever reason, the client uploads it: a
/// caller without access learns nothing of what is there.
async fn mount(cx: &Cx<'_>, parts: &Parts, digest: &Digest) -> Result<bool, Failure> {
    let Some(from) = cx.query.first("from").and_then(|from| RepositoryName::parse(from).ok()) else { return Ok(false) };
    let Ok(grant) = access::authorize(cx.registry, parts, Action::GetLayer, Some(&from)) else { return Ok(false) };
    let from = RepositoryId { scope: grant.scope, name: from };
    if from.scope != cx.repository.scope || !cx.registry.inner.catalogue.repository_exists(&from) {
        return Ok(false);
    }
    Ok(cx.registry.mount_blob(&from, &cx.repository, digest).await?)
}

/// The whole blob in the `POST`. The client never learns of the upload, so it is not kept on failure.
async fn at_once(cx: &Cx<'_>, digest: Digest, mut body: Incoming) -> Result<Reply, Failure> {
    let of_upload = |error| Failure::of_upload(error, &cx.repository);
    let id = cx.registry.begin_upload(&cx.repository).await.map_err(of_upload)?;
    let received = async {
        let writer = receive(cx, id, &mut body).await?;
        cx.registry.finish(&cx.repository, writer, digest).await
    };
    match received.await {
        Ok(_) => Ok(created(cx, &digest)),
        Err(error) => {
            // It may be gone already: a wrong digest ends it.
            drop(cx.registry.cancel_upload(&cx.repository, id).await);
            Err(of_upload(error))
        }
    }
}

pub(super) async fn append(cx: &Cx<'_>, id: UploadId, mut body: Incoming) -> Result<Reply, Failure> {
    let writer = receive(cx, id, &mut body).await.map_err(|error| failed(cx, id, error))?;
    Ok(in_progress(cx, StatusCode::ACCEPTED, id, writer.offset()))
}

/// The last part may come with it.
pub(super) async fn finish(cx: &Cx<'_>, parts: &Parts, id: UploadId, mut body: Incoming) -> Result<Reply, Failure> {
    if !body.is_end_stream() {
        access::authorize(cx.registry, parts, Action::UploadPart, Some(&cx.repository.name))?;
    }
    let digest = cx.digest_parameter()?.ok_or_else(|| Failure::new(Code::DigestInvalid, "the digest is missing"))?;
    let finished = async {
        let writer = receive(cx, id, &mut body).await?;
        cx.registry.finish(&cx.repository, writer, digest).await
    };
    finished.await.map_err(|error| failed(cx, id, error))?;
    Ok(created(cx, &digest))
}

pub(super) async fn status(cx: &Cx<'_>, id: UploadId) -> Result<Reply, Failure> {
    let offset = cx.registry.upload_offset(&cx.repository, id).await;
    let offset = offset.map_err(|error| Failure::of_upload(error, &cx.repository))?;
    Ok(in_progress(cx, StatusCode::NO_CONTENT, id, offset))
}

pub(super) async fn cancel(cx: &Cx<'_>, id: UploadId) -> Result<Reply, Failure> {
    let cancelled = cx.registry.cancel_upload(&cx.repository, id).await;
    cancelled.map_err(|error| Failure::of_upload(error, &cx.repository))?;
    Ok(Reply::new(StatusCode::NO_CONTENT))
}

/// Appends the request's body to the upload, after all that can be checked before it. A chunk that contradicts its
/// own range leaves no trace; one that breaks off leaves what arrived, for the client to go on from.
async fn receive(cx: &Cx<'_>, id: UploadId, body: &mut Incoming) -> Result<Writer, UploadError> {
    let range = match cx.headers.get(header::CONTENT_RANGE) {
        Some(value) => {
            let range = value.to_str().ok().and_then(ChunkRange::parse);
            Some(range.ok_or(UploadError::LengthMismatch)?)
        }
        None => None,
    };
    let locked = cx.registry.inner.uploads.lock(&cx.repository, id).await?;
    let offset = locked.offset();
    if range.is_some_and(|range| range.first != offset) {
        return Err(UploadError::OutOfOrder { offset });
    }
    let limits = &cx.registry.inner.limits;
    let room = limits.blob_bytes_max.saturating_sub(offset);
    let announced = body.size_hint().exact();
    if range.zip(announced).is_some_and(|(range, announced)| range.length() != announced) {
        return Err(UploadError::LengthMismatch);
    }
    if range.map(|range| range.length()).or(announced).is_some_and(|length| length > room) {
        return Err(UploadError::TooLarge { max: limits.blob_bytes_max });
    }
    let bytes_max = range.map_or(room, |range| range.length());

    let writer = off_reactor(move || locked.writer()).await?;
    let mark = writer.mark();
    let (mut writer, end) = body::append(body, writer, bytes_max, limits.body_idle_max).await?;
    let is_short = range.is_some_and(|range| writer.offset() - offset < range.length());
    let error = match end {
        End::Whole if !is_short => return Ok(writer),
        End::Whole => UploadError::LengthMismatch,
        End::TooLong if range.is_some() => UploadError::LengthMismatch,
        End::TooLong => UploadError::TooLarge { max: limits.blob_bytes_max },
        End::Broken(error) => return Err(UploadError::Body(error)),
        End::Stalled => return Err(UploadError::BodyStalled),
    };
    off_reactor(move || writer.roll_back(mark)).await?;
    Err(error)
}

fn failed(cx: &Cx<'_>, id: UploadId, error: UploadError) -> Failure {
    let goes_on = matches!(error, UploadError::OutOfOrder { .. });
    let failure = Failure::of_upload(error, &cx.repository);
    if goes_on { failure.with_header(header::LOCATION, upload_path(cx, id)) } else { failure }
}

fn upload_path(cx: &Cx<'_>, id: UploadId) -> String {
    format!("/v2/{}/blobs/uploads/{id}", cx.name())
}

fn in_progress(cx: &Cx<'_>, status: StatusCode, id: UploadId, offset: u64) -> Reply {
    let reply = Reply::new(status)
        .header(header::LOCATION, upload_path(cx, id))
        .header(header::RANGE, received_range(offset))
        .header(UPLOAD_UUID, id);
    if status == StatusCode::NO_CONTENT { reply } else { reply.header(header::CONTENT_LENGTH, 0) }
}

fn created(cx: &Cx<'_>, digest: &Digest) -> Reply {
    Reply::new(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{}/blobs/{digest}", cx.name()))
        .header(CONTENT_DIGEST, digest)
        .header(header::CONTENT_LENGTH, 0)
}
