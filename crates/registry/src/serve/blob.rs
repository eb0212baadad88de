//! `GET` and `HEAD` of blobs.

use http::{StatusCode, header};
use http_body_util::BodyExt as _;

use super::Cx;
use super::failure::{Code, Failure};
use super::reply::{CONTENT_DIGEST, Reply};
use crate::body::FileBody;
use crate::digest::Digest;
use crate::range::{self, Wanted};
use crate::storage::off_reactor;

pub(super) async fn read(cx: &Cx<'_>, digest: &Digest) -> Result<Reply, Failure> {
    let etag = format!("\"{digest}\"");
    let reply = |status| {
        Reply::new(status)
            .header(CONTENT_DIGEST, digest)
            .header(header::ETAG, &etag)
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::CONTENT_TYPE, "application/octet-stream")
    };
    if cx.head {
        let size_bytes = cx.registry.blob_size(&cx.repository, digest).await?.ok_or_else(Failure::blob_unknown)?;
        return Ok(reply(StatusCode::OK).header(header::CONTENT_LENGTH, size_bytes));
    }
    let (blobs, repository, of) = (cx.registry.inner.blobs.clone(), cx.repository.clone(), *digest);
    let found = off_reactor(move || blobs.open_blob(&repository, &of)).await?;
    let (file, size_bytes) = found.ok_or_else(Failure::blob_unknown)?;
    if cx.has_current(&etag) {
        return Ok(reply(StatusCode::NOT_MODIFIED));
    }
    // `If-Range`: the range counts only for the entity the client has a part of.
    let is_same = cx.header(header::IF_RANGE).is_none_or(|condition| condition == etag);
    let range = cx.header(header::RANGE).filter(|_| is_same);
    match range::wanted(range, size_bytes) {
        Wanted::All => {
            let body = FileBody::new(file, 0, size_bytes).boxed();
            Ok(reply(StatusCode::OK).header(header::CONTENT_LENGTH, size_bytes).body(body))
        }
        Wanted::Part { first, last } => {
            let length = last - first + 1;
            Ok(reply(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{size_bytes}"))
                .header(header::CONTENT_LENGTH, length)
                .body(FileBody::new(file, first, length).boxed()))
        }
        Wanted::Unsatisfiable => Err(Failure::new(Code::SizeInvalid, "the range is not within the blob")
            .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
            .with_header(header::CONTENT_RANGE, format!("bytes */{size_bytes}"))),
    }
}
